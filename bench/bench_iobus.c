/*
 * bench_iobus.c - what a lookup and an access on the bus cost. bench/iobus drives it, adds the
 * instruction counts and prints the table.
 *
 *   bench_iobus list        a line a case: NAME FUNCTION OPS BUDGET; the budget is in instructions an
 *                           op, 0 for none, and FUNCTION is what they are counted in
 *   bench_iobus run NAME    does OPS ops of that case and nothing else in FUNCTION
 *   bench_iobus time        a line a case: NAME NS1 NS2; nanoseconds an op with one thread, and with
 *                           two at once, each the median of interleaved rounds
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "device.h"
#include "iobus.h"
#include "iobus/internal.h"

enum {
	RANGE_BYTES = 8, /* every range; the gap after it is as long */
	STRIDE = 2 * RANGE_BYTES,
	RANGES_MAX = 4096, /* all 64 Ki ports */
	ADDRS = 4096,
	ROUNDS = 31,
	THREADS = 2,
	TIMED_SCALE = 4, /* a timed round does as many times the ops of a counted run */
};

enum kind {
	LOOKUP_BSEARCH,
	LOOKUP_LINEAR,
	LOOKUP_INDEX,
	WRITE_LAST_HIT,
	READ_LAST_HIT,
	WRITE_SEARCH, /* another range each time: the last hit never serves */
	WRITE_LOCKED,
	WRITE_FENCED, /* as on a host without membarrier() */
	WRITE_TIMED,
	WRITE_UNCLAIMED,
	PUBLISH, /* a range goes and comes back: two publications an op */
};

struct bench_case {
	const char *name, *function;
	enum kind kind;
	unsigned ranges;
	bool hit; /* whether the addresses are claimed */
	unsigned ops;
	unsigned budget; /* instructions an op */
};

#define LOOKUP(what, id, n, outcome, ops, budget)                                                  \
	{                                                                                          \
		"lookup-" #what "-" #n "-" #outcome, "bench_lookup_" #what, id, n,                 \
			(#outcome)[0] == 'h', ops, budget                                          \
	}

static const struct bench_case cases[] = {
	LOOKUP(bsearch, LOOKUP_BSEARCH, 16, hit, 20000, 60),
	LOOKUP(bsearch, LOOKUP_BSEARCH, 16, miss, 20000, 60),
	LOOKUP(bsearch, LOOKUP_BSEARCH, 256, hit, 20000, 90),
	LOOKUP(bsearch, LOOKUP_BSEARCH, 256, miss, 20000, 90),
	LOOKUP(bsearch, LOOKUP_BSEARCH, 4096, hit, 20000, 120),
	LOOKUP(bsearch, LOOKUP_BSEARCH, 4096, miss, 20000, 120),
	LOOKUP(linear, LOOKUP_LINEAR, 16, hit, 20000, 0),
	LOOKUP(linear, LOOKUP_LINEAR, 16, miss, 20000, 0),
	LOOKUP(linear, LOOKUP_LINEAR, 256, hit, 4000, 0),
	LOOKUP(linear, LOOKUP_LINEAR, 256, miss, 4000, 0),
	LOOKUP(linear, LOOKUP_LINEAR, 4096, hit, 1000, 0),
	LOOKUP(linear, LOOKUP_LINEAR, 4096, miss, 1000, 0),
	LOOKUP(index, LOOKUP_INDEX, 16, hit, 20000, 0),
	LOOKUP(index, LOOKUP_INDEX, 16, miss, 20000, 0),
	{"write-last-hit", "iobus_write", WRITE_LAST_HIT, 16, true, 20000, 45},
	{"read-last-hit", "iobus_read", READ_LAST_HIT, 16, true, 20000, 45},
	{"write-search", "iobus_write", WRITE_SEARCH, 16, true, 20000, 170},
	{"write-locked", "iobus_write", WRITE_LOCKED, 16, true, 20000, 0},
	{"write-fenced", "iobus_write", WRITE_FENCED, 16, true, 20000, 0},
	{"write-timed", "iobus_write", WRITE_TIMED, 16, true, 20000, 0},
	{"write-unclaimed", "iobus_write", WRITE_UNCLAIMED, 16, false, 20000, 45},
	{"publish-twice-16", "bench_publish_twice", PUBLISH, 16, true, 500, 0},
	{"publish-twice-4096", "bench_publish_twice", PUBLISH, 4096, true, 100, 0},
};

static uint64_t null_read(struct device *dev, struct io_at at)
{
	(void)dev;
	(void)at;
	return 0;
}

static void null_write(struct device *dev, struct io_at at, uint64_t val)
{
	(void)dev;
	(void)at;
	(void)val;
}

static const struct device_class free_class = {
	.name = "free", .self_locked = true, .read = null_read, .write = null_write};
static const struct device_class locked_class = {
	.name = "locked", .read = null_read, .write = null_write};

/* One bus with its ranges, and the structures it is compared with. */
struct lab {
	const struct bench_case *c;
	struct iobus *bus;
	const struct iobus_snapshot *snapshot;
	struct device device[THREADS]; /* one a thread: a shared lock is not the bus's cost */
	struct linear {
		size_t nr;
		struct {
			uint64_t first, len;
		} range[RANGES_MAX];
	} linear;
	uint8_t index[UINT16_MAX + 1]; /* port -> number of its range, from 1; 0 is none */
	uint64_t addr[ADDRS];
};

/* The lookups. Functions of their own, external and not inlined, for Callgrind to find by name. */
const struct iobus_entry *bench_lookup_bsearch(const struct lab *lab, uint64_t addr);
const struct iobus_entry *bench_lookup_linear(const struct lab *lab, uint64_t addr);
const struct iobus_entry *bench_lookup_index(const struct lab *lab, uint64_t addr);

__attribute__((noinline)) const struct iobus_entry *bench_lookup_bsearch(const struct lab *lab,
									 uint64_t addr)
{
	const struct iobus_entry *e = iobus_snapshot_find(lab->snapshot, addr);

	return iobus_entry_claims(e, addr) ? e : NULL;
}

__attribute__((noinline)) const struct iobus_entry *bench_lookup_linear(const struct lab *lab,
									uint64_t addr)
{
	for (size_t i = 0; i < lab->linear.nr; i++)
		if (addr - lab->linear.range[i].first < lab->linear.range[i].len)
			return &lab->snapshot->entry[i];
	return NULL;
}

__attribute__((noinline)) const struct iobus_entry *bench_lookup_index(const struct lab *lab,
								       uint64_t addr)
{
	unsigned nr = addr <= UINT16_MAX ? lab->index[addr] : 0U;

	return nr ? &lab->snapshot->entry[nr - 1] : NULL;
}

__attribute__((noreturn)) static void die(const char *what, int err)
{
	fprintf(stderr, "bench_iobus: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void lab_fill(struct lab *lab)
{
	static struct iobus_range range[RANGES_MAX];
	struct diag diag = {0};

	for (unsigned i = 0; i < lab->c->ranges; i++) {
		range[i] = (struct iobus_range){.first = (uint64_t)i * STRIDE,
						.len = RANGE_BYTES,
						.dev = &lab->device[i % THREADS],
						.owner = "bench"};
		lab->linear.range[i].first = range[i].first;
		lab->linear.range[i].len = range[i].len;
		if (lab->c->ranges < 256)
			memset(&lab->index[range[i].first], (int)i + 1, RANGE_BYTES);
	}
	lab->linear.nr = lab->c->ranges;
	if (iobus_add_many(lab->bus, range, lab->c->ranges, &diag) < 0)
		die(diag.what, diag.err);
	lab->snapshot = atomic_load(&lab->bus->snapshot);
}

static struct lab *lab_create(const struct bench_case *c)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	const struct device_class *cls = c->kind == WRITE_LOCKED ? &locked_class : &free_class;
	uint64_t random = 1;
	int r;

	if (!lab)
		die(c->name, -ENOMEM);
	lab->c = c;
	for (unsigned i = 0; i < THREADS; i++)
		lab->device[i] = (struct device){.cls = cls, .lock = PTHREAD_MUTEX_INITIALIZER};
	r = c->kind == WRITE_FENCED ? iobus_create_as(IOBUS_PIO, true, &lab->bus)
				    : iobus_create(IOBUS_PIO, &lab->bus);
	if (r < 0)
		die(c->name, r);
	if (c->kind != WRITE_FENCED && lab->bus->fenced && !IOBUS_TSAN)
		fprintf(stderr, "bench_iobus: no membarrier() here, %s is slower for it\n",
			c->name);
	lab_fill(lab);
	iobus_set_timing(lab->bus, c->kind == WRITE_TIMED);
	lab->snapshot = atomic_load(&lab->bus->snapshot);
	for (unsigned i = 0; i < ADDRS; i++) { /* any byte of any range, or of any gap */
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		lab->addr[i] = (random >> 33) % c->ranges * STRIDE + (random >> 21) % RANGE_BYTES +
			       (c->hit ? 0 : RANGE_BYTES);
	}
	return lab;
}

static void lab_destroy(struct lab *lab)
{
	iobus_destroy(lab->bus);
	free(lab);
}

/* How many of the addresses were claimed, so that no lookup can be left out. */
static unsigned run_lookups(const struct lab *lab, unsigned ops)
{
	unsigned claimed = 0;

	switch (lab->c->kind) {
	case LOOKUP_BSEARCH:
		for (unsigned i = 0; i < ops; i++)
			claimed += bench_lookup_bsearch(lab, lab->addr[i % ADDRS]) != NULL;
		break;
	case LOOKUP_LINEAR:
		for (unsigned i = 0; i < ops; i++)
			claimed += bench_lookup_linear(lab, lab->addr[i % ADDRS]) != NULL;
		break;
	default:
		for (unsigned i = 0; i < ops; i++)
			claimed += bench_lookup_index(lab, lab->addr[i % ADDRS]) != NULL;
		break;
	}
	return claimed;
}

void bench_publish_twice(struct lab *lab, uint64_t first, unsigned thread);

__attribute__((noinline)) void bench_publish_twice(struct lab *lab, uint64_t first, unsigned thread)
{
	struct iobus_range range = {
		.first = first, .len = RANGE_BYTES, .dev = &lab->device[thread], .owner = "bench"};
	int r = iobus_remove(lab->bus, first, NULL);

	if (r == 0)
		r = iobus_add(lab->bus, &range, NULL);
	if (r < 0)
		die(lab->c->name, r);
}

/* thread chooses the ranges: those of its own device. */
static unsigned run_accesses(struct lab *lab, struct iobus_reader *reader, unsigned thread,
			     unsigned ops)
{
	uint64_t addr = (uint64_t)thread * STRIDE + (lab->c->hit ? 0 : RANGE_BYTES);
	uint8_t data = 0;

	if (lab->c->kind == READ_LAST_HIT) {
		for (unsigned i = 0; i < ops; i++)
			iobus_read(reader, addr, 1, &data);
	} else if (lab->c->kind == PUBLISH) {
		for (unsigned i = 0; i < ops; i++)
			bench_publish_twice(lab, addr, thread);
	} else if (lab->c->kind == WRITE_SEARCH) {
		for (unsigned i = 0; i < ops; i++)
			iobus_write(reader, addr + (uint64_t)i % 8 * THREADS * STRIDE, 1, &data);
	} else {
		for (unsigned i = 0; i < ops; i++)
			iobus_write(reader, addr, 1, &data);
	}
	return lab->c->hit ? ops : 0;
}

static void run_case(struct lab *lab, struct iobus_reader *reader, unsigned thread, unsigned ops)
{
	unsigned claimed = lab->c->kind <= LOOKUP_INDEX ? run_lookups(lab, ops)
							: run_accesses(lab, reader, thread, ops);

	if (claimed != (lab->c->hit ? ops : 0))
		die(lab->c->name, -EIO);
}

struct run {
	struct lab *lab;
	pthread_barrier_t *start;
	unsigned thread;
	double ns; /* an op */
};

static void *run_timed(void *arg)
{
	struct run *run = arg;
	unsigned ops = run->lab->c->ops * TIMED_SCALE;
	struct iobus_reader *reader;
	double start;
	int r = iobus_reader_create(run->lab->bus, &reader);

	if (r < 0)
		die("reader", r);
	run_case(run->lab, reader, run->thread, ops / 16); /* warms caches */
	pthread_barrier_wait(run->start);
	start = (double)clock_monotonic_ns();
	run_case(run->lab, reader, run->thread, ops);
	run->ns = ((double)clock_monotonic_ns() - start) / ops;
	iobus_reader_destroy(reader);
	return NULL;
}

/* Nanoseconds an op: what the threads saw, averaged. */
static double time_once(struct lab *lab, unsigned threads)
{
	pthread_barrier_t start;
	pthread_t thread[THREADS];
	struct run run[THREADS];
	double sum = 0;

	pthread_barrier_init(&start, NULL, threads);
	for (unsigned i = 0; i < threads; i++) {
		int r;

		run[i] = (struct run){.lab = lab, .start = &start, .thread = i};
		r = -pthread_create(&thread[i], NULL, run_timed, &run[i]);
		if (r < 0)
			die("thread", r);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
		sum += run[i].ns;
	}
	pthread_barrier_destroy(&start);
	return sum / threads;
}

static int compare_double(const void *a, const void *b)
{
	double da = *(const double *)a, db = *(const double *)b;

	return (da > db) - (da < db);
}

static double median(double *ns)
{
	qsort(ns, ROUNDS, sizeof(*ns), compare_double);
	return ns[ROUNDS / 2];
}

/* Round after round over all cases, so that what else the host does falls on all of them alike. */
static void time_all(void)
{
	static double ns[ARRAY_SIZE(cases)][THREADS][ROUNDS];
	struct lab *lab[ARRAY_SIZE(cases)];

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		lab[i] = lab_create(&cases[i]);
	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
			for (unsigned threads = 1; threads <= THREADS; threads++)
				ns[i][threads - 1][round] = time_once(lab[i], threads);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		printf("%s %.1f %.1f\n", cases[i].name, median(ns[i][0]), median(ns[i][1]));
		lab_destroy(lab[i]);
	}
}

static int run_named(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct iobus_reader *reader;
		struct lab *lab;

		if (strcmp(cases[i].name, name) != 0)
			continue;
		lab = lab_create(&cases[i]);
		if (iobus_reader_create(lab->bus, &reader) < 0)
			die("reader", -ENOMEM);
		run_case(lab, reader, 0, cases[i].ops);
		iobus_reader_destroy(reader);
		lab_destroy(lab);
		return 0;
	}
	fprintf(stderr, "bench_iobus: no case '%s'\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "run") == 0)
		return run_named(argv[2]);
	if (argc == 2 && strcmp(argv[1], "time") == 0) {
		time_all();
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
			printf("%s %s %u %u\n", cases[i].name, cases[i].function, cases[i].ops,
			       cases[i].budget);
		return 0;
	}
	fprintf(stderr, "usage: bench_iobus list | run NAME | time\n");
	return 2;
}
