/*
 * Unit tests of the DHCP client of guest/init, against a server in a thread, across a veth pair in a
 * network namespace of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../guest/init/dhcp.h"

enum {
	FIXED_BYTES = 240, /* of a message, RFC 2131, 2: all before the options */
	MESSAGE_MAX = 1024,
	XID = 4,
	YIADDR = 16,
	CHADDR = 28,
	DISCOVER = 1,
	OFFER = 2,
	REQUEST = 3,
	ACK = 5,
	NAK = 6,
	STEPS_MAX = 8,
};

/* The server's answer to one message, which is of that type. */
struct step {
	uint8_t expects;
	size_t (*answer)(uint8_t *reply, const uint8_t *request);
};

static const uint8_t mac[6] = {2, 0, 0, 1, 2, 3};
static struct step steps[STEPS_MAX];
static unsigned nr_steps, step; /* step: the server's, until it has been joined */
static unsigned surprises;
static int server_fd = -1, stop_fd = -1;
static pthread_t thread;

/* The value of an option in what the client sent; it must be there. */
static const uint8_t *option_of(const uint8_t *m, size_t len, uint8_t option)
{
	for (size_t at = FIXED_BYTES; at + 1 < len && m[at] != 255; at += 2U + m[at + 1])
		if (m[at] == option)
			return m + at + 2;
	return NULL;
}

static bool is_sound(const uint8_t *m, size_t len)
{
	static const uint8_t cookie[] = {0x63, 0x82, 0x53, 0x63};

	return len >= FIXED_BYTES + 3 && m[0] == 1 && m[1] == 1 && m[2] == 6 &&
	       memcmp(m + CHADDR, mac, sizeof(mac)) == 0 &&
	       memcmp(m + 236, cookie, sizeof(cookie)) == 0 && m[10] == 0x80 &&
	       option_of(m, len, 53);
}

/*
 * The step that a message is for. The client may send one again before the answer reached it, on a busy
 * host: that is answered as before.
 */
static const struct step *step_for(uint8_t type)
{
	if (step < nr_steps && steps[step].expects == type)
		return &steps[step++];
	return step > 0 && steps[step - 1].expects == type ? &steps[step - 1] : NULL;
}

static void serve_one(void)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(68), .sin_addr.s_addr = INADDR_BROADCAST};
	uint8_t request[MESSAGE_MAX], reply[MESSAGE_MAX] = {0};
	const ssize_t n = recv(server_fd, request, sizeof(request), 0);
	const struct step *now = NULL;
	size_t len;

	if (n >= 0 && is_sound(request, (size_t)n))
		now = step_for(*option_of(request, (size_t)n, 53));
	if (!now) {
		surprises++;
		return;
	}
	len = now->answer ? now->answer(reply, request) : 0;
	if (len && sendto(server_fd, reply, len, 0, (const void *)&to, sizeof(to)) < 0)
		surprises++;
}

static void *serve(void *arg)
{
	struct pollfd pfd[] = {{.fd = stop_fd, .events = POLLIN},
			       {.fd = server_fd, .events = POLLIN}};

	while (poll(pfd, 2, -1) > 0 && !pfd[0].revents)
		serve_one();
	return arg;
}

static size_t put(uint8_t *m, size_t at, uint8_t option, const void *value, uint8_t len)
{
	m[at] = option;
	m[at + 1] = len;
	memcpy(m + at + 2, value, len);
	return at + 2U + len;
}

/* All of an answer up to its type; returns its length, without an end. */
static size_t begin(uint8_t *m, const uint8_t *request, uint8_t type)
{
	static const uint8_t address[] = {10, 9, 8, 7}, server[] = {10, 9, 8, 1};

	memcpy(m, request, FIXED_BYTES);
	m[0] = 2;
	memcpy(m + YIADDR, address, sizeof(address));
	return put(m, put(m, FIXED_BYTES, 53, &type, 1), 54, server, sizeof(server));
}

static size_t finish(uint8_t *m, size_t at)
{
	m[at] = 255;
	return at + 1;
}

static size_t offer(uint8_t *m, const uint8_t *request)
{
	return finish(m, begin(m, request, OFFER));
}

static size_t nak(uint8_t *m, const uint8_t *request)
{
	return finish(m, begin(m, request, NAK));
}

static size_t ack(uint8_t *m, const uint8_t *request)
{
	static const uint8_t netmask[] = {255, 255, 255, 0}, router[] = {10, 9, 8, 2};
	static const uint8_t dns[] = {10, 9, 8, 3, 10, 9, 8, 4, 10, 9, 8, 5, 10, 9, 8, 6};
	size_t at = begin(m, request, ACK);

	m[at++] = 0; /* padding, anywhere */
	at = put(m, at, 1, netmask, sizeof(netmask));
	at = put(m, at, 3, router, sizeof(router));
	return finish(m, put(m, at, 6, dns, sizeof(dns)));
}

/* Messages that are not for us, or not answers: each is as if it had not come. */
static size_t offer_to_another_mac(uint8_t *m, const uint8_t *request)
{
	const size_t len = offer(m, request);

	m[CHADDR + 5] ^= 1;
	return len;
}

static size_t offer_of_another_exchange(uint8_t *m, const uint8_t *request)
{
	const size_t len = offer(m, request);

	m[XID] ^= 1;
	return len;
}

static size_t echo(uint8_t *m, const uint8_t *request)
{
	const size_t len = offer(m, request);

	m[0] = 1; /* a request */
	return len;
}

static size_t cut_offer(uint8_t *m, const uint8_t *request)
{
	offer(m, request);
	return FIXED_BYTES - 1;
}

static size_t offer_without_type(uint8_t *m, const uint8_t *request)
{
	offer(m, request);
	return FIXED_BYTES;
}

/* The acknowledgment counts; its options that go past its end do not. */
static size_t ack_that_lies(uint8_t *m, const uint8_t *request)
{
	size_t at = begin(m, request, ACK);

	at = put(m, at, 1, "\xff\xff\xff", 3); /* shorter than an address */
	m[at] = 3;
	m[at + 1] = 200;
	return at + 4;
}

static int setup(void **state)
{
	const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(67)};
	const int on = 1;

	(void)state;
	nr_steps = step = surprises = 0;
	stop_fd = eventfd(0, EFD_CLOEXEC);
	server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (stop_fd < 0 || server_fd < 0 ||
	    setsockopt(server_fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0 ||
	    setsockopt(server_fd, SOL_SOCKET, SO_BINDTODEVICE, "veth1", sizeof("veth1")) < 0 ||
	    bind(server_fd, (const void *)&at, sizeof(at)) < 0)
		return -1;
	return 0;
}

static void join(void)
{
	const uint64_t one = 1;

	assert_int_equal(write(stop_fd, &one, sizeof(one)), sizeof(one));
	pthread_join(thread, NULL);
	close(stop_fd);
	close(server_fd);
}

static void plan(uint8_t expects, size_t (*answer)(uint8_t *reply, const uint8_t *request))
{
	assert_true(nr_steps < STEPS_MAX);
	steps[nr_steps].expects = expects;
	steps[nr_steps].answer = answer;
	nr_steps++;
}

/* Has a conversation in which each step is taken once. */
static int ask(struct dhcp_lease *lease)
{
	int r = pthread_create(&thread, NULL, serve, NULL);

	assert_int_equal(r, 0);
	r = dhcp_ask("veth0", mac, lease);
	join();
	assert_int_equal(step, nr_steps);
	assert_int_equal(surprises, 0);
	return r;
}

static void assert_address(struct in_addr address, const char *text)
{
	char buf[INET_ADDRSTRLEN];

	assert_string_equal(inet_ntop(AF_INET, &address, buf, sizeof(buf)), text);
}

static void a_lease_is_taken_whole(void **state)
{
	struct dhcp_lease lease;

	(void)state;
	plan(DISCOVER, offer);
	plan(REQUEST, ack);
	assert_int_equal(ask(&lease), 0);
	assert_address(lease.address, "10.9.8.7");
	assert_address(lease.netmask, "255.255.255.0");
	assert_address(lease.router, "10.9.8.2");
	assert_int_equal(lease.nr_dns, DHCP_DNS_MAX);
	assert_address(lease.dns[0], "10.9.8.3");
	assert_address(lease.dns[2], "10.9.8.5");
}

static void what_is_lost_is_sent_again(void **state)
{
	struct dhcp_lease lease;

	(void)state;
	plan(DISCOVER, NULL);
	plan(DISCOVER, offer);
	plan(REQUEST, NULL);
	plan(REQUEST, ack);
	assert_int_equal(ask(&lease), 0);
	assert_address(lease.address, "10.9.8.7");
}

static void a_refused_request_begins_anew(void **state)
{
	struct dhcp_lease lease;

	(void)state;
	plan(DISCOVER, offer);
	plan(REQUEST, nak);
	plan(DISCOVER, offer);
	plan(REQUEST, ack);
	assert_int_equal(ask(&lease), 0);
	assert_address(lease.address, "10.9.8.7");
}

static void what_is_no_answer_to_us_is_nothing(void **state)
{
	static size_t (*const answer[])(uint8_t *, const uint8_t *) = {
		offer_to_another_mac, offer_of_another_exchange, echo, cut_offer,
		offer_without_type,
	};
	struct dhcp_lease lease;

	(void)state;
	/* Two at a time: each costs a wait, which doubles. */
	plan(DISCOVER, answer[0]);
	plan(DISCOVER, answer[1]);
	plan(DISCOVER, offer);
	plan(REQUEST, ack);
	assert_int_equal(ask(&lease), 0);
	for (size_t i = 2; i < sizeof(answer) / sizeof(answer[0]); i++) {
		assert_int_equal(setup(NULL), 0);
		plan(DISCOVER, answer[i]);
		plan(DISCOVER, offer);
		plan(REQUEST, ack);
		assert_int_equal(ask(&lease), 0);
		assert_address(lease.address, "10.9.8.7");
	}
}

static void options_that_lie_are_left_out(void **state)
{
	struct dhcp_lease lease;

	(void)state;
	plan(DISCOVER, offer);
	plan(REQUEST, ack_that_lies);
	assert_int_equal(ask(&lease), 0);
	assert_address(lease.address, "10.9.8.7");
	assert_int_equal(lease.netmask.s_addr, 0);
	assert_int_equal(lease.router.s_addr, 0);
	assert_int_equal(lease.nr_dns, 0);
}

static void silence_ends(void **state)
{
	struct dhcp_lease lease = {.nr_dns = 99};

	(void)state;
	plan(DISCOVER, NULL);
	assert_int_equal(ask(&lease), -ETIMEDOUT);
	assert_int_equal(lease.nr_dns, 99);
}

static int write_file(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

/* As root, or as root of a namespace of its own. */
static int enter_namespace(void)
{
	char map[64];

	snprintf(map, sizeof(map), "0 %u 1", (unsigned)geteuid());
	if (geteuid() != 0 &&
	    (unshare(CLONE_NEWUSER) < 0 || write_file("/proc/self/uid_map", map) < 0))
		return -1;
	return unshare(CLONE_NEWNET);
}

static int make_interfaces(void)
{
	static const char script[] = "ip link add veth0 type veth peer name veth1 && "
				     "ip link set veth0 up && ip link set veth1 up";

	return system(script); /* NOLINT(cert-env33-c): a constant */
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lease_is_taken_whole),        TEST(what_is_lost_is_sent_again),
		TEST(a_refused_request_begins_anew), TEST(what_is_no_answer_to_us_is_nothing),
		TEST(options_that_lie_are_left_out), TEST(silence_ends),
	};

	if (enter_namespace() < 0 || make_interfaces() != 0) {
		fputs("skipped: no network namespace with a veth pair to be had here\n", stderr);
		return getenv("CI") ? 1 : 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
