#include "cmd/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/unix_socket.h"
#include "control.h"
#include "smoke/judge/text.h"

enum { WAIT_STEP_MS = 20 };

/* A VM that is not there yet: its socket comes once it is set up, maybe in the place of a dead one's. */
static int connect_by(int fd, const struct sockaddr_un *addr, int64_t until_ns)
{
	while (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0) {
		if ((errno != ENOENT && errno != ECONNREFUSED) || clock_monotonic_ns() >= until_ns)
			return -errno;
		poll(NULL, 0, WAIT_STEP_MS);
	}
	return 0;
}

static int dial(const char *path, int64_t wait_ns, struct diag *diag)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	int r;

	if (fd < 0)
		return diag_set(diag, -errno, "client-socket", "make a socket");
	if (unix_address(path, &addr) < 0)
		return diag_set(diag, -EINVAL, "client-path-length",
				"control socket '%s': a path of at most %d bytes", path,
				UNIX_PATH_BYTES_MAX);
	r = connect_by(fd, &addr, wait_ns ? clock_monotonic_ns() + wait_ns : 0);
	if (r == 0)
		return STEAL_FD(fd);
	diag_set(diag, r, "client-connect", "no VM is at control socket '%s'", path);
	switch (r) {
	case -ECONNREFUSED:
		diag_remedy(diag, "the VM or program that made it is gone; start another one");
		break;
	case -EACCES: diag_remedy(diag, "it is for the user who runs the VM, and for root"); break;
	default:
		diag_remedy(
			diag,
			"start one by: tollgate run --control %s; --wait waits until it is there",
			path);
		break;
	}
	return r;
}

/* Cuts "[ID]" off the end of a line, and gives the id; empty when there is none. */
static const char *cut_id(char *line)
{
	char *id = strrchr(line, '[');
	const size_t len = strlen(line);

	if (!id || id == line || id[-1] != ' ' || line[len - 1] != ']')
		return "";
	line[len - 1] = '\0';
	if (!diag_is_id(id + 1)) {
		line[len - 1] = ']';
		return "";
	}
	id[-1] = '\0';
	return id + 1;
}

/* text follows CONTROL_REPLY_ERROR. */
static int reply_refused(const char *text, struct diag *diag)
{
	char line[sizeof(diag->what) + sizeof(diag->id) + sizeof(diag->remedy) + 16];
	const char *diag_id;
	char *remedy;

	smoke_text_clean(text, line, sizeof(line));
	remedy = strstr(line, CONTROL_REPLY_REMEDY);
	if (remedy)
		*remedy = '\0';
	diag_id = cut_id(line);
	diag_set(diag, -EINVAL, diag_id, "%s", line);
	if (remedy)
		diag_remedy(diag, "%s", remedy + strlen(CONTROL_REPLY_REMEDY));
	return -EINVAL;
}

/* Hands on what comes, up to the line that ends the reply. */
static int take_reply(const struct client_request *request, FILE *in, struct diag *diag)
{
	AUTO_FREE char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	errno = 0;
	while ((n = getline(&line, &cap, in)) > 0 && line[n - 1] == '\n') {
		if (strcmp(line, CONTROL_REPLY_OK "\n") == 0)
			return 0;
		if (strncmp(line, CONTROL_REPLY_ERROR, strlen(CONTROL_REPLY_ERROR)) == 0) {
			line[n - 1] = '\0';
			return reply_refused(line + strlen(CONTROL_REPLY_ERROR), diag);
		}
		request->take(request->arg, line);
	}
	if (errno == EAGAIN)
		return diag_set(diag, -ETIMEDOUT, "reply-timeout", "the VM at '%s' does not answer",
				request->path);
	diag_set(diag, -EINVAL, "reply-cut", "the VM ended before it had answered");
	diag_remedy(diag, "its own messages say how it ended");
	return -EINVAL;
}

int client_ask(const struct client_request *request, struct diag *diag)
{
	const struct timeval limit = {.tv_sec = request->reply_ns / NS_PER_S,
				      .tv_usec = request->reply_ns % NS_PER_S / 1000};
	int fd = dial(request->path, request->wait_ns, diag), r;
	FILE *in;

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	/* One that takes no more clients says so, and may have closed by now. */
	send(fd, request->line, strlen(request->line), MSG_NOSIGNAL);
	in = fdopen(fd, "r");
	if (!in) {
		close(fd);
		return diag_set(diag, -ENOMEM, "client-memory", "read from '%s'", request->path);
	}
	r = take_reply(request, in, diag);
	fclose(in);
	return r;
}
