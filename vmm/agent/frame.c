#include "frame.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

uint32_t agent_get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void agent_put32(uint8_t *p, uint32_t val)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(val >> (8 * i));
}

void agent_stream_init(struct agent_stream *s, int fd)
{
	s->fd = fd;
	s->ended = false;
	s->in_len = s->used = s->out_first = s->out_len = 0;
}

bool agent_stream_put(struct agent_stream *s, unsigned type, const void *data, size_t len)
{
	uint8_t *at;

	if (len > AGENT_DATA_MAX || sizeof(s->out) - s->out_len < AGENT_HEADER_BYTES + len)
		return false;
	memmove(s->out, s->out + s->out_first, s->out_len);
	s->out_first = 0;
	at = s->out + s->out_len;
	agent_put32(at, (uint32_t)len);
	agent_put32(at + 4, type);
	if (len)
		memcpy(at + AGENT_HEADER_BYTES, data, len);
	s->out_len += AGENT_HEADER_BYTES + len;
	return true;
}

bool agent_stream_put32(struct agent_stream *s, unsigned type, uint32_t val)
{
	uint8_t bytes[4];

	agent_put32(bytes, val);
	return agent_stream_put(s, type, bytes, sizeof(bytes));
}

int agent_stream_flush(struct agent_stream *s)
{
	while (s->out_len > 0) {
		const ssize_t n =
			send(s->fd, s->out + s->out_first, s->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		s->out_first += (size_t)n;
		s->out_len -= (size_t)n;
	}
	s->out_first = 0;
	return 0;
}

static void drop_used(struct agent_stream *s)
{
	s->in_len -= s->used;
	memmove(s->in, s->in + s->used, s->in_len);
	s->used = 0;
}

int agent_stream_fill(struct agent_stream *s)
{
	ssize_t n;

	drop_used(s);
	if (s->in_len == sizeof(s->in))
		return 0;
	do
		n = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	s->ended = n == 0;
	s->in_len += (size_t)n;
	return 0;
}

int agent_stream_next(struct agent_stream *s, struct agent_frame *ret)
{
	uint32_t len;

	drop_used(s);
	if (s->in_len < AGENT_HEADER_BYTES)
		return 0;
	len = agent_get32(s->in);
	if (len > AGENT_DATA_MAX)
		return -EPROTO;
	if (s->in_len < AGENT_HEADER_BYTES + len)
		return 0;
	s->used = AGENT_HEADER_BYTES + len;
	*ret = (struct agent_frame){
		.type = agent_get32(s->in + 4),
		.data = s->in + AGENT_HEADER_BYTES,
		.len = len,
	};
	return 1;
}

bool agent_record_add(struct agent_records *r, const char *key, const char *value)
{
	const size_t room = sizeof(r->buf) - r->len;
	const int n = snprintf(r->buf + r->len, room, "%s=%s", key, value);

	if (n < 0 || (size_t)n >= room)
		return false;
	r->len += (size_t)n + 1;
	return true;
}

bool agent_record_add_u32(struct agent_records *r, const char *key, uint32_t value)
{
	char number[16];

	snprintf(number, sizeof(number), "%lu", (unsigned long)value);
	return agent_record_add(r, key, number);
}

int agent_record_next(const struct agent_frame *frame, size_t *at, char key[16], const char **value)
{
	const char *record = (const char *)frame->data + *at;
	const size_t left = frame->len - *at;
	const char *end, *equals;

	if (left == 0)
		return 0;
	end = memchr(record, '\0', left);
	equals = end ? memchr(record, '=', (size_t)(end - record)) : NULL;
	if (!equals || equals == record || equals - record >= 16)
		return -EPROTO;
	memcpy(key, record, (size_t)(equals - record));
	key[equals - record] = '\0';
	*value = equals + 1;
	*at += (size_t)(end + 1 - record);
	return 1;
}

bool agent_record_u32(const char *value, uint32_t *ret)
{
	uint64_t n = 0;

	if (*value == '\0')
		return false;
	for (; *value; value++) {
		if (*value < '0' || *value > '9')
			return false;
		n = n * 10 + (unsigned)(*value - '0');
		if (n > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)n;
	return true;
}

static uint32_t crc_table[256];

static void crc_table_make(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t entry = i;

		for (unsigned bit = 0; bit < 8; bit++)
			entry = entry >> 1 ^ (entry & 1 ? 0x82f63b78U : 0);
		crc_table[i] = entry;
	}
}

uint32_t agent_crc32c(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	if (crc_table[1] == 0)
		crc_table_make();
	crc = ~crc;
	while (len-- > 0)
		crc = crc >> 8 ^ crc_table[(crc ^ *p++) & 0xff];
	return ~crc;
}
