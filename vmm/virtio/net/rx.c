#include "virtio/net/internal.h"

#include <endian.h>
#include <net/ethernet.h>
#include <string.h>

#include "base/iov.h"
#include "base/macros.h"
#include "virtio/net/hdr.h"

static bool mergeable(const struct net *net)
{
	return virtio_has(&net->vd, VIRTIO_NET_F_MRG_RXBUF);
}

/*
 * Bytes of buffers that the next frame fits: the one that waits, or any that is to be expected. They come
 * unsegmented only if the guest takes such, and longer than the MTU that we know only if it was changed.
 */
static size_t wanted_bytes(const struct net *net, const struct net_rx *rx)
{
	const unsigned gso = NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_USO;
	const size_t mtu = net->be->mtu ? net->be->mtu : ETHERMTU;

	if (!mergeable(net))
		return 1; /* one buffer, whatever it holds */
	if (rx->held_bytes)
		return rx->held_bytes;
	if (net->rx_offloads & gso)
		return NET_HDR_BYTES + NET_FRAME_BYTES_MAX;
	return NET_HDR_BYTES + NET_FRAME_BYTES_MAX - UINT16_MAX + mtu;
}

/* Whatever the queue gives out: one more buffer, of as many pieces as a chain may have, fits the arrays. */
static bool room_for_a_buffer(const struct net_rx *rx)
{
	return rx->nr_buffers < ARRAY_SIZE(rx->buffer) &&
	       rx->nr_pieces + NET_CHAIN_PIECES <= ARRAY_SIZE(rx->piece);
}

/* Takes buffers up to what a frame may need. */
static void refill(struct net *net, unsigned pair)
{
	const unsigned queue = net_rx_queue(pair);
	struct net_rx *rx = &net->rx[pair];
	const size_t wanted = wanted_bytes(net, rx);
	struct virtq_chain chain;

	while (rx->bytes < wanted && room_for_a_buffer(rx) &&
	       virtio_pop(&net->vd, queue, rx->piece + rx->nr_pieces, NET_CHAIN_PIECES, &chain)) {
		if (chain.in_bytes < NET_HDR_BYTES || chain.nr_out > 0) {
			virtio_needs_reset(&net->vd, "receive buffer that no header fits");
			return;
		}
		rx->buffer[rx->nr_buffers++] = (struct net_rx_buffer){
			.head = chain.head,
			.pieces = (uint16_t)chain.nr_in,
			.bytes = chain.in_bytes,
		};
		rx->nr_pieces += chain.nr_in;
		rx->bytes += chain.in_bytes;
	}
}

/* How many of the buffers taken hold bytes. */
static unsigned buffers_for(const struct net_rx *rx, size_t bytes)
{
	unsigned n = 0;

	for (size_t room = 0; room < bytes; n++)
		room += rx->buffer[n].bytes;
	return n;
}

/* Hands back the first n buffers, with a frame of bytes in them. */
static void use_buffers(struct net *net, unsigned pair, unsigned n, size_t bytes)
{
	struct virtq *vq = &net->vd.queue[net_rx_queue(pair)];
	struct net_rx *rx = &net->rx[pair];
	unsigned pieces = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct net_rx_buffer *b = &rx->buffer[i];
		const size_t part = bytes < b->bytes ? bytes : b->bytes;

		virtq_push(vq, b->head, (uint32_t)part);
		bytes -= part;
		pieces += b->pieces;
		rx->bytes -= b->bytes;
	}
	rx->nr_buffers -= n;
	rx->nr_pieces -= pieces;
	memmove(rx->buffer, rx->buffer + n, rx->nr_buffers * sizeof(rx->buffer[0]));
	memmove(rx->piece, rx->piece + pieces, rx->nr_pieces * sizeof(rx->piece[0]));
}

/* The frame lies in the buffers, but for its header. */
static void rx_finish(struct net *net, unsigned pair, struct virtio_net_hdr_v1 *hdr, size_t bytes)
{
	struct net_rx *rx = &net->rx[pair];
	const unsigned n = buffers_for(rx, bytes);

	if (!net_hdr_rx(hdr, net->rx_offloads)) {
		/* Queued by the host before the guest said that it does not take such. */
		virtio_count(&net->vd, NET_COUNT_RX_OFFLOAD, 1);
		return;
	}
	hdr->num_buffers = htole16((uint16_t)n);
	iov_write(rx->piece, rx->nr_pieces, 0, hdr, sizeof(*hdr));
	use_buffers(net, pair, n, bytes);
}

/* The buffers after the header's bytes, then the rest of spill, to iov; returns how many. */
static unsigned receive_iov(struct net_rx *rx, struct virtio_net_hdr_v1 *hdr, struct iovec *iov)
{
	unsigned n = 1;

	iov[0] = (struct iovec){.iov_base = hdr, .iov_len = sizeof(*hdr)};
	if (rx->bytes > sizeof(*hdr)) /* a buffer has room for the header, if there is one */
		n += iov_slice(rx->piece, rx->nr_pieces, sizeof(*hdr), rx->bytes - sizeof(*hdr),
			       iov + 1);
	if (rx->bytes < sizeof(rx->spill))
		iov[n++] = (struct iovec){.iov_base = rx->spill + rx->bytes,
					  .iov_len = sizeof(rx->spill) - rx->bytes};
	return n;
}

/*
 * A frame of bytes is longer than the buffers taken, and its end in spill. Its beginning is fetched from
 * them; should the guest have changed that meanwhile, it is the guest's own frame.
 */
static void hold(struct net *net, unsigned pair, const struct virtio_net_hdr_v1 *hdr, size_t bytes)
{
	struct net_rx *rx = &net->rx[pair];

	if (!mergeable(net)) {
		/* 5.1.6.4: no buffer of this driver takes such a frame. */
		virtio_count(&net->vd, NET_COUNT_RX_TOO_LONG, 1);
		return;
	}
	iov_read(rx->piece, rx->nr_pieces, 0, rx->spill, rx->bytes);
	memcpy(rx->spill, hdr, sizeof(*hdr));
	rx->held_bytes = bytes;
}

/* Delivers the frame that waits; false when it must wait on. */
static bool rx_release(struct net *net, unsigned pair)
{
	const struct virtq *vq = &net->vd.queue[net_rx_queue(pair)];
	struct net_rx *rx = &net->rx[pair];
	struct virtio_net_hdr_v1 hdr;
	const size_t bytes = rx->held_bytes;

	/* Lost is a frame that is too long for all the buffers that there can be. */
	if (rx->bytes < bytes && rx->nr_buffers < vq->size && room_for_a_buffer(rx))
		return false;
	rx->held_bytes = 0;
	if (rx->bytes < bytes) {
		virtio_count(&net->vd, NET_COUNT_RX_TOO_LONG, 1);
		return true;
	}
	memcpy(&hdr, rx->spill, sizeof(hdr));
	iov_write(rx->piece, rx->nr_pieces, 0, rx->spill, bytes);
	rx_finish(net, pair, &hdr, bytes);
	return true;
}

enum step {
	STEP_DONE,    /* and there may be more */
	STEP_IDLE,    /* there is no frame */
	STEP_STARVED, /* there is no buffer, or too few */
	STEP_BROKEN,
};

static enum step receive_next(struct net *net, unsigned pair)
{
	struct net_rx *rx = &net->rx[pair];
	struct iovec iov[2 + 2 * NET_CHAIN_PIECES];
	struct virtio_net_hdr_v1 hdr;
	ssize_t n;

	refill(net, pair);
	if (net->vd.broken)
		return STEP_BROKEN;
	if (rx->nr_buffers == 0)
		return STEP_STARVED;
	if (rx->held_bytes)
		return rx_release(net, pair) ? STEP_DONE : STEP_STARVED;
	n = net->be->ops->receive(net->be, pair, iov, receive_iov(rx, &hdr, iov));
	if (n < (ssize_t)sizeof(hdr))
		return STEP_IDLE;
	if ((size_t)n > rx->bytes)
		hold(net, pair, &hdr, (size_t)n);
	else
		rx_finish(net, pair, &hdr, (size_t)n);
	return STEP_DONE;
}

/* The cable is out: what comes is lost. */
static void drop_arriving(struct net *net, unsigned pair)
{
	struct net_rx *rx = &net->rx[pair];
	struct virtio_net_hdr_v1 hdr;
	const struct iovec iov[] = {
		{.iov_base = &hdr, .iov_len = sizeof(hdr)},
		{.iov_base = rx->spill, .iov_len = sizeof(rx->spill)},
	};

	if (rx->held_bytes)
		virtio_count(&net->vd, NET_COUNT_RX_UNPLUGGED, 1);
	rx->held_bytes = 0;
	for (unsigned i = 0; i < NET_BURST_FRAMES; i++) {
		if (net->be->ops->receive(net->be, pair, iov, 2) < (ssize_t)sizeof(hdr))
			break;
		virtio_count(&net->vd, NET_COUNT_RX_UNPLUGGED, 1);
	}
	net->be->ops->rx_want(net->be, pair, true);
}

void net_rx_run(struct net *net, unsigned pair)
{
	struct virtq *vq = &net->vd.queue[net_rx_queue(pair)];
	enum step step = STEP_DONE;
	bool wait;

	if (!net->started || pair >= net->pairs || !virtq_live(vq))
		return;
	if (net->unplugged) {
		drop_arriving(net, pair);
		return;
	}
	for (unsigned i = 0; step == STEP_DONE && i < NET_BURST_FRAMES; i++) {
		step = receive_next(net, pair);
		if (step == STEP_STARVED && virtq_kicks_allow(vq))
			step = STEP_DONE; /* there are buffers by now */
	}
	virtio_publish(&net->vd, net_rx_queue(pair));
	wait = step == STEP_STARVED || step == STEP_BROKEN;
	if (!wait)
		virtq_kicks_suppress(vq);
	/* Meanwhile frames wait on the host, and what does not fit there is lost. */
	net->be->ops->rx_want(net->be, pair, !wait);
}

void net_rx_stop(struct net *net, unsigned pair)
{
	struct net_rx *rx = &net->rx[pair];

	net->be->ops->rx_want(net->be, pair, false);
	rx->nr_buffers = rx->nr_pieces = 0;
	rx->bytes = rx->held_bytes = 0;
}
