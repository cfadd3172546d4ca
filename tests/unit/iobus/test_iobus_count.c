/* Unit tests of the bus: what is counted and timed, the device's lock, and whom a writer awaits. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/macros.h"
#include "device.h"
#include "iobus.h"
#include "iobus/internal.h"

enum { MANY = 300 }; /* ranges: enough to need a third chunk of counters */

static bool fenced;
static struct iobus *bus;
static struct iobus_reader *reader;

static uint64_t zero_read(struct device *dev, struct io_at at)
{
	(void)dev;
	(void)at;
	return 0;
}

static void drop_write(struct device *dev, struct io_at at, uint64_t val)
{
	(void)dev;
	(void)at;
	(void)val;
}

static const struct device_class quiet_class = {
	.name = "quiet", .self_locked = true, .read = zero_read, .write = drop_write};
static struct device quiet = {.cls = &quiet_class};

static int setup(void **state)
{
	(void)state;
	return (fenced ? iobus_create_as(IOBUS_MMIO, true, &bus)
		       : iobus_create(IOBUS_MMIO, &bus)) ||
	       iobus_reader_create(bus, &reader);
}

static int teardown(void **state)
{
	(void)state;
	reader = iobus_reader_destroy(reader);
	bus = iobus_destroy(bus);
	return 0;
}

static int add(struct device *dev, uint64_t first, uint64_t len, const char *owner)
{
	return iobus_add(
		bus, &(struct iobus_range){.first = first, .len = len, .dev = dev, .owner = owner},
		NULL);
}

static void rd(struct iobus_reader *r, uint64_t addr, unsigned size)
{
	uint64_t val;

	iobus_read(r, addr, size, &val);
}

static void wr(struct iobus_reader *r, uint64_t addr, unsigned size)
{
	iobus_write(r, addr, size, &(uint64_t){0});
}

static struct iobus_totals totals(void)
{
	struct iobus_totals t;

	iobus_counts(bus, NULL, 0, &t);
	return t;
}

static void expect_count(const struct iobus_count *c, uint64_t first, uint64_t reads,
			 uint64_t writes)
{
	assert_int_equal(c->first, first);
	assert_int_equal(c->reads, reads);
	assert_int_equal(c->writes, writes);
}

static void expect_totals(uint64_t reads, uint64_t writes, uint64_t split, uint64_t unclaimed_reads,
			  uint64_t unclaimed_writes)
{
	struct iobus_totals t = totals();

	assert_int_equal(t.reads, reads);
	assert_int_equal(t.writes, writes);
	assert_int_equal(t.split, split);
	assert_int_equal(t.unclaimed_reads, unclaimed_reads);
	assert_int_equal(t.unclaimed_writes, unclaimed_writes);
}

static void every_access_counts_once_in_each_range_it_touches(void **state)
{
	struct iobus_count c[2];

	(void)state;
	assert_int_equal(add(&quiet, 0x104, 4, "high"), 0);
	assert_int_equal(add(&quiet, 0x100, 4, "low"), 0);
	rd(reader, 0x100, 4); /* one op */
	rd(reader, 0x100, 1); /* one op, through the last hit */
	rd(reader, 0x100, 3); /* two ops in one range */
	rd(reader, 0x102, 4); /* both ranges */
	wr(reader, 0x0fe, 8); /* both ranges and two bytes nobody has */
	wr(reader, 0x108, 8); /* nobody */
	wr(reader, 0x107, 1);
	assert_int_equal(iobus_counts(bus, c, 2, NULL), 2);
	expect_count(&c[0], 0x100, 4, 1);
	expect_count(&c[1], 0x104, 1, 2);
	assert_string_equal(c[0].owner, "low");
	assert_int_equal(c[0].len, 4);
	assert_int_equal(c[0].ns, 0);
	expect_totals(4, 3, 3, 0, 2);
}

static void counts_fill_what_the_buffer_holds(void **state)
{
	struct iobus_count c[3] = {{.first = 1}, {.first = 1}, {.first = 1}};

	(void)state;
	assert_int_equal(add(&quiet, 0x100, 4, "a name of more than thirty-one characters"), 0);
	assert_int_equal(add(&quiet, 0x200, 4, "second"), 0);
	assert_int_equal(iobus_counts(bus, c, 1, NULL), 2);
	assert_int_equal(c[0].first, 0x100);
	assert_string_equal(c[0].owner, "a name of more than thirty-one ");
	assert_int_equal(c[1].first, 1);
	assert_int_equal(iobus_counts(bus, c, 3, NULL), 2);
	assert_int_equal(c[1].first, 0x200);
	assert_int_equal(c[2].first, 1);
}

static void a_readers_own_counts_leave_out_the_others(void **state)
{
	struct iobus_reader *second;
	struct iobus_count c[3] = {{.first = 1}, {.first = 1}, {.first = 1}};

	(void)state;
	assert_int_equal(add(&quiet, 0x100, 4, "first"), 0);
	assert_int_equal(add(&quiet, 0x200, 4, "second"), 0);
	assert_int_equal(iobus_reader_create(bus, &second), 0);
	rd(reader, 0x100, 1);
	wr(reader, 0x200, 1);
	wr(second, 0x200, 1);
	wr(second, 0x200, 1);
	assert_int_equal(iobus_reader_counts(second, c, 1), 2);
	expect_count(&c[0], 0x100, 0, 0);
	assert_int_equal(c[1].first, 1);
	assert_int_equal(iobus_reader_counts(second, c, 3), 2);
	expect_count(&c[1], 0x200, 0, 2);
	assert_int_equal(c[1].len, 4);
	assert_string_equal(c[1].owner, "second");
	assert_int_equal(c[2].first, 1);
	iobus_reader_destroy(second);
}

static void counts_of_a_destroyed_reader_stay(void **state)
{
	struct iobus_reader *second;
	struct iobus_count c;

	(void)state;
	assert_int_equal(add(&quiet, 0x100, 4, "dev"), 0);
	assert_int_equal(iobus_reader_create(bus, &second), 0);
	rd(reader, 0x100, 1);
	rd(second, 0x100, 1);
	wr(second, 0x103, 2);
	wr(second, 0x300, 2);
	assert_null(iobus_reader_destroy(second));
	assert_int_equal(iobus_counts(bus, &c, 1, NULL), 1);
	expect_count(&c, 0x100, 2, 1);
	expect_totals(2, 2, 1, 0, 2);
	assert_null(iobus_reader_destroy(NULL));
	assert_null(iobus_destroy(NULL));
}

static void totals_keep_removed_ranges_and_new_ranges_start_at_zero(void **state)
{
	struct iobus_reader *second;
	struct iobus_count c[2];

	(void)state;
	assert_int_equal(add(&quiet, 0x100, 4, "old"), 0);
	assert_int_equal(add(&quiet, 0x104, 4, "stays"), 0);
	assert_int_equal(iobus_reader_create(bus, &second), 0);
	rd(reader, 0x100, 4);
	rd(second, 0x102, 4);
	wr(second, 0x100, 1);
	second = iobus_reader_destroy(second);
	wr(reader, 0x100, 1);
	expect_totals(2, 2, 1, 0, 0);
	assert_int_equal(iobus_remove(bus, 0x100, NULL), 0);
	expect_totals(2, 2, 1, 0, 0);
	assert_int_equal(add(&quiet, 0x200, 4, "new"), 0); /* gets the slot of the old */
	wr(reader, 0x200, 1);
	assert_int_equal(iobus_counts(bus, c, 2, NULL), 2);
	expect_count(&c[0], 0x104, 1, 0);
	expect_count(&c[1], 0x200, 0, 1);
	expect_totals(2, 3, 1, 0, 0);
}

static void ranges_added_under_a_reader_get_counters_of_their_own(void **state)
{
	struct iobus_reader *late;
	struct iobus_count c[MANY];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(add(&quiet, 0x1000 + 8 * i, 8, "one of many"), 0);
		for (unsigned k = 0; k <= i; k++)
			rd(reader, 0x1000 + 8 * k, 1);
	}
	assert_int_equal(iobus_reader_create(bus, &late), 0);
	for (unsigned i = 0; i < MANY; i++)
		wr(late, 0x1000 + 8 * i, 8);
	assert_int_equal(iobus_counts(bus, c, MANY, NULL), MANY);
	for (unsigned i = 0; i < MANY; i++)
		expect_count(&c[i], 0x1000 + 8 * i, MANY - i, 1);
	for (unsigned i = 0; i < MANY; i += 2)
		assert_int_equal(iobus_remove(bus, 0x1000 + 8 * i, NULL), 0);
	iobus_reader_destroy(late);
	assert_int_equal(iobus_counts(bus, c, MANY, NULL), MANY / 2);
	for (unsigned i = 0; i < MANY / 2; i++)
		expect_count(&c[i], 0x1008 + 16 * i, MANY - 1 - 2 * i, 1);
	expect_totals((uint64_t)MANY * (MANY + 1) / 2, MANY, 0, 0, 0);
}

/* A device that stays in its op until the clock has moved, and adds up for how long that was. */
static uint64_t dwelt_ns;

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t dwell_read(struct device *dev, struct io_at at)
{
	uint64_t start = monotonic_ns(), now = start;

	(void)dev;
	(void)at;
	while (now == start)
		now = monotonic_ns();
	dwelt_ns += now - start;
	return 0;
}

static const struct device_class dwell_class = {
	.name = "dwell", .self_locked = true, .read = dwell_read, .write = drop_write};
static struct device dwell = {.cls = &dwell_class};

/* Each time, what the range was given covers what its device saw, and no more than went by. */
static void expect_timed(uint64_t addr, unsigned size)
{
	struct iobus_count before[2], after[2];
	uint64_t start, elapsed, given;

	iobus_counts(bus, before, 2, NULL);
	dwelt_ns = 0;
	start = monotonic_ns();
	rd(reader, addr, size);
	elapsed = monotonic_ns() - start;
	iobus_counts(bus, after, 2, NULL);
	given = after[0].ns - before[0].ns + after[1].ns - before[1].ns;
	assert_true(given >= dwelt_ns && given <= elapsed);
	assert_true(dwelt_ns > 0);
}

static void time_in_dispatch_is_taken_while_timing_is_on(void **state)
{
	struct iobus_count off[3], on[3], again[3];

	(void)state;
	assert_int_equal(add(&dwell, 0x100, 4, "first"), 0);
	assert_int_equal(add(&dwell, 0x104, 4, "second"), 0);
	assert_int_equal(add(&quiet, 0x200, 4, "other"), 0);
	rd(reader, 0x100, 4);
	iobus_counts(bus, off, 3, NULL);
	assert_int_equal(off[0].ns, 0);

	iobus_set_timing(bus, true);
	for (unsigned i = 0; i < 3; i++) {
		expect_timed(0x100, 4);
		expect_timed(0x100, 4); /* what would be the last hit is timed too */
		expect_timed(0x102, 4); /* each range gets its part of the time */
	}
	iobus_counts(bus, on, 3, NULL);
	assert_true(on[0].ns > 0 && on[1].ns > 0);
	assert_int_equal(on[2].ns, 0);

	iobus_set_timing(bus, false);
	rd(reader, 0x100, 4);
	rd(reader, 0x100, 4);
	iobus_counts(bus, again, 3, NULL);
	assert_int_equal(again[0].ns, on[0].ns);
	expect_count(&again[0], 0x100, 12, 0);
	expect_count(&again[1], 0x104, 3, 0);
}

/*
 * The last hit is entered without a fence, so it must never serve where writers rely on one. A
 * failure to do so hardly ever shows on x86; hence a look at the reader itself.
 */
static void the_last_hit_is_off_without_membarrier_and_while_timing(void **state)
{
	(void)state;
	assert_int_equal(add(&quiet, 0x100, 4, "dev"), 0);
	rd(reader, 0x100, 4);
	assert_int_equal(reader->last_generation, bus->fenced ? 0 : atomic_load(&bus->generation));
	iobus_set_timing(bus, true);
	rd(reader, 0x100, 4);
	assert_int_equal(reader->last_generation, 0);
	assert_int_equal(reader->seen, atomic_load(&bus->generation));
	rd(reader, 0x300, 4); /* nor may a writer ever see a reader be late forever */
	assert_int_equal(reader->seen, atomic_load(&bus->generation));
}

/* The result of another thread that tries the device's lock during an op. */
static void *try_lock(void *arg)
{
	struct device *dev = arg;
	int r = pthread_mutex_trylock(&dev->lock);

	if (r == 0)
		pthread_mutex_unlock(&dev->lock);
	return r == EBUSY ? arg : NULL;
}

static unsigned nr_locked;

static void look_at_lock(struct device *dev)
{
	pthread_t thread;
	void *busy = NULL;

	if (pthread_create(&thread, NULL, try_lock, dev) == 0)
		pthread_join(thread, &busy);
	nr_locked += busy != NULL;
}

static uint64_t looking_read(struct device *dev, struct io_at at)
{
	(void)at;
	look_at_lock(dev);
	return 0;
}

static void looking_write(struct device *dev, struct io_at at, uint64_t val)
{
	(void)at;
	(void)val;
	look_at_lock(dev);
}

static unsigned locked_ops(bool self_locked)
{
	const struct device_class cls = {.name = "looking",
					 .self_locked = self_locked,
					 .read = looking_read,
					 .write = looking_write};
	struct device dev = {.cls = &cls, .lock = PTHREAD_MUTEX_INITIALIZER};

	nr_locked = 0;
	assert_int_equal(add(&dev, 0x100, 8, "looking"), 0);
	rd(reader, 0x100, 4); /* by the search */
	rd(reader, 0x100, 4); /* by the last hit */
	wr(reader, 0x100, 4);
	wr(reader, 0x100, 3); /* two ops */
	assert_int_equal(pthread_mutex_trylock(&dev.lock), 0);
	pthread_mutex_unlock(&dev.lock);
	assert_int_equal(iobus_remove(bus, 0x100, NULL), 0);
	pthread_mutex_destroy(&dev.lock);
	return nr_locked;
}

static void ops_run_under_the_device_lock_unless_self_locked(void **state)
{
	(void)state;
	assert_int_equal(locked_ops(false), 5);
	assert_int_equal(locked_ops(true), 0);
}

/* A device whose read waits to be let go. */
struct gate {
	struct device dev;
	sem_t inside, go;
	atomic_bool left;
};

static uint64_t gate_read(struct device *dev, struct io_at at)
{
	struct gate *gate = container_of(dev, struct gate, dev);

	(void)at;
	sem_post(&gate->inside);
	while (sem_wait(&gate->go) < 0)
		continue;
	atomic_store_explicit(&gate->left, true, memory_order_relaxed);
	return 0;
}

static const struct device_class gate_class = {
	.name = "gate", .self_locked = true, .read = gate_read, .write = drop_write};

static void *read_gate(void *arg)
{
	rd(arg, 0x100, 4);
	return NULL;
}

static void *remove_gate(void *arg)
{
	struct gate *gate = arg;

	if (iobus_remove(bus, 0x100, NULL) < 0)
		return NULL;
	/* The reader had left the op: relaxed is enough, the removal is what orders this. */
	return atomic_load_explicit(&gate->left, memory_order_relaxed) ? arg : NULL;
}

static void removal_awaits_the_reader_inside_and_nobody_awaits_the_removal(void **state)
{
	struct gate gate = {.dev = {.cls = &gate_class}};
	struct iobus_reader *inside, *idle;
	pthread_t reading, removing;
	void *in_order = NULL;

	(void)state;
	assert_int_equal(sem_init(&gate.inside, 0, 0) | sem_init(&gate.go, 0, 0), 0);
	assert_int_equal(add(&gate.dev, 0x100, 4, "gate"), 0);
	assert_int_equal(add(&quiet, 0x200, 4, "quiet"), 0);
	assert_int_equal(iobus_reader_create(bus, &inside), 0);
	assert_int_equal(iobus_reader_create(bus, &idle), 0);
	rd(idle, 0x200, 1); /* as a vCPU in KVM_RUN: it has used the bus, and is elsewhere */
	assert_int_equal(pthread_create(&reading, NULL, read_gate, inside), 0);
	assert_int_equal(sem_wait(&gate.inside), 0);
	assert_int_equal(pthread_create(&removing, NULL, remove_gate, &gate), 0);
	/* This reader goes on, and finds the range gone while the other one is still inside. */
	do {
		sched_yield();
		wr(reader, 0x100, 1);
	} while (
		atomic_load(&iobus_unclaimed_at(&reader->counters, 0x100)->accesses[IOBUS_WRITE]) ==
		0);
	assert_false(atomic_load(&gate.left));
	assert_int_equal(sem_post(&gate.go), 0);
	pthread_join(reading, NULL);
	pthread_join(removing, &in_order);
	assert_non_null(in_order);
	iobus_reader_destroy(inside);
	iobus_reader_destroy(idle);
	sem_destroy(&gate.inside);
	sem_destroy(&gate.go);
}

static void expect_unclaimed(const struct iobus_unclaimed *want, size_t nr)
{
	struct iobus_unclaimed *got;
	size_t n;

	assert_int_equal(iobus_unclaimed(bus, &got, &n), 0);
	assert_int_equal(n, nr);
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(got[i].addr, want[i].addr);
		assert_int_equal(got[i].reads, want[i].reads);
		assert_int_equal(got[i].writes, want[i].writes);
	}
	free(got);
}

static void unclaimed_accesses_count_by_the_address_they_begin_at(void **state)
{
	struct iobus_reader *other;
	struct iobus_totals totals;

	(void)state;
	assert_int_equal(add(&quiet, 0x100, 4, "quiet"), 0);
	assert_int_equal(iobus_reader_create(bus, &other), 0);
	expect_unclaimed(NULL, 0);
	for (unsigned i = 0; i < 5; i++) /* the last hit; another way for each size */
		rd(reader, 0x200, 1U << i % 4);
	wr(reader, 0x1ff, 1);
	wr(reader, 0x1ff, 3); /* never one op */
	rd(other, 0x200, 4);
	rd(other, 0xfd,
	   4); /* three bytes of its four are nobody's: counted, and under no address */
	rd(other, 0xf8, 8); /* up to the range */
	rd(other, UINT64_MAX, 1);
	expect_unclaimed((struct iobus_unclaimed[]){{0xf8, 1, 0}, {0x1ff, 0, 2}, {0x200, 6, 0}}, 3);
	iobus_set_timing(bus, true);
	rd(reader, 0x200, 2);
	iobus_set_timing(bus, false);
	other = iobus_reader_destroy(other); /* its counts stay */
	assert_int_equal(add(&quiet, 0x200, 4, "late"), 0);
	rd(reader, 0x200, 2); /* claimed by now */
	assert_int_equal(iobus_remove(bus, 0x200, NULL), 0);
	rd(reader, 0x200, 2);
	expect_unclaimed((struct iobus_unclaimed[]){{0xf8, 1, 0}, {0x1ff, 0, 2}, {0x200, 8, 0}}, 3);
	iobus_counts(bus, NULL, 0, &totals);
	assert_int_equal(totals.unclaimed_reads, 1 + 8 + 1 + 1);
	assert_int_equal(totals.unclaimed_writes, 2);
	assert_int_equal(totals.reads, totals.unclaimed_reads + 1);
}

/* A guest that probes the whole space grows nothing, and no access is lost from the sum. */
static void unclaimed_addresses_beyond_the_table_share_a_count(void **state)
{
	enum { ADDRS = 5000 };
	struct iobus_unclaimed *got;
	struct iobus_totals totals;
	uint64_t sum = 0;
	size_t n;

	(void)state;
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < ADDRS; i++)
			rd(reader, i * UINT64_C(0x1008), 4);
	assert_int_equal(iobus_unclaimed(bus, &got, &n), 0);
	assert_true(n >= IOBUS_UNCLAIMED_MAX / 2 && n <= IOBUS_UNCLAIMED_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(got[i].reads, 2);
		sum += got[i].reads;
	}
	free(got);
	iobus_counts(bus, NULL, 0, &totals);
	assert_int_equal(totals.unclaimed_reads, 2 * ADDRS);
	assert_true(sum >= 1 && sum < totals.unclaimed_reads);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(const char *group)
{
	const struct CMUnitTest tests[] = {
		TEST(every_access_counts_once_in_each_range_it_touches),
		TEST(counts_fill_what_the_buffer_holds),
		TEST(a_readers_own_counts_leave_out_the_others),
		TEST(counts_of_a_destroyed_reader_stay),
		TEST(unclaimed_accesses_count_by_the_address_they_begin_at),
		TEST(unclaimed_addresses_beyond_the_table_share_a_count),
		TEST(totals_keep_removed_ranges_and_new_ranges_start_at_zero),
		TEST(ranges_added_under_a_reader_get_counters_of_their_own),
		TEST(time_in_dispatch_is_taken_while_timing_is_on),
		TEST(the_last_hit_is_off_without_membarrier_and_while_timing),
		TEST(ops_run_under_the_device_lock_unless_self_locked),
		TEST(removal_awaits_the_reader_inside_and_nobody_awaits_the_removal),
	};

	return cmocka_run_group_tests_name(group, tests, NULL, NULL);
}

int main(void)
{
	int failed = run("bus with membarrier()");

	fenced = true;
	return failed + run("bus without membarrier()");
}
