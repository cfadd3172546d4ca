/* unpack.c - what decompressors share: magic numbers, the bounded output, the stream loop. */
#include "boot/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/macros.h"

#ifdef TOLLGATE_HAVE_ZLIB
#define RUN_GZIP unpack_gzip
#else
#define RUN_GZIP NULL
#endif
#ifdef TOLLGATE_HAVE_BZIP2
#define RUN_BZIP2 unpack_bzip2
#else
#define RUN_BZIP2 NULL
#endif
#ifdef TOLLGATE_HAVE_LZMA
#define RUN_XZ   unpack_xz
#define RUN_LZMA unpack_lzma
#else
#define RUN_XZ   NULL
#define RUN_LZMA NULL
#endif
#ifdef TOLLGATE_HAVE_LZ4
#define RUN_LZ4_LEGACY unpack_lz4_legacy
#define RUN_LZ4        unpack_lz4
#else
#define RUN_LZ4_LEGACY NULL
#define RUN_LZ4        NULL
#endif
#ifdef TOLLGATE_HAVE_ZSTD
#define RUN_ZSTD unpack_zstd
#else
#define RUN_ZSTD NULL
#endif

enum {
	MAGIC_MAX = 6,
	CAP_FIRST = 64 << 10,
	HUGE_PAGE = 2 << 20,
	SKIP_HEADER = 8,   /* of a frame to be skipped: magic number and size */
	SIZE_APPENDED = 4, /* by Linux's build, to what it packs; no stream is as short */
};

/* The lower half of the first byte is free. */
static const uint8_t SKIP_MAGIC[4] = {0x50, 0x2a, 0x4d, 0x18};

/* Linux: lib/decompress.c and scripts/Makefile.lib; lz4's second one is what its tool writes. */
static const struct {
	uint8_t magic[MAGIC_MAX];
	uint8_t magic_len;
	struct unpack_codec codec;
} table[] = {
	{{0x1f, 0x8b}, 2, {"gzip", "zlib", RUN_GZIP}},
	{{'B', 'Z', 'h'}, 3, {"bzip2", "libbz2", RUN_BZIP2}},
	{{0xfd, '7', 'z', 'X', 'Z', 0}, 6, {"xz", "liblzma", RUN_XZ}},
	{{0x5d, 0, 0}, 3, {"lzma", "liblzma", RUN_LZMA}},
	{{0x02, 0x21, 0x4c, 0x18}, 4, {"lz4", "liblz4", RUN_LZ4_LEGACY}},
	{{0x04, 0x22, 0x4d, 0x18}, 4, {"lz4", "liblz4", RUN_LZ4}},
	{{0x28, 0xb5, 0x2f, 0xfd}, 4, {"zstd", "libzstd", RUN_ZSTD}},
};

static const struct unpack_codec *magic_find(const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (len >= table[i].magic_len &&
		    memcmp(in, table[i].magic, table[i].magic_len) == 0)
			return &table[i].codec;
	return NULL;
}

/*
 * Length of the padding between streams: zeros after those of .xz, in fours (2.2, "Stream Padding"),
 * and frames to be skipped of lz4 and zstd, which pzstd begins its files with (RFC 8878, 3.1.2).
 */
static size_t padding_len(const uint8_t *in, size_t len)
{
	static const uint8_t zeros[4];
	size_t at = 0;

	while (len - at >= sizeof(zeros) && memcmp(in + at, zeros, sizeof(zeros)) == 0)
		at += sizeof(zeros);
	while (len - at >= SKIP_HEADER && (in[at] & 0xf0) == SKIP_MAGIC[0] &&
	       memcmp(in + at + 1, SKIP_MAGIC + 1, 3) == 0) {
		const uint64_t size = (uint64_t)in[at + 4] | (uint64_t)in[at + 5] << 8 |
				      (uint64_t)in[at + 6] << 16 | (uint64_t)in[at + 7] << 24;

		if (size > len - at - SKIP_HEADER)
			break;
		at += SKIP_HEADER + (size_t)size;
	}
	return at;
}

const struct unpack_codec *unpack_detect(const uint8_t *in, size_t len)
{
	const struct unpack_codec *codec = magic_find(in, len);
	size_t padding;

	if (codec || len < SKIP_HEADER || (in[0] & 0xf0) != SKIP_MAGIC[0])
		return codec;
	padding = padding_len(in, len);
	return padding ? magic_find(in + padding, len - padding) : NULL;
}

/* Page faults on a fresh buffer cost as much as lz4 itself; huge pages halve the whole. */
static uint8_t *alloc_huge(size_t len)
{
	const size_t rounded = (len + HUGE_PAGE - 1) & ~((size_t)HUGE_PAGE - 1);
	uint8_t *buf = aligned_alloc(HUGE_PAGE, rounded);

	if (buf)
		madvise(buf, rounded, MADV_HUGEPAGE); /* advice: a host without it is slower */
	return buf;
}

static void unpack_release(struct unpack *u)
{
	if (u->buf != u->room)
		free(u->buf);
}

static int unpack_grow(struct unpack *u, size_t cap)
{
	uint8_t *buf = cap < HUGE_PAGE ? malloc(cap) : alloc_huge(cap);

	if (!buf)
		return -ENOMEM;
	if (u->len)
		memcpy(buf, u->buf, u->len);
	unpack_release(u);
	u->buf = buf;
	u->cap = cap;
	return 0;
}

/* Not for thrift alone: a reader that runs past the end is then caught by the tools. */
static int trim(struct unpack *u)
{
	uint8_t *buf;

	if (u->buf == u->room)
		return 0;
	buf = realloc(u->buf, u->len ? u->len : 1);
	if (!buf)
		return -ENOMEM;
	u->buf = buf;
	return 0;
}

int unpack_room(struct unpack *u, size_t want)
{
	const size_t cap_max = u->max + UNPACK_SLACK;
	size_t cap = u->cap;

	if (u->len > u->max)
		return -EFBIG;
	if (u->cap - u->len >= want)
		return 0;
	cap = cap <= cap_max / 2 ? cap * 2 : cap_max;
	if (cap < u->len + want)
		cap = u->len + want; /* len <= max, want <= slack: at most cap_max */
	return unpack_grow(u, cap);
}

int unpack_stream(struct unpack *u, int (*step)(void *state, struct unpack_io *io), void *state)
{
	size_t in_pos = 0;

	for (;;) {
		struct unpack_io io;
		size_t in_given, out_given;
		int r = unpack_room(u, 1);

		if (r < 0)
			return r;
		in_given = u->in_len - in_pos < UNPACK_IO_MAX ? u->in_len - in_pos : UNPACK_IO_MAX;
		out_given = u->cap - u->len < UNPACK_IO_MAX ? u->cap - u->len : UNPACK_IO_MAX;
		io = (struct unpack_io){
			.in = u->in + in_pos,
			.in_len = in_given,
			.out = u->buf + u->len,
			.out_len = out_given,
		};
		r = step(state, &io);
		if (r < 0)
			return r;
		in_pos += in_given - io.in_len;
		u->len += out_given - io.out_len;
		if (r == UNPACK_END) {
			u->in_used = in_pos;
			return 0;
		}
		/* A decoder that neither eats nor yields never will again. */
		if (io.in_len == in_given && io.out_len == out_given)
			return in_given == 0 ? -ENODATA : -EBADMSG;
	}
}

/* The stream after the one that was decompressed, if it is of the same format; moves in to it. */
static const struct unpack_codec *next_stream(struct unpack *u, const struct unpack_codec *codec)
{
	const struct unpack_codec *next;
	size_t padding;

	u->in += u->in_used;
	u->in_len -= u->in_used;
	padding = padding_len(u->in, u->in_len);
	u->in += padding;
	u->in_len -= padding;
	next = u->in_len > SIZE_APPENDED ? magic_find(u->in, u->in_len) : NULL;
	return next && strcmp(next->name, codec->name) == 0 ? next : NULL;
}

static int run_streams(struct unpack *u, const struct unpack_codec *codec)
{
	const size_t padding = padding_len(u->in, u->in_len);
	int r = 0;

	u->in += padding;
	u->in_len -= padding;
	while (r == 0 && codec) {
		r = codec->run(u);
		if (r == 0 && u->len > u->max)
			r = -EFBIG;
		if (r == 0)
			codec = next_stream(u, codec);
	}
	return r;
}

/* Slack after the hint, so that a decoder has room to see the end of a stream that fits. */
static int unpack_begin(struct unpack *u, const struct unpack_opts *opts)
{
	const size_t hint = opts->hint <= u->max ? opts->hint : 0;
	const size_t cap_max = u->max + UNPACK_SLACK;

	if (!u->room || opts->room_len == 0 || opts->room_len < hint)
		return unpack_grow(u, hint ? hint + UNPACK_SLACK : CAP_FIRST);
	u->buf = u->room;
	u->cap = opts->room_len < cap_max ? opts->room_len : cap_max;
	return 0;
}

int unpack_run(const struct unpack_codec *codec, const uint8_t *in, size_t in_len,
	       const struct unpack_opts *opts, uint8_t **ret, size_t *ret_len)
{
	struct unpack u = {
		.in = in,
		.in_len = in_len,
		.room = opts->room,
		.max = opts->max < SIZE_MAX / 2 ? opts->max : SIZE_MAX / 2,
	};
	int r;

	if (!codec->run)
		return -ENOTSUP;
	r = unpack_begin(&u, opts);
	if (r == 0)
		r = run_streams(&u, codec);
	if (r == 0)
		r = trim(&u);
	if (r < 0) {
		unpack_release(&u);
		return r;
	}
	*ret = u.buf;
	*ret_len = u.len;
	return 0;
}
