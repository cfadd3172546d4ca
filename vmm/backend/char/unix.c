/*
 * A listening Unix socket. One client at a time; others wait in the kernel's queue until it leaves. A
 * client that only shuts its sending side down still gets the output.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/char.h"
#include "base/macros.h"
#include "base/unix_socket.h"

struct unix_host {
	struct char_host host; /* out.fd: the client or -1; in.fd: a duplicate */
	struct unix_listener listener;
	struct event_source listen; /* its; events are 0 while there is a client */
};

/*
 * Edge-triggered: a client that cannot be taken for want of descriptors would otherwise keep the event
 * thread busy. It is looked for again when another one comes.
 */
static const uint32_t listen_events = EPOLLIN | (uint32_t)EPOLLET;

static struct unix_host *unix_of(struct char_host *host)
{
	return container_of(host, struct unix_host, host);
}

static ssize_t unix_write(struct char_host *host, const uint8_t *buf, size_t n)
{
	return send(host->out.fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void close_client(struct char_host *host)
{
	if (host->in.fd >= 0)
		close(host->in.fd);
	if (host->out.fd >= 0)
		close(host->out.fd);
	host->in.fd = host->out.fd = -1;
}

static void client_left(struct char_host *host)
{
	char_host_detach(host, CHAR_OUT_ABSENT);
	close_client(host);
	event_loop_want(host->loop, &unix_of(host)->listen, listen_events);
}

static void unix_out_failed(struct char_host *host, int err)
{
	(void)err;
	client_left(host);
}

static void unix_in_ended(struct char_host *host, int err)
{
	struct pollfd pfd = {.fd = host->in.fd};

	if (err == 0 && poll(&pfd, 1, 0) >= 0 && !(pfd.revents & (POLLHUP | POLLERR)))
		char_host_input_end(host);
	else
		client_left(host);
}

static void unix_ready(struct event_source *src, uint32_t epoll_events)
{
	struct unix_host *un = container_of(src, struct unix_host, listen);
	struct char_host *host = &un->host;

	(void)epoll_events;
	if (host->out.fd >= 0)
		return;
	host->out.fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (host->out.fd < 0)
		return;
	host->in.fd = fcntl(host->out.fd, F_DUPFD_CLOEXEC, 0);
	if (host->in.fd < 0 || char_host_attach(host) < 0) {
		close_client(host);
		return;
	}
	event_loop_want(host->loop, src, 0);
}

static void unix_close(struct char_host *host, int64_t until_ns)
{
	struct unix_host *un = unix_of(host);

	(void)until_ns;
	close_client(host);
	event_loop_remove(host->loop, &un->listen);
	unix_listener_close(&un->listener);
}

static const struct char_host_class unix_class = {
	.write = unix_write,
	.out_failed = unix_out_failed,
	.in_ended = unix_in_ended,
	.close = unix_close,
};

static int start_listening(struct unix_host *un, const char *path)
{
	int r = unix_listener_open(&un->listener, path, 1);

	if (r < 0)
		return r;
	un->listen = (struct event_source){
		.fd = un->listener.fd,
		.events = listen_events,
		.ready = unix_ready,
	};
	return event_loop_add(un->host.loop, &un->listen);
}

int char_unix_open(const char *path, struct event_loop *loop, struct power *power,
		   struct diag *diag, struct char_host **ret)
{
	struct char_host *host;
	int r;

	if (strlen(path) > UNIX_PATH_BYTES_MAX) {
		diag_set(diag, -EINVAL, "console-path-length",
			 "console's socket '%s': a path of at most %d bytes", path,
			 UNIX_PATH_BYTES_MAX);
		return -EINVAL;
	}
	r = char_host_create(sizeof(struct unix_host), &unix_class, loop, power, diag, &host);
	if (r < 0)
		return r;
	unix_of(host)->listener.fd = -1;
	r = start_listening(unix_of(host), path);
	if (r < 0) {
		diag_set(diag, r, "console-socket-open", "console's socket '%s'", path);
		if (r == -EADDRINUSE || r == -EEXIST)
			diag_remedy(diag,
				    "another process listens there, or it is not a socket; choose "
				    "another path");
		char_host_destroy(host, 0);
		return r;
	}
	*ret = host;
	return 0;
}
