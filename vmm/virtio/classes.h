/*
 * classes.h - the virtio devices, and what each wants to be told (virtio_mmio_conf.conf).
 */
#ifndef VIRTIO_CLASSES_H
#define VIRTIO_CLASSES_H

#include "backend/disk.h"
#include "virtio/virtio.h"

/* rng.c: entropy. env: doorbell. conf: none. */
extern const struct virtio_class virtio_rng_class;

enum {
	VIRTIO_BLK_QUEUES_MAX = 16,
	VIRTIO_BLK_QUEUES_AUTO = 4, /* at most, where nobody says how many */
	VIRTIO_BLK_ID_MAX = 20,     /* bytes; VIRTIO_BLK_ID_BYTES of the kernel's header */
	VIRTIO_BLK_SEGS_MAX = 254,  /* pieces of data in one request */
	VIRTIO_BLK_RANGES_MAX = 16, /* of one discard or write-zeroes request */
};

struct virtio_blk_conf {
	struct disk_opts disk;
	/* disk_open(), or a test's way to make a disk. */
	int (*open)(const struct disk_opts *opts, struct event_loop *loop,
		    void (*settled)(void *arg), void *arg, struct disk **ret, struct diag *diag);
	unsigned queues;      /* 0: one a vCPU, up to VIRTIO_BLK_QUEUES_AUTO */
	const unsigned *cpus; /* the vCPUs there will be */
	const char *id;       /* NULL: the device's name */
};

/* blk.c: block. env: doorbell. conf: struct virtio_blk_conf. */
extern const struct virtio_class virtio_blk_class;

#endif
