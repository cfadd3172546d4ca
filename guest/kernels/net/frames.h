/* frames.h - ARP requests and pings, and whether a frame is the answer. Addresses in host order. */
#ifndef GUEST_NET_FRAMES_H
#define GUEST_NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_MAC_BYTES = 6,
	FRAME_BYTES_MAX = 1514,
	FRAME_ARP_BYTES = 42,
	FRAME_ICMP = 14 + 20,              /* where ICMP begins */
	FRAME_PING_BYTES = FRAME_ICMP + 8, /* without what it carries */
};

struct frame_ends {
	uint8_t mac[FRAME_MAC_BYTES], peer_mac[FRAME_MAC_BYTES];
	uint32_t ip, peer_ip;
};

/* An ARP request for the peer's address. Returns the frame's length. */
size_t frame_arp_request(const struct frame_ends *ends, uint8_t *frame);
/* Whether this has it; then *ret_mac has it. */
bool frame_is_arp_reply(const struct frame_ends *ends, const uint8_t *frame, size_t len,
			uint8_t *ret_mac);

/* A ping that carries data_bytes, with its checksum or, for the device to finish, without. */
size_t frame_ping(const struct frame_ends *ends, unsigned seq, size_t data_bytes, bool checksum,
		  uint8_t *frame);
/* Whether this answers that ping, byte by byte. */
bool frame_is_pong(const struct frame_ends *ends, const uint8_t *frame, size_t len, unsigned seq,
		   size_t data_bytes);

#endif
