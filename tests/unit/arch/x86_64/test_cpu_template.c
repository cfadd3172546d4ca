/* Unit tests of the CPUID templates: pure functions on a table as KVM gives it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include "arch/x86_64/cpu_template.h"

static struct kvm_cpuid2 *cpuid;

/* Every leaf with every bit set, as no host has it. */
static int setup(void **state)
{
	static const uint32_t leaf[] = {0x0,        0x1,        0x4,        0x7,        0xa,
					0xb,        0xd,        0x14,       0x40000000, 0x40000001,
					0x80000000, 0x80000001, 0x80000008, 0x8000001e};
	const size_t n = sizeof(leaf) / sizeof(leaf[0]);

	(void)state;
	cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -1;
	cpuid->nent = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		cpuid->entries[i] = (struct kvm_cpuid_entry2){
			.function = leaf[i], .eax = ~0U, .ebx = ~0U, .ecx = ~0U, .edx = ~0U};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(cpuid);
	return 0;
}

static const struct kvm_cpuid_entry2 *leaf_of(uint32_t function)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function)
			return &cpuid->entries[i];
	return NULL;
}

static void host_takes_nothing_away(void **state)
{
	(void)state;
	cpu_template_apply(ARCH_CPU_HOST, cpuid);
	assert_int_equal(cpuid->nent, 14);
	for (uint32_t i = 0; i < cpuid->nent; i++)
		assert_int_equal(cpuid->entries[i].ecx, ~0U);
}

static void baseline_keeps_x86_64_v1(void **state)
{
	(void)state;
	cpu_template_apply(ARCH_CPU_BASELINE, cpuid);
	assert_int_equal(leaf_of(1)->edx, 0x178bfbff);
	assert_int_equal(leaf_of(1)->ecx, 1U << 21 | 1U << 24 | 1U << 31);
	assert_int_equal(leaf_of(0x80000001)->edx, 1 << 11 | 1 << 20 | 1 << 29);
	assert_int_equal(leaf_of(7)->ebx, 0);
	assert_int_equal(leaf_of(0xa)->eax, 0);
	assert_int_equal(leaf_of(0x80000008)->eax, ~0U);
	assert_int_equal(leaf_of(0x80000008)->ebx, 0);
}

static void baseline_ends_the_leaves(void **state)
{
	(void)state;
	cpu_template_apply(ARCH_CPU_BASELINE, cpuid);
	assert_int_equal(leaf_of(0)->eax, 0xb);
	assert_int_equal(leaf_of(0x80000000)->eax, 0x80000008);
	assert_null(leaf_of(0xd));
	assert_null(leaf_of(0x14));
	assert_null(leaf_of(0x8000001e));
	assert_int_equal(cpuid->nent, 11);
}

static void kvms_own_leaves_and_topology_stay(void **state)
{
	(void)state;
	cpu_template_apply(ARCH_CPU_BASELINE, cpuid);
	assert_int_equal(leaf_of(0x40000001)->eax, ~0U);
	assert_int_equal(leaf_of(0xb)->edx, ~0U);
	assert_int_equal(leaf_of(4)->eax, ~0U);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(host_takes_nothing_away),
		TEST(baseline_keeps_x86_64_v1),
		TEST(baseline_ends_the_leaves),
		TEST(kvms_own_leaves_and_topology_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
