/*
 * The bus when the host refuses. Memory, at each of its allocations in turn: what was asked for did
 * not happen, nothing else has changed, nothing leaks, and a range can still be removed. And
 * membarrier(): missing, forbidden, or short of memory itself. Linked so that these calls of the bus
 * come through here.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "base/clock.h"
#include "device.h"
#include "iobus.h"
#include "iobus/internal.h"

enum { MANY = 100 }; /* ranges: more than the first snapshot and the first chunk of counters hold */

static long allocations_left; /* until one fails; negative: none does */

void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

long __wrap_syscall(long number, ...);

static bool fails(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(align, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

/* This host's membarrier(), and how often it was asked for a barrier. */
static struct {
	long cmds;   /* that the query reports; negative: -errno of the query itself */
	int refused; /* this command fails with err so many times */
	int err, times;
	unsigned barriers;
} host;

/* Nothing here has a second thread, so that no barrier need be had for the bus to be right. */
long __wrap_syscall(long number, ...)
{
	va_list ap;
	int cmd;

	assert_int_equal(number, SYS_membarrier);
	va_start(ap, number);
	cmd = va_arg(ap, int);
	va_end(ap);
	if (cmd == MEMBARRIER_CMD_QUERY && host.cmds >= 0)
		return host.cmds;
	if (cmd == MEMBARRIER_CMD_QUERY) {
		errno = (int)-host.cmds;
		return -1;
	}
	if (cmd == MEMBARRIER_CMD_PRIVATE_EXPEDITED)
		host.barriers++;
	if (cmd == host.refused && host.times-- > 0) {
		errno = host.err;
		return -1;
	}
	return 0;
}

static uint64_t seven_read(struct device *dev, struct io_at at)
{
	(void)dev;
	(void)at;
	return 7;
}

static void drop_write(struct device *dev, struct io_at at, uint64_t val)
{
	(void)dev;
	(void)at;
	(void)val;
}

static const struct device_class seven_class = {
	.name = "seven", .self_locked = true, .read = seven_read, .write = drop_write};
static struct device seven = {.cls = &seven_class};

static int setup(void **state)
{
	(void)state;
	allocations_left = -1;
	host.cmds = MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
	host.times = 0;
	host.barriers = 0;
	return 0;
}

static uint8_t rd(struct iobus_reader *reader, uint64_t addr)
{
	uint8_t val;

	iobus_read(reader, addr, 1, &val);
	return val;
}

static void make_ranges(struct iobus_range *r)
{
	for (unsigned i = 0; i < MANY; i++)
		r[i] = (struct iobus_range){
			.first = 0x1000 + i, .len = 1, .dev = &seven, .owner = "seven"};
}

static void creation_fails_whole(void **state)
{
	struct iobus_reader *reader = NULL;
	struct iobus *bus = NULL;
	int r = -ENOMEM;
	long n;

	(void)state;
	for (n = 0; r == -ENOMEM; n++) {
		assert_null(bus);
		allocations_left = n;
		r = iobus_create(IOBUS_PIO, &bus);
	}
	assert_int_equal(r, 0);
	assert_true(n > 3);
	r = -ENOMEM;
	for (n = 0; r == -ENOMEM; n++) {
		assert_null(reader);
		allocations_left = n;
		r = iobus_reader_create(bus, &reader);
	}
	assert_int_equal(r, 0);
	assert_true(n > 2);
	assert_int_equal(rd(reader, 0), 0xff);
	iobus_reader_destroy(reader);
	iobus_destroy(bus);
}

/* Whether adding many ranges succeeded at once, when allocation n was the one to fail. */
static bool added_without(long n)
{
	struct iobus_reader *reader[2];
	struct iobus_range r[MANY];
	struct iobus *bus;
	int ret;

	make_ranges(r);
	allocations_left = -1;
	assert_int_equal(iobus_create(IOBUS_MMIO, &bus), 0);
	assert_int_equal(iobus_reader_create(bus, &reader[0]), 0);
	assert_int_equal(iobus_reader_create(bus, &reader[1]), 0);
	assert_int_equal(iobus_add(bus, &r[MANY - 1], NULL), 0);
	allocations_left = n;
	ret = iobus_add_many(bus, r, MANY - 1, NULL);
	allocations_left = -1;
	if (ret < 0) {
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(iobus_counts(bus, NULL, 0, NULL), 1);
		assert_int_equal(rd(reader[0], 0x1000), 0xff);
		assert_int_equal(rd(reader[1], 0x1000 + MANY - 1), 7);
		assert_int_equal(iobus_add_many(bus, r, MANY - 1, NULL), 0);
	}
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(rd(reader[i % 2], 0x1000 + i), 7);
	iobus_reader_destroy(reader[0]);
	iobus_reader_destroy(reader[1]);
	iobus_destroy(bus);
	return ret == 0;
}

static void addition_fails_whole_and_may_be_tried_again(void **state)
{
	long n = 0;

	(void)state;
	while (!added_without(n))
		n++;
	assert_int_equal(n, 6); /* the sorted ranges, two snapshots, three tables of counters */
}

static void removal_and_timing_need_no_memory(void **state)
{
	struct iobus_reader *reader;
	struct iobus_range r[MANY];
	struct iobus *bus;

	(void)state;
	make_ranges(r);
	assert_int_equal(iobus_create(IOBUS_MMIO, &bus), 0);
	assert_int_equal(iobus_reader_create(bus, &reader), 0);
	assert_int_equal(iobus_add_many(bus, r, MANY, NULL), 0);
	allocations_left = 0;
	for (unsigned i = 0; i < MANY; i++) {
		iobus_set_timing(bus, i % 2);
		assert_int_equal(rd(reader, 0x1000 + i), 7);
		assert_int_equal(iobus_remove(bus, 0x1000 + i, NULL), 0);
		assert_int_equal(rd(reader, 0x1000 + i), 0xff);
	}
	assert_int_equal(allocations_left, 0);
	assert_int_equal(iobus_counts(bus, NULL, 0, NULL), 0);
	iobus_reader_destroy(reader);
	iobus_destroy(bus);
}

/* Readers fence for themselves on such a host, and no writer asks for a barrier. */
static void expect_fenced(void)
{
	struct iobus *bus;
	unsigned barriers;

	assert_int_equal(iobus_create(IOBUS_PIO, &bus), 0);
	assert_true(bus->fenced);
	barriers = host.barriers;
	iobus_set_timing(bus, true);
	assert_int_equal(host.barriers, barriers);
	iobus_destroy(bus);
}

static void readers_fence_where_membarrier_is_missing_or_forbidden(void **state)
{
	(void)state;
	host.cmds = -ENOSYS;
	expect_fenced();
	host.cmds = MEMBARRIER_CMD_GLOBAL; /* before Linux 4.14 */
	expect_fenced();
	setup(NULL);
	host.err = EPERM; /* a sandbox that lets some commands through */
	host.times = 1;
	host.refused = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
	expect_fenced();
	host.times = 1;
	host.refused = MEMBARRIER_CMD_PRIVATE_EXPEDITED;
	expect_fenced();
	assert_int_equal(host.times, 0);
}

static void each_publication_asks_for_one_barrier(void **state)
{
	const unsigned one = IOBUS_TSAN ? 0 : 1;
	struct iobus_range r[MANY];
	struct iobus *bus;

	(void)state;
	make_ranges(r);
	assert_int_equal(iobus_create(IOBUS_MMIO, &bus), 0);
	assert_false(bus->fenced);
	host.barriers = 0;
	assert_int_equal(iobus_add_many(bus, r, MANY, NULL), 0);
	assert_int_equal(host.barriers, one);
	assert_int_equal(iobus_add(bus, &r[0], NULL), -EEXIST);
	assert_int_equal(iobus_remove(bus, 0, NULL), -ENOENT);
	assert_int_equal(host.barriers, one);
	assert_int_equal(iobus_remove(bus, r[0].first, NULL), 0);
	assert_int_equal(host.barriers, 2 * one);
	iobus_set_timing(bus, true);
	assert_int_equal(host.barriers, 3 * one);
	iobus_destroy(bus);
}

static void a_barrier_that_lacks_memory_is_asked_for_again(void **state)
{
	struct iobus *bus;

	(void)state;
	assert_int_equal(iobus_create(IOBUS_MMIO, &bus), 0);
	host.barriers = 0;
	host.refused = MEMBARRIER_CMD_PRIVATE_EXPEDITED;
	host.err = ENOMEM;
	host.times = 3;
	iobus_set_timing(bus, true);
	assert_int_equal(host.barriers, IOBUS_TSAN ? 0 : 4);
	iobus_destroy(bus);
}

/* A sandbox closed over a bus that counts on the call: each publication waits instead, and removal works. */
static void a_barrier_refused_later_is_waited_for(void **state)
{
	static const int refusals[] = {EPERM, ENOSYS, EACCES, EINVAL};
	struct iobus_reader *reader;
	struct iobus_range r[MANY];
	struct iobus *bus;

	(void)state;
	make_ranges(r);
	assert_int_equal(iobus_create(IOBUS_MMIO, &bus), 0);
	assert_int_equal(iobus_reader_create(bus, &reader), 0);
	assert_false(bus->fenced);
	host.refused = MEMBARRIER_CMD_PRIVATE_EXPEDITED;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const int64_t before_ns = clock_monotonic_ns();

		host.err = refusals[i];
		host.times = 2;
		assert_int_equal(iobus_add(bus, &r[i], NULL), 0);
		assert_int_equal(rd(reader, r[i].first), 7);
		assert_int_equal(iobus_remove(bus, r[i].first, NULL), 0);
		assert_int_equal(rd(reader, r[i].first), 0xff);
		assert_int_equal(host.times, IOBUS_TSAN ? 2 : 0);
		if (!IOBUS_TSAN)
			assert_true(clock_monotonic_ns() - before_ns >=
				    INT64_C(2) * IOBUS_STORES_SEEN_NS);
	}
	iobus_reader_destroy(reader);
	iobus_destroy(bus);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(creation_fails_whole),
		TEST(addition_fails_whole_and_may_be_tried_again),
		TEST(removal_and_timing_need_no_memory),
		TEST(readers_fence_where_membarrier_is_missing_or_forbidden),
		TEST(each_publication_asks_for_one_barrier),
		TEST(a_barrier_that_lacks_memory_is_asked_for_again),
		TEST(a_barrier_refused_later_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
