/* Unit tests of config/net.c: what --net takes, and what it says to what it does not take. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "config.h"
#include "diag_rig.h"

static struct config config;
static struct diag diag;

static int setup(void **state)
{
	(void)state;
	config_init(&config);
	diag = (struct diag){0};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	config_fini(&config);
	return 0;
}

static void assert_taken(const char *arg)
{
	if (config_net_option(&config, arg, &diag) != 0)
		fail_msg("--net %s: %s", arg, diag.what);
}

static void assert_refused(const char *arg, const char *error)
{
	diag = (struct diag){0};
	assert_int_equal(config_net_option(&config, arg, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, error);
}

static void a_user_network_needs_no_words(void **state)
{
	(void)state;
	assert_taken("user");
	assert_int_equal(config.nr_nets, 1);
	assert_ptr_equal(config.net[0]->device.open, net_slirp_open);
	assert_ptr_equal(config.net[0]->device.opts, &config.net[0]->backend);
	assert_false(config.net[0]->device.has_mac);
	assert_int_equal(config.net[0]->backend.user.nr_forwards, 0);
	assert_false(config.net[0]->backend.user.restricted);
	assert_string_equal(config.row[0].name, "net0");
}

static void ports_are_forwarded(void **state)
{
	const struct net_slirp_opts *user;

	(void)state;
	assert_taken("user,hostfwd=tcp::8080-:80,hostfwd=udp:0.0.0.0:53-10.0.2.20:5353,"
		     "hostfwd=tcp:127.0.0.2:65535-:1");
	user = &config.net[0]->backend.user;
	assert_int_equal(user->nr_forwards, 3);
	assert_false(user->forward[0].udp);
	assert_int_equal(user->forward[0].host_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(user->forward[0].host_port, 8080);
	assert_int_equal(user->forward[0].guest_addr.s_addr, 0);
	assert_int_equal(user->forward[0].guest_port, 80);
	assert_true(user->forward[1].udp);
	assert_int_equal(user->forward[1].host_addr.s_addr, 0);
	assert_int_equal(user->forward[1].host_port, 53);
	assert_int_equal(user->forward[1].guest_addr.s_addr, inet_addr("10.0.2.20"));
	assert_int_equal(user->forward[1].guest_port, 5353);
	assert_int_equal(user->forward[2].host_addr.s_addr, inet_addr("127.0.0.2"));
	assert_int_equal(user->forward[2].host_port, 65535);
}

/* As commands of the control socket print and take them. */
static void forwards_are_printed_as_they_are_taken(void **state)
{
	static const char *const texts[] = {
		"tcp:127.0.0.1:8080-:80",
		"udp:0.0.0.0:53-10.0.2.20:5353",
		"udp:255.255.255.255:65535-255.255.255.255:65535",
	};
	struct net_slirp_forward fwd = {0};
	char buf[NET_FORWARD_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_true(net_forward_parse(texts[i], false, &fwd));
		assert_string_equal(net_forward_format(&fwd, buf), texts[i]);
	}
	assert_true(net_forward_parse("tcp::8080", true, &fwd));
	assert_int_equal(fwd.host_port, 8080);
	assert_int_equal(fwd.guest_port, 0);
	assert_false(net_forward_parse("tcp::8080", false, &fwd));
	assert_false(net_forward_parse("tcp::8080-", true, &fwd));
	assert_false(net_forward_parse("tcp:", true, &fwd));
	assert_false(net_forward_parse("tcp", true, &fwd));
	assert_false(net_forward_parse("", true, &fwd));
}

static void other_words_of_a_user_network(void **state)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0xab, 0xCD, 0xef};

	(void)state;
	assert_taken("user,dns=192.0.2.1,mac=52:54:00:ab:CD:ef");
	assert_int_equal(config.net[0]->backend.user.dns.s_addr, inet_addr("192.0.2.1"));
	assert_true(config.net[0]->device.has_mac);
	assert_memory_equal(config.net[0]->device.mac, mac, 6);
	assert_taken("user,restrict");
	assert_true(config.net[1]->backend.user.restricted);
	assert_taken("user,dns=127.0.0.1");
	assert_string_equal(config.row[2].name, "net2");
}

static void a_tap_interface(void **state)
{
	(void)state;
	assert_taken("tap");
	assert_ptr_equal(config.net[0]->device.open, net_tap_open);
	assert_string_equal(config.net[0]->backend.tap.ifname, "");
	assert_int_equal(config.net[0]->backend.tap.pairs, 1);
	assert_taken("tap,ifname=fifteen-letters,queues=16");
	assert_string_equal(config.net[1]->backend.tap.ifname, "fifteen-letters");
	assert_int_equal(config.net[1]->backend.tap.pairs, 16);
	assert_taken("tap"); /* each of these is a new one */
}

static void a_passt(void **state)
{
	const struct net_passt_opts *passt;

	(void)state;
	assert_taken("passt");
	passt = &config.net[0]->backend.passt;
	assert_ptr_equal(config.net[0]->device.open, net_passt_open);
	assert_null(passt->socket);
	assert_null(passt->tcp_ports);
	assert_null(passt->udp_ports);
	assert_int_equal(passt->start_ms, NET_PASST_START_MS);
	assert_ptr_equal(passt->lost, &config.net[0]->lost);
	assert_taken("passt,tcp=22,,8080:80,udp=53,mac=02:00:00:00:00:01");
	passt = &config.net[1]->backend.passt;
	assert_string_equal(passt->tcp_ports, "22,8080:80");
	assert_string_equal(passt->udp_ports, "53");
	assert_taken("passt,socket=/tmp/p,fault=lose,pcap=p.pcap");
	assert_string_equal(config.net[2]->backend.passt.socket, "/tmp/p");
	assert_ptr_equal(config.net[2]->device.open, net_capture_open);
	assert_ptr_equal(config.net[2]->fault.open, net_passt_open);
}

static void any_network_can_be_captured(void **state)
{
	static const char long_name[] =
		"/tmp/0123456789/0123456789/0123456789/0123456789/0123456789/"
		"0123456789/0123456789/0123456789/0123456789/0123456789/a,b";

	(void)state;
	assert_taken("user,pcap=a.pcap,restrict");
	assert_ptr_equal(config.net[0]->device.open, net_capture_open);
	assert_ptr_equal(config.net[0]->device.opts, &config.net[0]->capture);
	assert_ptr_equal(config.net[0]->capture.open, net_slirp_open);
	assert_ptr_equal(config.net[0]->capture.opts, &config.net[0]->backend);
	assert_string_equal(config.net[0]->capture.path, "a.pcap");
	assert_true(config.net[0]->backend.user.restricted);
	assert_taken("tap,ifname=tap0,pcap=/tmp/0123456789/0123456789/0123456789/0123456789/"
		     "0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/a,,b");
	assert_ptr_equal(config.net[1]->capture.open, net_tap_open);
	assert_string_equal(config.net[1]->capture.path, long_name);
	assert_refused("tap,ifname=tap0,pcap=c", "net-tap-twice tap0");
	assert_refused("user,pcap=a.pcap", "net-capture-twice a.pcap");
	assert_refused("user,pcap=", "net-capture-path");
}

static void what_is_no_network_is_refused(void **state)
{
	static const struct {
		const char *arg, *error;
	} cases[] = {
		{"", "option-choice --net"},
		{"bridge", "option-choice --net"},
		{"user,", "net-user-item ''"},
		{"user,restrict=on", "net-user-item 'restrict=on'"},
		{"user,ifname=tap0", "net-user-item 'ifname=tap0'"},
		{"user,hostfwd=", "net-forward"},
		{"user,hostfwd=tcp", "net-forward"},
		{"user,hostfwd=-", "net-forward"},
		{"user,hostfwd=tcp::1", "net-forward"},
		{"user,hostfwd=tcp::0-:80", "net-forward"},
		{"user,hostfwd=tcp::80-:0", "net-forward"},
		{"user,hostfwd=tcp::65536-:80", "net-forward"},
		{"user,hostfwd=tcp::80-80", "net-forward"},
		{"user,hostfwd=tcp:80-:80", "net-forward"},
		{"user,hostfwd=sctp::80-:80", "net-forward"},
		{"user,hostfwd=tcp:localhost:80-:80", "net-forward"},
		{"user,hostfwd=tcp:1111.1111.1111.1111:80-:80", "net-forward"},
		{"user,hostfwd=tcp:-:80", "net-forward"},
		{"user,hostfwd=tcp:0123456789012345678901234567890123456789012345678901234567890123"
		 "45678901234567890123456789012345678901234567890123456789012345678901234567890123"
		 ":80-:80",
		 "net-forward"},
		{"user,dns=", "net-dns-address"},
		{"user,dns=0.0.0.0", "net-dns-address"},
		{"user,dns=::1", "net-dns-address"},
		{"user,dns=127.0.0.53", "net-dns-loopback 127.0.0.53"},
		{"user,dns=192.0.2.1,restrict", "net-dns-restrict"},
		{"user,mac=", "net-mac"},
		{"user,mac=00:00:00:00:00:00", "net-mac"},
		{"user,mac=01:00:00:00:00:00", "net-mac"},
		{"user,mac=02:00:00:00:00:0", "net-mac"},
		{"user,mac=02:00:00:00:00:000", "net-mac"},
		{"user,mac=02-00-00-00-00-00", "net-mac"},
		{"user,mac=0x:00:00:00:00:00", "net-mac"},
		{"tap,hostfwd=tcp::1-:1", "net-tap-item 'hostfwd="},
		{"passt,hostfwd=tcp::1-:1", "net-passt-item 'hostfwd="},
		{"passt,socket=", "net-passt-empty socket="},
		{"passt,tcp=", "net-passt-empty tcp="},
		{"passt,udp", "net-passt-item 'udp'"},
		{"passt,socket=/tmp/p,tcp=1", "net-passt-ports"},
		{"passt,udp=1,socket=/tmp/p", "net-passt-ports"},
		{"tap,queues=0", "option-number --net queues="},
		{"tap,queues=17", "option-number --net queues="},
		{"tap,ifname=", "net-ifname"},
		{"tap,ifname=fifteen-letters", NULL},
		{"tap,ifname=sixteen-lettersx", "net-ifname"},
		{"tap,ifname=a/b", "net-ifname"},
		{"tap,ifname=tap%d", "net-ifname"},
		{"tap,ifname=..", "net-ifname"},
		{"tap,ifname=a b", "net-ifname"},
		{"tap,ifname=fifteen-letters", "net-tap-twice fifteen-letters"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].error)
			assert_refused(cases[i].arg, cases[i].error);
		else
			assert_taken(cases[i].arg);
	}
	assert_int_equal(config.nr_nets, 1);
}

static void there_is_a_limit_to_everything(void **state)
{
	static const char forward[] = ",hostfwd=tcp::8080-:80";
	char arg[sizeof("user") + (NET_SLIRP_FORWARDS_MAX + 1) * (sizeof(forward) - 1)] = "user";
	size_t len = strlen(arg);

	(void)state;
	for (unsigned i = 0; i < NET_SLIRP_FORWARDS_MAX; i++) {
		memcpy(arg + len, forward, sizeof(forward));
		len += sizeof(forward) - 1;
	}
	assert_taken(arg);
	memcpy(arg + len, forward, sizeof(forward));
	assert_refused(arg, "net-forward-count 64");
	for (unsigned i = 1; i < CONFIG_NETS_MAX; i++)
		assert_taken("user");
	assert_refused("user", "net-count 16");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_user_network_needs_no_words),
		TEST(ports_are_forwarded),
		TEST(other_words_of_a_user_network),
		TEST(forwards_are_printed_as_they_are_taken),
		TEST(a_tap_interface),
		TEST(a_passt),
		TEST(any_network_can_be_captured),
		TEST(what_is_no_network_is_refused),
		TEST(there_is_a_limit_to_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
