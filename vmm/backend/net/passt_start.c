#include "backend/net/passt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/signals.h"
#include "base/unix_socket.h"

/* Descriptors of the process: standard input and output lead nowhere, its messages to us. */
enum { PASST_SOCKET_FD = STDERR_FILENO + 1, PASST_END_FDS };
#define PASST_SOCKET_TEXT "3"
_Static_assert(PASST_SOCKET_FD == 3, "as the text says");

enum { PASST_TEXT_BYTES = 120 }; /* of a message of passt's, kept; its end, where it is longer */

/* Positive error numbers, as posix_spawn's. */
static int passt_files(posix_spawn_file_actions_t *actions, int socket, int messages)
{
	int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);

	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, STDIN_FILENO, STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, messages, STDERR_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, socket, PASST_SOCKET_FD);
	return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, PASST_END_FDS);
}

static int passt_spawn(const struct net_passt_opts *opts, int socket, int messages, pid_t *ret)
{
	const char *argv[10] = {"passt", "--quiet", "--fd", PASST_SOCKET_TEXT};
	char *taken[ARRAY_SIZE(argv)];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	unsigned n = 4;
	int r = posix_spawn_file_actions_init(&actions);

	if (opts->tcp_ports) {
		argv[n++] = "--tcp-ports";
		argv[n++] = opts->tcp_ports;
	}
	if (opts->udp_ports) {
		argv[n++] = "--udp-ports";
		argv[n++] = opts->udp_ports;
	}
	if (r)
		return -r;
	/* posix_spawn(3) changes none of the texts, though its type has no const. */
	memcpy(taken, argv, sizeof(taken));
	r = posix_spawnattr_init(&attr);
	if (r == 0) {
		r = passt_files(&actions, socket, messages);
		if (r == 0)
			r = signals_reset_at_spawn(&attr);
		if (r == 0)
			r = posix_spawnp(ret, argv[0], &actions, &attr, taken, environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/*
 * Waits for the process that was started, which ends with 0 once another one of passt's serves the socket. Its wait
 * status; -ETIMEDOUT: it was killed.
 */
static int passt_wait(pid_t pid, unsigned ms)
{
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	const int64_t end_ns = clock_monotonic_ns() + ms * NS_PER_MS;
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	int status = 0, r = -1;

	while (pidfd >= 0 && r < 0) {
		const int64_t left_ns = end_ns - clock_monotonic_ns();

		r = poll(&fd, 1, left_ns > 0 ? (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS) : 0);
		if (r < 0 && errno != EINTR)
			break;
	}
	if (pidfd >= 0 && r <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pidfd >= 0 && r <= 0 ? -ETIMEDOUT : status;
}

/* The last line of what passt has written, fit for a message. */
static void passt_last_line(int messages, char ret[PASST_TEXT_BYTES])
{
	char buf[4096], *line;
	size_t len = 0;
	ssize_t n;

	while ((n = read(messages, buf + len, sizeof(buf) - 1 - len)) > 0) {
		len += (size_t)n;
		if (len < sizeof(buf) - 1)
			continue;
		memmove(buf, buf + len / 2, len - len / 2); /* its end counts */
		len -= len / 2;
	}
	while (len > 0 && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	line = strrchr(buf, '\n');
	line = line ? line + 1 : buf;
	len = strlen(line);
	if (len >= PASST_TEXT_BYTES)
		line += len - (PASST_TEXT_BYTES - 1);
	for (len = 0; line[len]; len++)
		ret[len] = (char)(line[len] >= ' ' && line[len] <= '~' ? line[len] : '?');
	ret[len] = '\0';
}

/* The result of passt_wait() that is not 0. */
static int passt_refused(int status, unsigned ms, int messages, struct diag *diag)
{
	char text[PASST_TEXT_BYTES];

	passt_last_line(messages, text);
	if (status == -ETIMEDOUT)
		return diag_set(diag, -ETIMEDOUT, "passt-time",
				"passt was not ready after %u ms: '%s'", ms, text);
	diag_set(diag, -ECHILD, "passt-refused", "passt does not serve: '%s'", text);
	diag_remedy(diag, "`man passt` has what it needs of the host; --net user needs none of it");
	return -ECHILD;
}

static int passt_not_started(int r, struct diag *diag)
{
	diag_set(diag, r, "passt-start", "start passt");
	if (r == -ENOENT)
		diag_remedy(diag, "install it (Debian, Ubuntu: passt), or take --net user");
	return r;
}

int passt_start(const struct net_passt_opts *opts, struct diag *diag)
{
	int ends[2], pipes[2], r, status;
	pid_t pid = -1;

	/* Calls on ours say MSG_DONTWAIT. O_NONBLOCK would be passt's as well. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return passt_not_started(-errno, diag);
	AUTO_CLOSE int ours = ends[0];
	AUTO_CLOSE int theirs = ends[1];

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return passt_not_started(-errno, diag);
	AUTO_CLOSE int messages = pipes[0];
	AUTO_CLOSE int messages_in = pipes[1];
	/* Above those that dup2() of the process to be overwrites. */
	AUTO_CLOSE int socket = fcntl(theirs, F_DUPFD_CLOEXEC, PASST_END_FDS);
	AUTO_CLOSE int written = fcntl(messages_in, F_DUPFD_CLOEXEC, PASST_END_FDS);

	if (socket < 0 || written < 0)
		return passt_not_started(-errno, diag);
	r = passt_spawn(opts, socket, written, &pid);
	if (r < 0)
		return passt_not_started(r, diag);
	status = passt_wait(pid, opts->start_ms);
	if (status != 0)
		return passt_refused(status, opts->start_ms, messages, diag);
	return STEAL_FD(ours);
}

int passt_connect(const char *path, struct diag *diag)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;
	int r = fd < 0 ? -errno : unix_address(path, &addr);

	if (r == 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		r = -errno;
	if (r == 0)
		return STEAL_FD(fd);
	diag_set(diag, r, "passt-connect", "connect to passt at '%s'", path);
	if (r == -ENOENT || r == -ECONNREFUSED)
		diag_remedy(diag, "start it first: passt --one-off --socket '%s'", path);
	else if (r == -EAGAIN)
		diag_remedy(diag, "it serves another guest");
	return r;
}
