#include "virtio.h"

#include <string.h>

#include "access.h"
#include "devtree.h"
#include "ioapic.h"
#include "lapic.h"
#include "power.h"
#include "trap.h"

enum { RESET_LOOKS = 100000 };

static struct {
	struct virtio_device dev;
	struct virtio_interrupts count;
} active;

uint32_t virtio_read(const struct virtio_device *dev, enum virtio_reg reg)
{
	return mmio_read32(dev->base + (uint64_t)reg);
}

void virtio_write(const struct virtio_device *dev, enum virtio_reg reg, uint32_t val)
{
	mmio_write32(dev->base + (uint64_t)reg, val);
}

bool virtio_find(uint32_t type, struct virtio_device *ret)
{
	for (size_t i = 0; i < devtree_nr_devices(); i++) {
		const struct devtree_device *node = devtree_device(i);
		struct virtio_device dev;

		if (!devtree_is(node, "virtio,mmio") || node->nr_regs != 1 || node->gsi < 0)
			continue;
		dev = (struct virtio_device){.base = node->reg[0].first,
					     .gsi = (unsigned)node->gsi};
		if (virtio_read(&dev, VIRTIO_DEVICE_ID) == type) {
			*ret = dev;
			return true;
		}
	}
	return false;
}

uint64_t virtio_features(const struct virtio_device *dev)
{
	uint64_t features;

	virtio_write(dev, VIRTIO_DEVICE_FEATURES_SEL, 1);
	features = (uint64_t)virtio_read(dev, VIRTIO_DEVICE_FEATURES) << 32;
	virtio_write(dev, VIRTIO_DEVICE_FEATURES_SEL, 0);
	return features | virtio_read(dev, VIRTIO_DEVICE_FEATURES);
}

bool virtio_reset(const struct virtio_device *dev)
{
	virtio_write(dev, VIRTIO_STATUS, 0);
	for (unsigned i = 0; i < RESET_LOOKS; i++) {
		const uint32_t status = virtio_read(dev, VIRTIO_STATUS);

		if (status == 0 || status == UINT32_MAX)
			return status == 0;
	}
	guest_panic("virtio: no end of the reset");
}

/* 3.1.1 */
bool virtio_negotiate(const struct virtio_device *dev, uint64_t features)
{
	uint32_t status = VIRTIO_S_ACKNOWLEDGE;

	if (!virtio_reset(dev))
		return false;
	virtio_write(dev, VIRTIO_STATUS, status);
	status |= VIRTIO_S_DRIVER;
	virtio_write(dev, VIRTIO_STATUS, status);
	virtio_write(dev, VIRTIO_DRIVER_FEATURES_SEL, 0);
	virtio_write(dev, VIRTIO_DRIVER_FEATURES, (uint32_t)features);
	virtio_write(dev, VIRTIO_DRIVER_FEATURES_SEL, 1);
	virtio_write(dev, VIRTIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	status |= VIRTIO_S_FEATURES_OK;
	virtio_write(dev, VIRTIO_STATUS, status);
	return virtio_read(dev, VIRTIO_STATUS) == status;
}

static void write_address(const struct virtio_device *dev, enum virtio_reg low, uint64_t gpa)
{
	virtio_write(dev, low, (uint32_t)gpa);
	virtio_write(dev, low + 4, (uint32_t)(gpa >> 32));
}

bool virtio_queue_place(const struct virtio_device *dev, unsigned index,
			const struct virtio_areas *areas)
{
	virtio_write(dev, VIRTIO_QUEUE_SEL, index);
	virtio_write(dev, VIRTIO_QUEUE_NUM, areas->size);
	write_address(dev, VIRTIO_QUEUE_DESC, areas->desc_gpa);
	write_address(dev, VIRTIO_QUEUE_DRIVER, areas->driver_gpa);
	write_address(dev, VIRTIO_QUEUE_DEVICE, areas->device_gpa);
	virtio_write(dev, VIRTIO_QUEUE_READY, 1);
	return virtio_read(dev, VIRTIO_QUEUE_READY) == 1;
}

struct virtio_areas virtio_areas_of(const struct virtio_queue *q)
{
	return (struct virtio_areas){
		.size = VIRTIO_QUEUE_SIZE,
		.desc_gpa = (uintptr_t)q->desc,
		.driver_gpa = (uintptr_t)&q->avail,
		.device_gpa = (uintptr_t)&q->used,
	};
}

bool virtio_queue_start(const struct virtio_device *dev, unsigned index, struct virtio_queue *q)
{
	const struct virtio_areas areas = virtio_areas_of(q);

	memset(q, 0, sizeof(*q));
	virtio_write(dev, VIRTIO_QUEUE_SEL, index);
	return virtio_read(dev, VIRTIO_QUEUE_NUM_MAX) >= VIRTIO_QUEUE_SIZE &&
	       virtio_queue_place(dev, index, &areas);
}

/* As Linux's does: read, acknowledge, then look at what it was. */
static void interrupt(void)
{
	const uint32_t status = virtio_read(&active.dev, VIRTIO_INTERRUPT_STATUS);

	virtio_write(&active.dev, VIRTIO_INTERRUPT_ACK, status);
	if (status & VIRTIO_INT_USED)
		active.count.used++;
	if (status & VIRTIO_INT_CONFIG)
		active.count.config++;
	if (status == 0)
		active.count.spurious++;
}

void virtio_start(const struct virtio_device *dev)
{
	active.dev = *dev;
	active.count = (struct virtio_interrupts){0};
	trap_set_handler(VECTOR_VIRTIO, interrupt);
	ioapic_route(dev->gsi, VECTOR_VIRTIO, lapic_id());
	virtio_write(dev, VIRTIO_STATUS, virtio_read(dev, VIRTIO_STATUS) | VIRTIO_S_DRIVER_OK);
}

const struct virtio_interrupts *virtio_interrupts(void)
{
	return &active.count;
}

void virtio_offer(struct virtio_queue *q, uint16_t head)
{
	const uint16_t idx = q->avail.idx;

	q->avail.ring[idx % VIRTIO_QUEUE_SIZE] = head;
	__atomic_store_n(&q->avail.idx, (uint16_t)(idx + 1), __ATOMIC_SEQ_CST);
}

void virtio_kick(const struct virtio_device *dev, unsigned index)
{
	virtio_write(dev, VIRTIO_QUEUE_NOTIFY, index);
}

bool virtio_used(struct virtio_queue *q, uint32_t *ret_len)
{
	if (__atomic_load_n(&q->used.idx, __ATOMIC_SEQ_CST) == q->used_seen)
		return false;
	*ret_len = q->used.ring[q->used_seen % VIRTIO_QUEUE_SIZE].len;
	q->used_seen++;
	return true;
}
