/*
 * Unit tests of backend/net/tap.c on a tap interface that is not there: the calls that make and use one are the
 * test's. Its descriptor is an eventfd, which epoll finds ready for as long as the test wants.
 */
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/net.h"
#include "base/macros.h"

enum { IFINDEX = 7, ROUNDS = 50 };

static struct {
	int queue_fd, link_fd; /* the back end's, by which it reads frames and netlink's notices */
	int error;             /* that reads of frames fail with; 0: there is a frame each time */
	unsigned reads;
	bool up;         /* the interface is */
	unsigned frames; /* that the device got */
} host;

static struct event_loop loop;
static struct net_client client;
static struct net_backend *be;

int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	(void)flags;
	assert_string_equal(path, "/dev/net/tun");
	host.queue_fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	return host.queue_fd;
}

/* open() of a hardened build, by clang with glibc since 2.40. */
int __wrap___open64_2(const char *path, int flags);
int __wrap___open64_2(const char *path, int flags)
{
	return __wrap_open64(path, flags);
}

int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)type;
	(void)protocol;
	if (domain == AF_NETLINK)
		host.link_fd = fd;
	return fd;
}

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)addr;
	(void)len;
	assert_int_equal(fd, host.link_fd);
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct ifreq *ifr;
	va_list ap;

	(void)fd;
	va_start(ap, request);
	ifr = va_arg(ap, struct ifreq *);
	va_end(ap);
	if (request == SIOCGIFMTU)
		ifr->ifr_mtu = 1500;
	else if (request == SIOCGIFFLAGS)
		ifr->ifr_flags = host.up ? IFF_UP : 0;
	return 0;
}

unsigned __wrap_if_nametoindex(const char *name);
unsigned __wrap_if_nametoindex(const char *name)
{
	assert_string_equal(name, "tg0");
	return IFINDEX;
}

char *__wrap_if_indextoname(unsigned index, char *name);
char *__wrap_if_indextoname(unsigned index, char *name)
{
	assert_int_equal(index, IFINDEX);
	return memcpy(name, "tg0", sizeof("tg0"));
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int nr);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int nr)
{
	assert_int_equal(fd, host.queue_fd);
	assert_true(nr > 0);
	host.reads++;
	errno = host.error;
	return host.error ? -1 : (ssize_t)iov[0].iov_len;
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	uint64_t notices;

	(void)buf;
	(void)flags;
	assert_int_equal(fd, host.link_fd);
	return read(fd, &notices, sizeof(notices)) < 0 ? -1 : (ssize_t)len;
}

/* As the device does it: one frame. */
static void rx_ready(struct net_client *c, unsigned pair)
{
	struct virtio_net_hdr_v1 hdr;
	uint8_t frame[64];
	const struct iovec iov[] = {{&hdr, sizeof(hdr)}, {frame, sizeof(frame)}};

	(void)c;
	if (be->ops->receive(be, pair, iov, ARRAY_SIZE(iov)) >= 0)
		host.frames++;
	be->ops->rx_want(be, pair, true);
}

static void link_changed(struct net_client *c)
{
	(void)c;
}

/* Runs the loop for so many rounds, while nothing else happens. */
static void run_rounds(unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		struct epoll_event ev[4];
		const int n = epoll_wait(loop.epoll_fd, ev, ARRAY_SIZE(ev), 0);

		for (int k = 0; k < n; k++) {
			struct event_source *src = ev[k].data.ptr;

			if (src->added && src->events)
				src->ready(src, ev[k].events);
		}
	}
}

/* With the notice of it. */
static void interface_set(bool up)
{
	const uint64_t one = 1;

	host.up = up;
	assert_int_equal(write(host.link_fd, &one, sizeof(one)), sizeof(one));
}

static int setup(void **state)
{
	static const struct net_tap_opts opts = {.ifname = "tg0", .pairs = 1};
	const struct net_backend_env env = {.loop = &loop, .client = &client};

	(void)state;
	memset(&host, 0, sizeof(host));
	host.up = true;
	client = (struct net_client){.rx_ready = rx_ready, .link_changed = link_changed};
	if (event_loop_init(&loop, NULL, NULL) < 0)
		return -1;
	return net_tap_open(&opts, &env, &be, NULL);
}

static int teardown(void **state)
{
	(void)state;
	net_backend_destroy(be);
	event_loop_fini(&loop);
	return 0;
}

static void frames_are_read_while_they_are_wanted(void **state)
{
	(void)state;
	run_rounds(ROUNDS);
	assert_int_equal(host.reads, 0);
	be->ops->rx_want(be, 0, true);
	run_rounds(ROUNDS);
	assert_int_equal(host.frames, ROUNDS);
	be->ops->rx_want(be, 0, false);
	run_rounds(ROUNDS);
	assert_int_equal(host.reads, ROUNDS);
}

/* EAGAIN is not a failure: another reader of the interface, or the kernel itself, took the frame. */
static void a_read_that_finds_nothing_is_made_again(void **state)
{
	(void)state;
	host.error = EAGAIN;
	be->ops->rx_want(be, 0, true);
	run_rounds(2);
	assert_int_equal(host.reads, 2);
	host.error = 0;
	run_rounds(1);
	assert_int_equal(host.frames, 1);
}

/* An interface that is set down or deleted: epoll says that there is something to read, and a read fails. */
static void a_read_that_fails_is_made_again_when_the_link_changes(void **state)
{
	(void)state;
	host.error = EIO;
	be->ops->rx_want(be, 0, true);
	run_rounds(ROUNDS);
	assert_int_equal(host.reads, 1);
	interface_set(false);
	run_rounds(ROUNDS);
	assert_int_equal(host.reads, 2);
	host.error = 0;
	interface_set(true);
	run_rounds(ROUNDS);
	assert_true(host.frames > 1);
}

/* Down and up again before the I/O thread looks: it finds nothing changed, and yet a read has failed. */
static void a_link_that_was_down_for_a_moment_is_read_again(void **state)
{
	(void)state;
	host.error = EIO;
	be->ops->rx_want(be, 0, true);
	run_rounds(1);
	host.error = 0;
	interface_set(true);
	run_rounds(ROUNDS);
	assert_true(host.frames > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_are_read_while_they_are_wanted),
		TEST(a_read_that_finds_nothing_is_made_again),
		TEST(a_read_that_fails_is_made_again_when_the_link_changes),
		TEST(a_link_that_was_down_for_a_moment_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
