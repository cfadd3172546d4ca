#include "config/net.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "base/option.h"
#include "config.h"
#include "config/fault.h"

enum { ITEM_BYTES = CONFIG_FAULT_BYTES };

/* Two hexadecimal digits for each byte, colons between them. */
static bool parse_mac_bytes(const char *arg, uint8_t mac[6])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 6 * 3; i++) {
		const char *digit = arg[i] ? strchr(digits, tolower((unsigned char)arg[i])) : NULL;

		if (i % 3 == 2) {
			if (arg[i] != (i == 6 * 3 - 1 ? '\0' : ':'))
				return false;
			continue;
		}
		if (!digit)
			return false;
		mac[i / 3] = (uint8_t)(mac[i / 3] << 4 | (digit - digits));
	}
	return true;
}

static int parse_mac(const char *arg, struct virtio_net_conf *conf, struct diag *diag)
{
	static const uint8_t nobody[6];
	uint8_t mac[6] = {0};

	if (!parse_mac_bytes(arg, mac) || mac[0] & 1 || memcmp(mac, nobody, sizeof(mac)) == 0) {
		diag_set(diag, -EINVAL, "net-mac",
			 "--net mac='%s' is not a MAC address of one station", arg);
		diag_remedy(diag, "six bytes with an even first one, as in mac=02:00:00:00:00:01");
		return -EINVAL;
	}
	memcpy(conf->mac, mac, sizeof(mac));
	conf->has_mac = true;
	return 0;
}

static int parse_forward(const char *arg, struct net_slirp_opts *user, struct diag *diag)
{
	struct net_slirp_forward fwd = {0};

	if (!net_forward_parse(arg, false, &fwd)) {
		diag_set(diag, -EINVAL, "net-forward", "--net hostfwd='%s' is not a forward", arg);
		diag_remedy(diag, "tcp or udp:[HOSTADDR]:PORT-[GUESTADDR]:PORT, as in "
				  "hostfwd=tcp::8080-:80");
		return -EINVAL;
	}
	if (user->nr_forwards == NET_SLIRP_FORWARDS_MAX)
		return diag_set(diag, -EINVAL, "net-forward-count",
				"--net: more than %d times hostfwd", NET_SLIRP_FORWARDS_MAX);
	user->forward[user->nr_forwards++] = fwd;
	return 0;
}

static int parse_dns(const char *arg, struct net_slirp_opts *user, struct diag *diag)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, arg, &addr) != 1 || addr.s_addr == 0)
		return diag_set(diag, -EINVAL, "net-dns-address",
				"--net dns='%s' is not an IPv4 address", arg);
	if (ntohl(addr.s_addr) >> 24 == IN_LOOPBACKNET && ntohl(addr.s_addr) != INADDR_LOOPBACK) {
		diag_set(diag, -EINVAL, "net-dns-loopback",
			 "--net dns=%s: a guest reaches no loopback address", arg);
		diag_remedy(diag, "but dns=127.0.0.1; without dns= DHCP names 10.0.2.3, "
				  "the host's own name server");
		return -EINVAL;
	}
	user->dns = addr;
	return 0;
}

static int user_item(struct config *config, struct config_net *net, const char *item,
		     struct diag *diag)
{
	struct net_slirp_opts *user = &net->backend.user;
	const char *value;

	(void)config;
	if (strcmp(item, "restrict") == 0) {
		user->restricted = true;
		return 0;
	}
	value = option_item_value(item, "hostfwd");
	if (value)
		return parse_forward(value, user, diag);
	value = option_item_value(item, "dns");
	if (value)
		return parse_dns(value, user, diag);
	diag_set(diag, -EINVAL, "net-user-item", "--net user: '%s' is unknown", item);
	diag_remedy(diag, "hostfwd=, dns=, restrict, mac=, fault= or pcap=");
	return -EINVAL;
}

static int user_check(const struct config *config, const struct config_net *net, struct diag *diag)
{
	(void)config;
	if (net->backend.user.restricted && net->backend.user.dns.s_addr)
		return diag_set(
			diag, -EINVAL, "net-dns-restrict",
			"--net: with restrict the guest reaches no name server: dns= is idle");
	return 0;
}

static int bad_ifname(const char *arg, struct diag *diag)
{
	diag_set(diag, -EINVAL, "net-ifname", "--net ifname='%s' is not a name of an interface",
		 arg);
	diag_remedy(diag,
		    "1 to 15 characters without blanks, '/', ':' and '%%', as in ifname=tap0");
	return -EINVAL;
}

static int parse_ifname(const char *arg, struct net_tap_opts *tap, struct diag *diag)
{
	const size_t len = strlen(arg);

	/* Names that the kernel takes (dev_valid_name()), but for %, from which it would make a new name. */
	if (len == 0 || len >= sizeof(tap->ifname) || strpbrk(arg, "/:% \t\n\v\f\r") ||
	    strcmp(arg, ".") == 0 || strcmp(arg, "..") == 0)
		return bad_ifname(arg, diag);
	memcpy(tap->ifname, arg, len + 1);
	return 0;
}

static int tap_item(struct config *config, struct config_net *net, const char *item,
		    struct diag *diag)
{
	struct net_tap_opts *tap = &net->backend.tap;
	const char *value = option_item_value(item, "ifname");
	uint64_t queues = 0;
	int r;

	(void)config;
	if (value)
		return parse_ifname(value, tap, diag);
	value = option_item_value(item, "queues");
	if (value) {
		r = option_u64("--net queues=", value, 1, NET_PAIRS_MAX, &queues, diag);
		if (r == 0)
			tap->pairs = (unsigned)queues;
		return r;
	}
	diag_set(diag, -EINVAL, "net-tap-item", "--net tap: '%s' is unknown", item);
	diag_remedy(diag, "ifname=, queues=, mac=, fault= or pcap=");
	return -EINVAL;
}

/* An interface of several queues would let a second device in, and share the frames out between both. */
static int tap_check(const struct config *config, const struct config_net *net, struct diag *diag)
{
	const char *ifname = net->backend.tap.ifname;

	for (unsigned i = 0; ifname[0] && i < config->nr_nets; i++)
		if (config->net[i]->kind == net->kind &&
		    strcmp(config->net[i]->backend.tap.ifname, ifname) == 0)
			return diag_set(diag, -EINVAL, "net-tap-twice",
					"two times --net tap,ifname=%s", ifname);
	return 0;
}

/* The value of an item, kept until config_fini(). */
static int net_take_text(struct config *config, const char *value, const char **ret,
			 struct diag *diag)
{
	char *copy = config_alloc(config, strlen(value) + 1, diag);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, value, strlen(value) + 1);
	*ret = copy;
	return 0;
}

static int passt_item(struct config *config, struct config_net *net, const char *item,
		      struct diag *diag)
{
	struct net_passt_opts *passt = &net->backend.passt;
	const struct {
		const char *name, **ret;
	} texts[] = {
		{"socket", &passt->socket},
		{"tcp", &passt->tcp_ports},
		{"udp", &passt->udp_ports},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *value = option_item_value(item, texts[i].name);

		if (value && !value[0])
			return diag_set(diag, -EINVAL, "net-passt-empty",
					"--net passt: %s= lacks a value", texts[i].name);
		if (value)
			return net_take_text(config, value, texts[i].ret, diag);
	}
	diag_set(diag, -EINVAL, "net-passt-item", "--net passt: '%s' is unknown", item);
	diag_remedy(diag, "socket=, tcp=, udp=, mac=, fault= or pcap=");
	return -EINVAL;
}

static int passt_check(const struct config *config, const struct config_net *net, struct diag *diag)
{
	const struct net_passt_opts *passt = &net->backend.passt;

	(void)config;
	if (passt->socket && (passt->tcp_ports || passt->udp_ports)) {
		diag_set(diag, -EINVAL, "net-passt-ports",
			 "--net passt: the passt at socket= has its own ports");
		diag_remedy(diag, "give them to it, as --tcp-ports and --udp-ports");
		return -EINVAL;
	}
	return 0;
}

struct config_net_kind {
	net_backend_open_fn *open;
	/* Takes an item that not every network has, and checks what they are together. -EINVAL with diag. */
	int (*item)(struct config *config, struct config_net *net, const char *item,
		    struct diag *diag);
	int (*check)(const struct config *config, const struct config_net *net, struct diag *diag);
};

enum { USER, TAP, PASST };
static const struct option_value net_values[] = {
	{"user", USER}, {"tap", TAP}, {"passt", PASST}, {0}};
static const struct config_net_kind net_kinds[] = {
	[USER] = {net_slirp_open, user_item, user_check},
	[TAP] = {net_tap_open, tap_item, tap_check},
	[PASST] = {net_passt_open, passt_item, passt_check},
};

bool config_net_has_sockets(const struct config_net *net)
{
	return net->kind == &net_kinds[USER];
}

static int take_capture(struct config *config, struct config_net *net, const char *path,
			struct diag *diag)
{
	const char *copy;
	int r;

	if (!path[0])
		return diag_set(diag, -EINVAL, "net-capture-path", "--net pcap= lacks a file");
	for (unsigned i = 0; i < config->nr_nets; i++)
		if (config->net[i]->capture.path && strcmp(config->net[i]->capture.path, path) == 0)
			return diag_set(diag, -EINVAL, "net-capture-twice",
					"two times --net pcap=%s", path);
	r = net_take_text(config, path, &copy, diag);
	if (r < 0)
		return r;
	net->capture = (struct net_capture_opts){.path = copy, .report = &net->capture_report};
	return 0;
}

static int parse_items(struct config *config, struct config_net *net, struct option_items *items,
		       char *item, size_t size, struct diag *diag)
{
	int r;

	while ((r = option_item_next(items, item, size, diag)) == 1) {
		const char *mac = option_item_value(item, "mac");
		const char *fault = option_item_value(item, "fault");
		const char *path = option_item_value(item, "pcap");

		if (mac)
			r = parse_mac(mac, &net->device, diag);
		else if (fault)
			r = config_fault_add(items->option, fault, &config_fault_net,
					     &net->fault.rules, diag);
		else if (path)
			r = take_capture(config, net, path, diag);
		else
			r = net->kind->item(config, net, item, diag);
		if (r < 0)
			break;
	}
	return r;
}

static int parse_kind(struct config_net *net, struct option_items *items, struct diag *diag)
{
	char kind_name[ITEM_BYTES];
	int kind = USER, r = option_item_next(items, kind_name, sizeof(kind_name), diag);

	if (r >= 0)
		r = option_choice(items->option, kind_name, net_values, &kind, diag);
	if (r < 0)
		return r;
	net->kind = &net_kinds[kind];
	if (kind == TAP)
		net->backend.tap.pairs = 1;
	if (kind == PASST) {
		net->backend.passt.start_ms = NET_PASST_START_MS;
		net->backend.passt.lost = &net->lost;
	}
	return 0;
}

/*
 * From the back end to the device: faults on purpose, then the capture. So the capture has what the guest sends and gets.
 */
static void stack_backends(struct config_net *net)
{
	net->device.open = net->kind->open;
	net->device.opts = &net->backend;
	if (net->fault.rules.nr > 0) {
		net->fault.open = net->device.open;
		net->fault.opts = net->device.opts;
		net->device.open = net_fault_open;
		net->device.opts = &net->fault;
	}
	if (net->capture.path) {
		net->capture.open = net->device.open;
		net->capture.opts = net->device.opts;
		net->device.open = net_capture_open;
		net->device.opts = &net->capture;
	}
}

int config_net_option(struct config *config, const char *arg, struct diag *diag)
{
	struct option_items items = option_items("--net", arg);
	const size_t size = strlen(arg) + 1;
	struct config_net *net;
	char *item;
	int r;

	if (config->nr_nets == CONFIG_NETS_MAX)
		return diag_set(diag, -EINVAL, "net-count", "more than %d times --net",
				CONFIG_NETS_MAX);
	net = config_alloc(config, sizeof(*net), diag);
	item = config_alloc(config, size, diag); /* a file's name may be long */
	if (!net || !item)
		return -ENOMEM;
	r = parse_kind(net, &items, diag);
	if (r == 0)
		r = parse_items(config, net, &items, item, size, diag);
	if (r == 0)
		r = net->kind->check(config, net, diag);
	if (r == 0) {
		stack_backends(net);
		r = config_virtio_add(config, "net", &virtio_net_class, &net->device, diag);
	}
	if (r == 0)
		config->net[config->nr_nets++] = net;
	return r;
}

static int net_take(void *config, const char *arg, struct diag *diag)
{
	return config_net_option(config, arg, diag);
}

static const struct option_row net_rows[] = {
	{"net", CONFIG_OPT_NET, "HOW",
	 .help = "a network (virtio): user (no privilege), passt (no privilege, IPv6) or\n"
		 "tap (an interface)\n"
		 "user[,hostfwd=tcp::8080-:80][,dns=ADDR][,restrict][,mac=MAC]:\n"
		 "DHCP, DNS, forwarded ports;\n"
		 "passt[,socket=PATH][,tcp=PORTS][,udp=PORTS][,mac=MAC];\n"
		 "tap[,ifname=NAME][,queues=N][,mac=MAC];\n"
		 "each with ,fault=KIND[:KEY=VALUE]...: faults on purpose;\n"
		 "each with ,pcap=FILE: its frames, for tcpdump and Wireshark",
	 net_values, true, .take = net_take},
	{0},
};
const struct option_group config_net_group = {"Devices", net_rows};
