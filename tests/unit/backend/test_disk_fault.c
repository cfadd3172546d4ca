/* Unit tests of faults on purpose of a disk: each kind, on an image whose bytes are known. */
#include "backend/disk/fault.h"
#include "base/clock.h"
#include "disk_rig.h"

#define SECTOR ((size_t)512)
enum { SECTORS = 64, DELAY_NS = 2000000 };
#define BYTES (SECTORS * SECTOR)

static const unsigned any =
	1 << DISK_READ | 1 << DISK_WRITE | 1 << DISK_FLUSH | 1 << DISK_ZERO | 1 << DISK_DISCARD;

static struct disk_rig rig;
static unsigned counted[FAULT_KINDS];
static uint8_t buf[BYTES], file[BYTES], image[BYTES];

static void count_one(void *arg, enum fault_kind kind)
{
	(void)arg;
	counted[kind]++;
}

static void open_with(const struct fault_rule *rule, unsigned nr)
{
	static const struct disk_way best = {.name = "best"};
	struct fault_rules rules = {.nr = nr};

	disk_rig_image(&rig, BYTES);
	assert_true(disk_rig_open(&rig, &best));
	memcpy(rules.rule, rule, nr * sizeof(*rule));
	assert_int_equal(disk_fault_create(rig.disk, &rules, &rig.loop, disk_rig_batch_done, &rig,
					   &rig.disk),
			 0);
	rig.disk->faulted = count_one;
	memset(counted, 0, sizeof(counted));
	disk_rig_file(&rig, image, BYTES);
	memset(buf, 'w', sizeof(buf));
}

static void close_and_remove(void)
{
	disk_rig_close(&rig);
	disk_rig_remove(&rig);
}

/* Sectors of the file that are not what they were. */
static unsigned changed_sectors(void)
{
	unsigned n = 0;

	disk_rig_file(&rig, file, BYTES);
	for (unsigned i = 0; i < SECTORS; i++)
		n += memcmp(file + i * SECTOR, image + i * SECTOR, SECTOR) != 0;
	return n;
}

static int write_at(uint64_t sector, uint64_t sectors)
{
	return disk_rig_do(&rig, DISK_WRITE, sector * SECTOR, buf, sectors * SECTOR);
}

static void test_failures_by_operation(void **state)
{
	const struct fault_rule rule = {
		.kind = FAULT_FAIL, .which = 1 << DISK_WRITE | 1 << DISK_FLUSH, .last = UINT64_MAX};

	(void)state;
	open_with(&rule, 1);
	assert_int_equal(write_at(0, 4), -EIO);
	assert_int_equal(disk_rig_do(&rig, DISK_FLUSH, 0, NULL, 0), -EIO);
	assert_int_equal(disk_rig_do(&rig, DISK_READ, 0, buf, SECTOR), 0);
	assert_memory_equal(buf, image, SECTOR);
	assert_int_equal(disk_rig_do(&rig, DISK_ZERO, SECTOR, NULL, SECTOR), 0);
	assert_int_equal(changed_sectors(), 1);
	assert_int_equal(counted[FAULT_FAIL], 2);
	close_and_remove();
}

/* A request that has one of the sectors has the fault; one that has no sector has not. */
static void test_failures_by_sector(void **state)
{
	static const struct {
		uint64_t sector, sectors;
		int err;
	} cases[] = {{0, 10, 0},    {9, 1, 0},     {9, 2, -EIO}, {10, 1, -EIO},
		     {19, 1, -EIO}, {20, 1, 0},    {0, 0, 0},    {15, 0, 0},
		     {0, 64, -EIO}, {19, 4, -EIO}, {20, 44, 0}};
	const struct fault_rule rule = {.kind = FAULT_FAIL, .which = any, .first = 10, .last = 19};

	(void)state;
	open_with(&rule, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(disk_rig_do(&rig, DISK_READ, cases[i].sector * SECTOR, buf,
					     cases[i].sectors * SECTOR),
				 cases[i].err);
	close_and_remove();
}

static void test_lost_writes_and_flushes(void **state)
{
	const struct fault_rule rules[] = {
		{.kind = FAULT_LOSE, .which = 1 << DISK_WRITE, .last = UINT64_MAX, .every = 2},
		{.kind = FAULT_LOSE, .which = 1 << DISK_FLUSH, .last = UINT64_MAX},
	};

	(void)state;
	open_with(rules, 2);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(write_at(i, 1), 0);
	assert_int_equal(changed_sectors(), 4);
	assert_memory_equal(file + SECTOR, image + SECTOR, SECTOR);
	assert_memory_equal(file, buf, SECTOR);
	assert_int_equal(disk_rig_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(counted[FAULT_LOSE], 5);
	close_and_remove();
}

/* Some of the first sectors arrive, in pieces of any size, and the file has nothing of the others. */
static unsigned tear(uint64_t seed, enum disk_op op, unsigned *kept)
{
	const struct fault_rule rule = {
		.kind = FAULT_TEAR, .which = 1U << op, .last = UINT64_MAX, .seed = seed};
	unsigned all = 0;

	open_with(&rule, 1);
	for (unsigned i = 0; i < 4; i++) {
		struct rig_request r;
		uint8_t *data = buf + (size_t)i * 16 * SECTOR;
		const unsigned before = changed_sectors();

		rig_request_init(&r, op, i * UINT64_C(16) * SECTOR, data, 16 * SECTOR);
		r.iov[0].iov_len = 700;
		r.iov[1] = (struct iovec){data + 700, 16 * SECTOR - 700};
		r.rq.nr_iov = op == DISK_WRITE ? 2 : 0;
		assert_int_equal(disk_rig_run(&rig, &r), 0);
		kept[i] = changed_sectors() - before;
		assert_true(kept[i] < 16);
		for (unsigned k = 0; k < 16; k++)
			assert_int_equal(memcmp(file + (i * 16 + k) * SECTOR,
						image + (i * 16 + k) * SECTOR, SECTOR) != 0,
					 k < kept[i]);
		all += kept[i];
	}
	assert_int_equal(counted[FAULT_TEAR], 4);
	close_and_remove();
	return all;
}

static void test_torn_writes(void **state)
{
	unsigned first[4], again[4], other[4];

	(void)state;
	assert_true(tear(5, DISK_WRITE, first) > 0);
	tear(5, DISK_WRITE, again);
	assert_memory_equal(first, again, sizeof(first));
	tear(6, DISK_WRITE, other);
	assert_memory_not_equal(first, other, sizeof(first));
	tear(5, DISK_ZERO, again);
	assert_memory_equal(first, again, sizeof(first));
}

/* From the loop, as in a VM: batch_done() is called for those that end there. */
static void test_delays(void **state)
{
	const struct fault_rule rule = {
		.kind = FAULT_DELAY, .which = any, .last = 7, .delay_ns = DELAY_NS};
	const int64_t began_ns = clock_monotonic_ns();
	struct rig_request late, soon;

	(void)state;
	open_with(&rule, 1);
	rig_request_init(&late, DISK_READ, 0, buf, SECTOR);
	late.stop = &rig.loop;
	rig_request_init(&soon, DISK_READ, 8 * SECTOR, buf + SECTOR, SECTOR);
	disk_submit(rig.disk, &late.rq);
	disk_submit(rig.disk, &soon.rq);
	disk_commit(rig.disk);
	assert_false(late.done);
	event_loop_run(&rig.loop);
	assert_true(late.done && late.err == 0 && soon.done);
	assert_true(clock_monotonic_ns() - began_ns >= DELAY_NS);
	assert_memory_equal(buf, image, SECTOR);
	assert_true(rig.batch_done > 0);
	assert_int_equal(counted[FAULT_DELAY], 1);
	close_and_remove();
}

static void test_a_delayed_request_has_its_other_fault_later(void **state)
{
	const struct fault_rule rules[] = {
		{.kind = FAULT_DELAY, .which = any, .last = 63, .delay_ns = DELAY_NS},
		{.kind = FAULT_LOSE, .which = 1 << DISK_WRITE, .last = 63},
		{.kind = FAULT_FAIL, .which = any, .last = 63},
	};
	struct rig_request r;

	(void)state;
	open_with(rules, 3);
	rig_request_init(&r, DISK_WRITE, 0, buf, SECTOR);
	r.stop = &rig.loop;
	disk_submit(rig.disk, &r.rq);
	event_loop_run(&rig.loop);
	assert_int_equal(r.err, 0); /* the first rule that fires */
	assert_int_equal(changed_sectors(), 0);
	assert_int_equal(counted[FAULT_FAIL], 0);
	close_and_remove();
}

/* The end of a VM does not wait for a minute. */
static void test_a_drain_waits_for_no_delay(void **state)
{
	const struct fault_rule rule = {.kind = FAULT_DELAY,
					.which = any,
					.last = UINT64_MAX,
					.delay_ns = INT64_C(3600) * NS_PER_S};
	static struct rig_request r[DISK_REQUESTS_MAX];

	(void)state;
	open_with(&rule, 1);
	for (unsigned i = 0; i < DISK_REQUESTS_MAX; i++) {
		rig_request_init(&r[i], DISK_WRITE, i % SECTORS * SECTOR, buf, SECTOR);
		disk_submit(rig.disk, &r[i].rq);
	}
	disk_commit(rig.disk);
	for (unsigned i = 0; i < DISK_REQUESTS_MAX; i++)
		assert_false(r[i].done);
	disk_drain(rig.disk);
	for (unsigned i = 0; i < DISK_REQUESTS_MAX; i++)
		assert_true(r[i].done && r[i].err == 0);
	assert_int_equal(changed_sectors(), SECTORS);
	/* And so does the end of the disk, with a request that is delayed. */
	rig_request_init(&r[0], DISK_READ, 0, buf, SECTOR);
	disk_submit(rig.disk, &r[0].rq);
	disk_rig_close(&rig);
	assert_true(r[0].done);
	disk_rig_remove(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures_by_operation),
		cmocka_unit_test(test_failures_by_sector),
		cmocka_unit_test(test_lost_writes_and_flushes),
		cmocka_unit_test(test_torn_writes),
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_a_delayed_request_has_its_other_fault_later),
		cmocka_unit_test(test_a_drain_waits_for_no_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
