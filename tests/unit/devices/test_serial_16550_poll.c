/*
 * Differential test of the quick read of LSR: two 16550As get the same accesses, input and room for output. One takes
 * the quick read wherever it answers, the other never. Neither the guest nor the back end can tell them apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "random.h"
#include "serial_16550_rig.h"

enum {
	STEPS = 300000,
	PORTS = 1, /* the other range; the first to be used has the registers */
	INPUT_MAX = 3,
};

static bool quick(const struct rig *rig, uint8_t range, uint64_t off, uint64_t *ret)
{
	const struct io_at at = {.off = off, .size = 1, .range = range};

	return rig->dev->cls->read_quick(rig->dev, at, ret);
}

static uint64_t read_by_any_way(struct rig *rig, uint8_t range, uint64_t off, unsigned *nr_quick)
{
	uint64_t val;

	if (!quick(rig, range, off, &val))
		return fake_read(rig->dev, range, off, 1);
	++*nr_quick;
	return val;
}

/* LSR, as a guest that polls it; and now and then anything. */
static uint64_t random_offset(uint64_t *seed)
{
	return random_below(seed, 8) ? LSR : random_below(seed, 8);
}

static void random_input(struct rig *a, struct rig *b, uint64_t *seed)
{
	const uint8_t bytes[INPUT_MAX] = {(uint8_t)random_next(seed), (uint8_t)random_next(seed)};
	size_t n = random_below(seed, INPUT_MAX + 1), room = rx_room(a);

	assert_int_equal(rx_room(b), room);
	if (n > room)
		n = room;
	if (n == 0)
		return;
	rx_bytes(a, bytes, n);
	rx_bytes(b, bytes, n);
}

static void rx_break(struct rig *rig)
{
	device_lock(rig->dev);
	rig->dev->cls->chr->rx_break(rig->dev);
	device_unlock(rig->dev);
}

static void random_room(struct rig *a, struct rig *b, uint64_t *seed)
{
	a->f.room = b->f.room = random_below(seed, 20);
	tx_room(a);
	tx_room(b);
}

static void random_write(struct rig *a, struct rig *b, uint64_t *seed)
{
	const uint64_t off = random_below(seed, 8);
	/* Loopback and the divisor's latches are left again soon. */
	const uint8_t val = (uint8_t)(off == LCR || off == MCR
					      ? random_below(seed, 4) ? MCR_OUT2 : random_next(seed)
					      : random_next(seed));

	wr(a, off, val);
	wr(b, off, val);
}

static void assert_same(const struct rig *a, const struct rig *b)
{
	assert_int_equal(a->f.irq_level, b->f.irq_level);
	assert_int_equal(a->f.irq_sets, b->f.irq_sets);
	assert_int_equal(a->f.out_len, b->f.out_len);
	assert_int_equal(a->f.input_wanted, b->f.input_wanted);
	assert_int_equal(a->dev->guest_errors, b->dev->guest_errors);
}

static int pair_setup(void **state)
{
	static void *pair[2];

	*state = pair;
	return rig_setup(&pair[0]) < 0 || rig_setup(&pair[1]) < 0 ? -1 : 0;
}

static int pair_teardown(void **state)
{
	void **pair = *state;
	const int r = rig_teardown(&pair[0]);

	return rig_teardown(&pair[1]) < 0 ? -1 : r;
}

static void test_quick_reads_change_nothing(void **state)
{
	void **pair = *state;
	struct rig *a = pair[0], *b = pair[1];
	uint64_t seed = 16550;
	unsigned nr_quick = 0;

	for (unsigned i = 0; i < STEPS; i++) {
		const uint8_t range = (uint8_t)(random_below(&seed, 16) == 0 ? PORTS : 0);
		const uint64_t off = random_offset(&seed);

		switch (random_below(&seed, 40)) {
		case 0: random_write(a, b, &seed); break;
		case 1: random_input(a, b, &seed); break;
		case 2: random_room(a, b, &seed); break;
		case 3:
			rx_break(a);
			rx_break(b);
			break;
		default:
			assert_int_equal(read_by_any_way(a, range, off, &nr_quick),
					 fake_read(b->dev, range, off, 1));
		}
		assert_same(a, b);
	}
	assert_true(nr_quick > STEPS / 20);
}

static void test_polling_becomes_quick_and_stops_at_each_change(void **state)
{
	struct rig *rig = *state;
	uint64_t val;

	assert_false(quick(rig, 0, LSR, &val));
	lsr_reads(rig, 7); /* fewer than make a receiver */
	assert_false(quick(rig, 0, LSR, &val));
	lsr_reads(rig, 1);
	assert_true(quick(rig, 0, LSR, &val));
	assert_int_equal(val, LSR_IDLE);
	assert_false(quick(rig, PORTS, LSR, &val)); /* nothing is there */
	assert_false(quick(rig, 0, SCR, &val));
	rx(rig, "x");
	assert_false(quick(rig, 0, LSR, &val));
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	assert_true(quick(rig, 0, LSR, &val));
	assert_int_equal(val, LSR_IDLE | LSR_DR);
	assert_int_equal(rd(rig, RBR), 'x');
	assert_false(quick(rig, 0, LSR, &val));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_quick_reads_change_nothing, pair_setup,
						pair_teardown),
		TEST(test_polling_becomes_quick_and_stops_at_each_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
