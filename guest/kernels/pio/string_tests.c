/*
 * string_tests.c - REP INS and REP OUTS of each width, both directions.
 *
 * The UART's FIFO in loopback mode keeps the order of what is written; reading it back shows it.
 * The debug console, which always reads 0xe9, serves for lengths that KVM has to cut up.
 */
#include "string_tests.h"

#include <string.h>

#include "check.h"
#include "cpu.h"
#include "pc.h"
#include "serial.h"
#include "string_io.h"

enum {
	LONG_ELEMENTS = 1100, /* more than KVM takes at once: a page of bytes, 1,024 elements */
	GUARD = 0xc3,
	GUARD_BYTES = 8,
	WIDTHS = 3,
};

static const unsigned widths[WIDTHS] = {1, 2, 4};

/* Bytes that a word or a double word at THR writes to IER, FCR and LCR: the values they have anyway. */
#define UART_NEIGHBOURS (0u | UART_FCR_ENABLE << 16 | UART_LCR_8N1 << 24)

static uint8_t buffer[GUARD_BYTES + 4 * LONG_ELEMENTS + GUARD_BYTES];

static void loopback(bool on)
{
	if (on)
		serial_flush();
	out8(PC_COM1_PORT + UART_MCR, (uint8_t)(UART_MCR_RTS | (on ? UART_MCR_LOOP : 0)));
	out8(PC_COM1_PORT + UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX);
}

static uint32_t element(const uint8_t *buf, unsigned width, size_t i)
{
	uint32_t val = 0;

	memcpy(&val, buf + i * width, width);
	return val;
}

static uint8_t sent_byte(size_t i)
{
	return (uint8_t)(0x41 + 7 * i);
}

/* A FIFO full of elements out, and as many in: element i of both is the same byte. */
static bool order_is_kept(unsigned width, bool down)
{
	uint8_t out[UART_FIFO_BYTES * 4] = {0}, in[UART_FIFO_BYTES * 4] = {0};

	for (size_t i = 0; i < UART_FIFO_BYTES; i++) {
		const uint32_t val = UART_NEIGHBOURS | sent_byte(i);

		memcpy(out + i * width, &val, width);
	}
	loopback(true);
	string_out(PC_COM1_PORT + UART_THR, width, out, UART_FIFO_BYTES, down);
	for (size_t i = 0; i < UART_FIFO_BYTES; i++) {
		const size_t nth = down ? UART_FIFO_BYTES - 1 - i : i;

		if (in8(PC_COM1_PORT + UART_RBR) != sent_byte(nth)) {
			loopback(false);
			return false;
		}
	}
	for (size_t i = 0; i < UART_FIFO_BYTES; i++)
		out8(PC_COM1_PORT + UART_THR, sent_byte(i));
	string_in(PC_COM1_PORT + UART_RBR, width, in, UART_FIFO_BYTES, down);
	loopback(false);
	for (size_t i = 0; i < UART_FIFO_BYTES; i++) {
		const size_t nth = down ? UART_FIFO_BYTES - 1 - i : i;

		if ((element(in, width, i) & 0xff) != sent_byte(nth))
			return false;
	}
	return true;
}

static bool is_guard(const uint8_t *p)
{
	for (unsigned i = 0; i < GUARD_BYTES; i++) {
		if (p[i] != GUARD)
			return false;
	}
	return true;
}

/* Fills exactly n elements with what the port reads as, and not a byte more. */
static bool long_input_fits(uint16_t port, unsigned width, size_t n, bool down, uint32_t want)
{
	uint8_t *data = buffer + GUARD_BYTES;

	memset(buffer, GUARD, GUARD_BYTES);
	memset(data + n * width, GUARD, GUARD_BYTES);
	string_in(port, width, data, n, down);
	if (!is_guard(buffer) || !is_guard(data + n * width))
		return false;
	/* All elements are the same, so each equals the one before it. */
	return element(data, width, 0) == want && memcmp(data, data + width, (n - 1) * width) == 0;
}

/* The port keeps what came last. */
static bool long_output_ends(unsigned width, size_t n, bool down)
{
	const uint8_t last = 0x96;

	memset(buffer, 0, n * width);
	buffer[down ? 0 : (n - 1) * width] = last;
	string_out(PC_POST_PORT, width, buffer, n, down);
	return in8(PC_POST_PORT) == last;
}

static bool zero_does_nothing(void)
{
	uint8_t byte = GUARD;

	out8(PC_POST_PORT, 0x31);
	string_in(PC_DEBUGCON_PORT, 1, &byte, 0, false);
	string_out(PC_POST_PORT, 1, &byte, 0, false);
	return byte == GUARD && in8(PC_POST_PORT) == 0x31;
}

/* Runs a test over all widths and both directions. */
static void each(const char *name, bool (*test)(unsigned width, bool down))
{
	for (unsigned i = 0; i < 2 * WIDTHS; i++) {
		const bool down = i % 2;

		if (!test(widths[i / 2], down)) {
			check_fail(name, "%u bytes wide, direction flag %u", widths[i / 2], down);
			return;
		}
	}
	check_ok(name);
}

static bool long_input(unsigned width, bool down)
{
	static const uint32_t debugcon[] = {0, 0xe9, 0xffe9, 0, 0xffffffe9};

	return long_input_fits(PC_DEBUGCON_PORT, width, LONG_ELEMENTS, down, debugcon[width]);
}

static bool unclaimed_input(unsigned width, bool down)
{
	static const uint32_t ones[] = {0, 0xff, 0xffff, 0, 0xffffffff};

	return long_input_fits(0x0e00, width, 100, down, ones[width]);
}

static bool long_output(unsigned width, bool down)
{
	return long_output_ends(width, LONG_ELEMENTS, down);
}

void string_tests(void)
{
	each("pio-string-order", order_is_kept);
	each("pio-string-in", long_input);
	each("pio-string-out", long_output);
	each("pio-string-unclaimed", unclaimed_input);
	check("pio-string-empty", zero_does_nothing(), "REP with count 0 did something");
}
