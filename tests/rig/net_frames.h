/*
 * net_frames.h - Ethernet frames as a guest makes and reads them, for unit tests: ARP, and IPv4 with
 * UDP, TCP or ICMP in it. Addresses are IPv4 in host order.
 */
#ifndef TESTS_NET_FRAMES_H
#define TESTS_NET_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	FRAME_MAX = 2048,
	FRAME_IP = 14,
	FRAME_L4 = FRAME_IP + 20,
	FRAME_UDP_DATA = FRAME_L4 + 8,
	FRAME_TCP_DATA = FRAME_L4 + 20,
};

struct frame {
	size_t len;
	uint8_t b[FRAME_MAX];
};

static const uint8_t frame_guest_mac[6] = {0x02, 1, 2, 3, 4, 5};

static inline void frame_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void frame_put32(uint8_t *p, uint32_t v)
{
	frame_put16(p, v >> 16);
	frame_put16(p + 2, v & 0xffff);
}

static inline unsigned frame_get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t frame_get32(const uint8_t *p)
{
	return frame_get16(p) << 16 | frame_get16(p + 2);
}

/* RFC 1071, without the final complement. */
static inline uint32_t frame_sum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline void frame_ethernet(struct frame *f, const uint8_t dst[6], unsigned type)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->b, dst, 6);
	memcpy(f->b + 6, frame_guest_mac, 6);
	frame_put16(f->b + 12, type);
	f->len = 14;
}

/* An ARP request of sender for target. */
static inline void frame_arp_request(struct frame *f, uint32_t sender, uint32_t target)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t *p = f->b + FRAME_IP;

	frame_ethernet(f, broadcast, 0x0806);
	frame_put16(p, 1);
	frame_put16(p + 2, 0x0800);
	p[4] = 6;
	p[5] = 4;
	frame_put16(p + 6, 1);
	memcpy(p + 8, frame_guest_mac, 6);
	frame_put32(p + 14, sender);
	frame_put32(p + 24, target);
	f->len = 42;
}

/* An IPv4 header; len bytes of payload follow from FRAME_L4 on, and frame_ip_finish(). */
static inline void frame_ip(struct frame *f, unsigned protocol, uint32_t src, uint32_t dst,
			    size_t len)
{
	static const uint8_t gateway[6] = {0x52, 0x55, 10, 0, 2, 2};
	uint8_t *p = f->b + FRAME_IP;

	frame_ethernet(f, gateway, 0x0800);
	p[0] = 0x45;
	frame_put16(p + 2, (unsigned)(20 + len));
	p[8] = 64;
	p[9] = (uint8_t)protocol;
	frame_put32(p + 12, src);
	frame_put32(p + 16, dst);
	frame_put16(p + 10, ~frame_sum(p, 20, 0) & 0xffff);
	f->len = FRAME_L4 + len;
}

/* Sums up the payload: sum_at is where in it its checksum lies. */
static inline void frame_ip_finish(struct frame *f, size_t sum_at)
{
	const size_t len = f->len - FRAME_L4;
	const unsigned protocol = f->b[FRAME_IP + 9];
	uint32_t sum = 0;

	if (protocol != 1) /* ICMP has no pseudo header */
		sum = frame_sum(f->b + FRAME_IP + 12, 8, protocol + (uint32_t)len);
	frame_put16(f->b + FRAME_L4 + sum_at, 0);
	frame_put16(f->b + FRAME_L4 + sum_at, ~frame_sum(f->b + FRAME_L4, len, sum) & 0xffff);
}

static inline void frame_udp(struct frame *f, uint32_t src, unsigned sport, uint32_t dst,
			     unsigned dport, const void *data, size_t len)
{
	frame_ip(f, 17, src, dst, 8 + len);
	frame_put16(f->b + FRAME_L4, sport);
	frame_put16(f->b + FRAME_L4 + 2, dport);
	frame_put16(f->b + FRAME_L4 + 4, (unsigned)(8 + len));
	memcpy(f->b + FRAME_UDP_DATA, data, len);
	frame_ip_finish(f, 6);
}

enum { FRAME_FIN = 1, FRAME_SYN = 2, FRAME_RST = 4, FRAME_PSH = 8, FRAME_ACK = 16 };

/* The first segment of a connection. */
static inline void frame_tcp_syn(struct frame *f, uint32_t src, unsigned sport, uint32_t dst,
				 unsigned dport)
{
	frame_ip(f, 6, src, dst, 20);
	frame_put16(f->b + FRAME_L4, sport);
	frame_put16(f->b + FRAME_L4 + 2, dport);
	f->b[FRAME_L4 + 12] = 5 << 4;
	f->b[FRAME_L4 + 13] = FRAME_SYN;
	frame_put16(f->b + FRAME_L4 + 14, 8192);
	frame_ip_finish(f, 16);
}

/* Where the IPv4 packet ends. The frame can go on: Ethernet's are padded to 60 bytes. */
static inline size_t frame_ip_end(const struct frame *f)
{
	return FRAME_IP + frame_get16(f->b + FRAME_IP + 2);
}

/* The answer to a TCP segment got: ports and addresses swapped, all of it acknowledged. */
static inline void frame_tcp_answer(struct frame *f, const struct frame *got, uint32_t seq,
				    unsigned flags, const void *data, size_t len)
{
	const uint8_t *tcp = got->b + FRAME_L4;
	const size_t payload = frame_ip_end(got) - FRAME_L4 - (size_t)(tcp[12] >> 4) * 4;
	const uint32_t ack = frame_get32(tcp + 4) + (uint32_t)payload + !!(tcp[13] & FRAME_SYN);

	frame_ip(f, 6, frame_get32(got->b + FRAME_IP + 16), frame_get32(got->b + FRAME_IP + 12),
		 20 + len);
	frame_put16(f->b + FRAME_L4, frame_get16(tcp + 2));
	frame_put16(f->b + FRAME_L4 + 2, frame_get16(tcp));
	frame_put32(f->b + FRAME_L4 + 4, seq);
	frame_put32(f->b + FRAME_L4 + 8, ack);
	f->b[FRAME_L4 + 12] = 5 << 4;
	f->b[FRAME_L4 + 13] = (uint8_t)(flags | FRAME_ACK);
	frame_put16(f->b + FRAME_L4 + 14, 8192);
	memcpy(f->b + FRAME_TCP_DATA, data, len);
	frame_ip_finish(f, 16);
}

static inline void frame_ping(struct frame *f, uint32_t src, uint32_t dst, unsigned id,
			      unsigned seq)
{
	frame_ip(f, 1, src, dst, 8 + 32);
	f->b[FRAME_L4] = 8;
	frame_put16(f->b + FRAME_L4 + 4, id);
	frame_put16(f->b + FRAME_L4 + 6, seq);
	for (unsigned i = 0; i < 32; i++)
		f->b[FRAME_L4 + 8 + i] = (uint8_t)i;
	frame_ip_finish(f, 2);
}

#endif
