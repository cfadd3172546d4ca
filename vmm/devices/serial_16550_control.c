/* The registers of a 16550A that change its mode, and the modem signals. The chip: serial_16550.c. */
#include "devices/serial_16550_state.h"

/* Modem signals. */

static uint8_t uart_modem_inputs(const struct uart *uart)
{
	unsigned msr = 0;

	if (!uart_looped(uart))
		return MSR_IDLE;
	if (uart->mcr & MCR_RTS)
		msr |= MSR_CTS;
	if (uart->mcr & MCR_DTR)
		msr |= MSR_DSR;
	if (uart->mcr & MCR_OUT1)
		msr |= MSR_RI;
	if (uart->mcr & MCR_OUT2)
		msr |= MSR_DCD;
	return (uint8_t)msr;
}

static void uart_modem_update(struct uart *uart)
{
	unsigned inputs = uart_modem_inputs(uart);
	unsigned deltas = ((inputs ^ uart->msr) >> 4) & MSR_DELTAS;

	if (inputs & MSR_RI) /* only the end of ringing counts (8.9) */
		deltas &= ~(unsigned)MSR_TERI;
	uart->msr = (uint8_t)(inputs | deltas | (uart->msr & MSR_DELTAS));
}

void uart_ier_write(struct uart *uart, uint8_t val)
{
	bool etbei_rose = (val & IER_ETBEI) && !(uart->ier & IER_ETBEI);
	size_t room = uart_rx_room(uart);

	uart->ier = val & IER_BITS;
	if (etbei_rose) { /* also when IIR has had this THRE before: drivers count on it */
		uart->thre_pending = uart_tx_idle(uart);
		uart_burst_end(uart);
	}
	uart_irq_update(uart);
	uart_rx_room_changed(uart, room);
}

/*
 * A change of mode clears (8.5), but Linux changes to FIFO mode a few accesses after it has set ERBFI
 * (serial8250_do_set_termios()): too soon for a byte on a line, and not for ours.
 */
static bool uart_mode_change_clears_rx(const struct uart *uart)
{
	return !uart_fifo_mode(uart) || uart_looped(uart) || !uart_receives(uart);
}

void uart_fcr_write(struct uart *uart, uint8_t val)
{
	size_t room = uart_rx_room(uart);
	bool idle = uart_tx_idle(uart);
	bool mode_changed;

	if (!(val & FCR_ENABLE)) /* the other bits count only with it (8.5) */
		val = 0;
	mode_changed = (val ^ uart->fcr) & FCR_ENABLE;
	uart->fcr = val & (FCR_ENABLE | FCR_TRIGGER);
	if ((mode_changed && uart_mode_change_clears_rx(uart)) || (val & FCR_RCVR_RESET)) {
		fifo_clear(&uart->rx);
		uart->lsr_err &= LSR_OE; /* the other errors belong to bytes */
	}
	if (mode_changed || (val & FCR_XMIT_RESET))
		fifo_clear(&uart->tx);
	uart_tx_idle_changed(uart, idle);
	uart_irq_update(uart);
	uart_rx_room_changed(uart, room);
}

void uart_lcr_write(struct uart *uart, uint8_t val)
{
	bool loop_break = uart_loop_break(uart);

	uart->lcr = val;
	uart_loop_break_changed(uart, loop_break);
	uart_irq_update(uart);
}

void uart_mcr_write(struct uart *uart, uint8_t val)
{
	size_t room = uart_rx_room(uart);
	bool idle = uart_tx_idle(uart), loop_break = uart_loop_break(uart);

	uart->mcr = val & MCR_BITS;
	uart_modem_update(uart);
	uart_loop_break_changed(uart, loop_break);
	uart_tx_flush(uart); /* loopback may just have been left */
	uart_tx_idle_changed(uart, idle);
	uart_irq_update(uart);
	uart_rx_room_changed(uart, room);
}
