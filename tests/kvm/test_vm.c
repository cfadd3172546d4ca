/*
 * VMs by way of vm.h, on the real KVM: what cannot be seen from outside the process. That one leaves
 * nothing, wherever its set-up stops; sockets as standard input and output; more CPUs than the
 * host takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "config/builtin.h"
#include "diag_rig.h"
#include "vm/vcpu_files.h"
#include "vm_rig.h"

enum { EDGES = 1000 };

/* VMs one after the other: VM_RUNS of the environment, as in vm-long. */
static unsigned runs = 50;

/* A kernel that ends by itself after a few exits. */
static struct vm_opts short_run(void)
{
	return (struct vm_opts){
		.machine = {.mem_bytes = MACHINE_MEM_MIN,
			    .cpus = 2,
			    .cmdline = "port=0xa00 count=10"},
		.kernel = builtin_hammer(),
	};
}

static struct vm_end run_once(const struct vm_opts *opts)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct diag diag = {0};
	struct vm_end end = {0};

	assert_non_null(vm);
	if (vm_init(vm, opts, &diag) < 0 || vm_run(vm, &end, &diag) < 0)
		fail_msg("%s", diag.what);
	vm_fini(vm);
	free(vm);
	return end;
}

static void one_vm_after_another_leaves_nothing_behind(void **state)
{
	const struct vm_opts opts = short_run();
	struct vm_rig_usage before;

	(void)state;
	for (unsigned i = 0; i < VM_RIG_WARM_UP_RUNS; i++)
		vm_rig_assert_success(run_once(&opts));
	before = vm_rig_usage_now();
	for (unsigned i = 0; i < runs; i++)
		vm_rig_assert_success(run_once(&opts));
	vm_rig_assert_usage(&before);
}

static void set_up_that_runs_out_of_files_leaves_nothing_behind(void **state)
{
	struct vm_opts opts = short_run();

	(void)state;
	opts.input = opts.to_stdout = true;
	/* KVM, VM, memory, two vCPUs, loop, signals, timers */
	assert_true(vm_rig_run_out_of_files(&opts) > 8);
}

static void set_up_with_a_bad_kernel_leaves_nothing_behind(void **state)
{
	struct vm_opts opts = short_run();
	struct vm_rig_usage before;

	(void)state;
	opts.kernel.len = 200; /* its program headers only */
	assert_true(vm_rig_set_up_once(&opts, NULL) < 0);
	before = vm_rig_usage_now();
	for (unsigned i = 0; i < runs; i++)
		assert_true(vm_rig_set_up_once(&opts, NULL) < 0);
	vm_rig_assert_usage(&before);
}

static void more_cpus_than_the_host_takes_are_refused(void **state)
{
	struct diag diag = {0};
	struct kvm kvm;
	int max;

	(void)state;
	assert_int_equal(kvm_open(&kvm, &diag), 0);
	max = kvm_cap(&kvm, KVM_CAP_MAX_VCPUS);
	assert_int_equal(arch_host_check(&kvm, (unsigned)max, &diag), 0);
	assert_int_equal(arch_host_check(&kvm, (unsigned)max + 1, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "cpus-of-host");
	assert_remedy(&diag, "");
	kvm_close(&kvm);
}

/* Standard input and output while a VM has a socket in their place. */
struct stdio_swap {
	int in, out, peer;
};

static void stdio_take_socket(struct stdio_swap *swap)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fflush(stdout);
	swap->in = dup(STDIN_FILENO);
	swap->out = dup(STDOUT_FILENO);
	swap->peer = pair[0];
	assert_int_equal(dup2(pair[1], STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(dup2(pair[1], STDOUT_FILENO), STDOUT_FILENO);
	close(pair[1]);
}

static void stdio_give_back(const struct stdio_swap *swap)
{
	dup2(swap->in, STDIN_FILENO);
	dup2(swap->out, STDOUT_FILENO);
	close(swap->in);
	close(swap->out);
	close(swap->peer);
}

/*
 * Real mode: until the receiver has the byte, read LSR; send it again, but after 'Q' exit with 0.
 * "again" is at 0x7c00.
 */
static const uint8_t echo_code[] = {
	0xba, 0xfd, 0x03, /* again: mov dx, 0x3fd */
	0xec,             /* in al, dx */
	0xa8, 0x01,       /* test al, 1 */
	0x74, 0xfb,       /* jz -5 */
	0xba, 0xf8, 0x03, /* mov dx, 0x3f8 */
	0xec,             /* in al, dx */
	0xee,             /* out dx, al */
	0x3c, 'Q',        /* cmp al, 'Q' */
	0x75, 0xef,       /* jne again */
	0xb0, 0x00,       /* mov al, 0 */
	0xe6, 0xf4,       /* out 0xf4, al */
	0xf4,             /* hlt */
};

/* Sends forever. */
static const uint8_t chatter_code[] = {
	0xba, 0xf8, 0x03, /* mov dx, 0x3f8 */
	0xee,             /* again: out dx, al */
	0xeb, 0xfd,       /* jmp again */
};

/* The event thread, in a write that blocks, would not see the timeout. */
static void a_socket_that_nobody_reads_holds_up_no_end(void **state)
{
	const struct vm_opts opts = {
		.machine = {.mem_bytes = MACHINE_MEM_MIN, .cpus = 1},
		.boot = {.mode = BOOT_MODE_FLAT_REAL, .flat_gpa = 0x7c00},
		.kernel = {.name = "chatter", .data = chatter_code, .len = sizeof(chatter_code)},
		.input = true,
		.to_stdout = true,
		.deadline_ns =
			clock_monotonic_ns() + 8 * NS_PER_S, /* the socket is full well before */
	};
	struct stdio_swap swap;
	struct vm_end end;

	(void)state;
	stdio_take_socket(&swap);
	alarm(VM_RIG_HANG_S);
	end = run_once(&opts);
	alarm(0);
	stdio_give_back(&swap);
	assert_int_equal(end.kind, VM_END_TIMEOUT);
}

static void a_socket_serves_as_standard_input_and_output(void **state)
{
	static const char said[] = "over a socket and back, Q";
	struct vm_opts opts = {
		.machine = {.mem_bytes = MACHINE_MEM_MIN, .cpus = 1},
		.boot = {.mode = BOOT_MODE_FLAT_REAL, .flat_gpa = 0x7c00},
		.kernel = {.name = "echo", .data = echo_code, .len = sizeof(echo_code)},
		.input = true,
		.to_stdout = true,
	};
	struct stdio_swap swap;
	char heard[sizeof(said)] = "";
	size_t n = 0;
	ssize_t got;
	int flags;

	(void)state;
	stdio_take_socket(&swap);
	assert_int_equal(write(swap.peer, said, sizeof(said) - 1), sizeof(said) - 1);
	vm_rig_assert_success(run_once(&opts));
	flags = fcntl(STDOUT_FILENO, F_GETFL);
	shutdown(STDOUT_FILENO, SHUT_WR);
	while (n < sizeof(heard) - 1 &&
	       (got = read(swap.peer, heard + n, sizeof(heard) - 1 - n)) > 0)
		n += (size_t)got;
	stdio_give_back(&swap);
	assert_string_equal(heard, said);
	assert_false(flags & O_NONBLOCK);
}

static struct kvm_pit_state2 pit_of(const struct vm *vm)
{
	struct kvm_pit_state2 pit;

	assert_int_equal(ioctl(vm->kvm.vm_fd, KVM_GET_PIT2, &pit), 0);
	return pit;
}

/* Mode and count as they are while the clocks stand still. */
static struct kvm_pit_state2 stopped_pit(struct vm *vm, unsigned mode, unsigned count)
{
	struct kvm_pit_state2 pit = pit_of(vm), stopped;

	pit.channels[0].mode = (uint8_t)mode;
	pit.channels[0].count = count;
	pit.channels[2].mode = 0;
	pit.channels[2].count = 50000; /* 42 ms */
	assert_int_equal(ioctl(vm->kvm.vm_fd, KVM_SET_PIT2, &pit), 0);
	usleep(1000);
	arch_clocks_stop(vm->pause.clocks);
	stopped = pit_of(vm);
	arch_clocks_start(vm->pause.clocks);
	return stopped;
}

/* Of a guest, ticks that come while it is paused look the same as those that it took late. */
static void the_pits_period_stands_still_and_its_one_shot_does_not_begin_anew(void **state)
{
	const struct vm_opts opts = short_run();
	struct vm *vm = calloc(1, sizeof(*vm));
	struct kvm_pit_state2 pit;
	struct diag diag = {0};

	(void)state;
	assert_non_null(vm);
	assert_int_equal(vm_init(vm, &opts, &diag), 0);
	for (unsigned mode = 2; mode <= 3; mode++) {
		assert_int_equal(stopped_pit(vm, mode, 11932).channels[0].mode,
				 5); /* runs no timer */
		pit = pit_of(vm);
		assert_int_equal(pit.channels[0].mode, mode);
		assert_int_equal(pit.channels[0].count, 11932);
		assert_true(pit.channels[2].count > 0 && pit.channels[2].count <= 50000 - 1193);
	}
	pit = stopped_pit(vm, 0, 11932);
	assert_int_equal(pit.channels[0].mode, 0);
	assert_int_equal(pit.channels[0].count, 11932);
	assert_int_equal(pit.channels[2].count, 50000);
	vm_fini(vm);
	free(vm);
}

/* Real mode: resets the machine by register 0xcf9. */
static const uint8_t reset_code[] = {
	0xba, 0xf9, 0x0c, /* mov dx, 0xcf9 */
	0xb0, 0x06,       /* mov al, 6 */
	0xee,             /* out dx, al */
	0xf4,             /* hlt */
};

static struct vm_opts reset_run(void)
{
	return (struct vm_opts){
		.machine = {.mem_bytes = MACHINE_MEM_MIN, .cpus = 1},
		.boot = {.mode = BOOT_MODE_FLAT_REAL, .flat_gpa = 0x7c00},
		.kernel = {.name = "reset", .data = reset_code, .len = sizeof(reset_code)},
		.reboots = true,
		.keeps_start = true,
		.deadline_ns = clock_monotonic_ns() + VM_RIG_HANG_S * NS_PER_S,
	};
}

static bool timeout_runs(const struct vm *vm)
{
	return event_timer_left_ns(&vm->timeout) > 0;
}

/* In the place of gdb: called during a reset, which has paused the VM. */
static void watch_timeout(void *arg)
{
	struct vm *vm = arg;

	assert_int_equal(vm->pause.by, VM_PAUSED_BY_RESET);
	assert_true(timeout_runs(vm));
	assert_int_equal(vm_pause(vm, VM_PAUSED_BY_USER, NULL), 0);
	assert_false(timeout_runs(vm));
	assert_int_equal(vm_resume(vm, VM_PAUSED_BY_USER, NULL), 0);
	assert_true(timeout_runs(vm));
	vm_end(vm, (struct vm_end){.kind = VM_END_KILLED, .by = "the test"});
}

static void a_timeout_goes_on_during_a_reset(void **state)
{
	const struct vm_opts opts = reset_run();
	struct vm *vm = calloc(1, sizeof(*vm));
	struct vm_end end = {0};

	(void)state;
	assert_non_null(vm);
	assert_int_equal(vm_init(vm, &opts, NULL), 0);
	vm->debugger.reset = watch_timeout;
	vm->debugger.arg = vm;
	assert_int_equal(vm_run(vm, &end, NULL), 0);
	assert_int_equal(end.kind, VM_END_KILLED);
	vm_fini(vm);
	free(vm);
}

/* Instead of a page of the host's that cannot be had: each use of it is a SIGBUS. */
static void lose_last_page(const struct vm *vm)
{
	const int fd = memfd_create("empty", MFD_CLOEXEC);
	char *page = (char *)vm->mem.base + vm->mem.bytes - GUEST_PAGE_BYTES;

	assert_true(fd >= 0);
	assert_ptr_equal(mmap(page, GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_FIXED, fd, 0),
			 page);
	close(fd);
}

static void a_reset_that_the_host_has_no_memory_for_is_an_end_with_a_reason(void **state)
{
	struct vm_opts opts = reset_run();
	struct vm *vm = calloc(1, sizeof(*vm));
	struct vm_end end = {0};

	(void)state;
	assert_non_null(vm);
	opts.mem.prealloc = true;
	assert_int_equal(vm_init(vm, &opts, NULL), 0);
	lose_last_page(vm);
	assert_int_equal(vm_run(vm, &end, NULL), 0);
	assert_int_equal(end.kind, VM_END_RESET);
	assert_int_equal(vm->reset.count, 0);
	assert_diag(&vm->reset.failure, -EFAULT, "reset-memory-clear");
	vm_fini(vm);
	free(vm);
}

static int64_t later_s; /* how far CLOCK_MONOTONIC is ahead of the host's */

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	const int r = __real_clock_gettime(clock, ts);

	if (r == 0 && clock == CLOCK_MONOTONIC)
		ts->tv_sec += later_s;
	return r;
}

/* KVM takes the creation of a VM for the start of channels 1 and 2. */
static void a_one_shot_of_the_pit_that_began_months_ago_has_expired(void **state)
{
	const struct vm_opts opts = short_run();
	struct vm *vm = calloc(1, sizeof(*vm));

	(void)state;
	assert_non_null(vm);
	assert_int_equal(vm_init(vm, &opts, NULL), 0);
	later_s = INT64_C(120) * 24 * 60 * 60;
	stopped_pit(vm, 2, 11932);
	later_s = 0;
	assert_int_equal(pit_of(vm).channels[2].count, 1);
	vm_fini(vm);
	free(vm);
}

enum { IRQ_GSI = 5, IRQ_VECTOR = 0x50, IRR = 0x200, SVR = 0xf0 };

static void irq_goes_to_the_first_vcpu(const struct vm *vm, int vcpu_fd)
{
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};
	struct kvm_lapic_state lapic;

	assert_int_equal(ioctl(vm->kvm.vm_fd, KVM_GET_IRQCHIP, &chip), 0);
	chip.chip.ioapic.redirtbl[IRQ_GSI].bits = IRQ_VECTOR;
	assert_int_equal(ioctl(vm->kvm.vm_fd, KVM_SET_IRQCHIP, &chip), 0);
	assert_int_equal(ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[SVR + 1] |= 1; /* software enable */
	assert_int_equal(ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic), 0);
}

/* Takes it, as a guest that ran would. */
static bool irq_has_come(int vcpu_fd)
{
	struct kvm_lapic_state lapic;
	char *irr = &lapic.regs[IRR + IRQ_VECTOR / 32 * 16 + IRQ_VECTOR % 32 / 8];
	bool came;

	assert_int_equal(ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic), 0);
	came = *irr & 1 << IRQ_VECTOR % 8;
	*irr = 0;
	assert_int_equal(ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic), 0);
	return came;
}

/* A pause sets the local APICs' registers anew: an edge that KVM delivers meanwhile would be lost. */
static void an_irqfds_edge_has_come_when_it_was_flushed(void **state)
{
	const struct vm_opts opts = short_run();
	struct vm *vm = calloc(1, sizeof(*vm));
	struct irq_eventfd irq = {0};
	unsigned came = 0;
	int *fd;

	(void)state;
	assert_non_null(vm);
	assert_int_equal(vm_init(vm, &opts, NULL), 0);
	fd = vm_vcpu_fds(vm);
	assert_non_null(fd);
	irq_goes_to_the_first_vcpu(vm, fd[0]);
	assert_int_equal(irq_eventfd_init(&irq, &vm->kvm, IRQ_GSI, NULL), 0);
	for (unsigned i = 0; i < EDGES; i++) {
		irq.by_ioctl.line.pulse(&irq.by_ioctl.line);
		irq_eventfd_flush(&irq);
		came += irq_has_come(fd[0]);
	}
	assert_int_equal(came, EDGES);
	irq_eventfd_fini(&irq);
	free(fd);
	vm_fini(vm);
	free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_vm_after_another_leaves_nothing_behind),
		cmocka_unit_test(set_up_that_runs_out_of_files_leaves_nothing_behind),
		cmocka_unit_test(set_up_with_a_bad_kernel_leaves_nothing_behind),
		cmocka_unit_test(more_cpus_than_the_host_takes_are_refused),
		cmocka_unit_test(a_socket_serves_as_standard_input_and_output),
		cmocka_unit_test(a_socket_that_nobody_reads_holds_up_no_end),
		cmocka_unit_test(the_pits_period_stands_still_and_its_one_shot_does_not_begin_anew),
		cmocka_unit_test(a_one_shot_of_the_pit_that_began_months_ago_has_expired),
		cmocka_unit_test(an_irqfds_edge_has_come_when_it_was_flushed),
		cmocka_unit_test(a_timeout_goes_on_during_a_reset),
		cmocka_unit_test(a_reset_that_the_host_has_no_memory_for_is_an_end_with_a_reason),
	};

	if (!vm_rig_has_kvm())
		return VM_RIG_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
