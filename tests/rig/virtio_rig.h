/*
 * virtio_rig.h - a virtio device and its MMIO transport with fakes for all it is handed, and the
 * registers a driver uses. For unit tests and fuzz targets; one thread, which is vCPU and I/O thread in
 * turn: a doorbell that is rung is answered before the register access returns.
 */
#ifndef TESTS_VIRTIO_RIG_H
#define TESTS_VIRTIO_RIG_H

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/macros.h"
#include "event.h"
#include "fake_env.h"
#include "virtio/mmio.h"
#include "virtq_driver.h"

enum { VIRTIO_RIG_RAM_BYTES = 1 << 20, VIRTIO_RIG_QUEUE_GPA = 0x10000 };

struct virtio_rig {
	struct fake_env f;
	struct guest_mem mem;
	struct event_loop loop; /* does not run by itself */
	struct doorbell bell;
	struct irq_line irq;
	struct write_counter writes;
	struct virtio_conf conf;
	struct device *dev;
	struct virtio_device *vd;

	unsigned pulses;
	uint64_t counted;
	bool watched;
	uint64_t rung; /* queues, a bit each */
	bool control;  /* doorbell.control was called */
	bool deaf;     /* doorbells are noted, not answered, until virtio_rig_answer() */
	bool answering;
};

static inline void virtio_rig_answer(struct virtio_rig *rig)
{
	if (rig->answering)
		return;
	rig->answering = true;
	while (rig->control || rig->rung) {
		if (rig->control) {
			rig->control = false;
			rig->dev->cls->io->control(rig->dev);
		} else {
			const unsigned queue = 63U - (unsigned)__builtin_clzll(rig->rung);

			rig->rung &= ~(UINT64_C(1) << queue);
			rig->dev->cls->io->kick(rig->dev, queue);
		}
	}
	rig->answering = false;
}

/* Not inlined: gcc 16 would put it in place of another doorbell's ring(), and warn of the bounds of that object. */
__attribute__((noinline)) static void virtio_rig_ring(struct doorbell *bell, unsigned queue)
{
	struct virtio_rig *rig = container_of(bell, struct virtio_rig, bell);

	assert(queue < rig->vd->nr_queues);
	rig->rung |= UINT64_C(1) << queue;
	if (!rig->deaf)
		virtio_rig_answer(rig);
}

static inline void virtio_rig_control(struct doorbell *bell)
{
	struct virtio_rig *rig = container_of(bell, struct virtio_rig, bell);

	rig->control = true;
	if (!rig->deaf)
		virtio_rig_answer(rig);
}

static inline void virtio_rig_pulse(struct irq_line *irq)
{
	container_of(irq, struct virtio_rig, irq)->pulses++;
}

static inline uint64_t virtio_rig_take(struct write_counter *writes)
{
	struct virtio_rig *rig = container_of(writes, struct virtio_rig, writes);
	const uint64_t n = rig->counted;

	rig->counted = 0;
	return n;
}

static inline void virtio_rig_watch(struct write_counter *writes, bool on)
{
	container_of(writes, struct virtio_rig, writes)->watched = on;
}

/* All but the device, so that a test may change what it is handed (rig->f.env). 0 or -errno. */
static inline int virtio_rig_prepare(struct virtio_rig *rig, const struct virtio_class *cls,
				     const void *conf)
{
	static const struct guest_region region = {.gpa = 0, .len = VIRTIO_RIG_RAM_BYTES};
	int r;

	*rig = (struct virtio_rig){
		.bell = {.ring = virtio_rig_ring, .control = virtio_rig_control},
		.irq = {.pulse = virtio_rig_pulse},
		.writes = {.take = virtio_rig_take, .watch = virtio_rig_watch},
		.conf = {.cls = cls, .conf = conf, .name = "test0"},
	};
	fake_env_init(&rig->f);
	r = guest_mem_init(&rig->mem, &region, 1, &(struct guest_mem_opts){0}, NULL);
	if (r == 0)
		r = event_loop_init(&rig->loop, NULL, NULL);
	if (r < 0)
		return r;
	rig->f.env.mem = &rig->mem;
	rig->f.env.irq = &rig->irq;
	rig->f.env.doorbell = &rig->bell;
	rig->f.env.loop = &rig->loop;
	rig->f.env.conf = &rig->conf;
	return 0;
}

/* 0 or -errno, what cls->init said. */
static inline int virtio_rig_create(struct virtio_rig *rig)
{
	int r = device_create(&virtio_mmio_class, &rig->f.env, &rig->dev);

	if (r == 0)
		rig->vd = virtio_device_of(rig->dev);
	return r;
}

/*
 * With what a KVM that has everything gives: a page for the registers, and acknowledgements that are
 * counted (virtio_rig_ack()); or without, where page is NULL. 0 or -errno, what cls->init said.
 */
static inline int virtio_rig_init_page(struct virtio_rig *rig, const struct virtio_class *cls,
				       const void *conf, uint8_t *page)
{
	int r = virtio_rig_prepare(rig, cls, conf);

	if (r < 0)
		return r;
	rig->f.env.register_page = page;
	rig->f.env.writes = page ? &rig->writes : NULL;
	return virtio_rig_create(rig);
}

static inline int virtio_rig_init(struct virtio_rig *rig, const struct virtio_class *cls,
				  const void *conf)
{
	return virtio_rig_init_page(rig, cls, conf, NULL);
}

static inline void virtio_rig_fini(struct virtio_rig *rig)
{
	rig->dev = device_destroy(rig->dev);
	event_loop_fini(&rig->loop);
	guest_mem_fini(&rig->mem);
}

static inline uint32_t virtio_rig_read(struct virtio_rig *rig, uint32_t reg)
{
	return (uint32_t)fake_read(rig->dev, 0, reg, 4);
}

static inline void virtio_rig_write(struct virtio_rig *rig, uint32_t reg, uint32_t val)
{
	fake_write(rig->dev, 0, reg, 4, val);
}

static inline uint32_t virtio_rig_status(struct virtio_rig *rig)
{
	return virtio_rig_read(rig, VIRTIO_MMIO_STATUS);
}

static inline uint64_t virtio_rig_features(struct virtio_rig *rig)
{
	uint64_t features;

	virtio_rig_write(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	features = (uint64_t)virtio_rig_read(rig, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	virtio_rig_write(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return features | virtio_rig_read(rig, VIRTIO_MMIO_DEVICE_FEATURES);
}

/* From reset to FEATURES_OK; VERSION_1 is added. False when the device refuses. */
static inline bool virtio_rig_negotiate(struct virtio_rig *rig, uint64_t features)
{
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE;

	features |= UINT64_C(1) << VIRTIO_F_VERSION_1;
	virtio_rig_write(rig, VIRTIO_MMIO_STATUS, 0);
	virtio_rig_write(rig, VIRTIO_MMIO_STATUS, status);
	status |= VIRTIO_CONFIG_S_DRIVER;
	virtio_rig_write(rig, VIRTIO_MMIO_STATUS, status);
	for (uint32_t half = 0; half < 2; half++) {
		virtio_rig_write(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		virtio_rig_write(rig, VIRTIO_MMIO_DRIVER_FEATURES,
				 (uint32_t)(features >> (32 * half)));
	}
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	virtio_rig_write(rig, VIRTIO_MMIO_STATUS, status);
	return virtio_rig_status(rig) == status;
}

/* The addresses and the size of a queue that virtq_driver_init() made; true when it becomes ready. */
static inline bool virtio_rig_queue(struct virtio_rig *rig, uint32_t index,
				    const struct virtq_driver *drv)
{
	const struct {
		uint32_t reg;
		uint64_t gpa;
	} areas[] = {{VIRTIO_MMIO_QUEUE_DESC_LOW, drv->desc_gpa},
		     {VIRTIO_MMIO_QUEUE_AVAIL_LOW, drv->avail_gpa},
		     {VIRTIO_MMIO_QUEUE_USED_LOW, drv->used_gpa}};

	virtio_rig_write(rig, VIRTIO_MMIO_QUEUE_SEL, index);
	virtio_rig_write(rig, VIRTIO_MMIO_QUEUE_NUM, drv->size);
	for (unsigned i = 0; i < 3; i++) {
		virtio_rig_write(rig, areas[i].reg, (uint32_t)areas[i].gpa);
		virtio_rig_write(rig, areas[i].reg + 4, (uint32_t)(areas[i].gpa >> 32));
	}
	virtio_rig_write(rig, VIRTIO_MMIO_QUEUE_READY, 1);
	return virtio_rig_read(rig, VIRTIO_MMIO_QUEUE_READY) == 1;
}

static inline void virtio_rig_driver_ok(struct virtio_rig *rig)
{
	virtio_rig_write(rig, VIRTIO_MMIO_STATUS,
			 virtio_rig_status(rig) | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* All of it, with queue 0 at VIRTIO_RIG_QUEUE_GPA. */
static inline bool virtio_rig_start(struct virtio_rig *rig, struct virtq_driver *drv, uint32_t size,
				    uint64_t features)
{
	virtq_driver_init(drv, &rig->mem, VIRTIO_RIG_QUEUE_GPA, size);
	drv->event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	if (!virtio_rig_negotiate(rig, features) || !virtio_rig_queue(rig, 0, drv))
		return false;
	virtio_rig_driver_ok(rig);
	return true;
}

/* A used-buffer interrupt is acknowledged without an exit, as KVM does it. */
static inline void virtio_rig_ack(struct virtio_rig *rig)
{
	rig->counted++;
	if (rig->watched)
		rig->dev->cls->io->counted(rig->dev);
}

/* The timer expires. */
static inline void virtio_rig_expire(struct virtio_rig *rig)
{
	assert(rig->f.deadline_ns != INT64_MAX);
	rig->f.deadline_ns = INT64_MAX;
	rig->dev->cls->expire(rig->dev);
}

static inline void virtio_rig_kick(struct virtio_rig *rig, uint32_t queue)
{
	virtio_rig_write(rig, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

#endif
