/* serial_16550_state.h - the state of a 16550A, and what its two files share. Under the device's lock. */
#ifndef VMM_DEVICES_SERIAL_16550_STATE_H
#define VMM_DEVICES_SERIAL_16550_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "device.h"
#include "devices/serial_16550_fifo.h"
#include "devices/serial_16550_regs.h"

#define UART_LSR_NONE UINT32_MAX

enum {
	RX_POLLS = 8, /* looks for input on end that make a receiver; set-up code has fewer */
};

struct uart {
	struct device dev; /* first: device_create() allocates state_size bytes */
	struct irq_line *irq;
	struct char_backend *chr;
	struct fifo rx;
	struct fifo tx; /* what the back end refused, in order; empty as long as it takes all */
	uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
	uint8_t lsr_err;   /* the bits of LSR that reading it clears */
	uint8_t tx_burst;  /* THR writes since uart_burst_end(), modulo 256 */
	uint8_t rx_polls;  /* looks for input on end, at most RX_POLLS */
	bool thre_pending; /* THRE's interrupt asks: THRE rose and nothing has reset it since */
	bool irq_level;    /* the last level that irq was set to */
	uint8_t range;     /* the one that has the registers, or RANGE_NONE */
	/*
	 * range << 8 | LSR, while reading LSR has no effect, as nothing has changed since a read that had none; else
	 * UART_LSR_NONE. Stored under the lock; read without.
	 */
	_Atomic uint32_t quick_lsr;
};

static inline struct uart *uart_of(struct device *dev)
{
	return container_of(dev, struct uart, dev);
}

static inline bool uart_fifo_mode(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE;
}

static inline bool uart_looped(const struct uart *uart)
{
	return uart->mcr & MCR_LOOP;
}

/* Bytes that each direction holds. */
static inline unsigned uart_depth(const struct uart *uart)
{
	return uart_fifo_mode(uart) ? FIFO_BYTES : 1;
}

/* Bytes in the receiver that raise received data available (8.5); before that it is a timeout. */
static inline unsigned uart_rx_trigger(const struct uart *uart)
{
	static const uint8_t trigger[] = {1, 4, 8, 14};

	return uart_fifo_mode(uart) ? trigger[uart->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* THRE and TEMT. Bytes that wait aside for the host do not keep the looped transmitter busy. */
static inline bool uart_tx_idle(const struct uart *uart)
{
	return uart->tx.count == 0 || uart_looped(uart);
}

/*
 * Whether the guest shows that it takes input: by its interrupt, or by polling. Bytes that came before
 * would not reach it: drivers that set the chip up reset the FIFOs and read RBR for nothing. ERBFI alone
 * shows little, since probes set it for a moment to see whether IER is there (Linux's autoconfig()); on
 * a PC nothing interrupts without OUT2.
 */
static inline bool uart_receives(const struct uart *uart)
{
	return ((uart->ier & IER_ERBFI) && (uart->mcr & MCR_OUT2)) || uart->rx_polls == RX_POLLS;
}

/* Host input is also held back in loopback, where the serial input is disconnected (8.8). */
static inline size_t uart_rx_room(const struct uart *uart)
{
	if (uart_looped(uart) || !uart_receives(uart))
		return 0;
	return uart_depth(uart) - uart->rx.count;
}

/* Break looped back: the receiver sees its input held at the spacing level. */
static inline bool uart_loop_break(const struct uart *uart)
{
	return uart_looped(uart) && (uart->lcr & LCR_SET_BREAK);
}

/*
 * A write to THR resets THRE's interrupt, and the byte that is gone at once raises it again: two
 * system calls. A driver may write a whole FIFO on one THRE (8.11) and needs one interrupt after it,
 * so within such a burst the line stays high. A burst ends where the FIFO would be full and where
 * the guest looks at IIR or LSR or reads a new THRE: from then on it may count on another edge.
 */
static inline void uart_burst_end(struct uart *uart)
{
	uart->tx_burst = 0;
}

/* Before an op changes anything that LSR, or a read of it, depends on. */
static inline void uart_lsr_changes(struct uart *uart)
{
	atomic_store_explicit(&uart->quick_lsr, UART_LSR_NONE, memory_order_release);
}

/* serial_16550.c */

/* To be called with what uart_rx_room() was before. */
void uart_rx_room_changed(struct uart *uart, size_t was);
void uart_irq_update(struct uart *uart);

/* However long it lasts, a break is one zero byte (8.4); its stop bit is a space, hence FE. */
void uart_loop_break_changed(struct uart *uart, bool was);

/* Gives the back end what it refused before. Nothing leaves the chip in loopback (8.8). */
void uart_tx_flush(struct uart *uart);

/* THRE's interrupt comes with THRE's rise and goes with its fall. was: uart_tx_idle() before. */
void uart_tx_idle_changed(struct uart *uart, bool was);

/* serial_16550_control.c: a write to a register that changes the chip's mode. */
void uart_ier_write(struct uart *uart, uint8_t val);
void uart_fcr_write(struct uart *uart, uint8_t val);
void uart_lcr_write(struct uart *uart, uint8_t val);
void uart_mcr_write(struct uart *uart, uint8_t val);

#endif
