#include "backend/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"

/* Since Linux 6.2, and not in every header that we are built with. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct tap_queue {
	struct net_tap *tap;
	unsigned pair;
	struct event_source src;
	bool rx_want;
	bool tx_blocked;
	bool failed; /* a read said something else than EAGAIN: wait for the next notice */
};

struct net_tap {
	struct net_backend be;
	struct event_loop *loop;
	unsigned ifindex;
	int ctl_fd;               /* for ioctls on the interface */
	struct event_source link; /* netlink's notices of changed interfaces */
	unsigned active;          /* pairs that take part */
	struct tap_queue queue[NET_PAIRS_MAX];
};

static struct net_tap *to_tap(struct net_backend *be)
{
	return container_of(be, struct net_tap, be);
}

static void queue_wait(struct tap_queue *q)
{
	const uint32_t in = q->rx_want && !q->failed ? EPOLLIN : 0;
	const uint32_t out = q->tx_blocked ? EPOLLOUT : 0;

	event_loop_want(q->tap->loop, &q->src, in | out);
}

static void queue_ready(struct event_source *src, uint32_t epoll_events)
{
	struct tap_queue *q = container_of(src, struct tap_queue, src);
	struct net_client *client = q->tap->be.client;

	if (q->tx_blocked && (epoll_events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		q->tx_blocked = false;
		queue_wait(q);
		client->tx_ready(client, q->pair);
	}
	if (q->rx_want && (epoll_events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		client->rx_ready(client, q->pair);
}

static int tap_send(struct net_backend *be, unsigned pair, const struct iovec *iov, unsigned nr)
{
	struct tap_queue *q = &to_tap(be)->queue[pair];

	if (writev(q->src.fd, iov, (int)nr) >= 0)
		return 0;
	if (errno != EAGAIN)
		return -errno;
	q->tx_blocked = true;
	queue_wait(q);
	return -EAGAIN;
}

static ssize_t tap_receive(struct net_backend *be, unsigned pair, const struct iovec *iov,
			   unsigned nr)
{
	struct tap_queue *q = &to_tap(be)->queue[pair];
	const ssize_t n = readv(q->src.fd, iov, (int)nr);

	if (n >= 0 || errno == EAGAIN)
		return n < 0 ? -EAGAIN : n;
	q->failed = true;
	queue_wait(q);
	return -EIO;
}

static void tap_rx_want(struct net_backend *be, unsigned pair, bool want)
{
	struct tap_queue *q = &to_tap(be)->queue[pair];

	q->rx_want = want;
	queue_wait(q);
}

static const struct {
	unsigned offload, tun;
} offload_bits[] = {
	{NET_OFFLOAD_CSUM, TUN_F_CSUM},
	{NET_OFFLOAD_TSO4, TUN_F_TSO4},
	{NET_OFFLOAD_TSO6, TUN_F_TSO6},
	{NET_OFFLOAD_TSO_ECN, TUN_F_TSO_ECN},
	{NET_OFFLOAD_USO, TUN_F_USO4 | TUN_F_USO6},
};

/* Of the interface, so that one queue's descriptor speaks for all. */
static int set_offloads(const struct net_tap *tap, unsigned offloads)
{
	unsigned long tun = 0;

	for (size_t i = 0; i < ARRAY_SIZE(offload_bits); i++)
		if (offloads & offload_bits[i].offload)
			tun |= offload_bits[i].tun;
	return ioctl(tap->queue[0].src.fd, TUNSETOFFLOAD, tun) < 0 ? -errno : 0;
}

static void tap_rx_offloads_set(struct net_backend *be, unsigned offloads)
{
	set_offloads(to_tap(be), offloads); /* within what it took before: it does not fail */
}

static int attach(const struct tap_queue *q, bool on)
{
	const struct ifreq ifr = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	return ioctl(q->src.fd, TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}

static int tap_pairs_set(struct net_backend *be, unsigned pairs)
{
	struct net_tap *tap = to_tap(be);

	while (tap->active < pairs) {
		int r = attach(&tap->queue[tap->active], true);

		if (r < 0)
			return r;
		tap->active++;
	}
	while (tap->active > pairs) {
		int r = attach(&tap->queue[tap->active - 1], false);

		if (r < 0)
			return r;
		tap->active--;
	}
	return 0;
}

static void tap_destroy(struct net_backend *be)
{
	struct net_tap *tap = to_tap(be);

	for (unsigned i = 0; i < NET_PAIRS_MAX; i++) {
		event_loop_remove(tap->loop, &tap->queue[i].src);
		if (tap->queue[i].src.fd >= 0)
			close(tap->queue[i].src.fd);
	}
	event_loop_remove(tap->loop, &tap->link);
	if (tap->link.fd >= 0)
		close(tap->link.fd);
	if (tap->ctl_fd >= 0)
		close(tap->ctl_fd);
	free(tap);
}

static const struct net_backend_ops tap_ops = {
	.send = tap_send,
	.receive = tap_receive,
	.rx_want = tap_rx_want,
	.rx_offloads_set = tap_rx_offloads_set,
	.pairs_set = tap_pairs_set,
	.destroy = tap_destroy,
};

/* The cable is plugged in while the interface is up on the host. A renamed one is found again. */
static bool link_up(const struct net_tap *tap)
{
	struct ifreq ifr = {.ifr_ifindex = (int)tap->ifindex};

	/* Not if_indextoname(), which makes a socket: this thread may not. */
	if (ioctl(tap->ctl_fd, SIOCGIFNAME, &ifr) < 0 || ioctl(tap->ctl_fd, SIOCGIFFLAGS, &ifr) < 0)
		return false;
	return ifr.ifr_flags & IFF_UP;
}

/*
 * Something about some interface changed; what, is asked for, because notices may be lost. It may have been
 * down for a moment, so that reads that failed are tried again even if it is as it was.
 */
static void link_ready(struct event_source *src, uint32_t epoll_events)
{
	struct net_tap *tap = container_of(src, struct net_tap, link);
	char notices[4096];
	bool up;

	(void)epoll_events;
	if (recv(src->fd, notices, sizeof(notices), MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return;
	for (unsigned i = 0; i < tap->be.pairs; i++) {
		tap->queue[i].failed = false;
		queue_wait(&tap->queue[i]);
	}
	up = link_up(tap);
	if (up == tap->be.link_up)
		return;
	tap->be.link_up = up;
	tap->be.client->link_changed(tap->be.client);
}

static int open_link(struct net_tap *tap, struct diag *diag)
{
	const struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int r = 0;

	tap->link.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (tap->link.fd < 0 ||
	    bind(tap->link.fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		r = -errno;
	if (r == 0)
		r = event_loop_add(tap->loop, &tap->link);
	if (r < 0)
		return diag_set(diag, r, "tap-link-watch", "watch the link of %s", tap->be.name);
	tap->be.link_up = link_up(tap);
	return 0;
}

static int open_tun(struct diag *diag)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int r = -errno;

	if (fd >= 0)
		return fd;
	diag_set(diag, r, "tun-open", "open /dev/net/tun");
	if (r == -ENOENT || r == -ENODEV)
		diag_remedy(diag, "load the kernel's module: modprobe tun");
	else if (r == -EACCES || r == -EPERM)
		diag_remedy(diag, "give this user access to it, or take --net user");
	return r;
}

/* The remedy depends on the interface that has the name, if there is one. */
static void interface_remedy(const struct net_tap_opts *opts, struct diag *diag)
{
	char dir[sizeof("/sys/class/net/") + IFNAMSIZ], flags[sizeof(dir) + sizeof("/tun_flags")];

	snprintf(dir, sizeof(dir), "/sys/class/net/%s", opts->ifname);
	snprintf(flags, sizeof(flags), "%s/tun_flags", dir);
	if (access(dir, F_OK) < 0)
		diag_remedy(diag, "ip tuntap add dev %s mode tap%s", opts->ifname,
			    opts->pairs == 1 ? "" : " multi_queue");
	else if (access(flags, F_OK) < 0)
		diag_remedy(diag, "it exists and is not a tap interface: choose another name");
	else
		diag_remedy(
			diag,
			"it exists and was made otherwise: choose another name, or delete it and "
			"make it with 'ip tuntap add dev %s mode tap%s'",
			opts->ifname, opts->pairs == 1 ? "" : " multi_queue");
}

static int say_no_interface(const struct net_tap_opts *opts, int r, struct diag *diag)
{
	const char *name = opts->ifname[0] ? opts->ifname : "a new one";

	if (r == -EINVAL) {
		diag_set(diag, r, "tap-kind",
			 "tap interface %s: it is not one, or not made for %u queue%s", name,
			 opts->pairs, opts->pairs == 1 ? "" : "s");
		interface_remedy(opts, diag);
		return r;
	}
	diag_set(diag, r, "tap-attach", "tap interface %s", name);
	if (r == -EPERM)
		diag_remedy(diag,
			    "as root, once: ip tuntap add dev %s mode tap%s user $USER; or take "
			    "--net user",
			    opts->ifname[0] ? opts->ifname : "tap0",
			    opts->pairs == 1 ? "" : " multi_queue");
	else if (r == -EBUSY || r == -E2BIG)
		diag_remedy(diag, "another program has it");
	return r;
}

/*
 * Makes fd a queue of the interface name, or of a new one whose name is then filled in. An interface
 * made for several queues is taken with one, too.
 */
static int set_interface(int fd, char name[IFNAMSIZ], bool multi)
{
	const short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct ifreq ifr = {.ifr_flags = (short)(flags | (multi ? IFF_MULTI_QUEUE : 0))};
	const int hdr_bytes = NET_HDR_BYTES, little_endian = 1;
	int r;

	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	r = ioctl(fd, TUNSETIFF, &ifr);
	if (r < 0 && errno == EINVAL && !multi) {
		ifr.ifr_flags = flags | IFF_MULTI_QUEUE;
		r = ioctl(fd, TUNSETIFF, &ifr);
	}
	if (r < 0)
		return -errno;
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr_bytes) < 0 ||
	    ioctl(fd, TUNSETVNETLE, &little_endian) < 0)
		return -errno;
	return 0;
}

static int open_queue(struct net_tap *tap, struct tap_queue *q, const struct net_tap_opts *opts,
		      struct diag *diag)
{
	int r = open_tun(diag);

	if (r < 0)
		return r;
	q->src.fd = r;
	r = set_interface(q->src.fd, tap->be.name, opts->pairs > 1);
	if (r < 0)
		return say_no_interface(opts, r, diag);
	r = event_loop_add(tap->loop, &q->src);
	return r < 0 ? diag_set(diag, r, "tap-watch", "watch tap interface %s", tap->be.name) : 0;
}

static int open_queues(struct net_tap *tap, const struct net_tap_opts *opts, struct diag *diag)
{
	int r = 0;

	memcpy(tap->be.name, opts->ifname, IFNAMSIZ);
	for (unsigned i = 0; r == 0 && i < opts->pairs; i++)
		r = open_queue(tap, &tap->queue[i], opts, diag);
	tap->active = opts->pairs;
	return r;
}

/* Finds the offloads that the kernel takes: all of these, but USO only from 6.2 on. */
static int find_offloads(struct net_tap *tap, struct diag *diag)
{
	const unsigned base =
		NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_TSO_ECN;
	unsigned all = base | NET_OFFLOAD_USO;
	int r = set_offloads(tap, all);

	if (r < 0) {
		all = base;
		r = set_offloads(tap, all);
	}
	if (r == 0)
		r = set_offloads(tap, 0);
	if (r < 0)
		return diag_set(diag, r, "tap-offloads", "offloads of tap interface %s",
				tap->be.name);
	tap->be.rx_offloads = tap->be.tx_offloads = all;
	return 0;
}

static int open_interface(struct net_tap *tap, bool made, struct diag *diag)
{
	struct ifreq ifr = {0};

	tap->ifindex = if_nametoindex(tap->be.name);
	tap->ctl_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	memcpy(ifr.ifr_name, tap->be.name, IFNAMSIZ);
	if (tap->ctl_fd < 0 || ioctl(tap->ctl_fd, SIOCGIFMTU, &ifr) < 0)
		return diag_set(diag, -errno, "tap-query", "ask about interface %s", tap->be.name);
	tap->be.mtu = (unsigned)ifr.ifr_mtu;
	if (!made)
		return 0;
	/* Nobody else knows its name yet. */
	ifr.ifr_flags = IFF_UP;
	if (ioctl(tap->ctl_fd, SIOCSIFFLAGS, &ifr) < 0)
		return diag_set(diag, -errno, "tap-up", "set interface %s up", tap->be.name);
	return 0;
}

int net_tap_open(const void *opts, const struct net_backend_env *env, struct net_backend **ret,
		 struct diag *diag)
{
	const struct net_tap_opts *o = opts;
	const bool made = !o->ifname[0] || if_nametoindex(o->ifname) == 0;
	struct net_tap *tap = calloc(1, sizeof(*tap));
	int r;

	if (!tap)
		return diag_set(diag, -ENOMEM, "tap-memory", "tap interface");
	tap->be = (struct net_backend){.ops = &tap_ops, .client = env->client, .pairs = o->pairs};
	tap->loop = env->loop;
	tap->ctl_fd = -1;
	tap->link = (struct event_source){.fd = -1, .events = EPOLLIN, .ready = link_ready};
	for (unsigned i = 0; i < NET_PAIRS_MAX; i++) {
		tap->queue[i].tap = tap;
		tap->queue[i].pair = i;
		tap->queue[i].src = (struct event_source){.fd = -1, .ready = queue_ready};
	}
	r = open_queues(tap, o, diag);
	if (r == 0)
		r = find_offloads(tap, diag);
	if (r == 0)
		r = open_interface(tap, made, diag);
	if (r == 0)
		r = open_link(tap, diag);
	if (r == 0)
		r = tap_pairs_set(&tap->be, 1);
	if (r < 0) {
		tap_destroy(&tap->be);
		return r;
	}
	*ret = &tap->be;
	return 0;
}
