/*
 * virtio.h - a driver for virtio over MMIO (virtio 1.2, 4.2), version 2, with split virtqueues: enough
 * to talk to a device properly, and open enough to do so improperly. One device at a time has its
 * interrupts counted.
 */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum virtio_reg {
	VIRTIO_MAGIC = 0x00,
	VIRTIO_VERSION = 0x04,
	VIRTIO_DEVICE_ID = 0x08,
	VIRTIO_VENDOR_ID = 0x0c,
	VIRTIO_DEVICE_FEATURES = 0x10,
	VIRTIO_DEVICE_FEATURES_SEL = 0x14,
	VIRTIO_DRIVER_FEATURES = 0x20,
	VIRTIO_DRIVER_FEATURES_SEL = 0x24,
	VIRTIO_QUEUE_SEL = 0x30,
	VIRTIO_QUEUE_NUM_MAX = 0x34,
	VIRTIO_QUEUE_NUM = 0x38,
	VIRTIO_QUEUE_READY = 0x44,
	VIRTIO_QUEUE_NOTIFY = 0x50,
	VIRTIO_INTERRUPT_STATUS = 0x60,
	VIRTIO_INTERRUPT_ACK = 0x64,
	VIRTIO_STATUS = 0x70,
	VIRTIO_QUEUE_DESC = 0x80,
	VIRTIO_QUEUE_DRIVER = 0x90,
	VIRTIO_QUEUE_DEVICE = 0xa0,
	VIRTIO_SHM_LEN_LOW = 0xb0,
	VIRTIO_SHM_BASE_HIGH = 0xbc,
	VIRTIO_CONFIG_GENERATION = 0xfc,
	VIRTIO_CONFIG = 0x100,
};

enum {
	VIRTIO_S_ACKNOWLEDGE = 1,
	VIRTIO_S_DRIVER = 2,
	VIRTIO_S_DRIVER_OK = 4,
	VIRTIO_S_FEATURES_OK = 8,
	VIRTIO_S_NEEDS_RESET = 0x40,

	VIRTIO_INT_USED = 1,
	VIRTIO_INT_CONFIG = 2,

	VIRTIO_DESC_NEXT = 1,
	VIRTIO_DESC_WRITE = 2,
	VIRTIO_DESC_INDIRECT = 4,
	VIRTIO_AVAIL_NO_INTERRUPT = 1,

	VIRTIO_TYPE_NET = 1,
	VIRTIO_TYPE_BLOCK = 2,
	VIRTIO_TYPE_CONSOLE = 3,
	VIRTIO_TYPE_RNG = 4,
	VIRTIO_TYPE_BALLOON = 5,
	VIRTIO_TYPE_SOCKET = 19,
	VIRTIO_TYPE_FS = 26,
};

#define VIRTIO_F_INDIRECT  (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)
#define VIRTIO_F_IN_ORDER  (UINT64_C(1) << 35)

enum { VIRTIO_QUEUE_SIZE = 32 };

struct virtio_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* In memory as the device sees it. The event words follow the rings. */
struct virtio_queue {
	_Alignas(16) struct virtio_desc desc[VIRTIO_QUEUE_SIZE];
	struct {
		uint16_t flags, idx, ring[VIRTIO_QUEUE_SIZE], used_event;
	} avail;
	_Alignas(4) struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[VIRTIO_QUEUE_SIZE];
		uint16_t avail_event;
	} used;
	uint16_t used_seen; /* ours: the next used element to look at */
};

struct virtio_device {
	uint64_t base;
	unsigned gsi;
};

/* The first device of that type which the device tree has; false: none. */
bool virtio_find(uint32_t type, struct virtio_device *ret);

uint32_t virtio_read(const struct virtio_device *dev, enum virtio_reg reg);
void virtio_write(const struct virtio_device *dev, enum virtio_reg reg, uint32_t val);
uint64_t virtio_features(const struct virtio_device *dev);

/* Status 0, and waits until the device agrees, or panics; false when no device is there any more. */
bool virtio_reset(const struct virtio_device *dev);

/* From reset to FEATURES_OK with these features; false when the device refuses them, or is not there any more. */
bool virtio_negotiate(const struct virtio_device *dev, uint64_t features);

/* Empties the queue and makes it ready; false when the device does not take it. */
bool virtio_queue_start(const struct virtio_device *dev, unsigned index, struct virtio_queue *q);

/* The driver's description of a queue, valid or not. */
struct virtio_areas {
	uint32_t size;
	uint64_t desc_gpa, driver_gpa, device_gpa;
};
struct virtio_areas virtio_areas_of(const struct virtio_queue *q);

/* Says it of a queue that is not ready, and that it is; whether the device agrees. */
bool virtio_queue_place(const struct virtio_device *dev, unsigned index,
			const struct virtio_areas *areas);

/* DRIVER_OK, with the device's interrupt counted from 0. */
void virtio_start(const struct virtio_device *dev);

/* Makes the chain from that descriptor on available. */
void virtio_offer(struct virtio_queue *q, uint16_t head);
void virtio_kick(const struct virtio_device *dev, unsigned index);

/* Whether the device used another buffer; *ret_len is what it wrote there. */
bool virtio_used(struct virtio_queue *q, uint32_t *ret_len);

/* Since virtio_start(). Spurious: InterruptStatus was 0. */
struct virtio_interrupts {
	unsigned used, config, spurious;
};
const struct virtio_interrupts *virtio_interrupts(void);

#endif
