/*
 * virtio_mmio_rig.h - a virtio device that uses whatever it gets and notes what was asked of it, through
 * the MMIO transport; for the tests of that.
 */
#ifndef TESTS_UNIT_VIRTIO_MMIO_RIG_H
#define TESTS_UNIT_VIRTIO_MMIO_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "virtio_rig.h"

enum {
	FEATURE = 3,
	TYPE = 42,
	CONFIG_LEN = 10,
	QUEUES = 2,
	QUEUE_MAX = 64,
	SIZE = 8,
	DATA_GPA = 0x80000,
};

#define BIT(n) (UINT64_C(1) << (n))
#define RING_FEATURES                                                                              \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX))

/* Uses whatever it gets, and notes what was asked of it. */
struct fake_device {
	struct virtio_device vd;
	unsigned starts, stops, resets, kicks[QUEUES], writes;
	unsigned write_off, write_len;
	unsigned
		rewrites; /* times that a vCPU writes to the configuration while a write is being reported */
	bool started;
};

static struct virtio_rig rig;
static struct fake_device *fake;
static struct virtq_driver drv;
static unsigned finis, finis_running; /* ends of devices; of those that still ran */

static inline int fake_init(struct virtio_device *vd, const void *conf, struct diag *diag)
{
	(void)diag;
	if (conf)
		return *(const int *)conf;
	vd->features = BIT(FEATURE);
	vd->nr_queues = QUEUES;
	vd->queue_size[0] = vd->queue_size[1] = QUEUE_MAX;
	vd->config_len = CONFIG_LEN;
	for (unsigned i = 0; i < CONFIG_LEN; i++)
		vd->config[i] = (uint8_t)(0xa0 + i);
	return 0;
}

static inline struct fake_device *fake_of(struct virtio_device *vd)
{
	return container_of(vd, struct fake_device, vd);
}

static inline void fake_fini(struct virtio_device *vd)
{
	finis++;
	finis_running += fake_of(vd)->started;
}

static inline void fake_start(struct virtio_device *vd)
{
	assert_false(fake_of(vd)->started);
	fake_of(vd)->started = true;
	fake_of(vd)->starts++;
}

static inline void fake_stop(struct virtio_device *vd)
{
	assert_true(fake_of(vd)->started);
	fake_of(vd)->started = false;
	fake_of(vd)->stops++;
}

/* Its configuration is the driver's to write, all of it. */
static inline void fake_reset(struct virtio_device *vd)
{
	uint8_t config[CONFIG_LEN];

	assert_false(fake_of(vd)->started);
	fake_of(vd)->resets++;
	for (unsigned i = 0; i < CONFIG_LEN; i++)
		config[i] = (uint8_t)(0xa0 + i);
	virtio_config_set(vd, 0, config, CONFIG_LEN);
}

static inline void fake_kick(struct virtio_device *vd, unsigned queue)
{
	struct virtq_chain chain;
	struct iovec iov[4];

	assert_true(fake_of(vd)->started);
	fake_of(vd)->kicks[queue]++;
	while (virtio_pop(vd, queue, iov, 4, &chain))
		virtq_push(&vd->queue[queue], chain.head, chain.in_bytes);
	virtio_publish(vd, queue);
}

static inline void fake_config_written(struct virtio_device *vd, unsigned off, unsigned len)
{
	struct fake_device *dev = fake_of(vd);

	dev->writes++;
	dev->write_off = off;
	dev->write_len = len;
	if (dev->rewrites > 0) {
		dev->rewrites--;
		fake_write(rig.dev, 0, VIRTIO_MMIO_CONFIG, 1, dev->rewrites & 0xff);
	}
}

static const struct virtio_class fake_class = {
	.name = "fake",
	.device_id = TYPE,
	.state_size = sizeof(struct fake_device),
	.init = fake_init,
	.fini = fake_fini,
	.start = fake_start,
	.stop = fake_stop,
	.reset = fake_reset,
	.kick = fake_kick,
	.config_written = fake_config_written,
};

/* A page for the registers, or NULL. */
static inline int fake_device_setup(uint8_t *page)
{
	int r = virtio_rig_init_page(&rig, &fake_class, NULL, page);

	finis = finis_running = 0;
	if (r == 0)
		fake = fake_of(rig.vd);
	return r;
}

static inline int teardown(void **state)
{
	(void)state;
	virtio_rig_fini(&rig);
	assert_int_equal(finis, 1);
	assert_int_equal(finis_running, 0);
	return 0;
}

static inline uint32_t rd(uint32_t reg)
{
	return virtio_rig_read(&rig, reg);
}

static inline void wr(uint32_t reg, uint32_t val)
{
	virtio_rig_write(&rig, reg, val);
}

/* The guest's action is counted as an error, once. */
#define ASSERT_ERROR(what)                                                                         \
	do {                                                                                       \
		const uint64_t before_ = rig.dev->guest_errors;                                    \
		what;                                                                              \
		assert_int_equal(rig.dev->guest_errors, before_ + 1);                              \
	} while (0)

static inline void start(uint64_t features)
{
	const uint64_t errors = rig.dev->guest_errors;

	assert_true(virtio_rig_start(&rig, &drv, SIZE, features));
	assert_int_equal(rig.dev->guest_errors, errors);
}

static inline void offer_one(void)
{
	virtq_driver_add(&drv, &(struct virtq_buf){DATA_GPA, 16, true}, 1);
}

#endif
