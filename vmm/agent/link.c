#include "agent/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/unix_socket.h"

enum { RETRY_MS = 50, LINE_BYTES = 32 };

/* The device gives a guest 5 s to accept; a VM that does not run gives nothing. */
#define ANSWER_NS (10 * NS_PER_S)

/* Of the remaining time, rounded up. */
static int until_ms(int64_t deadline_ns)
{
	const int64_t left = deadline_ns - clock_monotonic_ns();

	return left <= 0 ? 0 : (int)((left + NS_PER_MS - 1) / NS_PER_MS);
}

/* "OK PORT\n", byte by byte: the next ones are frames. -ECONNREFUSED when it is closed without that. */
static int read_ok(int fd)
{
	const int64_t deadline_ns = clock_monotonic_ns() + ANSWER_NS;
	char line[LINE_BYTES];
	size_t len = 0;

	while (len < sizeof(line)) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&pfd, 1, until_ms(deadline_ns)) <= 0)
			return -ETIMEDOUT;
		n = recv(fd, &line[len], 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return -ECONNREFUSED;
		if (line[len++] == '\n')
			return len > 3 && memcmp(line, "OK ", 3) == 0 ? 0 : -EPROTO;
	}
	return -EPROTO;
}

/* *ret_fd is the caller's. */
static int try_once(const struct sockaddr_un *addr, int *ret_fd)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[LINE_BYTES];
	const int n = snprintf(line, sizeof(line), "CONNECT %d\n", (int)AGENT_PORT);
	int r;

	if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return -errno;
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
		return -ECONNREFUSED;
	r = read_ok(fd);
	if (r == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = STEAL_FD(fd);
	return r;
}

static int say_no_link(const char *path, int r, bool reached, struct diag *diag)
{
	if (reached && r == -ETIMEDOUT) {
		diag_set(diag, r, "agent-no-answer", "the guest at '%s' does not answer", path);
		diag_remedy(diag, "it may be paused, or hang; `tollgate control` shows its state");
	} else if (reached) {
		diag_set(diag, -EINVAL, "agent-refused",
			 "the guest at '%s' has no agent that listens", path);
		diag_remedy(diag,
			    "the agent is in the /init of --run, --root and --rootfs, once the "
			    "driver of --vsock is there (--modules auto); --wait waits for it");
	} else {
		diag_set(diag, r, "agent-connect", "no VM is at vsock socket '%s'", path);
		diag_remedy(diag,
			    "start one by: tollgate run --vsock %s; --wait waits until it is there",
			    path);
	}
	return r;
}

int agent_link_open(struct agent_link *link, const char *path, int64_t wait_ns, int64_t silence_ns,
		    struct diag *diag)
{
	const int64_t deadline_ns = clock_monotonic_ns() + wait_ns;
	struct sockaddr_un addr;
	int fd = -1, r;

	if (unix_address(path, &addr) < 0)
		return diag_set(diag, -EINVAL, "agent-path-length",
				"vsock socket '%s': a path of at most %d bytes", path,
				UNIX_PATH_BYTES_MAX);
	while ((r = try_once(&addr, &fd)) < 0 && clock_monotonic_ns() < deadline_ns)
		poll(NULL, 0, RETRY_MS);
	if (r == -EPROTO)
		return diag_set(diag, -EINVAL, "agent-not-vsock",
				"socket '%s' is not one of --vsock", path);
	if (r < 0) {
		/* A refusal after it was connected has the same errno as none at all. */
		AUTO_CLOSE int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		const bool reached = probe >= 0 && connect(probe, (const struct sockaddr *)&addr,
							   sizeof(addr)) == 0;

		return say_no_link(path, r, reached, diag);
	}
	agent_stream_init(&link->stream, fd);
	link->path = path;
	link->silence_ns = silence_ns;
	link->heard_ns = clock_monotonic_ns();
	link->pinged_ns = 0;
	return 0;
}

void agent_link_close(struct agent_link *link)
{
	if (link->path)
		close(link->stream.fd);
	link->path = NULL;
}

/* A third of the limit in silence, then a question, whose answer has the rest: also when we were held up ourselves. */
static int64_t next_check_ns(const struct agent_link *link)
{
	return link->pinged_ns ? link->pinged_ns + link->silence_ns / 3 * 2
			       : link->heard_ns + link->silence_ns / 3;
}

int agent_link_timeout_ms(const struct agent_link *link)
{
	return link->silence_ns ? until_ms(next_check_ns(link)) : -1;
}

int agent_link_alive(struct agent_link *link, struct diag *diag)
{
	const int64_t now = clock_monotonic_ns();

	if (!link->silence_ns || now < next_check_ns(link))
		return 0;
	if (!link->pinged_ns) {
		agent_stream_put(&link->stream, AGENT_PING, NULL, 0);
		link->pinged_ns = now;
		return 0;
	}
	diag_set(diag, -ETIMEDOUT, "agent-silent", "the guest at '%s' has been silent for %.0f s",
		 link->path, (double)link->silence_ns / (double)NS_PER_S);
	diag_remedy(diag, "it may be paused, or hang; --silence 0 waits as long as it takes");
	return -ETIMEDOUT;
}

static int link_lost(const struct agent_link *link, struct diag *diag)
{
	diag_set(diag, -EINVAL, "agent-lost", "the guest at '%s' ended the connection", link->path);
	diag_remedy(diag, "it has ended, or its agent has; the VM's own messages say how");
	return -ECONNRESET;
}

int agent_link_move(struct agent_link *link, struct diag *diag)
{
	struct agent_stream *s = &link->stream;
	const size_t before = s->in_len - s->used;
	int r = agent_stream_flush(s), fill;

	/* One that has ended may have said why: its last frames come first. */
	fill = agent_stream_fill(s);
	if (s->in_len > before) {
		link->heard_ns = clock_monotonic_ns();
		link->pinged_ns = 0;
		return 0;
	}
	return r < 0 || fill < 0 || s->ended ? link_lost(link, diag) : 0;
}

int agent_link_next(struct agent_link *link, struct agent_frame *ret, struct diag *diag)
{
	int r;

	do
		r = agent_stream_next(&link->stream, ret);
	while (r == 1 && ret->type == AGENT_PONG);
	return r < 0 ? agent_link_confused(link, diag) : r;
}

int agent_link_await(struct agent_link *link, struct agent_frame *ret, struct diag *diag)
{
	for (;;) {
		struct pollfd pfd = {.fd = link->stream.fd, .events = POLLIN};
		int r = agent_link_next(link, ret, diag);

		if (r != 0)
			return r < 0 ? r : 0;
		pfd.events = (short)(POLLIN | (link->stream.out_len ? POLLOUT : 0));
		poll(&pfd, 1, agent_link_timeout_ms(link));
		if (pfd.revents)
			r = agent_link_move(link, diag);
		if (r == 0)
			r = agent_link_alive(link, diag);
		if (r < 0)
			return r;
	}
}

int agent_link_put(struct agent_link *link, unsigned type, const void *data, size_t len,
		   struct diag *diag)
{
	while (!agent_stream_put(&link->stream, type, data, len)) {
		struct pollfd pfd = {.fd = link->stream.fd, .events = POLLOUT};
		int r;

		poll(&pfd, 1, agent_link_timeout_ms(link));
		r = agent_stream_flush(&link->stream);
		if (r < 0)
			return link_lost(link, diag);
		if (pfd.revents)
			link->heard_ns = clock_monotonic_ns(); /* it takes bytes */
		r = agent_link_alive(link, diag);
		if (r < 0)
			return r;
	}
	return 0;
}

int agent_link_refused(const struct agent_frame *frame, struct diag *diag)
{
	const size_t len = frame->len < 4 ? 0 : frame->len - 4;
	const int n = len < 512 ? (int)len : 512;

	diag_set(diag, -EINVAL, "agent-error", "the guest: %.*s", n,
		 n ? (const char *)frame->data + 4 : "");
	return n ? (int)(agent_get32(frame->data) & 0xff) : 125;
}

int agent_link_confused(const struct agent_link *link, struct diag *diag)
{
	diag_set(diag, -EINVAL, "agent-protocol", "the guest at '%s' breaks the agent's protocol",
		 link->path);
	diag_remedy(diag, "is the guest's /init of the same version as this program?");
	return -EPROTO;
}
