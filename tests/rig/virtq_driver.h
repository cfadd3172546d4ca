/*
 * virtq_driver.h - the driver's side of a split virtqueue (virtio 1.2, 2.7), for unit tests and fuzz
 * targets: it adds chains and takes used ones, and lets a test put anything into a ring.
 *
 * The descriptor table lies at gpa, the rings right after it. Ring fields are accessed atomically, so
 * that a driver may run on a thread of its own.
 */
#ifndef TESTS_VIRTQ_DRIVER_H
#define TESTS_VIRTQ_DRIVER_H

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mem.h"
#include "virtio/queue.h"

struct virtq_driver {
	const struct guest_mem *mem;
	uint32_t size;
	bool event_idx;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx; /* as published */
	uint16_t used_idx;  /* the next used element to look at */
	uint32_t
		next_free; /* descriptors are taken round and round: the test sees to it that they are free */
};

/* One buffer of a chain. */
struct virtq_buf {
	uint64_t gpa;
	uint32_t len;
	bool write; /* by the device */
};

/* Bytes a queue takes from gpa on, with EVENT_IDX's words. */
static inline uint64_t virtq_driver_bytes(uint32_t size)
{
	return size * sizeof(struct vring_desc) + sizeof(struct vring_avail) + (uint64_t)size * 2 +
	       4U + sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) + 2U;
}

static inline void virtq_driver_init(struct virtq_driver *d, const struct guest_mem *mem,
				     uint64_t gpa, uint32_t size)
{
	*d = (struct virtq_driver){.mem = mem, .size = size, .desc_gpa = gpa};
	d->avail_gpa = gpa + size * sizeof(struct vring_desc);
	d->used_gpa =
		(d->avail_gpa + sizeof(struct vring_avail) + (uint64_t)size * 2 + 2U + 3U) & ~3ULL;
	d->desc = guest_mem_ptr(mem, d->desc_gpa, size * sizeof(struct vring_desc));
	d->avail = guest_mem_ptr(mem, d->avail_gpa,
				 sizeof(struct vring_avail) + (uint64_t)size * 2 + 2U);
	d->used = guest_mem_ptr(mem, d->used_gpa,
				sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) +
					2U);
	assert(d->desc && d->avail && d->used);
	__atomic_store_n(&d->avail->flags, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&d->avail->idx, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&d->used->flags, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&d->used->idx, 0, __ATOMIC_RELAXED);
}

/* A driver and vq, which is stopped, live at gpa as if a driver had set them; 0 or what virtq_start() said. */
static inline int virtq_driver_start(struct virtq_driver *d, struct virtq *vq, uint64_t gpa,
				     uint32_t size, uint64_t features)
{
	virtq_driver_init(d, vq->mem, gpa, size);
	d->event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	vq->size = size;
	vq->desc_gpa = d->desc_gpa;
	vq->driver_gpa = d->avail_gpa;
	vq->device_gpa = d->used_gpa;
	return virtq_start(vq, features);
}

/* One descriptor, as it is in memory. */
static inline void virtq_desc_set(struct vring_desc *at, uint64_t gpa, uint32_t len, uint16_t flags,
				  uint16_t next)
{
	const uint64_t rest = len | (uint64_t)flags << 32 | (uint64_t)next << 48;
	uint64_t *word = (uint64_t *)(void *)at;

	__atomic_store_n(&word[0], gpa, __ATOMIC_RELAXED);
	__atomic_store_n(&word[1], rest, __ATOMIC_RELAXED);
}

/* Makes head available, whatever it is. */
static inline void virtq_driver_offer(struct virtq_driver *d, uint16_t head)
{
	__atomic_store_n(&d->avail->ring[d->avail_idx & (d->size - 1)], head, __ATOMIC_RELAXED);
	d->avail_idx++;
	__atomic_store_n(&d->avail->idx, d->avail_idx, __ATOMIC_SEQ_CST);
}

/* A chain of n descriptors; returns its head, which is not offered yet. */
static inline uint16_t virtq_driver_chain(struct virtq_driver *d, const struct virtq_buf *buf,
					  unsigned n)
{
	const uint32_t head = d->next_free & (d->size - 1);

	for (unsigned i = 0; i < n; i++) {
		const uint32_t at = (head + i) & (d->size - 1);

		virtq_desc_set(&d->desc[at], buf[i].gpa, buf[i].len,
			       (uint16_t)((buf[i].write ? VRING_DESC_F_WRITE : 0) |
					  (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			       (uint16_t)((at + 1) & (d->size - 1)));
	}
	d->next_free = head + n;
	return (uint16_t)head;
}

/* The same in an indirect table at table_gpa, with one descriptor that refers to it. */
static inline uint16_t virtq_driver_indirect(struct virtq_driver *d, uint64_t table_gpa,
					     const struct virtq_buf *buf, unsigned n)
{
	const uint32_t bytes = n * (uint32_t)sizeof(struct vring_desc);
	uint8_t *table = guest_mem_ptr(d->mem, table_gpa, bytes); /* aligned or not */
	const uint32_t head = d->next_free++ & (d->size - 1);

	assert(table);
	for (unsigned i = 0; i < n; i++) {
		const struct vring_desc desc = {
			.addr = buf[i].gpa,
			.len = buf[i].len,
			.flags = (uint16_t)((buf[i].write ? VRING_DESC_F_WRITE : 0) |
					    (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(i + 1),
		};

		memcpy(table + i * sizeof(desc), &desc, sizeof(desc));
	}
	virtq_desc_set(&d->desc[head], table_gpa, bytes, VRING_DESC_F_INDIRECT, 0);
	return (uint16_t)head;
}

/* A chain, made and offered; returns its head. */
static inline uint16_t virtq_driver_add(struct virtq_driver *d, const struct virtq_buf *buf,
					unsigned n)
{
	const uint16_t head = virtq_driver_chain(d, buf, n);

	virtq_driver_offer(d, head);
	return head;
}

/* Whether the device wants a kick for what was offered since avail_idx was old (2.7.9, 2.7.10). */
static inline bool virtq_driver_kick_wanted(const struct virtq_driver *d, uint16_t old)
{
	const void *event = &d->used->ring[d->size];

	if (!d->event_idx)
		return !(__atomic_load_n(&d->used->flags, __ATOMIC_SEQ_CST) &
			 VRING_USED_F_NO_NOTIFY);
	return vring_need_event(__atomic_load_n((const uint16_t *)event, __ATOMIC_SEQ_CST),
				d->avail_idx, old);
}

/* The next used element; false when there is none. */
static inline bool virtq_driver_used(struct virtq_driver *d, uint32_t *ret_id, uint32_t *ret_len)
{
	const struct vring_used_elem *elem = &d->used->ring[d->used_idx & (d->size - 1)];

	if (__atomic_load_n(&d->used->idx, __ATOMIC_SEQ_CST) == d->used_idx)
		return false;
	*ret_id = __atomic_load_n(&elem->id, __ATOMIC_RELAXED);
	*ret_len = __atomic_load_n(&elem->len, __ATOMIC_RELAXED);
	d->used_idx++;
	return true;
}

/* With EVENT_IDX: an interrupt once used->idx passes idx (2.7.7). */
static inline void virtq_driver_used_event(struct virtq_driver *d, uint16_t idx)
{
	__atomic_store_n(&d->avail->ring[d->size], idx, __ATOMIC_SEQ_CST);
}

#endif
