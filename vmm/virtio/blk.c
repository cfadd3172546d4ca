/*
 * blk.c - the virtio block device (virtio 1.2, 5.2). Requests are taken from the queues as long as there
 * is room for them; what finds none stays in its ring. All that ended in one go is shown to the driver
 * in one go.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/iov.h"
#include "base/macros.h"
#include "virtio/classes.h"

enum {
	QUEUE_SIZE = 256,
	CONFIG_BYTES = offsetof(struct virtio_blk_config, unused1) + 3,
	REQUEST_IOV_MAX = VIRTIO_BLK_SEGS_MAX + 8, /* header and status, not always in one piece */
	DISCARD_SECTORS_MAX = 1 << 21,             /* 1 GiB a range */
	ZERO_SECTORS_MAX = 1 << 16,                /* 32 MiB: it may have to be written */
	TURN_CHAINS = 512,     /* that are taken before other events have their turn, */
	TURN_BYTES = 64 << 20, /* or of which the buffers are so long */
};
_Static_assert((int)VIRTIO_BLK_ID_MAX == VIRTIO_BLK_ID_BYTES, "5.2.6");
_Static_assert((int)REQUEST_IOV_MAX <= (int)DISK_IOV_MAX, "a request is a disk's request");

/* virtio_device.counter */
enum { COUNT_READ_BYTES, COUNT_WRITTEN_BYTES, COUNT_FLUSHES, COUNT_ERRORS };
static const char *const counter_names[] = {"read_bytes", "written_bytes", "flushes", "host_errors",
					    NULL};

struct blk;

/* A chain, from pop to push. */
struct blk_request {
	struct blk *blk;
	struct blk_request *next_free;
	unsigned queue;
	uint16_t head;
	uint32_t in_bytes; /* of the device-writable part, with the status */
	uint8_t *status;   /* guest memory: the last byte of it */
	uint64_t bytes;    /* of a read or write */
	struct disk_request disk;
	struct virtio_blk_discard_write_zeroes range[VIRTIO_BLK_RANGES_MAX];
	unsigned nr_ranges, next_range;
	struct iovec iov[REQUEST_IOV_MAX];
};

struct blk {
	struct virtio_device vd;
	struct disk *disk;
	struct virtio_blk_config config; /* as it should be, whatever the driver wrote to it */
	char id[VIRTIO_BLK_ID_BYTES];

	struct blk_request *requests; /* DISK_REQUESTS_MAX; touched as they are first used */
	unsigned nr_touched;
	struct blk_request *free; /* of those */
	uint32_t waiting;         /* a bit for each queue that may have chains */
	unsigned served;          /* the queue that was served last */
	uint32_t unpublished;     /* a bit for each queue that chains were pushed to */
};
_Static_assert(VIRTIO_BLK_QUEUES_MAX <= 32, "a bit for each queue");

static struct blk *blk_of(struct virtio_device *vd)
{
	return container_of(vd, struct blk, vd);
}

static struct blk_request *request_take(struct blk *blk)
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

static void request_free(struct blk_request *rq)
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
	request_free(rq);
}

static void request_end(struct blk_request *rq, uint8_t status)
{
	request_end_with(rq, status, 0);
}

/* What the disk answered. */
static uint8_t status_of(struct blk *blk, int err)
{
	if (err == 0)
		return VIRTIO_BLK_S_OK;
	virtio_count(&blk->vd, COUNT_ERRORS, 1);
	return VIRTIO_BLK_S_IOERR;
}

static void blk_read_done(struct disk_request *disk, int err)
{
	struct blk_request *rq = container_of(disk, struct blk_request, disk);

	if (err == 0)
		virtio_count(&rq->blk->vd, COUNT_READ_BYTES, rq->in_bytes - 1);
	request_end_with(rq, status_of(rq->blk, err), err == 0 ? rq->in_bytes - 1 : 0);
}

static void blk_write_done(struct disk_request *disk, int err)
{
	struct blk_request *rq = container_of(disk, struct blk_request, disk);

	if (err == 0)
		virtio_count(&rq->blk->vd, COUNT_WRITTEN_BYTES, rq->bytes);
	request_end(rq, status_of(rq->blk, err));
}

static void flush_done(struct disk_request *disk, int err)
{
	struct blk_request *rq = container_of(disk, struct blk_request, disk);

	virtio_count(&rq->blk->vd, COUNT_FLUSHES, err == 0);
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
	const uint32_t most = op == DISK_ZERO ? ZERO_SECTORS_MAX : DISCARD_SECTORS_MAX;

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

/* What only a driver that negotiated the feature may ask for. */
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

/* hdr is ours; out and in are what lies behind the header and before the status. */
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
static void request_start(struct blk_request *rq, const struct virtq_chain *chain)
{
	struct virtio_device *vd = &rq->blk->vd;
	struct iovec *out = rq->iov, *in = chain->in, *last;
	unsigned nr_out = chain->nr_out, nr_in = chain->nr_in;
	struct virtio_blk_outhdr hdr;

	if (iov_read(out, nr_out, 0, &hdr, sizeof(hdr)) != sizeof(hdr)) {
		request_free(rq);
		virtio_needs_reset(vd, "block request without a whole header");
		return;
	}
	if (chain->in_bytes == 0) {
		request_free(rq);
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

/*
 * Queues.
 */

static void publish(struct blk *blk)
{
	while (blk->unpublished) {
		const unsigned queue = (unsigned)__builtin_ctz(blk->unpublished);

		blk->unpublished &= blk->unpublished - 1;
		virtio_publish(&blk->vd, queue);
	}
}

/* What is left of a turn. */
struct turn {
	unsigned chains;
	uint64_t bytes; /* the host copies what it caches before a request's submission returns */
};

/*
 * Takes chains of one queue while the turn lasts: how many. *ret_empty: there are no more, else no room for
 * more, or the turn is over. Room alone is no bound: requests that end at once give theirs back.
 */
static unsigned take_chains(struct blk *blk, unsigned queue, struct turn *turn, bool *ret_empty)
{
	unsigned n = 0;
	struct blk_request *rq;

	*ret_empty = false;
	while (turn->chains > 0 && (rq = request_take(blk)) != NULL) {
		struct virtq_chain chain;
		uint64_t bytes;

		if (!virtio_pop(&blk->vd, queue, rq->iov, REQUEST_IOV_MAX, &chain)) {
			request_free(rq);
			*ret_empty = true;
			break;
		}
		rq->queue = queue;
		bytes = (uint64_t)chain.out_bytes + chain.in_bytes;
		request_start(rq, &chain);
		n++;
		turn->bytes -= bytes < turn->bytes ? bytes : turn->bytes;
		turn->chains = turn->bytes > 0 ? turn->chains - 1 : 0;
	}
	return n;
}

/* The next queue that waits, round and round. */
static unsigned next_waiting(struct blk *blk)
{
	const uint32_t behind = blk->waiting & ~((UINT32_C(2) << blk->served) - 1);

	blk->served = (unsigned)__builtin_ctz(behind ? behind : blk->waiting);
	return blk->served;
}

/*
 * Serves the queues that wait, in turn. Kicks stay suppressed for those that have more chains than there
 * is room for: what ends will call this again. A driver that always has more makes way for other
 * events, among them its own reset.
 */
static void serve(struct blk *blk)
{
	const struct virtio_device *vd = &blk->vd;
	struct turn turn = {.chains = TURN_CHAINS, .bytes = TURN_BYTES};

	while (blk->waiting && turn.chains > 0 && !blk->vd.broken) {
		const unsigned queue = next_waiting(blk);
		struct virtq *vq = &blk->vd.queue[queue];
		unsigned n;
		bool empty;

		virtq_kicks_suppress(vq);
		n = take_chains(blk, queue, &turn, &empty);
		disk_commit(blk->disk);
		publish(blk);
		if (n == 0 && turn.chains > 0)
			turn.chains--; /* a driver may say that there is more, and take that back */
		if (empty && (blk->vd.broken || !virtq_kicks_allow(vq)))
			blk->waiting &= ~(UINT32_C(1) << queue);
		else if (!empty && n == 0)
			return; /* no room; settled() comes when there is */
	}
	if (blk->waiting && !vd->broken)
		vd->env->doorbell->ring(vd->env->doorbell, blk->served);
}

static void blk_settled(void *arg)
{
	struct blk *blk = arg;

	publish(blk);
	serve(blk);
}

static void blk_kick(struct virtio_device *vd, unsigned queue)
{
	struct blk *blk = blk_of(vd);

	blk->waiting |= UINT32_C(1) << queue;
	serve(blk);
}

/*
 * Configuration, start and end.
 */

/* 5.2.5: the driver may write one byte, writeback; anything else it finds as it was. */
static void blk_config_written(struct virtio_device *vd, unsigned off, unsigned len)
{
	struct blk *blk = blk_of(vd);
	const unsigned wce = offsetof(struct virtio_blk_config, wce);

	(void)off;
	(void)len;
	if (vd->features >> VIRTIO_BLK_F_CONFIG_WCE & 1)
		blk->config.wce = vd->config[wce] & 1;
	if (memcmp(vd->config, &blk->config, CONFIG_BYTES) != 0)
		virtio_config_set(vd, 0, &blk->config, CONFIG_BYTES);
}

static void blk_stop(struct virtio_device *vd)
{
	struct blk *blk = blk_of(vd);

	disk_drain(blk->disk);
	blk->waiting = blk->unpublished = 0;
	if (!blk->config.wce && vd->features >> VIRTIO_BLK_F_CONFIG_WCE & 1) {
		blk->config.wce = 1; /* as before the driver changed it */
		virtio_config_set(vd, 0, &blk->config, CONFIG_BYTES);
	}
}

static uint16_t blocks16(uint32_t bytes, uint32_t block)
{
	return (uint16_t)(bytes / block > UINT16_MAX ? UINT16_MAX : bytes / block);
}

static void blk_init_config(struct blk *blk, unsigned queues)
{
	const struct disk_geometry *geo = &blk->disk->geo;
	const uint32_t physical = geo->physical_bytes / geo->logical_bytes;

	blk->config = (struct virtio_blk_config){
		.capacity = htole64(geo->bytes / DISK_SECTOR_BYTES),
		.seg_max = htole32(VIRTIO_BLK_SEGS_MAX),
		.blk_size = htole32(geo->logical_bytes),
		.physical_block_exp = (uint8_t)__builtin_ctz(physical),
		.alignment_offset = (uint8_t)(geo->align_off / geo->logical_bytes),
		.min_io_size = htole16(blocks16(geo->io_min, geo->logical_bytes)),
		.opt_io_size = htole32(geo->io_opt / geo->logical_bytes),
		.wce = 1,
		.num_queues = htole16((uint16_t)queues),
		.max_discard_sectors = htole32(DISCARD_SECTORS_MAX),
		.max_discard_seg = htole32(VIRTIO_BLK_RANGES_MAX),
		.discard_sector_alignment = htole32(geo->physical_bytes / DISK_SECTOR_BYTES),
		.max_write_zeroes_sectors = htole32(ZERO_SECTORS_MAX),
		.max_write_zeroes_seg = htole32(VIRTIO_BLK_RANGES_MAX),
		.write_zeroes_may_unmap = 1,
	};
}

static uint64_t features_of(const struct disk_geometry *geo, unsigned queues)
{
	uint64_t features =
		UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX | UINT64_C(1) << VIRTIO_BLK_F_BLK_SIZE |
		UINT64_C(1) << VIRTIO_BLK_F_FLUSH | UINT64_C(1) << VIRTIO_BLK_F_TOPOLOGY;

	if (queues > 1)
		features |= UINT64_C(1) << VIRTIO_BLK_F_MQ;
	if (geo->read_only)
		return features | UINT64_C(1) << VIRTIO_BLK_F_RO;
	features |= UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE | UINT64_C(1)
								     << VIRTIO_BLK_F_WRITE_ZEROES;
	if (geo->can_discard)
		features |= UINT64_C(1) << VIRTIO_BLK_F_DISCARD;
	return features;
}

static unsigned queues_of(const struct virtio_blk_conf *conf)
{
	if (conf->queues)
		return conf->queues;
	return *conf->cpus < VIRTIO_BLK_QUEUES_AUTO ? *conf->cpus : VIRTIO_BLK_QUEUES_AUTO;
}

static int blk_init(struct virtio_device *vd, const void *conf_arg, struct diag *diag)
{
	const struct virtio_blk_conf *conf = conf_arg;
	const char *id = conf->id ? conf->id : vd->name;
	struct blk *blk = blk_of(vd);
	const unsigned queues = queues_of(conf);
	int r;

	vd->behind = conf->disk.path;
	assert(queues >= 1 && queues <= VIRTIO_BLK_QUEUES_MAX);
	blk->requests = calloc(DISK_REQUESTS_MAX, sizeof(*blk->requests));
	if (!blk->requests)
		return diag_set(diag, -ENOMEM, "disk '%s'", conf->disk.path);
	r = conf->open(&conf->disk, vd->loop, blk_settled, blk, &blk->disk, diag);
	if (r < 0)
		return r;
	memcpy(blk->id, id, strnlen(id, sizeof(blk->id)));
	blk_init_config(blk, queues);
	vd->features = features_of(&blk->disk->geo, queues);
	vd->nr_queues = queues;
	for (unsigned i = 0; i < queues; i++)
		vd->queue_size[i] = QUEUE_SIZE;
	vd->config_len = CONFIG_BYTES;
	memcpy(vd->config, &blk->config, CONFIG_BYTES);
	return 0;
}

/* A network file system writes back what it has cached, and does not return before. */
static void blk_end(struct virtio_device *vd)
{
	struct blk *blk = blk_of(vd);

	blk->disk = disk_close(blk->disk);
}

static void blk_fini(struct virtio_device *vd)
{
	blk_end(vd);
	free(blk_of(vd)->requests);
}

const struct virtio_class virtio_blk_class = {
	.name = "block",
	.device_id = VIRTIO_ID_BLOCK,
	.counter_names = counter_names,
	.state_size = sizeof(struct blk),
	.init = blk_init,
	.fini = blk_fini,
	.stop = blk_stop,
	.end = blk_end,
	.kick = blk_kick,
	.config_written = blk_config_written,
};
