#include "virtio/net/internal.h"

#include <endian.h>
#include <string.h>

#include "base/iov.h"

/* A command's data, in whole: 5.1.6.5 gives each a fixed length. */
static bool read_data(const struct virtq_chain *chain, void *buf, size_t len)
{
	const size_t off = sizeof(struct virtio_net_ctrl_hdr);

	return chain->out_bytes == off + len &&
	       iov_read(chain->out, chain->nr_out, off, buf, len) == len;
}

static bool guest_offloads(struct net *net, const struct virtq_chain *chain)
{
	const uint64_t all =
		UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 |
		UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6 | UINT64_C(1) << VIRTIO_NET_F_GUEST_ECN |
		UINT64_C(1) << NET_F_GUEST_USO4 | UINT64_C(1) << NET_F_GUEST_USO6;
	uint64_t wanted;

	if (!virtio_has(&net->vd, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    !read_data(chain, &wanted, sizeof(wanted)))
		return false;
	wanted = le64toh(wanted);
	if (wanted & ~(net->vd.acked & all))
		return false;
	net_guest_offloads_set(net, wanted);
	return true;
}

static bool pairs_live(const struct net *net, unsigned pairs)
{
	for (unsigned i = 0; i < pairs; i++)
		if (!virtq_live(&net->vd.queue[net_rx_queue(i)]) ||
		    !virtq_live(&net->vd.queue[net_tx_queue(i)]))
			return false;
	return true;
}

static bool pairs_set(struct net *net, const struct virtq_chain *chain)
{
	unsigned old = net->pairs, pairs;
	uint16_t data;

	if (!virtio_has(&net->vd, VIRTIO_NET_F_MQ) || !read_data(chain, &data, sizeof(data)))
		return false;
	pairs = le16toh(data);
	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > net->be->pairs ||
	    !pairs_live(net, pairs) || net->be->ops->pairs_set(net->be, pairs) < 0)
		return false;
	net->pairs = pairs;
	for (unsigned i = pairs; i < old; i++)
		net->be->ops->rx_want(net->be, i, false);
	for (unsigned i = old; i < pairs; i++)
		net->be->ops->rx_want(net->be, i,
				      true); /* buffers are looked for when a frame comes */
	return true;
}

/* All frames are the guest's whatever its address: the back end need not know. */
static bool mac_set(struct net *net, const struct virtq_chain *chain)
{
	uint8_t mac[sizeof(net->mac)];

	if (!virtio_has(&net->vd, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
	    !read_data(chain, mac, sizeof(mac)) || mac[0] & 1)
		return false;
	net->mac_changed = true;
	virtio_config_set(&net->vd, offsetof(struct virtio_net_config, mac), mac, sizeof(mac));
	return true;
}

static bool ctrl_run_command(struct net *net, const struct virtq_chain *chain)
{
	struct virtio_net_ctrl_hdr hdr;

	if (iov_read(chain->out, chain->nr_out, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
		return false;
	if (hdr.class == VIRTIO_NET_CTRL_GUEST_OFFLOADS &&
	    hdr.cmd == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET)
		return guest_offloads(net, chain);
	if (hdr.class == VIRTIO_NET_CTRL_MQ && hdr.cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return pairs_set(net, chain);
	if (hdr.class == VIRTIO_NET_CTRL_MAC && hdr.cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET)
		return mac_set(net, chain);
	return false;
}

/* A few at a time: drivers wait for each, and one may be a system call of the host for each pair. */
void net_ctrl_run(struct net *net)
{
	const unsigned queue = net_ctrl_queue(net);
	struct doorbell *bell = net->vd.env->doorbell;
	struct iovec piece[NET_CTRL_PIECES];
	struct virtq_chain chain;

	for (unsigned i = 0; i < NET_BURST_COMMANDS; i++) {
		virtio_net_ctrl_ack ack = VIRTIO_NET_ERR;

		if (!virtio_pop(&net->vd, queue, piece, NET_CTRL_PIECES, &chain)) {
			if (net->vd.broken || !virtq_kicks_allow(&net->vd.queue[queue]))
				return;
			continue;
		}
		if (ctrl_run_command(net, &chain))
			ack = VIRTIO_NET_OK;
		virtq_push(&net->vd.queue[queue], chain.head,
			   (uint32_t)iov_write(chain.in, chain.nr_in, 0, &ack, sizeof(ack)));
		virtio_publish(&net->vd, queue);
	}
	bell->ring(bell, queue);
}
