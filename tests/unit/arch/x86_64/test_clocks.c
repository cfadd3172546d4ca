/*
 * Unit tests of a guest's clocks that stand still, on a KVM of the test's: time goes on by what the calls take, and one
 * of them takes long, as on a host that is busy. The TSC and kvmclock must stand still for the same time.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/x86_64/msr.h"
#include "base/macros.h"

enum {
	VM_FD = 1000,
	VCPU_FD = 2000, /* and one more per vCPU */
	CPUS = 2,
	MSR_TSC = 0x10,
	CALL_NS = 1000,
	KHZ = 2000000, /* of the TSC: 2 ticks per ns */
	WAIT_NS = 5000000,
	PAUSE_NS = 1000000000,
	SKEW_NS_MAX = 2 * CALL_NS,
};

static struct host {
	uint64_t ns;
	unsigned calls;
	unsigned slow; /* the call that waits before it works, and after; 0: none */
	uint64_t tsc_offset[CPUS];
	uint64_t clock_offset;
	bool has_offsets;
} host;

static uint64_t guest_tsc(unsigned cpu)
{
	return host.ns * 2 + host.tsc_offset[cpu];
}

static uint64_t guest_clock(void)
{
	return host.ns + host.clock_offset;
}

static int device_attr(unsigned cpu, const struct kvm_device_attr *attr, bool set)
{
	uint64_t *offset;

	if (!host.has_offsets) {
		errno = ENXIO;
		return -1;
	}
	assert_int_equal(attr->group, KVM_VCPU_TSC_CTRL);
	assert_int_equal(attr->attr, KVM_VCPU_TSC_OFFSET);
	offset = (uint64_t *)(uintptr_t)attr->addr;
	if (set)
		host.tsc_offset[cpu] = *offset;
	else
		*offset = host.tsc_offset[cpu];
	return 0;
}

/* No timer is armed, and there is no PIT. */
static int vcpu_ioctl(unsigned cpu, unsigned long request, void *arg)
{
	struct one_msr *msr = arg;

	switch (request) {
	case KVM_GET_MSRS:
		assert_int_equal(msr->entry.index, MSR_TSC);
		msr->entry.data = guest_tsc(cpu);
		return 1;
	case KVM_GET_TSC_KHZ: return KHZ;
	case KVM_GET_DEVICE_ATTR: return device_attr(cpu, arg, false);
	case KVM_SET_DEVICE_ATTR: return device_attr(cpu, arg, true);
	default: errno = EINVAL; return -1;
	}
}

static int vm_ioctl(unsigned long request, void *arg)
{
	struct kvm_clock_data *clock = arg;

	switch (request) {
	case KVM_GET_CLOCK: clock->clock = guest_clock(); return 0;
	case KVM_SET_CLOCK: host.clock_offset = clock->clock - host.ns; return 0;
	default: errno = EINVAL; return -1;
	}
}

int __wrap_ioctl(int fd, unsigned long request, void *arg);

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	const bool slow = ++host.calls == host.slow;
	int r;

	host.ns += slow ? CALL_NS + WAIT_NS : CALL_NS;
	r = fd == VM_FD ? vm_ioctl(request, arg)
			: vcpu_ioctl((unsigned)(fd - VCPU_FD), request, arg);
	if (slow)
		host.ns += WAIT_NS;
	return r;
}

/* A pause in which the call number slow takes long. Returns the number of calls. */
static unsigned pause_with(unsigned slow)
{
	static const struct kvm kvm = {.fd = -1, .vm_fd = VM_FD};
	static const int fd[CPUS] = {VCPU_FD, VCPU_FD + 1};
	struct arch_clocks *clocks = NULL;

	assert_int_equal(arch_clocks_create(&kvm, fd, CPUS, &clocks, NULL), 0);
	host.calls = 0;
	host.slow = slow;
	arch_clocks_stop(clocks);
	host.ns += PAUSE_NS;
	arch_clocks_start(clocks);
	arch_clocks_destroy(clocks);
	return host.calls;
}

static int setup(void **state)
{
	(void)state;
	host = (struct host){
		.ns = 77777, .tsc_offset = {123, 4567}, .clock_offset = 42, .has_offsets = true};
	return 0;
}

static void both_clocks_stand_still_for_the_same_time(void **state)
{
	unsigned calls = pause_with(0);

	(void)state;
	assert_true(calls > 0);
	for (unsigned slow = 1; slow <= calls; slow++) {
		const uint64_t tsc = guest_tsc(0), clock = guest_clock();
		int64_t tsc_ns, clock_ns;

		pause_with(slow);
		tsc_ns = (int64_t)(guest_tsc(0) - tsc) / 2;
		clock_ns = (int64_t)(guest_clock() - clock);
		assert_true(clock_ns >= 0 && clock_ns < PAUSE_NS / 2);
		assert_true(llabs(tsc_ns - clock_ns) <= SKEW_NS_MAX);
		assert_int_equal(guest_tsc(1) - guest_tsc(0), 4567 - 123);
	}
}

/* Before Linux 5.16. */
static void a_host_that_cannot_move_the_tsc_still_stops_kvmclock(void **state)
{
	const uint64_t clock = guest_clock();

	(void)state;
	host.has_offsets = false;
	pause_with(0);
	assert_true(guest_clock() - clock < PAUSE_NS / 2);
	assert_int_equal(host.tsc_offset[0], 123);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(both_clocks_stand_still_for_the_same_time, setup),
		cmocka_unit_test_setup(a_host_that_cannot_move_the_tsc_still_stops_kvmclock, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
