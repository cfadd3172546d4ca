/*
 * vm_rig.h - VMs by way of vm.h in a test's own process: made, run, made with too few open files, and
 * what the process has before and after.
 */
#ifndef TESTS_KVM_VM_RIG_H
#define TESTS_KVM_VM_RIG_H

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "vm.h"

enum {
	VM_RIG_WARM_UP_RUNS = 3, /* buffers and thread stacks that are kept for reuse */
	VM_RIG_HANG_S = 300,
	VM_RIG_FILES_MAX = 100, /* open at once, for a VM of the tests */
	VM_RIG_SKIPPED = 77,    /* meson's */
};

struct vm_rig_usage {
	unsigned files, threads;
	size_t heap_bytes; /* always 0 with a sanitizer, which looks for leaks itself */
};

static inline unsigned vm_rig_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/*
 * Whether a thread is on its way out: one that was joined is listed until the kernel has buried it, and so is
 * KVM's own in this process, which closing a VM ends.
 */
static inline bool vm_rig_thread_ends(const char *tid)
{
	enum { FLAGS = 9, PF_EXITING = 4 }; /* proc_pid_stat(5), and Linux's sched.h */
	char path[300], line[512] = "";
	const char *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return true;
	p = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	for (unsigned field = 2; p && field < FLAGS; field++)
		p = strchr(p + 1, ' ');
	fclose(f);
	return !p || strtoul(p, NULL, 10) & PF_EXITING || strstr(line, "(kvm-");
}

static inline bool vm_rig_some_thread_ends(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *e;
	bool ends = false;

	assert_non_null(dir);
	while (!ends && (e = readdir(dir)))
		ends = e->d_name[0] != '.' && vm_rig_thread_ends(e->d_name);
	closedir(dir);
	return ends;
}

/* While there is no VM. */
static inline struct vm_rig_usage vm_rig_usage_now(void)
{
	for (unsigned ms = 0; vm_rig_some_thread_ends(); ms++) {
		assert_true(ms < VM_RIG_HANG_S * 1000);
		poll(NULL, 0, 1);
	}
	return (struct vm_rig_usage){
		.files = vm_rig_entries("/proc/self/fd"),
		.threads = vm_rig_entries("/proc/self/task"),
		.heap_bytes = mallinfo2().uordblks,
	};
}

/* The process has as much as before. */
static inline void vm_rig_assert_usage(const struct vm_rig_usage *had)
{
	const struct vm_rig_usage has = vm_rig_usage_now();

	assert_int_equal(has.files, had->files);
	assert_int_equal(has.threads, had->threads);
	assert_int_equal(has.heap_bytes, had->heap_bytes);
}

static inline void vm_rig_assert_success(struct vm_end end)
{
	assert_int_equal(end.kind, VM_END_EXIT_CODE);
	assert_int_equal(end.code, 0);
}

/* Sets a VM up and takes it down; 0 or what vm_init() said. */
static inline int vm_rig_set_up_once(const struct vm_opts *opts, struct diag *diag)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	assert_non_null(vm);
	r = vm_init(vm, opts, diag);
	vm_fini(vm);
	free(vm);
	return r;
}

/*
 * One file more each time, until there are enough: set-up stops at each place that opens one, and leaves
 * nothing. Returns how often it stopped.
 */
static inline unsigned vm_rig_run_out_of_files(const struct vm_opts *opts)
{
	struct vm_rig_usage before;
	struct rlimit limit, lower;
	unsigned failed = 0;
	int r;

	assert_int_equal(vm_rig_set_up_once(opts, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = vm_rig_usage_now();
	lower = limit;
	lower.rlim_cur = 3;
	do {
		struct diag diag = {0};

		assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
		r = vm_rig_set_up_once(opts, &diag);
		if (r < 0) {
			assert_int_equal(diag.err, r);
			assert_true(diag.what[0] != '\0' && diag.id[0] != '\0');
			failed++;
		}
		lower.rlim_cur++;
	} while (r < 0 && lower.rlim_cur < VM_RIG_FILES_MAX);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(r, 0); /* else each attempt keeps what it opened */
	vm_rig_assert_usage(&before);
	return failed;
}

/* Whether there is KVM; where there is none it is said, and the CI must have it. */
static inline bool vm_rig_has_kvm(void)
{
	const char *ci = getenv("CI");

	if (access(KVM_DEVICE_PATH, R_OK | W_OK) == 0 || (ci && strcmp(ci, "true") == 0))
		return true;
	printf("skipped: no access to " KVM_DEVICE_PATH ": %s\n", strerror(errno));
	return false;
}

#endif
