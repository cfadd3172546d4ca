/*
 * net_peer - one end of a TCP stream whose bytes tell whether they are the right ones, or a name server.
 *
 *   net_peer [-p] send ADDR PORT BYTES    connects and sends so many bytes
 *   net_peer [-p] serve PORT BYTES        waits for a connection, then sends
 *   net_peer [-p] receive PORT            waits for a connection and receives until its end
 *   net_peer [-p] fetch ADDR PORT         connects and receives until its end
 *   net_peer dns ADDR PORT ANSWER         answers every query for an IPv4 address with ANSWER
 *
 * A sender or receiver prints "BYTES bytes CHECKSUM NANOSECONDS" at its end, the checksum over 64-bit
 * words in their order; BYTES is a multiple of 64 KiB. With -p, to measure, all bytes are 0 and no sum is
 * made. A listener prints "listening" first.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "random.h"

enum { BLOCK_WORDS = 8192, BLOCK_BYTES = BLOCK_WORDS * 8 };

static uint64_t block[BLOCK_WORDS];
static bool plain;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void fill(uint64_t *state)
{
	for (unsigned i = 0; i < BLOCK_WORDS && !plain; i++)
		block[i] = random_next(state);
}

/* Swapped, lost and changed words each make another sum. */
static uint64_t add(uint64_t sum)
{
	for (unsigned i = 0; i < BLOCK_WORDS && !plain; i++)
		sum = (sum << 1 | sum >> 63) + block[i];
	return sum;
}

static struct sockaddr_in address(const char *addr, const char *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET};

	at.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (inet_pton(AF_INET, addr, &at.sin_addr) != 1)
		die(addr);
	return at;
}

static int dial(const char *addr, const char *port)
{
	const struct sockaddr_in at = address(addr, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		die("connect");
	return fd;
}

static int answer(const char *port)
{
	const struct sockaddr_in at = address("0.0.0.0", port);
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0), peer;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0)
		die("listen");
	puts("listening");
	fflush(stdout);
	peer = accept(fd, NULL, NULL);
	if (peer < 0)
		die("accept");
	return peer;
}

static void write_block(int fd)
{
	for (size_t done = 0; done < BLOCK_BYTES;) {
		ssize_t n = write(fd, (const char *)block + done, BLOCK_BYTES - done);

		if (n <= 0)
			die("write");
		done += (size_t)n;
	}
}

/* False at the end of the stream, which comes between blocks. */
static bool read_block(int fd)
{
	size_t done = 0;

	while (done < BLOCK_BYTES) {
		ssize_t n = read(fd, (char *)block + done, BLOCK_BYTES - done);

		if (n < 0)
			die("read");
		if (n == 0)
			break;
		done += (size_t)n;
	}
	if (done != 0 && done != BLOCK_BYTES) {
		fprintf(stderr, "net_peer: the stream ends inside a block\n");
		exit(1);
	}
	return done != 0;
}

static void report(uint64_t bytes, uint64_t sum, int64_t start_ns)
{
	printf("%" PRIu64 " bytes %016" PRIx64 " %" PRId64 "\n", bytes, sum,
	       clock_monotonic_ns() - start_ns);
}

/* The end is ours once the peer has all: it closes then. */
static void send_stream(int fd, uint64_t bytes)
{
	const int64_t start_ns = clock_monotonic_ns();
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15), sum = 0;
	char end;

	for (uint64_t done = 0; done < bytes; done += BLOCK_BYTES) {
		fill(&state);
		sum = add(sum);
		write_block(fd);
	}
	shutdown(fd, SHUT_WR);
	if (read(fd, &end, 1) < 0)
		die("the other end");
	report(bytes, sum, start_ns);
}

static void receive_stream(int fd)
{
	const int64_t start_ns = clock_monotonic_ns();
	uint64_t bytes = 0, sum = 0;

	while (read_block(fd)) {
		sum = add(sum);
		bytes += BLOCK_BYTES;
	}
	report(bytes, sum, start_ns);
}

/* RFC 1035: the question comes back, with one answer that points to its name. */
static size_t make_answer(uint8_t *msg, size_t len, struct in_addr addr)
{
	static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};

	msg[2] |= 0x80; /* a response */
	msg[3] = 0x80;
	msg[7] = 1;
	msg[8] = msg[9] = msg[10] = msg[11] = 0;
	memcpy(msg + len, record, sizeof(record));
	memcpy(msg + len + sizeof(record), &addr, 4);
	return len + sizeof(record) + 4;
}

/* Where the one question of a query ends, or 0 if it is no such query. */
static size_t question_end(const uint8_t *msg, size_t len)
{
	size_t at = 12;

	if (len < at || msg[5] != 1)
		return 0;
	while (at < len && msg[at] != 0)
		at += msg[at] + 1U;
	at += 1 + 4;
	return at <= len ? at : 0;
}

static void name_server(const char *addr, const char *port, const char *answer_text)
{
	const struct sockaddr_in at = address(addr, port);
	const struct in_addr answer_addr = address(answer_text, "0").sin_addr;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		die("name server");
	puts("listening");
	fflush(stdout);
	for (;;) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		uint8_t msg[512 + 64];
		ssize_t n = recvfrom(fd, msg, 512, 0, (struct sockaddr *)&from, &from_len);
		size_t end = n < 0 ? 0 : question_end(msg, (size_t)n);

		if (end == 0)
			continue;
		if (msg[end - 3] != 1) /* the type: of others there is nothing */
			msg[2] |= 0x80;
		else
			end = make_answer(msg, end, answer_addr);
		if (sendto(fd, msg, end, 0, (struct sockaddr *)&from, from_len) < 0)
			die("answer");
	}
}

int main(int argc, char **argv)
{
	const char *mode;

	if (argc > 1 && strcmp(argv[1], "-p") == 0) {
		plain = true;
		argc--;
		argv++;
	}
	mode = argc > 1 ? argv[1] : "";
	if (strcmp(mode, "send") == 0 && argc == 5)
		send_stream(dial(argv[2], argv[3]), strtoull(argv[4], NULL, 10));
	else if (strcmp(mode, "serve") == 0 && argc == 4)
		send_stream(answer(argv[2]), strtoull(argv[3], NULL, 10));
	else if (strcmp(mode, "receive") == 0 && argc == 3)
		receive_stream(answer(argv[2]));
	else if (strcmp(mode, "fetch") == 0 && argc == 4)
		receive_stream(dial(argv[2], argv[3]));
	else if (strcmp(mode, "dns") == 0 && argc == 5)
		name_server(argv[2], argv[3], argv[4]);
	else
		return 2;
	return 0;
}
