/* signals.h - the dispositions of signals, here and in a process that is started. */
#ifndef VMM_BASE_SIGNALS_H
#define VMM_BASE_SIGNALS_H

#include <signal.h>
#include <spawn.h>
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

/* No signal is blocked or ignored in the process to be. 0, or a positive error number as posix_spawn(3)'s. */
static inline int signals_reset_at_spawn(posix_spawnattr_t *attr)
{
	sigset_t none, all;
	int r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

	sigemptyset(&none);
	sigfillset(&all);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attr, &none);
	return r ? r : posix_spawnattr_setsigdefault(attr, &all);
}

#endif
