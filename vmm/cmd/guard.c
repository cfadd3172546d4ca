#include "cmd/guard.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/signals.h"
#include "vm_end.h"

/* How each ends the process, with texts made before, as a handler must not print. */
static const struct {
	int sig, status;
	const char *line;
} guarded[] = {
	{SIGINT, EXIT_KILLED, "tollgate: killed (SIGINT during set-up), exit status 116\n"},
	{SIGTERM, EXIT_KILLED, "tollgate: killed (SIGTERM during set-up), exit status 116\n"},
	{SIGHUP, EXIT_KILLED, "tollgate: killed (SIGHUP during set-up), exit status 116\n"},
	{SIGALRM, EXIT_TIMEOUT, "tollgate: timeout (--timeout during set-up), exit status 117\n"},
};
_Static_assert(EXIT_KILLED == 116 && EXIT_TIMEOUT == 117, "as the lines say");

/* A reader of standard error that does not read costs the line, not the end. */
static void say(const char *line)
{
	struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&pfd, 1, 0) == 1 && write(STDERR_FILENO, line, strlen(line)) < 0)
		return;
}

static void handler(int sig)
{
	for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
		if (guarded[i].sig == sig) {
			say(guarded[i].line);
			_exit(guarded[i].status);
		}
	}
}

static void set_alarm(int64_t in_ns)
{
	const struct itimerval spec = {
		.it_value = {.tv_sec = in_ns / NS_PER_S, .tv_usec = in_ns % NS_PER_S / 1000}};

	setitimer(ITIMER_REAL, &spec, NULL);
}

void cmd_guard_begin(int64_t deadline_ns)
{
	struct sigaction sa = {.sa_handler = handler};
	sigset_t alarm_set;
	int64_t left_ns;

	sigfillset(&sa.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(guarded); i++)
		if (guarded[i].sig == SIGALRM || !signal_is_ignored(guarded[i].sig))
			sigaction(guarded[i].sig, &sa, NULL);
	if (deadline_ns == 0)
		return;
	sigemptyset(&alarm_set);
	sigaddset(&alarm_set, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm_set, NULL);
	left_ns = deadline_ns - clock_monotonic_ns();
	set_alarm(left_ns > 1000 ? left_ns : 1000); /* all zero would disarm */
}

void cmd_guard_end(void)
{
	set_alarm(0);
}
