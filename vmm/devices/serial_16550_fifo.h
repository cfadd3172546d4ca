/* serial_16550_fifo.h - one of the 16550A's FIFOs. Not empty, or not full, is the caller's to know. */
#ifndef VMM_DEVICES_SERIAL_16550_FIFO_H
#define VMM_DEVICES_SERIAL_16550_FIFO_H

#include <assert.h>
#include <stdint.h>

enum { FIFO_BYTES = 16 }; /* a power of two */

struct fifo {
	uint8_t data[FIFO_BYTES];
	uint8_t err[FIFO_BYTES]; /* receiver: LSR bits to show once the byte is at the top */
	uint8_t first, count;
};

static inline void fifo_push(struct fifo *f, uint8_t byte, uint8_t err)
{
	unsigned slot = (f->first + f->count) % FIFO_BYTES;

	assert(f->count < FIFO_BYTES);
	f->data[slot] = byte;
	f->err[slot] = err;
	f->count++;
}

static inline uint8_t fifo_pop(struct fifo *f)
{
	uint8_t byte = f->data[f->first];

	assert(f->count > 0);
	f->first = (uint8_t)((f->first + 1) % FIFO_BYTES);
	f->count--;
	return byte;
}

/* The newest byte's place; the FIFO is not empty. */
static inline uint8_t *fifo_last(struct fifo *f)
{
	return &f->data[(f->first + f->count - 1) % FIFO_BYTES];
}

static inline void fifo_clear(struct fifo *f)
{
	f->first = 0;
	f->count = 0;
}

#endif
