/* Unit tests of virtio/rng.c. */
#include <string.h>

#include "virtio_device_rig.h"

enum { DATA_GPA = 0x40000, SIZE = 64, CHAIN_BYTES_MAX = 65536 };

static struct virtq_driver drv;

static int setup(void **state)
{
	int r = virtio_rig_init(&rig, &virtio_rng_class, NULL);

	(void)state;
	if (r == 0 && !virtio_rig_start(&rig, &drv, SIZE, 0))
		r = -1;
	return r;
}

static uint32_t used_len(void)
{
	uint32_t id, len = 0;

	assert_true(virtq_driver_used(&drv, &id, &len));
	return len;
}

/* 32 zero bytes in a row have one chance in 2^256. */
static bool is_random(const uint8_t *p)
{
	static const uint8_t zero[32];

	return memcmp(p, zero, sizeof(zero)) != 0;
}

static void every_buffer_is_filled_whole(void **state)
{
	const struct virtq_buf bufs[] = {{DATA_GPA, 32, true}, {DATA_GPA + 4096, 100, true}};

	(void)state;
	virtq_driver_add(&drv, bufs, 2);
	virtio_rig_kick(&rig, 0);
	assert_int_equal(used_len(), 132);
	assert_true(is_random(at(DATA_GPA)));
	assert_true(is_random(at(DATA_GPA + 4096)));
	assert_true(is_random(at(DATA_GPA + 4096 + 68)));
	assert_false(is_random(at(DATA_GPA + 32)));
	assert_false(is_random(at(DATA_GPA + 4096 + 100)));
	assert_int_equal(rig.pulses, 1);
}

static void a_request_gets_64_kib_at_most(void **state)
{
	(void)state;
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 4 * CHAIN_BYTES_MAX, true}, 1);
	virtio_rig_kick(&rig, 0);
	assert_int_equal(used_len(), CHAIN_BYTES_MAX);
	assert_true(is_random(at(DATA_GPA + CHAIN_BYTES_MAX - 32)));
	assert_false(is_random(at(DATA_GPA + CHAIN_BYTES_MAX)));
}

static void buffers_for_reading_are_not_touched(void **state)
{
	const struct virtq_buf bufs[] = {{DATA_GPA, 32, false}, {DATA_GPA + 64, 32, true}};

	(void)state;
	virtq_driver_add(&drv, bufs, 2);
	virtq_driver_add(&drv, bufs, 1);
	virtio_rig_kick(&rig, 0);
	assert_int_equal(used_len(), 32);
	assert_int_equal(used_len(), 0);
	assert_false(is_random(at(DATA_GPA)));
}

static void a_full_queue_is_answered_in_order(void **state)
{
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < SIZE; i++)
		virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA + 64 * i, i + 1, true}, 1);
	virtio_rig_kick(&rig, 0);
	for (unsigned i = 0; i < SIZE; i++) {
		assert_true(virtq_driver_used(&drv, &id, &len));
		assert_int_equal(id, i);
		assert_int_equal(len, i + 1);
	}
	assert_false(virtq_driver_used(&drv, &id, &len));
	assert_true(virtq_driver_kick_wanted(&drv, 0));
}

/* The driver gives a buffer back as soon as it has it, for so many that one kick does not do them all. */
static void offer_again(struct irq_line *irq)
{
	static const struct virtq_buf buf = {DATA_GPA, 4, true};

	(void)irq;
	if (rig.pulses++ < 3 * SIZE)
		virtq_driver_add(&drv, &buf, 1);
}

static void a_driver_that_never_pauses_gets_everything_in_the_end(void **state)
{
	(void)state;
	rig.irq.pulse = offer_again;
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 4, true}, 1);
	virtio_rig_kick(&rig, 0);
	assert_int_equal(drv.used->idx, 3 * SIZE + 1);
	assert_true(virtq_driver_kick_wanted(&drv, 0));
}

static void it_offers_order(void **state)
{
	(void)state;
	assert_true(virtio_rig_features(&rig) >> VIRTIO_F_IN_ORDER & 1);
	assert_int_equal(virtio_rig_read(&rig, VIRTIO_MMIO_DEVICE_ID), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_buffer_is_filled_whole),
		TEST(a_request_gets_64_kib_at_most),
		TEST(buffers_for_reading_are_not_touched),
		TEST(a_full_queue_is_answered_in_order),
		TEST(a_driver_that_never_pauses_gets_everything_in_the_end),
		TEST(it_offers_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
