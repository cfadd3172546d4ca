/* net.h - --net: a network device of the guest's, and its back end on the host. */
#ifndef VMM_CONFIG_NET_H
#define VMM_CONFIG_NET_H

#include <stdbool.h>

#include "backend/net.h"
#include "base/diag.h"
#include "base/option_table.h"
#include "virtio/classes.h"

enum { CONFIG_NETS_MAX = 16 };

struct config;

struct config_net_kind;

struct config_net {
	struct virtio_net_conf device;
	const struct config_net_kind *kind;
	union {
		struct net_slirp_opts user;
		struct net_tap_opts tap;
		struct net_passt_opts passt;
	} backend;
	struct diag lost;            /* why the network ended before its VM; err 0: it has not */
	struct net_fault_opts fault; /* without rules: none */
	struct net_capture_opts capture; /* path NULL: none */
	struct net_capture_report capture_report;
};

extern const struct option_group config_net_group;

/* Whether its back end makes sockets of the Internet while the guest runs. */
bool config_net_has_sockets(const struct config_net *net);

/*
 * Takes the value of one --net: user[,hostfwd=FORWARD]...[,dns=ADDR][,restrict][,mac=MAC],
 * tap[,ifname=NAME][,queues=N][,mac=MAC] or passt[,socket=PATH][,tcp=PORTS][,udp=PORTS][,mac=MAC], each with
 * [,fault=SPEC]... and [,pcap=FILE]. -EINVAL with diag.
 */
int config_net_option(struct config *config, const char *arg, struct diag *diag);

#endif
