/*
 * Fuzz target: the lines of the control socket, which come in any pieces.
 *
 * Input: one byte for how the rest is cut into pieces, then what a client sends. Invariants, besides not
 * crashing: the lines are those of the bytes, however they are cut, and there always is room for more.
 */
#include <assert.h>
#include <string.h>

#include "control/line.h"
#include "fuzz.h"

/* The line that begins at *at, as it must be reported, and where the next one does. */
static enum control_line expected_line(const uint8_t *data, size_t size, size_t *at,
				       char ret[CONTROL_INPUT_BYTES])
{
	const uint8_t *begin = data + *at, *end = memchr(begin, '\n', size - *at);
	size_t len;

	if (!end)
		return CONTROL_LINE_NONE;
	len = (size_t)(end - begin);
	*at += len + 1;
	if (len > CONTROL_LINE_MAX)
		return CONTROL_LINE_TOO_LONG;
	if (memchr(begin, '\0', len))
		return CONTROL_LINE_BINARY;
	if (len > 0 && begin[len - 1] == '\r')
		len--;
	memcpy(ret, begin, len);
	ret[len] = '\0';
	return CONTROL_LINE_READY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	const size_t piece = 1 + (size_t)fuzz_u8(&in);
	struct control_input input = {0};
	const uint8_t *bytes = in.data;
	size_t bytes_len = in.left, told = 0;

	while (in.left > 0) {
		char line[CONTROL_INPUT_BYTES], wanted[CONTROL_INPUT_BYTES] = "";
		size_t n = control_input_room(&input);
		enum control_line kind, wanted_kind;

		assert(n > 0);
		n = n < piece ? n : piece;
		n = n < in.left ? n : in.left;
		memcpy(control_input_end(&input), in.data, n);
		control_input_add(&input, n);
		in.data += n;
		in.left -= n;
		while ((kind = control_input_next(&input, line)) != CONTROL_LINE_NONE) {
			wanted_kind = expected_line(bytes, bytes_len, &told, wanted);
			assert(kind == wanted_kind);
			assert(kind != CONTROL_LINE_READY || strcmp(line, wanted) == 0);
		}
		assert(!control_input_has_line(&input));
	}
	assert(!memchr(bytes + told, '\n', bytes_len - told));
	assert(control_input_partial(&input) == (told < bytes_len));
	return 0;
}
