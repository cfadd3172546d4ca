#include "base/byte_writer.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"

/* Room for n bytes at the end, or NULL. A full writer stays full, even for what would fit. */
static uint8_t *claim(struct byte_writer *w, size_t n)
{
	uint8_t *at = w->buf + w->len;

	if (w->full || n > w->cap - w->len) {
		w->full = true;
		return NULL;
	}
	w->len += n;
	return at;
}

static void put_le(uint8_t *at, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static void append_le(struct byte_writer *w, uint64_t v, size_t n)
{
	uint8_t *at = claim(w, n);

	if (at)
		put_le(at, v, n);
}

void byte_writer_u8(struct byte_writer *w, uint8_t v)
{
	append_le(w, v, 1);
}

void byte_writer_u16(struct byte_writer *w, uint16_t v)
{
	append_le(w, v, 2);
}

void byte_writer_u32(struct byte_writer *w, uint32_t v)
{
	append_le(w, v, 4);
}

void byte_writer_u64(struct byte_writer *w, uint64_t v)
{
	append_le(w, v, 8);
}

void byte_writer_zeros(struct byte_writer *w, size_t n)
{
	uint8_t *at = claim(w, n);

	if (at)
		memset(at, 0, n);
}

void byte_writer_bytes(struct byte_writer *w, const void *bytes, size_t n)
{
	uint8_t *at = claim(w, n);

	if (at)
		memcpy(at, bytes, n);
}

void byte_writer_text(struct byte_writer *w, const char *s, size_t width, char fill)
{
	const size_t n = strlen(s);

	assert(n <= width);
	byte_writer_bytes(w, s, n);
	for (size_t i = n; i < width; i++)
		byte_writer_u8(w, (uint8_t)fill);
}

void byte_writer_align(struct byte_writer *w, size_t align)
{
	byte_writer_zeros(w, -w->len & (align - 1));
}

void byte_writer_insert(struct byte_writer *w, size_t at, const void *bytes, size_t n)
{
	const size_t tail = w->len - at;

	assert(at <= w->len);
	if (!claim(w, n))
		return;
	memmove(w->buf + at + n, w->buf + at, tail);
	memcpy(w->buf + at, bytes, n);
}

static void patch_le(struct byte_writer *w, size_t at, uint64_t v, size_t n)
{
	if (w->full)
		return;
	assert(u64_range_within(at, n, w->len));
	put_le(w->buf + at, v, n);
}

void byte_writer_patch_u8(struct byte_writer *w, size_t at, uint8_t v)
{
	patch_le(w, at, v, 1);
}

void byte_writer_patch_u16(struct byte_writer *w, size_t at, uint16_t v)
{
	patch_le(w, at, v, 2);
}

void byte_writer_patch_u32(struct byte_writer *w, size_t at, uint32_t v)
{
	patch_le(w, at, v, 4);
}

uint8_t byte_writer_checksum(const struct byte_writer *w, size_t first, size_t len)
{
	unsigned sum = 0;

	if (w->full)
		return 0;
	assert(u64_range_within(first, len, w->len));
	for (size_t i = 0; i < len; i++)
		sum += w->buf[first + i];
	return (uint8_t)-sum;
}
