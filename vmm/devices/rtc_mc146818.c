/*
 * MC146818A real-time clock with CMOS RAM (Motorola MC146818A data sheet, "registers" and "update
 * cycle"; IBM AT Technical Reference for the ports). Range 0: index port 0x70 at offset 0, data port
 * 0x71 at offset 1. All times here are in ns or s.
 *
 * How time is kept. As on the chip, the time registers are bytes that an update cycle advances once a
 * second, and what the guest writes stays as written until the next one. No timer counts the seconds:
 * an access that depends on them first does, in one step, all updates since the last such access.
 * The seconds themselves come from the host's real time plus phase_ns ("the chain"), so that the
 * guest's clock follows the host's when that is corrected; periods are counted on the monotonic
 * clock, which no correction moves. However far either clock jumped, catching up costs the same.
 *
 * - An update happens at the full second of the chain, in no time; UIP reads 1 during the 2,228 us
 *   before it (tUC of a 32.768 kHz crystal, 1,984 us, and tBUC, 244 us). So the second that a guest
 *   sees begins when the host's does, UIP = 0 promises 2,228 us of unchanging registers rather than
 *   the data sheet's 244, and a guest that reads when UIP falls has almost a second for it.
 * - SET stops updates and clears UIE. The divider goes on, so the seconds keep their place.
 * - A divider in reset (DV 11x) stops updates and periods; the first update comes 500 ms after its
 *   release. Other divider codes are for other crystals: stored, counted as a guest error, and the
 *   clock runs on as with 010.
 * - PF, AF and UF are found out when somebody looks. The timer is armed only for the next flag whose
 *   interrupt is enabled, and not while the interrupt is already up: missed periods are one PF, and
 *   even at 8,192 Hz the host is woken at most once for each read of register C.
 *
 * Choices where the sources are silent: port 0x70 reads as last written, NMI mask included (an AT
 * does not drive it). A register out of range counts as the nearest valid value at the next update,
 * once, as a guest error. The calendar is Gregorian over years 0 to 9999, the century (CMOS 0x32, the
 * FADT says so) taking part. A day of week that is none stays as it is. Changing DM or 24/12 does not
 * convert registers, as on the chip.
 *
 * Not modelled: square wave and daylight saving (SQWE and DSE are stored), NMI masking, extended RAM
 * at ports 0x72 and 0x73, and power failure: VRT reads 1.
 *
 * Environment: clock, irq, timer. Threads: any vCPU, and the event thread for expire; under the
 * device's lock.
 */
#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"
#include "devices/rtc_mc146818_alarm.h"
#include "devices/rtc_mc146818_calendar.h"
#include "devices/rtc_mc146818_regs.h"
#include "devices/rtc_mc146818_time.h"

enum { PORT_INDEX = 0, PORT_DATA = 1 };

enum {
	OSC_HZ = 32768,
	DAYS_TO_1970 = 719528,        /* from 1 January of year 0 */
	UPDATE_NS = 1984000 + 244000, /* tUC + tBUC: how long UIP is 1 */
	HALF_S_NS = 500000000,

	/*
	 * The timer runs on the monotonic clock, alarms follow real time. With only an alarm to wait
	 * for, look again this often, so that it is not later than this after the host's clock was
	 * set forward.
	 */
	ALARM_RECHECK_S = 60,
};

struct rtc {
	struct device dev;
	const struct clock_src *clock; /* borrowed, as the next two */
	struct irq_line *irq;
	struct timer_line *timer;

	uint8_t index;            /* port 0x70 as written */
	uint8_t cmos[CMOS_BYTES]; /* with the time and control registers */

	int64_t phase_ns;   /* chain = real time + phase, 0 <= phase < 1 s */
	int64_t updated_s;  /* second of the chain up to which updates are done */
	int64_t release_ns; /* monotonic: periods count from here */
	int64_t periods;    /* those since then that PF knows of, at the present rate */
	bool irq_level, armed;
};

/* One reading of the clocks. */
struct rtc_now {
	int64_t second, sub_ns; /* of the chain */
	int64_t monotonic_ns;
};

/* Registers. */

static bool rtc_divider_in_reset(const struct rtc *rtc)
{
	return (rtc->cmos[REG_A] & A_DV_RESET) == A_DV_RESET;
}

/* Periodic flag: register A's rates are taps of the 32,768 Hz divider. */

/* Oscillator ticks of one period, a power of two; 0 for none. */
static int64_t rtc_period_ticks(const struct rtc *rtc)
{
	const unsigned rs = rtc->cmos[REG_A] & A_RS;

	if (rs == 0)
		return 0;
	return rs <= 2 ? INT64_C(1) << (rs + 6) : INT64_C(1) << (rs - 1); /* 1, 2: as 8, 9 */
}

/* A tick is 1953125 / 64 ns. Split into seconds first, so that nothing overflows in 292 years. */
static int64_t ticks_from_ns(int64_t ns)
{
	return ns / NS_PER_S * OSC_HZ + ns % NS_PER_S * 64 / 1953125;
}

/* The first ns that belongs to the tick. */
static int64_t ticks_to_ns(int64_t ticks)
{
	return ticks / OSC_HZ * NS_PER_S + (ticks % OSC_HZ * 1953125 + 63) / 64;
}

static int64_t rtc_periods_by(const struct rtc *rtc, int64_t monotonic_ns)
{
	const int64_t ticks = rtc_period_ticks(rtc);

	return ticks ? ticks_from_ns(monotonic_ns - rtc->release_ns) / ticks : 0;
}

/* Catching up. */

static struct rtc_now rtc_now(const struct rtc *rtc)
{
	const int64_t chain_ns = rtc->clock->realtime_ns(rtc->clock) + rtc->phase_ns;

	return (struct rtc_now){
		.second = rtc_floor_div(chain_ns, NS_PER_S),
		.sub_ns = rtc_floor_mod(chain_ns, NS_PER_S),
		.monotonic_ns = rtc->clock->monotonic_ns(rtc->clock),
	};
}

static void rtc_count_periods(struct rtc *rtc, int64_t monotonic_ns)
{
	const int64_t periods = rtc_periods_by(rtc, monotonic_ns);

	if (periods > rtc->periods)
		rtc->cmos[REG_C] |= C_PF;
	rtc->periods = periods;
}

static void rtc_count_seconds(struct rtc *rtc, int64_t second)
{
	const int64_t n = second - rtc->updated_s;
	struct rtc_time t;
	bool bad = false;

	rtc->updated_s = second;
	if (n == 0 || (rtc->cmos[REG_B] & B_SET))
		return;
	t = rtc_time_get(rtc->cmos, &bad);
	if (bad)
		rtc->dev.guest_errors++;
	if (n > 0) { /* when the host's clock went back, no update cycle ended */
		const struct rtc_alarm alarm = rtc_alarm_get(rtc->cmos);

		rtc->cmos[REG_C] |= C_UF;
		if (rtc_alarm_delay_s(&alarm, rtc_second_of_day(&t)) <= n)
			rtc->cmos[REG_C] |= C_AF;
	}
	rtc_time_advance(rtc->cmos, &t, n);
}

static void rtc_set_irq(struct rtc *rtc)
{
	const bool level = rtc->cmos[REG_C] & rtc->cmos[REG_B] & (C_PF | C_AF | C_UF);

	if (level == rtc->irq_level)
		return;
	rtc->irq_level = level;
	rtc->irq->set(rtc->irq, level);
}

/* Brings registers, flags and interrupt to the present, which it returns. */
static struct rtc_now rtc_sync(struct rtc *rtc)
{
	const struct rtc_now now = rtc_now(rtc);

	if (!rtc_divider_in_reset(rtc)) {
		rtc_count_periods(rtc, now.monotonic_ns);
		rtc_count_seconds(rtc, now.second);
	}
	rtc_set_irq(rtc);
	return now;
}

static int64_t min_ns(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Until the next flag that would raise the interrupt; at least 1. INT64_MAX: nothing to wait for. */
static int64_t rtc_wait_ns(const struct rtc *rtc, const struct rtc_now *now)
{
	const uint8_t b = rtc->cmos[REG_B];
	const int64_t ticks = rtc_period_ticks(rtc);
	int64_t wait_ns = INT64_MAX;

	if (rtc->irq_level || rtc_divider_in_reset(rtc))
		return INT64_MAX;
	if ((b & B_PIE) && ticks)
		wait_ns = rtc->release_ns + ticks_to_ns((rtc->periods + 1) * ticks) -
			  now->monotonic_ns;
	if (b & B_SET)
		return wait_ns;
	if (b & B_UIE) {
		wait_ns = min_ns(wait_ns, NS_PER_S - now->sub_ns);
	} else if (b & B_AIE) {
		bool bad = false; /* counted when the update comes */
		const struct rtc_time t = rtc_time_get(rtc->cmos, &bad);
		const struct rtc_alarm alarm = rtc_alarm_get(rtc->cmos);
		const int64_t delay_s = rtc_alarm_delay_s(&alarm, rtc_second_of_day(&t));

		if (delay_s != INT64_MAX)
			wait_ns = min_ns(wait_ns,
					 min_ns(delay_s, ALARM_RECHECK_S) * NS_PER_S - now->sub_ns);
	}
	return wait_ns;
}

/* After anything that may change what is waited for. Time registers must be in sync. */
static void rtc_rearm(struct rtc *rtc, const struct rtc_now *now)
{
	const int64_t wait_ns = rtc_wait_ns(rtc, now);
	const bool arm = wait_ns != INT64_MAX;

	if (arm || rtc->armed)
		rtc->timer->arm(rtc->timer, arm ? now->monotonic_ns + wait_ns : INT64_MAX);
	rtc->armed = arm;
}

/* Accesses. */

static uint8_t rtc_read_c(struct rtc *rtc)
{
	const struct rtc_now now = rtc_sync(rtc);
	const uint8_t flags = rtc->cmos[REG_C];
	const uint8_t irqf = rtc->irq_level ? C_IRQF : 0;

	rtc->cmos[REG_C] = 0;
	rtc_set_irq(rtc);
	rtc_rearm(rtc, &now);
	return flags | irqf;
}

static uint8_t rtc_read_a(struct rtc *rtc)
{
	const struct rtc_now now = rtc_sync(rtc);
	const bool updating = !(rtc->cmos[REG_B] & B_SET) && !rtc_divider_in_reset(rtc) &&
			      now.sub_ns >= NS_PER_S - UPDATE_NS;

	return rtc->cmos[REG_A] | (updating ? A_UIP : 0);
}

static uint8_t rtc_read_cmos(struct rtc *rtc, unsigned reg)
{
	switch (reg) {
	case SECONDS:
	case MINUTES:
	case HOURS:
	case DAY_OF_WEEK:
	case DATE:
	case MONTH:
	case YEAR:
	case CENTURY: rtc_sync(rtc); return rtc->cmos[reg];
	case REG_A: return rtc_read_a(rtc);
	case REG_C: return rtc_read_c(rtc);
	default: return rtc->cmos[reg];
	}
}

/* The divider starts half a second before an update, and periods start anew. */
static void rtc_divider_release(struct rtc *rtc)
{
	struct rtc_now now;

	rtc->phase_ns = rtc_floor_mod(HALF_S_NS - rtc->clock->realtime_ns(rtc->clock), NS_PER_S);
	now = rtc_now(rtc);
	rtc->updated_s = now.second;
	rtc->release_ns = now.monotonic_ns;
}

static void rtc_write_a(struct rtc *rtc, struct io_at at, uint8_t val)
{
	const bool was_in_reset = rtc_divider_in_reset(rtc);
	struct rtc_now now = rtc_sync(rtc);

	rtc->cmos[REG_A] = val & (uint8_t)~A_UIP;
	if (was_in_reset && !rtc_divider_in_reset(rtc)) {
		rtc_divider_release(rtc);
		now = rtc_now(rtc);
	}
	if (!rtc_divider_in_reset(rtc) && (val & A_DV) != A_DV_32KHZ)
		device_guest_error(&rtc->dev, at);
	rtc->periods = rtc_periods_by(rtc, now.monotonic_ns); /* a new rate owes no periods */
	rtc_rearm(rtc, &now);
}

static void rtc_write_b(struct rtc *rtc, uint8_t val)
{
	const struct rtc_now now = rtc_sync(rtc);

	rtc->cmos[REG_B] = val & B_SET ? val & (uint8_t)~B_UIE : val;
	rtc_set_irq(rtc); /* a flag that is up already interrupts as soon as it may */
	rtc_rearm(rtc, &now);
}

static void rtc_write_time(struct rtc *rtc, unsigned reg, uint8_t val)
{
	const struct rtc_now now = rtc_sync(rtc);

	rtc->cmos[reg] = val;
	rtc_rearm(rtc, &now);
}

static void rtc_write_cmos(struct rtc *rtc, struct io_at at, unsigned reg, uint8_t val)
{
	switch (reg) {
	case REG_A: rtc_write_a(rtc, at, val); break;
	case REG_B: rtc_write_b(rtc, val); break;
	case REG_C:
	case REG_D: device_guest_error(&rtc->dev, at); break;
	case SECONDS:
	case SECONDS_ALARM:
	case MINUTES:
	case MINUTES_ALARM:
	case HOURS:
	case HOURS_ALARM:
	case DAY_OF_WEEK:
	case DATE:
	case MONTH:
	case YEAR:
	case CENTURY: rtc_write_time(rtc, reg, val); break;
	default: rtc->cmos[reg] = val; break;
	}
}

static uint64_t rtc_read(struct device *dev, struct io_at at)
{
	struct rtc *rtc = container_of(dev, struct rtc, dev);

	switch (at.off) {
	case PORT_INDEX: return rtc->index;
	case PORT_DATA: return rtc_read_cmos(rtc, rtc->index & INDEX_MASK);
	default: return device_guest_error(dev, at);
	}
}

static void rtc_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct rtc *rtc = container_of(dev, struct rtc, dev);

	switch (at.off) {
	case PORT_INDEX: rtc->index = (uint8_t)val; break;
	case PORT_DATA: rtc_write_cmos(rtc, at, rtc->index & INDEX_MASK, (uint8_t)val); break;
	default: device_guest_error(dev, at); break;
	}
}

static void rtc_expire(struct device *dev)
{
	struct rtc *rtc = container_of(dev, struct rtc, dev);
	const struct rtc_now now = rtc_sync(rtc);

	rtc->armed = false; /* one-shot */
	rtc_rearm(rtc, &now);
}

/*
 * The RESET pin: no interrupt is enabled or pending; time, calendar and RAM, which a battery keeps, stay (data sheet,
 * "RESET"). The index port is not the chip's.
 */
static void rtc_reset(struct device *dev)
{
	struct rtc *rtc = container_of(dev, struct rtc, dev);
	const struct rtc_now now = rtc_sync(rtc);

	rtc->index = 0;
	rtc->cmos[REG_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
	rtc->cmos[REG_C] = 0;
	rtc_set_irq(rtc);
	rtc_rearm(rtc, &now);
}

/* As firmware leaves it: 32.768 kHz, 1,024 Hz, BCD, 24 hours, the host's time as UTC. */
static int rtc_init(struct device *dev, const struct device_env *env)
{
	struct rtc *rtc = container_of(dev, struct rtc, dev);
	struct rtc_time t;
	struct rtc_now now;
	int64_t days;

	rtc->clock = env->clock;
	rtc->irq = env->irq;
	rtc->timer = env->timer;
	rtc->cmos[REG_A] = A_DV_32KHZ | A_RS_1KHZ;
	rtc->cmos[REG_B] = B_24H;
	rtc->cmos[REG_D] = D_VRT;

	now = rtc_now(rtc);
	days = rtc_floor_div(now.second, RTC_DAY_S) + DAYS_TO_1970;
	t = rtc_time_from_days(days, (unsigned)rtc_floor_mod(now.second, RTC_DAY_S));
	rtc_time_set(rtc->cmos, &t);
	rtc->cmos[DAY_OF_WEEK] = (uint8_t)(rtc_floor_mod(days + 6, 7) + 1); /* day 0: a Saturday */
	rtc->updated_s = now.second;
	rtc->release_ns = now.monotonic_ns;
	return 0;
}

const struct device_class rtc_mc146818_class = {
	.name = "MC146818",
	.fdt_compatible = "motorola,mc146818",
	.acpi_hid = "PNP0B00",
	.state_size = sizeof(struct rtc),
	.max_access = 1,
	.coalesce_len = 1, /* the index: writing it does nothing until DATA is accessed */
	.init = rtc_init,
	.reset = rtc_reset,
	.read = rtc_read,
	.write = rtc_write,
	.expire = rtc_expire,
};
