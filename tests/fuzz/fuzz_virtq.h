/*
 * fuzz_virtq.h - what a hostile driver does to any queue, for the targets that have some: it floods it with small
 * buffers, sets its index back, leaves a queue out. And what must hold of every queue after that.
 */
#ifndef TESTS_FUZZ_FUZZ_VIRTQ_H
#define TESTS_FUZZ_FUZZ_VIRTQ_H

#include <assert.h>

#include "fuzz.h"

#include "virtio/virtio.h"
#include "virtq_driver.h"

/* Chains that an honest driver may offer still. */
static inline unsigned fuzz_virtq_room(const struct virtq_driver *d)
{
	const uint16_t out = (uint16_t)(d->avail_idx - d->used->idx);

	return out < d->size ? d->size - out : 0;
}

/* Fills the queue with chains that are all the one at head, which the caller has made. */
static inline void fuzz_virtq_flood(struct virtq_driver *d, uint16_t head)
{
	for (unsigned room = fuzz_virtq_room(d); room > 0; room--)
		virtq_driver_offer(d, head);
}

/* Sets the driver's index back, mostly by few: as if nearly 65,536 chains had been offered. */
static inline void fuzz_virtq_back(struct virtq_driver *d, struct fuzz_input *in)
{
	const uint8_t choice = fuzz_u8(in);
	const uint64_t by = choice & 0x80 ? fuzz_scaled(in, 8) : 1 + choice % 8U;

	d->avail_idx = (uint16_t)(d->avail_idx - by);
	__atomic_store_n(&d->avail->idx, d->avail_idx, __ATOMIC_SEQ_CST);
}

/* The queues that a driver does not set up, a bit each; mostly none. */
static inline uint32_t fuzz_virtq_left_out(struct fuzz_input *in)
{
	const uint8_t choice = fuzz_u8(in);

	return choice & 3 ? 0 : fuzz_u8(in);
}

/*
 * No more chains are with the device than a queue holds, whatever it was handed, or it says what is wrong: the
 * sum of what it knows to be offered, what it has taken, and what it has handed back unseen.
 */
static inline void fuzz_virtq_check(const struct virtio_device *vd)
{
	for (unsigned i = 0; i < vd->nr_queues; i++) {
		const struct virtq *vq = &vd->queue[i];
		const uint32_t offered = (uint16_t)(vq->avail_seen - vq->avail_idx);
		const uint32_t taken = (uint16_t)(vq->avail_idx - vq->used_idx);
		const uint32_t unseen = (uint16_t)(vq->used_idx - vq->used_published);

		assert(!virtq_live(vq) || vq->fault != VIRTQ_OK ||
		       offered + taken + unseen <= vq->size);
	}
}

#endif
