/*
 * Unit tests of the 16550A in loopback, where it is its own remote end: data, modem signals, errors.
 * Section numbers are the datasheet's, as in vmm/devices/serial_16550.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "serial_16550_rig.h"

static void looped_bytes_come_back_and_leave_the_host_alone(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	looped(rig, 0);
	send(rig, "loop");
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	assert_int_equal(rx_room(rig), 0);
	rx(rig, "host"); /* the serial input is disconnected */
	for (const char *c = "loop"; *c; c++)
		assert_int_equal(rd(rig, RBR), *c);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	assert_int_equal(rig->f.out_len, 0);
	wr(rig, MCR, 0);
	send(rig, "out");
	assert_out(rig, "out");
}

static void loopback_overruns_in_both_modes(void **state)
{
	struct rig *rig = *state;

	looped(rig, 0);
	send(rig, "ab");
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_OE);
	assert_int_equal(rd(rig, RBR), 'b');
	wr(rig, FCR, FCR_ENABLE);
	send(rig, "0123456789abcdefXY");
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_OE); /* OE is no FIFO error */
	assert_int_equal(rd(rig, RBR), '0');
}

static void bytes_the_host_had_not_taken_wait_out_loopback(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	wr(rig, IER, IER_ETBEI);
	rig->f.room = 0;
	send(rig, "held");
	looped(rig, MCR_OUT2);
	assert_int_equal(rd(rig, LSR), LSR_IDLE); /* the looped transmitter is free */
	assert_int_equal(rd(rig, IIR), 0xc2);
	rig->f.room = 9;
	tx_room(rig);
	assert_int_equal(rig->f.out_len, 0);
	send(rig, "L");
	rig->f.room = 2;
	wr(rig, MCR, MCR_OUT2);
	assert_out(rig, "he");
	assert_int_equal(rd(rig, LSR), LSR_DR);
	assert_false(rig->f.irq_level);
	assert_int_equal(rd(rig, RBR), 'L');
	rig->f.room = 9;
	tx_room(rig);
	assert_out(rig, "held");
	assert_true(rig->f.irq_level);
}

static void looped_modem_outputs_are_the_inputs(void **state)
{
	static const struct {
		uint8_t mcr, msr;
	} pair[] = {{MCR_DTR, 0x20}, {MCR_RTS, 0x10}, {MCR_OUT1, 0x40}, {MCR_OUT2, 0x80}};
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(pair); i++) {
		looped(rig, pair[i].mcr);
		assert_int_equal(rd(rig, MSR) & 0xf0, pair[i].msr);
	}
	wr(rig, MCR, 0);
	assert_int_equal(rd(rig, MSR) & 0xf0, MSR_IDLE);
}

static void modem_changes_show_until_read(void **state)
{
	struct rig *rig = *state;

	looped(rig, 0); /* CTS, DSR and DCD drop */
	assert_int_equal(rd(rig, MSR), 0x0b);
	assert_int_equal(rd(rig, MSR), 0x00);
	looped(rig, MCR_OUT1); /* RI rises: no TERI (8.9) */
	assert_int_equal(rd(rig, MSR), 0x40);
	looped(rig, 0);
	assert_int_equal(rd(rig, MSR), 0x04);
	looped(rig, MCR_RTS);
	looped(rig, 0); /* a change and back is a change */
	assert_int_equal(rd(rig, MSR), 0x01);
	looped(rig, MCR_RTS);
	looped(rig, MCR_RTS | MCR_DTR); /* and changes add up */
	assert_int_equal(rd(rig, MSR), 0x33);
	looped(rig, 0);
	rd(rig, MSR);
	wr(rig, MCR, 0);
	assert_int_equal(rd(rig, MSR), 0xbb);
	assert_int_equal(rd(rig, MSR), MSR_IDLE);
	wr(rig, MCR, MCR_RTS | MCR_DTR); /* outside loopback nobody answers them */
	assert_int_equal(rd(rig, MSR), MSR_IDLE);
}

static void looped_break_is_one_zero_byte(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	wr(rig, IER, IER_ELSI);
	looped(rig, MCR_OUT2);
	wr(rig, LCR, LCR_SET_BREAK);
	assert_true(rig->f.irq_level);
	assert_int_equal(rd(rig, IIR), 0xc6);
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_BI | LSR_FE | LSR_FIFO_ERROR);
	assert_false(rig->f.irq_level);
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	wr(rig, LCR, LCR_SET_BREAK | 0x03); /* it goes on */
	send(rig, "lost");                  /* the line stays at the spacing level */
	assert_int_equal(rd(rig, RBR), 0);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	wr(rig, LCR, 0x03);
	send(rig, "a");
	assert_int_equal(rd(rig, RBR), 'a');
	wr(rig, MCR, 0);
	wr(rig, LCR, LCR_SET_BREAK);
	send(rig, "b");
	assert_out(rig, "b"); /* a terminal has no break: nothing is lost */
	looped(rig, 0);       /* entering loopback with the break set */
	assert_int_equal(rd(rig, LSR) & LSR_BI, LSR_BI);
}

static void an_error_shows_when_its_byte_is_next(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	wr(rig, IER, IER_ELSI);
	looped(rig, MCR_OUT2);
	send(rig, "ab");
	wr(rig, LCR, LCR_SET_BREAK);
	wr(rig, LCR, 0);
	send(rig, "c");
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_FIFO_ERROR);
	assert_int_equal(rd(rig, RBR), 'a');
	assert_false(rig->f.irq_level);
	assert_int_equal(rd(rig, RBR), 'b');
	assert_true(rig->f.irq_level);
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_BI | LSR_FE | LSR_FIFO_ERROR);
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	assert_int_equal(rd(rig, RBR), 0);
	assert_int_equal(rd(rig, RBR), 'c');
	wr(rig, LCR, LCR_SET_BREAK);
	wr(rig, FCR, FCR_ENABLE | FCR_RCVR_RESET);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	wr(rig, FCR, 0);
	wr(rig, LCR, 0);
	wr(rig, LCR, LCR_SET_BREAK); /* 16450 mode: bit 7 stays 0 (8.4) */
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_BI | LSR_FE);
}

/* The probe of Linux's 8250 driver, which then calls the chip a 16550A that works. */
static void linux_finds_a_sound_16550a(void **state)
{
	struct rig *rig = *state;
	unsigned n = 0;

	looped(rig, MCR_OUT2 | MCR_RTS);
	assert_int_equal(rd(rig, MSR) & 0xf0, 0x90);
	wr(rig, MCR, 0);
	wr(rig, LCR, 0xbf); /* an EFR would be here */
	wr(rig, FCR, 0);
	wr(rig, LCR, 0);
	wr(rig, FCR, FCR_ENABLE);
	assert_int_equal(rd(rig, IIR) >> 6, 3);
	wr(rig, LCR, 0xe0); /* bank 2 of a National Super I/O would be here */
	looped(rig, 0);
	assert_int_equal(rd(rig, IIR) & MCR_LOOP, 0);
	wr(rig, LCR, 0x03);
	wr(rig, FCR, FCR_ENABLE | FCR_RCVR_RESET | FCR_XMIT_RESET);
	for (unsigned i = 0; i < 256; i++)
		wr(rig, THR, (uint8_t)i);
	for (; rd(rig, LSR) & LSR_DR; n++)
		rd(rig, RBR);
	assert_int_equal(n, 16);
	wr(rig, MCR, MCR_OUT2);
	wr(rig, FCR, 0);
	wr(rig, IER, IER_ETBEI); /* THRE must interrupt, and again when enabled anew */
	assert_int_equal(rd(rig, IIR), 0x02);
	wr(rig, IER, 0);
	wr(rig, IER, IER_ETBEI);
	assert_int_equal(rd(rig, IIR), 0x02);
	wr(rig, IER, 0);
	assert_int_equal(rig->f.out_len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(looped_bytes_come_back_and_leave_the_host_alone),
		TEST(loopback_overruns_in_both_modes),
		TEST(bytes_the_host_had_not_taken_wait_out_loopback),
		TEST(looped_modem_outputs_are_the_inputs),
		TEST(modem_changes_show_until_read),
		TEST(looped_break_is_one_zero_byte),
		TEST(an_error_shows_when_its_byte_is_next),
		TEST(linux_finds_a_sound_16550a),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
