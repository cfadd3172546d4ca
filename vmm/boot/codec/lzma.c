/* lzma.c - .xz (file format 1.1.0) and the older .lzma through liblzma. */
#include <errno.h>
#include <lzma.h>

#include "boot/unpack.h"

static int lzma_step(void *state, struct unpack_io *io)
{
	lzma_stream *lz = state;
	lzma_ret r;

	lz->next_in = io->in;
	lz->avail_in = io->in_len;
	lz->next_out = io->out;
	lz->avail_out = io->out_len;
	r = lzma_code(lz, LZMA_RUN);
	io->in_len = lz->avail_in;
	io->out_len = lz->avail_out;
	switch (r) {
	case LZMA_STREAM_END: return UNPACK_END;
	case LZMA_OK:
	case LZMA_BUF_ERROR: return UNPACK_MORE; /* no progress: unpack_stream() sees it */
	case LZMA_MEM_ERROR: return -ENOMEM;
	case LZMA_MEMLIMIT_ERROR: return -ENOBUFS;
	default: return -EBADMSG;
	}
}

static int lzma_run(struct unpack *u, lzma_stream *lz, lzma_ret started)
{
	int r = started == LZMA_OK ? unpack_stream(u, lzma_step, lz) : -ENOMEM;

	lzma_end(lz);
	return r;
}

int unpack_xz(struct unpack *u)
{
	lzma_stream lz = LZMA_STREAM_INIT;
	const lzma_ret r = lzma_stream_decoder(&lz, UNPACK_WORK_MAX, 0);

	return lzma_run(u, &lz, r);
}

int unpack_lzma(struct unpack *u)
{
	lzma_stream lz = LZMA_STREAM_INIT;
	const lzma_ret r = lzma_alone_decoder(&lz, UNPACK_WORK_MAX);

	return lzma_run(u, &lz, r);
}
