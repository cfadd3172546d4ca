#include "sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "sandbox/internal.h"

enum { HEAP_PIECES = 3, HEAP_PIECE_BYTES = 100000 };

/* Written while there is one thread. */
static struct {
	struct sandbox_opts opts;
	bool on;
	int files; /* Landlock's ruleset for shared directories; for threads that start late, so it is not closed */
	pthread_mutex_t start; /* held while vCPUs are to wait */
} sandbox = {.files = -1, .start = PTHREAD_MUTEX_INITIALIZER};

bool sandbox_is_built(void)
{
#ifdef TOLLGATE_UNCONFINED
	return false;
#else
	return true;
#endif
}

/*
 * SPEC_ALLOW: before Linux 5.16 a filter would slow down each load of its thread. Code that is not trusted runs in the
 * guest alone, whose speculation the guest controls by its own registers.
 */
static int install_filter(const struct sandbox_role *role)
{
	struct sock_filter insn[SANDBOX_PROGRAM_MAX];
	struct sock_fprog program = {.filter = insn};

	program.len = (unsigned short)sandbox_program(role, insn, ARRAY_SIZE(insn));
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		       &program) < 0
		       ? -errno
		       : 0;
}

int sandbox_enter(enum thread_role role)
{
	struct sandbox_role calls;
	int r = sandbox_drop_capabilities(role, &sandbox.opts);

	if (r == 0 && (role == THREAD_IO_FS || role == THREAD_FS_WORKER))
		r = sandbox_files_restrict(sandbox.files);
	sandbox_role_init(&calls, role, &sandbox.opts);
	return r < 0 ? r : install_filter(&calls);
}

/* There is nobody to return an error to, and nothing works less well than a thread that is not confined. */
static void thread_entry_confined(enum thread_role role)
{
	if (role == THREAD_VCPU) {
		pthread_mutex_lock(&sandbox.start);
		pthread_mutex_unlock(&sandbox.start);
	}
	if (sandbox_enter(role) < 0)
		sandbox_fail("a thread cannot be confined [sandbox-thread]");
}

static void *heap_grow_and_shrink(void *arg)
{
	void *volatile piece[HEAP_PIECES]; /* else a compiler may leave out both calls */

	for (unsigned i = 0; i < HEAP_PIECES; i++)
		piece[i] = malloc(HEAP_PIECE_BYTES);
	for (unsigned i = 0; i < HEAP_PIECES; i++)
		free(piece[i]);
	return arg;
}

/*
 * The first thread whose heap shrinks makes glibc read /proc/sys/vm/overcommit_memory (malloc/arena.c,
 * check_may_shrink_heap()). So one does so here, where files may be opened. A piece is below what is mapped by
 * itself, all are more than what is kept at the end of a heap: 128 KiB each.
 */
static void settle_malloc(void)
{
	pthread_t thread;

	if (thread_start(&thread, THREAD_MEASURE, "settle", heap_grow_and_shrink, NULL) == 0)
		pthread_join(thread, NULL);
}

void sandbox_examine_host(struct sandbox_host *ret)
{
	const uint32_t action = SECCOMP_RET_TRAP;
	const long abi =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	*ret = (struct sandbox_host){
		.seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0,
		.landlock_abi = abi > 0 ? (int)abi : 0,
	};
}

int sandbox_begin(const struct sandbox_opts *opts, struct diag *diag)
{
	struct sandbox_host host;
	int r = 0;

	sandbox_examine_host(&host);
	if (!host.seccomp)
		r = -ENOSYS;
	else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = sandbox_files_ruleset(opts, host.landlock_abi, &sandbox.files);
	if (r == 0)
		r = sandbox_violation_watch();
	if (r < 0) {
		diag_set(diag, r, "sandbox-none", "confine the VMM's threads");
		diag_remedy(diag, "--no-sandbox runs a guest that you trust without");
		return r;
	}
	settle_malloc();
	sandbox.opts = *opts;
	sandbox.opts.dir = NULL; /* the caller's */
	sandbox.opts.nr_dirs = 0;
	sandbox.on = true;
	thread_set_entry(thread_entry_confined);
	return 0;
}

bool sandbox_is_on(void)
{
	return sandbox.on;
}

void sandbox_open(void)
{
	if (sandbox.on)
		pthread_mutex_lock(&sandbox.start);
}

int sandbox_close(void)
{
	int r;

	if (!sandbox.on)
		return 0;
	r = sandbox_enter(THREAD_EVENT);
	pthread_mutex_unlock(&sandbox.start);
	return r;
}
