/*
 * fs.c - the virtio file system device (virtio 1.2, 5.11): requests of the FUSE protocol between its queues and
 * backend/fs.h. Queue 0 is for those with priority; here it is serviced as the others are.
 *
 * Requests are taken as long as there is room for them; what finds none stays in its ring. They end in any order.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "backend/fs.h"
#include "base/macros.h"
#include "virtio/classes.h"

enum {
	/* A driver takes no longer chain than the queue has descriptors, also with indirect ones. */
	FS_QUEUE_SIZE = 512,
	FS_TURN_CHAINS = 128,     /* that are taken before other events have their turn, */
	FS_TURN_BYTES = 16 << 20, /* or of which the buffers are so long */
	FS_MEMORY_SHARE = 4, /* of the guest's memory, at most, for what its driver has looked up */
};
_Static_assert((int)FS_QUEUE_SIZE > (int)FS_IOV_MAX, "the longest request");
_Static_assert(VIRTIO_FS_QUEUES_MAX + 1 <= 32, "a bit for each queue");
_Static_assert((int)VIRTIO_FS_TAG_MAX == sizeof(((struct virtio_fs_config *)0)->tag), "5.11.4");

/* virtio_device.counter; the last three are what there is now */
enum {
	FS_COUNT_READ_BYTES,
	FS_COUNT_WRITTEN_BYTES,
	FS_COUNT_NODES,
	FS_COUNT_HANDLES,
	FS_COUNT_FILES,
};
static const char *const fs_counter_names[] = {
	[FS_COUNT_READ_BYTES] = "read_bytes",  [FS_COUNT_WRITTEN_BYTES] = "written_bytes",
	[FS_COUNT_NODES] = "known_files",      [FS_COUNT_HANDLES] = "open_files",
	[FS_COUNT_FILES] = "host_descriptors", NULL,
};

struct share;

/* A chain, from pop to push. */
struct share_request {
	struct share *share;
	struct share_request *next_free;
	unsigned queue;
	uint16_t head;
	struct fs_request fs;
	struct iovec iov[FS_IOV_MAX];
};

struct share {
	struct virtio_device vd;
	struct fs *fs;
	struct fs_engine *engine;
	struct share_request *requests; /* FS_REQUESTS_MAX; touched as they are first used */
	unsigned nr_touched;
	struct share_request *free; /* of those */
	uint32_t waiting;           /* a bit for each queue that may have chains */
	unsigned served;            /* the queue that was served last */
	uint32_t unpublished;       /* a bit for each queue that chains were pushed to */
};

static struct share *share_of(struct virtio_device *vd)
{
	return container_of(vd, struct share, vd);
}

static struct share_request *share_request_take(struct share *share)
{
	struct share_request *rq = share->free;

	if (rq) {
		share->free = rq->next_free;
		return rq;
	}
	if (share->nr_touched == FS_REQUESTS_MAX)
		return NULL;
	rq = &share->requests[share->nr_touched++];
	rq->share = share;
	return rq;
}

static void share_request_free(struct share_request *rq)
{
	rq->next_free = rq->share->free;
	rq->share->free = rq;
}

static void share_request_done(struct fs_request *fs)
{
	struct share_request *rq = container_of(fs, struct share_request, fs);
	struct share *share = rq->share;

	if (fs->result.read_bytes)
		virtio_count(&share->vd, FS_COUNT_READ_BYTES, fs->result.read_bytes);
	if (fs->result.written_bytes)
		virtio_count(&share->vd, FS_COUNT_WRITTEN_BYTES, fs->result.written_bytes);
	virtq_push(&share->vd.queue[rq->queue], rq->head, fs->result.reply_bytes);
	share->unpublished |= UINT32_C(1) << rq->queue;
	share_request_free(rq);
}

static void share_count(struct share *share)
{
	const struct fs_counts now = fs_count(share->fs);

	__atomic_store_n(&share->vd.counter[FS_COUNT_NODES], now.nodes, __ATOMIC_RELAXED);
	__atomic_store_n(&share->vd.counter[FS_COUNT_HANDLES], now.handles, __ATOMIC_RELAXED);
	__atomic_store_n(&share->vd.counter[FS_COUNT_FILES], now.files, __ATOMIC_RELAXED);
}

static void share_publish(struct share *share)
{
	share_count(share);
	while (share->unpublished) {
		const unsigned queue = (unsigned)__builtin_ctz(share->unpublished);

		share->unpublished &= share->unpublished - 1;
		virtio_publish(&share->vd, queue);
	}
}

/* The budget left of a turn. */
struct share_turn {
	unsigned chains;
	uint64_t bytes;
};

/*
 * Takes chains of one queue while the turn lasts: how many. *ret_empty: there are no more, else no room for more, or the
 * turn is over.
 */
static unsigned share_take_chains(struct share *share, unsigned queue, struct share_turn *turn,
				  bool *ret_empty)
{
	unsigned n = 0;
	struct share_request *rq;

	*ret_empty = false;
	while (turn->chains > 0 && (rq = share_request_take(share)) != NULL) {
		struct virtq_chain chain;
		uint64_t bytes;

		if (!virtio_pop(&share->vd, queue, rq->iov, FS_IOV_MAX, &chain)) {
			share_request_free(rq);
			*ret_empty = true;
			break;
		}
		rq->queue = queue;
		rq->head = chain.head;
		rq->fs = (struct fs_request){
			.out = chain.out,
			.in = chain.in,
			.nr_out = chain.nr_out,
			.nr_in = chain.nr_in,
			.done = share_request_done,
		};
		fs_engine_submit(share->engine, &rq->fs);
		n++;
		bytes = (uint64_t)chain.out_bytes + chain.in_bytes;
		turn->bytes -= bytes < turn->bytes ? bytes : turn->bytes;
		turn->chains = turn->bytes > 0 ? turn->chains - 1 : 0;
	}
	return n;
}

/* The next queue that waits, round and round. */
static unsigned share_next_waiting(struct share *share)
{
	const uint32_t higher = share->waiting & ~((UINT32_C(2) << share->served) - 1);

	share->served = (unsigned)__builtin_ctz(higher ? higher : share->waiting);
	return share->served;
}

/* Serves the queues that wait, in turn; as serve() of blk.c does. */
static void share_serve(struct share *share)
{
	const struct virtio_device *vd = &share->vd;
	struct share_turn turn = {.chains = FS_TURN_CHAINS, .bytes = FS_TURN_BYTES};

	while (share->waiting && turn.chains > 0 && !vd->broken) {
		const unsigned queue = share_next_waiting(share);
		struct virtq *vq = &share->vd.queue[queue];
		unsigned n;
		bool empty;

		virtq_kicks_suppress(vq);
		n = share_take_chains(share, queue, &turn, &empty);
		fs_engine_commit(share->engine);
		share_publish(share);
		if (n == 0 && turn.chains > 0)
			turn.chains--; /* a driver may say that there is more, and take that back */
		if (empty && (vd->broken || !virtq_kicks_allow(vq)))
			share->waiting &= ~(UINT32_C(1) << queue);
		else if (!empty && n == 0)
			return; /* no room; share_batch_done() comes when there is */
	}
	if (share->waiting && !vd->broken)
		vd->env->doorbell->ring(vd->env->doorbell, share->served);
}

static void share_batch_done(void *arg)
{
	struct share *share = arg;

	share_publish(share);
	share_serve(share);
}

static void fs_kick(struct virtio_device *vd, unsigned queue)
{
	struct share *share = share_of(vd);

	share->waiting |= UINT32_C(1) << queue;
	share_serve(share);
}

/*
 * Start and end.
 */

/* The driver that comes next has looked up and opened nothing. */
static void fs_stop(struct virtio_device *vd)
{
	struct share *share = share_of(vd);

	fs_engine_drain(share->engine);
	share_count(share); /* as it was */
	fs_reset(share->fs);
	share->waiting = share->unpublished = 0;
}

static unsigned request_queues_of(const struct virtio_fs_conf *conf)
{
	return *conf->cpus < VIRTIO_FS_QUEUES_MAX ? *conf->cpus : VIRTIO_FS_QUEUES_MAX;
}

/* The host's limits, which all shares of this VM have together. */
static struct fs_opts fs_opts_of(const struct virtio_device *vd, const struct virtio_fs_conf *conf)
{
	struct fs_opts opts = conf->fs;
	const unsigned shares = *conf->shares;

	assert(shares > 0);
	opts.files_max = fs_files_room() / shares;
	opts.nodes_bytes = vd->env->mem->bytes / FS_MEMORY_SHARE / shares;
	return opts;
}

static int fs_init(struct virtio_device *vd, const void *conf_arg, struct diag *diag)
{
	const struct virtio_fs_conf *conf = conf_arg;
	const struct fs_opts opts = fs_opts_of(vd, conf);
	struct share *share = share_of(vd);
	struct virtio_fs_config config = {
		.num_request_queues = htole32(request_queues_of(conf)),
	};
	int r;

	vd->host_name = opts.path;
	share->requests = calloc(FS_REQUESTS_MAX, sizeof(*share->requests));
	if (!share->requests)
		return diag_set(diag, -ENOMEM, "share-requests", "directory '%s'", opts.path);
	r = fs_create(&opts, &share->fs, diag);
	if (r < 0)
		return r;
	r = fs_engine_create(share->fs, vd->loop, share_batch_done, share, &share->engine);
	if (r < 0)
		return diag_set(diag, r, "share-requests", "directory '%s'", opts.path);
	memcpy(config.tag, conf->tag, strnlen(conf->tag, sizeof(config.tag)));
	vd->nr_queues = 1 + request_queues_of(conf);
	for (unsigned i = 0; i < vd->nr_queues; i++)
		vd->queue_size[i] = FS_QUEUE_SIZE;
	vd->config_len = sizeof(config);
	memcpy(vd->config, &config, sizeof(config));
	return 0;
}

/* Closing a file of a network file system may take long. */
static void fs_end(struct virtio_device *vd)
{
	struct share *share = share_of(vd);

	share->engine = fs_engine_destroy(share->engine);
	share->fs = fs_destroy(share->fs);
}

static void fs_fini(struct virtio_device *vd)
{
	fs_end(vd);
	free(share_of(vd)->requests);
}

const struct virtio_class virtio_fs_class = {
	.name = "file system",
	.device_id = VIRTIO_ID_FS,
	.counter_names = fs_counter_names,
	.io_role = THREAD_IO_FS,
	.state_size = sizeof(struct share),
	.init = fs_init,
	.fini = fs_fini,
	.stop = fs_stop,
	.end = fs_end,
	.kick = fs_kick,
};
