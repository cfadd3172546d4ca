/*
 * request.c - one request of the block device (virtio 1.2, 5.2.6): checked, handed to the disk, and given
 * back with its status.
 */
#include <endian.h>

#include "base/checked.h"
#include "base/iov.h"
#include "base/macros.h"
#include "virtio/blk/internal.h"

struct blk_request *blk_request_take(struct blk *blk)
{
	struct blk_request *rq = blk->free;

	if (rq) {
		blk->free = rq->next_free;
		return rq;
	}
	if (blk->nr_touched == DISK_REQUESTS_MAX)
		return NULL;
	rq = &blk->requests[blk->nr_touched++];
	rq->blk = blk;
	return rq;
}

void blk_request_free(struct blk_request *rq)
{
	rq->next_free = rq->blk->free;
	rq->blk->free = rq;
}

/*
 * Hands the chain back. The length counts from the beginning (2.7.8.2): the status is at the end, so it
 * counts only if all before it was written.
 */
static void request_end_with(struct blk_request *rq, uint8_t status, uint32_t data_written)
{
	struct blk *blk = rq->blk;
	const bool whole = data_written + 1 == rq->in_bytes;

	*rq->status = status;
	virtq_push(&blk->vd.queue[rq->queue], rq->head, data_written + (whole ? 1 : 0));
	blk->unpublished |= UINT32_C(1) << rq->queue;
	blk_request_free(rq);
}

static void request_end(struct blk_request *rq, uint8_t status)
{
	request_end_with(rq, status, 0);
}

/* The request's status for the disk's result; counts errors. */
static uint8_t status_of(struct blk *blk, int err)
{
	if (err == 0)
		return VIRTIO_BLK_S_OK;
	virtio_count(&blk->vd, BLK_COUNT_ERRORS, 1);
	return VIRTIO_BLK_S_IOERR;
}

static void blk_read_done(struct disk_request *disk, int err)
{
	struct blk_request *rq = container_of(disk, struct blk_request, disk);

	if (err == 0)
		virtio_count(&rq->blk->vd, BLK_COUNT_READ_BYTES, rq->in_bytes - 1);
	request_end_with(rq, status_of(rq->blk, err), err == 0 ? rq->in_bytes - 1 : 0);
}

static void blk_write_done(struct disk_request *disk, int err)
{
	struct blk_request *rq = container_of(disk, struct blk_request, disk);

	if (err == 0)
		virtio_count(&rq->blk->vd, BLK_COUNT_WRITTEN_BYTES, rq->bytes);
	request_end(rq, status_of(rq->blk, err));
}

static void flush_done(struct disk_request *disk, int err)
{
	struct blk_request *rq = container_of(disk, struct blk_request, disk);

	virtio_count(&rq->blk->vd, BLK_COUNT_FLUSHES, err == 0);
	request_end(rq, status_of(rq->blk, err));
}

/* 5.2.5: without a write-back cache, a write is on the disk when it is done. */
static bool writes_through(const struct blk *blk)
{
	if (virtio_has(&blk->vd, VIRTIO_BLK_F_CONFIG_WCE))
		return !blk->config.wce;
	return !virtio_has(&blk->vd, VIRTIO_BLK_F_FLUSH);
}

static bool sectors_exist(const struct blk *blk, uint64_t sector, uint64_t nr)
{
	return u64_range_within(sector, nr, blk->disk->geo.bytes / DISK_SECTOR_BYTES);
}

/* VIRTIO_BLK_T_IN and OUT. */
static void start_transfer(struct blk_request *rq, enum disk_op op, uint64_t sector, uint64_t bytes,
			   struct iovec *iov, unsigned nr_iov)
{
	struct blk *blk = rq->blk;

	if (bytes % DISK_SECTOR_BYTES != 0 ||
	    !sectors_exist(blk, sector, bytes / DISK_SECTOR_BYTES) ||
	    (op == DISK_WRITE && blk->disk->geo.read_only)) {
		request_end(rq, VIRTIO_BLK_S_IOERR);
		return;
	}
	rq->bytes = bytes;
	rq->disk = (struct disk_request){
		.op = op,
		.stable = op == DISK_WRITE && writes_through(blk),
		.off = sector * DISK_SECTOR_BYTES,
		.len = bytes,
		.iov = iov,
		.nr_iov = nr_iov,
		.done = op == DISK_READ ? blk_read_done : blk_write_done,
	};
	disk_submit(blk->disk, &rq->disk);
}

static void start_flush(struct blk_request *rq)
{
	rq->disk = (struct disk_request){.op = DISK_FLUSH, .done = flush_done};
	disk_submit(rq->blk->disk, &rq->disk);
}

/* 5.2.6: 20 bytes, padded with zeros. */
static void get_id(struct blk_request *rq, const struct iovec *in, unsigned nr_in)
{
	const size_t n = iov_write(in, nr_in, 0, rq->blk->id, sizeof(rq->blk->id));

	request_end_with(rq, VIRTIO_BLK_S_OK, (uint32_t)n);
}

/*
 * Discard and write-zeroes: one range after the other.
 */

static void range_done(struct disk_request *disk, int err);

static void start_range(struct blk_request *rq)
{
	const struct virtio_blk_discard_write_zeroes *range = &rq->range[rq->next_range++];

	rq->disk = (struct disk_request){
		.op = rq->disk.op,
		.may_unmap = le32toh(range->flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
		.stable = writes_through(rq->blk),
		.off = le64toh(range->sector) * DISK_SECTOR_BYTES,
		.len = (uint64_t)le32toh(range->num_sectors) * DISK_SECTOR_BYTES,
		.done = range_done,
	};
	disk_submit(rq->blk->disk, &rq->disk);
}

static void range_done(struct disk_request *disk, int err)
{
	struct blk_request *rq = container_of(disk, struct blk_request, disk);

	if (err == 0 && rq->next_range < rq->nr_ranges)
		start_range(rq);
	else
		request_end(rq, status_of(rq->blk, err));
}

/* 5.2.6.2: which status what is wrong with a range has. */
static uint8_t check_range(const struct blk *blk, enum disk_op op,
			   const struct virtio_blk_discard_write_zeroes *range)
{
	const uint32_t flags = le32toh(range->flags), nr = le32toh(range->num_sectors);
	const uint32_t known = op == DISK_ZERO ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	const uint32_t most = op == DISK_ZERO ? BLK_ZERO_SECTORS_MAX : BLK_DISCARD_SECTORS_MAX;

	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (nr > most || !sectors_exist(blk, le64toh(range->sector), nr))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* Nothing is done unless all of it can be. */
static void start_ranges(struct blk_request *rq, enum disk_op op, uint64_t bytes,
			 const struct iovec *out, unsigned nr_out)
{
	uint8_t status = VIRTIO_BLK_S_OK;

	if (bytes == 0 || bytes % sizeof(rq->range[0]) != 0 || bytes > sizeof(rq->range) ||
	    rq->blk->disk->geo.read_only) {
		request_end(rq, VIRTIO_BLK_S_IOERR);
		return;
	}
	iov_read(out, nr_out, 0, rq->range, (size_t)bytes);
	rq->nr_ranges = (unsigned)(bytes / sizeof(rq->range[0]));
	rq->next_range = 0;
	for (unsigned i = 0; i < rq->nr_ranges && status == VIRTIO_BLK_S_OK; i++)
		status = check_range(rq->blk, op, &rq->range[i]);
	if (status != VIRTIO_BLK_S_OK) {
		request_end(rq, status);
		return;
	}
	rq->disk.op = op;
	start_range(rq);
}

/* Whether the type needs no feature, or one that the driver negotiated. */
static bool is_supported(const struct blk *blk, uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
	case VIRTIO_BLK_T_GET_ID: return true;
	case VIRTIO_BLK_T_FLUSH: return virtio_has(&blk->vd, VIRTIO_BLK_F_FLUSH);
	case VIRTIO_BLK_T_DISCARD: return virtio_has(&blk->vd, VIRTIO_BLK_F_DISCARD);
	case VIRTIO_BLK_T_WRITE_ZEROES: return virtio_has(&blk->vd, VIRTIO_BLK_F_WRITE_ZEROES);
	default: return false;
	}
}

/* hdr is ours; out and in are what lies after the header and before the status. */
static void dispatch(struct blk_request *rq, const struct virtio_blk_outhdr *hdr, struct iovec *out,
		     unsigned nr_out, uint64_t out_bytes, struct iovec *in, unsigned nr_in)
{
	const uint32_t type = le32toh(hdr->type);
	const uint64_t sector = le64toh(hdr->sector);

	if (!is_supported(rq->blk, type)) {
		request_end(rq, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	switch (type) {
	case VIRTIO_BLK_T_IN:
		start_transfer(rq, DISK_READ, sector, rq->in_bytes - 1, in, nr_in);
		break;
	case VIRTIO_BLK_T_OUT:
		start_transfer(rq, DISK_WRITE, sector, out_bytes, out, nr_out);
		break;
	case VIRTIO_BLK_T_FLUSH: start_flush(rq); break;
	case VIRTIO_BLK_T_DISCARD: start_ranges(rq, DISK_DISCARD, out_bytes, out, nr_out); break;
	case VIRTIO_BLK_T_WRITE_ZEROES: start_ranges(rq, DISK_ZERO, out_bytes, out, nr_out); break;
	default: get_id(rq, in, nr_in); break;
	}
}

/* The status is the last writable byte, wherever pieces begin and end (2.7.4). */
void blk_request_start(struct blk_request *rq, const struct virtq_chain *chain)
{
	struct virtio_device *vd = &rq->blk->vd;
	struct iovec *out = rq->iov, *in = chain->in, *last;
	unsigned nr_out = chain->nr_out, nr_in = chain->nr_in;
	struct virtio_blk_outhdr hdr;

	if (iov_read(out, nr_out, 0, &hdr, sizeof(hdr)) != sizeof(hdr)) {
		blk_request_free(rq);
		virtio_needs_reset(vd, "block request without a whole header");
		return;
	}
	if (chain->in_bytes == 0) {
		blk_request_free(rq);
		virtio_needs_reset(vd, "block request without room for its status");
		return;
	}
	iov_advance(&out, &nr_out, sizeof(hdr));
	last = &in[nr_in - 1];
	last->iov_len--;
	rq->status = (uint8_t *)last->iov_base + last->iov_len;
	if (last->iov_len == 0)
		nr_in--;
	rq->head = chain->head;
	rq->in_bytes = chain->in_bytes;
	dispatch(rq, &hdr, out, nr_out, chain->out_bytes - sizeof(hdr), in, nr_in);
}
