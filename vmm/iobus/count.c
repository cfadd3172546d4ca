/* count.c - the counters of the bus: a table a reader, summed up when somebody asks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iobus.h"
#include "iobus/internal.h"

static uint32_t chunk_slots(unsigned k)
{
	return (uint32_t)IOBUS_CHUNK_SLOTS << k;
}

/* The first slot of chunk k. */
static uint32_t chunk_first(unsigned k)
{
	return chunk_slots(k) - IOBUS_CHUNK_SLOTS;
}

static int chunk_reserve(struct iobus_counters *c, unsigned k)
{
	size_t bytes = chunk_slots(k) * sizeof(*c->chunk[k]);

	if (c->chunk[k])
		return 0;
	/* Lines of its own: another reader's counters in one of them would slow both. */
	c->chunk[k] = aligned_alloc(IOBUS_CACHE_LINE, bytes);
	if (!c->chunk[k])
		return -ENOMEM;
	memset(c->chunk[k], 0, bytes);
	return 0;
}

int iobus_counters_reserve(struct iobus_counters *c, uint32_t slot)
{
	int r = 0;

	for (unsigned k = 0; k < IOBUS_CHUNKS && chunk_first(k) <= slot && r == 0; k++)
		r = chunk_reserve(c, k);
	return r;
}

int iobus_counters_reserve_like(struct iobus_counters *c, const struct iobus_counters *other)
{
	int r = 0;

	for (unsigned k = 0; k < IOBUS_CHUNKS && other->chunk[k] && r == 0; k++)
		r = chunk_reserve(c, k);
	return r;
}

void iobus_counters_fini(struct iobus_counters *c)
{
	for (unsigned k = 0; k < IOBUS_CHUNKS; k++)
		free(c->chunk[k]);
}

static uint64_t count_get(const _Atomic uint64_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

static void counter_fold(struct iobus_counter *to, const struct iobus_counter *from)
{
	iobus_count_add(&to->accesses[IOBUS_READ], count_get(&from->accesses[IOBUS_READ]));
	iobus_count_add(&to->accesses[IOBUS_WRITE], count_get(&from->accesses[IOBUS_WRITE]));
	iobus_count_add(&to->ns, count_get(&from->ns));
}

static void unclaimed_fold(struct iobus_counters *to, const struct iobus_counters *c)
{
	for (unsigned i = 0; i < IOBUS_UNCLAIMED_MAX; i++) {
		const struct iobus_unclaimed_counter *from = &c->unclaimed_at[i];
		const uint64_t key = count_get(&from->key);
		struct iobus_counter *own = key ? iobus_unclaimed_at(to, key - 1) : NULL;

		counter_fold(own ? own : &to->gap, &from->counter);
	}
}

void iobus_counters_fold(struct iobus *bus, const struct iobus_counters *c)
{
	struct iobus_counters *to = &bus->folded;

	for (unsigned k = 0; k < IOBUS_CHUNKS && c->chunk[k] && to->chunk[k]; k++)
		for (uint32_t i = 0; i < chunk_slots(k); i++)
			counter_fold(&to->chunk[k][i], &c->chunk[k][i]);
	unclaimed_fold(to, c);
	counter_fold(&to->gap, &c->gap);
	for (int dir = IOBUS_READ; dir <= IOBUS_WRITE; dir++) {
		iobus_count_add(&to->correction[dir], count_get(&c->correction[dir]));
		iobus_count_add(&to->unclaimed[dir], count_get(&c->unclaimed[dir]));
	}
	iobus_count_add(&to->split, count_get(&c->split));
}

/* Adds what the slot has in c to sum, and zeroes it there. */
static void counter_take(struct iobus_counter *sum, const struct iobus_counters *c, uint32_t slot)
{
	struct iobus_counter *counter = iobus_counter_at(c, slot);

	counter_fold(sum, counter);
	atomic_store_explicit(&counter->accesses[IOBUS_READ], 0, memory_order_relaxed);
	atomic_store_explicit(&counter->accesses[IOBUS_WRITE], 0, memory_order_relaxed);
	atomic_store_explicit(&counter->ns, 0, memory_order_relaxed);
}

void iobus_counters_retire(struct iobus *bus, uint32_t slot)
{
	struct iobus_counter sum = {0};

	counter_take(&sum, &bus->folded, slot);
	for (const struct iobus_reader *r = bus->readers; r; r = r->next)
		counter_take(&sum, &r->counters, slot);
	for (int dir = IOBUS_READ; dir <= IOBUS_WRITE; dir++)
		iobus_count_add(&bus->folded.correction[dir], count_get(&sum.accesses[dir]));
}

/*
 * The totals but for what the ranges counted. Acquire: sums that include an access's correction
 * must find what it corrects in the ranges' counters, which are read after this.
 */
static void totals_add(struct iobus_totals *totals, const struct iobus_counters *c)
{
	uint64_t gap_reads = count_get(&c->gap.accesses[IOBUS_READ]);
	uint64_t gap_writes = count_get(&c->gap.accesses[IOBUS_WRITE]);

	for (unsigned i = 0; i < IOBUS_UNCLAIMED_MAX; i++) {
		gap_reads += count_get(&c->unclaimed_at[i].counter.accesses[IOBUS_READ]);
		gap_writes += count_get(&c->unclaimed_at[i].counter.accesses[IOBUS_WRITE]);
	}
	totals->reads += gap_reads;
	totals->reads += atomic_load_explicit(&c->correction[IOBUS_READ], memory_order_acquire);
	totals->writes += gap_writes;
	totals->writes += atomic_load_explicit(&c->correction[IOBUS_WRITE], memory_order_acquire);
	totals->split += count_get(&c->split);
	totals->unclaimed_reads += gap_reads + count_get(&c->unclaimed[IOBUS_READ]);
	totals->unclaimed_writes += gap_writes + count_get(&c->unclaimed[IOBUS_WRITE]);
}

static void count_add(struct iobus_count *count, const struct iobus_counter *counter)
{
	count->reads += count_get(&counter->accesses[IOBUS_READ]);
	count->writes += count_get(&counter->accesses[IOBUS_WRITE]);
	count->ns += count_get(&counter->ns);
}

static struct iobus_count entry_uncounted(const struct iobus_entry *e)
{
	struct iobus_count count = {.first = e->range.first, .len = e->range.len};

	snprintf(count.owner, sizeof(count.owner), "%s", e->range.owner);
	return count;
}

static struct iobus_count entry_count(const struct iobus *bus, const struct iobus_entry *e)
{
	struct iobus_count count = entry_uncounted(e);

	count_add(&count, iobus_counter_at(&bus->folded, e->slot));
	for (const struct iobus_reader *r = bus->readers; r; r = r->next)
		count_add(&count, iobus_counter_at(&r->counters, e->slot));
	return count;
}

size_t iobus_counts(struct iobus *bus, struct iobus_count *buf, size_t cap,
		    struct iobus_totals *ret_totals)
{
	struct iobus_totals totals = {0};
	const struct iobus_snapshot *s;
	size_t nr;

	pthread_mutex_lock(&bus->lock);
	s = atomic_load_explicit(&bus->snapshot, memory_order_relaxed);
	nr = s->nr;
	totals_add(&totals, &bus->folded);
	for (const struct iobus_reader *r = bus->readers; r; r = r->next)
		totals_add(&totals, &r->counters);
	for (size_t i = 0; i < nr; i++) {
		struct iobus_count count = entry_count(bus, &s->entry[i]);

		totals.reads += count.reads;
		totals.writes += count.writes;
		if (i < cap)
			buf[i] = count;
	}
	pthread_mutex_unlock(&bus->lock);
	if (ret_totals)
		*ret_totals = totals;
	return nr;
}

size_t iobus_reader_counts(const struct iobus_reader *reader, struct iobus_count *buf, size_t cap)
{
	struct iobus *bus = reader->bus;
	const struct iobus_snapshot *s;
	size_t nr;

	pthread_mutex_lock(&bus->lock);
	s = atomic_load_explicit(&bus->snapshot, memory_order_relaxed);
	nr = s->nr;
	for (size_t i = 0; i < nr && i < cap; i++) {
		buf[i] = entry_uncounted(&s->entry[i]);
		count_add(&buf[i], iobus_counter_at(&reader->counters, s->entry[i].slot));
	}
	pthread_mutex_unlock(&bus->lock);
	return nr;
}

/* Puts what the addresses of c have to buf. Returns how many there were. */
static size_t unclaimed_copy(struct iobus_unclaimed *buf, const struct iobus_counters *c)
{
	size_t n = 0;

	for (unsigned i = 0; i < IOBUS_UNCLAIMED_MAX; i++) {
		const struct iobus_unclaimed_counter *at = &c->unclaimed_at[i];
		const struct iobus_unclaimed one = {
			.addr = count_get(&at->key) - 1,
			.reads = count_get(&at->counter.accesses[IOBUS_READ]),
			.writes = count_get(&at->counter.accesses[IOBUS_WRITE]),
		};

		if (one.reads || one.writes)
			buf[n++] = one;
	}
	return n;
}

static int unclaimed_compare(const void *a, const void *b)
{
	const struct iobus_unclaimed *ua = a, *ub = b;

	return (ua->addr > ub->addr) - (ua->addr < ub->addr);
}

/* Sorts by address, and adds up what readers have of the same one. */
static size_t unclaimed_sum(struct iobus_unclaimed *buf, size_t n)
{
	size_t nr = 0;

	qsort(buf, n, sizeof(*buf), unclaimed_compare);
	for (size_t i = 0; i < n; i++) {
		if (nr && buf[nr - 1].addr == buf[i].addr) {
			buf[nr - 1].reads += buf[i].reads;
			buf[nr - 1].writes += buf[i].writes;
		} else {
			buf[nr++] = buf[i];
		}
	}
	return nr;
}

int iobus_unclaimed(struct iobus *bus, struct iobus_unclaimed **ret, size_t *ret_nr)
{
	struct iobus_unclaimed *buf;
	size_t n, readers = 0;

	pthread_mutex_lock(&bus->lock);
	for (const struct iobus_reader *r = bus->readers; r; r = r->next)
		readers++;
	buf = calloc((readers + 1) * IOBUS_UNCLAIMED_MAX, sizeof(*buf));
	if (!buf) {
		pthread_mutex_unlock(&bus->lock);
		return -ENOMEM;
	}
	n = unclaimed_copy(buf, &bus->folded);
	for (const struct iobus_reader *r = bus->readers; r; r = r->next)
		n += unclaimed_copy(buf + n, &r->counters);
	pthread_mutex_unlock(&bus->lock);
	*ret_nr = unclaimed_sum(buf, n);
	*ret = buf;
	return 0;
}
