/*
 * unpack_lzo.c - the container of lzop, blocks through liblzo2. Built only when asked for: liblzo2
 * is under the GPL, and so would be what links it.
 */
#include <errno.h>
#include <lzo/lzo1x.h>
#include <stdbool.h>
#include <string.h>

#include "boot/unpack.h"

/* Header flags of lzop. D: a checksum of a block's data; C: of its compressed form. */
enum {
	F_ADLER32_D = 0x1,
	F_ADLER32_C = 0x2,
	F_H_EXTRA_FIELD = 0x40,
	F_CRC32_D = 0x100,
	F_CRC32_C = 0x200,
	F_MULTIPART = 0x400,
	F_H_FILTER = 0x800,
	F_H_CRC32 = 0x1000,
};

enum {
	MAGIC_LEN = 9,
	VERSION_WITH_LEVEL = 0x940,
	BLOCK_MAX = UNPACK_SLACK, /* lzop writes 256 KiB */
};

/* Big-endian fields, read in order; short says that one was not there, and what is read is 0. */
struct reader {
	const uint8_t *in;
	size_t left;
	bool is_short;
};

static const uint8_t *take(struct reader *rd, size_t n)
{
	const uint8_t *p = rd->in;

	if (rd->is_short || n > rd->left) {
		rd->is_short = true;
		return NULL;
	}
	rd->in += n;
	rd->left -= n;
	return p;
}

static uint32_t get_be(struct reader *rd, unsigned bytes)
{
	const uint8_t *p = take(rd, bytes);
	uint32_t v = 0;

	for (unsigned i = 0; p && i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

/* The checksum at the end of the header covers what lies between it and the magic number. */
static bool header_holds(const struct unpack *u, const struct reader *rd, uint32_t flags,
			 uint32_t checksum)
{
	const uint8_t *at = u->in + MAGIC_LEN;
	const size_t len = (size_t)(rd->in - at) - sizeof(checksum);

	return checksum == (flags & F_H_CRC32 ? lzo_crc32(0, at, len) : lzo_adler32(1, at, len));
}

static int header(const struct unpack *u, struct reader *rd, uint32_t *ret_flags)
{
	uint32_t version, flags, checksum;

	take(rd, MAGIC_LEN);
	version = get_be(rd, 2);
	get_be(rd, 2); /* of the library */
	if (version >= VERSION_WITH_LEVEL)
		get_be(rd, 2); /* version needed to extract */
	get_be(rd, 1);         /* method: every one is decoded the same way */
	if (version >= VERSION_WITH_LEVEL)
		get_be(rd, 1); /* level */
	flags = get_be(rd, 4);
	if (flags & (F_H_FILTER | F_MULTIPART | F_H_EXTRA_FIELD))
		return -EBADMSG; /* nothing that packs kernels sets them */
	take(rd, 8);             /* mode, modification time */
	if (version >= VERSION_WITH_LEVEL)
		get_be(rd, 4);   /* its upper half */
	take(rd, get_be(rd, 1)); /* file name */
	checksum = get_be(rd, 4);
	if (rd->is_short)
		return -ENODATA;
	*ret_flags = flags;
	return header_holds(u, rd, flags, checksum) ? 0 : -EBADMSG;
}

static int block_data(struct unpack *u, const uint8_t *in, size_t in_len, size_t out_len)
{
	lzo_uint n = out_len;
	int r = unpack_room(u, out_len);

	if (r < 0)
		return r;
	if (in_len == out_len) /* stored: it did not shrink */
		memcpy(u->buf + u->len, in, in_len);
	else if (lzo1x_decompress_safe(in, in_len, u->buf + u->len, &n, NULL) != LZO_E_OK)
		return -EBADMSG;
	if (n != out_len)
		return -EBADMSG;
	u->len += n;
	return 0;
}

static bool checksums_hold(const struct unpack *u, size_t out_len, bool has_adler, uint32_t adler,
			   bool has_crc, uint32_t crc)
{
	const uint8_t *out = u->buf + u->len - out_len;

	return (!has_adler || lzo_adler32(1, out, out_len) == adler) &&
	       (!has_crc || lzo_crc32(0, out, out_len) == crc);
}

static int block(struct unpack *u, struct reader *rd, uint32_t flags, size_t out_len)
{
	const bool has_adler = flags & F_ADLER32_D, has_crc = flags & F_CRC32_D;
	const size_t in_len = get_be(rd, 4);
	uint32_t adler = 0, crc = 0;
	const uint8_t *in;
	int r;

	if (out_len > BLOCK_MAX || in_len > out_len)
		return -EBADMSG;
	if (has_adler)
		adler = get_be(rd, 4);
	if (has_crc)
		crc = get_be(rd, 4);
	if (in_len < out_len) /* stored blocks have no second checksum */
		take(rd, (flags & F_ADLER32_C ? 4u : 0u) + (flags & F_CRC32_C ? 4u : 0u));
	in = take(rd, in_len);
	if (!in)
		return -ENODATA;
	r = block_data(u, in, in_len, out_len);
	if (r < 0)
		return r;
	return checksums_hold(u, out_len, has_adler, adler, has_crc, crc) ? 0 : -EBADMSG;
}

int unpack_lzo(struct unpack *u)
{
	struct reader rd = {.in = u->in, .left = u->in_len};
	uint32_t flags = 0;
	int r = lzo_init() == LZO_E_OK ? header(u, &rd, &flags) : -ENOTSUP;

	while (r == 0) {
		const uint32_t out_len = get_be(&rd, 4); /* 0 ends the file */

		if (rd.is_short)
			return -ENODATA;
		if (out_len == 0)
			return 0;
		r = block(u, &rd, flags, out_len);
	}
	return r;
}
