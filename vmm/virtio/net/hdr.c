#include "virtio/net/hdr.h"

#include <endian.h>
#include <net/ethernet.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdint.h>

#include "backend/net.h"

/* 5.1.6.2: the two bytes of the checksum are in the frame and after the Ethernet header. */
static bool csum_ok(const struct virtio_net_hdr_v1 *hdr, size_t frame_bytes)
{
	const size_t start = le16toh(hdr->csum_start), offset = le16toh(hdr->csum_offset);

	return start >= ETHER_HDR_LEN && start + offset + sizeof(uint16_t) <= frame_bytes;
}

/* The offload that a GSO type needs, ECN aside; 0: there is no such type. */
static unsigned gso_offload(unsigned type)
{
	switch (type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4: return NET_OFFLOAD_TSO4;
	case VIRTIO_NET_HDR_GSO_TCPV6: return NET_OFFLOAD_TSO6;
	case NET_HDR_GSO_UDP_L4: return type & VIRTIO_NET_HDR_GSO_ECN ? 0 : NET_OFFLOAD_USO;
	default: return 0;
	}
}

static bool gso_allowed(unsigned type, unsigned offloads)
{
	const unsigned needs = gso_offload(type);

	if (!needs || !(offloads & needs))
		return false;
	return !(type & VIRTIO_NET_HDR_GSO_ECN) || (offloads & NET_OFFLOAD_TSO_ECN);
}

/* hdr_len is a hint (5.1.6.2.2): one that cannot be is replaced by the shortest there is. */
static bool set_gso(const struct virtio_net_hdr_v1 *hdr, size_t frame_bytes,
		    struct virtio_net_hdr_v1 *ret)
{
	const bool udp = hdr->gso_type == NET_HDR_GSO_UDP_L4;
	const size_t l4_bytes = udp ? sizeof(struct udphdr) : sizeof(struct tcphdr);
	const size_t headers = le16toh(hdr->csum_start) + l4_bytes;
	const size_t size = le16toh(hdr->gso_size), hint = le16toh(hdr->hdr_len);

	if (headers >= frame_bytes || headers > UINT16_MAX)
		return false;
	if (udp && (size == 0 || (frame_bytes - headers) / size >= NET_HDR_UDP_SEGMENTS_MAX))
		return false;
	if (!udp && size < NET_HDR_TCP_GSO_SIZE_MIN)
		return false;
	ret->gso_type = hdr->gso_type;
	ret->gso_size = hdr->gso_size;
	ret->hdr_len =
		hint >= headers && hint <= frame_bytes ? hdr->hdr_len : htole16((uint16_t)headers);
	return true;
}

bool net_hdr_tx(const struct virtio_net_hdr_v1 *hdr, size_t frame_bytes, unsigned offloads,
		struct virtio_net_hdr_v1 *ret)
{
	/* Other flags mean nothing from a driver, and are to be ignored. */
	const bool csum = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	struct virtio_net_hdr_v1 out = {0};

	if (csum) {
		if (!(offloads & NET_OFFLOAD_CSUM) || !csum_ok(hdr, frame_bytes))
			return false;
		out.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		out.csum_start = hdr->csum_start;
		out.csum_offset = hdr->csum_offset;
	}
	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE &&
	    (!csum || !gso_allowed(hdr->gso_type, offloads) || !set_gso(hdr, frame_bytes, &out)))
		return false;
	*ret = out;
	return true;
}

bool net_hdr_rx(struct virtio_net_hdr_v1 *hdr, unsigned offloads)
{
	const bool csum = offloads & NET_OFFLOAD_CSUM;

	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !csum)
		return false;
	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE && !gso_allowed(hdr->gso_type, offloads))
		return false;
	hdr->flags &= csum ? VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID : 0;
	return true;
}
