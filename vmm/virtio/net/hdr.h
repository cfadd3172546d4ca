/*
 * hdr.h - the header before each frame (virtio 1.2, 5.1.6), checked. Pure.
 *
 * A header of the guest's goes on to the host's kernel, which believes it: what it says of the frame
 * must be so, and the work that it asks for bounded.
 */
#ifndef VMM_VIRTIO_NET_HDR_H
#define VMM_VIRTIO_NET_HDR_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	/* Linux' TCP_MIN_SND_MSS: a host's kernel cuts a frame into no smaller pieces for anybody. */
	NET_HDR_TCP_GSO_SIZE_MIN = 48,
	NET_HDR_UDP_SEGMENTS_MAX = 128, /* Linux' UDP_MAX_SEGMENTS */
	NET_HDR_GSO_UDP_L4 = 5,         /* virtio 1.3, 5.1.6; not in every <linux/virtio_net.h> */
};

/*
 * The guest's header of a frame of frame_bytes; offloads (enum net_offload) is what it may leave to
 * us. True with the header for the back end, false when the frame is to be dropped.
 */
bool net_hdr_tx(const struct virtio_net_hdr_v1 *hdr, size_t frame_bytes, unsigned offloads,
		struct virtio_net_hdr_v1 *ret);

/*
 * A back end's header for a guest that takes offloads: true, without what the guest did not ask for,
 * or false when the frame is unfinished in a way that the guest does not know.
 */
bool net_hdr_rx(struct virtio_net_hdr_v1 *hdr, unsigned offloads);

#endif
