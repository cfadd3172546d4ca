#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
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
	[THREAD_IO_DISK] = "io",
	[THREAD_IO_FS] = "io",
	[THREAD_IO_NET] = "io",
	[THREAD_IO_VSOCK] = "io",
	[THREAD_DISK_WORKER] = "disk-worker",
	[THREAD_FS_WORKER] = "fs-worker",
	[THREAD_FILE_WRITER] = "file-writer",
	[THREAD_MEASURE] = "measure",
	[THREAD_EVENT] = "event",
};

/* The thread frees this. */
struct thread_begin {
	enum thread_role role;
	char name[16]; /* what Linux keeps (pthread_setname_np(3)) */
	void *(*run)(void *arg);
	void *arg;
};

static void (*thread_entry)(enum thread_role role);

void thread_set_entry(void (*entry)(enum thread_role role))
{
	thread_entry = entry;
}

/* The name by its own thread: another one would have to open a file. */
static void *thread_main(void *arg)
{
	const struct thread_begin begin = *(struct thread_begin *)arg;

	free(arg);
	prctl(PR_SET_NAME, begin.name, 0, 0, 0);
	if (thread_entry)
		thread_entry(begin.role);
	return begin.run(begin.arg);
}

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
	struct thread_begin *begin = calloc(1, sizeof(*begin));
	const sigset_t blocked = role_blocks(role);
	sigset_t own;
	int r;

	if (!begin)
		return -ENOMEM;
	*begin = (struct thread_begin){.role = role, .run = run, .arg = arg};
	snprintf(begin->name, sizeof(begin->name), "%s", name ? name : role_name[role]);
	/* A thread inherits the mask: it is right before the first instruction. */
	pthread_sigmask(SIG_SETMASK, &blocked, &own);
	r = thread_create(ret, thread_main, begin);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	if (r < 0)
		free(begin);
	return r;
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
