/*
 * classes.h - the virtio devices, and what each wants to be told (virtio_mmio_conf.conf).
 */
#ifndef VIRTIO_CLASSES_H
#define VIRTIO_CLASSES_H

#include "virtio/virtio.h"

/* rng.c: entropy. env: doorbell. conf: none. */
extern const struct virtio_class virtio_rng_class;

#endif
