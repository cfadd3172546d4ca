/*
 * fake_env.h - fakes of everything a struct device_env can hand to a device, and what the device did
 * with them. For unit tests and fuzz targets; one thread.
 */
#ifndef TESTS_FAKE_ENV_H
#define TESTS_FAKE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/macros.h"
#include "device.h"

enum { FAKE_OUT_MAX = 64 };

struct fake_env {
	struct clock_src clock; /* first: fake_clock_env() */
	int64_t realtime_ns, monotonic_ns;

	struct irq_line irq;
	bool irq_level;
	unsigned irq_sets, irq_redundant; /* calls; calls that did not change the level */

	struct irq_bank irqs;
	uint64_t irqs_high; /* a bit for each GSI */

	struct timer_line timer;
	int64_t deadline_ns; /* INT64_MAX: disarmed */
	unsigned arms;

	struct char_backend chr;
	size_t room; /* bytes that put still takes */
	bool refused;
	uint8_t out[FAKE_OUT_MAX]; /* the first bytes taken */
	size_t out_len;            /* all bytes taken, also past FAKE_OUT_MAX */
	unsigned input_wanted;
	uint16_t cols, rows; /* of the terminal; 0: there is none */

	struct power power;
	struct vm_end end; /* the last one */
	unsigned ends;

	struct device_env env; /* everything above */
};

static inline const struct fake_env *fake_clock_env(const struct clock_src *clk)
{
	return (const struct fake_env *)(const void *)clk;
}

static inline int64_t fake_realtime_ns(const struct clock_src *clk)
{
	return fake_clock_env(clk)->realtime_ns;
}

static inline int64_t fake_monotonic_ns(const struct clock_src *clk)
{
	return fake_clock_env(clk)->monotonic_ns;
}

static inline void fake_irq_set(struct irq_line *irq, bool level)
{
	struct fake_env *f = container_of(irq, struct fake_env, irq);

	f->irq_sets++;
	if (level == f->irq_level)
		f->irq_redundant++;
	f->irq_level = level;
}

static inline void fake_irqs_set(struct irq_bank *bank, unsigned gsi, bool level)
{
	struct fake_env *f = container_of(bank, struct fake_env, irqs);
	const uint64_t bit = UINT64_C(1) << gsi;

	f->irq_sets++;
	f->irq_redundant += level == ((f->irqs_high & bit) != 0);
	f->irqs_high = level ? f->irqs_high | bit : f->irqs_high & ~bit;
}

static inline void fake_timer_arm(struct timer_line *timer, int64_t deadline_ns)
{
	struct fake_env *f = container_of(timer, struct fake_env, timer);

	f->arms++;
	f->deadline_ns = deadline_ns;
}

static inline bool fake_chr_put(struct char_backend *be, uint8_t byte)
{
	struct fake_env *f = container_of(be, struct fake_env, chr);

	if (f->room == 0) {
		f->refused = true;
		return false;
	}
	f->room--;
	if (f->out_len < FAKE_OUT_MAX)
		f->out[f->out_len] = byte;
	f->out_len++;
	return true;
}

static inline size_t fake_chr_write(struct char_backend *be, const uint8_t *buf, size_t n)
{
	size_t taken = 0;

	while (taken < n && fake_chr_put(be, buf[taken]))
		taken++;
	return taken;
}

static inline bool fake_chr_size(const struct char_backend *be, uint16_t *ret_cols,
				 uint16_t *ret_rows)
{
	const char *base = (const char *)be - offsetof(struct fake_env, chr);
	const struct fake_env *f = (const void *)base;

	if (f->cols == 0)
		return false;
	*ret_cols = f->cols;
	*ret_rows = f->rows;
	return true;
}

static inline size_t fake_chr_room(const struct char_backend *be)
{
	const char *base = (const char *)be - offsetof(struct fake_env, chr);

	return ((const struct fake_env *)(const void *)base)->room;
}

static inline void fake_chr_input_wanted(struct char_backend *be)
{
	container_of(be, struct fake_env, chr)->input_wanted++;
}

static inline void fake_power_end(struct power *power, struct vm_end end)
{
	struct fake_env *f = container_of(power, struct fake_env, power);

	f->end = end;
	f->ends++;
}

static inline void fake_env_init(struct fake_env *f)
{
	*f = (struct fake_env){
		.clock = {.realtime_ns = fake_realtime_ns, .monotonic_ns = fake_monotonic_ns},
		.irq = {.set = fake_irq_set},
		.irqs = {.set = fake_irqs_set},
		.timer = {.arm = fake_timer_arm},
		.deadline_ns = INT64_MAX,
		.chr = {.write = fake_chr_write,
			.size = fake_chr_size,
			.room = fake_chr_room,
			.input_wanted = fake_chr_input_wanted},
		.room = FAKE_OUT_MAX,
		.power = {.end = fake_power_end},
	};
	f->env = (struct device_env){
		.clock = &f->clock,
		.irq = &f->irq,
		.irqs = &f->irqs,
		.timer = &f->timer,
		.chr = &f->chr,
		.power = &f->power,
	};
}

/* For cmocka: a device of that class with fresh fakes as the test's state, and its end. */
static inline int fake_setup(struct fake_env *f, const struct device_class *cls, void **state)
{
	struct device *dev;
	int r;

	fake_env_init(f);
	r = device_create(cls, &f->env, &dev);
	if (r == 0)
		*state = dev;
	return r;
}

static inline int fake_teardown(void **state)
{
	device_destroy(*state);
	return 0;
}

/* Time passes on both clocks; the timer does not run by itself. */
static inline void fake_pass_ns(struct fake_env *f, int64_t ns)
{
	f->realtime_ns += ns;
	f->monotonic_ns += ns;
}

static inline uint64_t fake_counter(struct device *dev)
{
	return dev->cls->counter(dev);
}

/*
 * One access as iobus makes it, under the device's lock. Where read_quick() would have answered, the read must have the
 * same answer.
 */
static inline uint64_t fake_read(struct device *dev, uint8_t range, uint64_t off, uint8_t size)
{
	const struct io_at at = {.off = off, .size = size, .range = range};
	uint64_t val, quick;
	bool is_quick = dev->cls->read_quick && dev->cls->read_quick(dev, at, &quick);

	device_lock(dev);
	val = dev->cls->read(dev, at);
	device_unlock(dev);
	if (is_quick && quick != val)
		abort();
	return val;
}

static inline void fake_write(struct device *dev, uint8_t range, uint64_t off, uint8_t size,
			      uint64_t val)
{
	device_lock(dev);
	dev->cls->write(dev, (struct io_at){.off = off, .size = size, .range = range}, val);
	device_unlock(dev);
}

#endif
