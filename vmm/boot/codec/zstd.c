/*
 * zstd.c - Zstandard (RFC 8878) through libzstd. A frame in one piece, for the output is then its
 * own window: Linux packs with one of 128 MiB, which a streaming decoder would allocate besides.
 */
#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "boot/unpack.h"

/* Output too small: starting over with twice the room costs less in sum than the last try. */
static int zstd_decode(struct unpack *u, ZSTD_DCtx *ctx, size_t frame_len)
{
	const size_t before = u->len;

	for (;;) {
		const size_t n = ZSTD_decompressDCtx(ctx, u->buf + before, u->cap - before, u->in,
						     frame_len);
		int r;

		if (!ZSTD_isError(n)) {
			u->len = before + n;
			u->in_used = frame_len;
			return 0;
		}
		if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
			return -ENOMEM;
		if (ZSTD_getErrorCode(n) != ZSTD_error_dstSize_tooSmall)
			return -EBADMSG;
		u->len = u->cap;
		r = unpack_room(u, 1);
		u->len = before;
		if (r < 0)
			return r;
	}
}

int unpack_zstd(struct unpack *u)
{
	const size_t frame_len = ZSTD_findFrameCompressedSize(u->in, u->in_len);
	ZSTD_DCtx *ctx;
	int r;

	if (ZSTD_isError(frame_len))
		return ZSTD_getErrorCode(frame_len) == ZSTD_error_srcSize_wrong ? -ENODATA
										: -EBADMSG;
	ctx = ZSTD_createDCtx();
	if (!ctx)
		return -ENOMEM;
	r = zstd_decode(u, ctx, frame_len);
	ZSTD_freeDCtx(ctx);
	return r;
}
