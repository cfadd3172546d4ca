/*
 * Differential test of the way of a port access in vcpu.c, which has the bus's last hit inline: the same exits go
 * through it and, on another bus with the same ranges, through the bus's general functions. Devices see the same
 * operations, the guest gets the same bytes, and the counts and the report agree. The seed is fixed.
 */
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "device.h"
#include "iobus.h"
#include "random.h"
#include "vcpu.h"

enum {
	PAGE_BYTES = 4096,
	RUN_BYTES = 8192, /* struct kvm_run, and a page with data */
	EXITS = 200000,
	CHANGE_EVERY = 1000, /* exits from one change of the ranges to the next */
	COUNT_MAX = 3,
	OPS_MAX = 32,
	PORTS = 64, /* the ranges are below, with gaps */
};

struct op {
	uint64_t off, val;
	unsigned size, range;
	bool is_write;
};

/* One side: a bus, and what its devices saw of the last exit. */
struct side {
	struct iobus *bus;
	struct device dev;
	struct op op[OPS_MAX];
	unsigned nr_ops;
	uint64_t answers; /* the state of what reads get */
};

struct rig {
	struct side fast, general;
	struct vcpu vcpu;
	struct iobus_reader *reader; /* of general */
	uint8_t general_data[PAGE_BYTES];
};

static void side_note(struct side *side, struct io_at at, uint64_t val, bool is_write)
{
	assert_true(side->nr_ops < OPS_MAX);
	side->op[side->nr_ops++] = (struct op){at.off, val, at.size, at.range, is_write};
}

static uint64_t side_read(struct device *dev, struct io_at at)
{
	struct side *side = container_of(dev, struct side, dev);
	uint64_t val = random_next(&side->answers); /* with bits above the size */

	side_note(side, at, val, false);
	return val;
}

static void side_write(struct device *dev, struct io_at at, uint64_t val)
{
	side_note(container_of(dev, struct side, dev), at, val, true);
}

static const struct device_class side_class = {
	.name = "noted",
	.state_size = sizeof(struct device),
	.self_locked = true,
	.read = side_read,
	.write = side_write,
};

static const struct {
	uint64_t first, len;
} ranges[] = {{0, 3}, {5, 1}, {6, 8}, {20, 2}, {24, 4}, {40, 16}};

static void side_init(struct side *side)
{
	side->dev.cls = &side_class;
	assert_int_equal(iobus_create(IOBUS_PIO, &side->bus), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		const struct iobus_range range = {ranges[i].first, ranges[i].len, &side->dev,
						  "noted", (uint8_t)i};

		assert_int_equal(iobus_add(side->bus, &range, NULL), 0);
	}
}

/* A range goes, or comes back: the last hit is that of an older snapshot. */
static void side_change(struct side *side, unsigned i, bool add)
{
	const struct iobus_range range = {ranges[i].first, ranges[i].len, &side->dev, "noted",
					  (uint8_t)i};

	assert_int_equal(add ? iobus_add(side->bus, &range, NULL)
			     : iobus_remove(side->bus, ranges[i].first, NULL),
			 0);
}

static int set_up(void **state)
{
	struct rig *rig = aligned_alloc(_Alignof(struct rig), sizeof(*rig));
	void *pages = aligned_alloc(PAGE_BYTES, RUN_BYTES);

	assert_non_null(rig);
	assert_non_null(pages);
	memset(rig, 0, sizeof(*rig));
	memset(pages, 0, RUN_BYTES);
	side_init(&rig->fast);
	side_init(&rig->general);
	rig->vcpu.run = pages;
	vcpu_set_coalesced(&rig->vcpu, NULL);
	assert_int_equal(iobus_reader_create(rig->fast.bus, &rig->vcpu.pio), 0);
	assert_int_equal(iobus_reader_create(rig->general.bus, &rig->reader), 0);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	iobus_reader_destroy(rig->reader);
	iobus_reader_destroy(rig->vcpu.pio);
	iobus_destroy(rig->fast.bus);
	iobus_destroy(rig->general.bus);
	free(rig->vcpu.run);
	free(rig);
	return 0;
}

/* Often the port before, as guests do. */
static void random_exit(struct kvm_run *run, uint64_t *seed)
{
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = (uint8_t)(random_next(seed) % 2 ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN);
	run->io.size = (uint8_t)(1U << random_next(seed) % 3);
	run->io.count = random_next(seed) % 4 ? 1 : (uint32_t)(1 + random_next(seed) % COUNT_MAX);
	run->io.data_offset = PAGE_BYTES;
	if (random_next(seed) % 4 == 0)
		run->io.port =
			(uint16_t)(random_next(seed) % 8 ? random_next(seed) % PORTS
							 : UINT16_MAX - random_next(seed) % 4);
	for (unsigned i = 0; i < COUNT_MAX * 4; i++)
		((uint8_t *)run)[PAGE_BYTES + i] = (uint8_t)random_next(seed);
}

static void general_dispatch(struct rig *rig)
{
	const struct kvm_run *run = rig->vcpu.run;

	if (run->io.direction == KVM_EXIT_IO_OUT)
		iobus_write_string(rig->reader, run->io.port, run->io.size, run->io.count,
				   rig->general_data);
	else
		iobus_read_string(rig->reader, run->io.port, run->io.size, run->io.count,
				  rig->general_data);
}

static void assert_same_ops(const struct side *a, const struct side *b)
{
	assert_int_equal(a->nr_ops, b->nr_ops);
	for (unsigned i = 0; i < a->nr_ops; i++) {
		assert_int_equal(a->op[i].off, b->op[i].off);
		assert_int_equal(a->op[i].val, b->op[i].val);
		assert_int_equal(a->op[i].size, b->op[i].size);
		assert_int_equal(a->op[i].range, b->op[i].range);
		assert_int_equal(a->op[i].is_write, b->op[i].is_write);
	}
}

/* The last line is the exit that was dispatched last. */
static void assert_reported(const struct rig *rig)
{
	const struct kvm_run *run = rig->vcpu.run;
	char text[VCPU_HISTORY * 100] = "", expected[100], more[40] = "\n";
	FILE *out = fmemopen(text, sizeof(text), "w");
	uint64_t data = 0;
	size_t len;

	assert_non_null(out);
	vcpu_print_history(out, &rig->vcpu, "");
	fclose(out);
	memcpy(&data, rig->general_data, run->io.size);
	if (run->io.count > 1)
		snprintf(more, sizeof(more), " and %u more\n", run->io.count - 1);
	len = (size_t)snprintf(expected, sizeof(expected),
			       "IO             %-5s %#x size %u data %#llx%s",
			       run->io.direction == KVM_EXIT_IO_OUT ? "write" : "read",
			       run->io.port, run->io.size, (unsigned long long)data, more);
	assert_true(strlen(text) >= len);
	assert_string_equal(text + strlen(text) - len, expected);
}

static void assert_same_counts(const struct rig *rig)
{
	struct iobus_count a[ARRAY_SIZE(ranges)], b[ARRAY_SIZE(ranges)];
	struct iobus_totals total_a, total_b;
	size_t n = iobus_counts(rig->fast.bus, a, ARRAY_SIZE(a), &total_a);

	assert_int_equal(iobus_counts(rig->general.bus, b, ARRAY_SIZE(b), &total_b), n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(a[i].reads, b[i].reads);
		assert_int_equal(a[i].writes, b[i].writes);
	}
	assert_memory_equal(&total_a, &total_b, sizeof(total_a));
}

static void test_fast_and_general_ways_agree(void **state)
{
	struct rig *rig = *state;
	struct kvm_run *run = rig->vcpu.run;
	uint64_t seed = 20261130;
	bool there = true;

	for (unsigned i = 0; i < EXITS; i++) {
		if (i % CHANGE_EVERY == CHANGE_EVERY - 1) {
			there = !there;
			side_change(&rig->fast, 2, there);
			side_change(&rig->general, 2, there);
		}
		random_exit(run, &seed);
		memcpy(rig->general_data, (uint8_t *)run + PAGE_BYTES, PAGE_BYTES);
		rig->fast.nr_ops = rig->general.nr_ops = 0;
		assert_true(vcpu_dispatch(&rig->vcpu));
		general_dispatch(rig);
		assert_same_ops(&rig->fast, &rig->general);
		assert_memory_equal((uint8_t *)run + PAGE_BYTES, rig->general_data, PAGE_BYTES);
		if (i % 16 == 0)
			assert_reported(rig);
	}
	assert_same_counts(rig);
	assert_int_equal(vcpu_exits(&rig->vcpu, KVM_EXIT_IO), EXITS);
}

/* Port accesses are what the other reasons leave of all exits. */
static void test_exits_are_counted_by_reason(void **state)
{
	static const uint32_t reasons[] = {
		KVM_EXIT_IO, KVM_EXIT_HLT, KVM_EXIT_IO, KVM_EXIT_INTR, KVM_EXIT_IRQ_WINDOW_OPEN,
		KVM_EXIT_IO};
	struct rig *rig = *state;
	uint64_t seed = 1;

	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
		random_exit(rig->vcpu.run, &seed);
		rig->vcpu.run->exit_reason = reasons[i];
		assert_true(vcpu_dispatch(&rig->vcpu));
	}
	assert_int_equal(vcpu_exits(&rig->vcpu, KVM_EXIT_IO), 3);
	assert_int_equal(vcpu_exits(&rig->vcpu, KVM_EXIT_HLT), 1);
	assert_int_equal(vcpu_exits(&rig->vcpu, KVM_EXIT_INTR), 1);
	assert_int_equal(vcpu_exits(&rig->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN), 1);
	assert_int_equal(vcpu_exits(&rig->vcpu, KVM_EXIT_MMIO), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fast_and_general_ways_agree, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_exits_are_counted_by_reason, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
