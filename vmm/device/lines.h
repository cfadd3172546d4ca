/*
 * device/lines.h - the lines between a device and what surrounds it. Back ends, timers and interrupt
 * controllers implement or call them without a struct device.
 *
 * Threads: as device.h states for each line.
 */
#ifndef VMM_DEVICE_LINES_H
#define VMM_DEVICE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm_end.h"

struct clock_src {
	int64_t (*realtime_ns)(const struct clock_src *clk);  /* since 1970-01-01T00:00:00Z */
	int64_t (*monotonic_ns)(const struct clock_src *clk); /* never goes back */
};

/* One interrupt input of the interrupt controller. */
struct irq_line {
	void (*set)(struct irq_line *irq, bool level);
	void (*pulse)(struct irq_line *irq); /* up and down: one edge */
};

/* All inputs of the interrupt controller, by GSI, for a device that tests it. The level of the last call counts. */
struct irq_bank {
	void (*set)(struct irq_bank *bank, unsigned gsi, bool level);
};

/* A one-shot timer; when it expires the event thread calls device_class.expire. */
struct timer_line {
	/* Deadline in monotonic_ns of clock_src; replaces an earlier one. INT64_MAX disarms. */
	void (*arm)(struct timer_line *timer, int64_t deadline_ns);
};

/* Where a character device's output goes and where its input comes from. Never blocks. */
struct char_backend {
	/* Takes the first so many of n bytes; tx_room is called when that was less and there is room. */
	size_t (*write)(struct char_backend *be, const uint8_t *buf, size_t n);
	/* Bytes that write takes for certain: only write makes it less. */
	size_t (*room)(const struct char_backend *be);
	/* The device's rx_room grew: input held back may be offered again. */
	void (*input_wanted)(struct char_backend *be);
	/* Characters per line and lines; false, and nothing is stored, when there is no terminal. */
	bool (*size)(const struct char_backend *be, uint16_t *ret_cols, uint16_t *ret_rows);
};

/* One byte; false when there is no room. */
static inline bool char_backend_put(struct char_backend *be, uint8_t byte)
{
	return be->write(be, &byte, 1) == 1;
}

/* A character device as its back end sees it. The event thread; each call takes the device's lock. */
struct char_client {
	bool (*listens)(struct char_client *client); /* whether input is for this device, now */
	/* The device takes the first bytes, as many as it has room for; returns how many of n. */
	size_t (*input)(struct char_client *client, const uint8_t *buf, size_t n);
	/*
	 * A break, and n bytes after it. False, and nothing is taken, without room for all, or for a device of no line.
	 */
	bool (*line_break)(struct char_client *client, const uint8_t *buf, size_t n);
	void (*output_room)(struct char_client *client); /* write took less; there is room again */
	void (*resized)(struct char_client *client);     /* size may have changed */
};

/* How a device ends the VM. The first end counts; returns at once, the VM stops soon after. */
struct power {
	void (*end)(struct power *power, struct vm_end end);
};

#endif
