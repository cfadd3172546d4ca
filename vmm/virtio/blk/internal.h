/*
 * internal.h - what the two sides of the block device share: blk.c, the queues and the configuration, and
 * blk/request.c, one request from its chain to its status. For these two alone; I/O thread.
 */
#ifndef VMM_VIRTIO_BLK_INTERNAL_H
#define VMM_VIRTIO_BLK_INTERNAL_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio/classes.h"

enum {
	BLK_REQUEST_IOV_MAX =
		VIRTIO_BLK_SEGS_MAX + 8,   /* header and status, not always in one piece */
	BLK_DISCARD_SECTORS_MAX = 1 << 21, /* 1 GiB a range */
	BLK_ZERO_SECTORS_MAX = 1 << 16,    /* 32 MiB: it may have to be written */
};
_Static_assert((int)VIRTIO_BLK_ID_MAX == VIRTIO_BLK_ID_BYTES, "5.2.6");
_Static_assert((int)BLK_REQUEST_IOV_MAX <= (int)DISK_IOV_MAX, "a request is a disk's request");

/* virtio_device.counter */
enum {
	BLK_COUNT_READ_BYTES,
	BLK_COUNT_WRITTEN_BYTES,
	BLK_COUNT_FLUSHES,
	BLK_COUNT_ERRORS,
	BLK_COUNT_FAULTS, /* on purpose: one for each enum fault_kind that disks have */
	BLK_COUNTERS = BLK_COUNT_FAULTS + FAULT_DELAY + 1,
};

struct blk;

/* A chain, from pop to push. */
struct blk_request {
	struct blk *blk;
	struct blk_request *next_free;
	unsigned queue;
	uint16_t head;
	uint32_t in_bytes; /* of the device-writable part, with the status */
	uint8_t *status;   /* guest memory: the last byte of it */
	uint64_t bytes;    /* of a read or write */
	struct disk_request disk;
	struct virtio_blk_discard_write_zeroes range[VIRTIO_BLK_RANGES_MAX];
	unsigned nr_ranges, next_range;
	struct iovec iov[BLK_REQUEST_IOV_MAX];
};

struct blk {
	struct virtio_device vd;
	struct disk *disk;
	struct virtio_blk_config config; /* as it should be, whatever the driver wrote to it */
	char id[VIRTIO_BLK_ID_BYTES];

	struct blk_request *requests; /* DISK_REQUESTS_MAX; touched as they are first used */
	unsigned nr_touched;
	struct blk_request *free; /* of those */
	uint32_t waiting;         /* a bit for each queue that may have chains */
	unsigned served;          /* the queue that was served last */
	uint32_t unpublished;     /* a bit for each queue that chains were pushed to */
};
_Static_assert(VIRTIO_BLK_QUEUES_MAX <= 32, "a bit for each queue");

/* A request without a chain yet; NULL: all are under way. */
struct blk_request *blk_request_take(struct blk *blk);
/* Gives back one that has not been started. */
void blk_request_free(struct blk_request *rq);

/*
 * Starts what the chain, which is in rq->iov, asks for; rq->queue is set. It ends with the chain pushed, at once or
 * from the disk's completions, and a bit in unpublished. A chain that is not a request breaks the device
 * (virtio_needs_reset()).
 */
void blk_request_start(struct blk_request *rq, const struct virtq_chain *chain);

#endif
