/*
 * queue.h - split virtqueues (virtio 1.2, 2.7): the only code that reads or writes a ring.
 *
 * The driver is not trusted and may change every byte of a ring at any time: each field is fetched once
 * and then checked. A ring that breaks the rules is answered with an error, upon which the device asks
 * for a reset; nothing that a ring holds can make these functions loop for longer than its size, reach
 * outside guest RAM, or allocate.
 *
 * Threads: what sets a queue up runs while the device does not; everything from virtq_pop() on belongs
 * to the device's I/O thread. No function here makes a system call.
 */
#ifndef VMM_VIRTIO_QUEUE_H
#define VMM_VIRTIO_QUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mem.h"

enum { VIRTQ_SIZE_MAX = 32768 }; /* 2.7: the largest Queue Size */

/* Why a chain or a ring was refused; kept for statistics and messages. */
enum virtq_fault {
	VIRTQ_OK,
	VIRTQ_FAULT_AVAIL_IDX, /* more chains with the device than the queue holds */
	VIRTQ_FAULT_HEAD,      /* a head that is not a descriptor */
	VIRTQ_FAULT_NEXT,      /* a next that is not a descriptor */
	VIRTQ_FAULT_LOOP,      /* a chain longer than the queue */
	VIRTQ_FAULT_ADDRESS,   /* a buffer that is not in RAM */
	VIRTQ_FAULT_LENGTH,    /* an empty buffer, or 2^32 bytes and more in one chain */
	VIRTQ_FAULT_ORDER,     /* device-readable after device-writable */
	VIRTQ_FAULT_INDIRECT,  /* not negotiated, nested, with NEXT, empty or of a broken length */
	VIRTQ_FAULT_SEGMENTS,  /* more pieces than the device takes in one request */
	VIRTQ_FAULTS,
};

struct virtq {
	const struct guest_mem *mem; /* borrowed */

	/* The driver's values, as it wrote them. */
	uint32_t size; /* descriptors; a power of two, at most size_max */
	uint32_t size_max;
	uint64_t desc_gpa, driver_gpa, device_gpa;

	/* Set by virtq_start(). */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	bool event_idx, indirect;

	uint16_t avail_idx;      /* the next available element to take, free-running */
	uint16_t avail_seen;     /* avail->idx when it was last looked at */
	uint16_t used_idx;       /* the next used element to write */
	uint16_t used_published; /* used->idx as the driver sees it */
	enum virtq_fault fault;  /* sticky until the next virtq_start() */

	/*
	 * Since the VM started: chains taken, interrupts that the driver wanted and did not want. Written
	 * by the I/O thread, read by statistics: __ATOMIC_RELAXED.
	 */
	uint64_t chains, signals, suppressed;
};

/* A request: a descriptor chain whose buffers are host memory. */
struct virtq_chain {
	uint16_t head;
	unsigned nr_out, nr_in;  /* pieces: device-readable first, then device-writable */
	const struct iovec *out; /* nr_out; in the storage given to virtq_pop() */
	struct iovec *in;        /* nr_in; right after them */
	uint32_t out_bytes, in_bytes;
};

/* A queue that no driver has set up yet. mem is borrowed. */
void virtq_init(struct virtq *vq, const struct guest_mem *mem, uint32_t size_max);
/* The state after a device reset; what was counted stays. */
void virtq_reset(struct virtq *vq);

/*
 * Makes the queue live: finds its three areas in RAM. features: as negotiated. -EINVAL when size is 0,
 * no power of two or above size_max, an area is misaligned (2.7: 16, 2 and 4 bytes) or not in RAM.
 * Nothing is written to the areas: the driver has initialised them.
 */
int virtq_start(struct virtq *vq, uint64_t features);
static inline bool virtq_live(const struct virtq *vq)
{
	return vq->desc != NULL;
}
void virtq_stop(struct virtq *vq);

/*
 * Takes the next available chain into iov, which has room for iov_max pieces, one a descriptor. 1 with
 * *ret filled in, 0 when there is none, -EPROTO when the ring is broken (vq->fault says how): it then
 * stays so until the device is reset.
 *
 * At most size chains are taken and not published at any time, so a turn that does not publish has an end.
 * A device bounds arrays of its own all the same. A hostile driver can give two chains the same head, so a
 * head may be handed back, but is not an index of the device's own requests.
 */
int virtq_pop(struct virtq *vq, struct iovec *iov, unsigned iov_max, struct virtq_chain *ret);

/* Puts back the last n chains taken, none of which was pushed: they are popped again. */
void virtq_unpop(struct virtq *vq, unsigned n);

/*
 * Hands a chain back, with the bytes written to its device-writable part. The driver sees it after
 * virtq_publish(), in the order of the pushes: with VIRTIO_F_IN_ORDER that is the order of the pops.
 */
void virtq_push(struct virtq *vq, uint16_t head, uint32_t written_bytes);

/* Shows the driver what was pushed. True when it wants an interrupt for that (2.7.7). */
bool virtq_publish(struct virtq *vq);

/*
 * Suppresses kicks while the queue is being worked on, and asks for them again (2.7.10). allow returns
 * true when more became available meanwhile, for which no kick may come: look again.
 */
void virtq_kicks_suppress(struct virtq *vq);
bool virtq_kicks_allow(struct virtq *vq);

/* "descriptor chain longer than the queue" and the like, for messages; a literal. */
const char *virtq_fault_name(enum virtq_fault fault);

#endif
