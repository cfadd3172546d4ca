/* signals.h - which signals a thread of the VMM takes, and questions about their dispositions. */
#ifndef VMM_BASE_SIGNALS_H
#define VMM_BASE_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

static inline bool signal_is_ignored(int sig)
{
	struct sigaction sa;

	return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

static inline bool signal_is_handled(int sig)
{
	struct sigaction sa;

	return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_IGN &&
	       sa.sa_handler != SIG_DFL;
}

/*
 * All but those that a thread raises itself. Signals from outside belong to the event thread, so other threads are
 * made with these blocked. Blocked, the ones it raises itself would kill without their handlers, which give the
 * terminal back and name memory that failed.
 */
static inline sigset_t signals_from_outside(void)
{
	static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
	sigset_t set;

	sigfillset(&set);
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&set, own[i]);
	return set;
}

#endif
