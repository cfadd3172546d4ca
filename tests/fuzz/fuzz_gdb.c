/*
 * Fuzz target: packets of gdb's remote protocol, and the numbers in them.
 *
 * Input: bytes as a client sends them. Invariants, besides not crashing: a packet is what lies between its marks,
 * with its checksum, as a second reading of the same bytes finds it; and what we frame, we read.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "fuzz.h"
#include "gdb/packet.h"

/* The packet whose '$' is at *at, read whole: its content to ret. False: there is no good one. */
static bool expect_packet(const uint8_t *data, size_t size, size_t at, uint8_t *ret,
			  size_t *ret_len)
{
	uint8_t sum = 0;
	size_t n = 0;

	for (at++; at < size && data[at] != '#'; at++) {
		sum += data[at];
		if (data[at] != '}') {
			ret[n++] = data[at];
			continue;
		}
		if (++at == size || data[at] == '#')
			break;
		sum += data[at];
		ret[n++] = data[at] ^ 0x20;
	}
	*ret_len = n;
	return at + 2 < size && data[at] == '#' && parse_hex_digit((char)data[at + 1]) >= 0 &&
	       parse_hex_digit((char)data[at + 2]) >= 0 && n <= GDB_PACKET_BYTES &&
	       (parse_hex_digit((char)data[at + 1]) << 4 | parse_hex_digit((char)data[at + 2])) ==
		       sum;
}

static void check_packets(const uint8_t *data, size_t size)
{
	struct gdb_input *in = calloc(1, sizeof(*in));
	uint8_t *wanted = malloc(size + 1);
	size_t begin = 0, wanted_len = 0;

	assert(in && wanted);
	for (size_t i = 0; i < size; i++) {
		const bool between = in->state == GDB_BETWEEN;
		const enum gdb_event event = gdb_input_feed(in, data[i]);
		bool good;

		if (between && data[i] == '$')
			begin = i;
		if (event != GDB_PACKET && event != GDB_BAD)
			continue;
		good = expect_packet(data, size, begin, wanted, &wanted_len);
		assert(good == (event == GDB_PACKET));
		assert(!good ||
		       (in->len == wanted_len && memcmp(in->content, wanted, wanted_len) == 0));
		assert(in->len <= GDB_PACKET_BYTES && in->content[in->len] == '\0');
	}
	free(wanted);
	free(in);
}

/* Any bytes as hexadecimal in a packet of ours. */
static void check_frame(const uint8_t *data, size_t size)
{
	struct gdb_input *in = calloc(1, sizeof(*in));
	const size_t n = size < 1000 ? size : 1000;
	char hex[2 * 1000 + 1], framed[2 * 1000 + 8];
	uint8_t back[1000];
	size_t len;

	assert(in);
	gdb_to_hex(data, n, hex);
	len = gdb_frame(hex, 2 * n, framed);
	for (size_t i = 0; i + 1 < len; i++)
		assert(gdb_input_feed(in, (uint8_t)framed[i]) == GDB_NONE);
	assert(gdb_input_feed(in, (uint8_t)framed[len - 1]) == GDB_PACKET);
	assert(in->len == 2 * n && gdb_from_hex((const char *)in->content, n, back));
	assert(memcmp(back, data, n) == 0);
	free(in);
}

static void check_number(const uint8_t *data, size_t size)
{
	char text[64] = "";
	const char *at = text;
	uint64_t val = 0;

	memcpy(text, data, size < sizeof(text) - 1 ? size : sizeof(text) - 1);
	if (gdb_take_number(&at, &val)) {
		const char kept = *at;

		text[at - text] = '\0';
		assert(strtoull(text, NULL, 16) == val ||
		       (text[0] == '0' && (text[1] | 0x20) == 'x'));
		text[at - text] = kept;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_packets(data, size);
	check_frame(data, size);
	check_number(data, size);
	return 0;
}
