/* signals.h - questions about the dispositions of signals. */
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

#endif
