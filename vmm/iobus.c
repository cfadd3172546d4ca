/*
 * iobus.c - the readers' side of the bus: from a guest address to the device's op.
 *
 * Everything here runs on the thread that owns the reader, and takes no lock but the device's.
 */
#include "iobus.h"

#include <assert.h>
#include <string.h>

#include "device.h"
#include "iobus/internal.h"
#include "iobus/last.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "data is in guest byte order");

/* size is 1, 2, 4 or 8. */
static inline uint64_t load_le(const uint8_t *p, unsigned size)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (size) {
	case 1: return *p;
	case 2: memcpy(&v2, p, sizeof(v2)); return v2;
	case 4: memcpy(&v4, p, sizeof(v4)); return v4;
	default: memcpy(&v8, p, sizeof(v8)); return v8;
	}
}

/* Bytes of a device's value above size are dropped. */
static inline void store_le(uint8_t *p, unsigned size, uint64_t val)
{
	switch (size) {
	case 1: memcpy(p, &val, 1); break;
	case 2: memcpy(p, &val, 2); break;
	case 4: memcpy(p, &val, 4); break;
	default: memcpy(p, &val, 8); break;
	}
}

/* The guest's bytes. */
union data {
	uint8_t *in;        /* of a read */
	const uint8_t *out; /* of a write */
};

/* One op on the device; size is 1, 2, 4 or 8. */
static inline void entry_op(const struct iobus_entry *e, uint64_t off, unsigned size,
			    enum iobus_dir dir, union data data)
{
	struct io_at at = e->fit[iobus_fit_index(size)];

	at.off = off;
	if (dir == IOBUS_WRITE)
		e->write(e->range.dev, at, load_le(data.out, size));
	else
		store_le(data.in, size, e->read(e->range.dev, at));
}

static uint64_t gap_read(struct device *dev, struct io_at at)
{
	(void)dev;
	(void)at;
	return UINT64_MAX;
}

static void gap_write(struct device *dev, struct io_at at, uint64_t val)
{
	(void)dev;
	(void)at;
	(void)val;
}

/* Bytes from addr, which no range claims, to the next range; e is what the search found. */
static uint64_t snapshot_gap(const struct iobus_snapshot *s, const struct iobus_entry *e,
			     uint64_t addr)
{
	if (addr >= e->range.first)
		e++;
	return e < s->entry + s->nr ? e->range.first - addr : UINT64_MAX;
}

/*
 * Makes the reader's gap the unclaimed address addr: a guest that stays there is served like one that stays in a range.
 * e is the entry that the search for addr found.
 */
static void reader_gap(struct iobus_reader *r, const struct iobus_snapshot *s,
		       const struct iobus_entry *e, uint64_t addr)
{
	struct iobus_counter *own = iobus_unclaimed_at(&r->counters, addr);

	r->gap = (struct iobus_entry){
		.range = {.first = addr, .len = snapshot_gap(s, e, addr)},
		.read = gap_read,
		.write = gap_write,
		.max_access = IOBUS_ACCESS_MAX,
	};
	iobus_entry_set_fit(&r->gap);
	for (unsigned k = 0; k < ARRAY_SIZE(r->gap.fit); k++)
		if (r->bus->unclaimed)
			r->gap.fit[k].off = 0; /* access_parts() says so each time */
		else if (r->gap.fit[k].off > 1)
			r->gap.fit[k].off = 1; /* another address has another count */
	r->last = &r->gap;
	r->last_count = own ? own : &r->counters.gap;
}

/*
 * Enters, searches, and leaves what it found in last. Returns the snapshot, good until the reader
 * leaves. seen follows the generations even when the range found does not claim addr: no writer
 * waits for more than two accesses of a reader that never stops (docs/design/iobus.md).
 */
static inline const struct iobus_snapshot *reader_search(struct iobus_reader *r, uint64_t addr)
{
	bool fenced = r->bus->fenced;
	const struct iobus_snapshot *s;
	const struct iobus_entry *e;

	if (fenced)
		atomic_store_explicit(&r->active, r->seen, memory_order_seq_cst);
	else
		iobus_reader_enter(r);
	s = atomic_load_explicit(&r->bus->snapshot, memory_order_seq_cst);
	r->seen = s->generation;
	r->last_generation = fenced || s->timed ? 0 : s->generation;
	e = iobus_snapshot_find(s, addr);
	if (iobus_entry_claims(e, addr)) {
		r->last = e;
		r->last_count = iobus_counter_at(&r->counters, e->slot);
	} else {
		reader_gap(r, s, e, addr);
	}
	return s;
}

struct access {
	uint64_t addr;
	unsigned size; /* bytes, 1 to 8 */
	enum iobus_dir dir;
	union data data;
};

/* len bytes at pos of the access, all of them inside the range. Returns how many ops it took. */
static unsigned access_part(const struct access *a, const struct iobus_entry *e, unsigned pos,
			    unsigned len)
{
	unsigned ops = 0;

	for (unsigned end = pos + len, size = e->max_access; pos < end; pos += size, ops++) {
		union data data = a->data;

		while (size > end - pos)
			size /= 2;
		if (a->dir == IOBUS_WRITE)
			data.out += pos;
		else
			data.in += pos;
		entry_op(e, a->addr + pos - e->range.first, size, a->dir, data);
	}
	return ops;
}

static unsigned min_bytes(unsigned bytes, uint64_t limit)
{
	return bytes < limit ? bytes : (unsigned)limit;
}

static void report_unclaimed(const struct iobus *bus, const struct access *a)
{
	struct iobus_unclaimed_access access = {
		.addr = a->addr,
		.size = a->size,
		.is_write = a->dir == IOBUS_WRITE,
	};

	if (access.is_write)
		memcpy(&access.val, a->data.out, a->size);
	bus->unclaimed(bus->unclaimed_arg, &access);
}

struct parts {
	unsigned claimed; /* bytes */
	unsigned ranges, ops;
};

/* Counts that an access has besides those of its ranges. */
static void count_parts(struct iobus_reader *r, const struct access *a, struct parts parts)
{
	struct iobus_counters *c = &r->counters;

	if (parts.claimed == 0) {
		struct iobus_counter *own = iobus_unclaimed_at(c, a->addr);

		iobus_count_add(&(own ? own : &c->gap)->accesses[a->dir], 1);
		return;
	}
	if (parts.claimed < a->size)
		iobus_count_add(&c->unclaimed[a->dir], 1);
	if (parts.ops > 1 || parts.claimed < a->size)
		iobus_count_add(&c->split, 1);
	/*
	 * One access, whatever the ranges counted. Release, and the last: a thread that sums up loads this
	 * first and then sees the ranges' counts too, so that no sum falls short of 0.
	 */
	atomic_store_explicit(&c->correction[a->dir],
			      atomic_load_explicit(&c->correction[a->dir], memory_order_relaxed) +
				      1 - parts.ranges,
			      memory_order_release);
}

/*
 * Any access whatever: cut at the edges of ranges, in the order of addresses, and timed if that is
 * asked for. The reader has entered.
 */
__attribute__((noinline)) static void
access_parts(struct iobus_reader *r, const struct iobus_snapshot *s, const struct access *a)
{
	/* The access ends at the top of the space at the latest: nothing wraps to address 0. */
	unsigned end = min_bytes(a->size - 1, UINT64_MAX - a->addr) + 1;
	struct parts parts = {0};
	int64_t t = s->timed ? clock_monotonic_ns() : 0;

	if (a->dir == IOBUS_READ)
		memset(a->data.in, 0xff, a->size);
	for (unsigned pos = 0, len; pos < end; pos += len) {
		const struct iobus_entry *e = iobus_snapshot_find(s, a->addr + pos);
		uint64_t off = a->addr + pos - e->range.first;
		struct iobus_counter *counter;

		if (off >= e->range.len) {
			len = min_bytes(end - pos, snapshot_gap(s, e, a->addr + pos));
			continue;
		}
		len = min_bytes(end - pos, e->range.len - off);
		counter = iobus_counter_at(&r->counters, e->slot);
		iobus_count_add(&counter->accesses[a->dir], 1);
		parts.ops += access_part(a, e, pos, len);
		parts.claimed += len;
		parts.ranges++;
		if (s->timed) {
			const int64_t before = t;

			t = clock_monotonic_ns();
			iobus_count_add(&counter->ns, (uint64_t)(t - before));
		}
	}
	if (parts.claimed < a->size && r->bus->unclaimed)
		report_unclaimed(r->bus, a);
	count_parts(r, a, parts);
}

/* Every access that the last hit does not serve. */
__attribute__((noinline)) static void access_search(struct iobus_reader *r, uint64_t addr,
						    unsigned size, enum iobus_dir dir,
						    union data data)
{
	const struct iobus_snapshot *s;
	uint64_t off;

	assert(size >= 1 && size <= IOBUS_ACCESS_MAX);
	s = reader_search(r, addr);
	off = addr - r->last->range.first;
	if ((size & (size - 1)) == 0 && off < r->last->fit[iobus_fit_index(size)].off &&
	    !s->timed) {
		iobus_count_add(&r->last_count->accesses[dir], 1);
		entry_op(r->last, off, size, dir, data);
	} else {
		access_parts(r, s, &(struct access){addr, size, dir, data});
	}
	iobus_reader_leave(r);
}

/*
 * The way of most accesses: the range found last takes them as one op. Inlined once for each size
 * and direction, with these as constants; all else is a tail call, so that this needs no frame.
 */
__attribute__((always_inline)) static inline void access_last(struct iobus_reader *r, uint64_t addr,
							      unsigned size, enum iobus_dir dir,
							      union data data)
{
	uint64_t off;
	const struct iobus_entry *e = iobus_last_enter(r, addr, size, dir, &off);

	if (!e) {
		access_search(r, addr, size, dir, data);
		return;
	}
	entry_op(e, off, size, dir, data);
	iobus_reader_leave(r);
}

__attribute__((always_inline)) static inline void access_any(struct iobus_reader *r, uint64_t addr,
							     unsigned size, enum iobus_dir dir,
							     union data data)
{
	switch (size) {
	case 1: access_last(r, addr, 1, dir, data); break;
	case 2: access_last(r, addr, 2, dir, data); break;
	case 4: access_last(r, addr, 4, dir, data); break;
	case 8: access_last(r, addr, 8, dir, data); break;
	default: access_search(r, addr, size, dir, data); break;
	}
}

void iobus_read(struct iobus_reader *reader, uint64_t addr, unsigned size, void *data)
{
	access_any(reader, addr, size, IOBUS_READ, (union data){.in = data});
}

void iobus_write(struct iobus_reader *reader, uint64_t addr, unsigned size, const void *data)
{
	access_any(reader, addr, size, IOBUS_WRITE, (union data){.out = data});
}

void iobus_read_string(struct iobus_reader *reader, uint64_t addr, unsigned size, uint32_t count,
		       void *data)
{
	uint8_t *p = data;

	for (uint32_t i = 0; i < count; i++, p += size)
		iobus_read(reader, addr, size, p);
}

void iobus_write_string(struct iobus_reader *reader, uint64_t addr, unsigned size, uint32_t count,
			const void *data)
{
	const uint8_t *p = data;

	for (uint32_t i = 0; i < count; i++, p += size)
		iobus_write(reader, addr, size, p);
}
