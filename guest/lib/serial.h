/*
 * serial.h - 16550A UART on COM1 (National Semiconductor PC16550D data sheet): registers, and
 * polled output for everything that prints. With uart=GPA on the command line of any kernel its
 * registers are looked for in memory instead, a byte each from there on.
 */
#ifndef GUEST_SERIAL_H
#define GUEST_SERIAL_H

#include <stddef.h>
#include <stdint.h>

/* Offsets from the port; DLAB of LCR chooses the second set for the first two. */
enum serial_reg {
	UART_RBR = 0, /* read */
	UART_THR = 0, /* write */
	UART_DLL = 0,
	UART_IER = 1,
	UART_DLM = 1,
	UART_IIR = 2, /* read */
	UART_FCR = 2, /* write */
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7,
};

#define UART_FIFO_BYTES 16

#define UART_IER_RX       0x01
#define UART_IER_TX       0x02
#define UART_IIR_NONE     0x01
#define UART_IIR_ID       0x0f
#define UART_IIR_TX       0x02
#define UART_IIR_RX       0x04
#define UART_IIR_RX_LATE  0x0c
#define UART_FCR_ENABLE   0x01
#define UART_FCR_CLEAR_RX 0x02
#define UART_FCR_CLEAR_TX 0x04
#define UART_LCR_8N1      0x03
#define UART_LCR_DLAB     0x80
#define UART_MCR_DTR      0x01
#define UART_MCR_RTS      0x02
#define UART_MCR_OUT2     0x08 /* a PC's gate between the UART and its interrupt line */
#define UART_MCR_LOOP     0x10
#define UART_LSR_DR       0x01
#define UART_LSR_OE       0x02
#define UART_LSR_THRE     0x20
#define UART_LSR_TEMT     0x40

/* Where the registers are; 0 for COM1's ports, which is so until it is called. */
void serial_locate(uint64_t memory);

/* One access each, of one byte. */
uint8_t serial_in(enum serial_reg reg);
void serial_out(enum serial_reg reg, uint8_t val);

/* 115200 8N1, FIFOs on and empty, no interrupts. */
void serial_init(void);

/*
 * Waits for room by polling LSR, once per FIFO-full: a THR that is empty takes 16 bytes, and one
 * before serial_init(). Callers
 * hold the print lock (print.h) or are alone.
 */
void serial_write(const char *buf, size_t n);

/* Waits until every byte is on the wire: before a mode change such as loopback. */
void serial_flush(void);

#endif
