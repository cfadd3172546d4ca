#include "virtio/net/internal.h"

#include <errno.h>
#include <net/ethernet.h>

#include "base/iov.h"
#include "virtio/net/hdr.h"

/*
 * Sends the frame of a chain whose pieces lie from tx_piece[1] on. -EAGAIN: it stays the guest's; -EINVAL: no
 * driver would send such; any other error is the back end's. Frames that are not sent are dropped, like
 * those the network loses.
 */
static int send_chain(struct net *net, unsigned pair, const struct virtq_chain *chain)
{
	struct virtio_net_hdr_v1 guest_hdr, hdr;
	struct iovec *iov = net->tx_piece;
	size_t bytes;
	unsigned n;

	if (iov_read(chain->out, chain->nr_out, 0, &guest_hdr, sizeof(guest_hdr)) !=
	    sizeof(guest_hdr))
		return -EINVAL;
	bytes = chain->out_bytes - sizeof(guest_hdr);
	if (bytes < ETHER_HDR_LEN || bytes > NET_FRAME_BYTES_MAX ||
	    !net_hdr_tx(&guest_hdr, bytes, net->tx_offloads, &hdr))
		return -EINVAL;
	iov[0] = (struct iovec){.iov_base = &hdr, .iov_len = sizeof(hdr)};
	n = 1 + iov_slice(chain->out, chain->nr_out, sizeof(guest_hdr), bytes, iov + 1);
	return net->be->ops->send(net->be, pair, iov, n);
}

static void count_lost(struct net *net, int err)
{
	virtio_count(&net->vd,
		     net->unplugged            ? NET_COUNT_TX_UNPLUGGED
		     : err == -EINVAL          ? NET_COUNT_TX_MALFORMED
		     : err == -EPROTONOSUPPORT ? NET_COUNT_TX_UNSUPPORTED
					       : NET_COUNT_TX_FAILED,
		     1);
}

/* True when there may be more. */
static bool send_next(struct net *net, unsigned pair)
{
	const unsigned queue = net_tx_queue(pair);
	struct virtq *vq = &net->vd.queue[queue];
	struct virtq_chain chain;
	int r;

	if (!virtio_pop(&net->vd, queue, net->tx_piece + 1, NET_CHAIN_PIECES, &chain)) {
		if (net->vd.broken || !virtq_kicks_allow(vq))
			return false;
		virtq_kicks_suppress(vq);
		return true;
	}
	r = net->unplugged ? -ENETDOWN : send_chain(net, pair, &chain);
	if (r == -EAGAIN) {
		virtq_unpop(vq, 1);
		net->tx_blocked[pair] = true;
		return false;
	}
	if (r < 0)
		count_lost(net, r);
	virtq_push(vq, chain.head, 0);
	return true;
}

/* The back end has room at any time: also after a reset, for a queue that the driver left out since. */
static bool can_send(const struct net *net, unsigned pair)
{
	const unsigned queue = net_tx_queue(pair);

	return net->started && queue < net_ctrl_queue(net) && virtq_live(&net->vd.queue[queue]) &&
	       !net->tx_blocked[pair]; /* tx_ready comes */
}

void net_tx_run(struct net *net, unsigned pair)
{
	const unsigned queue = net_tx_queue(pair);
	struct doorbell *bell = net->vd.env->doorbell;
	const uint16_t used = net->vd.queue[queue].used_idx;
	bool more = true;

	if (!can_send(net, pair))
		return;
	virtq_kicks_suppress(&net->vd.queue[queue]);
	for (unsigned i = 0; more && i < NET_BURST_FRAMES; i++) {
		more = send_next(net, pair);
		if (i % NET_PUBLISH_FRAMES == NET_PUBLISH_FRAMES - 1)
			virtio_publish(&net->vd, queue);
	}
	virtio_publish(&net->vd, queue);
	if (net->vd.queue[queue].used_idx != used && net->be->ops->sent)
		net->be->ops->sent(net->be);
	if (more)
		bell->ring(bell, queue);
}
