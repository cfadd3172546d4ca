/* Requests to KVM for break- and watchpoints, and the meaning of its exits; values from SDM volume 3, 18.2. */
#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"

int __wrap_ioctl(int fd, unsigned long request, ...);

static struct kvm_guest_debug set;
static unsigned calls;
static bool knows_blockirq;

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;

	(void)fd;
	assert_int_equal(request, KVM_SET_GUEST_DEBUG);
	va_start(ap, request);
	set = *va_arg(ap, struct kvm_guest_debug *);
	va_end(ap);
	calls++;
	if (!(set.control & KVM_GUESTDBG_BLOCKIRQ) || knows_blockirq)
		return 0;
	errno = EINVAL;
	return -1;
}

static void tell(const struct arch_debug *debug)
{
	calls = 0;
	assert_int_equal(arch_vcpu_debug(7, debug), 0);
}

static void nothing_costs_nothing(void **state)
{
	const struct arch_debug none = {0};

	(void)state;
	tell(&none);
	assert_int_equal(set.control, 0);
}

static void breakpoints_and_steps(void **state)
{
	const struct arch_debug breakpoints = {.breakpoints = true}, step = {.step = true},
				own = {.is_guests = true};

	(void)state;
	tell(&breakpoints);
	assert_int_equal(set.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	tell(&own);
	assert_int_equal(set.control,
			 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP);
	knows_blockirq = true;
	tell(&step);
	assert_int_equal(set.control,
			 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ);
	assert_int_equal(calls, 1);
	knows_blockirq = false; /* Linux before 5.16 */
	tell(&step);
	assert_int_equal(set.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	assert_int_equal(calls, 2);
}

/* LEN: 00 one byte, 01 two, 11 four, 10 eight; R/W: 00 execution, 01 writes, 11 reads and writes. */
static void points_in_dr7(void **state)
{
	static const struct {
		enum arch_debug_kind kind;
		uint8_t len;
		unsigned bits;
	} cases[] = {
		{ARCH_DEBUG_BREAK, 1, 0x0},  {ARCH_DEBUG_WRITE, 1, 0x1},
		{ARCH_DEBUG_WRITE, 2, 0x5},  {ARCH_DEBUG_WRITE, 4, 0xd},
		{ARCH_DEBUG_WRITE, 8, 0x9},  {ARCH_DEBUG_ACCESS, 1, 0x3},
		{ARCH_DEBUG_ACCESS, 2, 0x7}, {ARCH_DEBUG_ACCESS, 4, 0xf},
		{ARCH_DEBUG_ACCESS, 8, 0xb},
	};

	(void)state;
	for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		for (unsigned i = 0; i < ARCH_DEBUG_POINTS; i++) {
			struct arch_debug debug = {0};

			debug.point[i] = (struct arch_debug_point){
				.kind = cases[c].kind, .addr = 0x1000, .len = cases[c].len};
			tell(&debug);
			assert_int_equal(set.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP);
			assert_int_equal(set.arch.debugreg[i], 0x1000);
			assert_int_equal(set.arch.debugreg[7],
					 0x700 | 2U << (2 * i) |
						 (uint64_t)cases[c].bits << (16 + 4 * i));
		}
	}
}

static struct arch_debug_exit exit_of(uint32_t exception, uint64_t dr6)
{
	struct kvm_run run;

	memset(&run, 0, sizeof(run));
	run.debug.arch =
		(struct kvm_debug_exit_arch){.exception = exception, .pc = 0x1234, .dr6 = dr6};
	return arch_debug_exit_of(&run);
}

static void why_it_stopped(void **state)
{
	struct arch_debug_exit e;

	(void)state;
	e = exit_of(3, 0xffff0ff0);
	assert_true(e.is_breakpoint && !e.is_step && e.point == -1 && e.linear == 0x1234);
	e = exit_of(1, 0xffff4ff0);
	assert_true(!e.is_breakpoint && e.is_step && e.point == -1);
	for (int i = 0; i < ARCH_DEBUG_POINTS; i++) {
		e = exit_of(1, 0xffff0ff0 | UINT64_C(1) << i);
		assert_true(!e.is_breakpoint && !e.is_step && e.point == i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_costs_nothing),
		cmocka_unit_test(breakpoints_and_steps),
		cmocka_unit_test(points_in_dr7),
		cmocka_unit_test(why_it_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
