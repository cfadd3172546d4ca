#include "smoke/judge/text.h"

#include <stdbool.h>
#include <string.h>

enum { BEL = 0x07, CAN = 0x18, SUB = 0x1a, ESC = 0x1b, DEL = 0x7f };

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

static size_t put_replacement(char *out)
{
	memcpy(out, replacement, sizeof(replacement) - 1);
	return sizeof(replacement) - 1;
}

/* Code points past U+007F that a reader must not be handed (see text.h). */
static bool is_unsafe(uint32_t c)
{
	if (c < 0xa0)
		return true; /* C1: CSI, OSC and the like in one character */
	if (c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069))
		return true; /* line separators and bidirectional controls (UAX #9) */
	return c == 0xfeff || (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef);
}

/* The code point of a whole, well-formed sequence. */
static uint32_t utf8_decode(const uint8_t *utf8, unsigned len)
{
	uint32_t c = utf8[0] & (0xffU >> (len + 1));

	for (unsigned i = 1; i < len; i++)
		c = c << 6 | (utf8[i] & 0x3f);
	return c;
}

/* Bytes of the character that begins so; 0 when none does (Unicode 15, table 3-7). */
static uint8_t wanted(uint8_t lead)
{
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef)
		return 3;
	return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/* Whether byte may be the next one: no overlong form, no surrogate, nothing past U+10FFFF. */
static bool continues(const struct smoke_text *text, uint8_t byte)
{
	uint8_t first = 0x80, last = 0xbf;

	if (text->have == 1) {
		switch (text->utf8[0]) {
		case 0xe0: first = 0xa0; break;
		case 0xed: last = 0x9f; break;
		case 0xf0: first = 0x90; break;
		case 0xf4: last = 0x8f; break;
		default: break;
		}
	}
	return byte >= first && byte <= last;
}

/* A byte outside of any sequence and any character. */
static size_t ground(struct smoke_text *text, uint8_t byte, char *out)
{
	if (byte == ESC) {
		text->state = SMOKE_TEXT_ESCAPE;
		text->sequence_len = 0;
		return 0;
	}
	if (byte == '\r')
		return 0;
	if (byte == '\n' || byte == '\t' || (byte >= 0x20 && byte < DEL)) {
		out[0] = (char)byte;
		return 1;
	}
	text->want = wanted(byte);
	if (text->want == 0)
		return put_replacement(out);
	text->utf8[0] = byte;
	text->have = 1;
	return 0;
}

size_t smoke_text_finish(struct smoke_text *text, char out[SMOKE_TEXT_OUT_MAX])
{
	const bool cut = text->have > 0;

	text->have = 0;
	return cut ? put_replacement(out) : 0;
}

/* In the middle of a character. */
static size_t character(struct smoke_text *text, uint8_t byte, char *out)
{
	size_t n;

	if (!continues(text, byte)) {
		n = smoke_text_finish(text, out);
		return n + ground(text, byte, out + n);
	}
	text->utf8[text->have++] = byte;
	if (text->have < text->want)
		return 0;
	text->have = 0;
	if (is_unsafe(utf8_decode(text->utf8, text->want)))
		return put_replacement(out);
	memcpy(out, text->utf8, text->want);
	return text->want;
}

static enum smoke_text_state after_escape(uint8_t byte)
{
	switch (byte) {
	case '[': return SMOKE_TEXT_CSI;
	case 'P':
	case 'X':
	case ']':
	case '^':
	case '_': return SMOKE_TEXT_STRING;
	default: return SMOKE_TEXT_GROUND;
	}
}

static bool within(uint8_t byte, uint8_t first, uint8_t last)
{
	return byte >= first && byte <= last;
}

/* A string ends by ST, BEL, CAN or SUB. */
static enum smoke_text_state in_string(uint8_t byte)
{
	switch (byte) {
	case ESC: return SMOKE_TEXT_STRING_ESCAPE;
	case BEL:
	case CAN:
	case SUB: return SMOKE_TEXT_GROUND;
	default: return SMOKE_TEXT_STRING;
	}
}

/* Moves on inside a sequence; false when byte is not a part of it and counts for itself. */
static bool sequence(struct smoke_text *text, uint8_t byte)
{
	const enum smoke_text_state state = text->state;

	if (byte == '\n' || ++text->sequence_len > SMOKE_TEXT_SEQUENCE_MAX) {
		text->state = SMOKE_TEXT_GROUND;
		return false;
	}
	if (state == SMOKE_TEXT_STRING) {
		text->state = in_string(byte);
		return true;
	}
	if (state == SMOKE_TEXT_CSI && within(byte, 0x20, 0x3f))
		return true;
	if (state != SMOKE_TEXT_CSI && within(byte, 0x20, 0x2f)) {
		text->state = SMOKE_TEXT_INTERMEDIATE;
		return true;
	}
	text->state = SMOKE_TEXT_GROUND;
	if (state == SMOKE_TEXT_ESCAPE || (state == SMOKE_TEXT_STRING_ESCAPE && byte != '\\'))
		text->state = after_escape(byte);
	return within(byte, 0x30, 0x7e);
}

size_t smoke_text_feed(struct smoke_text *text, uint8_t byte, char out[SMOKE_TEXT_OUT_MAX])
{
	if (text->state != SMOKE_TEXT_GROUND && sequence(text, byte))
		return 0;
	return text->have ? character(text, byte, out) : ground(text, byte, out);
}

void smoke_text_clean(const char *s, char *buf, size_t cap)
{
	struct smoke_text text = {0};
	char out[SMOKE_TEXT_OUT_MAX];
	size_t len = 0, n;

	do {
		n = *s ? smoke_text_feed(&text, (uint8_t)*s, out) : smoke_text_finish(&text, out);
		if (n >= cap - len)
			break;
		memcpy(buf + len, out, n);
		if (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\t'))
			buf[len + n - 1] = ' ';
		len += n;
	} while (*s++);
	buf[len] = '\0';
}
