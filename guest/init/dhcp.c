#include "dhcp.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CLIENT_PORT = 68,
	SERVER_PORT = 67,
	BOOTREQUEST = 1,
	BOOTREPLY = 2,
	ETHERNET = 1,
	MAC_BYTES = 6,
	BROADCAST = 0x8000, /* flags: no unicast to an address that we do not have yet */
	COOKIE = 0x63825363,
	OPTIONS_BYTES = 312,
	RETRY_MS = 250, /* doubled each time */
};

/* RFC 2132. */
enum {
	OPTION_PAD = 0,
	OPTION_NETMASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_ADDRESS = 50,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_WANTED = 55,
	OPTION_END = 255,
};

enum message_type { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6 };

/* RFC 2131, 2. All in network order. */
struct message {
	uint8_t op, htype, hlen, hops;
	uint32_t xid;
	uint16_t secs, flags;
	struct in_addr ciaddr, yiaddr, siaddr, giaddr;
	uint8_t chaddr[16], sname[64], file[128];
	uint32_t cookie;
	uint8_t options[OPTIONS_BYTES];
};

/* One dhcp_ask(). */
struct client {
	int fd;
	uint32_t xid;
	const uint8_t *mac;
	struct in_addr offered, server; /* of the offer that we take */
	struct dhcp_lease *lease;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint8_t *put_option(uint8_t *at, uint8_t option, const void *value, uint8_t len)
{
	*at++ = option;
	*at++ = len;
	memcpy(at, value, len);
	return at + len;
}

static void send_message(const struct client *c, enum message_type type)
{
	static const uint8_t wanted[] = {OPTION_NETMASK, OPTION_ROUTER, OPTION_DNS};
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(SERVER_PORT),
				       .sin_addr.s_addr = INADDR_BROADCAST};
	const uint8_t type_byte = (uint8_t)type;
	struct message m = {
		.op = BOOTREQUEST,
		.htype = ETHERNET,
		.hlen = MAC_BYTES,
		.xid = c->xid,
		.flags = htons(BROADCAST),
		.cookie = htonl(COOKIE),
	};
	uint8_t *at = put_option(m.options, OPTION_TYPE, &type_byte, 1);

	memcpy(m.chaddr, c->mac, MAC_BYTES);
	at = put_option(at, OPTION_WANTED, wanted, sizeof(wanted));
	if (type == REQUEST) {
		at = put_option(at, OPTION_ADDRESS, &c->offered, sizeof(c->offered));
		at = put_option(at, OPTION_SERVER, &c->server, sizeof(c->server));
	}
	*at = OPTION_END;
	/* Lost is lost: it is sent again when no answer comes. */
	sendto(c->fd, &m, sizeof(m), 0, (const void *)&to, sizeof(to));
}

/* The value of an option with at least min bytes, or NULL. len: of the options that came. */
static const uint8_t *find_option(const struct message *m, size_t len, uint8_t option, uint8_t min,
				  uint8_t *ret_len)
{
	size_t at = 0;

	while (at < len && m->options[at] != OPTION_END) {
		uint8_t n;

		if (m->options[at] == OPTION_PAD) {
			at++;
			continue;
		}
		if (at + 2 > len)
			return NULL;
		n = m->options[at + 1];
		if (at + 2 + n > len)
			return NULL;
		if (m->options[at] == option && n >= min) {
			*ret_len = n;
			return m->options + at + 2;
		}
		at += 2U + n;
	}
	return NULL;
}

static void take_address(const struct message *m, size_t len, uint8_t option, struct in_addr *ret)
{
	uint8_t n;
	const uint8_t *value = find_option(m, len, option, sizeof(*ret), &n);

	if (value)
		memcpy(ret, value, sizeof(*ret));
}

static void take_lease(const struct message *m, size_t len, struct dhcp_lease *lease)
{
	uint8_t n;
	const uint8_t *dns = find_option(m, len, OPTION_DNS, sizeof(lease->dns[0]), &n);

	*lease = (struct dhcp_lease){.address = m->yiaddr};
	take_address(m, len, OPTION_NETMASK, &lease->netmask);
	take_address(m, len, OPTION_ROUTER, &lease->router);
	while (dns && lease->nr_dns < DHCP_DNS_MAX && lease->nr_dns < n / sizeof(lease->dns[0])) {
		memcpy(&lease->dns[lease->nr_dns], dns + lease->nr_dns * sizeof(lease->dns[0]),
		       sizeof(lease->dns[0]));
		lease->nr_dns++;
	}
}

/* The type of an answer to us, or 0. */
static unsigned receive(const struct client *c, struct message *m, size_t *ret_options_len)
{
	const ssize_t n = recv(c->fd, m, sizeof(*m), MSG_DONTWAIT);
	const uint8_t *type;
	uint8_t len;

	if (n < (ssize_t)offsetof(struct message, options) || m->op != BOOTREPLY ||
	    m->xid != c->xid || m->cookie != htonl(COOKIE) ||
	    memcmp(m->chaddr, c->mac, MAC_BYTES) != 0)
		return 0;
	*ret_options_len = (size_t)n - offsetof(struct message, options);
	type = find_option(m, *ret_options_len, OPTION_TYPE, 1, &len);
	return type ? *type : 0;
}

/* Takes one packet; true when it was the last that we need. */
static bool handle(struct client *c)
{
	struct message m;
	size_t len = 0;
	const unsigned type = receive(c, &m, &len);

	if (type == OFFER && !c->offered.s_addr) {
		c->offered = m.yiaddr;
		c->server = m.siaddr;
		take_address(&m, len, OPTION_SERVER, &c->server);
		send_message(c, REQUEST);
	} else if (type == ACK && c->offered.s_addr) {
		take_lease(&m, len, c->lease);
		return true;
	} else if (type == NAK) {
		c->offered.s_addr = 0; /* ask for another */
	}
	return false;
}

static int converse(struct client *c)
{
	const int64_t until_ms = now_ms() + DHCP_WAIT_MS;
	int64_t wait_ms = RETRY_MS;

	while (now_ms() < until_ms) {
		const int64_t then_ms = now_ms() + wait_ms;
		const int64_t again_ms = then_ms < until_ms ? then_ms : until_ms;

		send_message(c, c->offered.s_addr ? REQUEST : DISCOVER);
		while (now_ms() < again_ms) {
			struct pollfd pfd = {.fd = c->fd, .events = POLLIN};

			if (poll(&pfd, 1, (int)(again_ms - now_ms())) > 0 && handle(c))
				return 0;
		}
		wait_ms *= 2;
	}
	return -ETIMEDOUT;
}

int dhcp_ask(const char *interface, const uint8_t mac[6], struct dhcp_lease *ret)
{
	const struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(CLIENT_PORT)};
	struct client c = {.mac = mac, .lease = ret};
	const int on = 1;
	int r = 0;

	if (getrandom(&c.xid, sizeof(c.xid), GRND_NONBLOCK) != sizeof(c.xid))
		c.xid = (uint32_t)now_ms(); /* early in a boot; our MAC address differs, too */
	c.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (c.fd < 0)
		return -errno;
	if (setsockopt(c.fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0 ||
	    setsockopt(c.fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
		       (socklen_t)strlen(interface) + 1) < 0 ||
	    bind(c.fd, (const void *)&from, sizeof(from)) < 0)
		r = -errno;
	if (r == 0)
		r = converse(&c);
	close(c.fd);
	return r;
}
