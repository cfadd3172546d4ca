/*
 * The block device against a driver that sends anything: chains cut and ordered at random, headers and
 * ranges with wild values, disks that fail or take their time, floods, an index that goes back, queues left out,
 * resets in between. The disk asserts that what reaches it lies inside it, and adds up.
 */
#include <assert.h>

#include "base/macros.h"
#include "blk_rig.h"
#include "fuzz.h"
#include "fuzz_virtq.h"

enum {
	BUFS_MAX = 12,
	RANDOM_GPA = 0x300000, /* header, data and ranges of the chains: input bytes */
	RANDOM_BYTES = 4096,
	TABLE_GPA = 0x180000,
};

/* Mostly the types there are, then any. */
static uint32_t fuzz_type(struct fuzz_input *in)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,          VIRTIO_BLK_T_FLUSH,
		VIRTIO_BLK_T_GET_ID,  VIRTIO_BLK_T_DISCARD,      VIRTIO_BLK_T_WRITE_ZEROES,
		VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
	};
	const uint8_t n = fuzz_u8(in);

	return n < 250 ? types[n % ARRAY_SIZE(types)] : (uint32_t)fuzz_uint(in, 4);
}

/* Near the beginning, near the end, or anywhere. */
static uint64_t fuzz_sector(struct fuzz_input *in)
{
	switch (fuzz_u8(in) % 4) {
	case 0: return fuzz_u8(in);
	case 1: return BLK_RIG_SECTORS - fuzz_u8(in) % 16;
	case 2: return UINT64_MAX - fuzz_u8(in);
	default: return fuzz_uint(in, 8);
	}
}

/* The header of a request, and bytes that may be its ranges. */
static void fill_memory(struct fuzz_input *in, uint64_t gpa)
{
	struct virtio_blk_outhdr hdr = {.type = htole32(fuzz_type(in)),
					.sector = htole64(fuzz_sector(in))};
	struct virtio_blk_discard_write_zeroes range;

	memcpy(blk_rig_ram(gpa, sizeof(hdr)), &hdr, sizeof(hdr));
	for (uint64_t i = 1; i < 4; i++) {
		range.sector = htole64(fuzz_sector(in));
		range.num_sectors = htole32((uint32_t)fuzz_scaled(in, 24));
		range.flags = htole32(fuzz_u8(in) % 4 == 0 ? fuzz_u8(in) % 4 : 0);
		memcpy(blk_rig_ram(gpa + 16 * i, sizeof(range)), &range, sizeof(range));
	}
}

static uint32_t fuzz_len(struct fuzz_input *in)
{
	switch (fuzz_u8(in) % 4) {
	case 0: return 16;
	case 1: return 512U * (1 + fuzz_u8(in) % 8);
	case 2: return 1;
	default: return 1U + fuzz_u8(in);
	}
}

static void op_chain(struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % blk_rig.vd->nr_queues;
	struct virtq_driver *drv = &blk_rig.drv[queue];
	const unsigned n = 1 + fuzz_u8(in) % BUFS_MAX;
	const unsigned readable = fuzz_u8(in) % (n + 1);
	struct virtq_buf buf[BUFS_MAX];
	uint64_t gpa = RANDOM_GPA + fuzz_u8(in) * UINT64_C(64);

	if (!drv->mem)
		return;
	fill_memory(in, gpa);
	for (unsigned i = 0; i < n; i++) {
		buf[i] = (struct virtq_buf){gpa, fuzz_len(in), i >= readable};
		gpa += buf[i].len;
	}
	if (fuzz_u8(in) % 2)
		virtq_driver_offer(
			drv, virtq_driver_indirect(drv, TABLE_GPA + queue * 0x1000ULL, buf, n));
	else
		virtq_driver_add(drv, buf, n);
	if (fuzz_u8(in) % 2)
		blk_rig_kick(queue);
}

/* As drivers send them: header, data, status. */
static void op_request(struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % blk_rig.vd->nr_queues;

	if (!blk_rig.drv[queue].mem)
		return;
	blk_rig_request(queue, fuzz_u8(in), fuzz_type(in), fuzz_sector(in), BLK_RIG_DATA_GPA,
			512U * (fuzz_u8(in) % 20));
	blk_rig_kick(queue);
}

/* Requests as small as they can be: most end at once, but for flushes, which a disk may take its time for. */
static void op_flood(struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % blk_rig.vd->nr_queues;
	const struct virtq_buf buf[] = {{RANDOM_GPA, 16, false},
					{RANDOM_GPA + RANDOM_BYTES, 1, true}};
	struct virtq_driver *drv = &blk_rig.drv[queue];

	if (!drv->mem)
		return;
	fill_memory(in, RANDOM_GPA);
	fuzz_virtq_flood(drv, virtq_driver_chain(drv, buf, 2));
	blk_rig_kick(queue);
}

/* After requests that the disk holds still. */
static void op_back(struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % blk_rig.vd->nr_queues;

	if (!blk_rig.drv[queue].mem)
		return;
	blk_rig.disk->hold = true;
	for (unsigned n = fuzz_u8(in) % 4; n > 0; n--)
		blk_rig_request(queue, n, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	blk_rig_kick(queue);
	fuzz_virtq_back(&blk_rig.drv[queue], in);
	blk_rig_kick(queue);
}

static void op_kick(struct fuzz_input *in)
{
	blk_rig_kick(fuzz_u8(in) % blk_rig.vd->nr_queues);
}

static void op_disk(struct fuzz_input *in)
{
	static const int errs[] = {0, 0, -EIO, -ENOSPC};

	blk_rig.disk->hold = fuzz_u8(in) % 4 == 0;
	blk_rig.disk->err = errs[fuzz_u8(in) % ARRAY_SIZE(errs)];
	if (!blk_rig.disk->hold)
		blk_rig_release(blk_rig.disk->nr_held);
	disk_commit(&blk_rig.disk->disk);
}

static void op_config(struct fuzz_input *in)
{
	const unsigned len = 1U << fuzz_u8(in) % 4;
	const unsigned off = fuzz_u8(in) % (blk_rig.vd->config_len - len + 1);

	for (unsigned i = 0; i < len; i++)
		blk_rig.vd->config[off + i] = fuzz_u8(in);
	blk_rig.vd->cls->config_written(blk_rig.vd, off, len);
}

static void op_reset(struct fuzz_input *in)
{
	blk_rig.disk->hold = false;
	blk_rig_release(blk_rig.disk->nr_held);
	blk_rig.vd->cls->stop(blk_rig.vd);
	blk_rig.left_out = fuzz_virtq_left_out(in);
	blk_rig_start(fuzz_u8(in) % 2 ? UINT64_MAX : fuzz_uint(in, 4));
}

static void (*const ops[])(struct fuzz_input *in) = {
	op_chain,   op_chain, op_chain, op_chain,  op_request, op_request, op_request,
	op_request, op_kick,  op_disk,  op_config, op_reset,   op_flood,   op_back,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};

	blk_rig.conf.disk.read_only = fuzz_u8(&in) % 8 == 0;
	blk_rig.conf.queues = 1 + fuzz_u8(&in) % BLK_RIG_QUEUES;
	blk_rig_init();
	blk_rig_start(UINT64_MAX);
	while (in.left > 0) {
		ops[fuzz_u8(&in) % ARRAY_SIZE(ops)](&in);
		fuzz_virtq_check(blk_rig.vd);
		if (blk_rig.vd->broken)
			op_reset(&in);
	}
	blk_rig.disk->hold = false;
	blk_rig_release(blk_rig.disk->nr_held);
	blk_rig_fini();
	return 0;
}
