/*
 * Unit tests of the 16550A: registers, transmitter, receiver and interrupts, one behaviour a test.
 * test_serial_16550_receive.c has when host input comes in, test_serial_16550_loopback.c loopback,
 * test_serial_16550_flow.c the randomized tests. Section numbers are the datasheet's, as in vmm/devices/serial_16550.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serial_16550_rig.h"

/* Registers. */

static void power_on_state_is_table_one(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(rd(rig, IER), 0x00);
	assert_int_equal(rd(rig, IIR), 0x01);
	assert_int_equal(rd(rig, LCR), 0x00);
	assert_int_equal(rd(rig, MCR), 0x00);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	assert_int_equal(rd(rig, MSR), MSR_IDLE);
	assert_int_equal(rd(rig, SCR), 0x00);
	assert_int_equal(rd(rig, RBR), 0x00);
	assert_int_equal(rx_room(rig), 0); /* nobody receives yet */
	assert_int_equal(rig->f.irq_sets, 0);
	wr(rig, LCR, LCR_DLAB);
	assert_int_equal(rd(rig, DLL), 12);
	assert_int_equal(rd(rig, DLM), 0);
}

static void class_splits_wide_accesses_and_names_the_part(void **state)
{
	(void)state;
	assert_int_equal(serial_16550_class.max_access, 1);
	assert_string_equal(serial_16550_class.name, "16550A");
	assert_string_equal(serial_16550_class.fdt_compatible, "ns16550a");
}

static void scratch_register_holds_any_byte(void **state)
{
	wr(*state, SCR, 0xa5);
	assert_int_equal(rd(*state, SCR), 0xa5);
	wr(*state, SCR, 0x5a);
	assert_int_equal(rd(*state, SCR), 0x5a);
}

static void unused_bits_of_ier_and_mcr_read_zero(void **state)
{
	wr(*state, IER, 0xff);
	assert_int_equal(rd(*state, IER), 0x0f);
	wr(*state, MCR, 0xff);
	assert_int_equal(rd(*state, MCR), 0x1f);
	wr(*state, LCR, 0x7f);
	assert_int_equal(rd(*state, LCR), 0x7f);
}

static void divisor_latch_hides_the_data_and_enable_registers(void **state)
{
	struct rig *rig = *state;

	wr(rig, IER, IER_ERBFI);
	rx(rig, "k");
	wr(rig, LCR, LCR_DLAB);
	assert_int_equal(rd(rig, DLL), 12);
	assert_int_equal(rd(rig, DLM), 0);
	wr(rig, DLL, 0x34);
	wr(rig, DLM, 0xf2);
	assert_int_equal(rd(rig, DLL), 0x34);
	assert_int_equal(rd(rig, DLM), 0xf2);
	assert_int_equal(rig->f.out_len, 0);
	wr(rig, LCR, 0x03);
	assert_int_equal(rd(rig, IER), IER_ERBFI);
	assert_int_equal(rd(rig, RBR), 'k');
}

static void fifo_mode_shows_in_iir(void **state)
{
	wr(*state, FCR, FCR_ENABLE);
	assert_int_equal(rd(*state, IIR), 0xc1);
	wr(*state, FCR, 0x20 | FCR_ENABLE); /* a 16750's 64-byte mode */
	assert_int_equal(rd(*state, IIR), 0xc1);
	wr(*state, FCR, 0xfe); /* without bit 0 the other bits do not count (8.5) */
	assert_int_equal(rd(*state, IIR), 0x01);
}

static void status_registers_ignore_writes(void **state)
{
	struct rig *rig = *state;

	wr(rig, LSR, 0xff);
	wr(rig, MSR, 0xff);
	assert_int_equal(rig->dev->guest_errors, 2);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	assert_int_equal(rd(rig, MSR), MSR_IDLE);
}

/* Transmitter. */

static void a_byte_reaches_the_back_end_at_once(void **state)
{
	struct rig *rig = *state;

	send(rig, "A");
	assert_out(rig, "A");
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	assert_int_equal(rig->f.irq_sets, 0);
}

static void refused_bytes_wait_in_order_and_thre_says_so(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	rig->f.room = 2;
	send(rig, "0123456789");
	assert_out(rig, "01");
	assert_int_equal(rd(rig, LSR), 0);
	rig->f.room = 3;
	tx_room(rig);
	assert_out(rig, "01234");
	assert_int_equal(rd(rig, LSR), 0);
	rig->f.room = 1; /* room alone lets no byte overtake those that wait */
	send(rig, "A");
	assert_out(rig, "01234");
	rig->f.room = 50;
	tx_room(rig);
	assert_out(rig, "0123456789A");
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	assert_int_equal(rig->dev->guest_errors, 0);
}

static void thre_interrupts_once_the_last_waiting_byte_left(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ETBEI);
	assert_int_equal(rd(rig, IIR), 0xc2);
	rig->f.room = 0;
	send(rig, "ab");
	assert_false(rig->f.irq_level);
	assert_int_equal(rd(rig, IIR), 0xc1);
	rig->f.room = 1;
	tx_room(rig);
	assert_false(rig->f.irq_level);
	rig->f.room = 1;
	tx_room(rig);
	assert_true(rig->f.irq_level);
	assert_int_equal(rd(rig, IIR), 0xc2);
	tx_room(rig); /* nothing waited */
	assert_false(rig->f.irq_level);
}

static void full_transmitter_overwrites_its_newest_byte(void **state)
{
	struct rig *rig = *state;

	rig->f.room = 0;
	send(rig, "ab"); /* 16450 mode holds one */
	assert_int_equal(rig->dev->guest_errors, 1);
	rig->f.room = 9;
	tx_room(rig);
	assert_out(rig, "b");

	wr(rig, FCR, FCR_ENABLE);
	rig->f.room = 0;
	send(rig, "0123456789abcdef");
	assert_int_equal(rig->dev->guest_errors, 1);
	send(rig, "XY");
	assert_int_equal(rig->dev->guest_errors, 3);
	rig->f.room = 20;
	tx_room(rig);
	assert_out(rig, "b0123456789abcdeY");
}

static void transmitter_reset_discards_what_waits(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ETBEI);
	rig->f.room = 0;
	send(rig, "gone");
	assert_false(rig->f.irq_level);
	wr(rig, FCR, FCR_ENABLE | FCR_RCVR_RESET);
	assert_int_equal(rd(rig, LSR), 0);
	wr(rig, FCR, FCR_ENABLE | FCR_XMIT_RESET);
	assert_true(rig->f.irq_level);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	rig->f.room = 9;
	tx_room(rig);
	send(rig, "new");
	assert_out(rig, "new");
}

static void a_change_of_mode_clears_both_fifos(void **state)
{
	struct rig *rig = *state;

	for (uint8_t mode = FCR_ENABLE;; mode = 0) {
		rig->f.room = 0;
		send(rig, "t");
		rx(rig, "r");
		wr(rig, FCR, mode);
		assert_int_equal(rd(rig, LSR), LSR_IDLE);
		lsr_reads(rig, 8);
		assert_int_equal(rx_room(rig), mode ? 16 : 1);
		rig->f.room = 9;
		tx_room(rig);
		assert_int_equal(rig->f.out_len, 0);
		if (!mode)
			break;
	}
}

/* The transmitter's interrupt. */

static void enabling_the_thre_interrupt_raises_it_every_time(void **state)
{
	struct rig *rig = *state;

	wr(rig, MCR, MCR_OUT2);
	for (int i = 0; i < 3; i++) {
		wr(rig, IER, IER_ETBEI);
		assert_true(rig->f.irq_level);
		assert_int_equal(rd(rig, IIR), 0x02);
		assert_false(rig->f.irq_level);
		assert_int_equal(rd(rig, IIR), 0x01);
		wr(rig, IER, IER_ETBEI | IER_ERBFI); /* no rising edge of ETBEI */
		assert_int_equal(rd(rig, IIR), 0x01);
		wr(rig, IER, 0);
	}
	wr(rig, IER, IER_ETBEI);
	assert_true(rig->f.irq_level);
	wr(rig, IER, 0);
	assert_false(rig->f.irq_level);
	rig->f.room = 0;
	send(rig, "a");
	wr(rig, IER, IER_ETBEI); /* THRE is 0 */
	assert_false(rig->f.irq_level);
}

static void iir_resets_thre_only_when_it_showed_it(void **state)
{
	struct rig *rig = *state;

	wr(rig, IER, IER_ETBEI | IER_ERBFI);
	rx(rig, "a");
	assert_int_equal(rd(rig, IIR), 0x04);
	assert_int_equal(rd(rig, IIR), 0x04);
	rd(rig, RBR);
	assert_int_equal(rd(rig, IIR), 0x02);
	assert_int_equal(rd(rig, IIR), 0x01);
}

static void a_full_burst_costs_two_irq_changes(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ETBEI);
	rig->f.irq_sets = 0;
	assert_int_equal(rd(rig, IIR), 0xc2);
	rd(rig, LSR);
	send(rig, "0123456789abcdef");
	assert_int_equal(rig->f.irq_sets, 2);
	assert_true(rig->f.irq_level);
	assert_int_equal(rd(rig, IIR), 0xc2);
}

static void polled_output_costs_no_irq_change(void **state)
{
	struct rig *rig = *state;

	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ERBFI | IER_ELSI | IER_EDSSI);
	for (const char *c = "polled"; *c; c++) {
		assert_int_equal(rd(rig, LSR), LSR_IDLE);
		wr(rig, THR, (uint8_t)*c);
	}
	assert_out(rig, "polled");
	assert_int_equal(rig->f.irq_sets, 0);
}

static void thr_write_of_a_driver_that_skips_iir_is_an_edge(void **state)
{
	struct rig *rig = *state;

	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ETBEI);
	assert_int_equal(rising_edges(rig), 1);
	send(rig, "a"); /* 16450 mode: one byte an interrupt */
	assert_int_equal(rising_edges(rig), 2);
	send(rig, "b");
	assert_int_equal(rising_edges(rig), 3);

	wr(rig, IER, 0);
	wr(rig, FCR, FCR_ENABLE);
	wr(rig, IER, IER_ETBEI);
	assert_int_equal(rising_edges(rig), 4);
	send(rig, "0123456789abcdef");
	assert_int_equal(rising_edges(rig), 5);
	send(rig, "0");
	assert_int_equal(rising_edges(rig), 6);
	rd(rig, LSR);
	send(rig, "1");
	assert_int_equal(rising_edges(rig), 7);
	wr(rig, IER, IER_ETBEI | IER_ERBFI);
	rx(rig, "r");
	assert_int_equal(rd(rig, IIR), 0xc4); /* shows another cause and leaves THRE's */
	rd(rig, RBR);
	assert_int_equal(rising_edges(rig), 7);
	send(rig, "2");
	assert_int_equal(rising_edges(rig), 8);
	rig->f.room = 0;
	send(rig, "3");
	assert_false(rig->f.irq_level);
	rig->f.room = 2;
	tx_room(rig);
	assert_int_equal(rising_edges(rig), 9);
	send(rig, "4");
	assert_int_equal(rising_edges(rig), 10);
}

/* Receiver. */

static void trigger_level_tells_data_from_timeout(void **state)
{
	static const unsigned level[] = {1, 4, 8, 14};
	struct rig *rig = *state;

	wr(rig, IER, IER_ERBFI);
	for (uint8_t i = 0; i < 4; i++) {
		wr(rig, FCR, (uint8_t)(i << 6 | FCR_ENABLE | FCR_RCVR_RESET));
		assert_int_equal(rd(rig, IIR), 0xc1);
		for (unsigned n = 1; n <= 16; n++) {
			rx(rig, "x");
			assert_int_equal(rd(rig, IIR), n < level[i] ? 0xcc : 0xc4);
		}
		for (unsigned n = 16; n-- > 0;) {
			rd(rig, RBR);
			assert_int_equal(rd(rig, IIR), n == 0 ? 0xc1 : n < level[i] ? 0xcc : 0xc4);
		}
	}
}

static void a_new_trigger_level_counts_at_once(void **state)
{
	struct rig *rig = *state;

	wr(rig, IER, IER_ERBFI);
	wr(rig, FCR, 0xc0 | FCR_ENABLE);
	rx(rig, "abcd");
	assert_int_equal(rd(rig, IIR), 0xcc);
	wr(rig, FCR, 0x40 | FCR_ENABLE);
	assert_int_equal(rd(rig, IIR), 0xc4);
	assert_int_equal(rd(rig, RBR), 'a');
}

static void falling_below_the_trigger_level_is_an_edge(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, 0x80 | FCR_ENABLE);
	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ERBFI);
	rx(rig, "0123456789");
	assert_int_equal(rising_edges(rig), 1);
	for (int i = 0; i < 2; i++)
		rd(rig, RBR);
	assert_int_equal(rising_edges(rig), 1); /* 8 left: still received data available */
	for (int i = 0; i < 6; i++)
		rd(rig, RBR);
	assert_true(rig->f.irq_level); /* the driver returns with 2 left and must be called again */
	assert_true(rising_edges(rig) > 1);
	rd(rig, RBR);
	rd(rig, RBR);
	assert_false(rig->f.irq_level);
}

static void character_mode_holds_one_byte_and_has_no_timeout(void **state)
{
	struct rig *rig = *state;

	wr(rig, IER, IER_ERBFI);
	wr(rig, MCR, MCR_OUT2);
	assert_int_equal(rx_room(rig), 1);
	rx(rig, "a");
	assert_int_equal(rx_room(rig), 0);
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	assert_int_equal(rd(rig, IIR), 0x04);
	assert_true(rig->f.irq_level);
	assert_int_equal(rig->f.input_wanted, 1); /* since it receives */
	assert_int_equal(rd(rig, RBR), 'a');
	assert_int_equal(rig->f.input_wanted, 2);
	assert_false(rig->f.irq_level);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	assert_int_equal(rd(rig, RBR), 0);
	assert_int_equal(rig->f.input_wanted, 2); /* nothing was read */
}

static void room_is_wanted_whenever_it_grows(void **state)
{
	struct rig *rig = *state;

	receive_by_irq(rig); /* 0 -> 1 */
	assert_int_equal(rig->f.input_wanted, 1);
	rig->f.input_wanted = 0;
	wr(rig, FCR, FCR_ENABLE); /* 1 -> 16 */
	assert_int_equal(rig->f.input_wanted, 1);
	rx(rig, "0123456789abcdef");
	assert_int_equal(rx_room(rig), 0);
	rd(rig, RBR);
	assert_int_equal(rx_room(rig), 1);
	assert_int_equal(rig->f.input_wanted, 2);
	wr(rig, FCR, FCR_ENABLE | FCR_RCVR_RESET);
	assert_int_equal(rx_room(rig), 16);
	assert_int_equal(rig->f.input_wanted, 3);
	wr(rig, FCR, FCR_ENABLE | FCR_RCVR_RESET);
	looped(rig, MCR_OUT2);
	assert_int_equal(rx_room(rig), 0);
	wr(rig, FCR, FCR_ENABLE | FCR_RCVR_RESET);
	send(rig, "x");
	rd(rig, RBR);
	assert_int_equal(rig->f.input_wanted, 3);
	wr(rig, MCR, MCR_OUT2);
	assert_int_equal(rx_room(rig), 16);
	assert_int_equal(rig->f.input_wanted, 4);
	wr(rig, FCR, 0); /* 16 -> 1 */
	assert_int_equal(rig->f.input_wanted, 4);
}

static void receiver_reset_drops_data_and_its_interrupt(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ERBFI);
	rx(rig, "abc");
	assert_true(rig->f.irq_level);
	wr(rig, FCR, FCR_ENABLE | FCR_RCVR_RESET);
	assert_false(rig->f.irq_level);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	rx(rig, "d");
	assert_int_equal(rd(rig, RBR), 'd');
	wr(rig, FCR, 0);
	rx(rig, "e");
	wr(rig, FCR, FCR_RCVR_RESET); /* without bit 0 it does not count (8.5) */
	assert_int_equal(rd(rig, RBR), 'e');
}

static void input_beyond_the_room_is_an_overrun(void **state)
{
	struct rig *rig = *state;

	rx(rig, "ab"); /* 16450 mode keeps the newest */
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_OE);
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	assert_int_equal(rd(rig, RBR), 'b');
	wr(rig, FCR, FCR_ENABLE); /* the FIFO keeps the oldest */
	rx(rig, "0123456789abcdefX");
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_OE);
	for (const char *c = "0123456789abcdef"; *c; c++)
		assert_int_equal(rd(rig, RBR), *c);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
}

/* The interrupt line. */

static void out2_gates_the_line_but_not_iir(void **state)
{
	struct rig *rig = *state;

	wr(rig, IER, IER_ERBFI);
	rx(rig, "a");
	assert_int_equal(rd(rig, IIR), 0x04);
	assert_int_equal(rig->f.irq_sets, 0);
	wr(rig, MCR, MCR_OUT2);
	assert_true(rig->f.irq_level);
	wr(rig, MCR, MCR_DTR | MCR_RTS | MCR_OUT1);
	assert_false(rig->f.irq_level);
	assert_int_equal(rig->f.irq_sets, 2);
}

static void iir_shows_causes_in_order_of_priority(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, 0x40 | FCR_ENABLE);
	wr(rig, IER, 0x0f);
	looped(rig, MCR_OUT2 | MCR_RTS); /* DSR drops */
	send(rig, "0123456789abcdefX");  /* overruns */
	assert_int_equal(rd(rig, IIR), 0xc6);
	assert_int_equal(rd(rig, LSR) & LSR_OE, LSR_OE);
	assert_int_equal(rd(rig, IIR), 0xc4);
	for (int i = 0; i < 13; i++)
		rd(rig, RBR);
	assert_int_equal(rd(rig, IIR), 0xcc);
	for (int i = 0; i < 3; i++)
		rd(rig, RBR);
	assert_int_equal(rd(rig, IIR), 0xc2);
	assert_int_equal(rd(rig, IIR), 0xc0);
	assert_true(rig->f.irq_level);
	assert_int_equal(rd(rig, MSR), 0x92);
	assert_int_equal(rd(rig, IIR), 0xc1);
	assert_false(rig->f.irq_level);
	assert_int_equal(rig->f.irq_redundant, 0);
}

static void each_cause_has_its_enable_bit(void **state)
{
	static const uint8_t iir[] = {0xcc, 0xc2, 0xc6, 0xc0}; /* by bit of IER */
	struct rig *rig = *state;

	wr(rig, FCR, 0x40 | FCR_ENABLE);
	looped(rig, MCR_OUT2);
	send(rig, "0123456789abcdefX");
	for (int i = 0; i < 13; i++)
		rd(rig, RBR);
	assert_int_equal(rig->f.irq_sets, 0);
	for (unsigned bit = 0; bit < 4; bit++) {
		wr(rig, IER, (uint8_t)(1 << bit));
		assert_true(rig->f.irq_level);
		assert_int_equal(rd(rig, IIR), iir[bit]);
		wr(rig, IER, 0);
		assert_false(rig->f.irq_level);
		assert_int_equal(rd(rig, IIR), 0xc1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(power_on_state_is_table_one),
		cmocka_unit_test(class_splits_wide_accesses_and_names_the_part),
		TEST(scratch_register_holds_any_byte),
		TEST(unused_bits_of_ier_and_mcr_read_zero),
		TEST(divisor_latch_hides_the_data_and_enable_registers),
		TEST(fifo_mode_shows_in_iir),
		TEST(status_registers_ignore_writes),
		TEST(a_byte_reaches_the_back_end_at_once),
		TEST(refused_bytes_wait_in_order_and_thre_says_so),
		TEST(thre_interrupts_once_the_last_waiting_byte_left),
		TEST(full_transmitter_overwrites_its_newest_byte),
		TEST(transmitter_reset_discards_what_waits),
		TEST(a_change_of_mode_clears_both_fifos),
		TEST(enabling_the_thre_interrupt_raises_it_every_time),
		TEST(iir_resets_thre_only_when_it_showed_it),
		TEST(a_full_burst_costs_two_irq_changes),
		TEST(polled_output_costs_no_irq_change),
		TEST(thr_write_of_a_driver_that_skips_iir_is_an_edge),
		TEST(trigger_level_tells_data_from_timeout),
		TEST(a_new_trigger_level_counts_at_once),
		TEST(falling_below_the_trigger_level_is_an_edge),
		TEST(character_mode_holds_one_byte_and_has_no_timeout),
		TEST(room_is_wanted_whenever_it_grows),
		TEST(receiver_reset_drops_data_and_its_interrupt),
		TEST(input_beyond_the_room_is_an_overrun),
		TEST(out2_gates_the_line_but_not_iir),
		TEST(iir_shows_causes_in_order_of_priority),
		TEST(each_cause_has_its_enable_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
