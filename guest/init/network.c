#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dhcp.h"
#include "ports.h"

static int set_up(int fd, const char *name)
{
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static bool find_ethernet(int fd, char name[IFNAMSIZ], uint8_t mac[6])
{
	struct if_nameindex *list = if_nameindex();
	bool found = false;

	for (unsigned i = 0; list && list[i].if_index && !found; i++) {
		struct ifreq ifr = {0};

		snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", list[i].if_name);
		found = ioctl(fd, SIOCGIFHWADDR, &ifr) == 0 &&
			ifr.ifr_hwaddr.sa_family == ARPHRD_ETHER;
		if (found) {
			memcpy(name, ifr.ifr_name, IFNAMSIZ);
			memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
		}
	}
	if_freenameindex(list);
	return found;
}

static int set_address(int fd, const char *name, struct in_addr address, bool netmask)
{
	const struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = address};
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	return ioctl(fd, netmask ? SIOCSIFNETMASK : SIOCSIFADDR, &ifr) < 0 ? -errno : 0;
}

static int set_default_route(int fd, char *name, struct in_addr router)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};
	const struct sockaddr_in gateway = {.sin_family = AF_INET, .sin_addr = router};
	struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = name};

	memcpy(&route.rt_dst, &any, sizeof(any));
	memcpy(&route.rt_genmask, &any, sizeof(any));
	memcpy(&route.rt_gateway, &gateway, sizeof(gateway));
	return ioctl(fd, SIOCADDRT, &route) < 0 ? -errno : 0;
}

static void write_resolv_conf(const struct dhcp_lease *lease)
{
	const int fd = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return;
	for (unsigned i = 0; i < lease->nr_dns; i++) {
		char text[INET_ADDRSTRLEN];

		dprintf(fd, "nameserver %s\n",
			inet_ntop(AF_INET, &lease->dns[i], text, sizeof(text)));
	}
	close(fd);
}

static int apply(int fd, char *name, const struct dhcp_lease *lease)
{
	char text[INET_ADDRSTRLEN];
	int r = set_address(fd, name, lease->address, false);

	if (r == 0 && lease->netmask.s_addr)
		r = set_address(fd, name, lease->netmask, true);
	if (r == 0 && lease->router.s_addr)
		r = set_default_route(fd, name, lease->router);
	write_resolv_conf(lease);
	log_line("network %s %s", name, inet_ntop(AF_INET, &lease->address, text, sizeof(text)));
	return r;
}

void network_setup(void)
{
	/* A kernel without networking has none to set up. */
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct dhcp_lease lease;
	char name[IFNAMSIZ];
	uint8_t mac[6];
	int r;

	if (fd < 0)
		return;
	set_up(fd, "lo");
	if (find_ethernet(fd, name, mac)) {
		r = set_up(fd, name);
		if (r == 0)
			r = dhcp_ask(name, mac, &lease);
		if (r == 0)
			r = apply(fd, name, &lease);
		if (r < 0)
			say("no address for %s: %s; going on without", name, strerror(-r));
	}
	close(fd);
}
