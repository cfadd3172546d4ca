/*
 * Fuzz target: the network device, with a driver that puts anything into its rings and a back end that
 * is written to and read by the target.
 *
 * Input: one byte for the device's shape, eight for the features that the driver acknowledges, one or two for
 * the queues that it leaves out, then operations until it ends: one byte each for which, and what it takes. Invariants,
 * besides not crashing:
 * - a frame sent has a length that there is, and a header that is true of it and was negotiated;
 * - no more is said to be written to a receive chain than fits it;
 * - no more chains are with the device than a queue holds;
 * - a device that asked for a reset works after it.
 */
#include <assert.h>

#include "base/macros.h"
#include "fuzz.h"
#include "fuzz_virtq.h"

#include "net_rig.h"
#include "virtio/net/hdr.h"

enum {
	ALL_OFFLOADS = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 |
		       NET_OFFLOAD_TSO_ECN | NET_OFFLOAD_USO,
	PIECES_MAX = 6,
	ETHERNET_HEADER_BYTES = 14,
	CSUM_BYTES = 2,
};

struct target {
	struct net_rig rig;
	uint64_t features;
	uint32_t writable[2 * NET_RIG_PAIRS_MAX + 1][256]; /* bytes of a chain, by head */
	bool scribbled; /* since the last reset: what is in the rings is nobody's word */
};

static void check_sent(struct net_rig *rig)
{
	for (unsigned i = 0; i < rig->nr_sent; i++) {
		const struct net_rig_frame *f = &rig->sent[i];
		const bool csum = f->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
		const size_t csum_end = (size_t)le16toh(f->hdr.csum_start) +
					le16toh(f->hdr.csum_offset) + CSUM_BYTES;

		assert(f->len >= ETHERNET_HEADER_BYTES && f->len <= NET_FRAME_BYTES_MAX);
		assert((f->hdr.flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0);
		assert(!csum || csum_end <= f->len);
		assert(f->hdr.gso_type == 0 || (csum && f->hdr.gso_size != 0));
		assert(le16toh(f->hdr.hdr_len) <= f->len);
		assert(!csum || rig->vd->acked >> VIRTIO_NET_F_CSUM & 1);
	}
}

/* Room in the rig's tables and in guest memory for the next operation. */
static void tidy(struct target *t)
{
	struct net_rig *rig = &t->rig;

	check_sent(rig);
	fuzz_virtq_check(rig->vd);
	if (rig->nr_arrived > NET_RIG_FRAMES_MAX / 2 || rig->nr_sent > 0) {
		rig->first_arrived = rig->nr_arrived;
		net_rig_forget_frames(rig);
	}
	if (rig->next_gpa > NET_RIG_RAM_BYTES - (1 << 20))
		rig->next_gpa = NET_RIG_DATA_GPA;
}

static void take_used(struct target *t, unsigned queue)
{
	uint32_t id, len;

	while (t->rig.drv[queue].mem && virtq_driver_used(&t->rig.drv[queue], &id, &len)) {
		assert(t->scribbled || id < 256);
		assert(t->scribbled || len <= t->writable[queue][id]);
	}
}

static unsigned fuzz_queue(const struct target *t, struct fuzz_input *in)
{
	return fuzz_u8(in) % t->rig.vd->nr_queues;
}

/* A chain of pieces, with fuzzed bytes at its beginning; mostly of the kind that the queue is for. */
static void op_chain(struct target *t, struct fuzz_input *in)
{
	const unsigned queue = fuzz_queue(t, in);
	const unsigned n = 1 + fuzz_u8(in) % PIECES_MAX, kinds = fuzz_u8(in);
	struct virtq_driver *d = &t->rig.drv[queue];
	struct virtq_buf buf[PIECES_MAX];
	uint32_t writable = 0;
	uint16_t head;

	if (!d->mem || (uint16_t)(d->avail_idx - d->used_idx) * PIECES_MAX + n > d->size)
		return; /* the descriptors may not be free */
	for (unsigned i = 0; i < n; i++) {
		uint8_t *p;

		buf[i].len = (uint32_t)fuzz_scaled(in, 9);
		buf[i].write = (queue % 2 == 0 && queue + 1 < t->rig.vd->nr_queues) !=
			       ((kinds >> i & 1) && kinds > 200);
		buf[i].gpa = net_rig_alloc(&t->rig, buf[i].len + 1U, &p);
		for (uint32_t k = 0; k < buf[i].len && k < 24 && !buf[i].write; k++)
			p[k] = fuzz_u8(in);
		writable += buf[i].write ? buf[i].len : 0;
	}
	head = virtq_driver_chain(d, buf, n);
	t->writable[queue][head & 255] = writable;
	virtq_driver_offer(d, head);
}

/* A command that makes sense, or nearly. */
static void op_command(struct target *t, struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) & 1 ? 2 : t->rig.vd->nr_queues - 1;
	struct virtq_driver *d = &t->rig.drv[queue];
	struct virtq_buf buf[2] = {{.len = 2 + fuzz_u8(in) % 10}, {.len = 1, .write = true}};
	uint8_t *out, *ack;
	uint16_t head;

	if (!d->mem || (uint16_t)(d->avail_idx - d->used_idx) * PIECES_MAX + 2U > d->size)
		return;
	buf[0].gpa = net_rig_alloc(&t->rig, buf[0].len, &out);
	buf[1].gpa = net_rig_alloc(&t->rig, 1, &ack);
	for (uint32_t i = 0; i < buf[0].len; i++)
		out[i] = fuzz_u8(in);
	out[0] %= 7;
	out[1] %= 3;
	head = virtq_driver_chain(d, buf, 2);
	t->writable[queue][head & 255] = 1;
	virtq_driver_offer(d, head);
}

static void op_kick(struct target *t, struct fuzz_input *in)
{
	const unsigned queue = fuzz_queue(t, in);

	net_rig_kick(&t->rig, queue);
	take_used(t, queue);
}

static void op_arrive(struct target *t, struct fuzz_input *in)
{
	struct virtio_net_hdr_v1 hdr = {0};
	struct net_rig *rig = &t->rig;

	hdr.flags = fuzz_u8(in) & 3;
	hdr.gso_type = fuzz_u8(in) % 6;
	net_rig_arrive(rig, &hdr, 1 + fuzz_scaled(in, 8) % NET_FRAME_BYTES_MAX);
	net_rig_rx_ready(rig, fuzz_u8(in) % rig->be.pairs);
}

/* Anything into a ring, the descriptor table included. */
static void op_scribble(struct target *t, struct fuzz_input *in)
{
	const struct virtq_driver *d = &t->rig.drv[fuzz_queue(t, in)];
	const uint64_t at = fuzz_uint(in, 2) % virtq_driver_bytes(d->size);
	uint8_t *p;

	if (!d->mem)
		return;
	p = guest_mem_ptr(&t->rig.mem, d->desc_gpa, virtq_driver_bytes(d->size));
	assert(p);
	p[at] = fuzz_u8(in);
	t->scribbled = true;
}

/* Small buffers, as many as fit: from less than a header to a short frame. */
static void op_flood(struct target *t, struct fuzz_input *in)
{
	const unsigned queue = fuzz_queue(t, in);
	struct virtq_driver *d = &t->rig.drv[queue];
	struct virtq_buf buf = {.len = fuzz_u8(in) % 64U, .write = queue % 2 == 0};
	uint16_t head;
	uint8_t *p;

	if (!d->mem)
		return;
	if (buf.len < NET_HDR_BYTES && fuzz_u8(in) % 8)
		buf.len = NET_HDR_BYTES;
	buf.gpa = net_rig_alloc(&t->rig, 64, &p);
	head = virtq_driver_chain(d, &buf, 1);
	t->writable[queue][head & 255] = buf.write ? buf.len : 0;
	fuzz_virtq_flood(d, head);
	net_rig_kick(&t->rig, queue);
}

static void op_back(struct target *t, struct fuzz_input *in)
{
	const unsigned queue = fuzz_queue(t, in);

	if (!t->rig.drv[queue].mem)
		return;
	fuzz_virtq_back(&t->rig.drv[queue], in);
	t->scribbled = true;
	net_rig_kick(&t->rig, queue);
}

static void op_room(struct target *t, struct fuzz_input *in)
{
	struct net_rig *rig = &t->rig;
	const bool was_full = rig->send_room == 0;

	rig->send_room = fuzz_u8(in) % 4;
	if (was_full && rig->send_room)
		rig->be.client->tx_ready(rig->be.client, fuzz_u8(in) % rig->be.pairs);
}

static void op_link(struct target *t, struct fuzz_input *in)
{
	const uint8_t choice = fuzz_u8(in);
	struct virtio_net_config config = {0};

	t->rig.be.link_up = choice & 1;
	t->rig.be.client->link_changed(t->rig.be.client);
	net_rig_plug(&t->rig, !(choice & 2));
	memcpy(&config, t->rig.vd->config, t->rig.vd->config_len);
	assert(le16toh(config.status) == ((choice & 3) == 1 ? VIRTIO_NET_S_LINK_UP : 0));
}

static void op_reset(struct target *t, struct fuzz_input *in)
{
	net_rig_stop(&t->rig);
	t->scribbled = false;
	t->features = fuzz_uint(in, 8);
	t->rig.left_out = fuzz_virtq_left_out(in);
	net_rig_start(&t->rig, t->features & t->rig.vd->features, 1U << fuzz_u8(in) % 9);
}

static void (*const ops[])(struct target *t, struct fuzz_input *in) = {
	op_chain, op_chain,   op_chain, op_chain,    op_kick,   op_kick,
	op_kick,  op_command, op_kick,  op_arrive,   op_arrive, op_command,
	op_room,  op_link,    op_reset, op_scribble, op_flood,  op_back,
};

/* Whatever was done to it: after a reset a frame goes out and one comes in. */
static void check_works(struct target *t)
{
	struct net_rig *rig = &t->rig;
	struct virtq_buf buf = {.len = NET_HDR_BYTES + 60};
	uint8_t *p;

	net_rig_stop(rig);
	check_sent(rig);
	net_rig_forget_frames(rig);
	net_rig_plug(rig, true);
	rig->left_out = 0;
	net_rig_start(rig, 0, 256);
	rig->send_room = 1;
	rig->next_gpa = NET_RIG_DATA_GPA;
	buf.gpa = net_rig_alloc(rig, buf.len, &p);
	memset(p, 0, buf.len);
	virtq_driver_add(&rig->drv[1], &buf, 1);
	net_rig_kick(rig, 1);
	assert(rig->nr_sent == 1);
	net_rig_buffer(rig, 0, 2048);
	net_rig_kick(rig, 0);
	net_rig_arrive(rig, NULL, 60);
	net_rig_rx_ready(rig, 0);
	assert(rig->first_arrived == rig->nr_arrived && rig->drv[0].used->idx == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	const uint8_t shape = fuzz_u8(&in);
	struct target *t = calloc(1, sizeof(*t));

	assert(t);
	net_rig_init(&t->rig, 1 + shape % NET_RIG_PAIRS_MAX, shape & 0x80 ? 0 : ALL_OFFLOADS,
		     shape & 0x40 ? 9000 : 0, NULL);
	t->features = fuzz_uint(&in, 8);
	t->rig.left_out = fuzz_virtq_left_out(&in);
	net_rig_start(&t->rig, t->features & t->rig.vd->features, 256);
	while (in.left > 0) {
		ops[fuzz_u8(&in) % ARRAY_SIZE(ops)](t, &in);
		tidy(t);
	}
	check_works(t);
	net_rig_fini(&t->rig);
	free(t);
	return 0;
}
