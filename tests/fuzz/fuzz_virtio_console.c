/*
 * Fuzz target: the virtio console and the balloon, with a driver that puts anything into their rings and
 * configuration, and a host that types, reads and resizes as it likes.
 *
 * Input: one byte for which device, then operations until it ends: a byte each for which, and what they
 * take. Invariants, besides not crashing:
 * - the host is never asked to take more than the chains of the driver hold;
 * - input is taken up to what the device said it takes, and never is beyond its bound;
 * - the balloon's target is the host's, whatever the driver writes there;
 * - no more chains are with the device than a queue holds;
 * - a device that asked for a reset works after it.
 */
#include <assert.h>

#include "base/macros.h"
#include "fuzz.h"
#include "fuzz_virtq.h"

#include "virtio/classes.h"
#include "virtio_rig.h"

enum {
	QUEUES_MAX = 4,
	SIZE = 16,
	QUEUE_BYTES = 0x1000,
	WORDS = QUEUES_MAX * QUEUE_BYTES / 2, /* of the memory where the queues are */
	DATA_GPA = 0x20000,
	DATA_BYTES = 0x80000,
	INPUT_BYTES_MAX = 1 << 14, /* that the console holds */
};

struct run {
	struct virtio_rig rig;
	struct virtq_driver drv[QUEUES_MAX];
	struct char_backend be;
	size_t room; /* of the host */
	uint16_t cols;
	bool console;
};

static size_t host_write(struct char_backend *be, const uint8_t *buf, size_t n)
{
	struct run *run = container_of(be, struct run, be);
	const uint8_t *ram = run->rig.mem.base;

	assert(buf >= ram && (size_t)(buf - ram) + n <= VIRTIO_RIG_RAM_BYTES && n > 0);
	if (n > run->room)
		n = run->room;
	run->room -= n;
	return n;
}

static void host_input_wanted(struct char_backend *be)
{
	(void)be;
}

static bool host_size(const struct char_backend *be, uint16_t *ret_cols, uint16_t *ret_rows)
{
	/* container_of() would drop the const */
	const struct run *run = (const void *)((const char *)be - offsetof(struct run, be));

	*ret_cols = run->cols;
	*ret_rows = 25;
	return true;
}

static void op_write(struct run *run, struct fuzz_input *in)
{
	const uint32_t off = VIRTIO_MMIO_CONFIG + fuzz_u8(in) % 4U * 4U;

	virtio_rig_write(&run->rig, off, (uint32_t)fuzz_uint(in, 4));
}

static void op_poke(struct run *run, struct fuzz_input *in)
{
	const uint64_t at = VIRTIO_RIG_QUEUE_GPA + 2 * (fuzz_uint(in, 2) % WORDS);
	const uint16_t val = (uint16_t)fuzz_uint(in, 2);

	guest_mem_write(&run->rig.mem, at, &val, sizeof(val));
}

static void op_kick(struct run *run, struct fuzz_input *in)
{
	virtio_rig_kick(&run->rig, fuzz_u8(in) % run->rig.vd->nr_queues);
}

/* A chain; the balloon's lists are of page numbers near and beyond the end of memory. */
static void op_chain(struct run *run, struct fuzz_input *in)
{
	struct virtq_driver *drv = &run->drv[fuzz_u8(in) % run->rig.vd->nr_queues];
	struct virtq_buf buf[4];
	const unsigned kinds = fuzz_u8(in), n = 1 + kinds % 4;

	if (!drv->mem)
		return;
	for (unsigned i = 0; i < n; i++) {
		buf[i].gpa = DATA_GPA + fuzz_scaled(in, 10) % DATA_BYTES;
		buf[i].len = 1 + (uint32_t)fuzz_scaled(in, 10);
		buf[i].write = (kinds >> 6 & 1) && i >= (kinds >> 4) % 4;
		for (unsigned k = 0; k < 4; k++) {
			const uint32_t pfn = (uint32_t)fuzz_scaled(in, 12);

			guest_mem_write(&run->rig.mem, buf[i].gpa + 4ULL * k, &pfn, sizeof(pfn));
		}
	}
	virtq_driver_add(drv, buf, n);
}

/* Buffers of a few bytes: one page number, or a key. */
static void op_flood(struct run *run, struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % run->rig.vd->nr_queues;
	struct virtq_driver *drv = &run->drv[queue];
	const uint8_t kind = fuzz_u8(in);
	const struct virtq_buf buf = {DATA_GPA, 1 + kind % 16U, kind >> 7};

	if (!drv->mem)
		return;
	fuzz_virtq_flood(drv, virtq_driver_chain(drv, &buf, 1));
	virtio_rig_kick(&run->rig, queue);
}

/* The host has room then, so that the console looks at the ring once more. */
static void op_back(struct run *run, struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % run->rig.vd->nr_queues;

	if (!run->drv[queue].mem)
		return;
	fuzz_virtq_back(&run->drv[queue], in);
	run->room += fuzz_u8(in);
	virtio_rig_kick(&run->rig, queue);
}

static void op_start(struct run *run, struct fuzz_input *in)
{
	const uint64_t features = virtio_rig_features(&run->rig) & fuzz_uint(in, 8);
	const uint32_t left_out = fuzz_virtq_left_out(in);

	assert(virtio_rig_negotiate(&run->rig, features));
	for (unsigned q = 0; q < run->rig.vd->nr_queues; q++) {
		virtq_driver_init(&run->drv[q], &run->rig.mem,
				  VIRTIO_RIG_QUEUE_GPA + (uint64_t)q * QUEUE_BYTES, SIZE);
		if (!(left_out >> q & 1))
			assert(virtio_rig_queue(&run->rig, q, &run->drv[q]));
	}
	virtio_rig_driver_ok(&run->rig);
	assert(virtio_rig_status(&run->rig) & VIRTIO_CONFIG_S_DRIVER_OK);
	assert(!run->rig.vd->broken);
}

static void retarget(struct run *run, uint64_t pages)
{
	virtio_balloon_retarget(run->rig.vd, pages << 12);
	assert(virtio_rig_read(&run->rig, VIRTIO_MMIO_CONFIG) == pages);
}

/* The host does something. */
static void op_host(struct run *run, struct fuzz_input *in)
{
	static const uint8_t typed[256];
	const struct char_ops *ops = virtio_console_class.chr;
	const uint8_t choice = fuzz_u8(in);
	size_t n;

	if (!run->console) {
		retarget(run, fuzz_scaled(in, 16));
		return;
	}
	run->cols = choice;
	if (choice & 1)
		ops->resized(run->rig.dev);
	n = ops->rx_room(run->rig.dev);
	assert(n <= INPUT_BYTES_MAX);
	if (n > choice)
		n = choice;
	ops->rx(run->rig.dev, typed, n);
	run->room = fuzz_scaled(in, 12);
	if (choice & 2)
		ops->tx_room(run->rig.dev);
}

static void (*const ops[])(struct run *run, struct fuzz_input *in) = {
	op_write, op_poke,  op_kick, op_kick,  op_chain,
	op_chain, op_start, op_host, op_flood, op_back,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	const uint8_t choice = fuzz_u8(&in);
	const struct virtio_balloon_conf conf = {.target_bytes = 1 << 20,
						 .stats_ns = choice & 2 ? 3600 * NS_PER_S : 0};
	struct run run = {
		.be = {.write = host_write, .input_wanted = host_input_wanted, .size = host_size},
		.console = choice & 1,
		.cols = 80,
	};

	if (virtio_rig_prepare(&run.rig,
			       run.console ? &virtio_console_class : &virtio_balloon_class,
			       run.console ? NULL : &conf) < 0)
		return 0;
	run.rig.f.env.chr = &run.be;
	if (virtio_rig_create(&run.rig) == 0) {
		while (in.left > 0) {
			ops[fuzz_u8(&in) % (sizeof(ops) / sizeof(ops[0]))](&run, &in);
			fuzz_virtq_check(run.rig.vd);
		}
		op_start(&run, &in);
	}
	virtio_rig_fini(&run.rig);
	return 0;
}
