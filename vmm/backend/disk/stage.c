/*
 * stage.c - transfers through an aligned buffer: O_DIRECT wants buffers, offsets and lengths
 * aligned, and a guest need not align any of them; and zeros where they have to be written.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/disk/raw.h"
#include "base/iov.h"
#include "base/macros.h"

/* Of one buffer, and with it the memory that DISK_REQUESTS_MAX such requests take: 16 MiB. */
enum { STAGING_BYTES = 128 * 1024 };

bool disk_stage_needed(const struct disk_file *file, const struct disk_request *rq)
{
	const uint64_t off_mask = (uint64_t)file->dio_off_align - 1;
	const uintptr_t mem_mask = (uintptr_t)file->dio_mem_align - 1;

	if (!file->direct)
		return false;
	if ((rq->off + rq->raw.pos) & off_mask || (rq->off + rq->len) & off_mask)
		return true;
	for (unsigned i = 0; i < rq->nr_iov; i++)
		if ((uintptr_t)rq->iov[i].iov_base & mem_mask || rq->iov[i].iov_len & off_mask)
			return true;
	return false;
}

static struct disk_request *stage_request_of(struct disk_io *io)
{
	return container_of(io, struct disk_request, raw.io);
}

/* The bytes of the request that are in the buffer now: where there, and how many. */
static size_t part_skip(const struct disk_request *rq)
{
	return (size_t)(rq->off + rq->raw.pos - rq->raw.staged_off);
}

static size_t part_bytes(const struct disk_request *rq)
{
	const size_t room = rq->raw.staged_bytes - part_skip(rq);
	const uint64_t left = rq->len - rq->raw.pos;

	return left < room ? (size_t)left : room;
}

static void staged_io(struct disk_request *rq, enum disk_io_op op,
		      void (*done)(struct disk_io *io, ssize_t res))
{
	struct disk_io *io = &rq->raw.io;

	rq->raw.staged_iov = (struct iovec){
		.iov_base = rq->raw.staging,
		.iov_len = rq->raw.staged_bytes,
	};
	io->op = op;
	io->now = DISK_IO_LATER;
	io->off = rq->raw.staged_off;
	io->iov = &rq->raw.staged_iov;
	io->nr_iov = 1;
	io->done = done;
	disk_engine_start(rq->raw.disk->engine, io);
}

/* How many bytes of the part a call has dealt with that did res bytes of the buffer. */
static ssize_t part_of(const struct disk_request *rq, ssize_t res)
{
	const size_t skip = part_skip(rq), bytes = part_bytes(rq);

	if (res < 0)
		return res;
	if ((size_t)res <= skip)
		return 0;
	return (ssize_t)((size_t)res - skip < bytes ? (size_t)res - skip : bytes);
}

/* The pieces hold all of a request: fewer bytes would leave another request's in the buffer. */
static void stage_fill(const struct disk_request *rq, uint8_t *to)
{
	const size_t n = iov_read(rq->iov, rq->nr_iov, 0, to, part_bytes(rq));

	assert(n == part_bytes(rq));
}

static void stage_empty(const struct disk_request *rq, size_t bytes)
{
	const size_t n = iov_write(rq->iov, rq->nr_iov, 0, rq->raw.staging + part_skip(rq), bytes);

	assert(n == bytes);
}

static void stage_read_done(struct disk_io *io, ssize_t res)
{
	struct disk_request *rq = stage_request_of(io);
	const ssize_t n = part_of(rq, res);

	if (n > 0)
		stage_empty(rq, (size_t)n);
	rq->raw.part_done(rq, n);
}

static void stage_write_done(struct disk_io *io, ssize_t res)
{
	struct disk_request *rq = stage_request_of(io);

	rq->raw.part_done(rq, part_of(rq, res));
}

static void stage_write_part(struct disk_request *rq)
{
	uint8_t *to = rq->raw.staging + part_skip(rq);

	if (rq->op == DISK_ZERO)
		memset(to, 0, part_bytes(rq));
	else
		stage_fill(rq, to);
	staged_io(rq, DISK_IO_WRITE, stage_write_done);
}

/* The blocks around the part are in the buffer. */
static void around_done(struct disk_io *io, ssize_t res)
{
	struct disk_request *rq = stage_request_of(io);

	if (res < 0) {
		rq->raw.part_done(rq, res);
		return;
	}
	/* A short read counts up to its last whole block. */
	rq->raw.staged_bytes = (size_t)res & ~((size_t)rq->raw.staged_align - 1);
	if (rq->raw.staged_bytes <= part_skip(rq))
		rq->raw.part_done(rq, 0);
	else
		stage_write_part(rq);
}

static void no_memory_done(struct disk_io *io, ssize_t res)
{
	struct disk_request *rq = stage_request_of(io);

	rq->raw.part_done(rq, res);
}

void disk_stage_start(const struct disk_file *file, struct disk_request *rq,
		      void (*part_done)(struct disk_request *rq, ssize_t res))
{
	const uint32_t align = file->direct ? file->dio_off_align : DISK_SECTOR_BYTES;
	const uint64_t at = rq->off + rq->raw.pos, end = rq->off + rq->len;
	uint64_t first = at & ~(uint64_t)(align - 1),
		 last = (end + align - 1) & ~(uint64_t)(align - 1);

	rq->raw.part_done = part_done;
	if (last - first > STAGING_BYTES)
		last = first + STAGING_BYTES;
	rq->raw.staged_off = first;
	rq->raw.staged_bytes = (size_t)(last - first);
	rq->raw.staged_align = align;
	rq->raw.io.fd = file->fd;
	if (!rq->raw.staging)
		rq->raw.staging = aligned_alloc(file->dio_mem_align, STAGING_BYTES);
	if (!rq->raw.staging) {
		rq->raw.io.done = no_memory_done;
		disk_engine_post(rq->raw.disk->engine, &rq->raw.io, -ENOMEM);
	} else if (rq->op == DISK_READ) {
		staged_io(rq, DISK_IO_READ, stage_read_done);
	} else if (at == first && last <= end) {
		stage_write_part(rq);
	} else {
		staged_io(rq, DISK_IO_READ, around_done);
	}
}
