/*
 * Fuzz target: frames and records of the agent's protocol, as either end reads them from an other that sends what it
 * likes.
 *
 * Input: the bytes of a stream, the first of which says in how large pieces they come. Invariants, besides not crashing:
 * - a frame is as long as its header says, and no longer than there may be;
 * - how the bytes were cut into pieces changes no frame;
 * - a record's key is not empty and ends, its value ends inside the frame.
 */
#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

#include "agent/frame.h"

static struct agent_stream whole, pieces;

static void read_records(const struct agent_frame *f)
{
	const char *value;
	char key[16];
	size_t at = 0;
	uint32_t n;

	while (agent_record_next(f, &at, key, &value) == 1) {
		assert(key[0] && strlen(key) < sizeof(key));
		assert((const uint8_t *)value + strlen(value) < f->data + f->len);
		assert(at <= f->len);
		agent_record_u32(value, &n);
	}
}

/* Frames of what has come, summed up; false at what is not a frame. */
static bool read_frames(struct agent_stream *s, uint32_t *sum)
{
	struct agent_frame f;
	int r;

	while ((r = agent_stream_next(s, &f)) == 1) {
		assert(f.len <= AGENT_DATA_MAX);
		*sum = agent_crc32c(*sum ^ f.type, f.data, f.len);
		read_records(&f);
	}
	return r == 0;
}

static uint32_t read_in_pieces(struct agent_stream *s, const uint8_t *data, size_t size,
			       size_t piece)
{
	uint32_t sum = 0;
	int fd[2];
	bool more = true;

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	agent_stream_init(s, fd[0]);
	while (more && size > 0) {
		const size_t n = size < piece ? size : piece;

		assert(send(fd[1], data, n, 0) == (ssize_t)n);
		data += n;
		size -= n;
		while (more && s->in_len - s->used < sizeof(s->in) && agent_stream_fill(s) == 0 &&
		       s->in_len > 0) {
			const size_t before = s->in_len;

			more = read_frames(s, &sum);
			if (s->in_len - s->used == before)
				break;
		}
	}
	close(fd[0]);
	close(fd[1]);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t piece = size ? 1 + data[0] : 1;

	if (size < 1)
		return 0;
	assert(read_in_pieces(&whole, data + 1, size - 1, 1 << 15) ==
	       read_in_pieces(&pieces, data + 1, size - 1, piece));
	return 0;
}
