/* forward.c - forwarded ports as users write them, in options and commands. Pure. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "backend/net.h"
#include "base/parse.h"

/* "ADDR:PORT", or ":PORT" for the address that is there already; text has len bytes. */
static bool endpoint_parse(const char *text, size_t len, struct in_addr *addr, uint16_t *port)
{
	const char *colon = memrchr(text, ':', len);
	char dotted[INET_ADDRSTRLEN] = "", digits[8] = "";
	size_t addr_len, digits_len;
	uint64_t number;

	if (!colon)
		return false;
	addr_len = (size_t)(colon - text);
	digits_len = len - addr_len - 1;
	if (addr_len >= sizeof(dotted) || digits_len >= sizeof(digits))
		return false;
	memcpy(dotted, text, addr_len);
	memcpy(digits, colon + 1, digits_len);
	if (parse_u64_in(digits, 1, UINT16_MAX, &number) < 0)
		return false;
	if (addr_len > 0 && inet_pton(AF_INET, dotted, addr) != 1)
		return false;
	*port = (uint16_t)number;
	return true;
}

bool net_forward_parse(const char *text, bool host_alone, struct net_slirp_forward *ret)
{
	struct net_slirp_forward fwd = {.host_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const char *host = text + 4, *dash;

	fwd.udp = strncmp(text, "udp:", 4) == 0;
	if (!fwd.udp && strncmp(text, "tcp:", 4) != 0)
		return false;
	dash = strchrnul(host, '-');
	if (!*dash && !host_alone)
		return false;
	if (!endpoint_parse(host, (size_t)(dash - host), &fwd.host_addr, &fwd.host_port))
		return false;
	if (*dash && !endpoint_parse(dash + 1, strlen(dash + 1), &fwd.guest_addr, &fwd.guest_port))
		return false;
	*ret = fwd;
	return true;
}

const char *net_forward_format(const struct net_slirp_forward *fwd,
			       char buf[NET_FORWARD_TEXT_BYTES])
{
	char host[INET_ADDRSTRLEN], guest[INET_ADDRSTRLEN] = "";

	inet_ntop(AF_INET, &fwd->host_addr, host, sizeof(host));
	if (fwd->guest_addr.s_addr)
		inet_ntop(AF_INET, &fwd->guest_addr, guest, sizeof(guest));
	snprintf(buf, NET_FORWARD_TEXT_BYTES, "%s:%s:%u-%s:%u", fwd->udp ? "udp" : "tcp", host,
		 fwd->host_port, guest, fwd->guest_port);
	return buf;
}
