/* slirp_bytes.h - fields of a frame's headers, which are in network byte order at any alignment. Pure. */
#ifndef VMM_BACKEND_NET_SLIRP_BYTES_H
#define VMM_BACKEND_NET_SLIRP_BYTES_H

#include <stdint.h>

static inline unsigned get_u16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static inline void put_u16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
	put_u16(p, v >> 16);
	put_u16(p + 2, v & 0xffff);
}

#endif
