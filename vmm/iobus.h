/*
 * iobus.h - the range bus: guest address -> device, by bsearch in one immutable sorted snapshot.
 *
 * The port and the memory-mapped address space are two buses of this code. Each vCPU owns one
 * reader per bus; an access through a reader takes no lock but the device's own and never waits for
 * a writer. Writers (iobus_add, iobus_remove, any thread) copy the snapshot, publish the copy and
 * reuse the old one once every reader has left it; docs/design/iobus.md says why it is done this way.
 *
 * Defined once, here, for every device:
 * - an access is cut where ranges begin and end. Each part that a range claims reaches its device,
 *   lowest address first, as reads or writes of 8, 4, 2 or 1 bytes: each time the largest of these
 *   that is no wider than the class's max_access and no longer than what is left of the part;
 * - so an access of 1, 2, 4 or 8 bytes, inside one range and no wider than max_access, is one read
 *   or write. Alignment plays no part: how a device answers an unaligned one depends on off
 *   and size;
 * - bytes that no range claims, and bytes past the top of the address space (an access never wraps
 *   to address 0), read as all ones, and writes to them are dropped; both are counted as unclaimed;
 * - all parts of one access see one snapshot; the device's lock is taken for each read or write;
 * - string I/O (count > 1) is count accesses to the same address, in order.
 */
#ifndef VMM_IOBUS_H
#define VMM_IOBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

struct device;
struct iobus;
struct iobus_reader;

enum iobus_space {
	IOBUS_PIO,  /* 64 Ki ports */
	IOBUS_MMIO, /* 64-bit guest physical addresses */
};

struct iobus_range {
	uint64_t first,
		len; /* len in bytes, not 0; first + len must not pass the top of the space */
	struct device *dev; /* borrowed until iobus_remove() returned */
	const char *owner;  /* not NULL, borrowed as long; for errors and statistics */
	uint8_t region;     /* handed to the device as io_at.range */
};

/* Returns 0 or -errno; the caller owns *ret. */
int iobus_create(enum iobus_space space, struct iobus **ret);

/* Takes NULL. Every reader must have been destroyed. Returns NULL. */
struct iobus *iobus_destroy(struct iobus *bus);

/*
 * Registers a range; accesses that start after this returned find it. -EINVAL for an empty range,
 * one that passes the top of the space, or a class that lacks read or write or whose max_access is
 * not 0, 1, 2, 4 or 8; -EEXIST for an overlap (diag names both owners), -ENOMEM, -ENOSPC past
 * 65,536 ranges. Nothing has changed on failure.
 *
 * This, iobus_add_many() and iobus_remove() wait for accesses under way: none may be called from a
 * device's op, nor with a lock held that an op takes.
 */
int iobus_add(struct iobus *bus, const struct iobus_range *range, struct diag *diag);

/*
 * Registers n ranges in one step, all or none: one sort, one publication. Errors as iobus_add().
 */
int iobus_add_many(struct iobus *bus, const struct iobus_range *ranges, size_t n,
		   struct diag *diag);

/*
 * Removes the range that starts at first; once this returned no reader is inside the device through
 * it and none will be, so the device may be destroyed. -ENOENT when there is none, and no other
 * failure: it needs no memory.
 */
int iobus_remove(struct iobus *bus, uint64_t first, struct diag *diag);

/*
 * A reader for one thread at a time, and not from within an access through it. Between accesses,
 * so all the while its thread is in KVM_RUN, it holds up no writer. Returns 0 or -ENOMEM; the caller
 * owns *ret.
 */
int iobus_reader_create(struct iobus *bus, struct iobus_reader **ret);
struct iobus_reader *iobus_reader_destroy(struct iobus_reader *reader); /* takes and returns NULL */

/* One access of size bytes (1 to 8); data is in guest (little-endian) byte order. */
void iobus_read(struct iobus_reader *reader, uint64_t addr, unsigned size, void *data);
void iobus_write(struct iobus_reader *reader, uint64_t addr, unsigned size, const void *data);

/* count accesses to one address, data advancing by size: KVM_EXIT_IO with count > 1. */
void iobus_read_string(struct iobus_reader *reader, uint64_t addr, unsigned size, uint32_t count,
		       void *data);
void iobus_write_string(struct iobus_reader *reader, uint64_t addr, unsigned size, uint32_t count,
			const void *data);

/* An access of which no range claims some byte, or any. */
struct iobus_unclaimed_access {
	uint64_t addr;
	unsigned size; /* bytes */
	bool is_write;
	uint64_t val; /* of a write */
};

/*
 * Calls unclaimed(arg, access) after each such access, on the reader's thread and within the access: it must not change
 * the bus. Each then takes the way of a search. Before any access.
 */
void iobus_watch_unclaimed(struct iobus *bus,
			   void (*unclaimed)(void *arg,
					     const struct iobus_unclaimed_access *access),
			   void *arg);

/*
 * Measure the time accesses spend in dispatch, lookup and device's lock included: two clock readings
 * an access and one more for each further range it touches. Off at first. Waits as iobus_add() does.
 */
void iobus_set_timing(struct iobus *bus, bool on);

/* Counters of one range, summed over all readers, also those already destroyed. */
struct iobus_count {
	uint64_t first, len;
	char owner[32]; /* cut to fit */
	uint64_t reads,
		writes; /* accesses as the guest made them; a split one counts in each range */
	uint64_t ns;    /* in dispatch, while timing was on */
};

/* Accesses of the whole bus, also those to ranges removed since. */
struct iobus_totals {
	uint64_t reads, writes; /* guest accesses, each string element one */
	uint64_t split; /* accesses that took several device ops, or one and had unclaimed bytes */
	uint64_t unclaimed_reads, unclaimed_writes; /* accesses with at least one unclaimed byte */
};

/*
 * Copies the counters of every range, in address order, into buf (cap entries); returns how many
 * there are, which may be more than cap. May run while readers do; each number is then a recent one.
 * ret_totals may be NULL.
 */
size_t iobus_counts(struct iobus *bus, struct iobus_count *buf, size_t cap,
		    struct iobus_totals *ret_totals);

/* The same of one reader alone, in the same order as long as no range comes or goes. */
size_t iobus_reader_counts(const struct iobus_reader *reader, struct iobus_count *buf, size_t cap);

/* An address that no range claims, and the accesses that began there and touched no range. */
struct iobus_unclaimed {
	uint64_t addr;
	uint64_t reads, writes;
};

/*
 * The unclaimed addresses that the guest accessed: an array of *ret_nr, in address order, that the caller frees. Of
 * addresses beyond a hundred or so a reader, only iobus_totals has the sum. Summed over all readers, and may run while
 * they do. -ENOMEM.
 */
int iobus_unclaimed(struct iobus *bus, struct iobus_unclaimed **ret, size_t *ret_nr);

#endif
