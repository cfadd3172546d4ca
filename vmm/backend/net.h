/*
 * net.h - where a network device's frames go to and come from: the interface between virtio/net.c and
 * its back ends, in the folder net.
 *
 * A frame is an Ethernet frame without its checksum, after a struct virtio_net_hdr_v1 (virtio 1.2,
 * 5.1.6) in little-endian. To the back end that header is trusted: the device has checked it.
 *
 * Threads: open and destroy run while the device's I/O thread does not, and forward and forwards while it waits; all
 * else, calls of the client included, runs on it. Nothing here blocks.
 */
#ifndef VMM_BACKEND_NET_H
#define VMM_BACKEND_NET_H

#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "backend/fault.h"
#include "base/diag.h"
#include "device/lines.h"
#include "event.h"

enum {
	NET_PAIRS_MAX = 16, /* of receive and transmit queues */
	NET_HDR_BYTES = sizeof(struct virtio_net_hdr_v1),
	/* The longest IP packet there is after an Ethernet header with two VLAN tags. */
	NET_FRAME_BYTES_MAX = 14 + 2 * 4 + 65535,
};

/* Work that the other side may leave undone in a frame. */
enum net_offload {
	NET_OFFLOAD_CSUM = 1 << 0,
	NET_OFFLOAD_TSO4 = 1 << 1,
	NET_OFFLOAD_TSO6 = 1 << 2,
	NET_OFFLOAD_TSO_ECN = 1 << 3,
	NET_OFFLOAD_USO = 1 << 4, /* of both IP versions */
};

/* The device, as its back end sees it. */
struct net_client {
	void (*rx_ready)(struct net_client *client, unsigned pair); /* receive() has frames */
	void (*tx_ready)(struct net_client *client,
			 unsigned pair); /* send() said -EAGAIN; again now */
	void (*rx_dropped)(
		struct net_client *client); /* a frame came, and there was no room to keep it */
	void (*link_changed)(struct net_client *client); /* see net_backend.link_up */
	void (*faulted)(struct net_client *client, enum fault_kind kind); /* on purpose */
};

enum {
	NET_SLIRP_FORWARDS_MAX = 64,
	NET_FORWARD_TEXT_BYTES = 56, /* of net_forward_format() */
};

/* A port of the host that a user network forwards to its guest. */
struct net_slirp_forward {
	bool udp;
	struct in_addr host_addr, guest_addr; /* guest_addr 0: the one that DHCP gives */
	uint16_t host_port, guest_port;       /* host order */
};

/*
 * TYPE:[HOSTADDR]:PORT-[GUESTADDR]:PORT, where TYPE is tcp or udp, and the host's address is 127.0.0.1 unless it is
 * given. With host_alone the part from the dash on may be left out: guest_port is 0 then. False: it is none; *ret is
 * untouched.
 */
bool net_forward_parse(const char *text, bool host_alone, struct net_slirp_forward *ret);
/* The same text again, with the host's address. Returns buf. */
const char *net_forward_format(const struct net_slirp_forward *fwd,
			       char buf[NET_FORWARD_TEXT_BYTES]);

struct net_backend;

struct net_backend_ops {
	/*
	 * Sends one frame, whose header is iov[0] alone. 0; -EAGAIN when there is no room (tx_ready
	 * follows); -EPROTONOSUPPORT when nobody here takes such a frame; any other error: it is lost.
	 */
	int (*send)(struct net_backend *be, unsigned pair, const struct iovec *iov, unsigned nr);
	/* A batch of send() is over. May be NULL. */
	void (*sent)(struct net_backend *be);
	/*
	 * Takes one frame, header first; what iov has no room for is lost. Bytes, -EAGAIN when there is
	 * none, or another error.
	 */
	ssize_t (*receive)(struct net_backend *be, unsigned pair, const struct iovec *iov,
			   unsigned nr);
	/* Whether rx_ready is called while there are frames. At first it is not. */
	void (*rx_want)(struct net_backend *be, unsigned pair, bool want);
	/* A set of enum net_offload, within rx_offloads, that frames may come with; 0 at first. */
	void (*rx_offloads_set)(struct net_backend *be, unsigned offloads);
	/* How many pairs take part, 1 to pairs; 1 at first. -errno: as before. */
	int (*pairs_set)(struct net_backend *be, unsigned pairs);
	/*
	 * Forwarded ports, while the I/O thread waits. forward adds one, or removes the one with that type and
	 * host's end; -errno with diag. forwards: how many there are now, in ret; -ENOTSUP: never any. Both NULL:
	 * the same.
	 */
	int (*forward)(struct net_backend *be, bool add, const struct net_slirp_forward *fwd,
		       struct diag *diag);
	int (*forwards)(struct net_backend *be,
			struct net_slirp_forward ret[NET_SLIRP_FORWARDS_MAX]);
	/* The VM is over: closes what the host may take long to close, for destroy. May be NULL. */
	void (*end)(struct net_backend *be);
	void (*destroy)(struct net_backend *be);
};

/* All but link_up is constant once open. */
struct net_backend {
	const struct net_backend_ops *ops;
	struct net_client *client; /* borrowed */
	char name[IFNAMSIZ];       /* the interface's, or "user" */
	unsigned pairs;            /* that it can have */
	unsigned tx_offloads;      /* sets of enum net_offload: that send() takes, */
	unsigned rx_offloads;      /* and that can be switched on */
	unsigned mtu;              /* of the network; 0: not advertised */
	atomic_bool link_up;       /* read by any thread */
};

struct net_backend_env {
	struct event_loop *loop; /* of the I/O thread */
	const struct clock_src *clock;
	struct net_client *client;
};

/* Opens a back end; opts is the one's below. -errno with diag. The caller destroys *ret. */
typedef int net_backend_open_fn(const void *opts, const struct net_backend_env *env,
				struct net_backend **ret, struct diag *diag);

static inline void net_backend_destroy(struct net_backend *be)
{
	if (be)
		be->ops->destroy(be);
}

/* net_tap.c: a tap interface of the host (Linux, Documentation/networking/tuntap.rst). */
struct net_tap_opts {
	char ifname[IFNAMSIZ]; /* empty: one is made */
	unsigned pairs;
};
net_backend_open_fn net_tap_open;

/*
 * net_slirp.c: user networking without privileges, by libslirp. The guest's network is 10.0.2.0/24:
 * .2 is the gateway and the host's loopback, .3 the host's name server, .15 the guest's address.
 */
struct net_slirp_opts {
	bool restricted;    /* no way out for the guest; forwarded ports work */
	struct in_addr dns; /* advertised by DHCP; 0: 10.0.2.3, which is the host's own */
	struct net_slirp_forward forward[NET_SLIRP_FORWARDS_MAX];
	unsigned nr_forwards;
};
net_backend_open_fn net_slirp_open;

/*
 * net/passt.c: a passt(1), which this process starts, or which listens at a Unix stream socket. QEMU's
 * "-netdev stream" is another possible listener. open() may wait for start_ms.
 */
enum { NET_PASST_START_MS = 10000 };

struct net_passt_opts {
	const char *socket; /* NULL: start one */
	const char *tcp_ports,
		*udp_ports; /* its --tcp-ports and --udp-ports; NULL: it forwards none */
	unsigned start_ms;  /* that it may take to be ready */
	struct diag *
		lost; /* why the connection ended, set before the link goes down; err 0: it has not */
};
net_backend_open_fn net_passt_open;

/*
 * net/fault.c: another back end, with faults on purpose. It has no offloads, so that each frame is one packet with its
 * checksum. A frame is lost in place of any other fault, and else has all faults that fire.
 */
enum { NET_FAULT_TX = 1 << 0, NET_FAULT_RX = 1 << 1 }; /* fault_rule.which; as the guest sees it */

struct net_fault_opts {
	net_backend_open_fn *open; /* the other one */
	const void *opts;          /* of open */
	struct fault_rules rules;
};
net_backend_open_fn net_fault_open;

/* The result of a capture, written when it is closed: at the end of the VM, by the device's thread. */
struct net_capture_report {
	struct diag lost;  /* the file took no more, and why; err 0: it took all */
	uint64_t frames;   /* handed to the file */
	uint64_t left_out; /* for which a slow file had no room */
};

/*
 * net/capture.c: any of the above, with a copy of each frame in a file of libpcap's format. A frame is in it when the
 * back end took it, or gave it. A file that fails or is slow holds up no frame.
 */
struct net_capture_opts {
	net_backend_open_fn *open;
	const void *opts; /* of open */
	const char *path;
	struct net_capture_report *report; /* zeroed; until the back end is destroyed */
};
net_backend_open_fn net_capture_open;

#endif
