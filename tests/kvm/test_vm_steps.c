/*
 * The steps in which a VM is made (vm/internal.h). Each call of the host that a set-up makes fails once,
 * and so each step that can fail does: what was made is taken down, and nothing else is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_mmio.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "base/macros.h"
#include "config/builtin.h"
#include "virtio/classes.h"
#include "virtio/mmio.h"
#include "vm/internal.h"
#include "vm_rig.h"

/* Calls of vm_init() so far; the one that fails. 0: none. */
static unsigned calls, fails_at;
static bool in_init;

/* Whether this call fails. */
static bool fails(int err)
{
	if (!in_init || ++calls != fails_at)
		return false;
	errno = err;
	return true;
}

void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);
void *__real_calloc(size_t nr, size_t len);
void *__wrap_calloc(size_t nr, size_t len);
void *__real_aligned_alloc(size_t align, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);
void *__real_reallocarray(void *p, size_t nr, size_t len);
void *__wrap_reallocarray(void *p, size_t nr, size_t len);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
void *__real_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __real_ioctl(int fd, unsigned long request, unsigned long arg);
int __wrap_ioctl(int fd, unsigned long request, unsigned long arg);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);
int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int __real_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags);
int __real_signalfd(int fd, const sigset_t *set, int flags);
int __wrap_signalfd(int fd, const sigset_t *set, int flags);

void *__wrap_malloc(size_t len)
{
	return fails(ENOMEM) ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t nr, size_t len)
{
	return fails(ENOMEM) ? NULL : __real_calloc(nr, len);
}

void *__wrap_aligned_alloc(size_t align, size_t len)
{
	return fails(ENOMEM) ? NULL : __real_aligned_alloc(align, len);
}

void *__wrap_reallocarray(void *p, size_t nr, size_t len)
{
	return fails(ENOMEM) ? NULL : __real_reallocarray(p, nr, len);
}

/* Without O_CREAT, which no set-up here needs, the third argument means nothing. */
int __wrap_open64(const char *path, int flags, ...)
{
	assert_false(flags & O_CREAT);
	return fails(EMFILE) ? -1 : __real_open64(path, flags);
}

void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	return fails(ENOMEM) ? MAP_FAILED : __real_mmap64(at, len, prot, flags, fd, off);
}

int __wrap_ioctl(int fd, unsigned long request, unsigned long arg)
{
	return fails(ENOSPC) ? -1 : __real_ioctl(fd, request, arg);
}

int __wrap_eventfd(unsigned count, int flags)
{
	return fails(EMFILE) ? -1 : __real_eventfd(count, flags);
}

int __wrap_epoll_create1(int flags)
{
	return fails(EMFILE) ? -1 : __real_epoll_create1(flags);
}

/* Only what adds a descriptor needs memory. */
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	return op == EPOLL_CTL_ADD && fails(ENOSPC) ? -1 : __real_epoll_ctl(epfd, op, fd, ev);
}

int __wrap_timerfd_create(int clock, int flags)
{
	return fails(EMFILE) ? -1 : __real_timerfd_create(clock, flags);
}

int __wrap_signalfd(int fd, const sigset_t *set, int flags)
{
	return fails(EMFILE) ? -1 : __real_signalfd(fd, set, flags);
}

/* Two vCPUs, a virtio device, each chip, a file for output, a timeout: something for each step. */
static struct vm_opts all_opts(int file)
{
	static const struct virtio_conf conf = {.cls = &virtio_rng_class, .name = "rng0"};
	static const struct machine_row rng = {
		.name = "rng0",
		.fdt_name = "virtio",
		.cls = &virtio_mmio_class,
		.range = {{IOBUS_MMIO, MACHINE_FIRST_AUTO, VIRTIO_MMIO_BYTES}},
		.gsi = MACHINE_GSI_AUTO,
		.conf = &conf,
	};

	return (struct vm_opts){
		.machine = {.mem_bytes = MACHINE_MEM_MIN,
			    .cpus = 2,
			    .cmdline = "port=0xa00 count=10",
			    .extra = &rng,
			    .nr_extra = 1},
		.kernel = builtin_hammer(),
		.output = {{.device = "serial0", .fd = file}},
		.nr_outputs = 1,
		.profile = true,
		.latency = true,
		.keeps_start = true,
		.deadline_ns = clock_monotonic_ns() + VM_RIG_HANG_S * NS_PER_S,
	};
}

/* Sets a VM up, with the call of that number failing, and takes it down. *ret_made: the steps that were made. */
static int set_up_failing(const struct vm_opts *opts, unsigned call, unsigned *ret_made,
			  struct diag *diag)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	assert_non_null(vm);
	calls = 0;
	fails_at = call;
	in_init = true;
	r = vm_init(vm, opts, diag);
	in_init = false;
	*ret_made = vm->nr_made;
	assert_true(vm_fini(vm));
	assert_int_equal(vm->nr_made, 0);
	free(vm);
	return r;
}

static void each_step_that_fails_leaves_nothing_behind(void **state)
{
	FILE *file = tmpfile();
	const struct vm_opts opts = all_opts(fileno(file));
	unsigned failed[64] = {0}, made, nr_calls;
	struct vm_rig_usage before;

	(void)state;
	assert_true(vm_nr_steps <= ARRAY_SIZE(failed));
	for (unsigned i = 0; i < VM_RIG_WARM_UP_RUNS; i++)
		assert_int_equal(set_up_failing(&opts, 0, &made, NULL), 0);
	assert_int_equal(made, vm_nr_steps);
	nr_calls = calls;
	before = vm_rig_usage_now();
	for (unsigned call = 1; call <= nr_calls; call++) {
		struct diag diag = {0};
		const int r = set_up_failing(&opts, call, &made, &diag);

		if (r < 0) {
			assert_true(made < vm_nr_steps);
			assert_int_equal(diag.err, r);
			assert_true(diag.what[0] != '\0' && diag.id[0] != '\0');
			failed[made]++;
		} else {
			assert_int_equal(made,
					 vm_nr_steps); /* the host lacks it: slower, and no error */
		}
		vm_rig_assert_usage(&before);
	}
	for (unsigned i = 0; i < vm_nr_steps; i++) {
		print_message("%-16s failed %3u times\n", vm_steps[i].name, failed[i]);
		if (failed[i] == 0)
			fail_msg("step '%s' did not fail", vm_steps[i].name);
	}
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step_that_fails_leaves_nothing_behind),
	};

	if (!vm_rig_has_kvm())
		return VM_RIG_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
