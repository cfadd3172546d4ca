/* rtc_mc146818_rig.h - the MC146818 with fake clocks, for the two test files of this chip. */
#ifndef TESTS_RTC_MC146818_RIG_H
#define TESTS_RTC_MC146818_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"
#include "random.h"

enum { INDEX = 0, DATA = 1 };

enum {
	SEC = 0x00,
	SEC_ALARM = 0x01,
	MIN = 0x02,
	MIN_ALARM = 0x03,
	HOUR = 0x04,
	HOUR_ALARM = 0x05,
	WDAY = 0x06,
	DATE = 0x07,
	MON = 0x08,
	YEAR = 0x09,
	A = 0x0a,
	B = 0x0b,
	C = 0x0c,
	D = 0x0d,
	CENTURY = 0x32,

	UIP = 0x80,
	DV_RUN = 0x20,
	DV_RESET = 0x70,

	SET = 0x80,
	PIE = 0x40,
	AIE = 0x20,
	UIE = 0x10,
	SQWE = 0x08,
	DM = 0x04,
	H24 = 0x02,

	IRQF = 0x80,
	PF = 0x40,
	AF = 0x20,
	UF = 0x10,

	PM = 0x80,
	ANY = 0xc0,
};

#define MS INT64_C(1000000) /* ns */
#define US INT64_C(1000)

#define START_S INT64_C(1709251198) /* Thursday 2024-02-29 23:59:58 */

static struct fake_env fake;

static inline int setup_at(void **state, int64_t realtime_ns)
{
	struct device *dev;
	int r;

	fake_env_init(&fake);
	fake.realtime_ns = realtime_ns;
	fake.monotonic_ns = 5 * NS_PER_S + 12345;
	r = device_create(&rtc_mc146818_class, &fake.env, &dev);
	if (r == 0)
		*state = dev;
	return r;
}

static inline int setup(void **state)
{
	return setup_at(state, START_S * NS_PER_S + 250 * MS);
}

static inline uint8_t rd(struct device *dev, uint8_t reg)
{
	fake_write(dev, 0, INDEX, 1, reg);
	return (uint8_t)fake_read(dev, 0, DATA, 1);
}

static inline void wr(struct device *dev, uint8_t reg, uint8_t val)
{
	fake_write(dev, 0, INDEX, 1, reg);
	fake_write(dev, 0, DATA, 1, val);
}

static inline void expire(struct device *dev)
{
	fake.deadline_ns = INT64_MAX;
	device_lock(dev);
	dev->cls->expire(dev);
	device_unlock(dev);
}

/* Lets time pass as the event thread would see it: the timer expires whenever it is due. */
static inline void pass_ns(struct device *dev, int64_t ns)
{
	const int64_t end_ns = fake.monotonic_ns + ns;

	while (fake.deadline_ns <= end_ns) {
		assert_true(fake.deadline_ns > fake.monotonic_ns);
		fake_pass_ns(&fake, fake.deadline_ns - fake.monotonic_ns);
		expire(dev);
	}
	fake_pass_ns(&fake, end_ns - fake.monotonic_ns);
}

/* The ten time bytes in the order of a date: CCYY MM DD hh mm ss, and the day of the week. */
static inline void assert_bcd(struct device *dev, uint64_t date, uint64_t time, uint8_t wday)
{
	assert_int_equal((uint64_t)rd(dev, CENTURY) << 24 | (uint64_t)rd(dev, YEAR) << 16 |
				 (uint64_t)rd(dev, MON) << 8 | rd(dev, DATE),
			 date);
	assert_int_equal((uint64_t)rd(dev, HOUR) << 16 | (uint64_t)rd(dev, MIN) << 8 | rd(dev, SEC),
			 time);
	assert_int_equal(rd(dev, WDAY), wday);
}

static inline void set_time(struct device *dev, uint64_t date, uint64_t time)
{
	wr(dev, CENTURY, (uint8_t)(date >> 24));
	wr(dev, YEAR, (uint8_t)(date >> 16));
	wr(dev, MON, (uint8_t)(date >> 8));
	wr(dev, DATE, (uint8_t)date);
	wr(dev, HOUR, (uint8_t)(time >> 16));
	wr(dev, MIN, (uint8_t)(time >> 8));
	wr(dev, SEC, (uint8_t)time);
}

static inline void set_alarm(struct device *dev, uint8_t hour, uint8_t min, uint8_t sec)
{
	wr(dev, HOUR_ALARM, hour);
	wr(dev, MIN_ALARM, min);
	wr(dev, SEC_ALARM, sec);
}

static inline uint64_t rnd(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	return random_next(&state);
}

#endif
