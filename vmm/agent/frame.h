/*
 * frame.h - the protocol between `tollgate exec` or `tollgate cp` and the agent in the guest, as
 * docs/design/agent.md describes it: frames over a stream, records in a frame, a checksum.
 *
 * Also compiled into /init (guest/init), so it needs nothing but the C library. A struct agent_stream is for one
 * thread. Descriptors do not block.
 */
#ifndef VMM_AGENT_FRAME_H
#define VMM_AGENT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	AGENT_PORT = 1000, /* of the guest; below 1024, so that only root can take it there */
	AGENT_VERSION = 1,
	AGENT_HEADER_BYTES = 8,
	AGENT_DATA_MAX = 1 << 16, /* bytes after a header */
	AGENT_FRAME_MAX = AGENT_HEADER_BYTES + AGENT_DATA_MAX,
	AGENT_WINDOW_BYTES = 1 << 16, /* of standard input that the agent has not acknowledged */
};

enum agent_type {
	/* To the agent. */
	AGENT_EXEC = 1,   /* records: version, arg, env, cwd, tty */
	AGENT_STDIN = 2,  /* bytes; none: the end */
	AGENT_SIGNAL = 3, /* le32: its number */
	AGENT_SIZE = 4,   /* le16 columns, le16 rows */
	AGENT_PING = 5,
	AGENT_PUT =
		6, /* records: version, path, name, kind, mode, target; a file's DATA and END follow */
	AGENT_GET = 7, /* records: version, path */

	/* To the client. */
	AGENT_STARTED = 16,
	AGENT_STDOUT = 17,
	AGENT_STDERR = 18,
	AGENT_TAKEN = 19, /* le32: so many bytes of standard input */
	AGENT_EXIT = 20,  /* le32: the exit status, as a shell has it */
	AGENT_PONG = 21,
	AGENT_ERROR = 22, /* le32: the exit status to end with; the reason as text */
	AGENT_FILE =
		23, /* records: kind, mode, target; DATA and END, or a directory's ENTRY and END follow */
	AGENT_ENTRY = 24, /* a name */
	AGENT_DONE = 25,  /* le32: CRC-32C of the file that was written */

	/* Either way. */
	AGENT_DATA = 32,
	AGENT_END = 33, /* le32: CRC-32C of the data */
};

struct agent_frame {
	unsigned type;
	const uint8_t *data; /* until the next call of agent_stream_next() */
	size_t len;
};

struct agent_stream {
	int fd;
	bool ended;          /* the other end sends no more */
	size_t in_len, used; /* bytes in in[]; those of the frame that was handed out */
	size_t out_first, out_len;
	uint8_t in[AGENT_FRAME_MAX], out[2 * AGENT_FRAME_MAX];
};

/* Borrows fd, which must not block. */
void agent_stream_init(struct agent_stream *s, int fd);

/* Queues a frame; false when there is no room for all of it. There is, for one of any length, when out_len is 0. */
bool agent_stream_put(struct agent_stream *s, unsigned type, const void *data, size_t len);
bool agent_stream_put32(struct agent_stream *s, unsigned type, uint32_t val);

/* Sends what the other end takes now: 0, or -errno when it is gone. */
int agent_stream_flush(struct agent_stream *s);
/* Reads what has come: 0, also at its end (s->ended), or -errno. */
int agent_stream_fill(struct agent_stream *s);

/* The next frame: 1; 0 when it is not whole yet; -EPROTO for what is not a frame: then there are no more. */
int agent_stream_next(struct agent_stream *s, struct agent_frame *ret);

/* Little-endian numbers; the caller knows that the bytes are there. */
uint32_t agent_get32(const uint8_t *p);
void agent_put32(uint8_t *p, uint32_t val);

/*
 * Records "KEY=VALUE", each ended by a NUL. next: 1 with the two parts, whose bytes are in the frame; 0 at the end;
 * -EPROTO for what is not a record. add: false when it does not fit into AGENT_DATA_MAX.
 */
struct agent_records {
	char buf[AGENT_DATA_MAX];
	size_t len;
};
bool agent_record_add(struct agent_records *r, const char *key, const char *value);
bool agent_record_add_u32(struct agent_records *r, const char *key, uint32_t value);
int agent_record_next(const struct agent_frame *frame, size_t *at, char key[16],
		      const char **value);
/* A record's value as a number; false for anything else. */
bool agent_record_u32(const char *value, uint32_t *ret);

/* CRC-32C (RFC 3720, B.4) of bytes that follow those of crc; 0 to begin with. */
uint32_t agent_crc32c(uint32_t crc, const void *buf, size_t len);

#endif
