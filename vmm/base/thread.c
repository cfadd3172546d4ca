#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

/*
 * Where transparent huge pages are always used, as on Debian, a stack of glibc's 8 MiB takes 2 MiB of memory at its
 * first touch. No huge page fits into this one. The deepest use is that of libraries: libslirp, and the dynamic loader.
 */
enum { STACK_BYTES = 1 << 20 };

static const char *const role_name[THREAD_ROLES] = {
	[THREAD_VCPU] = "vcpu",
	[THREAD_IO] = "io",
	[THREAD_DISK_WORKER] = "disk-worker",
	[THREAD_FS_WORKER] = "fs-worker",
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

static int thread_create(pthread_t *ret, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(ret, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return -r;
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
	r = thread_create(ret, run, arg);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	if (r < 0)
		return r;
	snprintf(buf, sizeof(buf), "%s", name ? name : role_name[role]);
	pthread_setname_np(*ret, buf);
	return 0;
}

/* The C library of an old release lacks it. */
static int thread_close_range(unsigned first, unsigned last)
{
	if (first > last)
		return 0;
	return syscall(SYS_close_range, first, last, 0) < 0 ? -errno : 0;
}

int thread_own_files(const int *keep, size_t n)
{
	unsigned next = 0;
	/* Beyond all descriptors, so this only shows whether the call is there. */
	int r = thread_close_range(UINT_MAX, UINT_MAX);

	if (r == 0 && unshare(CLONE_FILES) < 0)
		r = -errno;
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned)keep[i] > next)
			thread_close_range(next, (unsigned)keep[i] - 1);
		next = (unsigned)keep[i] + 1;
	}
	thread_close_range(next, UINT_MAX);
	return 0;
}

void thread_close_own_files(void)
{
	thread_close_range(0, UINT_MAX);
}
