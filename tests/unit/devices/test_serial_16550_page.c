/*
 * Tests of the 16550A's registers as memory: when they are, what they hold, that reading them then
 * changes nothing that anybody could tell, and that of two ranges only one has the chip.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "random.h"
#include "serial_16550_rig.h"

enum { REGISTERS = 8, PORTS = 0, MEMORY = 1 };

static bool page_of(struct rig *rig, uint8_t range, size_t late, uint8_t ret[REGISTERS])
{
	bool shown;

	device_lock(rig->dev);
	shown = rig->dev->cls->register_page(rig->dev, range, late, ret);
	device_unlock(rig->dev);
	return shown;
}

static bool shown(struct rig *rig)
{
	uint8_t bytes[REGISTERS];

	return page_of(rig, PORTS, 0, bytes);
}

static uint8_t read_at(struct rig *rig, uint8_t range, uint64_t off)
{
	return (uint8_t)fake_read(rig->dev, range, off, 1);
}

static void a_fresh_chip_is_as_good_as_memory(void **state)
{
	static const uint8_t want[REGISTERS] = {0, 0, 0x01, 0, 0, LSR_IDLE, MSR_IDLE, 0};
	struct rig *rig = *state;
	uint8_t bytes[REGISTERS];

	assert_true(page_of(rig, PORTS, 0, bytes));
	assert_memory_equal(bytes, want, REGISTERS);
}

static void it_shows_what_was_written(void **state)
{
	static const uint8_t want[REGISTERS] = {0, 0, 0xc1, 0x1b, 0x0b, LSR_IDLE, MSR_IDLE, 0x5a};
	struct rig *rig = *state;
	uint8_t bytes[REGISTERS];

	wr(rig, FCR, FCR_ENABLE);
	wr(rig, LCR, 0x1b);
	wr(rig, MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
	wr(rig, SCR, 0x5a);
	send(rig, "output goes on");
	assert_true(page_of(rig, PORTS, 0, bytes));
	assert_memory_equal(bytes, want, REGISTERS);
}

static void each_interrupt_ends_it(void **state)
{
	struct rig *rig = *state;

	for (uint8_t bit = 1; bit < 0x10; bit = (uint8_t)(bit << 1)) {
		wr(rig, IER, bit);
		assert_false(shown(rig));
		wr(rig, IER, 0);
		assert_true(shown(rig));
	}
}

static void the_divisor_in_the_way_ends_it(void **state)
{
	struct rig *rig = *state;

	wr(rig, LCR, LCR_DLAB);
	assert_false(shown(rig));
	wr(rig, LCR, 3);
	assert_true(shown(rig));
}

static void loopback_ends_it_and_so_do_the_deltas_it_leaves(void **state)
{
	struct rig *rig = *state;

	looped(rig, 0);
	rd(rig, MSR);
	assert_false(shown(rig));
	wr(rig, MCR, 0);
	assert_false(shown(rig));
	rd(rig, MSR);
	assert_true(shown(rig));
}

static void received_bytes_end_it_until_they_are_read(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	rx(rig, "ab");
	assert_false(shown(rig));
	rd(rig, RBR);
	assert_false(shown(rig));
	rd(rig, RBR);
	assert_true(shown(rig));
}

static void an_error_ends_it_until_lsr_is_read(void **state)
{
	struct rig *rig = *state;

	rx(rig, "ab"); /* 16450 mode: the second one overruns */
	rd(rig, RBR);
	assert_false(shown(rig));
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_OE);
	assert_true(shown(rig));
}

static void a_transmitter_that_waits_ends_it(void **state)
{
	struct rig *rig = *state;

	rig->f.room = 0;
	wr(rig, THR, 'x');
	assert_false(shown(rig));
	rig->f.room = 10;
	tx_room(rig);
	assert_true(shown(rig));
}

/* A guest that sees THRE in a page may write as many bytes as KVM collects before we see one. */
static void there_is_room_for_all_that_may_come_late(void **state)
{
	struct rig *rig = *state;
	uint8_t bytes[REGISTERS];

	rig->f.room = 20;
	assert_true(page_of(rig, PORTS, 20, bytes));
	assert_false(page_of(rig, PORTS, 21, bytes));
	for (unsigned i = 0; i < 20; i++)
		wr(rig, THR, (uint8_t)('a' + i));
	assert_out(rig, "abcdefghijklmnopqrst");
	assert_false(page_of(rig, PORTS, 1, bytes));
}

static void the_first_range_used_has_the_chip(void **state)
{
	static const uint8_t nothing[REGISTERS] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct rig *rig = *state;
	uint8_t bytes[REGISTERS];

	assert_int_equal(read_at(rig, MEMORY, LSR), LSR_IDLE);
	for (uint64_t off = 0; off < REGISTERS; off++) {
		fake_write(rig->dev, PORTS, off, 1, 0x0f);
		assert_int_equal(read_at(rig, PORTS, off), 0xff);
	}
	assert_int_equal(rig->f.out_len, 0);
	assert_int_equal(rig->f.irq_sets, 0);
	assert_int_equal(read_at(rig, MEMORY, SCR), 0);
	assert_true(page_of(rig, PORTS, 0, bytes));
	assert_memory_equal(bytes, nothing, REGISTERS);
	assert_true(page_of(rig, MEMORY, 0, bytes));
	assert_int_equal(bytes[LSR], LSR_IDLE);
	/* An absent range stays absent, whatever the chip does. */
	fake_write(rig->dev, MEMORY, IER, 1, IER_ERBFI);
	assert_true(page_of(rig, PORTS, 0, bytes));
	assert_false(page_of(rig, MEMORY, 0, bytes));
}

static void a_write_takes_the_chip_as_well(void **state)
{
	struct rig *rig = *state;

	fake_write(rig->dev, PORTS, THR, 1, 'p');
	fake_write(rig->dev, MEMORY, THR, 1, 'w');
	assert_out(rig, "p");
}

/*
 * Two chips in the same hands, of which one is read whenever it is as good as memory. If no such read
 * has an effect, nothing ever distinguishes the two.
 */
struct twins {
	struct rig *read, *left;
	uint64_t random;
	unsigned shown, hidden;
};

static void both_write(struct twins *t, uint64_t off, uint8_t val)
{
	wr(t->read, off, val);
	wr(t->left, off, val);
}

static uint8_t both_read(struct twins *t, uint64_t off)
{
	uint8_t val = rd(t->left, off);

	assert_int_equal(rd(t->read, off), val);
	return val;
}

static void both_get_room(struct twins *t, size_t room)
{
	struct rig *rig[] = {t->read, t->left};

	for (unsigned i = 0; i < 2; i++) {
		rig[i]->f.room = room;
		if (room && rig[i]->f.refused) {
			rig[i]->f.refused = false;
			tx_room(rig[i]);
		}
	}
}

/* Sets both up as a driver does: by chance alone the chip would hardly ever be quiet. */
static void twins_settle(struct twins *t)
{
	both_write(t, LCR, 3);
	both_write(t, IER, 0);
	both_write(t, MCR, 0);
	both_get_room(t, 20);
	while (both_read(t, LSR) & LSR_DR)
		both_read(t, RBR);
	both_read(t, MSR);
}

static void twins_step(struct twins *t)
{
	const uint8_t byte = (uint8_t)random_below(&t->random, 256);

	switch (random_below(&t->random, 24)) {
	case 0:
	case 1: twins_settle(t); break;
	case 2: both_write(t, IER, byte); break;
	case 3: both_write(t, FCR, byte); break;
	case 4: both_write(t, LCR, byte); break;
	case 5: both_write(t, MCR, byte); break;
	case 6: both_get_room(t, (size_t)random_below(&t->random, 3) * 10); break;
	case 7:
		rx_bytes(t->read, &byte, 1);
		rx_bytes(t->left, &byte, 1);
		break;
	case 9:
	case 10: both_write(t, SCR, byte); break;
	case 11:
	case 12:
	case 13: both_write(t, THR, byte); break;
	default: both_read(t, random_below(&t->random, REGISTERS)); break;
	}
}

static void one_is_read(struct twins *t)
{
	uint8_t bytes[REGISTERS], again[REGISTERS];
	const size_t late = random_below(&t->random, 8);

	if (!page_of(t->read, PORTS, late, bytes)) {
		t->hidden++;
		return;
	}
	t->shown++;
	for (unsigned n = random_below(&t->random, 40); n > 0; n--) {
		const uint64_t off = random_below(&t->random, REGISTERS);

		assert_int_equal(rd(t->read, off), bytes[off]);
	}
	assert_true(page_of(t->read, PORTS, late, again));
	assert_memory_equal(again, bytes, REGISTERS);
	both_read(t, SCR); /* polling for input, the exception: this forgets it */
}

static void assert_alike(const struct twins *t)
{
	const struct fake_env *a = &t->read->f, *b = &t->left->f;

	assert_int_equal(a->irq_sets, b->irq_sets);
	assert_int_equal(a->irq_level, b->irq_level);
	assert_int_equal(a->out_len, b->out_len);
	assert_int_equal(a->room, b->room);
	assert_int_equal(t->read->dev->guest_errors, t->left->dev->guest_errors);
	assert_int_equal(rx_room(t->read), rx_room(t->left));
}

static void reading_the_shown_registers_changes_nothing(void **state)
{
	struct twins t = {.read = *state, .random = 0x5eed0f16550a0001};
	void *other = NULL;

	if (rig_setup(&other) != 0 || !other) {
		fail_msg("no second rig");
		return;
	}
	t.left = other;
	for (unsigned i = 0; i < 300000; i++) {
		twins_step(&t);
		one_is_read(&t);
		assert_alike(&t);
	}
	print_message("shown %u times, not shown %u times\n", t.shown, t.hidden);
	assert_true(t.shown > 30000);
	assert_true(t.hidden > 30000);
	assert_int_equal(rig_teardown(&other), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fresh_chip_is_as_good_as_memory),
		TEST(it_shows_what_was_written),
		TEST(each_interrupt_ends_it),
		TEST(the_divisor_in_the_way_ends_it),
		TEST(loopback_ends_it_and_so_do_the_deltas_it_leaves),
		TEST(received_bytes_end_it_until_they_are_read),
		TEST(an_error_ends_it_until_lsr_is_read),
		TEST(a_transmitter_that_waits_ends_it),
		TEST(there_is_room_for_all_that_may_come_late),
		TEST(the_first_range_used_has_the_chip),
		TEST(a_write_takes_the_chip_as_well),
		TEST(reading_the_shown_registers_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
