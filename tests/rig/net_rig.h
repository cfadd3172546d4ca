/*
 * net_rig.h - a network device between a back end that the test writes and reads, and a driver that the
 * test is, for unit tests and fuzz targets. One thread.
 */
#ifndef TESTS_NET_RIG_H
#define TESTS_NET_RIG_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "base/macros.h"
#include "virtio/classes.h"
#include "virtio/transport.h"
#include "virtq_driver.h"

#undef stop /* a macro of cmocka 2; here it is an operation of virtio devices */

enum {
	NET_RIG_RAM_BYTES = 16 << 20,
	NET_RIG_QUEUES_GPA = 0x10000, /* NET_RIG_QUEUE_BYTES each */
	NET_RIG_QUEUE_BYTES = 0x4000,
	NET_RIG_DATA_GPA = 0x100000,
	NET_RIG_FRAMES_MAX = 512,
	NET_RIG_PAIRS_MAX = 4,
};

struct net_rig_frame {
	struct virtio_net_hdr_v1 hdr;
	size_t len;
	uint8_t *bytes; /* malloc */
};

struct net_rig {
	/* The back end. */
	struct net_backend be;
	unsigned be_pairs, be_offloads, be_mtu;
	unsigned send_room; /* frames that send takes */
	int send_error;     /* of those that it takes; 0: none */
	struct net_rig_frame sent[NET_RIG_FRAMES_MAX];
	unsigned nr_sent, sent_calls;
	struct net_rig_frame arrived[NET_RIG_FRAMES_MAX]; /* for the guest */
	unsigned first_arrived, nr_arrived;
	bool rx_want[NET_RIG_PAIRS_MAX];
	unsigned rx_offloads, pairs;

	/* Calls that the transport and the environment got. */
	unsigned interrupts, config_changes, doorbells, last_doorbell, controls;
	const char *reset_why;

	struct doorbell bell;
	struct device_env env;
	struct guest_mem mem;
	struct virtio_device *vd;
	struct virtq_driver drv[2 * NET_RIG_PAIRS_MAX + 1];
	uint32_t left_out; /* queues that the driver does not set up, a bit each */
	uint64_t next_gpa;
};

static struct net_rig *net_rig_current; /* the back end and the transport have no argument for it */

static inline struct net_rig *net_rig_of(struct net_backend *be)
{
	return container_of(be, struct net_rig, be);
}

static inline void net_rig_keep(struct net_rig_frame *f, const struct iovec *iov, unsigned nr)
{
	assert(nr >= 1 && iov[0].iov_len == sizeof(f->hdr));
	memcpy(&f->hdr, iov[0].iov_base, sizeof(f->hdr));
	f->len = 0;
	for (unsigned i = 1; i < nr; i++)
		f->len += iov[i].iov_len;
	f->bytes = malloc(f->len + 1);
	assert(f->bytes);
	for (size_t i = 1, at = 0; i < nr; at += iov[i++].iov_len)
		memcpy(f->bytes + at, iov[i].iov_base, iov[i].iov_len);
}

static inline int net_rig_send(struct net_backend *be, unsigned pair, const struct iovec *iov,
			       unsigned nr)
{
	struct net_rig *rig = net_rig_of(be);

	assert(pair < be->pairs);
	if (rig->send_room == 0)
		return -EAGAIN;
	rig->send_room--;
	if (rig->send_error)
		return rig->send_error;
	assert(rig->nr_sent < NET_RIG_FRAMES_MAX);
	net_rig_keep(&rig->sent[rig->nr_sent++], iov, nr);
	return 0;
}

static inline void net_rig_sent(struct net_backend *be)
{
	net_rig_of(be)->sent_calls++;
}

static inline ssize_t net_rig_receive(struct net_backend *be, unsigned pair,
				      const struct iovec *iov, unsigned nr)
{
	struct net_rig *rig = net_rig_of(be);
	struct net_rig_frame *f = &rig->arrived[rig->first_arrived];
	size_t done;

	assert(pair < be->pairs);
	if (rig->first_arrived == rig->nr_arrived)
		return -EAGAIN;
	rig->first_arrived++;
	done = iov_write(iov, nr, 0, &f->hdr, sizeof(f->hdr));
	done += iov_write(iov, nr, sizeof(f->hdr), f->bytes, f->len);
	return (ssize_t)done;
}

static inline void net_rig_rx_want(struct net_backend *be, unsigned pair, bool want)
{
	net_rig_of(be)->rx_want[pair] = want;
}

static inline void net_rig_rx_offloads_set(struct net_backend *be, unsigned offloads)
{
	net_rig_of(be)->rx_offloads = offloads;
}

static inline int net_rig_pairs_set(struct net_backend *be, unsigned pairs)
{
	net_rig_of(be)->pairs = pairs;
	return 0;
}

static inline void net_rig_be_destroy(struct net_backend *be)
{
	(void)be;
}

static const struct net_backend_ops net_rig_ops = {
	.send = net_rig_send,
	.sent = net_rig_sent,
	.receive = net_rig_receive,
	.rx_want = net_rig_rx_want,
	.rx_offloads_set = net_rig_rx_offloads_set,
	.pairs_set = net_rig_pairs_set,
	.destroy = net_rig_be_destroy,
};

static inline int net_rig_open(const void *opts, const struct net_backend_env *env,
			       struct net_backend **ret, struct diag *diag)
{
	struct net_rig *rig = net_rig_current;

	(void)opts;
	(void)diag;
	rig->be = (struct net_backend){
		.ops = &net_rig_ops,
		.client = env->client,
		.name = "fake0",
		.pairs = rig->be_pairs,
		.tx_offloads = rig->be_offloads,
		.rx_offloads = rig->be_offloads,
		.mtu = rig->be_mtu,
		.link_up = true,
	};
	*ret = &rig->be;
	return 0;
}

static inline void net_rig_interrupt(struct virtio_device *vd)
{
	(void)vd;
	net_rig_current->interrupts++;
}

static inline void net_rig_config_set(struct virtio_device *vd, unsigned off, const void *bytes,
				      unsigned len)
{
	memcpy(vd->config + off, bytes, len);
	net_rig_current->config_changes++;
}

static inline void net_rig_needs_reset(struct virtio_device *vd, const char *why)
{
	(void)vd;
	net_rig_current->reset_why = why;
}

static const struct virtio_transport_ops net_rig_transport = {
	.interrupt = net_rig_interrupt,
	.config_set = net_rig_config_set,
	.needs_reset = net_rig_needs_reset,
};

static inline void net_rig_ring(struct doorbell *bell, unsigned queue)
{
	struct net_rig *rig = container_of(bell, struct net_rig, bell);

	rig->doorbells++;
	rig->last_doorbell = queue;
}

static inline void net_rig_control(struct doorbell *bell)
{
	container_of(bell, struct net_rig, bell)->controls++;
}

/* A device of these pairs and offloads, that no driver has started. mac may be NULL. */
static inline void net_rig_init(struct net_rig *rig, unsigned pairs, unsigned offloads,
				unsigned mtu, const uint8_t *mac)
{
	static const struct guest_region ram = {.gpa = 0, .len = NET_RIG_RAM_BYTES};
	struct virtio_net_conf conf = {.open = net_rig_open, .has_mac = mac != NULL};
	int r;

	*rig = (struct net_rig){
		.be_pairs = pairs,
		.be_offloads = offloads,
		.be_mtu = mtu,
		.send_room = UINT32_MAX,
		.bell = {.ring = net_rig_ring, .control = net_rig_control},
		.next_gpa = NET_RIG_DATA_GPA,
	};
	net_rig_current = rig;
	r = guest_mem_init(&rig->mem, &ram, 1, &(struct guest_mem_opts){0}, NULL);
	assert(r == 0);
	rig->env = (struct device_env){.mem = &rig->mem, .doorbell = &rig->bell};
	rig->vd = calloc(1, virtio_net_class.state_size);
	assert(rig->vd);
	rig->vd->cls = &virtio_net_class;
	rig->vd->transport = &net_rig_transport;
	rig->vd->env = &rig->env;
	rig->vd->name = "net0";
	if (mac)
		memcpy(conf.mac, mac, sizeof(conf.mac));
	r = virtio_net_class.init(rig->vd, &conf, NULL);
	assert(r == 0);
	for (unsigned i = 0; i < rig->vd->nr_queues; i++)
		virtq_init(&rig->vd->queue[i], &rig->mem, rig->vd->queue_size[i]);
	(void)r;
}

static inline void net_rig_forget_frames(struct net_rig *rig)
{
	for (unsigned i = 0; i < rig->nr_sent; i++)
		free(rig->sent[i].bytes);
	for (unsigned i = 0; i < rig->nr_arrived; i++)
		free(rig->arrived[i].bytes);
	rig->nr_sent = rig->nr_arrived = rig->first_arrived = 0;
}

static inline void net_rig_fini(struct net_rig *rig)
{
	net_rig_forget_frames(rig);
	virtio_net_class.fini(rig->vd);
	free(rig->vd);
	guest_mem_fini(&rig->mem);
}

static inline void net_rig_queue_live(struct net_rig *rig, unsigned queue, uint32_t size)
{
	struct virtq *vq = &rig->vd->queue[queue];
	int r;

	virtq_reset(vq);
	r = virtq_driver_start(&rig->drv[queue], vq,
			       NET_RIG_QUEUES_GPA + queue * (uint64_t)NET_RIG_QUEUE_BYTES, size,
			       UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
	assert(r == 0);
	(void)r;
}

/* As the transport does it. */
static inline void net_rig_kick(struct net_rig *rig, unsigned queue)
{
	if (!rig->vd->broken && virtq_live(&rig->vd->queue[queue]))
		virtio_net_class.kick(rig->vd, queue);
}

/* The driver acknowledges features and sets up its queues, rx_size for those that receive. */
static inline void net_rig_start(struct net_rig *rig, uint64_t features, uint32_t rx_size)
{
	struct virtio_device *vd = rig->vd;

	for (unsigned i = 0; i < vd->nr_queues; i++) {
		const bool rx = i % 2 == 0 && i + 1 < vd->nr_queues;
		const uint32_t max = vd->queue_size[i];

		rig->drv[i] = (struct virtq_driver){0};
		if (!(rig->left_out >> i & 1))
			net_rig_queue_live(rig, i, rx && rx_size < max ? rx_size : max);
	}
	vd->acked = features;
	vd->broken = false;
	virtio_net_class.start(vd);
	for (unsigned i = 0; i < vd->nr_queues; i++)
		net_rig_kick(rig, i);
}

static inline void net_rig_stop(struct net_rig *rig)
{
	virtio_net_class.stop(rig->vd);
	for (unsigned i = 0; i < rig->vd->nr_queues; i++)
		virtq_reset(&rig->vd->queue[i]);
}

/* The cable, by way of the doorbell that the I/O thread answers. */
static inline void net_rig_plug(struct net_rig *rig, bool plugged)
{
	const unsigned before = rig->controls;

	virtio_net_plug(rig->vd, plugged);
	assert(rig->controls == before + 1);
	virtio_net_class.control(rig->vd);
}

/* Fresh guest memory; the rig's frames are small, or few. */
static inline uint64_t net_rig_alloc(struct net_rig *rig, size_t bytes, uint8_t **ret)
{
	const uint64_t gpa = rig->next_gpa;

	rig->next_gpa += (bytes + 15) & ~UINT64_C(15);
	*ret = guest_mem_ptr(&rig->mem, gpa, bytes);
	assert(*ret);
	return gpa;
}

/* Makes a receive buffer available; returns where it is. */
static inline uint8_t *net_rig_buffer(struct net_rig *rig, unsigned queue, uint32_t bytes)
{
	struct virtq_buf buf = {.len = bytes, .write = true};
	uint8_t *p;

	buf.gpa = net_rig_alloc(rig, bytes, &p);
	virtq_driver_add(&rig->drv[queue], &buf, 1);
	return p;
}

/* A frame of len bytes, each what its place says, arrives from the network. */
static inline void net_rig_arrive(struct net_rig *rig, const struct virtio_net_hdr_v1 *hdr,
				  size_t len)
{
	struct net_rig_frame *f = &rig->arrived[rig->nr_arrived++];

	assert(rig->nr_arrived <= NET_RIG_FRAMES_MAX);
	*f = (struct net_rig_frame){.len = len, .bytes = malloc(len)};
	assert(f->bytes);
	if (hdr)
		f->hdr = *hdr;
	for (size_t i = 0; i < len; i++)
		f->bytes[i] = (uint8_t)(i * 7 + (i >> 8));
}

/* Reports frames as the back end does, while the device wants them. */
static inline void net_rig_rx_ready(struct net_rig *rig, unsigned pair)
{
	while (rig->rx_want[pair] && rig->first_arrived < rig->nr_arrived)
		rig->be.client->rx_ready(rig->be.client, pair);
}

#endif
