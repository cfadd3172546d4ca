/*
 * output - bytes through the output ports (docs/reference/devices/output_port.md), with flow control, as the /init
 * of --run sends those of a command. Byte i is '\n' for i % 64 == 63, else '!' + i % 94.
 *
 *   out=N err=N   how many bytes through the first and the second port (default 0)
 *   greedy        looks at no room: what does not fit is lost
 *
 * Each port gets what it has room for in turn, so one that is stuck does not hold up the other. Ends when
 * all of it has left.
 */
#include "boot.h"
#include "cmdline.h"
#include "cpu.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "string_io.h"

enum {
	PORTS = 2,
	ROOM = 4, /* offset */
	PIECE_BYTES = 4096,
	LINE_BYTES = 64,
	SYMBOLS = 94,           /* '!' to '~' */
	PERIOD_BYTES = 64 * 47, /* after which the sequence begins anew */
	WAIT_MS = 1,
};

/* The sequence, made once: where guest code is emulated, a byte made costs more than a byte sent. */
static char sequence[PERIOD_BYTES + PIECE_BYTES];

static struct stream {
	uint16_t port;
	uint32_t capacity;
	uint64_t sent, total;
} stream[PORTS];

static uint32_t room_of(const struct stream *s)
{
	return in32((uint16_t)(s->port + ROOM));
}

static void find_ports(void)
{
	unsigned n = 0;

	if (!devtree_init())
		guest_usage("output: no device tree");
	for (size_t i = 0; i < devtree_nr_devices() && n < PORTS; i++) {
		const struct devtree_device *dev = devtree_device(i);

		if (devtree_is(dev, "tollgate,output-port"))
			stream[n++].port = (uint16_t)dev->reg[0].first;
	}
	if (n < PORTS)
		guest_usage("output: no output ports");
}

static void make_sequence(void)
{
	for (unsigned i = 0; i < sizeof(sequence); i++)
		sequence[i] = i % LINE_BYTES == LINE_BYTES - 1 ? '\n' : (char)('!' + i % SYMBOLS);
}

static void send(struct stream *s, bool greedy)
{
	const char *piece = sequence + s->sent % PERIOD_BYTES;
	const uint32_t room = greedy ? UINT32_MAX : room_of(s);
	const uint64_t left = s->total - s->sent;
	size_t n = room < PIECE_BYTES ? room : PIECE_BYTES;

	if (n > left)
		n = (size_t)left;
	string_out(s->port, 4, piece, n / 4, false);
	string_out(s->port, 1, piece + n / 4 * 4, n % 4, false);
	s->sent += n;
}

static bool has_left(void)
{
	for (unsigned i = 0; i < PORTS; i++)
		if (room_of(&stream[i]) < stream[i].capacity)
			return false;
	return true;
}

void kernel_main(void)
{
	const bool greedy = cmdline_has("greedy");

	lapic_init();
	find_ports();
	make_sequence();
	stream[0].total = cmdline_u64("out", 0, UINT64_MAX);
	stream[1].total = cmdline_u64("err", 0, UINT64_MAX);
	for (unsigned i = 0; i < PORTS; i++)
		stream[i].capacity = room_of(&stream[i]);
	while (stream[0].sent < stream[0].total || stream[1].sent < stream[1].total)
		for (unsigned i = 0; i < PORTS; i++)
			send(&stream[i], greedy);
	while (!has_left())
		lapic_wait(has_left, WAIT_MS);
}
