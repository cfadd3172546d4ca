/* An interrupt line that is cut: the interrupt chips, which are not there, see it low until it is whole again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include "kvm/irq.h"

enum { VM_FD = 1234, GSI = 4 };

static unsigned calls;
static bool level;

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	const struct kvm_irq_level *arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, const struct kvm_irq_level *);
	va_end(ap);
	assert_int_equal(fd, VM_FD);
	assert_int_equal(request, KVM_IRQ_LINE);
	assert_int_equal(arg->irq, GSI);
	level = arg->level;
	calls++;
	return 0;
}

static struct kvm_irq_line irq;

static int setup(void **state)
{
	(void)state;
	kvm_irq_line_init(&irq, &(struct kvm){.fd = -1, .vm_fd = VM_FD}, GSI);
	calls = 0;
	level = false;
	return 0;
}

static void set(bool high)
{
	irq.line.set(&irq.line, high);
}

static void a_line_that_is_high_goes_low_and_comes_back(void **state)
{
	(void)state;
	set(true);
	kvm_irq_line_cut(&irq, true);
	assert_false(level);
	kvm_irq_line_cut(&irq, false);
	assert_true(level);
	assert_int_equal(calls, 3);
}

static void changes_meanwhile_are_seen_afterwards(void **state)
{
	(void)state;
	kvm_irq_line_cut(&irq, true);
	set(true);
	assert_int_equal(calls, 0);
	kvm_irq_line_cut(&irq, false);
	assert_true(level);
	kvm_irq_line_cut(&irq, true);
	set(false);
	kvm_irq_line_cut(&irq, false);
	assert_false(level);
	assert_int_equal(calls, 2);
}

static void a_line_that_stays_low_costs_no_call(void **state)
{
	(void)state;
	kvm_irq_line_cut(&irq, true);
	set(true);
	set(false);
	kvm_irq_line_cut(&irq, false);
	assert_int_equal(calls, 0);
	set(true);
	assert_true(level);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_that_is_high_goes_low_and_comes_back, setup),
		cmocka_unit_test_setup(changes_meanwhile_are_seen_afterwards, setup),
		cmocka_unit_test_setup(a_line_that_stays_low_costs_no_call, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
