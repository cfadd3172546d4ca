#include "virtio/queue.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

/*
 * Memory order (2.7.13, 2.7.7, 2.7.10). The driver's index is read with acquire before what it
 * announces, and ours is written with release after. Where each side first writes its own word and
 * then reads the other's, to decide whether a notification is needed, both are sequentially
 * consistent: with anything weaker each may miss the other's write, and the ring stands still.
 */
static uint16_t ring_load16(const void *field, int order)
{
	return le16toh(__atomic_load_n((const uint16_t *)field, order));
}

static void ring_store16(void *field, uint16_t val, int order)
{
	__atomic_store_n((uint16_t *)field, htole16(val), order);
}

static void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED); /* only one thread writes it */
}

/* Where EVENT_IDX has its two words: after the rings (2.7.6, 2.7.8). */
static const __virtio16 *used_event(const struct virtq *vq)
{
	return &vq->avail->ring[vq->size];
}

static void *avail_event(const struct virtq *vq)
{
	return &vq->used->ring[vq->size];
}

void virtq_init(struct virtq *vq, const struct guest_mem *mem, uint32_t size_max)
{
	assert(size_max > 0 && size_max <= VIRTQ_SIZE_MAX && (size_max & (size_max - 1)) == 0);
	*vq = (struct virtq){.mem = mem, .size_max = size_max};
}

void virtq_reset(struct virtq *vq)
{
	virtq_stop(vq);
	vq->size = 0;
	vq->desc_gpa = vq->driver_gpa = vq->device_gpa = 0;
}

/* An area of the queue as memory, or NULL. The host's alignment follows the guest's: regions are pages. */
static void *find_area(const struct virtq *vq, uint64_t gpa, unsigned align, uint64_t bytes)
{
	return gpa % align == 0 ? guest_mem_ptr(vq->mem, gpa, bytes) : NULL;
}

int virtq_start(struct virtq *vq, uint64_t features)
{
	const bool event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	const uint64_t n = vq->size, event_bytes = event_idx ? sizeof(uint16_t) : 0;
	void *desc, *avail, *used;

	if (n == 0 || n > vq->size_max || (n & (n - 1)) != 0)
		return -EINVAL;
	desc = find_area(vq, vq->desc_gpa, VRING_DESC_ALIGN_SIZE, n * sizeof(struct vring_desc));
	avail = find_area(vq, vq->driver_gpa, VRING_AVAIL_ALIGN_SIZE,
			  sizeof(struct vring_avail) + n * sizeof(uint16_t) + event_bytes);
	used = find_area(vq, vq->device_gpa, VRING_USED_ALIGN_SIZE,
			 sizeof(struct vring_used) + n * sizeof(struct vring_used_elem) +
				 event_bytes);
	if (!desc || !avail || !used)
		return -EINVAL;
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->event_idx = event_idx;
	vq->indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	vq->avail_idx = vq->avail_seen = vq->used_idx = vq->used_published = 0;
	vq->fault = VIRTQ_OK;
	return 0;
}

void virtq_stop(struct virtq *vq)
{
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
}

/* A chain as far as it has been followed. */
struct walk {
	const struct virtq *vq;
	struct iovec *iov;
	unsigned iov_max;
	struct virtq_chain chain;
	uint64_t bytes;
};

/* Fetched once, whatever the driver writes meanwhile. */
static uint64_t fetch64(const unsigned char *p)
{
	uint64_t val;

	if ((uintptr_t)p % sizeof(val) == 0)
		return le64toh(
			__atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_RELAXED));
	/* An indirect table, which may be anywhere. The compiler must not fetch it a second time. */
	memcpy(&val, p, sizeof(val));
	__asm__ volatile("" : "+m"(val));
	return le64toh(val);
}

static struct vring_desc fetch_desc(const unsigned char *table, uint32_t i)
{
	const unsigned char *p = table + (size_t)i * sizeof(struct vring_desc);
	const uint64_t rest = fetch64(p + offsetof(struct vring_desc, len));

	return (struct vring_desc){
		.addr = fetch64(p),
		.len = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48),
	};
}

static enum virtq_fault add_buffer(struct walk *w, const struct vring_desc *d)
{
	const bool writable = d->flags & VRING_DESC_F_WRITE;
	struct virtq_chain *c = &w->chain;
	const unsigned n = c->nr_out + c->nr_in;
	void *host;

	if (!writable && c->nr_in > 0)
		return VIRTQ_FAULT_ORDER;
	w->bytes += d->len; /* no overflow: at most 2^32 pieces of less than 2^32 bytes */
	if (d->len == 0 || w->bytes > UINT32_MAX)
		return VIRTQ_FAULT_LENGTH;
	host = guest_mem_ptr(w->vq->mem, d->addr, d->len);
	if (!host)
		return VIRTQ_FAULT_ADDRESS;
	if (n == w->iov_max)
		return VIRTQ_FAULT_SEGMENTS;
	w->iov[n] = (struct iovec){.iov_base = host, .iov_len = d->len};
	if (writable) {
		c->nr_in++;
		c->in_bytes += d->len;
	} else {
		c->nr_out++;
		c->out_bytes += d->len;
	}
	return VIRTQ_OK;
}

/*
 * Follows a chain through one table. Ends by itself: each step takes a piece of iov, and there are no
 * more steps than descriptors. On return *ret_last is where it ended, an indirect one unopened.
 */
static enum virtq_fault walk_table(struct walk *w, const void *table, uint32_t n, uint32_t i,
				   struct vring_desc *ret_last)
{
	for (uint32_t steps = 0; steps < n; steps++) {
		struct vring_desc d = fetch_desc(table, i);
		enum virtq_fault fault = VIRTQ_OK;

		if (!(d.flags & VRING_DESC_F_INDIRECT))
			fault = add_buffer(w, &d);
		if (fault != VIRTQ_OK)
			return fault;
		if (d.flags & VRING_DESC_F_INDIRECT || !(d.flags & VRING_DESC_F_NEXT)) {
			*ret_last = d;
			return VIRTQ_OK;
		}
		if (d.next >= n)
			return VIRTQ_FAULT_NEXT;
		i = d.next;
	}
	return VIRTQ_FAULT_LOOP;
}

/*
 * 2.7.5.3: direct descriptors may come before the one that refers to a table, none after; its WRITE
 * flag means nothing. The table may be longer than the queue: Linux makes such.
 */
static enum virtq_fault walk_indirect(struct walk *w, const struct vring_desc *ref)
{
	const uint32_t n = ref->len / sizeof(struct vring_desc);
	struct vring_desc last;
	enum virtq_fault fault;
	const void *table;

	if (!w->vq->indirect || ref->flags & VRING_DESC_F_NEXT || n == 0 ||
	    ref->len % sizeof(struct vring_desc) != 0)
		return VIRTQ_FAULT_INDIRECT;
	table = guest_mem_ptr(w->vq->mem, ref->addr, ref->len);
	if (!table)
		return VIRTQ_FAULT_ADDRESS;
	fault = walk_table(w, table, n, 0, &last);
	if (fault == VIRTQ_OK && last.flags & VRING_DESC_F_INDIRECT)
		fault = VIRTQ_FAULT_INDIRECT;
	return fault;
}

static enum virtq_fault walk_chain(struct walk *w, uint16_t head)
{
	struct vring_desc last;
	enum virtq_fault fault;

	if (head >= w->vq->size)
		return VIRTQ_FAULT_HEAD;
	fault = walk_table(w, w->vq->desc, w->vq->size, head, &last);
	if (fault == VIRTQ_OK && last.flags & VRING_DESC_F_INDIRECT)
		fault = walk_indirect(w, &last);
	return fault;
}

/* Looks at avail->idx only when all it said last time has been taken. */
static bool any_available(struct virtq *vq)
{
	if (vq->avail_seen == vq->avail_idx)
		vq->avail_seen = ring_load16(&vq->avail->idx, __ATOMIC_ACQUIRE);
	return vq->avail_seen != vq->avail_idx;
}

/*
 * 2.7.13.1: the driver takes free descriptors only. A chain is the device's until the driver can see that it
 * was used, in whatever order, so there are at most size of them. Offered chains and taken ones are two
 * differences, added in 32 bits. One over both hides an index that was set back: it wraps to a small number.
 */
static bool index_possible(const struct virtq *vq)
{
	const uint32_t offered = (uint16_t)(vq->avail_seen - vq->avail_idx);
	const uint32_t taken = (uint16_t)(vq->avail_idx - vq->used_published);

	return offered + taken <= vq->size;
}

int virtq_pop(struct virtq *vq, struct iovec *iov, unsigned iov_max, struct virtq_chain *ret)
{
	struct walk w = {.vq = vq, .iov = iov, .iov_max = iov_max};

	if (vq->fault != VIRTQ_OK)
		return -EPROTO;
	if (!any_available(vq))
		return 0;
	if (!index_possible(vq)) {
		vq->fault = VIRTQ_FAULT_AVAIL_IDX;
		return -EPROTO;
	}
	w.chain.head =
		ring_load16(&vq->avail->ring[vq->avail_idx & (vq->size - 1)], __ATOMIC_RELAXED);
	vq->fault = walk_chain(&w, w.chain.head);
	if (vq->fault != VIRTQ_OK)
		return -EPROTO;
	vq->avail_idx++;
	count(&vq->chains);
	w.chain.out = iov;
	w.chain.in = iov + w.chain.nr_out;
	*ret = w.chain;
	return 1;
}

void virtq_unpop(struct virtq *vq, unsigned n)
{
	assert(n <= (uint16_t)(vq->avail_idx - vq->used_idx));
	vq->avail_idx = (uint16_t)(vq->avail_idx - n);
	__atomic_store_n(&vq->chains, vq->chains - n, __ATOMIC_RELAXED);
}

void virtq_push(struct virtq *vq, uint16_t head, uint32_t written_bytes)
{
	struct vring_used_elem *elem = &vq->used->ring[vq->used_idx & (vq->size - 1)];

	assert(vq->used_idx != vq->avail_idx); /* more handed back than taken */
	__atomic_store_n(&elem->id, htole32((uint32_t)head), __ATOMIC_RELAXED);
	__atomic_store_n(&elem->len, htole32(written_bytes), __ATOMIC_RELAXED);
	vq->used_idx++;
}

bool virtq_publish(struct virtq *vq)
{
	const uint16_t old = vq->used_published;
	bool wanted;

	if (old == vq->used_idx)
		return false;
	ring_store16(&vq->used->idx, vq->used_idx, __ATOMIC_SEQ_CST);
	vq->used_published = vq->used_idx;
	if (vq->event_idx)
		wanted = vring_need_event(ring_load16(used_event(vq), __ATOMIC_SEQ_CST),
					  vq->used_idx, old);
	else
		wanted = !(ring_load16(&vq->avail->flags, __ATOMIC_SEQ_CST) &
			   VRING_AVAIL_F_NO_INTERRUPT);
	count(wanted ? &vq->signals : &vq->suppressed);
	return wanted;
}

/* With EVENT_IDX the last avail_event is in the past: a kick comes at most every 65,536 chains. */
void virtq_kicks_suppress(struct virtq *vq)
{
	if (!vq->event_idx)
		ring_store16(&vq->used->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

bool virtq_kicks_allow(struct virtq *vq)
{
	if (vq->event_idx)
		ring_store16(avail_event(vq), vq->avail_idx, __ATOMIC_SEQ_CST);
	else
		ring_store16(&vq->used->flags, 0, __ATOMIC_SEQ_CST);
	if (vq->fault != VIRTQ_OK)
		return false;
	return ring_load16(&vq->avail->idx, __ATOMIC_SEQ_CST) != vq->avail_idx;
}

const char *virtq_fault_name(enum virtq_fault fault)
{
	static const char *const names[VIRTQ_FAULTS] = {
		[VIRTQ_OK] = "no fault",
		[VIRTQ_FAULT_AVAIL_IDX] = "more chains available than the queue holds",
		[VIRTQ_FAULT_HEAD] = "chain head outside the descriptor table",
		[VIRTQ_FAULT_NEXT] = "next descriptor outside the table",
		[VIRTQ_FAULT_LOOP] = "descriptor chain longer than the table",
		[VIRTQ_FAULT_ADDRESS] = "buffer outside memory",
		[VIRTQ_FAULT_LENGTH] = "empty buffer, or chain of 4 GiB or more",
		[VIRTQ_FAULT_ORDER] = "device-readable buffer after a device-writable one",
		[VIRTQ_FAULT_INDIRECT] = "indirect table misused",
		[VIRTQ_FAULT_SEGMENTS] = "more buffers in a chain than the device takes",
	};

	return names[fault];
}
