/*
 * last.h - the last hit: an access that the range found last takes as one op. Inline, because most accesses of a guest
 * are such, and each exit passes here. Everything else is iobus_read() and iobus_write().
 */
#ifndef VMM_IOBUS_LAST_H
#define VMM_IOBUS_LAST_H

#include "iobus/internal.h"

/*
 * The orders of the two sides of the handshake with writers, when membarrier() is at hand. The
 * ThreadSanitizer does not know membarrier(), so for it each side orders itself.
 */
enum {
	IOBUS_ENTER_STORE_ORDER = IOBUS_TSAN ? memory_order_seq_cst : memory_order_release,
	IOBUS_ENTER_LOAD_ORDER = IOBUS_TSAN ? memory_order_seq_cst : memory_order_acquire,
};

/* Index of a size of 1, 2, 4 or 8 bytes in iobus_entry.fit. */
static inline unsigned iobus_fit_index(unsigned size)
{
	return (unsigned)__builtin_ctz(size);
}

/*
 * Announces to writers that this reader may hold a snapshot. Its next loads from the bus must not be
 * made before the store is visible: the compiler is held by the signal fence, the processor by
 * the membarrier() of the writer that goes by the store.
 */
static inline void iobus_reader_enter(struct iobus_reader *r)
{
	atomic_store_explicit(&r->active, r->seen, IOBUS_ENTER_STORE_ORDER);
	atomic_signal_fence(memory_order_seq_cst);
}

/* Release: a writer that sees the 0 also sees this access done with the snapshot and the device. */
static inline void iobus_reader_leave(struct iobus_reader *r)
{
	atomic_store_explicit(&r->active, 0, memory_order_release);
}

/*
 * Enters. Returns the range found last, with the access counted and *ret_off into the range, when the access is one op
 * there: the caller makes it and leaves. NULL: the reader has entered, and the caller continues with a search.
 */
__attribute__((always_inline)) static inline const struct iobus_entry *
iobus_last_enter(struct iobus_reader *r, uint64_t addr, unsigned size, enum iobus_dir dir,
		 uint64_t *ret_off)
{
	const struct iobus_entry *e;

	iobus_reader_enter(r);
	if (__builtin_expect(atomic_load_explicit(&r->bus->generation, IOBUS_ENTER_LOAD_ORDER) !=
				     r->last_generation,
			     0))
		return NULL;
	e = r->last;
	*ret_off = addr - e->range.first;
	if (__builtin_expect(*ret_off >= e->fit[iobus_fit_index(size)].off, 0))
		return NULL;
	iobus_count_add(&r->last_count->accesses[dir], 1);
	return e;
}

/*
 * A write of size bytes, a constant, as the last hit. False: nothing was done but to enter; iobus_write() is to follow.
 */
__attribute__((always_inline)) static inline bool
iobus_write_last(struct iobus_reader *r, uint64_t addr, unsigned size, uint64_t val)
{
	uint64_t off;
	const struct iobus_entry *e = iobus_last_enter(r, addr, size, IOBUS_WRITE, &off);
	struct io_at at;

	if (!e)
		return false;
	at = e->fit[iobus_fit_index(size)];
	at.off = off;
	e->write(e->range.dev, at, val);
	iobus_reader_leave(r);
	return true;
}

/* The same for a read, and iobus_read(). *ret_val may have bits above size bytes, which mean nothing. */
__attribute__((always_inline)) static inline bool
iobus_read_last(struct iobus_reader *r, uint64_t addr, unsigned size, uint64_t *ret_val)
{
	uint64_t off;
	const struct iobus_entry *e = iobus_last_enter(r, addr, size, IOBUS_READ, &off);
	struct io_at at;

	if (!e)
		return false;
	at = e->fit[iobus_fit_index(size)];
	at.off = off;
	*ret_val = e->read(e->range.dev, at);
	iobus_reader_leave(r);
	return true;
}

#endif
