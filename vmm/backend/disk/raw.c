/*
 * raw.c - a disk on one file descriptor. A request is one system call after the other until it is
 * done: what a short one left over, another way to zero where the host has not the first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/disk/raw.h"
#include "base/iov.h"
#include "base/macros.h"

struct disk_raw {
	struct disk disk;
	struct disk_file file;
	/*
	 * Of writes in units of dio_off_align, where that is more than a sector: one that changes part
	 * of a block reads and writes all of it, and nobody else may write to it meanwhile.
	 */
	struct disk_order order;
	bool in_order;
	bool no_discard; /* the host reported that it has none */
};

static struct disk_raw *raw_of(const struct disk_request *rq)
{
	return container_of(rq->raw.disk, struct disk_raw, disk);
}

static void transfer(struct disk_request *rq);

static void io_start(struct disk_request *rq, enum disk_io_op op,
		     void (*done)(struct disk_io *io, ssize_t res))
{
	struct disk_raw *raw = raw_of(rq);

	rq->raw.io.op = op;
	rq->raw.io.fd = raw->file.fd;
	rq->raw.io.now = DISK_IO_LATER;
	rq->raw.io.done = done;
	disk_engine_start(raw->disk.engine, &rq->raw.io);
}

static struct disk_request *raw_request_of(struct disk_io *io)
{
	return container_of(io, struct disk_request, raw.io);
}

static bool writes(const struct disk_request *rq)
{
	return rq->op == DISK_WRITE || rq->op == DISK_ZERO;
}

static void raw_end(struct disk_request *rq, ssize_t res)
{
	struct disk_raw *raw = raw_of(rq);

	free(rq->raw.staging);
	if (raw->in_order && writes(rq))
		disk_order_leave(&raw->order, &rq->raw.span);
	rq->done(rq, res < 0 ? (int)res : 0);
}

static void raw_end_done(struct disk_io *io, ssize_t res)
{
	raw_end(raw_request_of(io), res);
}

/* The bytes are where they belong. */
static void raw_written(struct disk_request *rq)
{
	if (rq->stable)
		io_start(rq, DISK_IO_SYNC, raw_end_done);
	else
		raw_end(rq, 0);
}

/* Continues after the res bytes that were transferred. */
static void raw_part_done(struct disk_request *rq, ssize_t res)
{
	struct disk_raw *raw = raw_of(rq);
	uint64_t at;

	if (res == -EINTR) {
		transfer(rq);
		return;
	}
	if (res < 0) {
		raw_end(rq, res);
		return;
	}
	rq->raw.pos += (uint64_t)res;
	if (rq->op != DISK_ZERO)
		iov_advance(&rq->iov, &rq->nr_iov, (size_t)res);
	at = rq->off + rq->raw.pos;
	if (writes(rq) && at > raw->file.file_bytes)
		raw->file.file_bytes = at; /* the last sector is whole now */
	if (rq->raw.pos == rq->len) {
		raw_written(rq);
	} else if (rq->op == DISK_READ && at >= raw->file.file_bytes) {
		iov_zero(rq->iov, rq->nr_iov); /* what the file lacks of its last sector */
		raw_end(rq, 0);
	} else if (res == 0) {
		raw_end(rq, -EIO); /* another process shortened the file */
	} else {
		transfer(rq);
	}
}

static void transfer_done(struct disk_io *io, ssize_t res)
{
	raw_part_done(raw_request_of(io), res);
}

/*
 * Buffered writes are made by the loop's own thread. They copy to the page cache; io_uring and threads
 * would do the same one after the other, because file systems lock the inode, and hand each one over
 * twice. When the kernel throttles the writer, it is this disk alone that waits.
 */
static void transfer(struct disk_request *rq)
{
	const struct disk_raw *raw = raw_of(rq);
	struct disk_io *io = &rq->raw.io;

	if (rq->op == DISK_ZERO || disk_stage_needed(&raw->file, rq)) {
		disk_stage_start(&raw->file, rq, raw_part_done);
		return;
	}
	io->op = rq->op == DISK_READ ? DISK_IO_READ : DISK_IO_WRITE;
	io->fd = raw->file.fd;
	io->now = raw->file.direct       ? DISK_IO_LATER
		  : rq->op == DISK_WRITE ? DISK_IO_NOW
					 : DISK_IO_IF_CACHED;
	io->off = rq->off + rq->raw.pos;
	io->iov = rq->iov;
	io->nr_iov = rq->nr_iov;
	io->done = transfer_done;
	disk_engine_start(raw->disk.engine, io);
}

/* Whether an error says that the host has no such call, for this file or for these blocks. */
static bool is_unsupported(ssize_t res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -ENOTTY || res == -EINVAL;
}

static void discard_done(struct disk_io *io, ssize_t res)
{
	struct disk_request *rq = raw_request_of(io);

	if (is_unsupported(res)) {
		raw_of(rq)->no_discard = true;
		raw_end(rq, 0); /* a hint need not be taken */
	} else if (res < 0) {
		raw_end(rq, res);
	} else {
		raw_written(rq);
	}
}

static void discard(struct disk_request *rq)
{
	const struct disk_raw *raw = raw_of(rq);
	const uint64_t mask = raw->file.geo.logical_bytes - 1;
	const uint64_t first = (rq->off + mask) & ~mask, last = (rq->off + rq->len) & ~mask;
	struct disk_io *io = &rq->raw.io;

	if (raw->no_discard || first >= last) {
		io->done = raw_end_done;
		disk_engine_post(raw->disk.engine, io, 0);
		return;
	}
	io->off = first;
	io->len = last - first;
	io->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	io_start(rq, raw->file.block_device ? DISK_IO_DISCARD : DISK_IO_FALLOCATE, discard_done);
}

static void zero(struct disk_request *rq, int mode);

static void zero_done(struct disk_io *io, ssize_t res)
{
	struct disk_request *rq = raw_request_of(io);

	if (is_unsupported(res) && io->mode & FALLOC_FL_PUNCH_HOLE)
		zero(rq, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	else if (is_unsupported(res))
		transfer(rq);
	else if (res < 0)
		raw_end(rq, res);
	else
		raw_written(rq);
}

/* fallocate(2) knows block devices too: BLKZEROOUT, and the page cache with it. */
static void zero(struct disk_request *rq, int mode)
{
	rq->raw.io.mode = mode;
	rq->raw.io.off = rq->off;
	rq->raw.io.len = rq->len;
	io_start(rq, DISK_IO_FALLOCATE, zero_done);
}

static void raw_begin(struct disk_request *rq)
{
	switch (rq->op) {
	case DISK_READ:
	case DISK_WRITE: transfer(rq); break;
	case DISK_FLUSH: io_start(rq, DISK_IO_SYNC, raw_end_done); break;
	case DISK_DISCARD: discard(rq); break;
	case DISK_ZERO:
		zero(rq, (rq->may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) |
				 FALLOC_FL_KEEP_SIZE);
		break;
	}
}

static void raw_span_go(struct disk_span *span)
{
	raw_begin(container_of(span, struct disk_request, raw.span));
}

static void raw_empty_done(struct disk_io *io, ssize_t res)
{
	struct disk_request *rq = raw_request_of(io);

	rq->done(rq, (int)res);
}

static void raw_submit(struct disk *disk, struct disk_request *rq)
{
	struct disk_raw *raw = container_of(disk, struct disk_raw, disk);

	rq->raw = (struct disk_transfer){.disk = disk};
	if (rq->op != DISK_FLUSH && rq->len == 0) {
		rq->raw.io.done = raw_empty_done;
		disk_engine_post(disk->engine, &rq->raw.io, 0);
		return;
	}
	if (raw->in_order && writes(rq)) {
		rq->raw.span = (struct disk_span){
			.first = rq->off / raw->file.dio_off_align,
			.last = (rq->off + rq->len - 1) / raw->file.dio_off_align,
			.go = raw_span_go,
		};
		if (!disk_order_enter(&raw->order, &rq->raw.span))
			return;
	}
	raw_begin(rq);
}

static void raw_close(struct disk *disk)
{
	struct disk_raw *raw = container_of(disk, struct disk_raw, disk);

	close(raw->file.fd);
	free(raw);
}

static const struct disk_ops raw_ops = {
	.submit = raw_submit,
	.close = raw_close,
};

int disk_raw_create(const struct disk_file *file, struct disk_engine *engine, struct disk **ret)
{
	struct disk_raw *raw = calloc(1, sizeof(*raw));

	if (!raw) {
		close(file->fd);
		return -ENOMEM;
	}
	raw->disk = (struct disk){.ops = &raw_ops, .engine = engine, .geo = file->geo};
	raw->file = *file;
	raw->in_order = file->direct && file->dio_off_align > DISK_SECTOR_BYTES;
	raw->no_discard = !file->geo.can_discard;
	*ret = &raw->disk;
	return 0;
}
