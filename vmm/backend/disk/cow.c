/*
 * cow.c - an overlay that ends with the disk: what was written lies in a sparse nameless file at
 * the offset it has in the disk, and a bit for each cluster says where to read. The bits are memory that
 * the kernel gives page by page: at most a 32,768th of the disk.
 *
 * A write to part of a cluster that is not in the overlay yet takes the rest of the cluster along, in
 * the same call. The order keeps all others away from that cluster meanwhile.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "backend/disk/raw.h"
#include "base/iov.h"
#include "base/macros.h"

enum {
	CLUSTER_BYTES = 4096,
	WORD_BITS = 64,
};

struct cow_slot;

struct disk_cow {
	struct disk disk;
	struct disk *base, *over;
	uint64_t *present; /* a bit for each cluster: it is in the overlay */
	size_t present_bytes;
	struct disk_order order;
	struct cow_slot *slots; /* DISK_REQUESTS_MAX; memory is touched as they are first used */
	unsigned nr_touched;
	struct cow_slot *free; /* of those */
	uint8_t *zeros;        /* a cluster of them */
};

/* State of a request, which makes one call at a time. */
struct cow_slot {
	struct disk_cow *cow;
	struct cow_slot *next_free;
	struct disk_request *rq;
	struct disk_request sub; /* of base or overlay */
	struct disk_io empty;    /* of a request that needs none */
	struct disk_span span;   /* clusters */
	bool in_order;           /* span is in cow->order */
	uint64_t pos;            /* bytes of rq that are done */
	uint64_t part_bytes;     /* of the part under way, which begins at pos */
	uint64_t head, tail;     /* bytes taken along before and after the part */
	struct iovec fill;       /* of sub, while it reads them */
	uint8_t before[CLUSTER_BYTES], after[CLUSTER_BYTES];
	struct iovec iov[DISK_IOV_MAX + 2];
};

static bool is_present(const struct disk_cow *cow, uint64_t cluster)
{
	return cow->present[cluster / WORD_BITS] >> cluster % WORD_BITS & 1;
}

static void set_present(struct disk_cow *cow, uint64_t first, uint64_t last)
{
	for (uint64_t c = first; c <= last; c++)
		cow->present[c / WORD_BITS] |= UINT64_C(1) << c % WORD_BITS;
}

static void slot_end(struct cow_slot *slot, int err)
{
	struct disk_cow *cow = slot->cow;
	struct disk_request *rq = slot->rq;

	if (slot->in_order)
		disk_order_leave(&cow->order, &slot->span);
	slot->next_free = cow->free;
	cow->free = slot;
	rq->done(rq, err);
}

static void cow_empty_done(struct disk_io *io, ssize_t res)
{
	slot_end(container_of(io, struct cow_slot, empty), (int)res);
}

static struct cow_slot *slot_of(struct disk_request *sub)
{
	return container_of(sub, struct cow_slot, sub);
}

static uint64_t position(const struct cow_slot *slot)
{
	return slot->rq->off + slot->pos;
}

static uint64_t left(const struct cow_slot *slot)
{
	return slot->rq->len - slot->pos;
}

/*
 * Reading: run by run of clusters that lie in the same place.
 */

static void read_run(struct cow_slot *slot);

static void cow_read_done(struct disk_request *sub, int err)
{
	struct cow_slot *slot = slot_of(sub);

	slot->pos += slot->part_bytes;
	if (err < 0 || left(slot) == 0)
		slot_end(slot, err);
	else
		read_run(slot);
}

static void read_run(struct cow_slot *slot)
{
	struct disk_cow *cow = slot->cow;
	const uint64_t at = position(slot), end = at + left(slot);
	uint64_t cluster = at / CLUSTER_BYTES, run_end;
	const bool present = is_present(cow, cluster);

	do {
		run_end = ++cluster * CLUSTER_BYTES;
	} while (run_end < end && is_present(cow, cluster) == present);
	if (run_end > end)
		run_end = end;
	slot->part_bytes = run_end - at;
	slot->sub = (struct disk_request){
		.op = DISK_READ,
		.off = at,
		.len = slot->part_bytes,
		.iov = slot->iov,
		.nr_iov = iov_slice(slot->rq->iov, slot->rq->nr_iov, slot->pos, slot->part_bytes,
				    slot->iov),
		.done = cow_read_done,
	};
	disk_submit(present ? cow->over : cow->base, &slot->sub);
}

/*
 * Writing, and zeroing: a part at a time. Zeroing has up to three: the end of a cluster, whole clusters,
 * the beginning of one.
 */

static void start_part(struct cow_slot *slot);

static void cow_part_done(struct disk_request *sub, int err)
{
	struct cow_slot *slot = slot_of(sub);
	const uint64_t at = position(slot);

	if (err < 0) {
		slot_end(slot, err); /* what was not in the overlay is still the base's */
		return;
	}
	set_present(slot->cow, at / CLUSTER_BYTES, (at + slot->part_bytes - 1) / CLUSTER_BYTES);
	slot->pos += slot->part_bytes;
	if (left(slot) == 0)
		slot_end(slot, 0);
	else
		start_part(slot);
}

static void cow_write_part(struct cow_slot *slot)
{
	const struct disk_request *rq = slot->rq;
	unsigned nr = 0;

	if (slot->head)
		slot->iov[nr++] = (struct iovec){slot->before, (size_t)slot->head};
	if (rq->op == DISK_WRITE)
		nr += iov_slice(rq->iov, rq->nr_iov, slot->pos, slot->part_bytes, &slot->iov[nr]);
	else
		slot->iov[nr++] = (struct iovec){slot->cow->zeros, (size_t)slot->part_bytes};
	if (slot->tail)
		slot->iov[nr++] = (struct iovec){slot->after, (size_t)slot->tail};
	slot->sub = (struct disk_request){
		.op = DISK_WRITE,
		.off = position(slot) - slot->head,
		.len = slot->head + slot->part_bytes + slot->tail,
		.iov = slot->iov,
		.nr_iov = nr,
		.done = cow_part_done,
	};
	disk_submit(slot->cow->over, &slot->sub);
}

static void fill_done(struct disk_request *sub, int err);

/* Reads the rest of the part's clusters, and of that what is not there yet. */
static void slot_fill(struct cow_slot *slot, uint64_t off, uint64_t bytes, uint8_t *to)
{
	slot->fill = (struct iovec){to, (size_t)bytes};
	slot->sub = (struct disk_request){
		.op = DISK_READ,
		.off = off,
		.len = bytes,
		.iov = &slot->fill,
		.nr_iov = 1,
		.done = fill_done,
	};
	disk_submit(slot->cow->base, &slot->sub);
}

static void fill_tail(struct cow_slot *slot)
{
	if (slot->tail)
		slot_fill(slot, position(slot) + slot->part_bytes, slot->tail, slot->after);
	else
		cow_write_part(slot);
}

static void fill_done(struct disk_request *sub, int err)
{
	struct cow_slot *slot = slot_of(sub);

	if (err < 0)
		slot_end(slot, err);
	else if (sub->off < position(slot))
		fill_tail(slot);
	else
		cow_write_part(slot);
}

static void punch_part(struct cow_slot *slot)
{
	slot->sub = (struct disk_request){
		.op = DISK_ZERO,
		.may_unmap = true,
		.off = position(slot),
		.len = slot->part_bytes,
		.done = cow_part_done,
	};
	disk_submit(slot->cow->over, &slot->sub);
}

/* Where the part of a DISK_ZERO ends that begins at at; whole clusters are one part. */
static uint64_t zero_part_end(uint64_t at, uint64_t end)
{
	const uint64_t cluster_end = (at / CLUSTER_BYTES + 1) * CLUSTER_BYTES;

	if (at % CLUSTER_BYTES != 0 || cluster_end > end)
		return cluster_end < end ? cluster_end : end;
	return end - end % CLUSTER_BYTES;
}

static void start_part(struct cow_slot *slot)
{
	struct disk_cow *cow = slot->cow;
	const uint64_t at = position(slot), whole = at + left(slot);
	const uint64_t end = slot->rq->op == DISK_WRITE ? whole : zero_part_end(at, whole);
	uint64_t cluster_end = (end + CLUSTER_BYTES - 1) / CLUSTER_BYTES * CLUSTER_BYTES;

	slot->part_bytes = end - at;
	if (slot->rq->op != DISK_WRITE && at % CLUSTER_BYTES == 0 && end % CLUSTER_BYTES == 0) {
		punch_part(slot);
		return;
	}
	if (cluster_end > cow->disk.geo.bytes)
		cluster_end = cow->disk.geo.bytes;
	slot->head = is_present(cow, at / CLUSTER_BYTES) ? 0 : at % CLUSTER_BYTES;
	slot->tail = is_present(cow, (end - 1) / CLUSTER_BYTES) ? 0 : cluster_end - end;
	if (slot->head)
		slot_fill(slot, at - slot->head, slot->head, slot->before);
	else
		fill_tail(slot);
}

/* A discard is done by whole clusters, which then read as zeros. */
static void shrink_discard(struct disk_request *rq)
{
	const uint64_t first = (rq->off + CLUSTER_BYTES - 1) / CLUSTER_BYTES * CLUSTER_BYTES;
	const uint64_t end = (rq->off + rq->len) / CLUSTER_BYTES * CLUSTER_BYTES;

	rq->len = first < end ? end - first : 0;
	rq->off = first;
}

static void cow_span_go(struct disk_span *span)
{
	start_part(container_of(span, struct cow_slot, span));
}

static struct cow_slot *slot_take(struct disk_cow *cow)
{
	struct cow_slot *slot = cow->free;

	if (slot) {
		cow->free = slot->next_free;
		return slot;
	}
	assert(cow->nr_touched < DISK_REQUESTS_MAX);
	return &cow->slots[cow->nr_touched++];
}

static void cow_submit(struct disk *disk, struct disk_request *rq)
{
	struct disk_cow *cow = container_of(disk, struct disk_cow, disk);
	struct cow_slot *slot = slot_take(cow);

	slot->cow = cow;
	slot->rq = rq;
	slot->pos = 0;
	slot->in_order = false;
	if (rq->op == DISK_DISCARD)
		shrink_discard(rq);
	/* Nothing of the overlay outlives us, so a flush has nothing to bring to a disk. */
	if (rq->op == DISK_FLUSH || rq->len == 0) {
		slot->empty.done = cow_empty_done;
		disk_engine_post(disk->engine, &slot->empty, 0);
		return;
	}
	if (rq->op == DISK_READ) {
		read_run(slot);
		return;
	}
	slot->in_order = true;
	slot->span = (struct disk_span){
		.first = rq->off / CLUSTER_BYTES,
		.last = (rq->off + rq->len - 1) / CLUSTER_BYTES,
		.go = cow_span_go,
	};
	if (disk_order_enter(&cow->order, &slot->span))
		start_part(slot);
}

static void cow_close(struct disk *disk)
{
	struct disk_cow *cow = container_of(disk, struct disk_cow, disk);

	cow->base->ops->close(cow->base);
	if (cow->over)
		cow->over->ops->close(cow->over);
	if (cow->present)
		munmap(cow->present, cow->present_bytes);
	free(cow->slots);
	free(cow->zeros);
	free(cow);
}

static const struct disk_ops cow_ops = {
	.submit = cow_submit,
	.close = cow_close,
};

static int cow_init(struct disk_cow *cow, const struct disk_opts *opts, struct diag *diag)
{
	const uint64_t bytes = cow->disk.geo.bytes;
	const uint64_t words = bytes / CLUSTER_BYTES / WORD_BITS + 1;
	struct disk_file file;
	void *bits;
	int r;

	cow->slots = calloc(DISK_REQUESTS_MAX, sizeof(*cow->slots));
	cow->zeros = calloc(1, CLUSTER_BYTES);
	bits = mmap(NULL, words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bits != MAP_FAILED) {
		cow->present = bits;
		cow->present_bytes = words * sizeof(uint64_t);
	}
	if (!cow->slots || !cow->zeros || !cow->present)
		return diag_set(diag, -ENOMEM, "cow-memory", "a ,cow disk");
	r = disk_file_make_sparse(opts, bytes, &file, diag);
	if (r == 0)
		r = disk_raw_create(&file, cow->disk.engine, &cow->over);
	return r < 0 ? diag_set(diag, r, "cow-create", "a ,cow disk") : 0;
}

int disk_cow_create(struct disk *base, const struct disk_opts *opts, struct disk **ret,
		    struct diag *diag)
{
	struct disk_cow *cow = calloc(1, sizeof(*cow));
	int r;

	if (!cow) {
		base->ops->close(base);
		return diag_set(diag, -ENOMEM, "cow-memory", "a ,cow disk");
	}
	cow->disk = (struct disk){.ops = &cow_ops, .engine = base->engine, .geo = base->geo};
	cow->disk.geo.read_only = false;
	cow->disk.geo.can_discard = true;
	cow->base = base;
	r = cow_init(cow, opts, diag);
	if (r < 0) {
		cow_close(&cow->disk);
		return r;
	}
	*ret = &cow->disk;
	return 0;
}
