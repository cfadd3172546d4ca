/*
 * text.h - console bytes -> text that is safe in a terminal, a log, XML and JSON.
 *
 * The output is well-formed UTF-8. It holds no control character but '\n' and '\t', no escape
 * sequence, no carriage return, nothing that turns the direction of writing and nothing that XML 1.0
 * forbids; what has no safe form becomes U+FFFD. The output depends on the bytes alone, not on how
 * they were split.
 *
 * Escape sequences are those of ECMA-48 (5th edition, 5.3 to 5.6). A sequence that never ends hides
 * no more than SMOKE_TEXT_SEQUENCE_MAX bytes, and nothing after the end of its line.
 */
#ifndef VMM_SMOKE_JUDGE_TEXT_H
#define VMM_SMOKE_JUDGE_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum {
	SMOKE_TEXT_SEQUENCE_MAX = 1024,
	SMOKE_TEXT_OUT_MAX = 8, /* bytes that one byte of input can make */
};

enum smoke_text_state {
	SMOKE_TEXT_GROUND,
	SMOKE_TEXT_ESCAPE,       /* after ESC */
	SMOKE_TEXT_INTERMEDIATE, /* after ESC and bytes 02/00 to 02/15 */
	SMOKE_TEXT_CSI,
	SMOKE_TEXT_STRING, /* DCS, SOS, OSC, PM, APC: up to ST, or BEL as terminals have it */
	SMOKE_TEXT_STRING_ESCAPE,
};

/* Zeroed is the start of a stream. */
struct smoke_text {
	enum smoke_text_state state;
	unsigned sequence_len;
	uint8_t have, want; /* bytes of a character: seen, and wanted in all */
	uint8_t utf8[4];
};

/* Takes one byte; returns how many bytes of text it makes, in out. */
size_t smoke_text_feed(struct smoke_text *text, uint8_t byte, char out[SMOKE_TEXT_OUT_MAX]);

/* The stream has ended: what an unfinished character makes. */
size_t smoke_text_finish(struct smoke_text *text, char out[SMOKE_TEXT_OUT_MAX]);

/*
 * A whole string as one clean line: '\n' and '\t' become blanks. As many whole characters as cap - 1
 * bytes hold; buf is NUL-terminated.
 */
void smoke_text_clean(const char *s, char *buf, size_t cap);

#endif
