/* bzip2.c - bzip2 through libbz2. */
#include <bzlib.h>
#include <errno.h>
#include <stdint.h>

#include "boot/unpack.h"

static int bzip2_step(void *state, struct unpack_io *io)
{
	bz_stream *bz = state;
	int r;

	bz->next_in = (char *)(uintptr_t)io->in; /* libbz2 reads it; its type lacks const */
	bz->avail_in = (unsigned)io->in_len;
	bz->next_out = (char *)io->out;
	bz->avail_out = (unsigned)io->out_len;
	r = BZ2_bzDecompress(bz);
	io->in_len = bz->avail_in;
	io->out_len = bz->avail_out;
	switch (r) {
	case BZ_STREAM_END: return UNPACK_END;
	case BZ_OK: return UNPACK_MORE;
	case BZ_MEM_ERROR: return -ENOMEM;
	default: return -EBADMSG;
	}
}

int unpack_bzip2(struct unpack *u)
{
	bz_stream bz = {0};
	int r = BZ2_bzDecompressInit(&bz, 0, 0);

	if (r != BZ_OK)
		return -ENOMEM;
	r = unpack_stream(u, bzip2_step, &bz);
	BZ2_bzDecompressEnd(&bz);
	return r;
}
