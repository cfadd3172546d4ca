/*
 * Unit tests of what bounds the chains that virtio/queue.c gives out: never more than the queue's size that
 * the driver has not been shown as used, wherever the driver sets its index. And in which order it is shown.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_trace.h"
#include "virtio/queue.h"
#include "virtq_driver.h"

enum {
	RAM_BYTES = 2 << 20,
	QUEUE_GPA = 0x10000,
	DATA_GPA = 0x1f0000,
	SIZE = 8,
};

static struct guest_mem mem;
static struct virtq vq;
static struct virtq_driver drv;
static struct virtq_chain chain;

static int setup(void **state)
{
	static const struct guest_region region = {.gpa = 0, .len = RAM_BYTES};

	(void)state;
	return guest_mem_init(&mem, &region, 1, &(struct guest_mem_opts){0}, NULL);
}

static int teardown(void **state)
{
	(void)state;
	guest_mem_fini(&mem);
	return 0;
}

/* Every descriptor is a buffer of its own. */
static void queue_live(uint32_t size)
{
	virtq_init(&vq, &mem, VIRTQ_SIZE_MAX);
	assert_int_equal(virtq_driver_start(&drv, &vq, QUEUE_GPA, size, 0), 0);
	for (uint32_t i = 0; i < size; i++)
		virtq_desc_set(&drv.desc[i], DATA_GPA, 16, VRING_DESC_F_WRITE, 0);
}

static int pop(void)
{
	struct iovec iov;

	return virtq_pop(&vq, &iov, 1, &chain);
}

static void set_index(uint16_t idx)
{
	__atomic_store_n(&drv.avail->idx, idx, __ATOMIC_SEQ_CST);
}

/* n chains of an honest driver, from its offer to its being shown that they are used. */
static void use_chains(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		virtq_driver_offer(&drv, (uint16_t)(i % drv.size));
		assert_int_equal(pop(), 1);
		virtq_push(&vq, chain.head, 0);
		virtq_publish(&vq);
	}
}

/* taken chains, of which pushed are handed back, and published are shown; as they are numbered. */
static void take(unsigned taken, unsigned pushed, unsigned published)
{
	for (unsigned i = 0; i < taken; i++)
		virtq_driver_offer(&drv, (uint16_t)(i % drv.size));
	for (unsigned i = 0; i < taken; i++)
		assert_int_equal(pop(), 1);
	for (unsigned i = 0; i < pushed; i++) {
		virtq_push(&vq, (uint16_t)i, 0);
		if (i + 1 == published)
			virtq_publish(&vq);
	}
}

static void chains_taken_from_an_index_set_back_are_never_more_than_the_size(void **state)
{
	unsigned taken = 0;

	(void)state;
	queue_live(SIZE);
	take(SIZE, 0, 0);
	set_index(SIZE - 1);
	while (taken < 1000 && pop() > 0)
		taken++;
	assert_int_equal(taken, 0);
	assert_int_equal(vq.fault, VIRTQ_FAULT_AVAIL_IDX);
}

/* Any index after any number of chains taken, handed back and shown: the sums in 32 bits, without a wrap. */
static void try_every_index(uint32_t before)
{
	for (unsigned taken = 0; taken <= SIZE; taken++)
		for (unsigned pushed = 0; pushed <= taken; pushed++) {
			const unsigned published = pushed / 2;
			struct virtq kept;

			queue_live(SIZE);
			use_chains(before);
			take(taken, pushed, published);
			kept = vq;
			for (uint32_t ahead = 0; ahead <= UINT16_MAX; ahead++) {
				const bool right = ahead + taken - published <= SIZE;

				vq = kept;
				set_index((uint16_t)(before + taken + ahead));
				if (ahead == 0)
					assert_int_equal(pop(), 0);
				else
					assert_int_equal(pop(), right ? 1 : -EPROTO);
			}
		}
}

static void an_index_is_right_up_to_what_the_driver_can_have_free(void **state)
{
	(void)state;
	try_every_index(0);
}

static void the_same_holds_where_the_indices_wrap(void **state)
{
	(void)state;
	try_every_index(UINT16_MAX - 3);
}

/* The longest queue is half of what an index can say: a sum in 16 bits is what a driver would wrap. */
static void the_longest_queue_is_bounded_too(void **state)
{
	(void)state;
	queue_live(VIRTQ_SIZE_MAX);
	take(VIRTQ_SIZE_MAX, 0, 0);
	set_index(VIRTQ_SIZE_MAX - 1);
	assert_int_equal(pop(), -EPROTO);
	queue_live(VIRTQ_SIZE_MAX);
	take(VIRTQ_SIZE_MAX, 0, 0);
	set_index(0);
	assert_int_equal(pop(), -EPROTO);
	queue_live(VIRTQ_SIZE_MAX);
	take(VIRTQ_SIZE_MAX / 2, 0, 0);
	set_index(VIRTQ_SIZE_MAX);
	for (uint32_t i = 0; i < VIRTQ_SIZE_MAX / 2; i++)
		assert_int_equal(pop(), 1);
	assert_int_equal(pop(), 0);
	set_index(VIRTQ_SIZE_MAX + 1);
	assert_int_equal(pop(), -EPROTO);
}

/* Handed back in another order than taken: it is the number that counts. */
static void chains_may_be_handed_back_in_any_order(void **state)
{
	static const uint16_t order[SIZE] = {3, 7, 0, 5, 1, 6, 2, 4};

	(void)state;
	queue_live(SIZE);
	take(SIZE, 0, 0);
	for (unsigned i = 0; i < SIZE; i++) {
		virtq_push(&vq, order[i], 0);
		virtq_publish(&vq);
		virtq_driver_offer(&drv, order[i]);
		assert_int_equal(pop(), 1);
		assert_int_equal(chain.head, order[i]);
		assert_int_equal(pop(), 0);
	}
	virtq_driver_offer(&drv, 0);
	assert_int_equal(pop(), -EPROTO);
}

/* 2.7.13: the elements are there before the index says so, whatever moment the driver looks at. */
static void the_used_index_is_written_after_its_elements(void **state)
{
	const size_t idx = offsetof(struct vring_used, idx);
	uint8_t *page;

	(void)state;
	queue_live(SIZE);
	take(3, 0, 0);
	page = (uint8_t *)drv.used - drv.used_gpa % 4096;
	store_trace_begin(page, 4096);
	virtq_push(&vq, 2, 7);
	virtq_push(&vq, 1, 8);
	virtq_publish(&vq);
	store_trace_end();
	assert_int_equal(store_trace.n, 5); /* two of each element, then the index */
	for (unsigned i = 0; i < store_trace.n; i++) {
		const size_t off = store_trace.off[i] - drv.used_gpa % 4096;

		assert_int_equal(off == idx, i == 4);
		assert_true(i == 4 || (off >= offsetof(struct vring_used, ring) &&
				       off < offsetof(struct vring_used, ring[2])));
	}
	assert_int_equal(drv.used->idx, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(chains_taken_from_an_index_set_back_are_never_more_than_the_size),
		TEST(an_index_is_right_up_to_what_the_driver_can_have_free),
		TEST(the_same_holds_where_the_indices_wrap),
		TEST(the_longest_queue_is_bounded_too),
		TEST(chains_may_be_handed_back_in_any_order),
		TEST(the_used_index_is_written_after_its_elements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
