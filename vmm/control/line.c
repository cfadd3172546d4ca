#include "control/line.h"

#include <string.h>

bool control_input_has_line(const struct control_input *in)
{
	return memchr(in->buf, '\n', in->len);
}

static void drop(struct control_input *in, size_t n)
{
	in->len -= n;
	memmove(in->buf, in->buf + n, in->len);
}

enum control_line control_input_next(struct control_input *in, char ret[CONTROL_INPUT_BYTES])
{
	const char *end = memchr(in->buf, '\n', in->len);
	enum control_line kind = CONTROL_LINE_READY;
	size_t len;

	if (!end) {
		if (in->len == sizeof(in->buf)) {
			in->overlong = true;
			in->len = 0;
		}
		return CONTROL_LINE_NONE;
	}
	len = (size_t)(end - in->buf);
	if (in->overlong)
		kind = CONTROL_LINE_TOO_LONG;
	else if (memchr(in->buf, '\0', len))
		kind = CONTROL_LINE_BINARY;
	else
		memcpy(ret, in->buf, len);
	in->overlong = false;
	drop(in, len + 1);
	if (kind == CONTROL_LINE_READY) {
		ret[len] = '\0';
		if (len > 0 && ret[len - 1] == '\r')
			ret[len - 1] = '\0';
	}
	return kind;
}
