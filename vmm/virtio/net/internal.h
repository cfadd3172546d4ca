/* internal.h - the network device's state, shared by net.c and the files of this folder. */
#ifndef VMM_VIRTIO_NET_INTERNAL_H
#define VMM_VIRTIO_NET_INTERNAL_H

#include <stdatomic.h>

#include "base/macros.h"
#include "virtio/classes.h"

enum {
	/* The bits of virtio 1.3 that virtio_net.h of Linux 6.1 lacks. */
	NET_F_GUEST_USO4 = 54,
	NET_F_GUEST_USO6 = 55,
	NET_F_HOST_USO = 56,

	NET_QUEUE_SIZE = 256,
	NET_CTRL_QUEUE_SIZE = 64,
	NET_CTRL_PIECES = NET_CTRL_QUEUE_SIZE,
	/* 2.7.13.3: a driver makes no chain that is longer than its queue. */
	NET_CHAIN_PIECES = NET_QUEUE_SIZE,
	/* How much one queue gets done before the other events of the I/O thread have their turn. */
	NET_BURST_FRAMES = 64,
	NET_PUBLISH_FRAMES = 16,
	NET_BURST_COMMANDS = 8,
};

/* virtio_device.counter: frames that were dropped, and why. */
enum net_counter {
	NET_COUNT_TX_MALFORMED,   /* no driver would send such */
	NET_COUNT_TX_UNSUPPORTED, /* the back end has nobody to send it to */
	NET_COUNT_TX_FAILED,      /* the back end could not send it */
	NET_COUNT_RX_NO_BUFFER,   /* too many waited in the back end already */
	NET_COUNT_RX_TOO_LONG,    /* for the driver's buffers */
	NET_COUNT_RX_OFFLOAD,     /* it came with one that the driver does not take any more */
	NET_COUNT_TX_UNPLUGGED,   /* the cable was out */
	NET_COUNT_RX_UNPLUGGED,   /* the same */
	NET_COUNT_FAULT_LOST,     /* on purpose */
	NET_COUNT_FAULT_DELAYED,
	NET_COUNT_FAULT_DUPLICATED,
	NET_COUNT_FAULT_CORRUPTED,
	NET_COUNT_FAULT_REORDERED,
	NET_COUNTERS,
};

/* A receive buffer, taken from the queue and not used yet. */
struct net_rx_buffer {
	uint16_t head;
	uint16_t pieces;
	uint32_t bytes;
};

/*
 * A receive queue's next buffers, in order, as many as the longest frame may need: the back end then
 * writes right into them. Bytes that do not fit go into spill; with these the frame is put together
 * there, and waits for more buffers. At most one does.
 */
struct net_rx {
	unsigned nr_buffers, nr_pieces;
	size_t bytes;
	size_t held_bytes; /* of the frame in spill, with its header; 0: none */
	struct net_rx_buffer buffer[NET_QUEUE_SIZE];
	struct iovec piece[2 * NET_CHAIN_PIECES];
	uint8_t spill[NET_HDR_BYTES + NET_FRAME_BYTES_MAX];
};

struct net {
	struct virtio_device vd;
	struct net_client client;
	struct net_backend *be;
	atomic_bool unplug_wanted; /* the cable is to be out; by any thread */
	bool unplugged;            /* it is out */
	bool started;
	unsigned pairs;       /* in use */
	unsigned tx_offloads; /* sets of enum net_offload: that the guest may use, */
	unsigned rx_offloads; /* and that it takes */
	uint8_t mac[6];       /* the one given; config has the driver's */
	bool mac_changed;
	struct iovec tx_piece[1 + NET_CHAIN_PIECES];
	bool tx_blocked[NET_PAIRS_MAX];
	struct net_rx *rx; /* be->pairs of them */
};

static inline struct net *net_of(struct virtio_device *vd)
{
	return container_of(vd, struct net, vd);
}

static inline unsigned net_rx_queue(unsigned pair)
{
	return 2 * pair;
}

static inline unsigned net_tx_queue(unsigned pair)
{
	return 2 * pair + 1;
}

/* 5.1.2: after all pairs that there may be, or after the one if MQ was not negotiated. */
static inline unsigned net_ctrl_queue(const struct net *net)
{
	return virtio_has(&net->vd, VIRTIO_NET_F_MQ) ? 2 * net->be->pairs : 2;
}

/* Moves frames while there are any, and buffers; then sees to it that it is called again. */
void net_rx_run(struct net *net, unsigned pair);
/* Forgets the buffers taken. */
void net_rx_stop(struct net *net, unsigned pair);

/* Sends frames while there are any, and room; nothing unless the pair's queue is live and has a meaning. */
void net_tx_run(struct net *net, unsigned pair);

void net_ctrl_run(struct net *net);

/* Sets what the guest takes to a set of feature bits, as far as they make sense together. */
void net_guest_offloads_set(struct net *net, uint64_t features);

#endif
