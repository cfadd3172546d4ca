/*
 * talk - the other end of a console: connects to a Unix socket or opens a terminal.
 *
 *   talk unix:PATH|tty:PATH [BYTES]
 *
 * Waits until PATH is there, sends standard input, and prints what comes, until BYTES came or the other
 * end is gone. At the end of standard input it goes on listening. Exits with 0, or with 1 when the other
 * end was gone before BYTES came.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	LIMIT_S = 300, /* a hang, not slowness */
	LOOK_MS = 10,
	CHUNK_BYTES = 1 << 14,
};

/* Standard input on its way. */
struct chunk {
	char byte[CHUNK_BYTES];
	size_t len, sent;
	bool ended;
};

static int dial(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int reach(const char *where)
{
	for (int ms = 0; ms < LIMIT_S * 1000; ms += LOOK_MS) {
		int fd = -1;

		if (strncmp(where, "unix:", 5) == 0)
			fd = dial(where + 5);
		else if (strncmp(where, "tty:", 4) == 0)
			fd = open(where + 4, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
			return fd;
		poll(NULL, 0, LOOK_MS);
	}
	return -1;
}

/* Reads more when all of it is sent, else sends; false when the other end is gone. */
static bool pump(struct chunk *in, int fd)
{
	ssize_t n;

	if (in->sent == in->len) {
		n = read(STDIN_FILENO, in->byte, sizeof(in->byte));
		in->ended = n <= 0;
		in->len = n > 0 ? (size_t)n : 0;
		in->sent = 0;
		return true;
	}
	n = write(fd, in->byte + in->sent, in->len - in->sent);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	in->sent += (size_t)n;
	return true;
}

/* How many bytes came, all printed; -1 when the other end is gone. */
static ssize_t take(int fd, uint64_t max)
{
	char buf[CHUNK_BYTES];
	ssize_t n = read(fd, buf, max < sizeof(buf) ? max : sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0 || fwrite(buf, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0)
		return -1;
	return n;
}

static int talk(int fd, uint64_t wanted)
{
	struct chunk in = {.len = 0};
	bool there = true;
	uint64_t got = 0;

	while (there && got < wanted) {
		const bool sending = in.sent < in.len;
		struct pollfd pfd[] = {
			{.fd = fd, .events = (short)(POLLIN | (sending ? POLLOUT : 0))},
			{.fd = in.ended || sending ? -1 : STDIN_FILENO, .events = POLLIN},
		};

		if (poll(pfd, 2, LIMIT_S * 1000) <= 0)
			return 1;
		if (pfd[1].revents || pfd[0].revents & POLLOUT)
			there = pump(&in, fd);
		if (pfd[0].revents & (POLLIN | POLLHUP | POLLERR)) {
			ssize_t n = take(fd, wanted - got);

			there = there && n >= 0;
			got += n > 0 ? (uint64_t)n : 0;
		}
	}
	return wanted == UINT64_MAX || got == wanted ? 0 : 1;
}

int main(int argc, char **argv)
{
	int fd, status;

	if (argc < 2 || argc > 3) {
		fputs("usage: talk unix:PATH|tty:PATH [BYTES]\n", stderr);
		return 2;
	}
	fd = reach(argv[1]);
	if (fd < 0) {
		fprintf(stderr, "talk: %s: nobody there\n", argv[1]);
		return 1;
	}
	status = talk(fd, argc == 3 ? strtoull(argv[2], NULL, 10) : UINT64_MAX);
	close(fd);
	return status;
}
