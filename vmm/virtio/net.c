#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "virtio/net/internal.h"

/* MAC, status, pairs, MTU; speed and duplex are not ours to know. */
enum { CONFIG_BYTES = offsetof(struct virtio_net_config, speed) };

static const char *const counter_names[NET_COUNTERS + 1] = {
	[NET_COUNT_TX_MALFORMED] = "tx_malformed",
	[NET_COUNT_TX_UNSUPPORTED] = "tx_unsupported",
	[NET_COUNT_TX_FAILED] = "tx_failed",
	[NET_COUNT_RX_NO_BUFFER] = "rx_no_buffer",
	[NET_COUNT_RX_TOO_LONG] = "rx_too_long",
	[NET_COUNT_RX_OFFLOAD] = "rx_offload",
	[NET_COUNT_TX_UNPLUGGED] = "tx_unplugged",
	[NET_COUNT_RX_UNPLUGGED] = "rx_unplugged",
	[NET_COUNT_FAULT_LOST] = "fault_lost",
	[NET_COUNT_FAULT_DELAYED] = "fault_delayed",
	[NET_COUNT_FAULT_DUPLICATED] = "fault_duplicated",
	[NET_COUNT_FAULT_CORRUPTED] = "fault_corrupted",
	[NET_COUNT_FAULT_REORDERED] = "fault_reordered",
};

#define BIT(feature) (UINT64_C(1) << (feature))

/* The feature bits that each offload of the back end allows. */
static const struct {
	enum net_offload offload;
	uint64_t host;  /* the guest may use it */
	uint64_t guest; /* the guest takes it */
} offload_features[] = {
	{NET_OFFLOAD_CSUM, BIT(VIRTIO_NET_F_CSUM), BIT(VIRTIO_NET_F_GUEST_CSUM)},
	{NET_OFFLOAD_TSO4, BIT(VIRTIO_NET_F_HOST_TSO4), BIT(VIRTIO_NET_F_GUEST_TSO4)},
	{NET_OFFLOAD_TSO6, BIT(VIRTIO_NET_F_HOST_TSO6), BIT(VIRTIO_NET_F_GUEST_TSO6)},
	{NET_OFFLOAD_TSO_ECN, BIT(VIRTIO_NET_F_HOST_ECN), BIT(VIRTIO_NET_F_GUEST_ECN)},
	{NET_OFFLOAD_USO, BIT(NET_F_HOST_USO), BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6)},
};

/* Without a checksum to finish there is no segmentation (5.1.3.1), and without TSO no ECN in it. */
static unsigned sensible(unsigned offloads)
{
	if (!(offloads & NET_OFFLOAD_CSUM))
		return 0;
	if (!(offloads & (NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6)))
		offloads &= ~(unsigned)NET_OFFLOAD_TSO_ECN;
	return offloads;
}

void net_guest_offloads_set(struct net *net, uint64_t features)
{
	unsigned offloads = 0;

	/* The back end has one switch for both IP versions' USO: both are taken, or none. */
	for (size_t i = 0; i < ARRAY_SIZE(offload_features); i++)
		if ((features & offload_features[i].guest) == offload_features[i].guest)
			offloads |= offload_features[i].offload;
	net->rx_offloads = sensible(offloads);
	net->be->ops->rx_offloads_set(net->be, net->rx_offloads);
}

static unsigned host_offloads(uint64_t features)
{
	unsigned offloads = 0;

	for (size_t i = 0; i < ARRAY_SIZE(offload_features); i++)
		if (features & offload_features[i].host)
			offloads |= offload_features[i].offload;
	return sensible(offloads);
}

static void rx_ready(struct net_client *client, unsigned pair)
{
	net_rx_run(container_of(client, struct net, client), pair);
}

static void tx_ready(struct net_client *client, unsigned pair)
{
	struct net *net = container_of(client, struct net, client);

	net->tx_blocked[pair] = false;
	net_tx_run(net, pair);
}

static void rx_dropped(struct net_client *client)
{
	virtio_count(&container_of(client, struct net, client)->vd, NET_COUNT_RX_NO_BUFFER, 1);
}

static uint16_t link_status(const struct net *net)
{
	return htole16(net->be->link_up && !net->unplugged ? VIRTIO_NET_S_LINK_UP : 0);
}

static void show_link(struct net *net)
{
	const unsigned off = offsetof(struct virtio_net_config, status);
	const uint16_t status = link_status(net);

	if (memcmp(&net->vd.config[off], &status, sizeof(status)) != 0)
		virtio_config_set(&net->vd, off, &status, sizeof(status));
}

static void link_changed(struct net_client *client)
{
	show_link(container_of(client, struct net, client));
}

static void faulted(struct net_client *client, enum fault_kind kind)
{
	static const enum net_counter counter[FAULT_KINDS] = {
		[FAULT_LOSE] = NET_COUNT_FAULT_LOST,
		[FAULT_DELAY] = NET_COUNT_FAULT_DELAYED,
		[FAULT_DUPLICATE] = NET_COUNT_FAULT_DUPLICATED,
		[FAULT_CORRUPT] = NET_COUNT_FAULT_CORRUPTED,
		[FAULT_REORDER] = NET_COUNT_FAULT_REORDERED,
	};

	virtio_count(&container_of(client, struct net, client)->vd, counter[kind], 1);
}

/* Frames that wait when the cable is pulled are lost with those that come while it is out. */
static void net_control(struct virtio_device *vd)
{
	struct net *net = net_of(vd);
	const bool unplugged = atomic_load(&net->unplug_wanted);

	if (unplugged == net->unplugged)
		return;
	net->unplugged = unplugged;
	show_link(net);
	for (unsigned i = 0; net->started && i < net->pairs; i++) {
		net_rx_run(net, i);
		net->tx_blocked[i] = false;
		net_tx_run(net, i);
	}
}

void virtio_net_plug(struct virtio_device *vd, bool plugged)
{
	atomic_store(&net_of(vd)->unplug_wanted, !plugged);
	vd->env->doorbell->control(vd->env->doorbell);
}

struct virtio_net_link virtio_net_link(struct virtio_device *vd)
{
	struct net *net = net_of(vd);

	return (struct virtio_net_link){
		.plugged = !atomic_load(&net->unplug_wanted),
		.interface_up = atomic_load(&net->be->link_up),
	};
}

int virtio_net_forward(struct virtio_device *vd, bool add, const struct net_slirp_forward *fwd,
		       struct diag *diag)
{
	struct net_backend *be = net_of(vd)->be;

	return be->ops->forward(be, add, fwd, diag);
}

int virtio_net_forwards(struct virtio_device *vd,
			struct net_slirp_forward ret[NET_SLIRP_FORWARDS_MAX])
{
	struct net_backend *be = net_of(vd)->be;

	return be->ops->forwards ? be->ops->forwards(be, ret) : -ENOTSUP;
}

/*
 * Locally administered and unicast, the same in each run: FNV-1a of the names of the row and of the
 * interface, which distinguish this network from the others on its host.
 */
static void derive_mac(const char *row, const char *interface, uint8_t ret[6])
{
	const char *names[] = {row, interface};
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (const char *p = names[i]; *p; p++)
			hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
		hash *= UINT64_C(0x100000001b3); /* the end of a name, as a byte 0 */
	}
	for (unsigned i = 0; i < 6; i++)
		ret[i] = (uint8_t)(hash >> (8 * i));
	ret[0] = (uint8_t)((ret[0] | 2) & ~1);
}

static void net_init_config(struct net *net, const struct virtio_net_conf *conf)
{
	struct virtio_device *vd = &net->vd;
	struct virtio_net_config config = {
		.status = link_status(net),
		.max_virtqueue_pairs = htole16((uint16_t)net->be->pairs),
		.mtu = htole16((uint16_t)net->be->mtu),
	};

	if (conf->has_mac)
		memcpy(net->mac, conf->mac, sizeof(net->mac));
	else
		derive_mac(vd->name, net->be->name, net->mac);
	memcpy(config.mac, net->mac, sizeof(config.mac));
	memcpy(vd->config, &config, CONFIG_BYTES);
	vd->config_len = CONFIG_BYTES;
}

static uint64_t features(const struct net *net)
{
	const struct net_backend *be = net->be;
	uint64_t bits = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
			BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ) |
			BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT(VIRTIO_F_IN_ORDER);

	for (size_t i = 0; i < ARRAY_SIZE(offload_features); i++) {
		if (be->tx_offloads & offload_features[i].offload)
			bits |= offload_features[i].host;
		if (be->rx_offloads & offload_features[i].offload)
			bits |= offload_features[i].guest;
	}
	if (be->rx_offloads)
		bits |= BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (be->pairs > 1)
		bits |= BIT(VIRTIO_NET_F_MQ);
	if (be->mtu >= ETH_MIN_MTU && be->mtu <= UINT16_MAX)
		bits |= BIT(VIRTIO_NET_F_MTU);
	return bits;
}

static void init_queues(struct net *net)
{
	struct virtio_device *vd = &net->vd;

	vd->nr_queues = 2 * net->be->pairs + 1;
	for (unsigned i = 0; i < vd->nr_queues; i++)
		vd->queue_size[i] = NET_QUEUE_SIZE;
	vd->queue_size[vd->nr_queues - 1] = NET_CTRL_QUEUE_SIZE;
}

static int net_init(struct virtio_device *vd, const void *conf, struct diag *diag)
{
	const struct virtio_net_conf *c = conf;
	struct net *net = net_of(vd);
	const struct net_backend_env env = {
		.loop = vd->loop,
		.clock = vd->env->clock,
		.client = &net->client,
	};
	int r;

	net->client = (struct net_client){
		.rx_ready = rx_ready,
		.tx_ready = tx_ready,
		.rx_dropped = rx_dropped,
		.link_changed = link_changed,
		.faulted = faulted,
	};
	r = c->open(c->opts, &env, &net->be, diag);
	if (r < 0)
		return r;
	vd->host_name = net->be->name;
	net->rx = calloc(net->be->pairs, sizeof(*net->rx));
	if (!net->rx)
		return diag_set(diag, -ENOMEM, "net-queues-memory", "receive queues of %s",
				vd->name);
	net_init_config(net, c);
	vd->features = features(net);
	init_queues(net);
	return 0;
}

static void net_end(struct virtio_device *vd)
{
	struct net *net = net_of(vd);

	if (net->be->ops->end)
		net->be->ops->end(net->be);
}

static void net_fini(struct virtio_device *vd)
{
	struct net *net = net_of(vd);

	net_backend_destroy(net->be);
	free(net->rx);
}

static void net_start(struct virtio_device *vd)
{
	struct net *net = net_of(vd);

	net->started = true;
	net->pairs = 1;
	net->tx_offloads = host_offloads(vd->acked);
	net_guest_offloads_set(net, vd->acked);
}

/* Everything is done in one go on this thread, so nothing is under way now. */
static void net_stop(struct virtio_device *vd)
{
	struct net *net = net_of(vd);

	net->started = false;
	for (unsigned i = 0; i < net->be->pairs; i++) {
		net_rx_stop(net, i);
		net->tx_blocked[i] = false;
	}
	net->be->ops->pairs_set(net->be, 1); /* gives up queues only: it does not fail */
	if (net->mac_changed)
		virtio_config_set(vd, offsetof(struct virtio_net_config, mac), net->mac,
				  sizeof(net->mac));
	net->mac_changed = false;
}

static void net_kick(struct virtio_device *vd, unsigned queue)
{
	struct net *net = net_of(vd);

	if (queue == net_ctrl_queue(net)) {
		if (virtio_has(vd, VIRTIO_NET_F_CTRL_VQ))
			net_ctrl_run(net);
	} else if (queue > net_ctrl_queue(net)) {
		return; /* without MQ these have no meaning */
	} else if (queue % 2 == 0) {
		net_rx_run(net, queue / 2);
	} else {
		net_tx_run(net, queue / 2);
	}
}

const struct virtio_class virtio_net_class = {
	.name = "network",
	.device_id = VIRTIO_ID_NET,
	.counter_names = counter_names,
	.io_role = THREAD_IO_NET,
	.state_size = sizeof(struct net),
	.init = net_init,
	.fini = net_fini,
	.start = net_start,
	.stop = net_stop,
	.end = net_end,
	.kick = net_kick,
	.control = net_control,
};
