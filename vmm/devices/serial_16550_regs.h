/* serial_16550_regs.h - the 16550A's registers: offsets, and bits (PC16550D datasheet, Table II). */
#ifndef VMM_DEVICES_SERIAL_16550_REGS_H
#define VMM_DEVICES_SERIAL_16550_REGS_H

enum {
	RBR_THR = 0, /* read, write; DLL with DLAB */
	IER = 1,     /* DLM with DLAB */
	IIR_FCR = 2, /* read, write */
	LCR = 3,
	MCR = 4,
	LSR = 5,
	MSR = 6,
	SCR = 7,
};

enum {
	IER_ERBFI = 0x01, /* received data, and timeout */
	IER_ETBEI = 0x02, /* transmitter holding register empty */
	IER_ELSI = 0x04,  /* line status */
	IER_EDSSI = 0x08, /* modem status */
	IER_BITS = 0x0f,

	IIR_NONE = 0x01,
	IIR_FIFO = 0xc0,

	FCR_ENABLE = 0x01,
	FCR_RCVR_RESET = 0x02,
	FCR_XMIT_RESET = 0x04,
	FCR_TRIGGER = 0xc0,
	FCR_TRIGGER_SHIFT = 6,

	LCR_SET_BREAK = 0x40,
	LCR_DLAB = 0x80,

	MCR_DTR = 0x01,
	MCR_RTS = 0x02,
	MCR_OUT1 = 0x04,
	MCR_OUT2 = 0x08,
	MCR_LOOP = 0x10,
	MCR_BITS = 0x1f,

	LSR_DR = 0x01,
	LSR_OE = 0x02,
	LSR_FE = 0x08,
	LSR_BI = 0x10,
	LSR_THRE = 0x20,
	LSR_TEMT = 0x40,
	LSR_FIFO_ERROR = 0x80,

	MSR_DELTAS = 0x0f,
	MSR_TERI = 0x04, /* the other deltas sit four bits below their input, and so does this */
	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80,
	MSR_IDLE = MSR_CTS | MSR_DSR | MSR_DCD, /* a terminal is attached and ready */
};

#endif
