#include <endian.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "virtio/vsock/internal.h"

enum vsock_verdict vsock_packet_check(const struct virtio_vsock_hdr *hdr, size_t bytes,
				      uint64_t guest_cid)
{
	if (bytes < sizeof(*hdr) || le32toh(hdr->len) > bytes - sizeof(*hdr) ||
	    le64toh(hdr->src_cid) != guest_cid || le64toh(hdr->dst_cid) != VSOCK_HOST_CID)
		return VSOCK_PACKET_MALFORMED;
	return le16toh(hdr->type) == VIRTIO_VSOCK_TYPE_STREAM ? VSOCK_PACKET_OK
							      : VSOCK_PACKET_FOREIGN;
}

/* A guest that claims to have taken more than was sent has no room, as its own arithmetic would say. */
uint32_t vsock_credit(const struct vsock_conn *conn)
{
	const uint32_t under_way = conn->sent - conn->peer_fwd_cnt;

	return under_way < conn->peer_buf_alloc ? conn->peer_buf_alloc - under_way : 0;
}

bool vsock_line_parse(const char *line, size_t len, uint32_t *ret_port)
{
	static const char word[] = "CONNECT ";
	char number[VSOCK_LINE_BYTES_MAX];
	uint64_t port;
	size_t n;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len < sizeof(word) || len >= VSOCK_LINE_BYTES_MAX || memchr(line, '\0', len) ||
	    strncasecmp(line, word, sizeof(word) - 1) != 0)
		return false;
	n = len - (sizeof(word) - 1);
	memcpy(number, line + sizeof(word) - 1, n);
	number[n] = '\0';
	if (parse_u64(number, &port) < 0 || port > UINT32_MAX)
		return false;
	*ret_port = (uint32_t)port;
	return true;
}
