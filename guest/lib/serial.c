#include "serial.h"

#include "cpu.h"
#include "pc.h"

static struct {
	uint64_t memory; /* guest physical address of the registers; 0: they are at COM1's ports */
	size_t tx_fifo;  /* bytes that an empty transmitter takes */
	size_t tx_room;  /* bytes it surely takes now */
} serial = {.tx_fifo = 1}; /* at power-on the FIFOs are off */

void serial_locate(uint64_t memory)
{
	serial.memory = memory;
}

uint8_t serial_in(enum serial_reg reg)
{
	return serial.memory ? mmio_read8(serial.memory + reg)
			     : in8((uint16_t)(PC_COM1_PORT + reg));
}

void serial_out(enum serial_reg reg, uint8_t val)
{
	if (serial.memory)
		mmio_write8(serial.memory + reg, val);
	else
		out8((uint16_t)(PC_COM1_PORT + reg), val);
}

void serial_init(void)
{
	serial_out(UART_IER, 0);
	serial_out(UART_LCR, UART_LCR_DLAB | UART_LCR_8N1);
	serial_out(UART_DLL, 1); /* 115200 baud */
	serial_out(UART_DLM, 0);
	serial_out(UART_LCR, UART_LCR_8N1);
	serial_out(UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX | UART_FCR_CLEAR_TX);
	serial_out(UART_MCR, UART_MCR_DTR | UART_MCR_RTS);
	serial.tx_fifo = UART_FIFO_BYTES;
	serial.tx_room = 0;
}

static void serial_wait(uint8_t lsr_bits)
{
	while ((serial_in(UART_LSR) & lsr_bits) != lsr_bits)
		cpu_relax();
}

/* Single OUTs, not REP OUTSB: output must not depend on what the pio suite tests. */
void serial_write(const char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (serial.tx_room == 0) {
			serial_wait(UART_LSR_THRE);
			serial.tx_room = serial.tx_fifo;
		}
		serial.tx_room--;
		serial_out(UART_THR, (uint8_t)buf[i]);
	}
}

void serial_flush(void)
{
	serial_wait(UART_LSR_TEMT);
	serial.tx_room = serial.tx_fifo;
}
