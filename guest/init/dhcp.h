/* dhcp.h - an address from the network's DHCP server (RFC 2131), for kernels without CONFIG_IP_PNP. */
#ifndef INIT_DHCP_H
#define INIT_DHCP_H

#include <netinet/in.h>
#include <stdint.h>

enum { DHCP_DNS_MAX = 3 }; /* as resolv.conf(5) takes */

struct dhcp_lease {
	struct in_addr address, netmask, router; /* router.s_addr 0: none */
	struct in_addr dns[DHCP_DNS_MAX];
	unsigned nr_dns;
};

/*
 * Asks on an interface that is up and has no address, for DHCP_WAIT_MS at most. 0; -ETIMEDOUT when nobody
 * answers; -errno. The lease is never renewed: a guest of ours ends before that.
 */
enum { DHCP_WAIT_MS = 3000 };
int dhcp_ask(const char *interface, const uint8_t mac[6], struct dhcp_lease *ret);

#endif
