/*
 * mmio.h - the virtio over MMIO transport (virtio 1.2, 4.2), version 2, in front of any virtio_class.
 *
 * One device_class serves all: the row's conf says which virtio device is behind it.
 */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include "device.h"
#include "virtio/virtio.h"

enum {
	VIRTIO_MMIO_BYTES = 0x200, /* of the register range: 0x100 and the configuration space */
};

/* device_env.conf of virtio_mmio_class; borrowed. */
struct virtio_mmio_conf {
	const struct virtio_class *cls;
	const void *conf; /* handed to cls->init */
	const char *name; /* the row's */
};

/* env: clock, mem, irq, loop, doorbell, conf, and what the virtio class asks for. */
extern const struct device_class virtio_mmio_class;

/* The virtio device behind a device of virtio_mmio_class, for wiring and statistics. */
struct virtio_device *virtio_mmio_device(struct device *dev);

#endif
