/*
 * console - serial input and output as a driver does them, by interrupt through GSI 4 or by polling.
 *
 *   until=N          echoes what comes in until this byte did (default 4, Ctrl-D; it is echoed
 *                    too), then prints how many bytes that were
 *   rx=irq|poll      how it listens: by the received-data interrupt (default), or by polling LSR
 *   idle=N           with rx=poll: prints '>' each time it has polled N times on end in vain
 *   flood=N          instead prints N bytes: byte i is '\n' for i % 64 == 63, else '!' + i % 94
 *   tx=poll|irq      how flood sends: by polling LSR (default), or by the THR-empty interrupt
 *
 * "console: ready" is printed before input is listened to. Like any driver, this one empties the FIFO
 * when it sets the UART up: on a real line, what came before would be lost.
 */
#include "boot.h"
#include "cmdline.h"
#include "cpu.h"
#include "ioapic.h"
#include "lapic.h"
#include "pc.h"
#include "power.h"
#include "print.h"
#include "serial.h"
#include "trap.h"

enum {
	RING_BYTES = 4096, /* a power of two */
	CHUNK_BYTES = 256,
	LINE_BYTES = 64,
	SYMBOLS = 94, /* '!' to '~' */
	CTRL_D = 4,
};

/* Filled by the interrupt handler, emptied by the main loop with interrupts off. */
static struct {
	uint8_t byte[RING_BYTES];
	size_t head, tail; /* bytes ever put in and taken out */
	unsigned overruns;
} ring;

static struct {
	uint64_t sent, total;
	unsigned column, symbol; /* sent % LINE_BYTES, sent % SYMBOLS: no division a byte */
} flood;

static struct {
	uint64_t limit; /* 0: never asks */
	uint64_t polls; /* in vain, on end */
} idle;

static bool ring_is_full(void)
{
	return ring.head - ring.tail == RING_BYTES;
}

static void take_input(void)
{
	uint8_t lsr;

	while ((lsr = serial_in(UART_LSR)) & UART_LSR_DR) {
		ring.overruns += !!(lsr & UART_LSR_OE);
		if (ring_is_full())
			break; /* the UART keeps the rest until there is room */
		ring.byte[ring.head++ % RING_BYTES] = serial_in(UART_RBR);
	}
}

static uint8_t flood_next(void)
{
	const uint8_t byte = flood.column == LINE_BYTES - 1 ? '\n' : (uint8_t)('!' + flood.symbol);

	flood.sent++;
	if (++flood.column == LINE_BYTES)
		flood.column = 0;
	if (++flood.symbol == SYMBOLS)
		flood.symbol = 0;
	return byte;
}

static void give_output(void)
{
	for (unsigned i = 0; i < UART_FIFO_BYTES && flood.sent < flood.total; i++)
		serial_out(UART_THR, flood_next());
	if (flood.sent == flood.total)
		serial_out(UART_IER, 0);
}

/* An edge-triggered input: only a UART that asks for nothing more may be left. */
static void serial_interrupt(void)
{
	for (;;) {
		switch (serial_in(UART_IIR) & UART_IIR_ID) {
		case UART_IIR_RX:
		case UART_IIR_RX_LATE:
			take_input();
			if (ring_is_full())
				return;
			break;
		case UART_IIR_TX: give_output(); break;
		default: return;
		}
	}
}

static void listen(uint8_t interrupts)
{
	trap_set_handler(VECTOR_SERIAL, serial_interrupt);
	ioapic_route(PC_COM1_GSI, VECTOR_SERIAL, lapic_id());
	serial_out(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	serial_out(UART_IER, interrupts);
}

/*
 * Copies what is there out of the ring; returns how many bytes, which ends after a byte of until.
 */
static size_t ring_take(char *buf, uint8_t until, bool *ret_ended)
{
	size_t n = 0;

	while (n < CHUNK_BYTES && ring.tail != ring.head && !*ret_ended) {
		const uint8_t byte = ring.byte[ring.tail++ % RING_BYTES];

		buf[n++] = (char)byte;
		*ret_ended = byte == until;
	}
	return n;
}

/* Once a silence; n is how many bytes the last poll brought. */
static void ask_when_idle(size_t n)
{
	if (n > 0)
		idle.polls = 0;
	else if (++idle.polls == idle.limit)
		serial_write(">", 1);
}

static void echo(uint8_t until, bool by_irq)
{
	bool ended = false;
	uint64_t total = 0;

	print("console: ready\n");
	serial_flush();
	if (by_irq)
		listen(UART_IER_RX);
	while (!ended) {
		char buf[CHUNK_BYTES];
		bool was_full;
		size_t n;

		if (!by_irq)
			take_input();
		else if (ring.tail == ring.head)
			irq_wait();
		was_full = ring_is_full();
		n = ring_take(buf, until, &ended);
		if (was_full) /* the handler left input, for which no edge will come */
			take_input();
		serial_write(buf, n);
		total += n;
		if (!by_irq)
			ask_when_idle(n);
	}
	print("\nconsole: %lu bytes, %u overruns\n", total, ring.overruns);
}

static void flood_poll(void)
{
	char line[LINE_BYTES];

	while (flood.sent < flood.total) {
		size_t n = 0;

		while (n < LINE_BYTES && flood.sent < flood.total)
			line[n++] = (char)flood_next();
		serial_write(line, n);
	}
}

static bool flood_ended(void)
{
	return flood.sent == flood.total;
}

/* Ends when the transmitter interrupt has not come for a while. */
static void flood_irq(void)
{
	uint64_t before;

	serial_flush();
	listen(UART_IER_TX);
	do {
		before = flood.sent;
		if (lapic_wait(flood_ended, LAPIC_HANG_MS))
			return;
	} while (flood.sent != before);
	serial_out(UART_IER, 0);
	guest_panic("console: no transmitter interrupt after %lu bytes", flood.sent);
}

void kernel_main(void)
{
	static const char *const ways_in[] = {"irq", "poll", NULL};
	static const char *const ways_out[] = {"poll", "irq", NULL};

	lapic_init();
	flood.total = cmdline_u64("flood", 0, UINT64_MAX);
	idle.limit = cmdline_u64("idle", 0, UINT64_MAX);
	if (flood.total == 0)
		echo((uint8_t)cmdline_u64("until", CTRL_D, UINT8_MAX),
		     cmdline_choice("rx", ways_in) == 0);
	else if (cmdline_choice("tx", ways_out) == 0)
		flood_poll();
	else
		flood_irq();
}
