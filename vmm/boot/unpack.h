/*
 * unpack.h - decompression of kernels in memory, each format through its own library. The input
 * is not trusted: output is bounded by the caller, working memory by UNPACK_WORK_MAX, and no length
 * that the data states of itself is believed.
 */
#ifndef VMM_BOOT_UNPACK_H
#define VMM_BOOT_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A dictionary of 128 MiB, the largest Linux packs itself with, needs a little more than that. */
#define UNPACK_WORK_MAX (UINT64_C(256) << 20)

struct unpack_opts {
	size_t hint; /* the likely output size, 0: unknown. Saves copying; nothing else depends on it */
	size_t max;    /* bytes of output, at most */
	uint8_t *room; /* where to put it if it fits; it may all be written to. NULL: nowhere */
	size_t room_len;
};

/* One decompression; unpack.c owns buf until unpack_run() hands it out. */
struct unpack {
	const uint8_t *in; /* one stream of what is decompressed, and all that follows it */
	size_t in_len;
	size_t in_used;      /* bytes of the stream, set by the codec's run */
	uint8_t *buf;        /* malloc'ed, unless it is: */
	uint8_t *const room; /* the caller's, or NULL */
	size_t len;          /* bytes of output so far; the run fails once they exceed max */
	size_t cap;          /* bytes buf has room for: max + UNPACK_SLACK at most */
	size_t max;
};

/* Room past the limit, so that a block of the largest kind is decoded before it is judged. */
#define UNPACK_SLACK ((size_t)8 << 20)

struct unpack_codec {
	const char *name;    /* "gzip" */
	const char *library; /* "zlib": what a build without it lacks */
	/* Appends what one stream decompresses to. NULL: built without; errors as of unpack_run(). */
	int (*run)(struct unpack *u);
};

/* The compression a file begins with, recognised by its magic number, or NULL. */
const struct unpack_codec *unpack_detect(const uint8_t *in, size_t len);

/*
 * Decompresses the streams or frames that in begins with, as each format's own tool does for files that
 * were put one after the other. Bytes after them are ignored, as Linux ignores the size that its
 * build appends. On success *ret is opts->room, or malloc'ed and the caller's.
 * -EFBIG: more than max bytes; -ENODATA: ends too early; -EBADMSG: corrupt; -ENOBUFS: needs more
 * than UNPACK_WORK_MAX to decode; -ENOTSUP: codec->run is NULL; -ENOMEM.
 */
int unpack_run(const struct unpack_codec *codec, const uint8_t *in, size_t in_len,
	       const struct unpack_opts *opts, uint8_t **ret, size_t *ret_len);

/* For the codecs: makes room for want more bytes (at most UNPACK_SLACK). -EFBIG, -ENOMEM. */
int unpack_room(struct unpack *u, size_t want);

/* The windows one step of a streaming decoder works on; the step moves and shrinks them. */
struct unpack_io {
	const uint8_t *in;
	size_t in_len; /* at most UNPACK_IO_MAX: fits every library's counters */
	uint8_t *out;
	size_t out_len; /* likewise; at least 1 */
};

#define UNPACK_IO_MAX ((size_t)1 << 30)

enum unpack_step { UNPACK_MORE, UNPACK_END };

/* Runs step to the end of the stream and sets in_used. A step returns an unpack_step or an error of unpack_run(). */
int unpack_stream(struct unpack *u, int (*step)(void *state, struct unpack_io *io), void *state);

int unpack_gzip(struct unpack *u);
int unpack_bzip2(struct unpack *u);
int unpack_xz(struct unpack *u);
int unpack_lzma(struct unpack *u);
int unpack_lz4_legacy(struct unpack *u);
int unpack_lz4(struct unpack *u);
int unpack_zstd(struct unpack *u);

#endif
