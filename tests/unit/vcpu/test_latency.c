/* Unit tests of the histograms of exits: each exit counts in one row, that of where its access begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>

#include "base/macros.h"
#include "vcpu/latency.h"

enum {
	ROW_A = VCPU_LATENCY_RANGES,
	ROW_B = ROW_A + 2,
	ROW_M = ROW_B + 2,
	ROWS = ROW_M + 2,
};

static struct vcpu_latency_range ports[] = {
	{.first = 0x10, .len = 2, .row = ROW_A, .plugged = true},
	{.first = 0x12, .len = 1, .row = ROW_B, .plugged = true},
	{.first = 0x80, .len = 0x10, .row = ROW_A, .plugged = true},
};
static struct vcpu_latency_range gpas[] = {
	{.first = UINT64_C(0xd0000000), .len = 0x1000, .row = ROW_M, .plugged = true},
};
static const struct vcpu_latency_map map = {
	.range = {[IOBUS_PIO] = ports, [IOBUS_MMIO] = gpas},
	.nr_ranges = {[IOBUS_PIO] = ARRAY_SIZE(ports), [IOBUS_MMIO] = ARRAY_SIZE(gpas)},
	.nr_rows = ROWS,
};
static struct vcpu_latency *latency;
static uint64_t counted[ROWS]; /* what was in the rows so far */

static void expect_row(unsigned wanted)
{
	for (unsigned i = 0; i < ROWS; i++) {
		const uint64_t n = histogram_summary(&latency->row[i]).count;

		assert_int_equal(n - counted[i], i == wanted);
		counted[i] = n;
	}
}

static void add_port(uint16_t port, bool out, unsigned wanted)
{
	struct kvm_run run = {
		.exit_reason = KVM_EXIT_IO,
		.io = {.port = port,
		       .direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN,
		       .size = 1,
		       .count = 1},
	};

	vcpu_latency_add(latency, &run, 0, 100);
	expect_row(wanted);
}

static void add_mmio(uint64_t gpa, bool is_write, unsigned wanted)
{
	struct kvm_run run = {
		.exit_reason = KVM_EXIT_MMIO,
		.mmio = {.phys_addr = gpa, .is_write = is_write, .len = 4},
	};

	vcpu_latency_add(latency, &run, 0, 100);
	expect_row(wanted);
}

static void an_access_counts_where_it_begins(void **state)
{
	(void)state;
	add_port(0x0f, true, VCPU_LATENCY_UNCLAIMED_PIO + 1);
	add_port(0x10, true, ROW_A + 1);
	add_port(0x11, false, ROW_A);
	add_port(0x12, false, ROW_B);
	add_port(0x13, false, VCPU_LATENCY_UNCLAIMED_PIO);
	add_port(0x8f, true, ROW_A + 1);
	add_port(0x90, true, VCPU_LATENCY_UNCLAIMED_PIO + 1);
	add_port(0xffff, false, VCPU_LATENCY_UNCLAIMED_PIO);
	add_mmio(UINT64_C(0xd0000000), false, ROW_M);
	add_mmio(UINT64_C(0xd0000fff), true, ROW_M + 1);
	add_mmio(UINT64_C(0xd0001000), true, VCPU_LATENCY_UNCLAIMED_MMIO + 1);
	add_mmio(0x10, false, VCPU_LATENCY_UNCLAIMED_MMIO);
	add_mmio(UINT64_MAX, false, VCPU_LATENCY_UNCLAIMED_MMIO);
}

static void an_unplugged_range_is_unclaimed(void **state)
{
	(void)state;
	atomic_store(&ports[1].plugged, false);
	atomic_store(&gpas[0].plugged, false);
	add_port(0x11, false, ROW_A);
	add_port(0x12, false, VCPU_LATENCY_UNCLAIMED_PIO);
	add_mmio(UINT64_C(0xd0000000), true, VCPU_LATENCY_UNCLAIMED_MMIO + 1);
	atomic_store(&ports[1].plugged, true);
	atomic_store(&gpas[0].plugged, true);
	add_port(0x12, false, ROW_B);
	add_mmio(UINT64_C(0xd0000000), true, ROW_M + 1);
}

static bool has_row(uint32_t reason)
{
	for (unsigned i = 0; i < VCPU_LATENCY_REASONS; i++)
		if (vcpu_latency_reason(i) == reason)
			return true;
	return false;
}

static void other_reasons_have_rows_of_their_own(void **state)
{
	struct kvm_run run = {0};

	(void)state;
	for (unsigned i = 0; i < VCPU_LATENCY_REASONS; i++) {
		run.exit_reason = vcpu_latency_reason(i);
		vcpu_latency_add(latency, &run, 0, 1);
		expect_row(i);
	}
	assert_int_equal(vcpu_latency_reason(0), KVM_EXIT_INTR);
	assert_true(has_row(KVM_EXIT_SHUTDOWN)); /* with --reboot the guest runs again */
	assert_true(has_row(KVM_EXIT_SYSTEM_EVENT));
	run.exit_reason = KVM_EXIT_IO; /* that of before, as KVM_RUN was interrupted */
	vcpu_latency_add(latency, &run, -EINTR, 1);
	expect_row(0);
	run.exit_reason = KVM_EXIT_FAIL_ENTRY; /* no guest runs after that */
	vcpu_latency_add(latency, &run, 0, 1);
	expect_row(ROWS);
}

static void a_machine_without_ranges_has_rows(void **state)
{
	static const struct vcpu_latency_map bare = {.nr_rows = VCPU_LATENCY_RANGES};
	struct vcpu_latency *other = vcpu_latency_create(&bare);
	struct kvm_run run = {.exit_reason = KVM_EXIT_MMIO, .mmio = {.phys_addr = 4}};

	(void)state;
	assert_non_null(other);
	vcpu_latency_add(other, &run, 0, -5); /* a clock that goes back */
	assert_int_equal(histogram_summary(&other->row[VCPU_LATENCY_UNCLAIMED_MMIO]).count, 1);
	assert_int_equal(histogram_summary(&other->row[VCPU_LATENCY_UNCLAIMED_MMIO]).max, 0);
	free(other);
}

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ROWS; i++)
		counted[i] = 0;
	latency = vcpu_latency_create(&map);
	return latency ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(latency);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_access_counts_where_it_begins, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unplugged_range_is_unclaimed, setup, teardown),
		cmocka_unit_test_setup_teardown(other_reasons_have_rows_of_their_own, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_machine_without_ranges_has_rows, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
