/*
 * rtc - the clock's three interrupts, each through GSI 8: periodic, alarm, update-ended; and that
 * their flags come without an interrupt while they are disabled. Takes about four seconds.
 */
#include "rtc.h"

#include "boot.h"
#include "check.h"
#include "cpu.h"
#include "ioapic.h"
#include "lapic.h"
#include "pc.h"
#include "trap.h"

enum {
	RATE_1024_HZ = 6,
	PERIODS = 64,
	LOOKS = 100,            /* instructions in which a pending interrupt is surely taken */
	PERIODS_US_MIN = 60500, /* 62 periods: the first may have been under way, and late */
	ALARM_AHEAD_S = 2,
};

static struct {
	unsigned interrupts;
	unsigned wanted;
	uint8_t flag;  /* the one waited for */
	uint8_t other; /* flags seen with IRQF though nobody asked for them */
	unsigned flags_seen;
} test;

static void rtc_interrupt(void)
{
	const uint8_t c = rtc_read(PC_RTC_PORT, RTC_C);

	test.interrupts++;
	if (c & test.flag)
		test.flags_seen++;
	if (!(c & RTC_C_IRQ))
		test.other |= RTC_C_IRQ;
}

static bool enough(void)
{
	return test.flags_seen >= test.wanted;
}

/*
 * Takes what the interrupt controller latched before the chip was made quiet, and makes nothing
 * of it: its flag may be gone.
 */
static void take_latched(void)
{
	const uint8_t other = test.other;

	irq_enable();
	for (unsigned i = 0; i < LOOKS; i++)
		cpu_relax();
	irq_disable();
	test.other = other;
}

/* Enables one interrupt and waits until it came n times. */
static bool wait_for(uint8_t enable, uint8_t flag, unsigned n)
{
	bool came;

	test.interrupts = 0;
	test.flags_seen = 0;
	test.wanted = n;
	test.flag = flag;
	rtc_read(PC_RTC_PORT, RTC_C); /* an old flag would hold the line */
	rtc_write(PC_RTC_PORT, RTC_B, RTC_B_24H | enable);
	came = lapic_wait(enough, LAPIC_HANG_MS);
	rtc_write(PC_RTC_PORT, RTC_B, RTC_B_24H);
	take_latched();
	return came;
}

/* Late is the host's load; early would be wrong. */
static void test_periodic(void)
{
	const uint8_t a = rtc_read(PC_RTC_PORT, RTC_A);

	rtc_write(PC_RTC_PORT, RTC_A, RTC_A_DV_ON | RATE_1024_HZ);
	if (!wait_for(RTC_B_PIE, RTC_C_PF, PERIODS))
		check_fail("rtc-periodic", "%u interrupts instead of %d", test.flags_seen, PERIODS);
	else
		check("rtc-periodic", lapic_waited_us() >= PERIODS_US_MIN,
		      "%d periods took %lu us only", PERIODS, lapic_waited_us());
	rtc_write(PC_RTC_PORT, RTC_A, a);
}

static void test_update_ended(void)
{
	struct rtc_time before, after;

	if (!rtc_read_time(PC_RTC_PORT, &before)) {
		check_fail("rtc-update", "no two readings agree");
		return;
	}
	if (!wait_for(RTC_B_UIE, RTC_C_UF, 1))
		check_fail("rtc-update", "no interrupt");
	else if (!rtc_read_time(PC_RTC_PORT, &after) || after.second == before.second)
		check_fail("rtc-update", "the time is the same after an update");
	else
		check_ok("rtc-update");
}

static unsigned second_now(void)
{
	return rtc_decode(PC_RTC_PORT, rtc_read(PC_RTC_PORT, RTC_SECONDS));
}

/* Any hour, any minute, and a second soon. It follows an update, so the second is young. */
static void test_alarm(void)
{
	const unsigned at = (second_now() + ALARM_AHEAD_S) % 60;
	unsigned late;

	rtc_write(PC_RTC_PORT, RTC_HOURS_ALARM, RTC_ALARM_ANY);
	rtc_write(PC_RTC_PORT, RTC_MINUTES_ALARM, RTC_ALARM_ANY);
	rtc_write(PC_RTC_PORT, RTC_SECONDS_ALARM, rtc_encode(PC_RTC_PORT, at));
	if (!wait_for(RTC_B_AIE, RTC_C_AF, 1)) {
		check_fail("rtc-alarm", "no interrupt");
		return;
	}
	late = (second_now() + 60 - at) % 60;
	check("rtc-alarm", late < 30 && test.interrupts == 1,
	      "%u interrupts, the last at second %u instead of %u", test.interrupts, second_now(),
	      at);
}

/* All three disabled: the update flag comes within a second all the same, an interrupt does not. */
static void test_disabled(void)
{
	bool flag = false;

	test.interrupts = 0;
	rtc_read(PC_RTC_PORT, RTC_C);
	for (unsigned tries = 0; tries < 150 && !flag; tries++) {
		test.wanted = UINT32_MAX;
		lapic_wait(enough, 10);
		flag = rtc_read(PC_RTC_PORT, RTC_C) & RTC_C_UF;
	}
	check("rtc-disabled", flag && test.interrupts == 0, "update flag %u, %u interrupts", flag,
	      test.interrupts);
}

void kernel_main(void)
{
	lapic_init();
	trap_set_handler(VECTOR_RTC, rtc_interrupt);
	rtc_write(PC_RTC_PORT, RTC_B, RTC_B_24H);
	ioapic_route(PC_RTC_GSI, VECTOR_RTC, lapic_id());
	check("rtc-valid", rtc_read(PC_RTC_PORT, RTC_D) & RTC_D_VALID,
	      "register D says lost power");
	test_periodic();
	test_update_ended();
	test_alarm();
	test_disabled();
	check("rtc-irqf", test.other == 0, "an interrupt without IRQF in register C");
	check_finish();
}
