/*
 * line.h - bytes that come in any pieces -> lines, in bounded memory. Pure, for control.c and its
 * fuzz target.
 */
#ifndef VMM_CONTROL_LINE_H
#define VMM_CONTROL_LINE_H

#include <stdbool.h>
#include <stddef.h>

enum {
	CONTROL_LINE_MAX = 255, /* bytes of a line, without its end */
	CONTROL_INPUT_BYTES = CONTROL_LINE_MAX + 1,
};

/* Bytes that were received and not taken yet; zeroed at first. */
struct control_input {
	char buf[CONTROL_INPUT_BYTES];
	size_t len;
	bool overlong; /* the line that goes on has lost its beginning */
};

enum control_line {
	CONTROL_LINE_NONE, /* there is no whole one: receive more */
	CONTROL_LINE_READY,
	CONTROL_LINE_TOO_LONG, /* one of more than CONTROL_LINE_MAX bytes ended; it is gone */
	CONTROL_LINE_BINARY,   /* one with a byte 0 in it; it is gone */
};

/* Where to receive to: at least one byte, once control_input_next() found none. */
static inline size_t control_input_room(const struct control_input *in)
{
	return sizeof(in->buf) - in->len;
}

static inline char *control_input_end(struct control_input *in)
{
	return in->buf + in->len;
}

/* So many bytes were received there. */
static inline void control_input_add(struct control_input *in, size_t n)
{
	in->len += n;
}

/* Whether control_input_next() would find one. */
bool control_input_has_line(const struct control_input *in);

/* Takes the next line, without its end ("\n" or "\r\n"), as a string. */
enum control_line control_input_next(struct control_input *in, char ret[CONTROL_INPUT_BYTES]);

/* Whether a line has begun and not ended. */
static inline bool control_input_partial(const struct control_input *in)
{
	return in->len > 0 || in->overlong;
}

#endif
