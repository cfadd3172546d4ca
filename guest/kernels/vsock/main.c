/*
 * vsock - drives a virtio socket device: echoes what a client of the host sends to a port, or connects to a port of the
 * host that echoes.
 *
 *   port=N       listens on port N (default 1024)
 *   clients=N    serves so many, one after the other (default 1), and ends
 *   connect=N    instead connects to port N of the host,
 *   bytes=N      sends so many bytes, which must come back the same (default 65536),
 *   requests=N   and then N times 32 bytes, each after the last ones came back
 *   room=N       bytes that the host may send before we have taken them (default 65536)
 *   reset        resets the device when the first bytes have come, and starts anew
 *
 * "vsock: ready" is printed once the device works.
 */
#include <string.h>

#include "boot.h"
#include "check.h"
#include "cmdline.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "print.h"
#include "socket.h"

enum {
	REQUEST_BYTES = 32,
	CHUNK_BYTES = 4096,
	STREAM_BYTES = 4093,
	OUR_PORT = 2000,
};

static void start(void)
{
	socket_start((uint32_t)cmdline_u64("room", SOCKET_ROOM_MAX, SOCKET_ROOM_MAX));
}

/* A stream that repeats after a prime number of bytes, so that packets are never all alike. Twice, to copy from. */
static uint8_t stream[2 * STREAM_BYTES];

static void make_stream(void)
{
	for (uint32_t i = 0; i < STREAM_BYTES; i++)
		stream[i] = (uint8_t)(i * 2654435761U >> 24);
	memcpy(stream + STREAM_BYTES, stream, STREAM_BYTES);
}

static const uint8_t *stream_at(uint64_t i)
{
	return stream + i % STREAM_BYTES;
}

static uint8_t chunk[CHUNK_BYTES];

/* As many as the host has room for; how many. */
static uint32_t send_stream(uint64_t at, uint64_t max)
{
	uint32_t n = socket_room() < STREAM_BYTES ? socket_room() : STREAM_BYTES;

	if (n > max)
		n = (uint32_t)max;
	if (n > 0)
		socket_send(SOCKET_RW, 0, stream_at(at), n);
	return n;
}

/* False when they are not the stream's. */
static bool take_stream(uint64_t at, uint64_t *ret_nr)
{
	const uint32_t n = socket_take(chunk, STREAM_BYTES);

	*ret_nr = n;
	return memcmp(chunk, stream_at(at), n) == 0;
}

/* Sends the stream's bytes from at on, and takes them as they come back; false when they come back wrong, or not. */
static bool exchange(uint64_t at, uint64_t len)
{
	uint64_t sent = 0, got = 0, n;
	struct socket_packet p;

	while (got < len) {
		while (sent < len && socket_room() > 0)
			sent += send_stream(at + sent, len - sent);
		if (!socket_next(&p) || p.op == SOCKET_RST || p.op == SOCKET_SHUTDOWN)
			return false;
		do {
			if (!take_stream(at + got, &n))
				return false;
			got += n;
		} while (n > 0);
	}
	return true;
}

/* Waits for that; others are dropped. */
static bool wait_for(unsigned op)
{
	struct socket_packet p;

	while (socket_next(&p)) {
		if (p.op == op)
			return true;
		if (p.op == SOCKET_RST)
			return false;
	}
	return false;
}

static void connect_to(uint32_t port)
{
	const uint64_t bytes = cmdline_u64("bytes", 1 << 16, UINT32_MAX);
	const uint64_t requests = cmdline_u64("requests", 0, UINT32_MAX);
	bool ok = true;

	make_stream();
	socket_open(port, OUR_PORT);
	socket_send(SOCKET_REQUEST, 0, NULL, 0);
	if (!check("vsock-connect", wait_for(SOCKET_RESPONSE), "port %u refuses", port))
		return;
	check("vsock-echo", exchange(0, bytes), "the bytes did not come back");
	for (uint64_t i = 0; ok && i < requests; i++)
		ok = exchange(bytes + i * REQUEST_BYTES, REQUEST_BYTES);
	if (requests)
		check("vsock-requests", ok, "a request did not come back");
	/* The host sees the end of ours, and ends its own. */
	socket_send(SOCKET_SHUTDOWN, SOCKET_SHUTDOWN_SEND, NULL, 0);
	check("vsock-half-close", wait_for(SOCKET_SHUTDOWN), "the host does not end");
	/* Nobody is there any more. */
	socket_send(SOCKET_RW, 0, "x", 1);
	check("vsock-stray", !wait_for(SOCKET_RESPONSE), "no reset for a connection that is over");
}

/* The client that asks for our port next; false when none came. */
static bool accept_client(uint32_t port)
{
	struct socket_packet p;

	while (socket_next(&p)) {
		const bool ours = p.op == SOCKET_REQUEST && p.guest_port == port;

		socket_open(p.host_port, p.guest_port);
		if (ours)
			socket_believe(&p);
		if (ours || p.op == SOCKET_REQUEST)
			socket_send(ours ? SOCKET_RESPONSE : SOCKET_RST, 0, NULL, 0);
		if (ours)
			return true;
	}
	return false;
}

/* Sends back what came, as far as there is room for it. */
static uint32_t echo(void)
{
	uint32_t room, n, total = 0;

	while ((room = socket_room()) > 0 && (n = socket_take(chunk, room)) > 0) {
		socket_send(SOCKET_RW, 0, chunk, n);
		total += n;
	}
	return total;
}

/* Until the client has ended its direction and has all back. With reset, until it has sent something: false then. */
static bool serve(uint64_t *total, bool reset)
{
	bool ended = false;
	struct socket_packet p;

	for (;;) {
		const uint32_t n = echo();

		*total += n;
		if (n > 0)
			continue;
		if (ended && socket_room() > 0)
			break;
		if (!socket_next(&p))
			guest_panic("vsock: nothing comes");
		if (p.op == SOCKET_RST)
			return true;
		if (p.op == SOCKET_RW && reset) {
			start();
			return false;
		}
		ended |= p.op == SOCKET_SHUTDOWN && p.flags & SOCKET_SHUTDOWN_SEND;
	}
	socket_send(SOCKET_SHUTDOWN, SOCKET_SHUTDOWN_SEND | SOCKET_SHUTDOWN_RCV, NULL, 0);
	wait_for(SOCKET_RST);
	return true;
}

static void listen(uint32_t port)
{
	uint64_t clients = cmdline_u64("clients", 1, UINT32_MAX), total = 0;
	bool reset = cmdline_has("reset");

	for (; clients > 0; clients--) {
		if (!accept_client(port))
			guest_panic("vsock: no client comes");
		if (!serve(&total, reset)) {
			check_ok("vsock-reset");
			reset = false;
		}
	}
	print("vsock: %lu bytes\n", total);
	check_ok("vsock-listen");
}

void kernel_main(void)
{
	const uint32_t port = (uint32_t)cmdline_u64("connect", 0, UINT32_MAX);

	lapic_init();
	if (!devtree_init() || !socket_find())
		guest_usage("vsock: no socket device (tollgate run --vsock PATH)");
	start();
	print("vsock: ready\n");
	if (port)
		connect_to(port);
	else
		listen((uint32_t)cmdline_u64("port", 1024, UINT32_MAX));
	check_finish();
}
