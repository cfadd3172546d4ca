#include "backend/net/slirp_frame.h"

#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>

#include "backend/net/slirp_bytes.h"

enum {
	OFF_TYPE = 12,
	OFF_IP = ETHER_HDR_LEN,
	IP_OFF_FRAGMENT = 6,
	IP_OFF_PROTOCOL = 9,
	IP_OFF_SOURCE = 12,
	IP_OFF_DEST = 16,
	IP_ADDR_LEN = 4,
	PORT_DHCP_SERVER = 67,
	UDP_OFF_DEST = 2,
	TCP_OFF_FLAGS = 13,
};

/*
 * libslirp's own DHCP server answers without a socket, at these addresses. A datagram to that port of any other
 * is passed on by a socket.
 */
static bool is_dhcp(uint32_t dest, const uint8_t *udp, size_t len)
{
	return len >= UDP_OFF_DEST + 2 && get_u16(udp + UDP_OFF_DEST) == PORT_DHCP_SERVER &&
	       (dest == INADDR_BROADCAST || dest == SLIRP_FRAME_GATEWAY);
}

/* l4: len bytes after the IP header. */
static enum slirp_frame_kind transport_kind(const uint8_t *ip, const uint8_t *l4, size_t len)
{
	switch (ip[IP_OFF_PROTOCOL]) {
	case IPPROTO_TCP:
		if (len < sizeof(struct tcphdr))
			return SLIRP_FRAME_OTHER;
		return (l4[TCP_OFF_FLAGS] & TH_SYN) ? SLIRP_FRAME_IP_OPENS : SLIRP_FRAME_IP;
	case IPPROTO_UDP:
		return is_dhcp(get_u32(ip + IP_OFF_DEST), l4, len) ? SLIRP_FRAME_IP
								   : SLIRP_FRAME_IP_OPENS;
	default: return SLIRP_FRAME_IP_OPENS;
	}
}

static enum slirp_frame_kind ip_kind(const uint8_t *ip, size_t len)
{
	size_t header;

	if (len < sizeof(struct iphdr) || ip[0] >> 4 != IPVERSION)
		return SLIRP_FRAME_OTHER;
	header = (size_t)(ip[0] & 15) * 4;
	if (header < sizeof(struct iphdr) || header > len)
		return SLIRP_FRAME_OTHER;
	if (get_u16(ip + IP_OFF_FRAGMENT) & (IP_MF | IP_OFFMASK))
		return SLIRP_FRAME_OTHER;
	return transport_kind(ip, ip + header, len - header);
}

enum slirp_frame_kind slirp_frame_kind(const uint8_t *frame, size_t len)
{
	if (len < ETHER_HDR_LEN || len > SLIRP_FRAME_BYTES_MAX)
		return SLIRP_FRAME_OTHER;
	switch (get_u16(frame + OFF_TYPE)) {
	case ETHERTYPE_ARP:
		return len >= SLIRP_FRAME_ARP_BYTES ? SLIRP_FRAME_ARP : SLIRP_FRAME_OTHER;
	case ETHERTYPE_IP: return ip_kind(frame + OFF_IP, len - OFF_IP);
	default: return SLIRP_FRAME_OTHER;
	}
}

void slirp_frame_arp(const uint8_t *ip_frame, uint8_t ret[SLIRP_FRAME_ARP_BYTES])
{
	const uint8_t *mac = ip_frame + ETHER_ADDR_LEN;
	uint8_t *p = ret;

	memset(ret, 0, SLIRP_FRAME_ARP_BYTES); /* the target: nobody */
	memcpy(p + ETHER_ADDR_LEN, mac, ETHER_ADDR_LEN);
	put_u16(p + OFF_TYPE, ETHERTYPE_ARP);
	p += ETHER_HDR_LEN;
	put_u16(p, ARPHRD_ETHER);
	put_u16(p + 2, ETHERTYPE_IP);
	p[4] = ETHER_ADDR_LEN;
	p[5] = IP_ADDR_LEN;
	put_u16(p + 6, ARPOP_REPLY);
	memcpy(p + 8, mac, ETHER_ADDR_LEN);
	memcpy(p + 8 + ETHER_ADDR_LEN, ip_frame + OFF_IP + IP_OFF_SOURCE, IP_ADDR_LEN);
}
