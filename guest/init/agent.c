#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	REQUEST_WAIT_MS = 60000, /* a client that asks for nothing */
	BACKLOG = 64,
	VSOCK_CID_ANY = -1,
	VSOCK_CID_HOST = 2,
};

/* <linux/vm_sockets.h>, which not every libc finds. */
struct vsock_address {
	sa_family_t family;
	unsigned short reserved;
	uint32_t port, cid;
	uint8_t zero[4];
};

bool agent_await(struct agent *agent, struct agent_frame *ret)
{
	struct agent_stream *s = &agent->stream;

	for (;;) {
		struct pollfd pfd = {.fd = s->fd, .events = POLLIN};
		const int r = agent_stream_next(s, ret);

		if (r != 0)
			return r > 0;
		if (s->ended)
			return false;
		if (s->out_len)
			pfd.events |= POLLOUT;
		if (poll(&pfd, 1, REQUEST_WAIT_MS) == 0)
			return false;
		if (agent_stream_flush(s) < 0 || agent_stream_fill(s) < 0)
			return false;
	}
}

bool agent_send(struct agent *agent, unsigned type, const void *data, size_t len)
{
	struct agent_stream *s = &agent->stream;

	while (!agent_stream_put(s, type, data, len)) {
		struct pollfd pfd = {.fd = s->fd, .events = POLLOUT};

		poll(&pfd, 1, -1);
		if (pfd.revents & POLLERR || agent_stream_flush(s) < 0)
			return false;
	}
	return agent_stream_flush(s) == 0;
}

bool agent_refuse(struct agent *agent, unsigned status, const char *what, const char *why)
{
	char text[600];

	agent_put32((uint8_t *)text, status);
	snprintf(text + 4, sizeof(text) - 4, "%s%s%s", what ? what : "", what ? ": " : "", why);
	return agent_send(agent, AGENT_ERROR, text, 4 + strlen(text + 4));
}

/* The last frames leave; the client then closes, or is gone. */
static void say_goodbye(struct agent *agent)
{
	struct agent_stream *s = &agent->stream;

	while (s->out_len && agent_stream_flush(s) == 0) {
		struct pollfd pfd = {.fd = s->fd, .events = POLLOUT};

		if (s->out_len && (poll(&pfd, 1, REQUEST_WAIT_MS) == 0 || pfd.revents & POLLERR))
			break;
	}
}

void agent_serve(int fd, char *const *env)
{
	static struct agent agent;
	struct agent_frame request;
	bool more = true;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	agent.env = env;
	agent_stream_init(&agent.stream, fd);
	while (more && agent_await(&agent, &request)) {
		switch (request.type) {
		case AGENT_EXEC: more = agent_exec(&agent, &request); break;
		case AGENT_PUT: more = agent_put_file(&agent, &request); break;
		case AGENT_GET: more = agent_get_file(&agent, &request); break;
		case AGENT_PING: more = agent_send(&agent, AGENT_PONG, NULL, 0); break;
		default: agent_refuse(&agent, AGENT_FAILED, NULL, "unknown request"); more = false;
		}
	}
	say_goodbye(&agent);
	close(fd);
}

/*
 * The next client, or -1. Only the host's: with a loopback of vsock, programs of this guest that are not root's could
 * connect, too.
 */
static int accept_host(int listener)
{
	struct vsock_address peer = {0};
	socklen_t len = sizeof(peer);
	const int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);

	if (fd < 0 || peer.cid == VSOCK_CID_HOST)
		return fd;
	close(fd);
	errno = EAGAIN;
	return -1;
}

static _Noreturn void listen_forever(int listener, char *const *env)
{
	signal(SIGCHLD, SIG_IGN); /* connections are reaped by the kernel */
	prctl(PR_SET_NAME, "tollgate-agent");
	for (;;) {
		const int fd = accept_host(listener);
		const pid_t pid = fd < 0 ? -1 : fork();

		if (pid == 0) {
			close(listener);
			signal(SIGCHLD, SIG_DFL);
			agent_serve(fd, env);
			_exit(0);
		}
		if (fd >= 0)
			close(fd);
		else if (errno != EAGAIN)
			poll(NULL, 0, 100); /* no descriptors or memory: others will end */
	}
}

int agent_start(uint32_t port, char *const *env)
{
	const struct vsock_address address = {
		.family = AF_VSOCK,
		.port = port,
		.cid = (uint32_t)VSOCK_CID_ANY,
	};
	const int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	if (listener < 0)
		return -errno;
	if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, BACKLOG) < 0) {
		const int err = errno;

		close(listener);
		return -err;
	}
	pid = fork();
	if (pid == 0)
		listen_forever(listener, env);
	close(listener);
	return pid < 0 ? -errno : 0;
}
