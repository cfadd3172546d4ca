#include "gdb/packet.h"

#include <string.h>

#include "base/parse.h"

enum { INTERRUPT = 3, ESCAPE = '}', ESCAPE_XOR = 0x20 };

static void content_add(struct gdb_input *in, uint8_t byte)
{
	if (in->len < GDB_PACKET_BYTES)
		in->content[in->len++] = byte;
	else
		in->is_overlong = true;
}

static enum gdb_event between(struct gdb_input *in, uint8_t byte)
{
	switch (byte) {
	case '+': return GDB_ACK;
	case '-': return GDB_NAK;
	case INTERRUPT: return GDB_INTERRUPT;
	case '$':
		in->state = GDB_CONTENT;
		in->len = 0;
		in->sum = 0;
		in->is_overlong = false;
		return GDB_NONE;
	default: return GDB_NONE;
	}
}

static void in_content(struct gdb_input *in, uint8_t byte)
{
	if (byte == '#') {
		in->state = GDB_SUM_HIGH;
		return;
	}
	in->sum += byte;
	if (in->state == GDB_ESCAPED) {
		content_add(in, byte ^ ESCAPE_XOR);
		in->state = GDB_CONTENT;
	} else if (byte == ESCAPE) {
		in->state = GDB_ESCAPED;
	} else {
		content_add(in, byte);
	}
}

static enum gdb_event in_sum(struct gdb_input *in, uint8_t byte)
{
	const int high = parse_hex_digit((char)in->sum_high), low = parse_hex_digit((char)byte);

	in->state = GDB_BETWEEN;
	in->content[in->len] = '\0';
	if (in->is_overlong || high < 0 || low < 0 || (high << 4 | low) != in->sum)
		return GDB_BAD;
	return GDB_PACKET;
}

enum gdb_event gdb_input_feed(struct gdb_input *in, uint8_t byte)
{
	switch (in->state) {
	case GDB_BETWEEN: return between(in, byte);
	case GDB_CONTENT:
	case GDB_ESCAPED: in_content(in, byte); return GDB_NONE;
	case GDB_SUM_HIGH:
		in->sum_high = byte;
		in->state = GDB_SUM_LOW;
		return GDB_NONE;
	case GDB_SUM_LOW: return in_sum(in, byte);
	}
	return GDB_NONE;
}

static const char digits[] = "0123456789abcdef";

size_t gdb_frame(const char *content, size_t len, char *out)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += (uint8_t)content[i];
	out[0] = '$';
	memcpy(out + 1, content, len);
	out[len + 1] = '#';
	out[len + 2] = digits[sum >> 4];
	out[len + 3] = digits[sum & 15];
	out[len + 4] = '\0';
	return len + 4;
}

void gdb_to_hex(const void *bytes, size_t n, char *ret)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < n; i++) {
		*ret++ = digits[b[i] >> 4];
		*ret++ = digits[b[i] & 15];
	}
	*ret = '\0';
}

bool gdb_from_hex(const char *from, size_t n, uint8_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		const int high = parse_hex_digit(from[2 * i]);
		const int low = high < 0 ? -1 : parse_hex_digit(from[2 * i + 1]);

		if (low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool gdb_take_number(const char **at, uint64_t *ret)
{
	const char *begin = *at;
	uint64_t val = 0;
	int digit;

	while ((digit = parse_hex_digit(**at)) >= 0) {
		if (val >> 60)
			return false;
		val = val << 4 | (uint64_t)digit;
		++*at;
	}
	*ret = val;
	return *at != begin;
}

bool gdb_take(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}
