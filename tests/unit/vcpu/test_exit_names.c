/* Unit test of vcpu_exit_name(): reports and statistics call each exit as <linux/kvm.h> does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include "base/macros.h"
#include "vcpu.h"

#define EXIT(name)                                                                                 \
	{                                                                                          \
		KVM_EXIT_##name, #name                                                             \
	}

/* Those that an x86 guest can cause on a host of today, and the ones of every architecture. */
static const struct {
	uint32_t reason;
	const char *name;
} exits[] = {
	EXIT(UNKNOWN),
	EXIT(EXCEPTION),
	EXIT(IO),
	EXIT(HYPERCALL),
	EXIT(DEBUG),
	EXIT(HLT),
	EXIT(MMIO),
	EXIT(IRQ_WINDOW_OPEN),
	EXIT(SHUTDOWN),
	EXIT(FAIL_ENTRY),
	EXIT(INTR),
	EXIT(SET_TPR),
	EXIT(TPR_ACCESS),
	EXIT(NMI),
	EXIT(INTERNAL_ERROR),
	EXIT(SYSTEM_EVENT),
	EXIT(IOAPIC_EOI),
	EXIT(HYPERV),
	EXIT(X86_RDMSR),
	EXIT(X86_WRMSR),
	EXIT(DIRTY_RING_FULL),
	EXIT(X86_BUS_LOCK),
	EXIT(XEN),
};

static void an_exit_has_the_name_of_its_constant(void **state)
{
	char buf[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(exits); i++)
		assert_string_equal(vcpu_exit_name(exits[i].reason, buf), exits[i].name);
}

static void one_without_a_name_has_its_number(void **state)
{
	char buf[16];

	(void)state;
	assert_string_equal(vcpu_exit_name(KVM_EXIT_S390_SIEIC, buf), "exit 13");
	assert_string_equal(vcpu_exit_name(UINT32_MAX, buf), "exit 4294967295");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exit_has_the_name_of_its_constant),
		cmocka_unit_test(one_without_a_name_has_its_number),
	};

	return cmocka_run_group_tests_name("exit_names", tests, NULL, NULL);
}
