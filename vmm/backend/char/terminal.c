#include "backend/char/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/macros.h"

/*
 * Global, because a crash handler has nothing else to find the old mode by. It is written once, before
 * any thread is started.
 */
static struct {
	struct termios old;
	atomic_int fd; /* -1: nothing to restore; lock-free, so fit for a handler */
	bool armed;
} terminal = {.fd = -1};

static void crash(int sig)
{
	terminal_restore();
	raise(sig); /* SA_RESETHAND: now with the default action, so a core is dumped as ever */
}

/*
 * A signal that is ignored stays so: it ends nothing, and our handler would make it end the process. While a file
 * is mapped SIGBUS has a handler that must stay. Others, as a sanitizer's, make way: the terminal comes first.
 */
static void arm_crash_handler(int sig)
{
	struct sigaction sa = {.sa_handler = crash};
	struct sigaction old;

	sa.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
	if (sigaction(sig, NULL, &old) < 0 || old.sa_handler == SIG_IGN)
		return;
	if (sig == SIGSYS &&
	    old.sa_handler != SIG_DFL) /* the sandbox's, which restores the mode, too */
		return;
	if (sig != SIGBUS || !file_maps_guarded())
		sigaction(sig, &sa, NULL);
}

static void arm_crash_handlers(void)
{
	static const int sigs[] = {SIGSEGV, SIGBUS,  SIGILL, SIGFPE,  SIGABRT,
				   SIGQUIT, SIGTRAP, SIGSYS, SIGXCPU, SIGXFSZ};

	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
		arm_crash_handler(sigs[i]);
	atexit(terminal_restore);
}

bool terminal_in_background(int fd)
{
	const pid_t foreground = tcgetpgrp(fd);

	return foreground >= 0 && foreground != getpgrp();
}

/*
 * Never of a terminal in whose background we are: its mode is then the shell's or another job's. With
 * SIGTTOU blocked, because we may get there between the look and the call, which would then stop us.
 */
static void set_mode(int fd, const struct termios *mode)
{
	sigset_t ttou, old;

	if (terminal_in_background(fd))
		return;
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	tcsetattr(fd, TCSANOW, mode);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool terminal_raw(int fd)
{
	struct termios raw;

	if (terminal_in_background(fd))
		return false;
	if (!terminal.armed) {
		if (tcgetattr(fd, &terminal.old) < 0)
			return true;
		terminal.armed = true;
		arm_crash_handlers();
	}
	raw = terminal.old;
	raw.c_iflag &=
		(tcflag_t) ~(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON | PARMRK);
	raw.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	terminal.fd = fd;
	set_mode(fd, &raw);
	return true;
}

void terminal_print(const char *text)
{
	AUTO_CLOSE int fd = open("/dev/tty", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : write(fd, text, strlen(text));

	(void)n; /* a terminal that is stopped shows less */
}

void terminal_restore(void)
{
	const int fd = atomic_exchange(&terminal.fd, -1);

	if (fd >= 0)
		set_mode(fd, &terminal.old);
}
