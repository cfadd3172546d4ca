/* gzip.c - gzip (RFC 1952) through zlib. */
#include <errno.h>
#include <stdint.h>
#include <zlib.h>

#include "boot/unpack.h"

enum { GZIP_ONLY = 16 + MAX_WBITS }; /* zlib.h, inflateInit2(): 16 asks for a gzip header */

static int gzip_step(void *state, struct unpack_io *io)
{
	z_stream *z = state;
	int r;

	z->next_in =
		(z_const Bytef *)(uintptr_t)io->in; /* zlib reads it; its type predates const */
	z->avail_in = (uInt)io->in_len;
	z->next_out = io->out;
	z->avail_out = (uInt)io->out_len;
	r = inflate(z, Z_NO_FLUSH);
	io->in_len = z->avail_in;
	io->out_len = z->avail_out;
	switch (r) {
	case Z_STREAM_END: return UNPACK_END;
	case Z_OK:
	case Z_BUF_ERROR: return UNPACK_MORE; /* no progress: unpack_stream() sees it */
	case Z_MEM_ERROR: return -ENOMEM;
	default: return -EBADMSG;
	}
}

int unpack_gzip(struct unpack *u)
{
	z_stream z = {0};
	int r = inflateInit2(&z, GZIP_ONLY);

	if (r != Z_OK)
		return -ENOMEM;
	r = unpack_stream(u, gzip_step, &z);
	inflateEnd(&z);
	return r;
}
