/*
 * blk.c - the virtio block device (virtio 1.2, 5.2): its queues, configuration, start and end. Requests are
 * taken from the queues as long as there is room for them; what finds none stays in its ring. All that
 * ended in one go is published to the driver in one go.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "virtio/blk/internal.h"

enum {
	QUEUE_SIZE = 256,
	CONFIG_BYTES = offsetof(struct virtio_blk_config, unused1) + 3,
	TURN_CHAINS = 512,     /* that are taken before other events have their turn, */
	TURN_BYTES = 64 << 20, /* or of which the buffers are so long */
};

static const char *const counter_names[BLK_COUNTERS + 1] = {
	[BLK_COUNT_READ_BYTES] = "read_bytes",
	[BLK_COUNT_WRITTEN_BYTES] = "written_bytes",
	[BLK_COUNT_FLUSHES] = "flushes",
	[BLK_COUNT_ERRORS] = "host_errors",
	[BLK_COUNT_FAULTS + FAULT_FAIL] = "fault_failed",
	[BLK_COUNT_FAULTS + FAULT_TEAR] = "fault_torn",
	[BLK_COUNT_FAULTS + FAULT_LOSE] = "fault_lost",
	[BLK_COUNT_FAULTS + FAULT_DELAY] = "fault_delayed",
};

static struct blk *blk_of(struct virtio_device *vd)
{
	return container_of(vd, struct blk, vd);
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

/* The budget left of a turn. */
struct turn {
	unsigned chains;
	uint64_t bytes; /* the host copies what it caches before a request's submission returns */
};

/*
 * Takes chains of one queue while the turn lasts: how many. *ret_empty: there are no more, else no room for
 * more, or the turn is over. Room alone is not a bound: requests that end at once give theirs back.
 */
static unsigned take_chains(struct blk *blk, unsigned queue, struct turn *turn, bool *ret_empty)
{
	unsigned n = 0;
	struct blk_request *rq;

	*ret_empty = false;
	while (turn->chains > 0 && (rq = blk_request_take(blk)) != NULL) {
		struct virtq_chain chain;
		uint64_t bytes;

		if (!virtio_pop(&blk->vd, queue, rq->iov, BLK_REQUEST_IOV_MAX, &chain)) {
			blk_request_free(rq);
			*ret_empty = true;
			break;
		}
		rq->queue = queue;
		bytes = (uint64_t)chain.out_bytes + chain.in_bytes;
		blk_request_start(rq, &chain);
		n++;
		turn->bytes -= bytes < turn->bytes ? bytes : turn->bytes;
		turn->chains = turn->bytes > 0 ? turn->chains - 1 : 0;
	}
	return n;
}

/* The next queue that waits, round and round. */
static unsigned next_waiting(struct blk *blk)
{
	const uint32_t higher = blk->waiting & ~((UINT32_C(2) << blk->served) - 1);

	blk->served = (unsigned)__builtin_ctz(higher ? higher : blk->waiting);
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
			return; /* no room; batch_done() comes when there is */
	}
	if (blk->waiting && !vd->broken)
		vd->env->doorbell->ring(vd->env->doorbell, blk->served);
}

static void blk_batch_done(void *arg)
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

static void blk_faulted(void *arg, enum fault_kind kind)
{
	struct blk *blk = arg;

	virtio_count(&blk->vd, BLK_COUNT_FAULTS + kind, 1);
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
}

static void blk_reset(struct virtio_device *vd)
{
	struct blk *blk = blk_of(vd);

	blk->config.wce = 1;
	if (memcmp(vd->config, &blk->config, CONFIG_BYTES) != 0)
		virtio_config_set(vd, 0, &blk->config, CONFIG_BYTES);
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
		.max_discard_sectors = htole32(BLK_DISCARD_SECTORS_MAX),
		.max_discard_seg = htole32(VIRTIO_BLK_RANGES_MAX),
		.discard_sector_alignment = htole32(geo->physical_bytes / DISK_SECTOR_BYTES),
		.max_write_zeroes_sectors = htole32(BLK_ZERO_SECTORS_MAX),
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

	vd->host_name = conf->disk.path;
	assert(queues >= 1 && queues <= VIRTIO_BLK_QUEUES_MAX);
	blk->requests = calloc(DISK_REQUESTS_MAX, sizeof(*blk->requests));
	if (!blk->requests)
		return diag_set(diag, -ENOMEM, "blk-memory", "disk '%s'", conf->disk.path);
	r = conf->open(&conf->disk, vd->loop, blk_batch_done, blk, &blk->disk, diag);
	if (r < 0)
		return r;
	blk->disk->faulted = blk_faulted;
	blk->disk->faulted_arg = blk;
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
	.io_role = THREAD_IO_DISK,
	.state_size = sizeof(struct blk),
	.init = blk_init,
	.fini = blk_fini,
	.stop = blk_stop,
	.reset = blk_reset,
	.end = blk_end,
	.kick = blk_kick,
	.config_written = blk_config_written,
};
