/*
 * 16550A UART, after the National Semiconductor PC16550D datasheet (TL/C/8652, June 1995); section
 * and table numbers below are its own.
 *
 * Modelled: all twelve registers; 16-byte receiver and transmitter FIFOs and 16450 mode; trigger
 * levels; the five interrupts with their priorities and resets (Table IV); the interrupt output
 * gated by OUT2 as on a PC; loopback with modem signals, overrun and break.
 *
 * Not modelled:
 * - time. The divisor and frame format are stored and mean nothing; a byte takes no time. There is
 *   no shift register apart from the FIFO, so TEMT equals THRE.
 * - the character timeout as a delay: data below the trigger level shows it at once. Host input
 *   arrives in bursts with nothing after them to wait for, and a timer would only add latency.
 * - word length (bytes pass whole), parity and framing errors (FE comes only with a break), a break
 *   that the guest sends outside loopback, and hardware flow control: the modem inputs are idle.
 * - DMA mode (FCR3): a PC does not wire RXRDY and TXRDY. Factory test writes to LSR and MSR.
 *
 * Departures, each to keep the host's bytes or a guest's self-test whole: host input waits until the
 * guest receives (uart_receives()) and then outlives the change to FIFO mode; bytes that the back end
 * refused before loopback was entered wait aside until it is left, rather than loop; OUT2 gates the
 * interrupt in loopback too, where the pin of a discrete chip would be inactive.
 *
 * The registers may be in several ranges, say ports and memory. The range that is used first has them
 * for good, and in the others nothing is there, so that a guest that looks in both finds one chip.
 *
 * Uses of device_env: irq and chr, both required. Threads: any vCPU (read, write) and the event
 * thread (char_ops); the device's lock is held around each op.
 */
#include <assert.h>
#include <string.h>

#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"
#include "devices/serial_16550_state.h"

enum {
	/*
	 * 9600 Bd at 1.8432 MHz (Table III). The datasheet leaves the latches undefined at power-on
	 * and firmware sets them; 0 would have a guest that derives the rate divide by zero.
	 */
	DIVISOR_POWER_ON = 12,

	REGISTERS = 8,
	RANGE_NONE = UINT8_MAX, /* no range was used yet */
};

/* Causes of an interrupt, in order of priority (Table IV): the lowest set bit shows in IIR. */
enum {
	CAUSE_LINE_STATUS = 1 << 0,
	CAUSE_RX_DATA = 1 << 1,
	CAUSE_RX_TIMEOUT = 1 << 2,
	CAUSE_THRE = 1 << 3,
	CAUSE_MODEM_STATUS = 1 << 4,
};

static const uint8_t cause_iir[] = {0x06, 0x04, 0x0c, 0x02, 0x00}; /* by bit number */

void uart_rx_room_changed(struct uart *uart, size_t was)
{
	if (uart_rx_room(uart) > was)
		uart->chr->input_wanted(uart->chr);
}

/* Interrupts: five causes, one line. */

static unsigned uart_causes(const struct uart *uart)
{
	unsigned causes = 0;

	if ((uart->ier & IER_ELSI) && uart->lsr_err)
		causes |= CAUSE_LINE_STATUS;
	if ((uart->ier & IER_ERBFI) && uart->rx.count >= uart_rx_trigger(uart))
		causes |= CAUSE_RX_DATA;
	else if ((uart->ier & IER_ERBFI) && uart->rx.count > 0)
		causes |= CAUSE_RX_TIMEOUT;
	if ((uart->ier & IER_ETBEI) && uart->thre_pending)
		causes |= CAUSE_THRE;
	if ((uart->ier & IER_EDSSI) && (uart->msr & MSR_DELTAS))
		causes |= CAUSE_MODEM_STATUS;
	return causes;
}

/* Setting the line is a system call, so only when it changes. */
static void uart_irq_drive(struct uart *uart, unsigned causes)
{
	bool level = causes && (uart->mcr & MCR_OUT2);

	if (level == uart->irq_level)
		return;
	uart->irq_level = level;
	uart->irq->set(uart->irq, level);
}

void uart_irq_update(struct uart *uart)
{
	uart_irq_drive(uart, uart_causes(uart));
}

/*
 * The guest's access resets one cause (Table IV) which, as nothing here takes time, is back before
 * the access ends. A PC's interrupt controller is edge-triggered: a driver that does its share of
 * work and waits for the next interrupt is not called again unless the line has been low.
 */
static void uart_irq_reset(struct uart *uart, unsigned cause)
{
	uart_irq_drive(uart, uart_causes(uart) & ~cause);
}

/* Receiver. */

/* An error shows in LSR once its byte is the next to be read (8.4). */
static void uart_rx_reveal(struct uart *uart)
{
	uart->lsr_err |= uart->rx.err[uart->rx.first];
}

static bool uart_rx_errors_below_top(const struct uart *uart)
{
	const struct fifo *rx = &uart->rx;

	for (unsigned i = 1; i < rx->count; i++)
		if (rx->err[(rx->first + i) % FIFO_BYTES])
			return true;
	return false;
}

/* A byte from the line. A full FIFO keeps what it has; 16450 mode's RBR is overwritten (8.4). */
static void uart_rx_push(struct uart *uart, uint8_t byte, uint8_t err)
{
	struct fifo *rx = &uart->rx;

	if (rx->count == uart_depth(uart)) {
		uart->lsr_err |= LSR_OE;
		if (uart_fifo_mode(uart))
			return;
		fifo_clear(rx);
	}
	fifo_push(rx, byte, err);
	if (rx->count == 1)
		uart_rx_reveal(uart);
}

/*
 * Judges by a read whether the guest polls: LSR is a look for input, and so is IIR with ERBFI, where a driver without
 * an interrupt looks; LSR without THRE may be a guest that waits to send; RBR belongs to looking; any
 * other register shows a guest at something else.
 */
static void uart_rx_poll(struct uart *uart, uint64_t off, bool dlab)
{
	size_t room = uart_rx_room(uart);

	if ((off == RBR_THR && !dlab) || (off == LSR && !uart_tx_idle(uart)))
		return;
	if (off != LSR && !(off == IIR_FCR && (uart->ier & IER_ERBFI)))
		uart->rx_polls = 0;
	else if (uart->rx_polls < RX_POLLS)
		uart->rx_polls++;
	uart_rx_room_changed(uart, room);
}

/* A guest that polls for input may also send, be it to echo; before that, sending looks at LSR too. */
static void uart_rx_poll_sent(struct uart *uart)
{
	if (uart->rx_polls < RX_POLLS)
		uart->rx_polls = 0;
}

static uint8_t uart_rbr_read(struct uart *uart)
{
	size_t room = uart_rx_room(uart);
	uint8_t byte;

	if (uart->rx.count == 0)
		return 0;
	byte = fifo_pop(&uart->rx);
	if (uart->rx.count > 0)
		uart_rx_reveal(uart);
	uart_irq_reset(uart, CAUSE_RX_TIMEOUT);
	uart_irq_update(uart);
	uart_rx_room_changed(uart, room);
	return byte;
}

void uart_loop_break_changed(struct uart *uart, bool was)
{
	if (!was && uart_loop_break(uart))
		uart_rx_push(uart, 0, LSR_BI | LSR_FE);
}

/* Transmitter. */

void uart_tx_flush(struct uart *uart)
{
	while (uart->tx.count > 0 && !uart_looped(uart) &&
	       char_backend_put(uart->chr, uart->tx.data[uart->tx.first]))
		fifo_pop(&uart->tx);
}

void uart_tx_idle_changed(struct uart *uart, bool was)
{
	bool idle = uart_tx_idle(uart);

	if (idle == was)
		return;
	uart->thre_pending = idle;
	uart_burst_end(uart);
}

/* The hot path: no loop, no lock, put(), and the irq line only where it changes. */
static void uart_thr_write(struct uart *uart, struct io_at at, uint8_t byte)
{
	if (uart->tx_burst % uart_depth(uart) == 0)
		uart_irq_reset(uart, CAUSE_THRE);
	uart->tx_burst++;

	if (uart_looped(uart)) {
		if (!uart_loop_break(uart))
			uart_rx_push(uart, byte, 0);
		uart->thre_pending = true;
	} else if (uart->tx.count == 0 && char_backend_put(uart->chr, byte)) {
		uart->thre_pending = true;
	} else if (uart->tx.count < uart_depth(uart)) {
		fifo_push(&uart->tx, byte, 0);
		uart->thre_pending = false;
	} else { /* the guest ignored THRE: the holding register is overwritten */
		*fifo_last(&uart->tx) = byte;
		device_guest_error(&uart->dev, at);
	}
	uart_irq_update(uart);
}

/* The other registers. */

static uint8_t uart_iir(const struct uart *uart, unsigned causes)
{
	uint8_t fifo = uart_fifo_mode(uart) ? IIR_FIFO : 0;

	return fifo | (causes ? cause_iir[__builtin_ctz(causes)] : IIR_NONE);
}

static uint8_t uart_iir_read(struct uart *uart)
{
	unsigned causes = uart_causes(uart);

	uart_burst_end(uart);
	if ((causes & -causes) == CAUSE_THRE) { /* only when the guest reads this cause */
		uart->thre_pending = false;
		uart_irq_update(uart);
	}
	return uart_iir(uart, causes);
}

static uint8_t uart_lsr_read(struct uart *uart)
{
	unsigned lsr = uart->lsr_err;

	if (uart->rx.count > 0)
		lsr |= LSR_DR;
	if (uart_tx_idle(uart))
		lsr |= LSR_THRE | LSR_TEMT;
	if (uart_fifo_mode(uart) && ((lsr & (LSR_FE | LSR_BI)) || uart_rx_errors_below_top(uart)))
		lsr |= LSR_FIFO_ERROR;
	uart_burst_end(uart);
	if (uart->lsr_err) {
		uart->lsr_err = 0;
		uart_irq_update(uart);
	} else if (uart->rx_polls == RX_POLLS || !uart_tx_idle(uart)) {
		/* Neither uart_rx_poll() nor this will do anything next time. */
		atomic_store_explicit(&uart->quick_lsr, (uint32_t)uart->range << 8 | lsr,
				      memory_order_release);
	}
	return (uint8_t)lsr;
}

static bool uart_read_quick(struct device *dev, struct io_at at, uint64_t *ret_val)
{
	const struct uart *uart = uart_of(dev);
	const uint32_t quick = atomic_load_explicit(&uart->quick_lsr, memory_order_acquire);

	*ret_val = (uint8_t)quick;
	return at.off == LSR && quick >> 8 == at.range;
}

static uint8_t uart_msr_read(struct uart *uart)
{
	uint8_t msr = uart->msr;

	if (msr & MSR_DELTAS) {
		uart->msr = msr & (uint8_t)~MSR_DELTAS;
		uart_irq_update(uart);
	}
	return msr;
}

/* The device interface. */

/* Whether the registers are in that range; the first to be used has them. */
static bool uart_is_in(struct uart *uart, uint8_t range)
{
	if (uart->range == RANGE_NONE)
		uart->range = range;
	return uart->range == range;
}

static uint64_t uart_read(struct device *dev, struct io_at at)
{
	struct uart *uart = uart_of(dev);
	bool dlab = uart->lcr & LCR_DLAB;

	if (!uart_is_in(uart, at.range))
		return UINT8_MAX;
	uart_lsr_changes(uart);
	uart_rx_poll(uart, at.off, dlab);
	switch (at.off) {
	case RBR_THR: return dlab ? uart->dll : uart_rbr_read(uart);
	case IER: return dlab ? uart->dlm : uart->ier;
	case IIR_FCR: return uart_iir_read(uart);
	case LCR: return uart->lcr;
	case MCR: return uart->mcr;
	case LSR: return uart_lsr_read(uart);
	case MSR: return uart_msr_read(uart);
	case SCR: return uart->scr;
	default: return device_guest_error(dev, at); /* a range of more than 8 bytes */
	}
}

static void uart_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct uart *uart = uart_of(dev);
	bool dlab = uart->lcr & LCR_DLAB;
	uint8_t byte = (uint8_t)val;

	if (!uart_is_in(uart, at.range))
		return;
	uart_lsr_changes(uart);
	if (at.off == RBR_THR && !dlab)
		uart_rx_poll_sent(uart);
	else
		uart->rx_polls = 0;
	switch (at.off) {
	case RBR_THR:
		if (dlab)
			uart->dll = byte;
		else
			uart_thr_write(uart, at, byte);
		break;
	case IER:
		if (dlab)
			uart->dlm = byte;
		else
			uart_ier_write(uart, byte);
		break;
	case IIR_FCR: uart_fcr_write(uart, byte); break;
	case LCR: uart_lcr_write(uart, byte); break;
	case MCR: uart_mcr_write(uart, byte); break;
	case SCR: uart->scr = byte; break;
	default: device_guest_error(dev, at); /* LSR and MSR are for reading (8.4) */
	}
}

/*
 * Whether reads have no effect that shows. The effect of uart_burst_end() in them, and whether THRE's
 * interrupt is pending, show only with ETBEI, and its rise starts both anew.
 */
static bool uart_reads_quiet(const struct uart *uart)
{
	return uart->ier == 0 && !(uart->lcr & LCR_DLAB) && !uart_looped(uart) &&
	       uart->rx.count == 0 && uart->lsr_err == 0 && !(uart->msr & MSR_DELTAS);
}

static bool uart_register_page(struct device *dev, uint8_t range, size_t late, uint8_t *ret)
{
	const struct uart *uart = uart_of(dev);

	if (uart->range != RANGE_NONE && uart->range != range) {
		memset(ret, UINT8_MAX, REGISTERS);
		return true;
	}
	if (!uart_reads_quiet(uart) || !uart_tx_idle(uart) || uart->chr->room(uart->chr) < late)
		return false;
	ret[RBR_THR] = 0;
	ret[IER] = 0;
	ret[IIR_FCR] = uart_iir(uart, 0);
	ret[LCR] = uart->lcr;
	ret[MCR] = uart->mcr;
	ret[LSR] = LSR_THRE | LSR_TEMT;
	ret[MSR] = uart->msr;
	ret[SCR] = uart->scr;
	return true;
}

static size_t uart_op_rx_room(struct device *dev)
{
	return uart_rx_room(uart_of(dev));
}

/*
 * Bytes beyond rx_room() are lost as on the line, rather than an assertion the guest could reach by
 * an access between the two calls, should a back end let the lock go there.
 */
static void uart_op_rx(struct device *dev, const uint8_t *buf, size_t n)
{
	struct uart *uart = uart_of(dev);

	if (uart_looped(uart))
		return;
	uart_lsr_changes(uart);
	for (size_t i = 0; i < n; i++)
		uart_rx_push(uart, buf[i], 0);
	uart_irq_update(uart);
}

/* However long it lasts, one zero byte (8.4); its stop bit is a space, hence FE. */
static void uart_op_rx_break(struct device *dev)
{
	struct uart *uart = uart_of(dev);

	if (uart_looped(uart))
		return;
	uart_lsr_changes(uart);
	uart_rx_push(uart, 0, LSR_BI | LSR_FE);
	uart_irq_update(uart);
}

static void uart_op_tx_room(struct device *dev)
{
	struct uart *uart = uart_of(dev);
	bool idle = uart_tx_idle(uart);

	uart_lsr_changes(uart);
	uart_tx_flush(uart);
	uart_tx_idle_changed(uart, idle);
	uart_irq_update(uart);
}

/*
 * Table I, and a divisor and scratch register, which hardware leaves undefined. Bytes that the back end has not taken
 * yet were sent by the guest, and still leave.
 */
static void uart_reset(struct device *dev)
{
	struct uart *uart = uart_of(dev);

	uart_lsr_changes(uart);
	uart->ier = uart->fcr = uart->lcr = uart->mcr = uart->scr = uart->dlm = 0;
	uart->lsr_err = 0;
	uart->msr = MSR_IDLE;
	uart->dll = DIVISOR_POWER_ON;
	uart->range = RANGE_NONE;
	uart->rx_polls = 0;
	uart->thre_pending = false;
	fifo_clear(&uart->rx);
	uart_burst_end(uart);
	uart_irq_update(uart);
}

static int uart_init(struct device *dev, const struct device_env *env)
{
	struct uart *uart = uart_of(dev);

	assert(env->irq && env->chr);
	uart->irq = env->irq;
	uart->chr = env->chr;
	uart_reset(dev);
	return 0;
}

static const struct char_ops uart_char_ops = {
	.rx_room = uart_op_rx_room,
	.rx = uart_op_rx,
	.rx_break = uart_op_rx_break,
	.tx_room = uart_op_tx_room,
};

const struct device_class serial_16550_class = {
	.name = "16550A",
	.fdt_compatible = "ns16550a",
	.acpi_hid = "PNP0501",
	.state_size = sizeof(struct uart),
	.max_access = 1,
	.coalesce_len = 1,
	.init = uart_init,
	.reset = uart_reset,
	.read = uart_read,
	.write = uart_write,
	.read_quick = uart_read_quick,
	.register_page = uart_register_page,
	.chr = &uart_char_ops,
};
