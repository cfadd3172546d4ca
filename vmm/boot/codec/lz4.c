/*
 * lz4.c - LZ4 through liblz4: the legacy frame Linux packs itself with, and the frame the
 * lz4 tool writes by default (lz4_Frame_format.md).
 */
#include <endian.h>
#include <errno.h>
#include <lz4.h>
#include <lz4frame.h>
#include <string.h>

#include "boot/unpack.h"

enum {
	LEGACY_MAGIC = 0x184c2102,
	FRAME_MAGIC = 0x184d2204,
	SKIP_MAGIC = 0x184d2a50, /* and the next 15 */
	LEGACY_BLOCK = 8 << 20,  /* every block but the last one unpacks to this */
	RATIO_MAX = 255,         /* a byte of a match length adds no more (lz4_Block_format.md) */
};

static uint32_t get_le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static int legacy_block(struct unpack *u, const uint8_t *in, uint32_t in_len)
{
	int n, r, room = LEGACY_BLOCK;

	if (in_len == 0 || in_len > LZ4_COMPRESSBOUND(LEGACY_BLOCK))
		return -EBADMSG;
	if (in_len < LEGACY_BLOCK / RATIO_MAX)
		room = (int)in_len * RATIO_MAX;
	r = unpack_room(u, (size_t)room);
	if (r < 0)
		return r;
	n = LZ4_decompress_safe((const char *)in, (char *)u->buf + u->len, (int)in_len, room);
	if (n < 0)
		return -EBADMSG;
	u->len += (size_t)n;
	return 0;
}

/*
 * Blocks follow each other until the input ends; nothing marks the last one. Four bytes at the end
 * are not a block, for the length alone takes four: they are the size that Linux's build appends.
 */
int unpack_lz4_legacy(struct unpack *u)
{
	const uint8_t *in = u->in;
	size_t left = u->in_len;

	while (left > 4) {
		const uint32_t len = get_le32(in);
		int r;

		in += 4;
		left -= 4;
		if (len == LEGACY_MAGIC) /* at the start, and where frames were concatenated */
			continue;
		if (len == FRAME_MAGIC || (len & ~UINT32_C(15)) == SKIP_MAGIC) {
			u->in_used = u->in_len - left - 4; /* no block is that long */
			return 0;
		}
		if (len > left)
			return len > LZ4_COMPRESSBOUND(LEGACY_BLOCK) ? -EBADMSG : -ENODATA;
		r = legacy_block(u, in, len);
		if (r < 0)
			return r;
		in += len;
		left -= len;
	}
	u->in_used = u->in_len;
	return left == 0 || left == 4 ? 0 : -ENODATA;
}

static int lz4_step(void *state, struct unpack_io *io)
{
	size_t in_len = io->in_len, out_len = io->out_len;
	const size_t want = LZ4F_decompress(state, io->out, &out_len, io->in, &in_len, NULL);

	if (LZ4F_isError(want))
		return -EBADMSG;
	io->in_len -= in_len;
	io->out_len -= out_len;
	return want == 0 ? UNPACK_END : UNPACK_MORE;
}

int unpack_lz4(struct unpack *u)
{
	LZ4F_dctx *ctx;
	int r;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
		return -ENOMEM;
	r = unpack_stream(u, lz4_step, ctx);
	LZ4F_freeDecompressionContext(ctx);
	return r;
}
