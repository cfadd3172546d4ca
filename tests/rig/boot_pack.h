/* boot_pack.h - packs bytes the way kernels are packed, with every library this build has. */
#ifndef TESTS_BOOT_PACK_H
#define TESTS_BOOT_PACK_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef TOLLGATE_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef TOLLGATE_HAVE_BZIP2
#include <bzlib.h>
#endif
#ifdef TOLLGATE_HAVE_LZMA
#include <lzma.h>
#endif
#ifdef TOLLGATE_HAVE_LZ4
#include <lz4.h>
#include <lz4frame.h>
#endif
#ifdef TOLLGATE_HAVE_ZSTD
#include <zstd.h>
#endif

/* Each returns the length of out, or 0 on failure. out has room for PACK_BOUND(in_len). */
typedef size_t pack_fn(const uint8_t *in, size_t in_len, uint8_t *out, size_t cap);

#define PACK_BOUND(len) ((len) + (len) / 8 + 4096)

#ifdef TOLLGATE_HAVE_ZLIB
static inline size_t pack_gzip(const uint8_t *in, size_t in_len, uint8_t *out, size_t cap)
{
	z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)in,
		      .avail_in = (uInt)in_len,
		      .next_out = out,
		      .avail_out = (uInt)cap};
	int r;

	if (deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	r = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return r == Z_STREAM_END ? z.total_out : 0;
}
#endif

#ifdef TOLLGATE_HAVE_BZIP2
static inline size_t pack_bzip2(const uint8_t *in, size_t in_len, uint8_t *out, size_t cap)
{
	unsigned n = (unsigned)cap;

	return BZ2_bzBuffToBuffCompress((char *)out, &n, (char *)(uintptr_t)in, (unsigned)in_len, 1,
					0, 0) == BZ_OK
		       ? n
		       : 0;
}
#endif

#ifdef TOLLGATE_HAVE_LZMA
static inline size_t pack_xz(const uint8_t *in, size_t in_len, uint8_t *out, size_t cap)
{
	size_t n = 0;

	return lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, in, in_len, out, &n, cap) ==
			       LZMA_OK
		       ? n
		       : 0;
}

static inline size_t pack_lzma(const uint8_t *in, size_t in_len, uint8_t *out, size_t cap)
{
	lzma_stream lz = LZMA_STREAM_INIT;
	lzma_options_lzma opts;
	lzma_ret r;

	if (lzma_lzma_preset(&opts, 1) || lzma_alone_encoder(&lz, &opts) != LZMA_OK)
		return 0;
	lz.next_in = in;
	lz.avail_in = in_len;
	lz.next_out = out;
	lz.avail_out = cap;
	r = lzma_code(&lz, LZMA_FINISH);
	lzma_end(&lz);
	return r == LZMA_STREAM_END ? (size_t)lz.total_out : 0;
}
#endif

#ifdef TOLLGATE_HAVE_LZ4
/* As "lz4 -l": the magic number, then blocks of 8 MiB, each after its length. */
static inline size_t pack_lz4_legacy(const uint8_t *in, size_t in_len, uint8_t *out, size_t cap)
{
	const uint32_t magic = 0x184c2102;
	const size_t block = 8 << 20;
	size_t n = sizeof(magic);

	memcpy(out, &magic, sizeof(magic));
	for (size_t at = 0; at < in_len; at += block) {
		const size_t len = in_len - at < block ? in_len - at : block;
		const int packed = LZ4_compress_default((const char *)in + at, (char *)out + n + 4,
							(int)len, (int)(cap - n - 4));
		const uint32_t packed_len = (uint32_t)packed;

		if (packed <= 0)
			return 0;
		memcpy(out + n, &packed_len, sizeof(packed_len));
		n += 4 + packed_len;
	}
	return n;
}

static inline size_t pack_lz4(const uint8_t *in, size_t in_len, uint8_t *out, size_t cap)
{
	const LZ4F_preferences_t prefs = {.frameInfo.contentChecksumFlag =
						  LZ4F_contentChecksumEnabled};
	const size_t n = LZ4F_compressFrame(out, cap, in, in_len, &prefs);

	return LZ4F_isError(n) ? 0 : n;
}
#endif

#ifdef TOLLGATE_HAVE_ZSTD
/* As from a pipe, which is how Linux packs itself: without the size in the frame header. */
static inline size_t pack_zstd(const uint8_t *in, size_t in_len, uint8_t *out, size_t cap)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t n;

	if (!ctx)
		return 0;
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(ctx, out, cap, in, in_len);
	ZSTD_freeCCtx(ctx);
	return ZSTD_isError(n) ? 0 : n;
}
#endif

struct packer {
	const char *codec; /* as unpack_codec.name */
	pack_fn *pack;
	int has_checksum; /* every changed byte of data is noticed */
};

/* Those of this build; the last one has no codec. */
static const struct packer packers[] = {
#ifdef TOLLGATE_HAVE_ZLIB
	{"gzip", pack_gzip, 1},
#endif
#ifdef TOLLGATE_HAVE_BZIP2
	{"bzip2", pack_bzip2, 1},
#endif
#ifdef TOLLGATE_HAVE_LZMA
	{"xz", pack_xz, 1},
	{"lzma", pack_lzma, 0},
#endif
#ifdef TOLLGATE_HAVE_LZ4
	{"lz4", pack_lz4_legacy, 0},
	{"lz4", pack_lz4, 1},
#endif
#ifdef TOLLGATE_HAVE_ZSTD
	{"zstd", pack_zstd, 1},
#endif
	{NULL, NULL, 0},
};

#endif
