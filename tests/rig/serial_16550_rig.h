/*
 * serial_16550_rig.h - a 16550A between fakes, for its unit tests. Include after cmocka.h.
 *
 * Register values are written out from the datasheet's tables rather than taken from the device, so
 * that a wrong constant there shows here.
 */
#ifndef UNIT_SERIAL_16550_RIG_H
#define UNIT_SERIAL_16550_RIG_H

#include <string.h>

#include "devices/classes.h"
#include "fake_env.h"

enum { RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2 };
enum { LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { IER_ERBFI = 0x01, IER_ETBEI = 0x02, IER_ELSI = 0x04, IER_EDSSI = 0x08 };
enum { FCR_ENABLE = 0x01, FCR_RCVR_RESET = 0x02, FCR_XMIT_RESET = 0x04 };
enum { LCR_SET_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10 };
enum { LSR_DR = 0x01, LSR_OE = 0x02, LSR_FE = 0x08, LSR_BI = 0x10 };
enum { LSR_THRE = 0x20, LSR_IDLE = 0x60, LSR_FIFO_ERROR = 0x80 };
enum { MSR_IDLE = 0xb0 };

struct rig {
	struct fake_env f;
	struct device *dev;
};

static inline int rig_setup(void **state)
{
	struct rig *rig = test_calloc(1, sizeof(*rig));

	fake_env_init(&rig->f);
	if (device_create(&serial_16550_class, &rig->f.env, &rig->dev) < 0)
		return -1;
	*state = rig;
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct rig *rig = *state;
	unsigned irq_redundant = rig->f.irq_redundant;

	device_destroy(rig->dev);
	test_free(rig);
	return irq_redundant == 0 ? 0 : -1; /* setting the line to what it is costs a system call */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static inline uint8_t rd(struct rig *rig, uint64_t off)
{
	return (uint8_t)fake_read(rig->dev, 0, off, 1);
}

static inline void wr(struct rig *rig, uint64_t off, uint8_t val)
{
	fake_write(rig->dev, 0, off, 1, val);
}

/* The guest writes a string to THR. */
static inline void send(struct rig *rig, const char *s)
{
	for (; *s; s++)
		wr(rig, THR, (uint8_t)*s);
}

static inline void looped(struct rig *rig, uint8_t mcr)
{
	wr(rig, MCR, MCR_LOOP | mcr);
}

/* The guest shows that it receives, by interrupt or by polling. */

static inline void receive_by_irq(struct rig *rig)
{
	wr(rig, MCR, MCR_OUT2);
	wr(rig, IER, IER_ERBFI);
}

static inline void lsr_reads(struct rig *rig, unsigned n)
{
	while (n-- > 0)
		rd(rig, LSR);
}

/* Calls of the back end, on the event thread. */

static inline size_t rx_room(struct rig *rig)
{
	size_t room;

	device_lock(rig->dev);
	room = rig->dev->cls->chr->rx_room(rig->dev);
	device_unlock(rig->dev);
	return room;
}

static inline void rx_bytes(struct rig *rig, const uint8_t *buf, size_t n)
{
	device_lock(rig->dev);
	rig->dev->cls->chr->rx(rig->dev, buf, n);
	device_unlock(rig->dev);
}

static inline void rx(struct rig *rig, const char *s)
{
	rx_bytes(rig, (const uint8_t *)s, strlen(s));
}

static inline void tx_room(struct rig *rig)
{
	device_lock(rig->dev);
	rig->dev->cls->chr->tx_room(rig->dev);
	device_unlock(rig->dev);
}

/* How often the line rose; it was low at first and rig_teardown() refuses redundant calls. */
static inline unsigned rising_edges(const struct rig *rig)
{
	return (rig->f.irq_sets + rig->f.irq_level) / 2;
}

/* All that the back end has taken since the device was made. */
#define assert_out(rig, s)                                                                         \
	do {                                                                                       \
		assert_int_equal((rig)->f.out_len, strlen(s));                                     \
		assert_memory_equal((rig)->f.out, s, strlen(s));                                   \
	} while (0)

#endif
