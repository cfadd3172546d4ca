/*
 * Unit tests of the 16550A: when host input comes in. It waits with the back end until the guest shows
 * that it receives, because whatever came before would fall to the driver's set-up. Section numbers
 * are the datasheet's, as in vmm/devices/serial_16550.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "serial_16550_rig.h"

enum { LOOKS = 8 }; /* on end make a polling receiver */

/* A receiver by interrupt. */

static void an_interrupt_that_reaches_nobody_is_no_receiver(void **state)
{
	struct rig *rig = *state;

	wr(rig, IER, IER_ERBFI); /* as a probe sets it */
	assert_int_equal(rx_room(rig), 0);
	wr(rig, IER, 0);
	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ETBEI | IER_ELSI | IER_EDSSI);
	assert_int_equal(rx_room(rig), 0);
	assert_int_equal(rig->f.input_wanted, 0);
	wr(rig, IER, IER_ERBFI);
	assert_int_equal(rx_room(rig), 1);
	assert_int_equal(rig->f.input_wanted, 1);
}

static void input_is_wanted_when_the_interrupt_comes_on_and_not_after_it_went_off(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	wr(rig, IER, IER_ERBFI);
	wr(rig, MCR, MCR_OUT2);
	assert_int_equal(rx_room(rig), 16);
	assert_int_equal(rig->f.input_wanted, 1);
	wr(rig, IER, IER_ERBFI | IER_ELSI); /* as before */
	assert_int_equal(rig->f.input_wanted, 1);
	wr(rig, IER, IER_ELSI);
	assert_int_equal(rx_room(rig), 0);
	wr(rig, IER, IER_ERBFI);
	assert_int_equal(rx_room(rig), 16);
	assert_int_equal(rig->f.input_wanted, 2);
	wr(rig, MCR, 0);
	assert_int_equal(rx_room(rig), 0);
	assert_int_equal(rig->f.input_wanted, 2);
}

static void what_came_in_stays_readable_with_the_interrupt_off(void **state)
{
	struct rig *rig = *state;

	wr(rig, FCR, FCR_ENABLE);
	receive_by_irq(rig);
	rx(rig, "ab");
	wr(rig, IER, 0); /* as a driver does that works off what an interrupt announced */
	rig->f.input_wanted = 0;
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	assert_int_equal(rd(rig, RBR), 'a');
	assert_int_equal(rd(rig, RBR), 'b');
	assert_int_equal(rig->f.input_wanted, 0); /* there is no room for more */
	wr(rig, IER, IER_ERBFI);
	assert_int_equal(rig->f.input_wanted, 1);
}

/* A receiver that polls. */

static void looks_on_end_are_a_receiver(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < LOOKS; i++) {
		assert_int_equal(rx_room(rig), 0);
		assert_int_equal(rig->f.input_wanted, 0);
		rd(rig, RBR); /* belongs to looking */
		rd(rig, LSR);
	}
	assert_int_equal(rx_room(rig), 1);
	assert_int_equal(rig->f.input_wanted, 1);
	lsr_reads(rig, 1000);
	assert_int_equal(rig->f.input_wanted, 1);
	rx(rig, "a");
	assert_int_equal(rx_room(rig), 0);
	lsr_reads(rig, 1);
	assert_int_equal(rd(rig, RBR), 'a');
	assert_int_equal(rx_room(rig), 1);
	assert_int_equal(rig->f.input_wanted, 2);
}

/* Every access but those of polling; to THR only before there is a receiver. */
static void assert_ends_polling(struct rig *rig, bool write, uint64_t off, bool also_receiver)
{
	const uint8_t val = off == LCR ? LCR_DLAB & rd(rig, LCR) : 0;

	for (unsigned looks = LOOKS - 1; looks <= (also_receiver ? LOOKS : LOOKS - 1); looks++) {
		wr(rig, SCR, 0);
		lsr_reads(rig, looks);
		assert_int_equal(rx_room(rig), looks == LOOKS);
		if (write)
			wr(rig, off, val);
		else
			rd(rig, off);
		assert_int_equal(rx_room(rig), 0);
		lsr_reads(rig, LOOKS - 1);
		assert_int_equal(rx_room(rig), 0);
		lsr_reads(rig, 1);
		assert_int_equal(rx_room(rig), 1);
	}
}

static void any_other_access_is_not_looking(void **state)
{
	struct rig *rig = *state;

	for (int dlab = 0; dlab < 2; dlab++) {
		wr(rig, LCR, dlab ? LCR_DLAB : 0);
		for (uint64_t off = 0; off < 8; off++) {
			assert_ends_polling(rig, true, off, off != THR || dlab);
			if (off != LSR && (off != RBR || dlab))
				assert_ends_polling(rig, false, off, true);
		}
	}
}

static void a_polling_receiver_may_send(void **state)
{
	struct rig *rig = *state;

	lsr_reads(rig, LOOKS);
	send(rig, "echo");
	assert_int_equal(rx_room(rig), 1);
	rd(rig, LSR);
	send(rig, "echo");
	assert_int_equal(rx_room(rig), 1);
	assert_int_equal(rig->f.input_wanted, 1);
}

/* printk's way: a look at LSR before every byte, one after the last. */
static void sending_by_polling_is_no_receiver(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < 100; i++) {
		rd(rig, LSR);
		send(rig, "x");
		rd(rig, LSR);
	}
	assert_int_equal(rx_room(rig), 0);
}

static void waiting_to_send_is_no_receiver(void **state)
{
	struct rig *rig = *state;

	rig->f.room = 0;
	send(rig, "x");
	lsr_reads(rig, 10000); /* the host's reader is slow */
	assert_int_equal(rx_room(rig), 0);
	rig->f.room = 9;
	tx_room(rig);
	lsr_reads(rig, LOOKS);
	rig->f.room = 0;
	send(rig, "x");
	lsr_reads(rig, 10000); /* nor does it end one */
	assert_int_equal(rx_room(rig), 1);
}

/* Linux without an interrupt for the port: ERBFI, no OUT2, and IIR from a timer. */
static void looks_at_iir_are_a_receiver_where_they_show_data(void **state)
{
	struct rig *rig = *state;

	wr(rig, IER, IER_ETBEI);
	for (int i = 0; i < 100; i++)
		rd(rig, IIR);
	assert_int_equal(rx_room(rig), 0);
	wr(rig, IER, IER_ERBFI);
	for (int i = 0; i < LOOKS; i++) {
		assert_int_equal(rx_room(rig), 0);
		assert_int_equal(rd(rig, IIR), 0x01);
	}
	assert_int_equal(rx_room(rig), 1);
	assert_int_equal(rig->f.input_wanted, 1);
}

static void looks_in_loopback_bring_no_host_input(void **state)
{
	struct rig *rig = *state;

	looped(rig, 0);
	lsr_reads(rig, 100);
	assert_int_equal(rx_room(rig), 0);
	wr(rig, MCR, 0);
	assert_int_equal(rx_room(rig), 0);
	assert_int_equal(rig->f.input_wanted, 0);
}

/* Changes of mode. */

static void input_outlives_the_change_to_fifo_mode_of_a_receiver(void **state)
{
	struct rig *rig = *state;

	receive_by_irq(rig);
	rx(rig, "a");
	wr(rig, FCR, 0x80 | FCR_ENABLE);
	assert_true(rig->f.irq_level);
	assert_int_equal(rx_room(rig), 15);
	assert_int_equal(rd(rig, IIR), 0xcc); /* below the trigger level now */
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	rx(rig, "b");
	assert_int_equal(rd(rig, RBR), 'a');
	assert_int_equal(rd(rig, RBR), 'b');
	assert_false(rig->f.irq_level);
}

static void a_receiver_may_still_discard_input(void **state)
{
	struct rig *rig = *state;

	receive_by_irq(rig);
	rx(rig, "a");
	wr(rig, FCR, FCR_ENABLE | FCR_RCVR_RESET); /* says so */
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	rx(rig, "abc");
	wr(rig, FCR, 0); /* 16450 mode has no place for them */
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	looped(rig, MCR_OUT2);
	send(rig, "x");
	wr(rig, FCR, FCR_ENABLE); /* not the host's */
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	assert_false(rig->f.irq_level);
}

/*
 * Linux's 8250 driver, access by access, and a host that has input at any time: it comes through whole,
 * from the first byte on.
 */

struct access {
	char op;          /* 'r' or 'w' */
	uint8_t off, val; /* val of a write; what is read counts only in drain() */
};

struct host {
	struct rig *rig;
	uint8_t offered, received; /* bytes are numbered */
};

static void host_offers(struct host *host)
{
	for (size_t room = rx_room(host->rig); room > 0; room--) {
		rx_bytes(host->rig, &host->offered, 1);
		host->offered++;
	}
}

static void run(struct host *host, const struct access *seq, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (seq[i].op == 'w')
			wr(host->rig, seq[i].off, seq[i].val);
		else
			rd(host->rig, seq[i].off);
		host_offers(host);
	}
}

/* The interrupt handler, to its end. */
static void drain(struct host *host)
{
	while (!(rd(host->rig, IIR) & 0x01))
		while (rd(host->rig, LSR) & LSR_DR)
			assert_int_equal(rd(host->rig, RBR), host->received++);
	assert_int_equal(host->received, host->offered);
}

/* autoconfig() and autoconfig_16550a(): is there an IER, a loopback, an EFR, a FIFO. */
static const struct access linux_probe[] = {
	{'r', IER, 0}, {'w', IER, 0},        {'r', IER, 0}, {'w', IER, 0x0f}, {'r', IER, 0},
	{'w', IER, 0}, {'r', MCR, 0},        {'r', LCR, 0}, {'w', MCR, 0x1a}, {'r', MSR, 0},
	{'w', MCR, 0}, {'w', LCR, 0xbf},     {'w', FCR, 0}, {'w', LCR, 0},    {'w', FCR, 0x01},
	{'r', IIR, 0}, {'w', LCR, LCR_DLAB}, {'r', FCR, 0}, {'w', LCR, 0xbf}, {'r', FCR, 0},
	{'w', LCR, 0}, {'r', IER, 0},        {'w', IER, 0}, {'r', IER, 0},    {'w', IER, 0x40},
	{'r', IER, 0}, {'w', IER, 0},        {'w', MCR, 0}, {'w', FCR, 0x01}, {'w', FCR, 0x07},
	{'w', FCR, 0}, {'r', RBR, 0},        {'w', IER, 0},
};

/* serial8250_do_startup(), serial8250_do_set_termios(), then DTR and RTS. */
static const struct access linux_open[] = {
	{'w', FCR, 0x01}, {'w', FCR, 0x07},
	{'w', FCR, 0},    {'r', LSR, 0},
	{'r', RBR, 0},    {'r', IIR, 0},
	{'r', MSR, 0},    {'r', LSR, 0},
	{'w', IER, 0x02}, {'r', IIR, 0},
	{'w', IER, 0},    {'w', IER, 0x02},
	{'r', IIR, 0},    {'w', IER, 0},
	{'w', LCR, 0x03}, {'w', MCR, 0x09},
	{'w', IER, 0x02}, {'r', LSR, 0},
	{'r', IIR, 0},    {'w', IER, 0},
	{'r', LSR, 0},    {'r', RBR, 0},
	{'r', IIR, 0},    {'r', MSR, 0},
	{'w', IER, 0x05}, {'w', LCR, LCR_DLAB | 3},
	{'w', DLL, 1},    {'w', DLM, 0},
	{'w', LCR, 0x03}, {'w', FCR, 0x01},
	{'w', FCR, 0x81}, {'w', MCR, 0x09},
	{'w', MCR, 0x0b},
};

/* serial8250_console_write() of two characters, with and without the tty open: IER is put back. */
static const struct access linux_printk_open[] = {
	{'r', IER, 0}, {'w', IER, 0},   {'r', LSR, 0}, {'w', THR, 'o'},
	{'r', LSR, 0}, {'w', THR, 'k'}, {'r', LSR, 0}, {'w', IER, 5},
};
static const struct access linux_printk_closed[] = {
	{'r', IER, 0}, {'w', IER, 0},   {'r', LSR, 0}, {'w', THR, 'o'},
	{'r', LSR, 0}, {'w', THR, 'k'}, {'r', LSR, 0}, {'w', IER, 0},
};

/* serial8250_do_shutdown(). */
static const struct access linux_close[] = {
	{'w', IER, 0},    {'w', MCR, 0x03}, {'r', LCR, 0}, {'w', LCR, 0x03},
	{'w', FCR, 0x01}, {'w', FCR, 0x07}, {'w', FCR, 0}, {'r', RBR, 0},
};

#define RUN(host, seq) run(host, seq, ARRAY_SIZE(seq))

static void linux_loses_no_byte_from_its_probe_to_a_reopened_tty(void **state)
{
	struct host host = {.rig = *state};

	host_offers(&host);
	RUN(&host, linux_printk_closed);
	RUN(&host, linux_probe);
	assert_int_equal(host.offered, 0);
	for (int i = 0; i < 3; i++) {
		uint8_t before;

		RUN(&host, linux_open);
		assert_true(host.offered > host.received);
		drain(&host);
		host_offers(&host);
		RUN(&host, linux_printk_open);
		drain(&host);
		before = host.offered;
		RUN(&host, linux_close);
		RUN(&host, linux_printk_closed);
		assert_int_equal(host.offered, before);
	}
}

static void line_break(struct rig *rig)
{
	device_lock(rig->dev);
	rig->dev->cls->chr->rx_break(rig->dev);
	device_unlock(rig->dev);
}

/* 8.4: one zero byte, shown with BI and FE once it is the next to be read, and an interrupt for line status. */
static void a_break_is_a_zero_byte_with_its_bits(void **state)
{
	struct rig *rig = *state;

	receive_by_irq(rig);
	wr(rig, FCR, FCR_ENABLE);
	wr(rig, IER, IER_ERBFI | IER_ELSI);
	rx(rig, "a");
	line_break(rig);
	rx(rig, "k");
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_FIFO_ERROR);
	assert_int_equal(rd(rig, RBR), 'a');
	assert_int_equal(rd(rig, IIR) & 0x0f, 0x06); /* receiver line status */
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR | LSR_BI | LSR_FE | LSR_FIFO_ERROR);
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	assert_int_equal(rd(rig, RBR), 0);
	assert_int_equal(rd(rig, LSR), LSR_IDLE | LSR_DR);
	assert_int_equal(rd(rig, RBR), 'k');
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
}

/* Its input is disconnected in loopback (8.8). */
static void a_break_is_lost_in_loopback(void **state)
{
	struct rig *rig = *state;

	receive_by_irq(rig);
	wr(rig, MCR, MCR_OUT2 | MCR_LOOP);
	line_break(rig);
	assert_int_equal(rd(rig, LSR), LSR_IDLE);
	assert_int_equal(rx_room(rig), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_interrupt_that_reaches_nobody_is_no_receiver),
		TEST(input_is_wanted_when_the_interrupt_comes_on_and_not_after_it_went_off),
		TEST(what_came_in_stays_readable_with_the_interrupt_off),
		TEST(looks_on_end_are_a_receiver),
		TEST(any_other_access_is_not_looking),
		TEST(a_polling_receiver_may_send),
		TEST(sending_by_polling_is_no_receiver),
		TEST(waiting_to_send_is_no_receiver),
		TEST(looks_at_iir_are_a_receiver_where_they_show_data),
		TEST(looks_in_loopback_bring_no_host_input),
		TEST(input_outlives_the_change_to_fifo_mode_of_a_receiver),
		TEST(a_receiver_may_still_discard_input),
		TEST(a_break_is_a_zero_byte_with_its_bits),
		TEST(a_break_is_lost_in_loopback),
		TEST(linux_loses_no_byte_from_its_probe_to_a_reopened_tty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
