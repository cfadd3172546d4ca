/*
 * Randomized tests of the 16550A, with fixed seeds: no byte is lost or reordered whatever the back
 * end has room for, drivers that live on interrupt edges never stall, and no sequence of register
 * accesses breaks what always holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "random.h"
#include "serial_16550_rig.h"

/* Both directions as numbered bytes, and how far each is. */
struct flow {
	struct rig *rig;
	uint64_t random;
	unsigned depth;    /* 16 or 1 */
	unsigned sent;     /* written to THR */
	unsigned taken;    /* by the back end, checked */
	unsigned offered;  /* given to the receiver */
	unsigned received; /* read from RBR, checked */
	unsigned refusals; /* times the back end had no room */
	unsigned loops;    /* excursions to loopback */
};

/* The n-th byte of either direction; neighbours, and bytes 256 apart, differ. */
static uint8_t numbered(unsigned n)
{
	return (uint8_t)(n * 167 + (n >> 8));
}

/* Checks and forgets what the back end took. */
static void check_out(struct flow *fl)
{
	struct fake_env *f = &fl->rig->f;

	assert_true(f->out_len <= FAKE_OUT_MAX);
	for (size_t i = 0; i < f->out_len; i++)
		assert_int_equal(f->out[i], numbered(fl->taken++));
	f->out_len = 0;
	assert_true(fl->taken <= fl->sent);
}

static void guest_writes(struct flow *fl, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		wr(fl->rig, THR, numbered(fl->sent++));
	check_out(fl);
}

static void guest_reads_one(struct flow *fl)
{
	assert_int_equal(rd(fl->rig, RBR), numbered(fl->received++));
	assert_true(fl->received <= fl->offered);
}

static unsigned guest_drains(struct flow *fl)
{
	unsigned n = 0;

	for (; rd(fl->rig, LSR) & LSR_DR; n++)
		guest_reads_one(fl);
	return n;
}

/* The host's reader took something, so there is room; the device hears of it if it was refused. */
static void host_makes_room(struct flow *fl, unsigned bytes)
{
	fl->rig->f.room = bytes;
	if (bytes == 0 || !fl->rig->f.refused)
		return;
	fl->refusals++;
	fl->rig->f.refused = false;
	tx_room(fl->rig);
	check_out(fl);
}

static void host_offers(struct flow *fl, unsigned max)
{
	uint8_t buf[16];
	size_t room = rx_room(fl->rig);

	assert_true(room <= fl->depth);
	if (max < room)
		room = max;
	for (size_t i = 0; i < room; i++)
		buf[i] = numbered(fl->offered++);
	rx_bytes(fl->rig, buf, room);
}

/* A self-test in the middle of everything: what the host sees must not change. */
static void guest_visits_loopback(struct flow *fl)
{
	uint8_t mcr = rd(fl->rig, MCR), probe = (uint8_t)random_below(&fl->random, 256);
	unsigned n = random_below(&fl->random, fl->depth + 1);

	fl->loops++;
	looped(fl->rig, mcr);
	guest_drains(fl);
	for (unsigned i = 0; i < n; i++)
		wr(fl->rig, THR, (uint8_t)(probe + i));
	host_makes_room(fl, random_below(&fl->random, 20));
	assert_int_equal(rx_room(fl->rig), 0);
	assert_int_equal(fl->rig->f.out_len, 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(rd(fl->rig, RBR), (uint8_t)(probe + i));
	wr(fl->rig, MCR, mcr);
	check_out(fl);
}

static void guest_changes_mode(struct flow *fl)
{
	guest_drains(fl);
	if (!(rd(fl->rig, LSR) & LSR_THRE))
		return;
	fl->depth = random_below(&fl->random, 2) ? 16 : 1;
	wr(fl->rig, FCR,
	   fl->depth == 1 ? 0 : (uint8_t)(random_below(&fl->random, 4) << 6 | FCR_ENABLE));
}

static void stream_step(struct flow *fl)
{
	struct rig *rig = fl->rig;

	switch (random_below(&fl->random, 12)) {
	case 0:
	case 1:
	case 2:
		if (rd(rig, LSR) & LSR_THRE)
			guest_writes(fl, 1 + random_below(&fl->random, fl->depth));
		break;
	case 3:
	case 4:
		if (rd(rig, LSR) & LSR_DR)
			guest_reads_one(fl);
		break;
	case 5: guest_drains(fl); break;
	case 6: host_makes_room(fl, random_below(&fl->random, 24)); break;
	case 7: host_offers(fl, random_below(&fl->random, 20)); break;
	case 8: wr(rig, IER, (uint8_t)random_below(&fl->random, 16)); break;
	case 9: rd(rig, IIR); break;
	case 10: wr(rig, MCR, random_below(&fl->random, 2) ? MCR_OUT2 : MCR_DTR); break;
	default:
		if (random_below(&fl->random, 4) == 0)
			guest_visits_loopback(fl);
		else if (random_below(&fl->random, 4) == 0)
			guest_changes_mode(fl);
		break;
	}
	assert_int_equal(rd(rig, LSR) & (LSR_OE | LSR_FE | LSR_BI), 0);
}

static void no_byte_is_lost_or_reordered(void **state)
{
	struct flow fl = {.rig = *state, .random = 0x16550a, .depth = 1};

	fl.rig->f.room = 0;
	for (int i = 0; i < 200000; i++)
		stream_step(&fl);
	host_makes_room(&fl, 60);
	guest_drains(&fl);
	assert_int_equal(fl.taken, fl.sent);
	assert_int_equal(fl.received, fl.offered);
	assert_int_equal(fl.rig->dev->guest_errors, 0);
	/* The run has been where it was meant to go. */
	assert_true(fl.sent > 10000 && fl.offered > 10000);
	assert_true(fl.refusals > 1000 && fl.loops > 1000);
}

/*
 * Drivers of an edge-triggered controller: each runs only for a rising edge seen since it last
 * ran, and does what it would on hardware. The host is as slow as it likes.
 */

struct driver {
	const char *name;
	void (*isr)(struct flow *fl, unsigned to_send);
	unsigned depth;
	uint8_t fcr;
	bool receives, host_stalls;
};

/* Until IIR shows none, as Linux does; the transmitter's interrupt is off while there is no data. */
static void isr_serves_all(struct flow *fl, unsigned to_send)
{
	struct rig *rig = fl->rig;

	for (unsigned n = 0;; n++) {
		assert_true(n < 1000);
		switch (rd(rig, IIR) & 0x0f) {
		case 0x06: rd(rig, LSR); break;
		case 0x04:
		case 0x0c: guest_drains(fl); break;
		case 0x02:
			if (to_send == fl->sent)
				wr(rig, IER, IER_ERBFI);
			else
				guest_writes(fl, to_send - fl->sent < fl->depth ? to_send - fl->sent
										: fl->depth);
			break;
		case 0x00: rd(rig, MSR); break;
		default: return;
		}
	}
}

/* The share that one interrupt promises: the trigger level, or one byte on a timeout. */
static void isr_reads_its_share(struct flow *fl, unsigned to_send)
{
	unsigned iir = rd(fl->rig, IIR) & 0x0f;

	(void)to_send;
	for (unsigned n = iir == 0x04 ? 14 : iir == 0x0c ? 1 : 0; n > 0; n--)
		guest_reads_one(fl);
}

/* Writes what fits and looks at no register at all. */
static void isr_writes_blindly(struct flow *fl, unsigned to_send)
{
	unsigned left = to_send - fl->sent;

	if (left == 0)
		wr(fl->rig, IER, 0);
	else
		guest_writes(fl, left < fl->depth ? left : fl->depth);
}

/* Goes by LSR alone, and writes less than would fit. */
static void isr_writes_by_lsr(struct flow *fl, unsigned to_send)
{
	unsigned left = to_send - fl->sent, n = 1 + random_below(&fl->random, fl->depth);

	if (!(rd(fl->rig, LSR) & LSR_THRE))
		return;
	if (left == 0)
		wr(fl->rig, IER, 0);
	else
		guest_writes(fl, left < n ? left : n);
}

/* Runs the handler for each edge, as the controller holds one while it runs. */
static void deliver(struct flow *fl, const struct driver *drv, unsigned to_send, unsigned *seen)
{
	while (rising_edges(fl->rig) != *seen) {
		*seen = rising_edges(fl->rig);
		drv->isr(fl, to_send);
	}
}

static void run_driver(struct rig *rig, const struct driver *drv)
{
	struct flow fl = {.rig = rig, .random = 0x8250, .depth = drv->depth};
	unsigned to_send = 0, seen = rising_edges(rig);
	uint8_t ier = drv->receives ? IER_ERBFI : 0;

	wr(rig, FCR, drv->fcr);
	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, ier);
	for (int i = 0; i < 20000; i++) {
		if (drv->receives && random_below(&fl.random, 3) == 0)
			host_offers(&fl, random_below(&fl.random, 20));
		host_makes_room(&fl, drv->host_stalls ? random_below(&fl.random, 12) : 1000);
		if (drv->isr != isr_reads_its_share && random_below(&fl.random, 4) == 0 &&
		    to_send == fl.sent) {
			to_send += random_below(&fl.random, 100);
			wr(rig, IER, ier | IER_ETBEI);
		}
		if (random_below(&fl.random, 2))
			deliver(&fl, drv, to_send, &seen);
	}
	do {
		host_makes_room(&fl, 1000);
		deliver(&fl, drv, to_send, &seen);
	} while (rig->f.refused);
	if (fl.sent != to_send || fl.taken != to_send || fl.received != fl.offered)
		fail_msg("%s: %u of %u sent, %u taken, %u of %u received", drv->name, fl.sent,
			 to_send, fl.taken, fl.received, fl.offered);
	assert_true(fl.sent + fl.received > 10000);
	assert_int_equal(rig->dev->guest_errors, 0);
}

static void edge_driven_drivers_never_stall(void **state)
{
	static const struct driver drivers[] = {
		{"serves all, FIFO", isr_serves_all, 16, 0x81, true, true},
		{"serves all, 16450", isr_serves_all, 1, 0, true, true},
		{"reads its share", isr_reads_its_share, 16, 0xc1, true, false},
		{"writes by LSR, FIFO", isr_writes_by_lsr, 16, 0x01, false, true},
		{"writes by LSR, 16450", isr_writes_by_lsr, 1, 0, false, true},
		{"writes blindly, 16450", isr_writes_blindly, 1, 0, false, true},
		{"writes blindly, FIFO, host keeps up", isr_writes_blindly, 16, 0x01, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		void *rig = NULL;

		assert_int_equal(rig_setup(&rig), 0);
		if (!rig) /* clang-tidy: cmocka's asserts do return, as far as it sees */
			return;
		run_driver(rig, &drivers[i]);
		assert_int_equal(rig_teardown(&rig), 0);
	}
}

/* A hostile guest and a careless back end: any access, any value, more input than there is room. */
static void storm_step(struct flow *fl)
{
	static const uint8_t junk[40];
	struct rig *rig = fl->rig;

	switch (random_below(&fl->random, 10)) {
	case 0: rx_bytes(rig, junk, random_below(&fl->random, sizeof(junk) + 1)); break;
	case 1: tx_room(rig); break;
	case 2: rig->f.room = random_below(&fl->random, 40); break;
	case 3:
	case 4:
	case 5: rd(rig, random_below(&fl->random, 8)); break;
	default:
		wr(rig, random_below(&fl->random, 8), (uint8_t)random_below(&fl->random, 256));
		break;
	}
}

static void no_access_breaks_the_invariants(void **state)
{
	struct rig *rig = *state;
	struct flow fl = {.rig = rig, .random = 0x16450};
	unsigned high = 0, low = 0;

	for (int i = 0; i < 300000; i++) {
		bool was_looped = rd(rig, MCR) & MCR_LOOP, is_looped;
		uint8_t mcr;

		rig->f.out_len = 0;
		storm_step(&fl);
		mcr = rd(rig, MCR);
		is_looped = mcr & MCR_LOOP;
		if (was_looped && is_looped) /* nothing leaves the chip */
			assert_int_equal(rig->f.out_len, 0);
		/* Having read MCR, the guest does not poll. */
		assert_true(rx_room(rig) <= (is_looped || !(mcr & MCR_OUT2) ? 0 : 16));
		if (random_below(&fl.random, 4))
			continue;
		if (rig->f.irq_level) { /* before IIR, which may reset what it shows */
			assert_true(mcr & MCR_OUT2);
			assert_int_equal(rd(rig, IIR) & 1, 0);
			high++;
		} else if (mcr & MCR_OUT2) {
			assert_int_equal(rd(rig, IIR) & 1, 1);
			low++;
		}
	}
	assert_true(high > 1000 && low > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_byte_is_lost_or_reordered),
		TEST(edge_driven_drivers_never_stall),
		TEST(no_access_breaks_the_invariants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
