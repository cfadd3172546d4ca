#include "frames.h"

#include <string.h>

enum {
	TYPE_IP = 0x0800,
	TYPE_ARP = 0x0806,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
	IP = 14,
	PROTOCOL_ICMP = 1,
	ICMP_REPLY = 0,
	ICMP_REQUEST = 8,
	ID = 0x7367,
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* RFC 1071 */
static unsigned sum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put_ethernet(const struct frame_ends *ends, const uint8_t *dst, unsigned type,
			 uint8_t *frame)
{
	memcpy(frame, dst, FRAME_MAC_BYTES);
	memcpy(frame + FRAME_MAC_BYTES, ends->mac, FRAME_MAC_BYTES);
	put16(frame + 12, type);
}

size_t frame_arp_request(const struct frame_ends *ends, uint8_t *frame)
{
	static const uint8_t all[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t *arp = frame + 14;

	put_ethernet(ends, all, TYPE_ARP, frame);
	put16(arp, 1);
	put16(arp + 2, TYPE_IP);
	arp[4] = FRAME_MAC_BYTES;
	arp[5] = 4;
	put16(arp + 6, ARP_REQUEST);
	memcpy(arp + 8, ends->mac, FRAME_MAC_BYTES);
	put32(arp + 14, ends->ip);
	memset(arp + 18, 0, FRAME_MAC_BYTES);
	put32(arp + 24, ends->peer_ip);
	return FRAME_ARP_BYTES;
}

bool frame_is_arp_reply(const struct frame_ends *ends, const uint8_t *frame, size_t len,
			uint8_t *ret_mac)
{
	if (len < FRAME_ARP_BYTES || get16(frame + 12) != TYPE_ARP ||
	    get16(frame + 14 + 6) != ARP_REPLY || get32(frame + 14 + 14) != ends->peer_ip)
		return false;
	memcpy(ret_mac, frame + 14 + 8, FRAME_MAC_BYTES);
	return true;
}

static uint8_t data_byte(size_t i, unsigned seq)
{
	return (uint8_t)(i + seq);
}

size_t frame_ping(const struct frame_ends *ends, unsigned seq, size_t data_bytes, bool checksum,
		  uint8_t *frame)
{
	uint8_t *ip = frame + IP, *icmp = frame + FRAME_ICMP;

	put_ethernet(ends, ends->peer_mac, TYPE_IP, frame);
	memset(ip, 0, FRAME_PING_BYTES - IP);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + 8 + data_bytes));
	ip[8] = 64;
	ip[9] = PROTOCOL_ICMP;
	put32(ip + 12, ends->ip);
	put32(ip + 16, ends->peer_ip);
	put16(ip + 10, ~sum(ip, 20) & 0xffff);
	icmp[0] = ICMP_REQUEST;
	put16(icmp + 4, ID);
	put16(icmp + 6, seq);
	for (size_t i = 0; i < data_bytes; i++)
		icmp[8 + i] = data_byte(i, seq);
	if (checksum)
		put16(icmp + 2, ~sum(icmp, 8 + data_bytes) & 0xffff);
	return FRAME_PING_BYTES + data_bytes;
}

bool frame_is_pong(const struct frame_ends *ends, const uint8_t *frame, size_t len, unsigned seq,
		   size_t data_bytes)
{
	const uint8_t *ip = frame + IP, *icmp = frame + FRAME_ICMP;

	if (len < FRAME_PING_BYTES + data_bytes || get16(frame + 12) != TYPE_IP ||
	    ip[9] != PROTOCOL_ICMP || get32(ip + 12) != ends->peer_ip || icmp[0] != ICMP_REPLY ||
	    get16(icmp + 4) != ID || get16(icmp + 6) != seq)
		return false;
	for (size_t i = 0; i < data_bytes; i++)
		if (icmp[8 + i] != data_byte(i, seq))
			return false;
	return sum(icmp, 8 + data_bytes) == 0xffff;
}
