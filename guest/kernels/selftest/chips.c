/* chips.c - the two chips that interrupt: the UART by itself in loopback mode, and the rtc. */
#include "selftest.h"

#include <stdbool.h>

#include "check.h"
#include "cpu.h"
#include "ioapic.h"
#include "lapic.h"
#include "rtc.h"
#include "serial.h"
#include "trap.h"

enum {
	LOOP_BYTE = 0x6b,
	IRQ_BYTE = 0x4e,
};

static struct {
	struct place at;
	unsigned interrupts;
	int received; /* -1: nothing yet */
} uart;

static struct {
	const char *name;
	struct place at;
	struct rtc_time first;
	bool works, updated;
} rtc;

static bool serial_scratch_works(uint16_t port)
{
	static const uint8_t patterns[] = {0x55, 0xaa, 0x00};

	for (unsigned i = 0; i < sizeof(patterns); i++) {
		out8(port + UART_SCR, patterns[i]);
		if (in8(port + UART_SCR) != patterns[i])
			return false;
	}
	return true;
}

static bool serial_loopback_works(uint16_t port)
{
	out8(port + UART_THR, LOOP_BYTE);
	lapic_timer_start(LAPIC_TIMER_MAX_MS, false);
	while (!(in8(port + UART_LSR) & UART_LSR_DR)) {
		if (lapic_timer_expired())
			return false;
	}
	return in8(port + UART_RBR) == LOOP_BYTE;
}

static void serial_interrupt(void)
{
	uart.interrupts++;
	while (in8(uart.at.port + UART_LSR) & UART_LSR_DR)
		uart.received = in8(uart.at.port + UART_RBR);
}

static bool serial_received(void)
{
	return uart.received >= 0;
}

/* A byte sent to itself raises "received data available"; the handler takes it. */
static bool serial_interrupt_works(void)
{
	bool came;

	trap_set_handler(VECTOR_SERIAL, serial_interrupt);
	ioapic_route((unsigned)uart.at.gsi, VECTOR_SERIAL, lapic_id());
	out8(uart.at.port + UART_IER, UART_IER_RX);
	out8(uart.at.port + UART_THR, IRQ_BYTE);
	came = lapic_wait(serial_received, LAPIC_HANG_MS);
	out8(uart.at.port + UART_IER, 0);
	ioapic_mask((unsigned)uart.at.gsi);
	return came && uart.received == IRQ_BYTE;
}

/* Prints nothing before the UART is out of loopback. */
void test_serial(const char *name, const struct place *at)
{
	bool loopback, interrupt;

	if (!serial_scratch_works(at->port)) {
		check_fail(name, "its scratch register at 0x%x does not read back",
			   at->port + UART_SCR);
		return;
	}
	uart.at = *at;
	uart.received = -1;
	serial_flush();
	out8(at->port + UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS | UART_MCR_DTR);
	loopback = serial_loopback_works(at->port);
	interrupt = loopback && at->gsi >= 0 && serial_interrupt_works();
	out8(at->port + UART_MCR, UART_MCR_RTS | UART_MCR_DTR);
	out8(at->port + UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX);
	if (loopback)
		check_pass(name, "at 0x%x, scratch register and loopback", at->port);
	else
		check_fail(name, "a byte sent in loopback mode does not come back");
	if (interrupt)
		check_pass("serial-irq", "GSI %d through the I/O APIC", at->gsi);
	else
		check_fail("serial-irq", "GSI %d: %u interrupts, byte %d", at->gsi, uart.interrupts,
			   uart.received);
}

static bool time_makes_sense(const struct rtc_time *t)
{
	return t->year >= 1970 && t->month >= 1 && t->month <= 12 && t->day >= 1 && t->day <= 31 &&
	       t->hour < 24 && t->minute < 60 && t->second < 60;
}

void test_rtc(const char *name, const struct place *at)
{
	struct rtc_time *t = &rtc.first;

	rtc.name = "rtc-update";
	rtc.at = *at;
	if (!rtc_read_time(at->port, t)) {
		check_fail(name, "at 0x%x: no two readings agree", at->port);
	} else if (!time_makes_sense(t)) {
		check_fail(name, "at 0x%x: %u-%u-%u %u:%u:%u is no date", at->port, t->year,
			   t->month, t->day, t->hour, t->minute, t->second);
	} else {
		rtc.works = true;
		check_pass(name, "at 0x%x, %04u-%02u-%02u %02u:%02u:%02u", at->port, t->year,
			   t->month, t->day, t->hour, t->minute, t->second);
	}
}

static void rtc_interrupt(void)
{
	if (rtc_read(rtc.at.port, RTC_C) & RTC_C_UF)
		rtc.updated = true;
}

static bool rtc_updated(void)
{
	return rtc.updated;
}

static bool same_time(const struct rtc_time *a, const struct rtc_time *b)
{
	return a->second == b->second && a->minute == b->minute && a->hour == b->hour;
}

void test_rtc_update(void)
{
	const uint16_t port = rtc.at.port;
	struct rtc_time now = {0};
	uint8_t b;

	if (!rtc.works)
		return;
	b = rtc_read(port, RTC_B);
	trap_set_handler(VECTOR_RTC, rtc_interrupt);
	ioapic_route((unsigned)rtc.at.gsi, VECTOR_RTC, lapic_id());
	rtc_read(port, RTC_C); /* an old flag would hold the line */
	rtc_write(port, RTC_B, b | RTC_B_UIE);
	lapic_wait(rtc_updated, LAPIC_HANG_MS);
	rtc_write(port, RTC_B, b);
	ioapic_mask((unsigned)rtc.at.gsi);
	if (!rtc.updated)
		check_fail(rtc.name, "no interrupt on GSI %d", rtc.at.gsi);
	else if (!rtc_read_time(port, &now) || same_time(&now, &rtc.first))
		check_fail(rtc.name, "the time did not change");
	else
		check_pass(rtc.name, "GSI %d, now %02u:%02u:%02u", rtc.at.gsi, now.hour, now.minute,
			   now.second);
}
