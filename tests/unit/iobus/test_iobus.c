/* Unit tests of the bus: every edge of a range and of the space, splitting, errors, counters. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "device.h"
#include "diag_rig.h"
#include "iobus.h"
#include "iobus/internal.h"

enum { LOG_MAX = 32 };
#define ONES UINT64_MAX

struct op {
	char dir; /* 'r' or 'w' */
	char dev;
	uint64_t off;
	unsigned size, region;
	uint64_t val; /* written; of a read, what was answered below size */
};

/* A device that keeps what it was asked. One log for all of them: the order counts. */
struct probe {
	struct device dev;
	char name;
};

static struct op op_log[LOG_MAX];
static unsigned nr_ops;
static bool fenced;

static struct iobus *bus;
static struct iobus_reader *reader;

static void log_op(const struct op *op)
{
	if (nr_ops < LOG_MAX)
		op_log[nr_ops] = *op;
	nr_ops++;
}

static uint64_t below(uint64_t val, unsigned size)
{
	return size == 8 ? val : val & ((UINT64_C(1) << 8 * size) - 1);
}

/* Byte i of the answer is off + i with bit 7 set; what is above size is garbage on purpose. */
static uint64_t probe_read(struct device *dev, struct io_at at)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < 8; i++)
		val |= (0x80 | ((at.off + i) & 0x7f)) << 8 * i;
	log_op(&(struct op){'r', container_of(dev, struct probe, dev)->name, at.off, at.size,
			    at.range, below(val, at.size)});
	return val;
}

static void probe_write(struct device *dev, struct io_at at, uint64_t val)
{
	log_op(&(struct op){'w', container_of(dev, struct probe, dev)->name, at.off, at.size,
			    at.range, val});
}

#define PROBE_CLASS(bytes)                                                                         \
	{                                                                                          \
		.name = "probe" #bytes, .state_size = sizeof(struct probe), .max_access = (bytes), \
		.read = probe_read, .write = probe_write                                           \
	}

static const struct device_class probe_class[] = {
	PROBE_CLASS(0), PROBE_CLASS(1), PROBE_CLASS(2), PROBE_CLASS(4), PROBE_CLASS(8),
};

static struct probe a = {.dev = {.cls = &probe_class[0]}, .name = 'a'};
static struct probe b = {.dev = {.cls = &probe_class[0]}, .name = 'b'};

static void create(enum iobus_space space)
{
	assert_int_equal(fenced ? iobus_create_as(space, true, &bus) : iobus_create(space, &bus),
			 0);
	assert_int_equal(iobus_reader_create(bus, &reader), 0);
	nr_ops = 0;
}

static int setup_probes(void **state)
{
	(void)state;
	a.dev.cls = b.dev.cls = &probe_class[0];
	return pthread_mutex_init(&a.dev.lock, NULL) || pthread_mutex_init(&b.dev.lock, NULL);
}

static int setup_pio(void **state)
{
	create(IOBUS_PIO);
	return setup_probes(state);
}

static int setup_mmio(void **state)
{
	create(IOBUS_MMIO);
	return setup_probes(state);
}

static int teardown(void **state)
{
	(void)state;
	reader = iobus_reader_destroy(reader);
	bus = iobus_destroy(bus);
	pthread_mutex_destroy(&a.dev.lock);
	pthread_mutex_destroy(&b.dev.lock);
	return 0;
}

static struct iobus_range range(struct probe *probe, uint64_t first, uint64_t len)
{
	return (struct iobus_range){.first = first,
				    .len = len,
				    .dev = &probe->dev,
				    .owner = probe == &a ? "alpha" : "beta",
				    .region = probe == &a ? 3 : 7};
}

static int add(struct probe *probe, uint64_t first, uint64_t len)
{
	struct iobus_range r = range(probe, first, len);

	return iobus_add(bus, &r, NULL);
}

static uint64_t rd(uint64_t addr, unsigned size)
{
	uint64_t val = 0;

	iobus_read(reader, addr, size, &val);
	return val;
}

static void wr(uint64_t addr, unsigned size, uint64_t val)
{
	iobus_write(reader, addr, size, &val);
}

static void expect_op(unsigned i, char dir, char dev, uint64_t off, unsigned size)
{
	assert_true(i < nr_ops && i < LOG_MAX);
	assert_int_equal(op_log[i].dir, dir);
	assert_int_equal(op_log[i].dev, dev);
	assert_int_equal(op_log[i].off, off);
	assert_int_equal(op_log[i].size, size);
	assert_int_equal(op_log[i].region, dev == 'a' ? 3 : 7);
}

static struct iobus_totals totals(void)
{
	struct iobus_totals t;

	iobus_counts(bus, NULL, 0, &t);
	return t;
}

static void a_range_claims_its_first_and_last_byte_and_no_neighbour(void **state)
{
	(void)state;
	assert_int_equal(add(&a, 0x3f8, 8), 0);
	assert_int_equal(rd(0x3f7, 1), 0xff);
	assert_int_equal(rd(0x400, 1), 0xff);
	assert_int_equal(nr_ops, 0);
	assert_int_equal(rd(0x3f8, 1), 0x80);
	assert_int_equal(rd(0x3ff, 1), 0x87);
	wr(0x3ff, 1, 0x5a);
	wr(0x400, 1, 0x5a);
	wr(0x3f7, 1, 0x5a);
	assert_int_equal(nr_ops, 3);
	expect_op(0, 'r', 'a', 0, 1);
	expect_op(1, 'r', 'a', 7, 1);
	expect_op(2, 'w', 'a', 7, 1);
	assert_int_equal(op_log[2].val, 0x5a);
}

static void the_top_port_is_reached_and_nothing_wraps_past_it(void **state)
{
	(void)state;
	assert_int_equal(add(&a, 0xfffe, 2), 0);
	assert_int_equal(add(&b, 0, 4), 0);
	assert_int_equal(rd(0xffff, 1), 0x81);
	assert_int_equal(rd(0xfffe, 4), 0xffff8180);
	assert_int_equal(rd(0xffff, 2), 0xff81);
	wr(0xffff, 4, 0x44332211);
	assert_int_equal(nr_ops, 4);
	expect_op(3, 'w', 'a', 1, 1);
	assert_int_equal(op_log[3].val, 0x11);
	assert_int_equal(rd(0x10000, 1), 0xff);
	assert_int_equal(rd(UINT64_MAX, 4), 0xffffffff);
	assert_int_equal(nr_ops, 4);
}

static void the_top_of_mmio_is_reached_and_nothing_wraps_past_it(void **state)
{
	(void)state;
	assert_int_equal(add(&a, UINT64_MAX - 3, 4), 0);
	assert_int_equal(add(&b, 0, 4), 0);
	assert_int_equal(rd(UINT64_MAX, 1), 0x83);
	assert_int_equal(rd(UINT64_MAX - 3, 8), 0xffffffff83828180);
	assert_int_equal(rd(UINT64_MAX, 8), 0xffffffffffffff83);
	wr(UINT64_MAX - 1, 8, 0x8877665544332211);
	assert_int_equal(nr_ops, 4);
	expect_op(3, 'w', 'a', 2, 2);
	assert_int_equal(op_log[3].val, 0x2211);
	assert_int_equal(rd(UINT64_MAX - 6, 4), 0x80ffffff);
	assert_int_equal(iobus_remove(bus, UINT64_MAX - 3, NULL), 0);
	assert_int_equal(rd(UINT64_MAX - 3, 8), ONES);
	assert_int_equal(nr_ops, 5);
}

static void one_range_may_be_all_of_mmio_but_its_last_byte(void **state)
{
	(void)state;
	assert_int_equal(add(&a, 0, UINT64_MAX), 0);
	wr(UINT64_MAX - 8, 8, 1);
	expect_op(0, 'w', 'a', UINT64_MAX - 8, 8);
	wr(UINT64_MAX - 1, 2, 0x2211);
	expect_op(1, 'w', 'a', UINT64_MAX - 1, 1);
	assert_int_equal(add(&b, UINT64_MAX, 1), 0);
	wr(UINT64_MAX - 1, 2, 0x2211);
	assert_int_equal(nr_ops, 4);
	expect_op(2, 'w', 'a', UINT64_MAX - 1, 1);
	expect_op(3, 'w', 'b', 0, 1);
	assert_int_equal(op_log[3].val, 0x22);
}

static void a_bus_without_ranges_answers_all_ones(void **state)
{
	struct iobus_totals t;

	(void)state;
	assert_int_equal(rd(0, 1), 0xff);
	assert_int_equal(rd(0x80, 4), 0xffffffff);
	assert_int_equal(rd(UINT64_MAX, 8), ONES);
	wr(0x80, 3, 0);
	assert_int_equal(iobus_counts(bus, NULL, 0, &t), 0);
	assert_int_equal(t.reads, 3);
	assert_int_equal(t.writes, 1);
	assert_int_equal(t.unclaimed_reads, 3);
	assert_int_equal(t.unclaimed_writes, 1);
	assert_int_equal(t.split, 0);
	assert_int_equal(iobus_counts(bus, NULL, 0, NULL), 0);
}

/* The reader remembers a gap as it remembers a range; both edges and a new range end that. */
static void a_remembered_gap_ends_at_its_edges_and_with_a_new_range(void **state)
{
	struct iobus_totals t;

	(void)state;
	assert_int_equal(add(&a, 0x100, 8), 0);
	assert_int_equal(add(&b, 0x110, 8), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rd(0x108, 8), ONES);
	assert_int_equal(rd(0x10f, 1), 0xff);
	assert_int_equal(nr_ops, 0);
	assert_int_equal(rd(0x10f, 2), 0x80ff); /* its second byte is b's first */
	assert_int_equal(rd(0x108, 1), 0xff);
	assert_int_equal(rd(0x107, 2), 0xff87);
	assert_int_equal(nr_ops, 2);
	assert_int_equal(rd(0x108, 4), ONES & UINT32_MAX);
	assert_int_equal(add(&a, 0x108, 4), 0);
	assert_int_equal(rd(0x108, 4), 0x83828180);
	assert_int_equal(iobus_remove(bus, 0x108, NULL), 0);
	assert_int_equal(rd(0x108, 4), ONES & UINT32_MAX);
	t = totals();
	assert_int_equal(t.reads, 10);
	assert_int_equal(t.unclaimed_reads, 9);
	assert_int_equal(t.split, 2);
}

static void each_of_4096_ranges_is_found_and_no_gap_is(void **state)
{
	enum { N = 4096 };
	struct iobus_range *r = calloc(N, sizeof(*r));

	(void)state;
	assert_non_null(r);
	for (unsigned i = 0; i < N; i++) /* 2,731 is odd: every i once, in no order */
		r[i] = range(i % 2 ? &a : &b, (uint64_t)(i * 2731U % N) * 16, 8);
	assert_int_equal(iobus_add_many(bus, r, N, NULL), 0);
	for (unsigned i = 0; i < N; i++) {
		nr_ops = 0;
		assert_int_equal(rd(r[i].first + 7, 1), 0x87);
		expect_op(0, 'r', i % 2 ? 'a' : 'b', 7, 1);
		assert_int_equal(rd(r[i].first, 1), 0x80);
		assert_int_equal(rd(r[i].first + 8, 8), ONES);
		assert_int_equal(nr_ops, 2);
	}
	assert_int_equal(totals().unclaimed_reads, N);
	free(r);
}

static void whole_accesses_are_one_op_whatever_their_alignment(void **state)
{
	(void)state;
	for (unsigned cls = 1; cls < ARRAY_SIZE(probe_class); cls++) {
		a.dev.cls = &probe_class[cls];
		assert_int_equal(add(&a, 0x1003, 16), 0);
		for (unsigned size = 1; size <= a.dev.cls->max_access; size *= 2) {
			for (unsigned off = 0; off + size <= 16; off++) {
				nr_ops = 0;
				wr(0x1003 + off, size, 0x8877665544332211);
				rd(0x1003 + off, size);
				assert_int_equal(nr_ops, 2);
				expect_op(0, 'w', 'a', off, size);
				expect_op(1, 'r', 'a', off, size);
				assert_int_equal(op_log[0].val, below(0x8877665544332211, size));
			}
		}
		assert_int_equal(iobus_remove(bus, 0x1003, NULL), 0);
	}
	assert_int_equal(totals().split, 0);
}

static void other_accesses_go_in_the_largest_pieces_that_fit(void **state)
{
	static const struct {
		unsigned cls, off, size;
		const char *pieces; /* sizes, lowest address first */
	} cases[] = {
		{1, 0, 2, "11"},   {1, 3, 8, "11111111"}, {2, 0, 4, "22"},  {2, 1, 3, "21"},
		{2, 0, 8, "2222"}, {3, 0, 8, "44"},       {3, 2, 8, "44"},  {3, 1, 7, "421"},
		{3, 0, 6, "42"},   {3, 5, 5, "41"},       {4, 0, 3, "21"},  {4, 0, 5, "41"},
		{4, 1, 6, "42"},   {4, 0, 7, "421"},      {0, 0, 7, "421"}, {0, 9, 7, "421"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned off = cases[i].off;
		uint64_t val;

		a.dev.cls = &probe_class[cases[i].cls];
		assert_int_equal(add(&a, 0x1000, 16), 0);
		nr_ops = 0;
		val = rd(0x1000 + off, cases[i].size);
		for (unsigned k = 0; k < cases[i].size; k++)
			assert_int_equal(val >> 8 * k & 0xff, 0x80 + off + k);
		assert_int_equal(nr_ops, strlen(cases[i].pieces));
		wr(0x1000 + off, cases[i].size, 0x8877665544332211);
		for (unsigned k = 0; cases[i].pieces[k]; k++) {
			unsigned size = (unsigned)(cases[i].pieces[k] - '0'),
				 w = (unsigned)strlen(cases[i].pieces) + k;

			expect_op(k, 'r', 'a', off, size);
			expect_op(w, 'w', 'a', off, size);
			assert_int_equal(
				op_log[w].val,
				below(0x8877665544332211 >> 8 * (off - cases[i].off), size));
			off += size;
		}
		assert_int_equal(iobus_remove(bus, 0x1000, NULL), 0);
	}
	assert_int_equal(totals().split, 2 * ARRAY_SIZE(cases));
	assert_int_equal(totals().unclaimed_reads, 0);
}

static void straddled_bytes_that_nobody_claims_read_as_ones(void **state)
{
	(void)state;
	assert_int_equal(add(&a, 0x100, 4), 0);
	assert_int_equal(rd(0xfe, 4), 0x8180ffff);
	assert_int_equal(rd(0x102, 8), 0xffffffffffff8382);
	assert_int_equal(rd(0xff, 8), 0xffffff83828180ff);
	assert_int_equal(nr_ops, 3);
	expect_op(0, 'r', 'a', 0, 2);
	expect_op(1, 'r', 'a', 2, 2);
	expect_op(2, 'r', 'a', 0, 4);
	wr(0xff, 4, 0x44332211);
	expect_op(3, 'w', 'a', 0, 2);
	expect_op(4, 'w', 'a', 2, 1);
	assert_int_equal(op_log[3].val, 0x3322);
	assert_int_equal(op_log[4].val, 0x44);
	assert_int_equal(totals().split, 4);
	assert_int_equal(totals().unclaimed_reads, 3);
	assert_int_equal(totals().unclaimed_writes, 1);
}

static struct iobus_unclaimed_access watched;
static unsigned nr_watched;

static void note_unclaimed(void *arg, const struct iobus_unclaimed_access *access)
{
	*(struct iobus_unclaimed_access *)arg = *access;
	nr_watched++;
}

static void expect_watched(unsigned nr, uint64_t addr, unsigned size, bool is_write, uint64_t val)
{
	assert_int_equal(nr_watched, nr);
	assert_true(watched.addr == addr && watched.size == size);
	assert_true(watched.is_write == is_write && watched.val == val);
}

/* Each, also where the last one was; the counts are as without. */
static void an_access_with_an_unclaimed_byte_is_watched(void **state)
{
	(void)state;
	nr_watched = 0;
	iobus_watch_unclaimed(bus, note_unclaimed, &watched);
	assert_int_equal(add(&a, 0x100, 4), 0);
	rd(0x100, 4);
	assert_int_equal(rd(0x200, 1), 0xff);
	expect_watched(1, 0x200, 1, false, 0);
	wr(0x200, 2, 0x1234);
	expect_watched(2, 0x200, 2, true, 0x1234);
	rd(0xfe, 4);
	expect_watched(3, 0xfe, 4, false, 0);
	wr(0x102, 4, 0x44332211);
	expect_watched(4, 0x102, 4, true, 0x44332211);
	assert_int_equal(totals().unclaimed_reads, 2);
	assert_int_equal(totals().unclaimed_writes, 2);
}

static void one_access_reaches_every_range_under_it_lowest_first(void **state)
{
	(void)state;
	assert_int_equal(add(&b, 0x100, 2), 0);
	assert_int_equal(add(&a, 0x102, 1), 0);
	assert_int_equal(add(&b, 0x104, 8), 0);
	assert_int_equal(rd(0x101, 8), 0x8483828180ff8081);
	assert_int_equal(nr_ops, 4);
	expect_op(0, 'r', 'b', 1, 1);
	expect_op(1, 'r', 'a', 0, 1);
	expect_op(2, 'r', 'b', 0, 4);
	expect_op(3, 'r', 'b', 4, 1);
}

static void reads_touch_no_byte_beyond_their_size(void **state)
{
	(void)state;
	assert_int_equal(add(&a, 0x100, 8), 0);
	for (unsigned size = 1; size <= 8; size++) {
		uint8_t buf[10];

		memset(buf, 0x11, sizeof(buf));
		iobus_read(reader, 0x100, size, buf + 1);
		assert_int_equal(buf[0], 0x11);
		assert_int_equal(buf[size], 0x80 + size - 1);
		assert_int_equal(buf[size + 1], 0x11);
		memset(buf, 0x11, sizeof(buf));
		iobus_read(reader, 0x200, size, buf + 1);
		assert_int_equal(buf[0], 0x11);
		assert_int_equal(buf[size], 0xff);
		assert_int_equal(buf[size + 1], 0x11);
	}
}

static void string_io_is_that_many_accesses_to_one_address(void **state)
{
	uint8_t in[7], out[6] = {1, 2, 3, 4, 5, 6};
	struct iobus_count count;

	(void)state;
	assert_int_equal(add(&a, 0x1f0, 8), 0);
	memset(in, 0x11, sizeof(in));
	iobus_read_string(reader, 0x1f0, 2, 3, in);
	assert_memory_equal(in, "\x80\x81\x80\x81\x80\x81\x11", 7);
	iobus_write_string(reader, 0x1f4, 2, 3, out);
	assert_int_equal(nr_ops, 6);
	for (unsigned i = 0; i < 3; i++) {
		expect_op(i, 'r', 'a', 0, 2);
		expect_op(3 + i, 'w', 'a', 4, 2);
		assert_int_equal(op_log[3 + i].val, (2 * i + 2) << 8 | (2 * i + 1));
	}
	iobus_read_string(reader, 0x1f0, 2, 0, in);
	iobus_write_string(reader, 0x1f0, 2, 0, out);
	iobus_read_string(reader, 0x2f0, 2, 3, in);
	assert_memory_equal(in, "\xff\xff\xff\xff\xff\xff\x11", 7);
	assert_int_equal(iobus_counts(bus, &count, 1, NULL), 1);
	assert_int_equal(count.reads, 3);
	assert_int_equal(count.writes, 3);
	assert_int_equal(totals().reads, 6);
	assert_int_equal(totals().writes, 3);
	assert_int_equal(totals().unclaimed_reads, 3);
}

static void expect_refused(int err, const struct iobus_range *r, const char *error)
{
	struct diag diag = {0};

	assert_int_equal(iobus_add(bus, r, &diag), err);
	assert_diag(&diag, err, error);
	assert_int_equal(iobus_add(bus, r, NULL), err);
}

static void empty_and_wrapping_ranges_are_refused(void **state)
{
	struct iobus_range r = range(&a, 0x100, 0);

	(void)state;
	expect_refused(-EINVAL, &r, "range-empty 'alpha' ~ 0x100");
	r = range(&a, 0, 0x10001);
	expect_refused(-EINVAL, &r, "range-wraps 'alpha' ~ 0xffff");
	r = range(&a, 0xffff, 2);
	expect_refused(-EINVAL, &r, "range-wraps 'alpha' ~ 0xffff");
	r = range(&a, 0x10000, 1);
	expect_refused(-EINVAL, &r, "range-wraps 'alpha' ~ 0x10000");
	r = range(&a, 1, UINT64_MAX);
	expect_refused(-EINVAL, &r, "range-wraps 'alpha' ~ 0xffffffffffffffff");
	assert_int_equal(add(&a, 0, 0x10000), 0);
	assert_int_equal(iobus_counts(bus, NULL, 0, NULL), 1);
}

static void mmio_ranges_that_wrap_are_refused(void **state)
{
	struct iobus_range r = range(&a, 1, UINT64_MAX);

	(void)state;
	assert_int_equal(iobus_add(bus, &r, NULL), 0); /* ends with the last byte */
	assert_int_equal(iobus_remove(bus, 1, NULL), 0);
	r = range(&a, 2, UINT64_MAX);
	expect_refused(-EINVAL, &r, "range-wraps 'alpha' ~ 0xffffffffffffffff");
	r = range(&a, UINT64_MAX, 2);
	expect_refused(-EINVAL, &r, "range-wraps 'alpha' ~ 0xffffffffffffffff");
}

static void overlaps_are_refused_and_both_owners_named(void **state)
{
	static const struct {
		uint64_t first, len;
	} in_the_way[] = {
		{0x100, 8}, {0x0ff, 2},     {0x107, 1}, {0x107, 9},
		{0x103, 2}, {0x0f0, 0x100}, {0, 0x101},
	};

	(void)state;
	assert_int_equal(add(&a, 0x100, 8), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(in_the_way); i++) {
		struct iobus_range r = range(&b, in_the_way[i].first, in_the_way[i].len);

		expect_refused(-EEXIST, &r, "range-overlap 'alpha' (0x100 to 0x107)");
		expect_refused(-EEXIST, &r, "range-overlap 'beta'");
	}
	assert_int_equal(add(&b, 0x0f8, 8), 0); /* touching is no overlap */
	assert_int_equal(add(&b, 0x108, 8), 0);
	assert_int_equal(iobus_counts(bus, NULL, 0, NULL), 3);
}

static void classes_that_the_bus_cannot_serve_are_refused(void **state)
{
	static const struct device_class no_read = {.name = "deaf", .write = probe_write},
					 no_write = {.name = "mute", .read = probe_read},
					 odd = PROBE_CLASS(3), wide = PROBE_CLASS(16);
	struct iobus_range r = range(&a, 0x100, 8);

	(void)state;
	a.dev.cls = &no_read;
	expect_refused(-EINVAL, &r, "range-no-handler 'alpha' ~ 'deaf' ~ no read");
	a.dev.cls = &no_write;
	expect_refused(-EINVAL, &r, "range-no-handler 'alpha' ~ 'mute' ~ no write");
	a.dev.cls = &odd;
	expect_refused(-EINVAL, &r, "range-max-access 'alpha' ~ 3");
	a.dev.cls = &wide;
	expect_refused(-EINVAL, &r, "range-max-access 'alpha' ~ 16");
}

static void many_ranges_are_added_all_or_none(void **state)
{
	struct iobus_range r[] = {
		range(&a, 0x300, 8),
		range(&b, 0x100, 8),
		range(&a, 0x200, 8),
		range(&b, 0x207, 1),
	};
	struct iobus_count counts[3];
	struct diag diag = {0};

	(void)state;
	assert_int_equal(iobus_add_many(bus, r, 4, &diag), -EEXIST);
	assert_diag(&diag, -EEXIST, "range-overlap 'alpha' ~ 'beta'");
	r[3].len = 0;
	assert_int_equal(iobus_add_many(bus, r, 4, NULL), -EINVAL);
	assert_int_equal(rd(0x100, 1) & rd(0x200, 1) & rd(0x300, 1), 0xff);
	assert_int_equal(iobus_counts(bus, NULL, 0, NULL), 0);
	assert_int_equal(iobus_add_many(bus, r, 0, NULL), 0);
	assert_int_equal(iobus_add_many(bus, r, 3, NULL), 0);
	assert_int_equal(r[0].first, 0x300); /* the caller's array is left as it was */
	assert_int_equal(iobus_counts(bus, counts, 3, NULL), 3);
	assert_int_equal(counts[0].first, 0x100);
	assert_int_equal(counts[1].first, 0x200);
	assert_int_equal(counts[2].first, 0x300);
}

static void the_last_hit_does_not_outlive_its_range(void **state)
{
	(void)state;
	assert_int_equal(add(&a, 0x100, 8), 0);
	rd(0x100, 1);
	rd(0x100, 1);
	assert_int_equal(nr_ops, 2);
	assert_int_equal(iobus_remove(bus, 0x100, NULL), 0);
	assert_int_equal(rd(0x100, 1), 0xff);
	assert_int_equal(nr_ops, 2);
	assert_int_equal(add(&b, 0x100, 4), 0);
	assert_int_equal(rd(0x100, 1), 0x80);
	assert_int_equal(rd(0x104, 1), 0xff);
	assert_int_equal(nr_ops, 3);
	expect_op(2, 'r', 'b', 0, 1);
}

static void removing_what_does_not_start_there_finds_nothing(void **state)
{
	struct diag diag = {0};

	(void)state;
	assert_int_equal(iobus_remove(bus, 0, NULL), -ENOENT);
	assert_int_equal(add(&a, 0x100, 8), 0);
	assert_int_equal(add(&b, 0x108, 8), 0);
	assert_int_equal(iobus_remove(bus, 0x101, &diag), -ENOENT);
	assert_diag(&diag, -ENOENT, "range-missing 0x101");
	assert_int_equal(iobus_remove(bus, 0xff, NULL), -ENOENT);
	assert_int_equal(iobus_remove(bus, 0x110, NULL), -ENOENT);
	assert_int_equal(iobus_remove(bus, 0x100, NULL), 0);
	assert_int_equal(iobus_remove(bus, 0x100, NULL), -ENOENT);
	assert_int_equal(rd(0x107, 2), 0x80ff);
	assert_int_equal(iobus_remove(bus, 0x108, NULL), 0);
	assert_int_equal(iobus_counts(bus, NULL, 0, NULL), 0);
}

static void there_is_room_for_65536_ranges_and_no_more(void **state)
{
	enum { N = 65536 };
	struct iobus_range *r = calloc(N + 1, sizeof(*r));
	struct diag diag = {0};

	(void)state;
	assert_non_null(r);
	for (unsigned i = 0; i <= N; i++)
		r[i] = range(&a, (uint64_t)i * 4, 4);
	assert_int_equal(iobus_add_many(bus, r, N + 1, &diag), -ENOSPC);
	assert_diag(&diag, -ENOSPC, "bus-full 65536");
	assert_int_equal(iobus_add_many(bus, r, N, NULL), 0);
	assert_int_equal(iobus_add(bus, &r[N], NULL), -ENOSPC);
	wr(UINT64_C(4) * (N - 1), 4, 1);
	expect_op(0, 'w', 'a', 0, 4);
	assert_int_equal(iobus_remove(bus, 0, NULL), 0);
	assert_int_equal(iobus_add(bus, &r[N], NULL), 0);
	assert_int_equal(iobus_add(bus, &r[0], NULL), -ENOSPC);
	wr(UINT64_C(4) * N, 4, 1);
	expect_op(1, 'w', 'a', 0, 4);
	assert_int_equal(totals().writes, 2);
	free(r);
}

#define PIO(name)  cmocka_unit_test_setup_teardown(name, setup_pio, teardown)
#define MMIO(name) cmocka_unit_test_setup_teardown(name, setup_mmio, teardown)

static int run(const char *group)
{
	const struct CMUnitTest tests[] = {
		PIO(a_range_claims_its_first_and_last_byte_and_no_neighbour),
		PIO(the_top_port_is_reached_and_nothing_wraps_past_it),
		MMIO(the_top_of_mmio_is_reached_and_nothing_wraps_past_it),
		MMIO(one_range_may_be_all_of_mmio_but_its_last_byte),
		PIO(a_bus_without_ranges_answers_all_ones),
		PIO(a_remembered_gap_ends_at_its_edges_and_with_a_new_range),
		PIO(each_of_4096_ranges_is_found_and_no_gap_is),
		MMIO(whole_accesses_are_one_op_whatever_their_alignment),
		MMIO(other_accesses_go_in_the_largest_pieces_that_fit),
		PIO(straddled_bytes_that_nobody_claims_read_as_ones),
		PIO(an_access_with_an_unclaimed_byte_is_watched),
		MMIO(one_access_reaches_every_range_under_it_lowest_first),
		MMIO(reads_touch_no_byte_beyond_their_size),
		PIO(string_io_is_that_many_accesses_to_one_address),
		PIO(empty_and_wrapping_ranges_are_refused),
		MMIO(mmio_ranges_that_wrap_are_refused),
		MMIO(overlaps_are_refused_and_both_owners_named),
		PIO(classes_that_the_bus_cannot_serve_are_refused),
		PIO(many_ranges_are_added_all_or_none),
		PIO(the_last_hit_does_not_outlive_its_range),
		PIO(removing_what_does_not_start_there_finds_nothing),
		MMIO(there_is_room_for_65536_ranges_and_no_more),
	};

	return cmocka_run_group_tests_name(group, tests, NULL, NULL);
}

int main(void)
{
	int failed = run("bus with membarrier()");

	fenced = true;
	return failed + run("bus without membarrier()");
}
