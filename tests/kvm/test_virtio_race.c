/*
 * Doorbells that come and go while a guest rings them: KVM's ioeventfds are removed and made again all
 * the time, so a write is now KVM's to answer and now an exit. The guest's own tests, resets and broken
 * rings among them, must not notice. And VMs with virtio devices leave nothing.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/virtio_mmio.h>

#include "base/file.h"
#include "diag_rig.h"
#include "virtio/classes.h"
#include "virtio/mmio.h"
#include "vm_rig.h"

enum { DEVICES = 3, RUNS = 20 };

static const struct virtio_conf conf = {.cls = &virtio_rng_class, .name = "rng"};
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
		.deadline_ns = clock_monotonic_ns() + VM_RIG_HANG_S * NS_PER_S,
		.to_stdout = true, /* what failed is seen */
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
	vm_rig_assert_success(end);
}

static void doorbells_come_and_go_while_they_are_rung(void **state)
{
	(void)state;
	changes = 0;
	do /* until the other thread has run alongside a VM */
		run_vm("requests=2000", true);
	while (changes <= 1);
}

static void vms_leave_nothing_behind(void **state)
{
	struct vm_rig_usage before;

	(void)state;
	for (unsigned i = 0; i < VM_RIG_WARM_UP_RUNS; i++)
		run_vm("requests=4", false);
	before = vm_rig_usage_now();
	for (unsigned i = 0; i < RUNS; i++)
		run_vm("requests=4", false);
	vm_rig_assert_usage(&before);
}

static void set_up_that_runs_out_of_files_leaves_nothing_behind(void **state)
{
	const struct vm_opts vm_opts = opts("");

	(void)state;
	/* Of each device: epoll, its wake-up, interrupt, timer and a doorbell; acknowledgements can do without. */
	assert_true(vm_rig_run_out_of_files(&vm_opts) > 5 * DEVICES);
}

/* Threads that can still start; the next one after them fails. */
static unsigned threads_left = UINT_MAX;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg)
{
	if (threads_left-- == 0)
		return EAGAIN;
	return __real_pthread_create(thread, attr, start, arg);
}

/* The hammer waits for the VM's end alongside it, and learns of it. */
static void a_vm_that_lacks_a_thread_has_ended(void **state)
{
	struct vm_opts vm_opts = opts("");
	struct vm_rig_usage before;
	struct vm_end end = {0};
	struct diag diag = {0};

	(void)state;
	before = vm_rig_usage_now();
	vm = calloc(1, sizeof(*vm));
	assert_non_null(vm);
	assert_int_equal(vm_init(vm, &vm_opts, &diag), 0);
	threads_left = DEVICES - 1;
	assert_int_equal(vm_run(vm, &end, &diag), -EAGAIN);
	threads_left = UINT_MAX;
	assert_diag(&diag, -EAGAIN, "io-thread-start 'rng2'");
	assert_true(atomic_load(&vm->vcpu[0].stop));
	assert_true(vm_fini(vm));
	free(vm);
	vm_rig_assert_usage(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doorbells_come_and_go_while_they_are_rung),
		cmocka_unit_test(vms_leave_nothing_behind),
		cmocka_unit_test(a_vm_that_lacks_a_thread_has_ended),
		cmocka_unit_test(set_up_that_runs_out_of_files_leaves_nothing_behind),
	};

	if (!vm_rig_has_kvm())
		return VM_RIG_SKIPPED;
	return cmocka_run_group_tests(tests, setup, teardown);
}
