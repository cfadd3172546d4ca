/* Unit tests of virtio/mmio.c where reads and acknowledgements make no exit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store_trace.h"
#include "virtio_mmio_rig.h"

enum { PAGE_FROM = 0x60 };

static _Alignas(4096) uint8_t page[4096];

static int setup(void **state)
{
	(void)state;
	return fake_device_setup(page);
}

static uint32_t page_get(uint32_t reg)
{
	uint32_t val;

	memcpy(&val, &page[reg - PAGE_FROM], sizeof(val));
	return val;
}

/* Every register the page has is what an exit would have read. */
static void assert_page_is_true(void)
{
	for (uint32_t reg = PAGE_FROM; reg < VIRTIO_MMIO_BYTES; reg += 4)
		assert_int_equal(page_get(reg), rd(reg));
	for (size_t i = VIRTIO_MMIO_BYTES - PAGE_FROM; i < sizeof(page); i++)
		assert_int_equal(page[i], 0xff);
}

static void the_page_shows_what_reads_would(void **state)
{
	(void)state;
	assert_page_is_true();
	start(0);
	assert_int_equal(page_get(VIRTIO_MMIO_STATUS), 15);
	offer_one();
	virtio_rig_kick(&rig, 0);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG + 4, 4, 0x12345678);
	assert_int_equal(page_get(VIRTIO_MMIO_CONFIG + 4), 0x12345678);
	virtio_config_set(rig.vd, 0, "x", 1);
	assert_page_is_true();
	virtq_driver_offer(&drv, SIZE);
	virtio_rig_kick(&rig, 0);
	assert_true(page_get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	wr(VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(page_get(VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_page_is_true();
}

static void counted_acknowledgements_clear_the_status_late(void **state)
{
	(void)state;
	start(0);
	offer_one();
	virtio_rig_kick(&rig, 0);
	assert_int_not_equal(rig.f.deadline_ns, INT64_MAX);
	virtio_rig_ack(&rig);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	virtio_rig_expire(&rig);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_false(rig.watched);
	/* The next interrupt begins it anew. */
	offer_one();
	virtio_rig_kick(&rig, 0);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	assert_int_not_equal(rig.f.deadline_ns, INT64_MAX);
}

static void a_late_acknowledgement_is_waited_for(void **state)
{
	(void)state;
	start(0);
	offer_one();
	virtio_rig_kick(&rig, 0);
	virtio_rig_expire(&rig);
	assert_true(rig.watched);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	virtio_rig_ack(&rig);
	assert_false(rig.watched);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(rig.f.deadline_ns, INT64_MAX);
}

/* Else the handler of the second would find nothing to do, and the buffer would lie there. */
static void an_acknowledgement_of_the_last_interrupt_does_not_clear_this_one(void **state)
{
	(void)state;
	start(0);
	offer_one();
	virtio_rig_kick(&rig, 0);
	virtio_rig_ack(&rig);
	offer_one();
	virtio_rig_kick(&rig, 0);
	virtio_rig_expire(&rig);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	virtio_rig_ack(&rig);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void counted_acknowledgements_are_not_for_the_configuration(void **state)
{
	(void)state;
	start(0);
	offer_one();
	virtio_rig_kick(&rig, 0);
	virtio_config_set(rig.vd, 0, "x", 1);
	virtio_rig_ack(&rig);
	virtio_rig_expire(&rig);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	wr(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void an_acknowledgement_from_before_a_reset_is_forgotten(void **state)
{
	(void)state;
	start(0);
	offer_one();
	virtio_rig_kick(&rig, 0);
	virtio_rig_ack(&rig);
	start(0);
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	offer_one();
	virtio_rig_kick(&rig, 0);
	virtio_rig_expire(&rig); /* armed before the reset */
	assert_int_equal(page_get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
}

/*
 * 4.2.2: a driver reads the generation, the configuration, and the generation again. Were it counted once,
 * before or after, a driver that reads during a change would find it the same.
 */
static void the_generation_is_counted_before_and_after_a_change(void **state)
{
	static const uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	const uint32_t generation = page_get(VIRTIO_MMIO_CONFIG_GENERATION);

	(void)state;
	store_trace_begin(page, sizeof(page));
	virtio_config_set(rig.vd, 0, bytes, sizeof(bytes));
	store_trace_end();
	assert_int_equal(store_trace.n, 4);
	assert_int_equal(store_trace.off[0], VIRTIO_MMIO_CONFIG_GENERATION - PAGE_FROM);
	assert_int_equal(store_trace.off[1], VIRTIO_MMIO_CONFIG - PAGE_FROM);
	assert_int_equal(store_trace.off[2], VIRTIO_MMIO_CONFIG + 4 - PAGE_FROM);
	assert_int_equal(store_trace.off[3], VIRTIO_MMIO_CONFIG_GENERATION - PAGE_FROM);
	assert_int_equal(page_get(VIRTIO_MMIO_CONFIG_GENERATION), generation + 2);
}

/* As fast as the device is notified of them; other events are serviced in between. */
static void writes_to_the_configuration_without_end_are_told_in_turns(void **state)
{
	(void)state;
	start(0);
	rig.deaf = true;
	fake->rewrites = 1000;
	fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG, 1, 0x55);
	rig.control = false;
	rig.dev->cls->io->control(rig.dev);
	assert_true(fake->writes > 0 && fake->writes <= 16);
	assert_true(rig.control); /* the vCPU's, for the last one */
	rig.deaf = false;
	virtio_rig_answer(&rig);
	assert_int_equal(fake->rewrites, 0);
	assert_int_equal(fake->writes, 1001);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_page_shows_what_reads_would),
		TEST(counted_acknowledgements_clear_the_status_late),
		TEST(a_late_acknowledgement_is_waited_for),
		TEST(an_acknowledgement_of_the_last_interrupt_does_not_clear_this_one),
		TEST(counted_acknowledgements_are_not_for_the_configuration),
		TEST(an_acknowledgement_from_before_a_reset_is_forgotten),
		TEST(the_generation_is_counted_before_and_after_a_change),
		TEST(writes_to_the_configuration_without_end_are_told_in_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
