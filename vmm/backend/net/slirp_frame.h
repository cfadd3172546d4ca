/* slirp_frame.h - which of a guest's frames libslirp is given. Pure. */
#ifndef VMM_BACKEND_NET_SLIRP_FRAME_H
#define VMM_BACKEND_NET_SLIRP_FRAME_H

#include <net/ethernet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SLIRP_FRAME_BYTES_MAX = ETHER_HDR_LEN + 1500, /* in both directions: the MTU is 1500 */
	SLIRP_FRAME_ARP_BYTES = ETHER_HDR_LEN + 28,
};

/* 10.0.2.2, where libslirp's own services are. */
#define SLIRP_FRAME_GATEWAY UINT32_C(0x0a000202)

enum slirp_frame_kind {
	SLIRP_FRAME_OTHER, /* nothing that libslirp should see */
	SLIRP_FRAME_ARP,
	SLIRP_FRAME_IP,
	SLIRP_FRAME_IP_OPENS, /* it may make libslirp open a socket */
};

/*
 * Other are: what is neither ARP nor IPv4, a broken IPv4 header, and fragments, of which libslirp
 * would keep any number for half a minute.
 */
enum slirp_frame_kind slirp_frame_kind(const uint8_t *frame, size_t len);

/*
 * An ARP reply (RFC 826) that says of the IPv4 frame's source address what its source MAC address is.
 * Without one libslirp queues all it has for an address, and asks; see send() in net_slirp.c.
 */
void slirp_frame_arp(const uint8_t *ip_frame, uint8_t ret[SLIRP_FRAME_ARP_BYTES]);

#endif
