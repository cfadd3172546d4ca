/* Unit tests of virtio/mmio.c and virtio.c: the registers, with a fake device. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "virtio_mmio_rig.h"

static int setup(void **state)
{
	(void)state;
	return fake_device_setup(NULL);
}

static void it_says_what_it_is(void **state)
{
	(void)state;
	assert_int_equal(rd(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(rd(VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(rd(VIRTIO_MMIO_DEVICE_ID), TYPE);
	assert_int_equal(rd(VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_true(virtio_rig_features(&rig) == (RING_FEATURES | BIT(FEATURE)));
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(rd(VIRTIO_MMIO_DEVICE_FEATURES), 0);
	for (uint32_t reg = VIRTIO_MMIO_SHM_LEN_LOW; reg <= VIRTIO_MMIO_SHM_BASE_HIGH; reg += 4)
		assert_int_equal(rd(reg), UINT32_MAX);
	for (uint32_t i = 0; i < 3; i++) {
		wr(VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(rd(VIRTIO_MMIO_QUEUE_NUM_MAX), i < QUEUES ? QUEUE_MAX : 0);
		assert_int_equal(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	}
	assert_int_equal(rig.dev->guest_errors, 0);
}

static void control_registers_are_32_bits_wide(void **state)
{
	const uint8_t widths[] = {1, 2};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(widths); i++) {
		const uint8_t w = widths[i];

		ASSERT_ERROR(assert_int_equal(fake_read(rig.dev, 0, VIRTIO_MMIO_VERSION, w), 0));
		ASSERT_ERROR(fake_write(rig.dev, 0, VIRTIO_MMIO_STATUS, w, 1));
		/* Memory would say what it holds, so it does where it is none, too. */
		ASSERT_ERROR(assert_int_equal(fake_read(rig.dev, 0, VIRTIO_MMIO_SHM_LEN_LOW, w),
					      w == 1 ? 0xff : 0xffff));
	}
	ASSERT_ERROR(assert_int_equal(fake_read(rig.dev, 0, VIRTIO_MMIO_VERSION + 2, 4), 0));
	ASSERT_ERROR(fake_write(rig.dev, 0, VIRTIO_MMIO_STATUS - 2, 4, 1));
	assert_int_equal(rd(VIRTIO_MMIO_STATUS), 0);
}

static void registers_that_are_none_are_errors(void **state)
{
	static const uint32_t none[] = {0x028, 0x03c, 0x040, 0x01c, 0x05c};
	static const uint32_t read_only[] = {
		VIRTIO_MMIO_MAGIC_VALUE,      VIRTIO_MMIO_VERSION,
		VIRTIO_MMIO_DEVICE_FEATURES,  VIRTIO_MMIO_QUEUE_NUM_MAX,
		VIRTIO_MMIO_INTERRUPT_STATUS, VIRTIO_MMIO_CONFIG_GENERATION,
		VIRTIO_MMIO_SHM_LEN_LOW,      0x0c0};
	static const uint32_t write_only[] = {VIRTIO_MMIO_DEVICE_FEATURES_SEL,
					      VIRTIO_MMIO_QUEUE_SEL, VIRTIO_MMIO_QUEUE_NUM,
					      VIRTIO_MMIO_QUEUE_NOTIFY};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
		ASSERT_ERROR(assert_int_equal(rd(none[i]), 0));
		ASSERT_ERROR(wr(none[i], 1));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(read_only); i++)
		ASSERT_ERROR(wr(read_only[i], 1));
	for (unsigned i = 0; i < ARRAY_SIZE(write_only); i++)
		ASSERT_ERROR(assert_int_equal(rd(write_only[i]), 0));
	/* Writing there is what the driver does; reading finds no more than memory would. */
	assert_int_equal(rd(VIRTIO_MMIO_INTERRUPT_ACK), 0);
	assert_int_equal(rd(VIRTIO_MMIO_QUEUE_DESC_LOW), 0);
}

static void features_are_what_both_sides_have(void **state)
{
	(void)state;
	assert_false(virtio_rig_negotiate(&rig, BIT(FEATURE + 1)));
	assert_int_equal(virtio_rig_status(&rig),
			 VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	assert_false(virtio_rig_negotiate(&rig, BIT(40)));
	assert_true(virtio_rig_negotiate(&rig, BIT(FEATURE)));
	start(BIT(FEATURE));
	assert_true(virtio_has(rig.vd, FEATURE));
	assert_true(virtio_has(rig.vd, VIRTIO_F_VERSION_1));
	assert_false(virtio_has(rig.vd, VIRTIO_RING_F_EVENT_IDX));
	start(BIT(VIRTIO_RING_F_EVENT_IDX));
	assert_false(virtio_has(rig.vd, FEATURE));
	assert_true(rig.vd->queue[0].event_idx);
}

static void a_legacy_driver_is_refused(void **state)
{
	(void)state;
	wr(VIRTIO_MMIO_STATUS, 1);
	wr(VIRTIO_MMIO_STATUS, 3);
	wr(VIRTIO_MMIO_DRIVER_FEATURES, BIT(FEATURE));
	ASSERT_ERROR(wr(VIRTIO_MMIO_STATUS, 11));
	assert_int_equal(virtio_rig_status(&rig), 3);
	ASSERT_ERROR(wr(VIRTIO_MMIO_STATUS, 7)); /* DRIVER_OK all the same */
	assert_int_equal(virtio_rig_status(&rig), 3);
	assert_int_equal(fake->starts, 0);
}

static void features_are_said_when_it_is_time(void **state)
{
	(void)state;
	ASSERT_ERROR(wr(VIRTIO_MMIO_DRIVER_FEATURES, 1)); /* before DRIVER */
	assert_true(virtio_rig_negotiate(&rig, 0));
	wr(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	ASSERT_ERROR(wr(VIRTIO_MMIO_DRIVER_FEATURES, BIT(FEATURE))); /* after FEATURES_OK */
	virtio_rig_driver_ok(&rig);
	assert_false(virtio_has(rig.vd, FEATURE));
	wr(VIRTIO_MMIO_STATUS, 0);
	wr(VIRTIO_MMIO_STATUS, 3);
	wr(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	wr(VIRTIO_MMIO_DRIVER_FEATURES, 0); /* none of them is ours */
	ASSERT_ERROR(wr(VIRTIO_MMIO_DRIVER_FEATURES, 1));
}

static void status_bits_are_not_taken_back(void **state)
{
	(void)state;
	wr(VIRTIO_MMIO_STATUS, 3);
	ASSERT_ERROR(wr(VIRTIO_MMIO_STATUS, 1));
	assert_int_equal(virtio_rig_status(&rig), 3);
	ASSERT_ERROR(wr(VIRTIO_MMIO_STATUS, 0x13)); /* no such bit */
	wr(VIRTIO_MMIO_STATUS, 0x83);               /* FAILED */
	assert_int_equal(virtio_rig_status(&rig), 0x83);
	wr(VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(virtio_rig_status(&rig), 0);
}

static void queues_become_ready_when_they_are_whole(void **state)
{
	struct virtq_driver bad;

	(void)state;
	virtq_driver_init(&drv, &rig.mem, VIRTIO_RIG_QUEUE_GPA, SIZE);
	assert_false(virtio_rig_queue(&rig, 0, &drv)); /* before FEATURES_OK */
	assert_true(virtio_rig_negotiate(&rig, 0));
	bad = drv;
	bad.size = 7;
	assert_false(virtio_rig_queue(&rig, 0, &bad));
	bad.size = 2 * QUEUE_MAX;
	assert_false(virtio_rig_queue(&rig, 0, &bad));
	bad = drv;
	bad.used_gpa = VIRTIO_RIG_RAM_BYTES - 4;
	assert_false(virtio_rig_queue(&rig, 0, &bad));
	bad = drv;
	bad.desc_gpa = BIT(40) + 16;
	assert_false(virtio_rig_queue(&rig, 0, &bad));
	assert_false(virtio_rig_queue(&rig, QUEUES, &drv));
	assert_true(virtio_rig_queue(&rig, 0, &drv));
	/* 4.2.3.2: a ready queue is left alone; it can be put away again while nothing runs. */
	ASSERT_ERROR(wr(VIRTIO_MMIO_QUEUE_NUM, 16));
	ASSERT_ERROR(wr(VIRTIO_MMIO_QUEUE_DESC_LOW, 0));
	ASSERT_ERROR(wr(VIRTIO_MMIO_QUEUE_READY, 1));
	wr(VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	ASSERT_ERROR(wr(VIRTIO_MMIO_QUEUE_READY, 2));
	assert_true(virtio_rig_queue(&rig, 0, &drv));
}

static void queues_stay_as_they_are_while_the_device_runs(void **state)
{
	(void)state;
	start(0);
	ASSERT_ERROR(wr(VIRTIO_MMIO_QUEUE_READY, 0));
	assert_int_equal(rd(VIRTIO_MMIO_QUEUE_READY), 1);
	wr(VIRTIO_MMIO_QUEUE_SEL, 1);
	ASSERT_ERROR(wr(VIRTIO_MMIO_QUEUE_NUM, SIZE));
	wr(VIRTIO_MMIO_QUEUE_READY, 0); /* it is not */
	assert_false(virtq_live(&rig.vd->queue[1]));
}

static void a_request_goes_round(void **state)
{
	uint32_t id, len = 0;

	(void)state;
	start(0);
	assert_int_equal(fake->starts, 1);
	assert_int_equal(fake->kicks[0], 1); /* once after the start */
	assert_int_equal(fake->kicks[1], 0); /* that queue is not ready */
	offer_one();
	virtio_rig_kick(&rig, 0);
	assert_int_equal(fake->kicks[0], 2);
	assert_true(virtq_driver_used(&drv, &id, &len));
	assert_int_equal(len, 16);
	assert_int_equal(rig.pulses, 1);
	assert_int_equal(rd(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	wr(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(rig.vd->kicks[0], 1);
	assert_int_equal(rig.vd->queue[0].signals, 1);
	ASSERT_ERROR(wr(VIRTIO_MMIO_INTERRUPT_ACK, 4));
}

static void what_was_offered_before_the_start_is_found(void **state)
{
	uint32_t id, len = 0;

	(void)state;
	virtq_driver_init(&drv, &rig.mem, VIRTIO_RIG_QUEUE_GPA, SIZE);
	assert_true(virtio_rig_negotiate(&rig, 0));
	assert_true(virtio_rig_queue(&rig, 0, &drv));
	offer_one();
	virtio_rig_driver_ok(&rig);
	assert_true(virtq_driver_used(&drv, &id, &len));
}

static void doorbells_that_ring_for_nobody_are_errors(void **state)
{
	(void)state;
	ASSERT_ERROR(virtio_rig_kick(&rig, 0)); /* before DRIVER_OK */
	start(0);
	ASSERT_ERROR(virtio_rig_kick(&rig, QUEUES));
	ASSERT_ERROR(virtio_rig_kick(&rig, UINT32_MAX));
	virtio_rig_kick(&rig, 1); /* not ready: nothing to do */
	assert_int_equal(fake->kicks[1], 0);
	assert_int_equal(fake->kicks[0], 1);
}

static void a_broken_ring_needs_a_reset(void **state)
{
	uint32_t id, len = 0;

	(void)state;
	start(0);
	virtq_driver_offer(&drv, SIZE);
	virtio_rig_kick(&rig, 0);
	assert_int_equal(virtio_rig_status(&rig), 15 | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(rd(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(rig.pulses, 1);
	assert_int_equal(rig.vd->resets_needed, 1);
	assert_string_equal(rig.vd->reset_why, virtq_fault_name(VIRTQ_FAULT_HEAD));
	virtio_rig_kick(&rig, 0);
	assert_int_equal(fake->kicks[0], 2); /* not for that one */
	virtio_needs_reset(rig.vd, "again"); /* says nothing new */
	assert_int_equal(rig.pulses, 1);
	/* The bit is the device's: a driver that writes the status without it takes back nothing. */
	wr(VIRTIO_MMIO_STATUS, 15 | VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(virtio_rig_status(&rig),
			 15 | VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET);
	start(0);
	assert_int_equal(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	offer_one();
	virtio_rig_kick(&rig, 0);
	assert_true(virtq_driver_used(&drv, &id, &len));
}

static void a_reset_forgets_all_but_what_it_is(void **state)
{
	uint64_t errors;

	(void)state;
	start(BIT(FEATURE));
	offer_one();
	virtio_rig_kick(&rig, 0);
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	wr(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	wr(VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(fake->stops, 1);
	assert_int_equal(virtio_rig_status(&rig), 0);
	assert_int_equal(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(rd(VIRTIO_MMIO_DEVICE_FEATURES),
			 (uint32_t)(RING_FEATURES | BIT(FEATURE))); /* selector 0 */
	assert_int_equal(fake->kicks[0], 2);
	ASSERT_ERROR(virtio_rig_kick(&rig, 0));
	wr(VIRTIO_MMIO_STATUS, 0); /* a reset of what does not run is over at once */
	assert_int_equal(fake->stops, 1);
	/* The earlier driver's features are forgotten, and without any the device refuses FEATURES_OK. */
	wr(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	errors = rig.dev->guest_errors;
	wr(VIRTIO_MMIO_DRIVER_FEATURES, BIT(FEATURE)); /* selector 0: at 2 it is an error */
	assert_int_equal(rig.dev->guest_errors, errors);
	ASSERT_ERROR(wr(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
						    VIRTIO_CONFIG_S_FEATURES_OK));
	assert_int_equal(virtio_rig_status(&rig),
			 VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
}

static void a_start_that_a_reset_overtakes_is_none(void **state)
{
	(void)state;
	virtq_driver_init(&drv, &rig.mem, VIRTIO_RIG_QUEUE_GPA, SIZE);
	assert_true(virtio_rig_negotiate(&rig, 0));
	assert_true(virtio_rig_queue(&rig, 0, &drv));
	rig.deaf = true; /* the I/O thread is busy */
	virtio_rig_driver_ok(&rig);
	rig.deaf = false;
	wr(VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(virtio_rig_status(&rig), 0);
	assert_int_equal(fake->starts, 0);
	assert_int_equal(fake->kicks[0], 0);
}

static void a_reset_that_takes_long_shows(void **state)
{
	(void)state;
	start(0);
	rig.deaf = true; /* the I/O thread is busy */
	wr(VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(virtio_rig_status(&rig), 15);
	ASSERT_ERROR(wr(VIRTIO_MMIO_QUEUE_SEL, 1)); /* 2.4.2: the driver is to wait */
	virtio_rig_answer(&rig);
	assert_int_equal(virtio_rig_status(&rig), 0);
	assert_int_equal(fake->stops, 1);
}

static void a_reset_by_the_vmm_is_that_of_a_driver(void **state)
{
	(void)state;
	assert_true(virtio_mmio_is_reset(rig.dev));
	start(0);
	assert_false(virtio_mmio_is_reset(rig.dev));
	rig.deaf = true; /* the host does not let the I/O thread go */
	assert_false(virtio_mmio_reset(rig.dev));
	assert_false(virtio_mmio_is_reset(rig.dev));
	virtio_rig_answer(&rig);
	assert_true(virtio_mmio_is_reset(rig.dev));
	assert_int_equal(fake->stops, 1);
	rig.deaf = false;
	start(0);
	assert_true(virtio_mmio_reset(rig.dev));
	assert_int_equal(virtio_rig_status(&rig), 0);
	assert_int_equal(fake->stops, 2);
	assert_int_equal(rig.dev->guest_errors, 0);
}

static void a_doorbell_that_overtakes_the_start_or_the_reset_is_harmless(void **state)
{
	(void)state;
	start(0);
	/* A late ring of an eventfd, from before the reset. */
	wr(VIRTIO_MMIO_STATUS, 0);
	rig.dev->cls->io->kick(rig.dev, 0);
	assert_int_equal(fake->kicks[0], 1);
	/* A ring that comes before the word of the start: it is settled first. */
	virtq_driver_init(&drv, &rig.mem, VIRTIO_RIG_QUEUE_GPA, SIZE);
	assert_true(virtio_rig_negotiate(&rig, 0));
	assert_true(virtio_rig_queue(&rig, 0, &drv));
	rig.deaf = true;
	virtio_rig_driver_ok(&rig);
	assert_int_equal(fake->starts, 1);
	rig.dev->cls->io->kick(rig.dev, 0);
	assert_int_equal(fake->starts, 2);
	assert_int_equal(fake->kicks[0], 3);
	/* A wildcard doorbell has no queue that is checked. */
	rig.dev->cls->io->kick(rig.dev, QUEUES);
	rig.dev->cls->io->kick(rig.dev, 1);
	assert_int_equal(fake->kicks[1], 0);
}

static void the_configuration_can_be_read_in_every_width(void **state)
{
	(void)state;
	assert_int_equal(fake_read(rig.dev, 0, VIRTIO_MMIO_CONFIG, 4), 0xa3a2a1a0);
	assert_int_equal(fake_read(rig.dev, 0, VIRTIO_MMIO_CONFIG + 6, 2), 0xa7a6);
	assert_int_equal(fake_read(rig.dev, 0, VIRTIO_MMIO_CONFIG + 9, 1), 0xa9);
	assert_int_equal(fake_read(rig.dev, 0, VIRTIO_MMIO_CONFIG + 8, 4), 0xffffa9a8);
	assert_int_equal(fake_read(rig.dev, 0, VIRTIO_MMIO_BYTES - 4, 4), UINT32_MAX);
	assert_int_equal(rig.dev->guest_errors, 0);
}

static void the_device_hears_of_writes_to_its_configuration(void **state)
{
	(void)state;
	fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG + 4, 2, 0x1234);
	assert_int_equal(fake->writes, 1);
	assert_int_equal(fake->write_off, 4);
	assert_int_equal(fake->write_len, 2);
	assert_int_equal(rig.vd->config[4], 0x34);
	assert_int_equal(rig.vd->config[5], 0x12);
	assert_int_equal(rd(VIRTIO_MMIO_CONFIG + 4), 0xa7a61234);
	ASSERT_ERROR(fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG + 8, 4, 0));  /* past its end */
	ASSERT_ERROR(fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG + 1, 2, 0));  /* not aligned */
	ASSERT_ERROR(fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG + 10, 1, 0)); /* after it */
	/* Several before the device looks are one span. */
	rig.deaf = true;
	fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG + 8, 1, 1);
	fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG + 2, 1, 2);
	virtio_rig_answer(&rig);
	assert_int_equal(fake->writes, 2);
	assert_int_equal(fake->write_off, 2);
	assert_int_equal(fake->write_len, 7);
	assert_int_equal(rig.vd->config[2], 2);
	assert_int_equal(rig.vd->config[8], 1);
}

static void a_reset_takes_back_what_the_driver_wrote_to_the_configuration(void **state)
{
	(void)state;
	fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG, 1, 0x11); /* the device does not run */
	assert_int_equal(rig.vd->config[0], 0x11);
	assert_true(virtio_mmio_reset(rig.dev));
	assert_int_equal(fake->resets, 1);
	assert_int_equal(rd(VIRTIO_MMIO_CONFIG) & 0xff, 0xa0);
	assert_true(virtio_mmio_reset(rig.dev));
	assert_int_equal(fake->resets, 1); /* nothing to do for the I/O thread */
	start(0);
	assert_int_equal(fake->resets, 1);
	/* A write that the device has not heard of when the reset comes. */
	rig.deaf = true;
	fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG + 4, 1, 0x22);
	wr(VIRTIO_MMIO_STATUS, 0);
	virtio_rig_answer(&rig);
	assert_int_equal(virtio_rig_status(&rig), 0);
	assert_int_equal(fake->resets, 2);
	assert_int_equal(fake->writes, 1);
	assert_int_equal(rig.vd->config[4], 0xa4);
	assert_int_equal(rd(VIRTIO_MMIO_CONFIG + 4) & 0xff, 0xa4);
	assert_int_equal(rig.pulses, 0); /* no driver is there to tell */
}

static void a_change_of_the_configuration_is_told(void **state)
{
	const uint8_t bytes[] = {1, 2, 3, 4, 5};
	const uint32_t generation = rd(VIRTIO_MMIO_CONFIG_GENERATION);
	uint32_t later;

	(void)state;
	virtio_config_set(rig.vd, 3, bytes, sizeof(bytes));
	assert_int_equal(rig.pulses, 0); /* there is no driver to tell */
	assert_int_equal(rd(VIRTIO_MMIO_CONFIG), 0x01a2a1a0);
	assert_int_equal(rd(VIRTIO_MMIO_CONFIG + 4), 0x05040302);
	later = rd(VIRTIO_MMIO_CONFIG_GENERATION);
	assert_int_not_equal(later, generation);
	start(0);
	virtio_config_set(rig.vd, 9, bytes, 1);
	assert_int_equal(rig.pulses, 1);
	assert_int_equal(rd(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(rd(VIRTIO_MMIO_CONFIG + 8), 0xffff01a8);
	assert_int_not_equal(rd(VIRTIO_MMIO_CONFIG_GENERATION), later);
	/* A driver's write that the device has not seen yet is not undone. */
	rig.deaf = true;
	fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG, 1, 0x77);
	virtio_config_set(rig.vd, 1, bytes, 1);
	assert_int_equal(rd(VIRTIO_MMIO_CONFIG) & 0xffff, 0x0177);
	virtio_rig_answer(&rig);
	assert_int_equal(fake->writes, 1);
	assert_int_equal(rig.vd->config[0], 0x77);
}

static void a_device_that_cannot_be_made_leaves_nothing(void **state)
{
	static const int err = -EACCES;

	(void)state;
	finis = 0;
	assert_int_equal(virtio_rig_init(&rig, &fake_class, &err), -EACCES);
	assert_int_equal(finis, 1);
	virtio_rig_fini(&rig);
}

static void a_device_that_runs_is_stopped_at_its_end(void **state)
{
	(void)state;
	assert_int_equal(setup(NULL), 0);
	start(0);
	virtio_rig_fini(&rig); /* the leak checker sees that all is freed */
	assert_int_equal(finis, 1);
	assert_int_equal(finis_running, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_says_what_it_is),
		TEST(control_registers_are_32_bits_wide),
		TEST(registers_that_are_none_are_errors),
		TEST(features_are_what_both_sides_have),
		TEST(a_legacy_driver_is_refused),
		TEST(features_are_said_when_it_is_time),
		TEST(status_bits_are_not_taken_back),
		TEST(queues_become_ready_when_they_are_whole),
		TEST(queues_stay_as_they_are_while_the_device_runs),
		TEST(a_request_goes_round),
		TEST(what_was_offered_before_the_start_is_found),
		TEST(doorbells_that_ring_for_nobody_are_errors),
		TEST(a_broken_ring_needs_a_reset),
		TEST(a_reset_forgets_all_but_what_it_is),
		TEST(a_start_that_a_reset_overtakes_is_none),
		TEST(a_reset_that_takes_long_shows),
		TEST(a_reset_by_the_vmm_is_that_of_a_driver),
		TEST(a_doorbell_that_overtakes_the_start_or_the_reset_is_harmless),
		TEST(the_configuration_can_be_read_in_every_width),
		TEST(the_device_hears_of_writes_to_its_configuration),
		TEST(a_reset_takes_back_what_the_driver_wrote_to_the_configuration),
		TEST(a_change_of_the_configuration_is_told),
		cmocka_unit_test(a_device_that_cannot_be_made_leaves_nothing),
		cmocka_unit_test(a_device_that_runs_is_stopped_at_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
