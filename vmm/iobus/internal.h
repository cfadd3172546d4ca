/*
 * internal.h - what the files of the bus share: the snapshot and its search, the reader, the
 * counters. Included by the files of the bus, by last.h for the vCPU's inline way, and by tests and benchmarks of the
 * bus.
 *
 * docs/design/iobus.md argues the scheme and its memory orders.
 */
#ifndef VMM_IOBUS_INTERNAL_H
#define VMM_IOBUS_INTERNAL_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "device.h"
#include "iobus.h"

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define IOBUS_TSAN 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define IOBUS_TSAN 1
#endif
#ifndef IOBUS_TSAN
#define IOBUS_TSAN 0
#endif

enum {
	IOBUS_RANGES_MAX = 65536,
	IOBUS_ACCESS_MAX = 8, /* bytes */
	IOBUS_CACHE_LINE = 64,
	IOBUS_STORES_SEEN_NS = 10000000, /* by then any store has left its processor's buffer */
};

enum iobus_dir {
	IOBUS_READ,
	IOBUS_WRITE,
};

/*
 * Counters of one range in one reader. Only the reader's thread adds, so adding is a load and a
 * store; they are atomic because iobus_counts() looks on.
 */
struct iobus_counter {
	_Atomic uint64_t accesses[2]; /* by enum iobus_dir */
	_Atomic uint64_t ns;
};

/*
 * A range keeps its slot from one snapshot to the next. Chunk k has IOBUS_CHUNK_SLOTS << k slots, so
 * a table grows without ever moving a counter that a reader may be adding to.
 */
enum {
	IOBUS_CHUNK_SLOTS = 64,
	IOBUS_CHUNKS = 11, /* 64 * (2^11 - 1) slots, enough for IOBUS_RANGES_MAX */
};

/*
 * Unclaimed addresses that have a count of their own, in sets by a hash of the address. Bounded, as the guest chooses
 * them; where a set is full the others share one count.
 */
enum {
	IOBUS_UNCLAIMED_SETS_LOG2 = 5,
	IOBUS_UNCLAIMED_WAYS = 4,
	IOBUS_UNCLAIMED_MAX = IOBUS_UNCLAIMED_WAYS << IOBUS_UNCLAIMED_SETS_LOG2,
};

struct iobus_unclaimed_counter {
	_Atomic uint64_t key; /* the address + 1; 0: free. Stored once */
	struct iobus_counter counter;
};

struct iobus_counters {
	struct iobus_counter *chunk[IOBUS_CHUNKS]; /* owned; NULL until a slot in it is taken */
	/* Accesses that no range claims a byte of, by where they begin, and the rest of them. In no other count. */
	struct iobus_unclaimed_counter unclaimed_at[IOBUS_UNCLAIMED_MAX];
	struct iobus_counter gap;
	/* The correction that turns all other counts into accesses, modulo 2^64; by enum iobus_dir. */
	_Atomic uint64_t correction[2];
	_Atomic uint64_t unclaimed[2]; /* of those, accesses with an unclaimed byte */
	_Atomic uint64_t split;
};

/* One range of a snapshot. Never changes while a reader may see it. Two cache lines. */
struct iobus_entry {
	struct iobus_range range; /* len is 0 in the one entry of an empty snapshot */
	/* The class's own where it is self_locked, else functions that take the lock around them. */
	uint64_t (*read)(struct device *dev, struct io_at at);
	void (*write)(struct device *dev, struct io_at at, uint64_t val);
	/*
	 * fit[k] is about accesses of 1 << k bytes: each with an offset below fit[k].off is one op,
	 * and the device gets the rest of fit[k] with it.
	 */
	struct io_at fit[4];
	uint32_t slot;
	uint8_t max_access; /* bytes: 1, 2, 4 or 8 */
};

/* One allocation: this, the keys, the entries. */
struct iobus_snapshot {
	uint64_t generation; /* 1 and up, one more with each publication */
	size_t nr, cap;      /* ranges */
	bool timed;
	struct iobus_entry *entry; /* sorted; entry[0] exists even when nr is 0 */
	uint64_t first[];          /* entry[i].range.first again: the keys, packed for the search */
};

struct iobus_reader {
	/*
	 * 0 outside an access; inside, the generation this reader had seen when it entered, or an
	 * older one. Stored by the reader, polled by writers.
	 */
	alignas(IOBUS_CACHE_LINE) _Atomic uint64_t active;

	/* The reader's thread alone. */
	uint64_t seen;                    /* the generation found by the last search */
	uint64_t last_generation;         /* of last; 0, which is none, turns the last hit off */
	const struct iobus_entry *last;   /* the range that search found, or gap */
	struct iobus_counter *last_count; /* of last */

	struct iobus *bus;
	struct iobus_entry gap; /* the last unclaimed address; reads give all ones */
	struct iobus_counters counters;
	struct iobus_reader *next; /* under the bus's lock */
};

struct iobus {
	/*
	 * Stored once a publication, in this order, and in a line of their own, because every access
	 * loads one or both.
	 */
	alignas(IOBUS_CACHE_LINE) _Atomic(struct iobus_snapshot *) snapshot;
	_Atomic uint64_t generation;
	bool fenced; /* constant: writers cannot use membarrier(), readers have to order themselves */
	/* iobus_watch_unclaimed(); NULL: nobody watches. Constant once there are accesses. */
	void (*unclaimed)(void *arg, const struct iobus_unclaimed_access *access);
	void *unclaimed_arg;

	/* Everything else is for writers, under the lock. */
	alignas(IOBUS_CACHE_LINE) pthread_mutex_t lock;
	/* Where the next snapshot is built. Its cap is no less than the nr of the current one. */
	struct iobus_snapshot *spare;
	struct iobus_reader *readers;
	/* Counts of destroyed readers; correction[] also those of removed ranges. */
	struct iobus_counters folded;
	enum iobus_space space;
};

/*
 * The entry with the highest first at or below addr, or the lowest entry. Whether it claims addr is
 * the caller's to ask: addr - range.first < range.len, which an addr below range.first fails too.
 */
static inline const struct iobus_entry *iobus_snapshot_find(const struct iobus_snapshot *s,
							    uint64_t addr)
{
	const uint64_t *first = s->first;

	for (size_t n = s->nr; n > 1;) {
		size_t half = n / 2;

		first = first[half] <= addr ? first + half : first;
		n -= half;
	}
	return &s->entry[first - s->first];
}

static inline bool iobus_entry_claims(const struct iobus_entry *e, uint64_t addr)
{
	return addr - e->range.first < e->range.len;
}

/*
 * Each access of at most max_access bytes that lies inside the range is one op, and the device gets
 * region with it.
 */
static inline void iobus_entry_set_fit(struct iobus_entry *e)
{
	for (unsigned k = 0; k < ARRAY_SIZE(e->fit); k++) {
		uint64_t size = UINT64_C(1) << k;

		e->fit[k] = (struct io_at){.size = (uint8_t)size, .range = e->range.region};
		if (size <= e->max_access && size <= e->range.len)
			e->fit[k].off = e->range.len - size + 1;
	}
}

/* fenced: readers have a fence of their own, as iobus_create() wants it where membarrier() is missing. */
int iobus_create_as(enum iobus_space space, bool fenced, struct iobus **ret);

/* iobus/count.c; all but the inline ones under the bus's lock. */

static inline struct iobus_counter *iobus_counter_at(const struct iobus_counters *c, uint32_t slot)
{
	uint32_t i = slot + IOBUS_CHUNK_SLOTS;
	unsigned k = 31U - (unsigned)__builtin_clz(i / IOBUS_CHUNK_SLOTS);

	return &c->chunk[k][i - ((uint32_t)IOBUS_CHUNK_SLOTS << k)];
}

static inline void iobus_count_add(_Atomic uint64_t *count, uint64_t n)
{
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* The count of accesses that begin at an unclaimed address; NULL: it shares gap. The reader's thread. */
static inline struct iobus_counter *iobus_unclaimed_at(struct iobus_counters *c, uint64_t addr)
{
	const uint64_t hash = addr * UINT64_C(0x9e3779b97f4a7c15), key = addr + 1;
	struct iobus_unclaimed_counter *set =
		&c->unclaimed_at[(hash >> (64 - IOBUS_UNCLAIMED_SETS_LOG2)) * IOBUS_UNCLAIMED_WAYS];

	for (unsigned i = 0; i < IOBUS_UNCLAIMED_WAYS && key; i++) {
		const uint64_t at = atomic_load_explicit(&set[i].key, memory_order_relaxed);

		if (at == 0)
			atomic_store_explicit(&set[i].key, key, memory_order_relaxed);
		if (at == 0 || at == key)
			return &set[i].counter;
	}
	return NULL;
}

/* Makes room for slots 0 to slot, zeroed. Returns 0 or -ENOMEM; what it got so far stays. */
int iobus_counters_reserve(struct iobus_counters *c, uint32_t slot);
/* The same, for all slots that other has room for. */
int iobus_counters_reserve_like(struct iobus_counters *c, const struct iobus_counters *other);
void iobus_counters_fini(struct iobus_counters *c);

/* Adds the counts of a reader that is going to be destroyed to those of the bus. */
void iobus_counters_fold(struct iobus *bus, const struct iobus_counters *c);

/* Retires a slot: moves its counts into the bus's totals and zeroes it everywhere; no reader uses it. */
void iobus_counters_retire(struct iobus *bus, uint32_t slot);

#endif
