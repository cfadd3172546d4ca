#include "serial.h"

#include "cpu.h"
#include "pc.h"

static struct {
	size_t tx_room; /* bytes the FIFO surely takes */
} serial;

void serial_init(void)
{
	out8(PC_COM1_PORT + UART_IER, 0);
	out8(PC_COM1_PORT + UART_LCR, UART_LCR_DLAB | UART_LCR_8N1);
	out8(PC_COM1_PORT + UART_DLL, 1); /* 115200 baud */
	out8(PC_COM1_PORT + UART_DLM, 0);
	out8(PC_COM1_PORT + UART_LCR, UART_LCR_8N1);
	out8(PC_COM1_PORT + UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX | UART_FCR_CLEAR_TX);
	out8(PC_COM1_PORT + UART_MCR, UART_MCR_DTR | UART_MCR_RTS);
	serial.tx_room = 0;
}

static void serial_wait(uint8_t lsr_bits)
{
	while ((in8(PC_COM1_PORT + UART_LSR) & lsr_bits) != lsr_bits)
		cpu_relax();
}

/* Single OUTs, not REP OUTSB: output must not depend on what the pio suite tests. */
void serial_write(const char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (serial.tx_room == 0) {
			serial_wait(UART_LSR_THRE);
			serial.tx_room = UART_FIFO_BYTES;
		}
		serial.tx_room--;
		out8(PC_COM1_PORT + UART_THR, (uint8_t)buf[i]);
	}
}

void serial_flush(void)
{
	serial_wait(UART_LSR_TEMT);
	serial.tx_room = UART_FIFO_BYTES;
}
