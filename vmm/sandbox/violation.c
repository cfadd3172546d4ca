/* violation.c - the end of a process one of whose threads made a call that its filter forbids. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/char/terminal.h"
#include "sandbox/internal.h"
#include "vm_end.h"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* <asm-generic/siginfo.h>, which older C libraries do not repeat */
#endif

/* In a signal handler: no stdio. */
struct violation_line {
	char text[256];
	size_t len;
};

static void violation_put(struct violation_line *line, const char *text)
{
	while (*text && line->len < sizeof(line->text))
		line->text[line->len++] = *text++;
}

static void violation_put_number(struct violation_line *line, unsigned n)
{
	char digits[12] = "";
	size_t at = sizeof(digits) - 1;

	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	violation_put(line, digits + at);
}

/* Past a filter that has not allowed all of this, the signal is blocked and kills, which is an end, too. */
static _Noreturn void violation_end(struct violation_line *line, int status)
{
	struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};
	ssize_t n = 0;

	violation_put(line, "\n");
	terminal_restore();
	/* A reader of standard error that does not read costs the line, not the end. */
	if (poll(&pfd, 1, 0) == 1)
		n = write(STDERR_FILENO, line->text, line->len);
	(void)n;
	_exit(status);
}

static void on_sigsys(int sig, siginfo_t *si, void *context)
{
	struct violation_line line = {.len = 0};
	char thread[16] = "";

	(void)sig;
	(void)context;
	prctl(PR_GET_NAME, thread, 0, 0, 0);
	violation_put(&line, "tollgate: sandbox: thread '");
	violation_put(&line, thread);
	if (si->si_code != SYS_SECCOMP) {
		violation_put(&line, "' got SIGSYS from elsewhere");
		violation_end(&line, EXIT_SANDBOX);
	}
	violation_put(&line, "' made the system call ");
	violation_put(&line, sandbox_call_name((unsigned)si->si_syscall));
	violation_put(&line, " (");
	violation_put_number(&line, (unsigned)si->si_syscall);
	violation_put(&line, "), which its filter forbids, exit status 109 [sandbox-call]");
	violation_end(&line, EXIT_SANDBOX);
}
_Static_assert(EXIT_SANDBOX == 109, "as the line says");

void sandbox_fail(const char *what)
{
	struct violation_line line = {.len = 0};

	violation_put(&line, "tollgate: sandbox: ");
	violation_put(&line, what);
	violation_end(&line, EXIT_SETUP);
}

int sandbox_violation_watch(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigsys};

	sa.sa_flags = SA_SIGINFO;
	sigfillset(&sa.sa_mask);
	return sigaction(SIGSYS, &sa, NULL) < 0 ? -errno : 0;
}
