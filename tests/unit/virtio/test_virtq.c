/* Unit tests of virtio/queue.c: what a ring may hold, every fault, and when interrupts are wanted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "virtio/queue.h"
#include "virtq_driver.h"

#define EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)

enum {
	RAM_BYTES = 4 << 20,
	HIGH_BYTES = 1 << 20,
	QUEUE_GPA = 0x10000,
	TABLE_GPA = 0x200000,
	DATA_GPA = 0x300000,
	SIZE = 8,
	IOV_MAX_PIECES = 16,
};
#define HIGH_GPA (UINT64_C(1) << 32)

static struct guest_mem mem;
static struct virtq vq;
static struct virtq_driver drv;
static struct iovec iov[IOV_MAX_PIECES];
static struct virtq_chain chain;

static void queue_live(uint32_t size, uint64_t features)
{
	virtq_init(&vq, &mem, VIRTQ_SIZE_MAX);
	assert_int_equal(virtq_driver_start(&drv, &vq, QUEUE_GPA, size, features), 0);
}

static int setup(void **state)
{
	static const struct guest_region regions[] = {
		{.gpa = 0, .len = RAM_BYTES},
		{.gpa = HIGH_GPA, .len = HIGH_BYTES},
	};
	int r = guest_mem_init(&mem, regions, ARRAY_SIZE(regions), &(struct guest_mem_opts){0},
			       NULL);

	(void)state;
	if (r == 0)
		queue_live(SIZE, INDIRECT);
	return r;
}

static int teardown(void **state)
{
	(void)state;
	guest_mem_fini(&mem);
	return 0;
}

static int pop(void)
{
	return virtq_pop(&vq, iov, IOV_MAX_PIECES, &chain);
}

static void expect_fault(enum virtq_fault fault)
{
	const struct virtq_chain untouched = chain;

	assert_int_equal(pop(), -EPROTO);
	assert_int_equal(vq.fault, fault);
	assert_memory_equal(&chain, &untouched, sizeof(chain));
	/* It stays broken, whatever is offered then. */
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 4, false}, 1);
	assert_int_equal(pop(), -EPROTO);
	assert_false(virtq_kicks_allow(&vq));
}

static void a_chain_is_its_buffers_readable_ones_first(void **state)
{
	const struct virtq_buf bufs[] = {
		{DATA_GPA, 16, false}, {DATA_GPA + 100, 5, false}, {DATA_GPA + 200, 512, true}};
	uint16_t head;

	(void)state;
	assert_int_equal(pop(), 0);
	head = virtq_driver_add(&drv, bufs, ARRAY_SIZE(bufs));
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.head, head);
	assert_int_equal(chain.nr_out, 2);
	assert_int_equal(chain.nr_in, 1);
	assert_int_equal(chain.out_bytes, 21);
	assert_int_equal(chain.in_bytes, 512);
	assert_ptr_equal(chain.out[0].iov_base, guest_mem_ptr(&mem, DATA_GPA, 1));
	assert_int_equal(chain.out[1].iov_len, 5);
	assert_ptr_equal(chain.in, &iov[2]);
	assert_ptr_equal(chain.in[0].iov_base, guest_mem_ptr(&mem, DATA_GPA + 200, 1));
	assert_int_equal(pop(), 0);
	assert_int_equal(vq.chains, 1);
}

static void the_driver_sees_what_was_pushed_once_it_is_published(void **state)
{
	uint32_t id = 99, len = 99;
	uint16_t first, second;

	(void)state;
	first = virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 8, true}, 1);
	second = virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 8, true}, 1);
	assert_int_equal(pop(), 1);
	assert_int_equal(pop(), 1);
	virtq_push(&vq, second, 8);
	virtq_push(&vq, first, 3);
	assert_false(virtq_driver_used(&drv, &id, &len));
	assert_true(virtq_publish(&vq));
	assert_false(virtq_publish(&vq)); /* nothing new */
	assert_true(virtq_driver_used(&drv, &id, &len));
	assert_int_equal(id, second);
	assert_int_equal(len, 8);
	assert_true(virtq_driver_used(&drv, &id, &len));
	assert_int_equal(id, first);
	assert_int_equal(len, 3);
	assert_false(virtq_driver_used(&drv, &id, &len));
}

static void chains_put_back_come_again_in_order(void **state)
{
	uint16_t head[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		head[i] = virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, i + 1, true}, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pop(), 1);
	assert_int_equal(pop(), 0);
	virtq_unpop(&vq, 2);
	assert_int_equal(vq.chains, 1);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(pop(), 1);
		assert_int_equal(chain.head, head[i]);
		assert_int_equal(chain.in_bytes, i + 1);
	}
	assert_int_equal(pop(), 0);
}

static void an_indirect_table_may_be_anywhere_and_longer_than_the_queue(void **state)
{
	struct virtq_buf bufs[SIZE + 4];
	const uint64_t tables[] = {TABLE_GPA, TABLE_GPA + 1, RAM_BYTES - sizeof(bufs)};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = (struct virtq_buf){DATA_GPA + 64 * i, 64, i >= 2};
	virtq_driver_indirect(&drv, TABLE_GPA, bufs, ARRAY_SIZE(bufs));
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		const uint32_t bytes = ARRAY_SIZE(bufs) * sizeof(struct vring_desc);

		memmove(guest_mem_ptr(&mem, tables[i], bytes),
			guest_mem_ptr(&mem, TABLE_GPA, bytes), bytes);
		/* WRITE means nothing on the descriptor that refers to a table. */
		virtq_desc_set(&drv.desc[0], tables[i], bytes,
			       VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0);
		virtq_driver_offer(&drv, 0);
		assert_int_equal(pop(), 1);
		assert_int_equal(chain.head, 0);
		assert_int_equal(chain.nr_out, 2);
		assert_int_equal(chain.nr_in, SIZE + 2);
		assert_int_equal(chain.in_bytes, 64 * (SIZE + 2));
		if (i == 1)
			memmove(guest_mem_ptr(&mem, TABLE_GPA, bytes),
				guest_mem_ptr(&mem, tables[1], bytes), bytes);
	}
}

static void direct_descriptors_may_come_before_a_table(void **state)
{
	(void)state;
	virtq_driver_indirect(&drv, TABLE_GPA, &(struct virtq_buf){DATA_GPA, 7, true}, 1);
	virtq_desc_set(&drv.desc[1], DATA_GPA + 64, 9, VRING_DESC_F_NEXT, 0);
	virtq_driver_offer(&drv, 1);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.head, 1);
	assert_int_equal(chain.out_bytes, 9);
	assert_int_equal(chain.in_bytes, 7);
}

static void buffers_may_end_where_memory_ends(void **state)
{
	const struct virtq_buf bufs[] = {{RAM_BYTES - 16, 16, false},
					 {HIGH_GPA, HIGH_BYTES, false},
					 {HIGH_GPA + HIGH_BYTES - 1, 1, true}};

	(void)state;
	virtq_driver_add(&drv, bufs, ARRAY_SIZE(bufs));
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.out_bytes, 16 + HIGH_BYTES);
}

static void a_buffer_outside_memory_is_refused(void **state)
{
	const struct virtq_buf bad[] = {
		{RAM_BYTES - 16, 17, false},
		{RAM_BYTES, 1, true},
		{HIGH_GPA - 1, 2, false},
		{HIGH_GPA + HIGH_BYTES - 1, 2, true},
		{UINT64_MAX, 1, false},
		{UINT64_MAX - 3, 16, true},
		{UINT64_C(1) << 63, 0x1000, false},
		{0, UINT32_MAX, true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		queue_live(SIZE, INDIRECT);
		virtq_driver_add(&drv, &bad[i], 1);
		expect_fault(VIRTQ_FAULT_ADDRESS);
		queue_live(SIZE, INDIRECT);
		virtq_driver_offer(&drv, virtq_driver_indirect(&drv, TABLE_GPA, &bad[i], 1));
		expect_fault(VIRTQ_FAULT_ADDRESS);
	}
}

static void an_empty_buffer_is_refused(void **state)
{
	const struct virtq_buf bufs[] = {{DATA_GPA, 8, false}, {DATA_GPA, 0, true}};

	(void)state;
	virtq_driver_add(&drv, bufs, 2);
	expect_fault(VIRTQ_FAULT_LENGTH);
}

static void a_chain_of_4_gib_is_refused(void **state)
{
	static const struct guest_region region = {.gpa = 0, .len = UINT64_C(3) << 30};
	struct virtq_buf bufs[] = {
		{0, UINT32_C(1) << 31, false}, {0, (UINT32_C(1) << 31) - 1, true}, {0, 1, true}};
	const struct guest_mem kept = mem;

	(void)state;
	assert_int_equal(guest_mem_init(&mem, &region, 1, &(struct guest_mem_opts){0}, NULL), 0);
	queue_live(SIZE, 0);
	virtq_driver_add(&drv, bufs, 2);
	assert_int_equal(pop(), 1);
	assert_int_equal((uint64_t)chain.out_bytes + chain.in_bytes, UINT32_MAX);
	virtq_driver_add(&drv, bufs, 3);
	expect_fault(VIRTQ_FAULT_LENGTH);
	guest_mem_fini(&mem);
	mem = kept;
}

static void a_readable_buffer_behind_a_writable_one_is_refused(void **state)
{
	const struct virtq_buf bufs[] = {{DATA_GPA, 8, true}, {DATA_GPA, 8, false}};

	(void)state;
	virtq_driver_add(&drv, bufs, 2);
	expect_fault(VIRTQ_FAULT_ORDER);
	queue_live(SIZE, INDIRECT);
	virtq_driver_offer(&drv, virtq_driver_indirect(&drv, TABLE_GPA, bufs, 2));
	expect_fault(VIRTQ_FAULT_ORDER);
}

static void a_head_outside_the_table_is_refused(void **state)
{
	const uint16_t bad[] = {SIZE, 0x8000, 0xffff};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		queue_live(SIZE, INDIRECT);
		virtq_driver_offer(&drv, bad[i]);
		expect_fault(VIRTQ_FAULT_HEAD);
	}
}

static void a_next_outside_the_table_is_refused(void **state)
{
	const uint16_t bad[] = {SIZE, 0x8000, 0xffff};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		queue_live(SIZE, INDIRECT);
		virtq_desc_set(&drv.desc[0], DATA_GPA, 8, VRING_DESC_F_NEXT, bad[i]);
		virtq_driver_offer(&drv, 0);
		expect_fault(VIRTQ_FAULT_NEXT);
	}
	/* In a table of two, the next can only be 0 or 1. */
	queue_live(SIZE, INDIRECT);
	virtq_driver_indirect(&drv, TABLE_GPA,
			      (struct virtq_buf[]){{DATA_GPA, 8, false}, {DATA_GPA, 8, false}}, 2);
	virtq_desc_set(guest_mem_ptr(&mem, TABLE_GPA, 16), DATA_GPA, 8, VRING_DESC_F_NEXT, 2);
	virtq_driver_offer(&drv, 0);
	expect_fault(VIRTQ_FAULT_NEXT);
}

static void a_loop_is_refused(void **state)
{
	(void)state;
	virtq_desc_set(&drv.desc[3], DATA_GPA, 8, VRING_DESC_F_NEXT, 3); /* to itself */
	virtq_driver_offer(&drv, 3);
	expect_fault(VIRTQ_FAULT_LOOP);
	queue_live(SIZE, INDIRECT);
	for (unsigned i = 0; i < SIZE; i++) /* all around */
		virtq_desc_set(&drv.desc[i], DATA_GPA, 8, VRING_DESC_F_NEXT,
			       (uint16_t)((i + 1) % SIZE));
	virtq_driver_offer(&drv, 5);
	expect_fault(VIRTQ_FAULT_LOOP);
	queue_live(SIZE, INDIRECT);
	virtq_driver_indirect(&drv, TABLE_GPA, &(struct virtq_buf){DATA_GPA, 8, false}, 1);
	virtq_desc_set(guest_mem_ptr(&mem, TABLE_GPA, 16), DATA_GPA, 8, VRING_DESC_F_NEXT, 0);
	virtq_driver_offer(&drv, 0);
	expect_fault(VIRTQ_FAULT_LOOP);
}

static void a_chain_of_the_whole_table_is_none(void **state)
{
	struct virtq_buf bufs[SIZE];

	(void)state;
	for (unsigned i = 0; i < SIZE; i++)
		bufs[i] = (struct virtq_buf){DATA_GPA, 1, false};
	drv.next_free = 5; /* wraps */
	virtq_driver_add(&drv, bufs, SIZE);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.out_bytes, SIZE);
}

static void more_pieces_than_there_is_room_for_are_refused(void **state)
{
	struct virtq_buf bufs[IOV_MAX_PIECES + 1] = {0};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = (struct virtq_buf){DATA_GPA, 1, false};
	virtq_driver_offer(&drv, virtq_driver_indirect(&drv, TABLE_GPA, bufs, IOV_MAX_PIECES));
	assert_int_equal(pop(), 1);
	virtq_driver_offer(&drv, virtq_driver_indirect(&drv, TABLE_GPA, bufs, IOV_MAX_PIECES + 1));
	expect_fault(VIRTQ_FAULT_SEGMENTS);
}

static void indirect_tables_are_refused_when(void **state)
{
	static const struct {
		uint64_t features, gpa;
		uint32_t len;
		uint16_t flags;
		enum virtq_fault fault;
	} bad[] = {
		{0, TABLE_GPA, 16, 0, VIRTQ_FAULT_INDIRECT}, /* not negotiated */
		{INDIRECT, TABLE_GPA, 16, VRING_DESC_F_NEXT, VIRTQ_FAULT_INDIRECT},
		{INDIRECT, TABLE_GPA, 0, 0, VIRTQ_FAULT_INDIRECT},
		{INDIRECT, TABLE_GPA, 15, 0, VIRTQ_FAULT_INDIRECT},
		{INDIRECT, TABLE_GPA, 24, 0, VIRTQ_FAULT_INDIRECT},
		{INDIRECT, RAM_BYTES - 16, 32, 0, VIRTQ_FAULT_ADDRESS},
		{INDIRECT, UINT64_MAX - 15, 16, 0, VIRTQ_FAULT_ADDRESS},
		{INDIRECT, 0, UINT32_MAX - 15, 0, VIRTQ_FAULT_ADDRESS},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		queue_live(SIZE, bad[i].features);
		virtq_driver_indirect(&drv, TABLE_GPA, &(struct virtq_buf){DATA_GPA, 8, false}, 1);
		virtq_desc_set(&drv.desc[0], bad[i].gpa, bad[i].len,
			       (uint16_t)(VRING_DESC_F_INDIRECT | bad[i].flags), 1);
		virtq_driver_offer(&drv, 0);
		expect_fault(bad[i].fault);
	}
	/* A table inside a table. */
	queue_live(SIZE, INDIRECT);
	virtq_driver_indirect(&drv, TABLE_GPA, &(struct virtq_buf){DATA_GPA, 8, false}, 1);
	virtq_desc_set(guest_mem_ptr(&mem, TABLE_GPA, 16), TABLE_GPA, 16, VRING_DESC_F_INDIRECT, 0);
	virtq_driver_offer(&drv, 0);
	expect_fault(VIRTQ_FAULT_INDIRECT);
}

static void an_index_too_far_ahead_is_refused(void **state)
{
	const uint16_t bad[] = {SIZE + 1, 0x8000, 0xffff};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		queue_live(SIZE, INDIRECT);
		__atomic_store_n(&drv.avail->idx, bad[i], __ATOMIC_RELAXED);
		expect_fault(VIRTQ_FAULT_AVAIL_IDX);
	}
}

static void what_is_under_way_counts_as_the_queues(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIZE; i++)
		virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 8, true}, 1);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(pop(), 1);
	virtq_push(&vq, 0, 0);
	virtq_publish(&vq);
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 8, true}, 1);
	assert_int_equal(pop(), 1);
	virtq_driver_offer(&drv, 0); /* none of the eight was handed back */
	expect_fault(VIRTQ_FAULT_AVAIL_IDX);
}

static void starting_again_mends_a_broken_queue(void **state)
{
	(void)state;
	virtq_driver_offer(&drv, SIZE);
	expect_fault(VIRTQ_FAULT_HEAD);
	virtq_stop(&vq);
	assert_false(virtq_live(&vq));
	virtq_driver_init(&drv, &mem, QUEUE_GPA, SIZE);
	assert_int_equal(virtq_start(&vq, 0), 0);
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 8, true}, 1);
	assert_int_equal(pop(), 1);
}

/* As often as before it was started again: what was published then is not what is published now. */
static void a_queue_that_starts_again_publishes_anew(void **state)
{
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		virtq_reset(&vq);
		assert_int_equal(virtq_driver_start(&drv, &vq, QUEUE_GPA, SIZE, 0), 0);
		virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 8, true}, 1);
		assert_int_equal(pop(), 1);
		virtq_push(&vq, chain.head, 8);
		assert_true(virtq_publish(&vq));
		assert_true(virtq_driver_used(&drv, &id, &len));
	}
}

static void a_reset_forgets_what_the_driver_said(void **state)
{
	(void)state;
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 8, true}, 1);
	assert_int_equal(pop(), 1);
	virtq_reset(&vq);
	assert_false(virtq_live(&vq));
	assert_int_equal(vq.size, 0);
	assert_int_equal(vq.desc_gpa | vq.driver_gpa | vq.device_gpa, 0);
	assert_int_equal(vq.size_max, VIRTQ_SIZE_MAX);
	assert_int_equal(vq.chains, 1);
}

static int start_with(uint32_t size, uint64_t desc, uint64_t driver, uint64_t device,
		      uint64_t features)
{
	virtq_init(&vq, &mem, 1024);
	vq.size = size;
	vq.desc_gpa = desc;
	vq.driver_gpa = driver;
	vq.device_gpa = device;
	return virtq_start(&vq, features);
}

static void queues_are_not_started_when(void **state)
{
	const uint64_t end = RAM_BYTES;

	(void)state;
	assert_int_equal(start_with(8, 0x1000, 0x2000, 0x3000, 0), 0);
	assert_int_equal(start_with(1024, 0x10000, 0x20000, 0x30000, 0), 0);
	assert_int_equal(start_with(0, 0x1000, 0x2000, 0x3000, 0), -EINVAL);
	assert_int_equal(start_with(7, 0x1000, 0x2000, 0x3000, 0), -EINVAL);
	assert_int_equal(start_with(2048, 0x10000, 0x20000, 0x30000, 0), -EINVAL);
	assert_int_equal(start_with(8, 0x1008, 0x2000, 0x3000, 0), -EINVAL);
	assert_int_equal(start_with(8, 0x1000, 0x2001, 0x3000, 0), -EINVAL);
	assert_int_equal(start_with(8, 0x1000, 0x2000, 0x3002, 0), -EINVAL);
	assert_false(virtq_live(&vq));
	/* Areas that end where memory ends, and one element later. */
	assert_int_equal(start_with(8, end - 128, 0x2000, 0x3000, EVENT_IDX), 0);
	assert_int_equal(start_with(8, end - 112, 0x2000, 0x3000, EVENT_IDX), -EINVAL);
	assert_int_equal(start_with(8, 0x1000, end - 22, 0x3000, EVENT_IDX), 0);
	assert_int_equal(start_with(8, 0x1000, end - 20, 0x3000, EVENT_IDX), -EINVAL);
	assert_int_equal(start_with(8, 0x1000, end - 20, 0x3000, 0), 0);
	assert_int_equal(start_with(8, 0x1000, end - 18, 0x3000, 0), -EINVAL);
	assert_int_equal(start_with(8, 0x1000, 0x2000, end - 72, EVENT_IDX), 0);
	assert_int_equal(start_with(8, 0x1000, 0x2000, end - 68, EVENT_IDX), -EINVAL);
	assert_int_equal(start_with(8, 0x1000, 0x2000, end - 68, 0), 0);
	assert_int_equal(start_with(8, 0x1000, 0x2000, end - 64, 0), -EINVAL);
	assert_int_equal(start_with(8, UINT64_MAX - 15, 0x2000, 0x3000, 0), -EINVAL);
	assert_int_equal(start_with(8, HIGH_GPA, HIGH_GPA + 128, HIGH_GPA + 256, 0), 0);
}

static void the_largest_queue_works_through_every_wrap(void **state)
{
	uint32_t id, len;

	(void)state;
	queue_live(VIRTQ_SIZE_MAX, EVENT_IDX);
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < VIRTQ_SIZE_MAX; i++)
			virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 1, true}, 1);
		for (uint32_t i = 0; i < VIRTQ_SIZE_MAX; i++) {
			assert_int_equal(pop(), 1);
			virtq_push(&vq, chain.head, i);
		}
		assert_int_equal(pop(), 0);
		virtq_publish(&vq);
		for (uint32_t i = 0; i < VIRTQ_SIZE_MAX; i++) {
			assert_true(virtq_driver_used(&drv, &id, &len));
			assert_int_equal(id, i);
			assert_int_equal(len, i);
		}
		assert_false(virtq_driver_used(&drv, &id, &len));
	}
	assert_int_equal(vq.chains, 3 * VIRTQ_SIZE_MAX);
}

static bool use_one(void)
{
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 1, true}, 1);
	assert_int_equal(pop(), 1);
	virtq_push(&vq, chain.head, 1);
	return virtq_publish(&vq);
}

static void without_event_idx_a_flag_suppresses_interrupts(void **state)
{
	(void)state;
	assert_true(use_one());
	__atomic_store_n(&drv.avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_SEQ_CST);
	assert_false(use_one());
	__atomic_store_n(&drv.avail->flags, 0, __ATOMIC_SEQ_CST);
	assert_true(use_one());
	assert_int_equal(vq.signals, 2);
	assert_int_equal(vq.suppressed, 1);
}

static void with_event_idx_an_interrupt_comes_when_the_index_passes_it(void **state)
{
	(void)state;
	queue_live(SIZE, EVENT_IDX);
	/* The flag means nothing then. */
	__atomic_store_n(&drv.avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_SEQ_CST);
	assert_true(use_one());
	virtq_driver_used_event(&drv, 3);
	assert_false(use_one()); /* 2 used */
	assert_false(use_one()); /* 3 */
	assert_true(use_one());  /* 4: element 3 is used */
	assert_false(use_one());
	assert_int_equal(vq.signals, 2);
	assert_int_equal(vq.suppressed, 3);
}

static void a_batch_that_passes_the_event_interrupts_once(void **state)
{
	(void)state;
	queue_live(SIZE, EVENT_IDX);
	virtq_driver_used_event(&drv, 2);
	for (unsigned i = 0; i < 6; i++) {
		virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 1, true}, 1);
		assert_int_equal(pop(), 1);
		virtq_push(&vq, chain.head, 1);
	}
	assert_true(virtq_publish(&vq));
	assert_false(virtq_publish(&vq));
}

static void kicks_are_suppressed_and_allowed_by_flag(void **state)
{
	(void)state;
	virtq_kicks_suppress(&vq);
	assert_false(virtq_driver_kick_wanted(&drv, 0));
	assert_false(virtq_kicks_allow(&vq));
	assert_true(virtq_driver_kick_wanted(&drv, 0));
	virtq_kicks_suppress(&vq);
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 1, true}, 1);
	assert_true(virtq_kicks_allow(&vq)); /* nobody would kick for that one */
}

static void kicks_are_suppressed_and_allowed_by_event(void **state)
{
	(void)state;
	queue_live(SIZE, EVENT_IDX);
	assert_false(virtq_kicks_allow(&vq));
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 1, true}, 1);
	assert_true(virtq_driver_kick_wanted(&drv, 0));
	virtq_kicks_suppress(&vq);
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 1, true}, 1);
	assert_false(virtq_driver_kick_wanted(&drv, 1));
	assert_int_equal(drv.used->flags, 0); /* 2.7.10.1: whatever is suppressed */
	assert_true(virtq_kicks_allow(&vq));
	assert_int_equal(pop(), 1);
	assert_int_equal(pop(), 1);
	assert_false(virtq_kicks_allow(&vq));
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 1, true}, 1);
	assert_true(virtq_driver_kick_wanted(&drv, 2));
}

static void every_fault_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VIRTQ_FAULTS; i++)
		assert_non_null(virtq_fault_name((enum virtq_fault)i));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_chain_is_its_buffers_readable_ones_first),
		TEST(the_driver_sees_what_was_pushed_once_it_is_published),
		TEST(chains_put_back_come_again_in_order),
		TEST(an_indirect_table_may_be_anywhere_and_longer_than_the_queue),
		TEST(direct_descriptors_may_come_before_a_table),
		TEST(buffers_may_end_where_memory_ends),
		TEST(a_buffer_outside_memory_is_refused),
		TEST(an_empty_buffer_is_refused),
		TEST(a_chain_of_4_gib_is_refused),
		TEST(a_readable_buffer_behind_a_writable_one_is_refused),
		TEST(a_head_outside_the_table_is_refused),
		TEST(a_next_outside_the_table_is_refused),
		TEST(a_loop_is_refused),
		TEST(a_chain_of_the_whole_table_is_none),
		TEST(more_pieces_than_there_is_room_for_are_refused),
		TEST(indirect_tables_are_refused_when),
		TEST(an_index_too_far_ahead_is_refused),
		TEST(what_is_under_way_counts_as_the_queues),
		TEST(starting_again_mends_a_broken_queue),
		TEST(a_queue_that_starts_again_publishes_anew),
		TEST(a_reset_forgets_what_the_driver_said),
		TEST(queues_are_not_started_when),
		TEST(the_largest_queue_works_through_every_wrap),
		TEST(without_event_idx_a_flag_suppresses_interrupts),
		TEST(with_event_idx_an_interrupt_comes_when_the_index_passes_it),
		TEST(a_batch_that_passes_the_event_interrupts_once),
		TEST(kicks_are_suppressed_and_allowed_by_flag),
		TEST(kicks_are_suppressed_and_allowed_by_event),
		TEST(every_fault_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
