/*
 * Doorbells that come and go while a guest rings them: KVM's ioeventfds are removed and made again all
 * the time, so a write is now KVM's to answer and now an exit. The guest's own tests, resets and broken
 * rings among them, must not notice. And VMs with virtio devices leave nothing behind.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/virtio_mmio.h>

#include "base/file.h"
#include "virtio/classes.h"
#include "virtio/mmio.h"
#include "vm.h"

enum {
	DEVICES = 3,
	RUNS = 20,
	WARM_UP_RUNS = 3, /* thread stacks that are kept for reuse */
	FILES_MAX = 100,  /* open at once, for a VM with DEVICES */
	HANG_S = 300,
	EXIT_SKIPPED = 77,
};

static const struct virtio_mmio_conf conf = {.cls = &virtio_rng_class, .name = "rng"};
static struct machine_row rows[DEVICES];
static char names[DEVICES][8];
static struct file_map kernel;

static struct vm *vm;
static atomic_bool over;
static unsigned long changes;

static int setup(void **state)
{
	char path[4096];
	struct diag diag = {0};

	(void)state;
	snprintf(path, sizeof(path), "%s/guest-virtio", getenv("GUESTS"));
	for (unsigned i = 0; i < DEVICES; i++) {
		snprintf(names[i], sizeof(names[i]), "rng%u", i);
		rows[i] = (struct machine_row){
			.name = names[i],
			.fdt_name = "virtio",
			.cls = &virtio_mmio_class,
			.range = {{IOBUS_MMIO, MACHINE_FIRST_AUTO, VIRTIO_MMIO_BYTES}},
			.gsi = MACHINE_GSI_AUTO,
			.conf = &conf,
		};
	}
	return file_map_open(&kernel, "kernel", path, &diag);
}

static int teardown(void **state)
{
	(void)state;
	file_map_close(&kernel);
	return 0;
}

static struct vm_opts opts(const char *words)
{
	return (struct vm_opts){
		.machine = {.mem_bytes = MACHINE_MEM_MIN,
			    .cpus = 1,
			    .cmdline = words,
			    .extra = rows,
			    .nr_extra = DEVICES},
		.kernel = {.name = "guest-virtio", .data = kernel.data, .len = kernel.len},
		.timeout_ns = HANG_S * NS_PER_S,
	};
}

static unsigned find_rng0(void)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		if (vm->machine.device[i].name == names[0])
			return i;
	fail_msg("no rng0");
	return 0;
}

static void *changer(void *arg)
{
	const unsigned i = *(const unsigned *)arg;
	struct io_thread *io = &vm->virtio[i]->io;
	const uint64_t notify = vm->machine.device[i].range[0].first + VIRTIO_MMIO_QUEUE_NOTIFY;

	while (!atomic_load(&over)) {
		struct diag diag = {0};

		io_thread_deafen(io, &vm->kvm);
		if (io_thread_listen(io, &vm->kvm, notify, &diag) < 0)
			return (void *)(uintptr_t) "listen";
		changes++;
	}
	return NULL;
}

static void run_vm(const char *words, bool change)
{
	struct vm_opts vm_opts = opts(words);
	struct vm_end end = {0};
	struct diag diag = {0};
	unsigned rng0;
	pthread_t thread;
	void *complaint = NULL;

	vm = calloc(1, sizeof(*vm));
	assert_non_null(vm);
	if (vm_init(vm, &vm_opts, &diag) < 0)
		fail_msg("%s", diag.what);
	rng0 = find_rng0();
	atomic_store(&over, false);
	if (change)
		assert_int_equal(pthread_create(&thread, NULL, changer, &rng0), 0);
	assert_int_equal(vm_run(vm, &end, &diag), 0);
	atomic_store(&over, true);
	if (change)
		pthread_join(thread, &complaint);
	vm_fini(vm);
	free(vm);
	assert_null(complaint);
	assert_int_equal(end.kind, VM_END_EXIT_CODE);
	assert_int_equal(end.code, 0);
}

static void doorbells_come_and_go_while_they_are_rung(void **state)
{
	(void)state;
	changes = 0;
	run_vm("requests=2000", true);
	assert_true(changes > 1);
}

static unsigned entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void vms_leave_nothing_behind(void **state)
{
	unsigned files = 0, threads = 0;

	(void)state;
	for (unsigned i = 0; i < WARM_UP_RUNS + RUNS; i++) {
		if (i == WARM_UP_RUNS) {
			files = entries("/proc/self/fd");
			threads = entries("/proc/self/task");
		}
		run_vm("requests=4", false);
	}
	assert_int_equal(entries("/proc/self/fd"), files);
	assert_int_equal(entries("/proc/self/task"), threads);
}

/* One file more each time, until there are enough: set-up stops at each place that opens one. */
static void set_up_that_runs_out_of_files_leaves_nothing_behind(void **state)
{
	struct vm_opts vm_opts = opts("");
	struct rlimit limit, lower;
	unsigned files, failed = 0;
	int r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	files = entries("/proc/self/fd");
	lower = limit;
	lower.rlim_cur = 3;
	do {
		struct diag diag = {0};

		vm = calloc(1, sizeof(*vm));
		assert_non_null(vm);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
		r = vm_init(vm, &vm_opts, &diag);
		vm_fini(vm);
		free(vm);
		if (r < 0) {
			assert_int_equal(diag.err, r);
			failed++;
		}
		lower.rlim_cur++;
	} while (r < 0 && lower.rlim_cur < FILES_MAX);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(r, 0); /* else each attempt keeps what it opened */
	/* Of each device: epoll, its wake-up, interrupt, timer and a doorbell; acknowledgements can do without. */
	assert_true(failed > 5 * DEVICES);
	assert_int_equal(entries("/proc/self/fd"), files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doorbells_come_and_go_while_they_are_rung),
		cmocka_unit_test(vms_leave_nothing_behind),
		cmocka_unit_test(set_up_that_runs_out_of_files_leaves_nothing_behind),
	};
	const char *ci = getenv("CI");

	if (access(KVM_DEVICE_PATH, R_OK | W_OK) < 0 && !(ci && strcmp(ci, "true") == 0)) {
		printf("skipped: no access to " KVM_DEVICE_PATH ": %s\n", strerror(errno));
		return EXIT_SKIPPED;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
