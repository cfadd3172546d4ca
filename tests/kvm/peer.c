/*
 * peer - a program of the host at the end of a virtio socket's connection.
 *
 *   peer dial PATH PORT      connects to the guest's port through the VM's socket PATH, sends standard input, ends
 *                            its direction, and prints what comes until the guest ends its own
 *   peer echo PATH [N]       listens at PATH, echoes what comes until its end, for N clients (1)
 *
 * Exits with 0, 1 when the guest does not accept, or 2 when something of the host fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 16 };

static char chunk[CHUNK_BYTES];

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
	exit(2);
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path))
		die(path);
	memcpy(addr.sun_path, path, strlen(path));
	return addr;
}

static bool write_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(fd, buf, len);

		if (n <= 0)
			return false;
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

/* "OK PORT\n"; false when the guest does not accept. */
static bool handshake(int fd, const char *port)
{
	char line[64] = "";
	size_t n = 0;

	dprintf(fd, "CONNECT %s\n", port);
	while (n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	return strncmp(line, "OK ", 3) == 0 && line[n] == '\n';
}

static int dial(const char *path, const char *port)
{
	const struct sockaddr_un addr = address(path);
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct pollfd pfd[] = {{.fd = fd, .events = POLLIN},
			       {.fd = STDIN_FILENO, .events = POLLIN}};
	size_t len = 0, sent = 0;
	ssize_t n;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		die(path);
	if (!handshake(fd, port))
		return 1;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		static char in[CHUNK_BYTES];

		pfd[0].events = sent < len ? POLLIN | POLLOUT : POLLIN;
		pfd[1].fd = sent < len || pfd[1].events == 0 ? -1 : STDIN_FILENO;
		poll(pfd, 2, -1);
		if (pfd[0].revents & (POLLIN | POLLHUP)) {
			n = read(fd, chunk, sizeof(chunk));
			if (n == 0)
				return 0;
			if (n > 0 && !write_all(STDOUT_FILENO, chunk, (size_t)n))
				die("standard output");
		}
		if (pfd[1].revents) {
			n = read(STDIN_FILENO, in, sizeof(in));
			len = n > 0 ? (size_t)n : 0;
			sent = 0;
			if (n <= 0) {
				shutdown(fd, SHUT_WR);
				pfd[1].events = 0;
			}
		}
		if (sent < len && (n = send(fd, in + sent, len - sent, MSG_NOSIGNAL)) > 0)
			sent += (size_t)n;
		else if (sent < len && errno != EAGAIN)
			return 1;
	}
}

static int echo(const char *path, int clients)
{
	const struct sockaddr_un addr = address(path);
	const int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(listener, 16) < 0)
		die(path);
	for (; clients > 0; clients--) {
		const int fd = accept(listener, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			die("accept");
		while ((n = read(fd, chunk, sizeof(chunk))) > 0)
			if (!write_all(fd, chunk, (size_t)n))
				break;
		close(fd);
	}
	unlink(path);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "dial") == 0)
		return dial(argv[2], argv[3]);
	if (argc >= 3 && strcmp(argv[1], "echo") == 0)
		return echo(argv[2], argc > 3 ? (int)strtol(argv[3], NULL, 10) : 1);
	fprintf(stderr, "usage: peer dial PATH PORT | peer echo PATH [N]\n");
	return 2;
}
