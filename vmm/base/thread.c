#include "base/thread.h"

#include <signal.h>
#include <stdio.h>

#include "base/macros.h"

static const char *const role_name[THREAD_ROLES] = {
	[THREAD_VCPU] = "vcpu",
	[THREAD_IO] = "io",
	[THREAD_DISK_WORKER] = "disk-worker",
	[THREAD_FILE_WRITER] = "file-writer",
	[THREAD_MEASURE] = "measure",
};

int thread_kick_signal(void)
{
	return SIGRTMIN + 1;
}

/*
 * Blocked, the signals that a thread raises itself would kill without their handlers, which give the
 * terminal back and name memory that failed.
 */
static sigset_t role_blocks(enum thread_role role)
{
	static const int own[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
	sigset_t set;

	sigfillset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(own); i++)
		sigdelset(&set, own[i]);
	if (role == THREAD_VCPU)
		sigdelset(&set, thread_kick_signal());
	return set;
}

int thread_start(pthread_t *ret, enum thread_role role, const char *name, void *(*run)(void *arg),
		 void *arg)
{
	const sigset_t blocked = role_blocks(role);
	sigset_t own;
	char buf[16]; /* what Linux keeps (pthread_setname_np(3)) */
	int r;

	/* A thread inherits the mask: it is right before the first instruction. */
	pthread_sigmask(SIG_SETMASK, &blocked, &own);
	r = -pthread_create(ret, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	if (r < 0)
		return r;
	snprintf(buf, sizeof(buf), "%s", name ? name : role_name[role]);
	pthread_setname_np(*ret, buf);
	return 0;
}
