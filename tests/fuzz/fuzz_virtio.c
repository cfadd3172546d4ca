/*
 * Fuzz target: virtqueues and the MMIO transport, with a device that uses what it gets.
 *
 * Input: operations until it ends, a byte each for which, and what they take: register accesses of any
 * width at any place, words of memory where the queues are, doorbells, acknowledgements that KVM
 * counted, changes of the configuration, floods of small buffers, an index that goes back. A driver that is
 * right most of the time comes from operations that do a whole step of it. Invariants, besides not crashing:
 * - a chain's buffers are in RAM, its sums right, and no more chains are out than the queue has room for;
 * - the device is started and stopped in turn, and touches no queue while stopped;
 * - what the page shows is what an exit would read;
 * - NEEDS_RESET goes by a reset alone, and then the device can be started again.
 */
#include <assert.h>
#include <string.h>

#include "base/macros.h"
#include "fuzz.h"
#include "fuzz_virtq.h"

#include "virtio_rig.h"

enum {
	QUEUES = 2,
	SIZE = 16,
	CONFIG_LEN = 12,
	PIECES_MAX = 8,
	FEATURE = 5,
	DATA_GPA = 0x20000,
	WORDS_MAX = 0x1000, /* of the memory at VIRTIO_RIG_QUEUE_GPA */
	PAGE_FROM = 0x60,
};

struct user {
	struct virtio_device vd;
	bool started;
	uint16_t held[QUEUES][VIRTQ_SIZE_MAX / 1024]; /* heads not handed back yet */
	unsigned nr_held[QUEUES];
};

static _Alignas(4096) uint8_t page[4096];

static struct user *user_of(struct virtio_device *vd)
{
	return container_of(vd, struct user, vd);
}

static int user_init(struct virtio_device *vd, const void *conf, struct diag *diag)
{
	(void)conf;
	(void)diag;
	vd->features = UINT64_C(1) << FEATURE;
	vd->nr_queues = QUEUES;
	vd->queue_size[0] = SIZE;
	vd->queue_size[1] = 2 * SIZE;
	vd->config_len = CONFIG_LEN;
	return 0;
}

static void user_start(struct virtio_device *vd)
{
	struct user *user = user_of(vd);

	assert(!user->started);
	user->started = true;
	memset(user->nr_held, 0, sizeof(user->nr_held));
}

static void user_stop(struct virtio_device *vd)
{
	assert(user_of(vd)->started);
	user_of(vd)->started = false;
}

static void check_chain(const struct virtio_device *vd, const struct virtq_chain *chain)
{
	const char *ram = vd->env->mem->base;
	uint64_t bytes = 0;

	assert(chain->nr_out + chain->nr_in >= 1 && chain->nr_out + chain->nr_in <= PIECES_MAX);
	for (unsigned i = 0; i < chain->nr_out + chain->nr_in; i++) {
		const struct iovec *piece = &chain->out[i];
		const char *at = piece->iov_base;

		assert(piece->iov_len > 0 && at >= ram);
		assert((size_t)(at - ram) + piece->iov_len <= VIRTIO_RIG_RAM_BYTES);
		bytes += piece->iov_len;
	}
	assert(bytes == (uint64_t)chain->out_bytes + chain->in_bytes);
}

/* Hands back all but a few at once, the youngest first. */
static void user_kick(struct virtio_device *vd, unsigned queue)
{
	struct user *user = user_of(vd);
	struct virtq *vq = &vd->queue[queue];
	struct virtq_chain chain;
	struct iovec iov[PIECES_MAX];

	assert(user->started && virtq_live(vq) && !vd->broken);
	virtq_kicks_suppress(vq);
	do {
		while (virtio_pop(vd, queue, iov, PIECES_MAX, &chain)) {
			check_chain(vd, &chain);
			assert(user->nr_held[queue] < vq->size);
			user->held[queue][user->nr_held[queue]++] = chain.head;
		}
	} while (virtq_kicks_allow(vq) && !vd->broken);
	while (user->nr_held[queue] > 2)
		virtq_push(vq, user->held[queue][--user->nr_held[queue]], chain.in_bytes);
	virtio_publish(vd, queue);
}

static void user_config_written(struct virtio_device *vd, unsigned off, unsigned len)
{
	assert(len > 0 && off + len <= vd->config_len);
}

static const struct virtio_class user_class = {
	.name = "user",
	.device_id = 42,
	.state_size = sizeof(struct user),
	.init = user_init,
	.start = user_start,
	.stop = user_stop,
	.kick = user_kick,
	.config_written = user_config_written,
};

struct run {
	struct virtio_rig rig;
	struct virtq_driver drv[QUEUES];
};

static struct io_at fuzz_at(struct fuzz_input *in)
{
	static const uint8_t sizes[] = {4, 4, 4, 4, 1, 2, 4, 4};
	struct io_at at = {.size = sizes[fuzz_u8(in) % 8]};

	at.off = fuzz_u8(in) * 4U % VIRTIO_MMIO_BYTES;
	if (at.size < 4)
		at.off += fuzz_u8(in) % 4;
	if (at.off + at.size > VIRTIO_MMIO_BYTES)
		at.off = (uint64_t)VIRTIO_MMIO_BYTES - at.size;
	return at;
}

static void op_read(struct run *run, struct fuzz_input *in)
{
	const struct io_at at = fuzz_at(in);
	const uint64_t val = fake_read(run->rig.dev, 0, at.off, at.size);

	assert(val <= UINT64_MAX >> (64 - 8 * at.size));
}

static void op_write(struct run *run, struct fuzz_input *in)
{
	const struct io_at at = fuzz_at(in);
	uint64_t val = fuzz_uint(in, at.size);

	/* A reset is waited for where its answer does not come at once; deaf rigs never answer. */
	fake_write(run->rig.dev, 0, at.off, at.size, val);
}

static void op_poke(struct run *run, struct fuzz_input *in)
{
	const uint64_t at = VIRTIO_RIG_QUEUE_GPA + 2 * (fuzz_uint(in, 2) % WORDS_MAX);
	const uint16_t val = (uint16_t)fuzz_uint(in, 2);

	guest_mem_write(&run->rig.mem, at, &val, sizeof(val));
}

static void op_kick(struct run *run, struct fuzz_input *in)
{
	virtio_rig_kick(&run->rig, fuzz_u8(in) % (QUEUES + 1));
}

/* A doorbell of KVM's, which asks nobody whether there is such a queue, or a device that runs. */
static void op_late_ring(struct run *run, struct fuzz_input *in)
{
	run->rig.dev->cls->io->kick(run->rig.dev, fuzz_u8(in) % (QUEUES + 1));
}

static void op_ack(struct run *run, struct fuzz_input *in)
{
	(void)in;
	virtio_rig_ack(&run->rig);
}

static void op_expire(struct run *run, struct fuzz_input *in)
{
	(void)in;
	if (run->rig.f.deadline_ns != INT64_MAX)
		virtio_rig_expire(&run->rig);
}

static void op_config(struct run *run, struct fuzz_input *in)
{
	const uint8_t bytes[4] = {1, 2, 3, 4};
	const unsigned off = fuzz_u8(in) % CONFIG_LEN;

	virtio_config_set(run->rig.vd, off, bytes, off + 4 <= CONFIG_LEN ? 4 : 1);
}

static void op_start(struct run *run, struct fuzz_input *in)
{
	const uint8_t choice = fuzz_u8(in);
	const uint64_t features = (uint64_t)(choice & 1) << VIRTIO_RING_F_EVENT_IDX |
				  (uint64_t)(choice >> 1 & 1) << VIRTIO_RING_F_INDIRECT_DESC |
				  (uint64_t)(choice >> 2 & 1) << FEATURE;

	const uint32_t left_out = fuzz_virtq_left_out(in);

	assert(virtio_rig_negotiate(&run->rig, features));
	for (uint32_t q = 0; q < QUEUES; q++) {
		virtq_driver_init(&run->drv[q], &run->rig.mem,
				  VIRTIO_RIG_QUEUE_GPA + q * (uint64_t)WORDS_MAX, SIZE);
		if (!(left_out >> q & 1))
			assert(virtio_rig_queue(&run->rig, q, &run->drv[q]));
	}
	virtio_rig_driver_ok(&run->rig);
	assert(virtio_rig_status(&run->rig) & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void op_add(struct run *run, struct fuzz_input *in)
{
	const uint8_t choice = fuzz_u8(in);
	struct virtq_driver *drv = &run->drv[choice % QUEUES];
	struct virtq_buf buf[4];
	const unsigned n = 1 + choice / QUEUES % 4;

	if (!drv->mem)
		return;
	for (unsigned i = 0; i < n; i++)
		buf[i] = (struct virtq_buf){DATA_GPA + fuzz_u8(in), 1 + fuzz_u8(in), i >= n / 2};
	if (choice & 0x80)
		virtq_driver_offer(drv, virtq_driver_indirect(drv, DATA_GPA + 0x1000, buf, n));
	else
		virtq_driver_add(drv, buf, n);
}

static void op_flood(struct run *run, struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % QUEUES;
	const struct virtq_buf buf = {DATA_GPA, 1 + fuzz_u8(in) % 16U, true};
	struct virtq_driver *drv = &run->drv[queue];

	if (!drv->mem)
		return;
	fuzz_virtq_flood(drv, virtq_driver_chain(drv, &buf, 1));
	virtio_rig_kick(&run->rig, queue);
}

static void op_back(struct run *run, struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % QUEUES;

	if (!run->drv[queue].mem)
		return;
	fuzz_virtq_back(&run->drv[queue], in);
	virtio_rig_kick(&run->rig, queue);
}

static void (*const ops[])(struct run *run, struct fuzz_input *in) = {
	op_read, op_write, op_write,     op_poke, op_poke,   op_kick,   op_kick,  op_kick,  op_add,
	op_add,  op_add,   op_late_ring, op_ack,  op_expire, op_config, op_start, op_flood, op_back,
};

static void check(struct run *run)
{
	struct virtio_rig *rig = &run->rig;
	const struct user *user = user_of(rig->vd);
	const uint32_t status = virtio_rig_status(rig);
	uint32_t shown;

	fuzz_virtq_check(rig->vd);
	assert(user->started == !!(status & VIRTIO_CONFIG_S_DRIVER_OK));
	assert(!(status & VIRTIO_CONFIG_S_DRIVER_OK) || status & VIRTIO_CONFIG_S_FEATURES_OK);
	assert(!!(status & VIRTIO_CONFIG_S_NEEDS_RESET) == (user->started && rig->vd->broken));
	for (uint32_t reg = PAGE_FROM; reg < VIRTIO_MMIO_BYTES; reg += 4) {
		memcpy(&shown, &page[reg - PAGE_FROM], sizeof(shown));
		assert(shown == virtio_rig_read(rig, reg));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	struct run run = {0};

	if (virtio_rig_init_page(&run.rig, &user_class, NULL, page) < 0)
		return 0;
	while (in.left > 0) {
		ops[fuzz_u8(&in) % (sizeof(ops) / sizeof(ops[0]))](&run, &in);
		check(&run);
	}
	virtio_rig_fini(&run.rig);
	return 0;
}
