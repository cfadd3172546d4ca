/* Unit tests of virtio/balloon.c: which pages leave the host, whatever the driver says. */
#include <string.h>

#include <linux/virtio_balloon.h>
#include <sys/mman.h>

#include "base/macros.h"
#include "virtio_device_rig.h"

enum {
	INFLATE,
	DEFLATE,
	THIRD,
	FOURTH,
	QUEUES,

	SIZE = 64,
	RAM_PAGES = VIRTIO_RIG_RAM_BYTES / 4096,
	LIST_GPA = 0x40000,
	FIRST_PFN = 0x60, /* free for the tests, up to the end of RAM */
};
#define PAGE   UINT64_C(4096)
#define F(bit) (UINT64_C(1) << VIRTIO_BALLOON_F_##bit)

static struct virtq_driver queue[QUEUES];
static unsigned smalls, larges; /* times that small pages were asked for, and no longer */

int __real_madvise(void *addr, size_t len, int advice);
int __wrap_madvise(void *addr, size_t len, int advice);

/* Once RAM is made, the size of pages is asked for all of it. */
int __wrap_madvise(void *addr, size_t len, int advice)
{
	if (rig.mem.base && (advice == MADV_NOHUGEPAGE || advice == MADV_HUGEPAGE)) {
		assert_ptr_equal(addr, rig.mem.base);
		assert_int_equal(len, rig.mem.bytes);
		smalls += advice == MADV_NOHUGEPAGE;
		larges += advice == MADV_HUGEPAGE;
	}
	return __real_madvise(addr, len, advice);
}

static int set_up(uint64_t target_bytes, int64_t stats_ns)
{
	static struct virtio_balloon_conf conf;

	conf = (struct virtio_balloon_conf){target_bytes, stats_ns};
	smalls = larges = 0;
	return virtio_rig_init(&rig, &virtio_balloon_class, &conf);
}

static bool start_driver(uint64_t features, unsigned queues)
{
	if (!virtio_rig_negotiate(&rig, features))
		return false;
	for (unsigned i = 0; i < queues; i++) {
		virtq_driver_init(&queue[i], &rig.mem, 0x10000 + i * 0x4000, SIZE);
		if (!virtio_rig_queue(&rig, i, &queue[i]))
			return false;
	}
	virtio_rig_driver_ok(&rig);
	return true;
}

static int setup(void **state)
{
	(void)state;
	if (set_up(512 << 10, 0) < 0 || !start_driver(F(REPORTING), 3))
		return -1;
	/* Every page is there, and not zero. */
	for (unsigned pfn = FIRST_PFN; pfn < RAM_PAGES; pfn++)
		memset(guest_mem_ptr(&rig.mem, pfn * PAGE, PAGE), 0xa5, PAGE);
	return 0;
}

static int setup_stats(void **state)
{
	(void)state;
	return set_up(0, NS_PER_MS);
}

/* Whether the host holds that page. */
static bool is_there(unsigned pfn)
{
	unsigned char there = 0;

	assert_int_equal(mincore(guest_mem_ptr(&rig.mem, pfn * PAGE, PAGE), PAGE, &there), 0);
	return there & 1;
}

static unsigned count_there(unsigned from, unsigned end)
{
	unsigned n = 0;

	for (; from < end; from++)
		n += is_there(from);
	return n;
}

static uint32_t *list(void)
{
	return (void *)at(LIST_GPA);
}

/* Hands n page numbers of list() over; true when the request came back. */
static bool request(unsigned index, unsigned n)
{
	uint32_t id, len;

	virtq_driver_add(&queue[index], &(struct virtq_buf){LIST_GPA, n * 4, false}, 1);
	virtio_rig_kick(&rig, index);
	return virtq_driver_used(&queue[index], &id, &len) && len == 0;
}

static void inflated_pages_leave_the_host(void **state)
{
	static const uint32_t pfn[] = {FIRST_PFN,     FIRST_PFN + 1, FIRST_PFN + 2,  FIRST_PFN + 9,
				       FIRST_PFN + 8, FIRST_PFN + 7, FIRST_PFN + 20, RAM_PAGES - 1};

	(void)state;
	memcpy(list(), pfn, sizeof(pfn));
	assert_true(request(INFLATE, ARRAY_SIZE(pfn)));
	for (unsigned i = 0; i < ARRAY_SIZE(pfn); i++)
		assert_false(is_there(pfn[i]));
	assert_int_equal(count_there(FIRST_PFN, RAM_PAGES),
			 RAM_PAGES - FIRST_PFN - ARRAY_SIZE(pfn));
	assert_int_equal(counted("inflated_bytes"), ARRAY_SIZE(pfn) * PAGE);
	assert_int_equal(counted("bad_pages"), 0);
	/* Touched again it is there again, zeroed. */
	assert_int_equal(*(uint8_t *)guest_mem_ptr(&rig.mem, FIRST_PFN * PAGE, 1), 0);
}

static void page_numbers_beyond_memory_are_left_out(void **state)
{
	static const uint32_t pfn[] = {RAM_PAGES,     FIRST_PFN, UINT32_MAX,   1U << 20,
				       RAM_PAGES + 1, 0xfffff,   FIRST_PFN + 1};

	(void)state;
	memcpy(list(), pfn, sizeof(pfn));
	assert_true(request(INFLATE, ARRAY_SIZE(pfn)));
	assert_int_equal(counted("bad_pages"), 5);
	assert_int_equal(counted("inflated_bytes"), 2 * PAGE);
	assert_true(request(DEFLATE, ARRAY_SIZE(pfn)));
	assert_int_equal(counted("bad_pages"), 10);
	assert_int_equal(counted("deflated_bytes"), 2 * PAGE);
}

static void the_same_page_over_and_over_is_no_harm(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1024; i++)
		list()[i] = FIRST_PFN + 5;
	assert_true(request(INFLATE, 1024));
	assert_int_equal(count_there(FIRST_PFN, RAM_PAGES), RAM_PAGES - FIRST_PFN - 1);
}

/* The list itself, and the ring: the guest's own loss. */
static void the_pages_of_the_ring_may_go_too(void **state)
{
	uint32_t id, len;

	(void)state;
	for (unsigned pfn = 0; pfn < RAM_PAGES; pfn++)
		list()[pfn] = pfn;
	virtq_driver_add(&queue[INFLATE], &(struct virtq_buf){LIST_GPA, RAM_PAGES * 4, false}, 1);
	virtio_rig_kick(&rig, INFLATE);
	assert_true(virtq_driver_used(&queue[INFLATE], &id, &len));
	assert_true(start_driver(F(REPORTING), 3)); /* and all works again */
	list()[0] = FIRST_PFN;
	assert_true(request(INFLATE, 1));
}

static void lists_that_are_none_need_a_reset(void **state)
{
	struct virtq_buf many[32];

	(void)state;
	assert_false(request(INFLATE, 0)); /* an empty buffer breaks the ring's rules */
	assert_true(virtio_rig_status(&rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(start_driver(0, 2));
	virtq_driver_add(&queue[INFLATE], &(struct virtq_buf){LIST_GPA, 6, false}, 1);
	virtio_rig_kick(&rig, INFLATE);
	assert_string_equal(rig.vd->reset_why, "request that is not a list of page numbers");
	assert_true(start_driver(0, 2));
	virtq_driver_add(&queue[DEFLATE], &(struct virtq_buf){LIST_GPA, 64 << 10, false}, 1);
	virtio_rig_kick(&rig, DEFLATE);
	assert_false(virtio_rig_status(&rig) & VIRTIO_CONFIG_S_NEEDS_RESET); /* the longest */
	virtq_driver_add(&queue[DEFLATE], &(struct virtq_buf){LIST_GPA, (64 << 10) + 4, false}, 1);
	virtio_rig_kick(&rig, DEFLATE);
	assert_true(virtio_rig_status(&rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(start_driver(0, 2));
	virtq_driver_add(&queue[DEFLATE], &(struct virtq_buf){LIST_GPA, 8, true}, 1);
	virtio_rig_kick(&rig, DEFLATE);
	assert_true(virtio_rig_status(&rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(start_driver(0, 2));
	for (unsigned i = 0; i < ARRAY_SIZE(many);
	     i++) /* 8 MiB of page numbers, all the same memory */
		many[i] = (struct virtq_buf){LIST_GPA, 256 << 10, false};
	virtq_driver_add(&queue[INFLATE], many, ARRAY_SIZE(many));
	virtio_rig_kick(&rig, INFLATE);
	assert_true(virtio_rig_status(&rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(start_driver(0, 2));
	list()[0] = FIRST_PFN;
	assert_true(request(INFLATE, 1));
	assert_false(is_there(FIRST_PFN));
}

static void many_requests_at_once_are_worked_off(void **state)
{
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < 1024; i++)
		list()[i] = FIRST_PFN + i % 64;
	for (unsigned i = 0; i < SIZE; i++) /* four times what one kick may take */
		virtq_driver_add(&queue[INFLATE], &(struct virtq_buf){LIST_GPA, 4096, false}, 1);
	virtio_rig_kick(&rig, INFLATE);
	for (unsigned i = 0; i < SIZE; i++)
		assert_true(virtq_driver_used(&queue[INFLATE], &id, &len));
	assert_int_equal(count_there(FIRST_PFN, FIRST_PFN + 64), 0);
}

static void reported_pages_leave_the_host(void **state)
{
	const struct virtq_buf bufs[] = {
		{(FIRST_PFN + 4) * PAGE, 8 * PAGE, true},
		{(FIRST_PFN + 20) * PAGE + 100, 3 * PAGE, true}, /* two whole pages */
		{(FIRST_PFN + 30) * PAGE + 1, PAGE, true},       /* none */
	};

	(void)state;
	virtq_driver_add(&queue[THIRD], bufs, ARRAY_SIZE(bufs));
	virtio_rig_kick(&rig, THIRD);
	assert_int_equal(counted("reported_bytes"), 10 * PAGE);
	assert_int_equal(count_there(FIRST_PFN + 4, FIRST_PFN + 12), 0);
	assert_int_equal(count_there(FIRST_PFN, RAM_PAGES), RAM_PAGES - FIRST_PFN - 10);
	virtq_driver_add(&queue[THIRD], &(struct virtq_buf){FIRST_PFN * PAGE, PAGE, false}, 1);
	virtio_rig_kick(&rig, THIRD);
	assert_string_equal(rig.vd->reset_why, "device-readable buffer among the free pages");
}

/* Chains that name all of memory again and again: 4 GiB of them are enough for one turn. */
static void reports_of_much_memory_come_in_turns(void **state)
{
	static struct virtq_buf all[256];
	const uint64_t bytes = (RAM_PAGES - FIRST_PFN) * PAGE;
	const unsigned chains = (unsigned)((UINT64_C(1) << 32) / (ARRAY_SIZE(all) * bytes)) + 1;

	(void)state;
	assert_true(start_driver(F(REPORTING) | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC, 3));
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = (struct virtq_buf){FIRST_PFN * PAGE, (uint32_t)bytes, true};
	for (unsigned i = 0; i < SIZE; i++)
		virtq_driver_offer(&queue[THIRD], virtq_driver_indirect(&queue[THIRD], LIST_GPA,
									all, ARRAY_SIZE(all)));
	rig.deaf = true;
	rig.dev->cls->io->kick(rig.dev, THIRD);
	assert_int_equal(rig.vd->queue[THIRD].chains, chains);
	assert_int_equal(rig.rung, 1U << THIRD);
	rig.deaf = false;
	virtio_rig_answer(&rig);
	assert_int_equal(rig.vd->queue[THIRD].chains, SIZE);
}

static void the_target_is_told_and_stays(void **state)
{
	(void)state;
	assert_int_equal(virtio_rig_read(&rig, VIRTIO_MMIO_CONFIG), 128);
	virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG, 7);
	assert_int_equal(virtio_rig_read(&rig, VIRTIO_MMIO_CONFIG), 128);
	virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG + 4, 100);
	assert_int_equal(virtio_rig_read(&rig, VIRTIO_MMIO_CONFIG + 4), 100);
	assert_int_equal(counted("actual_bytes"), 100 * PAGE);
	assert_int_equal(counted("target_bytes"), 128 * PAGE);
	virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG + 4, UINT32_MAX); /* a lie, and nothing more */
	assert_int_equal(counted("actual_bytes"), UINT64_C(0xffffffff) * PAGE);
}

static uint32_t config_target(void)
{
	return virtio_rig_read(&rig, VIRTIO_MMIO_CONFIG);
}

static void a_new_target_is_told(void **state)
{
	const unsigned pulses = rig.pulses;

	(void)state;
	virtio_balloon_retarget(rig.vd, 64 * PAGE + 1);
	assert_int_equal(config_target(), 64);
	assert_int_equal(rig.pulses, pulses + 1);
	assert_true(virtio_rig_read(&rig, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(counted("target_bytes"), 64 * PAGE);
	assert_int_equal(virtio_balloon_size(rig.vd).target_bytes, 64 * PAGE);
	virtio_balloon_retarget(rig.vd, 64 * PAGE); /* no change */
	assert_int_equal(rig.pulses, pulses + 1);
	virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG + 4, 60);
	assert_int_equal(virtio_balloon_size(rig.vd).actual_bytes, 60 * PAGE);
	virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG, 7); /* it is not the driver's */
	assert_int_equal(config_target(), 64);
	virtio_balloon_retarget(rig.vd, 0);
	assert_int_equal(config_target(), 0);
	assert_int_equal(virtio_rig_read(&rig, VIRTIO_MMIO_CONFIG + 4), 60);
}

/* The I/O thread does it, and the last of several counts. */
static void a_new_target_waits_for_the_io_thread(void **state)
{
	const unsigned pulses = rig.pulses;

	(void)state;
	rig.deaf = true;
	virtio_balloon_retarget(rig.vd, 10 * PAGE);
	virtio_balloon_retarget(rig.vd, 20 * PAGE);
	assert_int_equal(config_target(), 128);
	assert_int_equal(virtio_balloon_size(rig.vd).target_bytes, 20 * PAGE);
	/* Meanwhile the driver writes. */
	virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG, 7);
	virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG + 4, 5);
	virtio_rig_answer(&rig);
	assert_int_equal(config_target(), 20);
	assert_int_equal(counted("actual_bytes"), 5 * PAGE);
	assert_true(rig.pulses > pulses);
}

static void a_target_outlives_the_driver(void **state)
{
	unsigned pulses;

	(void)state;
	virtio_rig_write(&rig, VIRTIO_MMIO_STATUS, 0);
	pulses = rig.pulses;
	virtio_balloon_retarget(rig.vd, 30 * PAGE);
	assert_int_equal(config_target(), 30);
	assert_int_equal(rig.pulses, pulses); /* nobody to tell */
	assert_true(start_driver(F(REPORTING), 3));
	assert_int_equal(config_target(), 30);
	/* One that broke the rules is notified, too. */
	assert_false(request(INFLATE, 0));
	virtio_balloon_retarget(rig.vd, 40 * PAGE);
	assert_int_equal(config_target(), 40);
}

/* From the first page that goes until the driver says that the balloon is empty. */
static void ram_is_of_small_pages_while_some_are_gone(void **state)
{
	(void)state;
	list()[0] = FIRST_PFN;
	assert_true(request(DEFLATE, 1));
	assert_int_equal(smalls, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_true(request(INFLATE, 1));
	virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG + 4, 1);
	assert_int_equal(smalls, 1);
	assert_int_equal(larges, 0);
	virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG + 4, 0);
	assert_int_equal(larges, 1);
	assert_true(request(INFLATE, 1));
	assert_int_equal(smalls, 2);
}

/* Whether its driver has begun or not. */
static void a_reset_leaves_an_empty_balloon(void **state)
{
	(void)state;
	list()[0] = FIRST_PFN;
	assert_true(request(INFLATE, 1));
	for (unsigned i = 0; i < 2; i++) {
		virtio_rig_write(&rig, VIRTIO_MMIO_CONFIG + 4, 1);
		assert_int_equal(counted("actual_bytes"), PAGE);
		virtio_rig_write(&rig, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(virtio_rig_read(&rig, VIRTIO_MMIO_CONFIG + 4), 0);
		assert_int_equal(counted("actual_bytes"), 0);
		assert_int_equal(config_target(), 128);
		assert_int_equal(larges, 1);
	}
}

static void what_is_offered(void **state)
{
	const uint64_t features = virtio_rig_features(&rig);

	(void)state;
	assert_true(features & F(DEFLATE_ON_OOM));
	assert_true(features & F(REPORTING));
	assert_false(features & F(MUST_TELL_HOST));
	assert_false(features & F(FREE_PAGE_HINT));
	assert_false(features & F(PAGE_POISON));
	assert_false(features & F(STATS_VQ));
}

static void stop_on_interrupt(struct irq_line *irq)
{
	event_loop_stop(&container_of(irq, struct virtio_rig, irq)->loop);
}

/* With both features the third queue is for statistics, and the fourth for free pages. */
static void statistics_are_asked_for_again_and_again(void **state)
{
	const struct virtio_balloon_stat stat[] = {
		{VIRTIO_BALLOON_S_MEMFREE, 12345},
		{VIRTIO_BALLOON_S_AVAIL, 67890},
		{0xffff, 1}, /* unknown, as is the next one */
		{VIRTIO_BALLOON_S_CACHES + 1, 1},
	};
	unsigned named = 0;
	uint32_t id, len;

	(void)state;
	assert_true(virtio_rig_features(&rig) & F(STATS_VQ));
	assert_true(start_driver(F(STATS_VQ) | F(REPORTING), 4));
	memcpy(list(), stat, sizeof(stat));
	rig.irq.pulse = stop_on_interrupt;
	for (unsigned i = 0; i < 3; i++) {
		atomic_store(&rig.loop.stop, false);
		virtq_driver_add(&queue[THIRD], &(struct virtq_buf){LIST_GPA, sizeof(stat), false},
				 1);
		virtio_rig_kick(&rig, THIRD);
		assert_false(virtq_driver_used(&queue[THIRD], &id, &len)); /* until it is time */
		event_loop_run(&rig.loop);
		assert_true(virtq_driver_used(&queue[THIRD], &id, &len));
	}
	assert_int_equal(counted("guest_free_bytes"), 12345);
	assert_int_equal(counted("guest_available_bytes"), 67890);
	while (rig.vd->cls->counter_names[named])
		named++;
	for (; named < VIRTIO_COUNTERS_MAX; named++)
		assert_int_equal(rig.vd->counter[named], 0);
	virtq_driver_add(&queue[FOURTH], &(struct virtq_buf){FIRST_PFN * PAGE, PAGE, true}, 1);
	virtio_rig_kick(&rig, FOURTH);
	assert_int_equal(counted("reported_bytes"), PAGE);
}

/* The buffer that is held at a reset is of a ring that is no more. */
static void statistics_begin_anew_after_a_reset(void **state)
{
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(start_driver(F(STATS_VQ), 3));
		virtq_driver_add(&queue[THIRD], &(struct virtq_buf){LIST_GPA, 10, false}, 1);
		virtio_rig_kick(&rig, THIRD);
	}
	rig.irq.pulse = stop_on_interrupt;
	event_loop_run(&rig.loop);
	assert_true(virtq_driver_used(&queue[THIRD], &id, &len));
}

/* A driver that does not take statistics numbers the queues on without them. */
static void queues_are_numbered_by_what_the_driver_took(void **state)
{
	(void)state;
	assert_true(start_driver(F(REPORTING), 3));
	virtq_driver_add(&queue[THIRD], &(struct virtq_buf){FIRST_PFN * PAGE, PAGE, true}, 1);
	virtio_rig_kick(&rig, THIRD);
	assert_int_equal(counted("reported_bytes"), PAGE);
}

int main(void)
{
#define BALLOON_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define STATS_TEST(f)   cmocka_unit_test_setup_teardown(f, setup_stats, teardown)
	const struct CMUnitTest tests[] = {
		BALLOON_TEST(inflated_pages_leave_the_host),
		BALLOON_TEST(page_numbers_beyond_memory_are_left_out),
		BALLOON_TEST(the_same_page_over_and_over_is_no_harm),
		BALLOON_TEST(the_pages_of_the_ring_may_go_too),
		BALLOON_TEST(lists_that_are_none_need_a_reset),
		BALLOON_TEST(many_requests_at_once_are_worked_off),
		BALLOON_TEST(reported_pages_leave_the_host),
		BALLOON_TEST(reports_of_much_memory_come_in_turns),
		BALLOON_TEST(the_target_is_told_and_stays),
		BALLOON_TEST(a_new_target_is_told),
		BALLOON_TEST(a_new_target_waits_for_the_io_thread),
		BALLOON_TEST(a_target_outlives_the_driver),
		BALLOON_TEST(ram_is_of_small_pages_while_some_are_gone),
		BALLOON_TEST(a_reset_leaves_an_empty_balloon),
		BALLOON_TEST(what_is_offered),
		STATS_TEST(statistics_are_asked_for_again_and_again),
		STATS_TEST(statistics_begin_anew_after_a_reset),
		STATS_TEST(queues_are_numbered_by_what_the_driver_took),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
