/*
 * table.c - the writers' side of the bus: snapshots are built, published and reclaimed here.
 *
 * All of it runs under the bus's lock, which readers never take.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "device.h"
#include "iobus.h"
#include "iobus/internal.h"

static long membarrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0);
}

/* Registers the process; idempotent. False on kernels, or in sandboxes, that lack it. */
static bool membarrier_ready(void)
{
	long cmds = membarrier(MEMBARRIER_CMD_QUERY);

	return cmds >= 0 && (cmds & MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
	       membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
	       membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

/* A few yields, for a reader that is about to leave; then sleeps of 20 us to 1.28 ms. */
static void back_off(unsigned tries)
{
	enum { YIELDS = 16, DOUBLINGS = 6, SLEEP_MIN_NS = 20000 };
	unsigned doublings = tries < YIELDS + DOUBLINGS ? tries - YIELDS : DOUBLINGS;

	if (tries < YIELDS)
		sched_yield();
	else
		nanosleep(&(struct timespec){.tv_nsec = SLEEP_MIN_NS << doublings}, NULL);
}

/*
 * For a host that refuses membarrier() though it had allowed it when the bus was made: a sandbox that was closed
 * since. Readers go on without fences, so a reader's store to active may still be in its processor's store buffer.
 * Such a buffer drains by itself, and at the latest when the thread or the virtual processor is preempted. It takes
 * less than a microsecond; docs/design/iobus.md argues this.
 */
static void wait_for_store_buffers(void)
{
	const int64_t end_ns = clock_monotonic_ns() + IOBUS_STORES_SEEN_NS;

	for (unsigned tries = 0; clock_monotonic_ns() < end_ns; tries++)
		back_off(tries);
}

/*
 * After this, each reader's thread has passed a full barrier since the last publication, or what it stored before
 * then can be seen. The kernel may want a page for its list of CPUs, so out of memory is asked again.
 */
static void readers_barrier(void)
{
	for (unsigned tries = 0; membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) < 0; tries++) {
		if (errno != ENOMEM) {
			wait_for_store_buffers();
			return;
		}
		back_off(tries);
	}
}

/*
 * Whether the reader holds no snapshot older than generation. Acquire pairs with both stores to
 * active: whatever the reader did in earlier accesses happened before what the caller does next.
 */
static bool reader_has_left(struct iobus_reader *r, uint64_t generation)
{
	uint64_t active = atomic_load_explicit(&r->active, memory_order_seq_cst);

	return active == 0 || active == generation;
}

/*
 * Makes the spare the snapshot and returns once no reader holds the one before, which becomes the
 * spare. fresh, unless NULL, takes its place there, and the old one is freed.
 */
static void bus_publish(struct iobus *bus, struct iobus_snapshot *fresh)
{
	struct iobus_snapshot *next = bus->spare, *old;

	old = atomic_load_explicit(&bus->snapshot, memory_order_relaxed);
	next->generation = old->generation + 1;
	atomic_store_explicit(&bus->snapshot, next, memory_order_seq_cst);
	atomic_store_explicit(&bus->generation, next->generation, memory_order_seq_cst);
	if (!IOBUS_TSAN && !bus->fenced)
		readers_barrier();
	for (struct iobus_reader *r = bus->readers; r; r = r->next)
		for (unsigned tries = 0; !reader_has_left(r, next->generation); tries++)
			back_off(tries);
	bus->spare = old;
	if (fresh) {
		bus->spare = fresh;
		free(old);
	}
}

static size_t round_up(size_t n, size_t align)
{
	return (n + align - 1) / align * align;
}

static void snapshot_clear(struct iobus_snapshot *s)
{
	s->nr = 0;
	s->entry[0] = (struct iobus_entry){0}; /* claims nothing */
}

/* Room for at least nr ranges, and for twice as many rather than for one more each time. */
static struct iobus_snapshot *snapshot_create(size_t nr)
{
	struct iobus_snapshot *s;
	size_t cap = 16, head;

	while (cap < nr)
		cap *= 2;
	head = round_up(sizeof(*s) + cap * sizeof(s->first[0]), IOBUS_CACHE_LINE);
	s = aligned_alloc(IOBUS_CACHE_LINE,
			  round_up(head + cap * sizeof(s->entry[0]), IOBUS_CACHE_LINE));
	if (!s)
		return NULL;
	*s = (struct iobus_snapshot){.cap = cap, .entry = (void *)((char *)s + head)};
	snapshot_clear(s);
	return s;
}

static void snapshot_append(struct iobus_snapshot *s, const struct iobus_entry *e)
{
	s->first[s->nr] = e->range.first;
	s->entry[s->nr++] = *e;
}

int iobus_create_as(enum iobus_space space, bool fenced, struct iobus **ret)
{
	struct iobus *bus = aligned_alloc(IOBUS_CACHE_LINE, sizeof(*bus));
	struct iobus_snapshot *s = snapshot_create(0);
	int r = -ENOMEM;

	if (!bus)
		goto fail;
	*bus = (struct iobus){.spare = snapshot_create(0), .fenced = fenced, .space = space};
	if (!s || !bus->spare || iobus_counters_reserve(&bus->folded, 0) < 0)
		goto fail;
	s->generation = 1;
	atomic_init(&bus->snapshot, s);
	atomic_init(&bus->generation, s->generation);
	r = -pthread_mutex_init(&bus->lock, NULL);
	if (r < 0)
		goto fail;
	*ret = bus;
	return 0;
fail:
	if (bus) {
		iobus_counters_fini(&bus->folded);
		free(bus->spare);
	}
	free(s);
	free(bus);
	return r;
}

int iobus_create(enum iobus_space space, struct iobus **ret)
{
	return iobus_create_as(space, !membarrier_ready(), ret);
}

struct iobus *iobus_destroy(struct iobus *bus)
{
	if (!bus)
		return NULL;
	assert(!bus->readers);
	pthread_mutex_destroy(&bus->lock);
	iobus_counters_fini(&bus->folded);
	free(atomic_load_explicit(&bus->snapshot, memory_order_relaxed));
	free(bus->spare);
	free(bus);
	return NULL;
}

int iobus_reader_create(struct iobus *bus, struct iobus_reader **ret)
{
	struct iobus_reader *r = aligned_alloc(IOBUS_CACHE_LINE, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct iobus_reader){.bus = bus};
	pthread_mutex_lock(&bus->lock);
	if (iobus_counters_reserve_like(&r->counters, &bus->folded) < 0) {
		pthread_mutex_unlock(&bus->lock);
		iobus_counters_fini(&r->counters);
		free(r);
		return -ENOMEM;
	}
	r->seen = UINT64_MAX; /* no generation, so writers wait; and not 0, which means outside */
	r->next = bus->readers;
	bus->readers = r;
	pthread_mutex_unlock(&bus->lock);
	*ret = r;
	return 0;
}

struct iobus_reader *iobus_reader_destroy(struct iobus_reader *reader)
{
	struct iobus_reader **link;
	struct iobus *bus;

	if (!reader)
		return NULL;
	bus = reader->bus;
	assert(atomic_load_explicit(&reader->active, memory_order_relaxed) == 0);
	pthread_mutex_lock(&bus->lock);
	for (link = &bus->readers; *link != reader; link = &(*link)->next)
		continue;
	*link = reader->next;
	iobus_counters_fold(bus, &reader->counters);
	pthread_mutex_unlock(&bus->lock);
	iobus_counters_fini(&reader->counters);
	free(reader);
	return NULL;
}

static const char *space_name(const struct iobus *bus)
{
	return bus->space == IOBUS_PIO ? "port" : "MMIO";
}

static int range_check(const struct iobus *bus, const struct iobus_range *range, struct diag *diag)
{
	const struct device_class *cls = range->dev->cls;
	uint64_t top = bus->space == IOBUS_PIO ? UINT16_MAX : UINT64_MAX;
	unsigned max = cls->max_access;

	assert(range->owner);
	if (range->len == 0)
		return diag_set(diag, -EINVAL, "range-empty",
				"%s range of '%s' at %#" PRIx64 " is empty", space_name(bus),
				range->owner, range->first);
	if (range->first > top || range->len - 1 > top - range->first)
		return diag_set(diag, -EINVAL, "range-wraps",
				"%s range of '%s', %#" PRIx64 " bytes at %#" PRIx64
				", passes the top of the space, %#" PRIx64,
				space_name(bus), range->owner, range->len, range->first, top);
	if (!cls->read || !cls->write)
		return diag_set(diag, -EINVAL, "range-no-handler",
				"%s range of '%s': class '%s' has no %s", space_name(bus),
				range->owner, cls->name, cls->read ? "write" : "read");
	if (max > IOBUS_ACCESS_MAX || (max & (max - 1)))
		return diag_set(diag, -EINVAL, "range-max-access",
				"%s range of '%s': class '%s' has max_access %u, not 1, 2, 4 or 8",
				space_name(bus), range->owner, cls->name, max);
	return 0;
}

static int range_compare(const void *a, const void *b)
{
	const struct iobus_range *ra = a, *rb = b;

	return (ra->first > rb->first) - (ra->first < rb->first);
}

static uint64_t read_locked(struct device *dev, struct io_at at)
{
	uint64_t val;

	device_lock(dev);
	val = dev->cls->read(dev, at);
	device_unlock(dev);
	return val;
}

static uint64_t read_quick_or_locked(struct device *dev, struct io_at at)
{
	uint64_t val;

	return dev->cls->read_quick(dev, at, &val) ? val : read_locked(dev, at);
}

static void write_locked(struct device *dev, struct io_at at, uint64_t val)
{
	device_lock(dev);
	dev->cls->write(dev, at, val);
	device_unlock(dev);
}

static struct iobus_entry entry_make(const struct iobus_range *range, uint32_t slot)
{
	const struct device_class *cls = range->dev->cls;
	struct iobus_entry e = {
		.range = *range,
		.read = cls->self_locked  ? cls->read
			: cls->read_quick ? read_quick_or_locked
					  : read_locked,
		.write = cls->self_locked ? cls->write : write_locked,
		.slot = slot,
		.max_access = cls->max_access ? cls->max_access : IOBUS_ACCESS_MAX,
	};

	iobus_entry_set_fit(&e);
	return e;
}

/* Hands out the slots, lowest first, that no range of a snapshot has. */
struct slots {
	uint64_t taken[IOBUS_RANGES_MAX / 64]; /* bitmap */
	uint32_t next;
};

static void slots_init(struct slots *slots, const struct iobus_snapshot *s)
{
	*slots = (struct slots){0};
	for (size_t i = 0; i < s->nr; i++)
		slots->taken[s->entry[i].slot / 64] |= UINT64_C(1) << s->entry[i].slot % 64;
}

static uint32_t slots_take(struct slots *slots)
{
	while (slots->taken[slots->next / 64] >> slots->next % 64 & 1)
		slots->next++;
	return slots->next++;
}

static int range_overlap(const struct iobus *bus, const struct iobus_range *a,
			 const struct iobus_range *b, struct diag *diag)
{
	return diag_set(diag, -EEXIST, "range-overlap",
			"%s ranges of '%s' (%#" PRIx64 " to %#" PRIx64 ") and '%s' (%#" PRIx64
			" to %#" PRIx64 ") overlap",
			space_name(bus), a->owner, a->first, a->first + (a->len - 1), b->owner,
			b->first, b->first + (b->len - 1));
}

/* Merges the snapshot and n sorted ranges into the spare. */
static int bus_merge(struct iobus *bus, const struct iobus_range *sorted, size_t n,
		     struct slots *slots, struct diag *diag)
{
	const struct iobus_snapshot *cur =
		atomic_load_explicit(&bus->snapshot, memory_order_relaxed);
	struct iobus_snapshot *next = bus->spare;

	snapshot_clear(next);
	next->timed = cur->timed;
	for (size_t i = 0, k = 0; i < cur->nr || k < n;) {
		if (k == n || (i < cur->nr && cur->first[i] <= sorted[k].first)) {
			snapshot_append(next, &cur->entry[i++]);
		} else {
			struct iobus_entry e = entry_make(&sorted[k++], slots_take(slots));

			snapshot_append(next, &e);
		}
		if (next->nr > 1) {
			const struct iobus_entry *e = &next->entry[next->nr - 1];

			if (e->range.first - e[-1].range.first < e[-1].range.len)
				return range_overlap(bus, &e[-1].range, &e->range, diag);
		}
	}
	return 0;
}

/* Makes room for the counts of slots 0 to slot, in the bus first: new readers go by that. */
static int bus_reserve_counters(struct iobus *bus, uint32_t slot)
{
	int r = iobus_counters_reserve(&bus->folded, slot);

	for (struct iobus_reader *reader = bus->readers; reader && r == 0; reader = reader->next)
		r = iobus_counters_reserve(&reader->counters, slot);
	return r;
}

static int bus_add_sorted(struct iobus *bus, const struct iobus_range *sorted, size_t n,
			  struct diag *diag)
{
	const struct iobus_snapshot *cur =
		atomic_load_explicit(&bus->snapshot, memory_order_relaxed);
	AUTO_FREE struct iobus_snapshot *fresh = NULL;
	struct slots slots;
	int r;

	if (n > IOBUS_RANGES_MAX - cur->nr)
		return diag_set(diag, -ENOSPC, "bus-full",
				"%zu %s ranges and %zu more, '%s' first; the limit is %d", cur->nr,
				space_name(bus), n, sorted[0].owner, IOBUS_RANGES_MAX);
	if (bus->spare->cap < cur->nr + n) {
		fresh = snapshot_create(cur->nr + n);
		if (!fresh)
			return diag_set(diag, -ENOMEM, "bus-memory", "%s bus", space_name(bus));
		free(bus->spare);
		bus->spare = STEAL_PTR(fresh);
	}
	slots_init(&slots, cur);
	r = bus_merge(bus, sorted, n, &slots, diag);
	if (r < 0)
		return r;
	if (cur->cap < bus->spare->nr) /* too small for a spare: a removal must need no memory */
		fresh = snapshot_create(bus->spare->nr);
	if (bus_reserve_counters(bus, slots.next - 1) < 0 || (cur->cap < bus->spare->nr && !fresh))
		return diag_set(diag, -ENOMEM, "bus-memory", "%s bus", space_name(bus));
	bus_publish(bus, STEAL_PTR(fresh));
	return 0;
}

int iobus_add_many(struct iobus *bus, const struct iobus_range *ranges, size_t n, struct diag *diag)
{
	AUTO_FREE struct iobus_range *sorted = NULL;
	int r;

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		r = range_check(bus, &ranges[i], diag);
		if (r < 0)
			return r;
	}
	sorted = reallocarray(NULL, n, sizeof(*sorted));
	if (!sorted)
		return diag_set(diag, -ENOMEM, "bus-memory", "%s bus", space_name(bus));
	memcpy(sorted, ranges, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), range_compare);
	pthread_mutex_lock(&bus->lock);
	r = bus_add_sorted(bus, sorted, n, diag);
	pthread_mutex_unlock(&bus->lock);
	return r;
}

int iobus_add(struct iobus *bus, const struct iobus_range *range, struct diag *diag)
{
	return iobus_add_many(bus, range, 1, diag);
}

/* Copies the snapshot, but for the entry at index gone (SIZE_MAX: none), into the spare. */
static void bus_copy(struct iobus *bus, const struct iobus_snapshot *cur, size_t gone)
{
	struct iobus_snapshot *next = bus->spare;

	snapshot_clear(next);
	next->timed = cur->timed;
	for (size_t i = 0; i < cur->nr; i++)
		if (i != gone)
			snapshot_append(next, &cur->entry[i]);
}

int iobus_remove(struct iobus *bus, uint64_t first, struct diag *diag)
{
	const struct iobus_snapshot *cur;
	const struct iobus_entry *e;
	int r = 0;

	pthread_mutex_lock(&bus->lock);
	cur = atomic_load_explicit(&bus->snapshot, memory_order_relaxed);
	e = iobus_snapshot_find(cur, first);
	if (iobus_entry_claims(e, first) && e->range.first == first) {
		uint32_t slot = e->slot;

		bus_copy(bus, cur, (size_t)(e - cur->entry));
		bus_publish(bus, NULL);
		iobus_counters_retire(bus, slot);
	} else {
		r = diag_set(diag, -ENOENT, "range-missing", "no %s range starts at %#" PRIx64,
			     space_name(bus), first);
	}
	pthread_mutex_unlock(&bus->lock);
	return r;
}

void iobus_watch_unclaimed(struct iobus *bus,
			   void (*unclaimed)(void *arg,
					     const struct iobus_unclaimed_access *access),
			   void *arg)
{
	bus->unclaimed = unclaimed;
	bus->unclaimed_arg = arg;
}

/* A publication like any other: readers leave the last hit, and find the snapshot's word for it. */
void iobus_set_timing(struct iobus *bus, bool on)
{
	pthread_mutex_lock(&bus->lock);
	bus_copy(bus, atomic_load_explicit(&bus->snapshot, memory_order_relaxed), SIZE_MAX);
	bus->spare->timed = on;
	bus_publish(bus, NULL);
	pthread_mutex_unlock(&bus->lock);
}
