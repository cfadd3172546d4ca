#include "terminal.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/checked.h"

/*
 * The one mutable global of the VMM: a crash handler has nothing else to find the old mode by. It is
 * written once, before any thread is started.
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

static void arm_crash_handlers(void)
{
	static const int sigs[] = {SIGSEGV, SIGBUS,  SIGILL, SIGFPE,  SIGABRT,
				   SIGQUIT, SIGTRAP, SIGSYS, SIGXCPU, SIGXFSZ};

	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++) {
		struct sigaction sa = {.sa_handler = crash};

		sa.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
		sigaction(sigs[i], &sa, NULL);
	}
	atexit(terminal_restore);
}

void terminal_raw(int fd)
{
	pid_t foreground = tcgetpgrp(fd);
	struct termios raw;

	if (foreground >= 0 && foreground != getpgrp())
		return; /* in the background tcsetattr() would stop us with SIGTTOU */
	if (!terminal.armed) {
		if (tcgetattr(fd, &terminal.old) < 0)
			return;
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
	tcsetattr(fd, TCSANOW, &raw);
}

void terminal_restore(void)
{
	int fd = atomic_exchange(&terminal.fd, -1);

	if (fd >= 0)
		tcsetattr(fd, TCSANOW, &terminal.old);
}
