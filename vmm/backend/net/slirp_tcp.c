#include "backend/net/slirp_tcp.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>

#include "backend/net/slirp_bytes.h"

enum {
	OFF_IP = ETHER_HDR_LEN,
	OFF_TYPE = 12,
	IP_OFF_LENGTH = 2,
	IP_OFF_TTL = 8,
	IP_OFF_PROTOCOL = 9,
	IP_OFF_SUM = 10,
	IP_OFF_SOURCE = 12,
	IP_OFF_DEST = 16,
	TCP_OFF_DEST = 2,
	TCP_OFF_SEQ = 4,
	TCP_OFF_ACK = 8,
	TCP_OFF_HEADER = 12,
	TCP_OFF_FLAGS = 13,
	TCP_OFF_SUM = 16,
};

/* Sequence numbers are a circle (RFC 9293, 3.4). */
static bool seq_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static size_t header_bytes(uint8_t words)
{
	return (size_t)words * 4;
}

bool slirp_tcp_parse(const uint8_t *frame, size_t len, bool from_guest,
		     struct slirp_tcp_segment *ret)
{
	const int guest = from_guest ? 0 : 1;
	const uint8_t *ip = frame + OFF_IP, *tcp;
	size_t ip_header, tcp_header, bytes;

	if (len < OFF_IP + sizeof(struct iphdr) || get_u16(frame + OFF_TYPE) != ETHERTYPE_IP ||
	    ip[IP_OFF_PROTOCOL] != IPPROTO_TCP)
		return false;
	ip_header = header_bytes(ip[0] & 15);
	bytes = get_u16(ip + IP_OFF_LENGTH); /* what follows is not TCP's */
	if (bytes > len - OFF_IP || ip_header + sizeof(struct tcphdr) > bytes)
		return false;
	tcp = ip + ip_header;
	bytes -= ip_header;
	tcp_header = header_bytes(tcp[TCP_OFF_HEADER] >> 4);
	if (tcp_header < sizeof(struct tcphdr) || tcp_header > bytes)
		return false;
	*ret = (struct slirp_tcp_segment){
		.first = get_u32(tcp + TCP_OFF_SEQ),
		.ack = get_u32(tcp + TCP_OFF_ACK),
		.flags = tcp[TCP_OFF_FLAGS],
	};
	ret->end = ret->first + (uint32_t)(bytes - tcp_header);
	ret->key.addr[guest] = get_u32(ip + IP_OFF_SOURCE);
	ret->key.addr[!guest] = get_u32(ip + IP_OFF_DEST);
	ret->key.port[guest] = (uint16_t)get_u16(tcp);
	ret->key.port[!guest] = (uint16_t)get_u16(tcp + TCP_OFF_DEST);
	return true;
}

/* --- connections ------------------------------------------------------------------------------------ */

static bool keys_equal(const struct slirp_tcp_key *a, const struct slirp_tcp_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool flow_is_used(const struct slirp_tcp_flow *flow)
{
	return flow->used != 0;
}

static unsigned key_set(const struct slirp_tcp_key *key)
{
	uint32_t hash = key->addr[0] ^ key->addr[1] ^ ((uint32_t)key->port[0] << 16 | key->port[1]);

	return (hash * UINT32_C(0x9e3779b1)) >> 26;
}

_Static_assert(SLIRP_TCP_SETS == 1 << (32 - 26), "the set's number is the hash's upper bits");

static const struct slirp_tcp_flow *flow_find(const struct slirp_tcp *t,
					      const struct slirp_tcp_key *key)
{
	const struct slirp_tcp_flow *set = t->flow[key_set(key)];

	for (unsigned i = 0; i < SLIRP_TCP_WAYS; i++)
		if (flow_is_used(&set[i]) && keys_equal(&set[i].key, key))
			return &set[i];
	return NULL;
}

static struct slirp_tcp_flow *flow_find_mutable(struct slirp_tcp *t,
						const struct slirp_tcp_key *key)
{
	struct slirp_tcp_flow *set = t->flow[key_set(key)];
	const struct slirp_tcp_flow *flow = flow_find(t, key);

	return flow ? &set[flow - set] : NULL;
}

static void flow_forget(struct slirp_tcp *t, struct slirp_tcp_flow *flow)
{
	t->nr_kept -= flow->nr_kept;
	flow->nr_kept = 0;
	flow->acked_known = false;
	flow->used = 0;
}

/* The place that a new connection takes: unused, else nothing kept, else not used for the longest time. */
static struct slirp_tcp_flow *flow_slot(struct slirp_tcp *t, const struct slirp_tcp_key *key)
{
	struct slirp_tcp_flow *set = t->flow[key_set(key)], *best = &set[0];

	for (unsigned i = 1; i < SLIRP_TCP_WAYS; i++) {
		const bool keeps = set[i].nr_kept > 0, best_keeps = best->nr_kept > 0;

		if (keeps != best_keeps ? best_keeps : set[i].used < best->used)
			best = &set[i];
	}
	return best;
}

static bool is_kept_like(const struct slirp_tcp_segment *seg)
{
	return seg->first != seg->end || (seg->flags & TH_FIN);
}

/* RFC 1071; n is even. */
static unsigned checksum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i += 2)
		sum += get_u16(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static void reset_finish(uint8_t *ip)
{
	enum { ADDRS = sizeof(struct iphdr) - IP_OFF_SOURCE };
	uint8_t *tcp = ip + sizeof(struct iphdr);

	put_u16(ip + IP_OFF_SUM, checksum(ip, sizeof(struct iphdr), 0));
	put_u16(tcp + TCP_OFF_SUM, checksum(ip + IP_OFF_SOURCE, ADDRS + sizeof(struct tcphdr),
					    IPPROTO_TCP + sizeof(struct tcphdr)));
}

/* libslirp takes an RST whose sequence number is at or before the one that it expects. */
static void reset_make(const struct slirp_tcp_flow *flow, uint8_t ret[SLIRP_TCP_RESET_BYTES])
{
	uint8_t *ip = ret + OFF_IP, *tcp = ip + sizeof(struct iphdr);

	memset(ret, 0, SLIRP_TCP_RESET_BYTES);
	put_u16(ret + OFF_TYPE, ETHERTYPE_IP);
	ip[0] = IPVERSION << 4 | sizeof(struct iphdr) / 4;
	put_u16(ip + IP_OFF_LENGTH, sizeof(struct iphdr) + sizeof(struct tcphdr));
	ip[IP_OFF_TTL] = IPDEFTTL;
	ip[IP_OFF_PROTOCOL] = IPPROTO_TCP;
	put_u32(ip + IP_OFF_SOURCE, flow->key.addr[0]);
	put_u32(ip + IP_OFF_DEST, flow->key.addr[1]);
	put_u16(tcp, flow->key.port[0]);
	put_u16(tcp + TCP_OFF_DEST, flow->key.port[1]);
	put_u32(tcp + TCP_OFF_SEQ, flow->acked);
	tcp[TCP_OFF_HEADER] = sizeof(struct tcphdr) / 4 << 4;
	tcp[TCP_OFF_FLAGS] = TH_RST;
	reset_finish(ip);
}

bool slirp_tcp_evict(struct slirp_tcp *t, const struct slirp_tcp_segment *seg,
		     uint8_t ret_reset[SLIRP_TCP_RESET_BYTES])
{
	struct slirp_tcp_flow *slot;
	bool reset;

	if (!is_kept_like(seg) || flow_find(t, &seg->key))
		return false;
	slot = flow_slot(t, &seg->key);
	/* One that never answered has no connection: libslirp answers at once what it keeps. */
	reset = slot->nr_kept > 0 && slot->acked_known;
	if (reset)
		reset_make(slot, ret_reset);
	flow_forget(t, slot);
	return reset;
}

/* --- segments --------------------------------------------------------------------------------------- */

/* A second copy of a segment is dropped by libslirp. Not of a FIN alone, whose copies it all keeps. */
static bool flow_has(const struct slirp_tcp_flow *flow, const struct slirp_tcp_segment *seg)
{
	if (seg->first == seg->end)
		return false;
	for (unsigned i = 0; i < flow->nr_kept; i++)
		if (flow->kept[i].first == seg->first && flow->kept[i].end == seg->end)
			return true;
	return false;
}

bool slirp_tcp_admit(struct slirp_tcp *t, const struct slirp_tcp_segment *seg)
{
	struct slirp_tcp_flow *flow;

	if (!is_kept_like(seg))
		return true;
	flow = flow_find_mutable(t, &seg->key);
	if (!flow) {
		flow = flow_slot(t, &seg->key);
		flow_forget(t, flow);
		flow->key = seg->key;
	}
	flow->used = ++t->segments;
	flow->answered = false;
	if (flow->acked_known && !seq_after(seg->first, flow->acked))
		return true; /* not ahead: passed on, or dropped, at once */
	if (flow_has(flow, seg))
		return true;
	if (flow->nr_kept == SLIRP_TCP_KEPT_MAX || t->nr_kept == SLIRP_TCP_KEPT_ALL_MAX)
		return false;
	flow->kept[flow->nr_kept].first = seg->first;
	flow->kept[flow->nr_kept].end = seg->end;
	flow->nr_kept++;
	t->nr_kept++;
	return true;
}

bool slirp_tcp_must_ask(const struct slirp_tcp *t, const struct slirp_tcp_segment *seg)
{
	const struct slirp_tcp_flow *flow = flow_find(t, &seg->key);

	return seg->first != seg->end && flow && flow->nr_kept >= SLIRP_TCP_ASK_AT &&
	       !flow->answered;
}

void slirp_tcp_answer(struct slirp_tcp *t, const struct slirp_tcp_segment *seg)
{
	struct slirp_tcp_flow *flow;
	unsigned n = 0;

	/* The number in an RST is made of the guest's segment alone. */
	if (!(seg->flags & TH_ACK) || (seg->flags & TH_RST))
		return;
	flow = flow_find_mutable(t, &seg->key);
	if (!flow)
		return;
	flow->acked = seg->ack;
	flow->acked_known = flow->answered = true;
	for (unsigned i = 0; i < flow->nr_kept; i++)
		if (seq_after(flow->kept[i].end, seg->ack))
			flow->kept[n++] = flow->kept[i];
	t->nr_kept -= flow->nr_kept - n;
	flow->nr_kept = (uint16_t)n;
}

void slirp_tcp_opened(struct slirp_tcp *t, const struct slirp_tcp_segment *seg)
{
	struct slirp_tcp_flow *flow = flow_find_mutable(t, &seg->key);

	if (flow)
		flow_forget(t, flow);
}
