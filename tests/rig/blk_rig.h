/*
 * blk_rig.h - for tests of the block device: guest memory, a transport that counts, a driver for each
 * queue, and a disk in memory that does what the test says.
 */
#ifndef TESTS_BLK_RIG_H
#define TESTS_BLK_RIG_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "backend/disk.h"
#include "base/checked.h"
#include "base/iov.h"
#include "base/macros.h"
#include "virtio/classes.h"
#include "virtio/transport.h"
#include "virtq_driver.h"

#undef stop /* a macro of cmocka 2; here it is an operation of virtio devices */

enum {
	BLK_RIG_RAM_BYTES = 4 << 20,
	BLK_RIG_QUEUES = 4,
	BLK_RIG_SECTORS = 100,
	BLK_RIG_HEADER_GPA = 0x100000, /* of request i: + 16 * i */
	BLK_RIG_STATUS_GPA = 0x110000, /* of request i: + i */
	BLK_RIG_DATA_GPA = 0x200000,
};

/* A disk in memory. */
struct blk_rig_disk {
	struct disk disk;
	uint8_t bytes[BLK_RIG_SECTORS * 512];
	bool hold; /* requests are kept until blk_rig_release() */
	struct disk_request *held[DISK_REQUESTS_MAX];
	unsigned nr_held;
	int err;                  /* what requests end with */
	struct disk_request last; /* the last one submitted, as it was */
	unsigned submits;
	void (*submitted)(void *); /* runs with each, or NULL */
	void *submitted_arg;
};

struct blk_rig {
	struct guest_mem mem;
	struct event_loop loop;
	struct device_env env;
	struct doorbell bell;
	struct virtio_blk_conf conf;
	struct virtio_device *vd;
	struct blk_rig_disk *disk; /* NULL: conf.open made another */
	struct virtq_driver drv[BLK_RIG_QUEUES];
	uint32_t left_out; /* queues that the driver does not set up, a bit each */
	unsigned cpus;
	unsigned rings, interrupts, config_sets, needs_resets;
};

/* The transport's callbacks and open() get nothing of ours, so there is one rig at a time. */
static struct blk_rig blk_rig;

static inline void blk_rig_interrupt(struct virtio_device *vd)
{
	(void)vd;
	blk_rig.interrupts++;
}

static inline void blk_rig_config_set(struct virtio_device *vd, unsigned off, const void *bytes,
				      unsigned len)
{
	assert(off + len <= vd->config_len);
	memcpy(&vd->config[off], bytes, len);
	blk_rig.config_sets++;
}

static inline void blk_rig_needs_reset(struct virtio_device *vd, const char *why)
{
	(void)vd;
	assert(why);
	blk_rig.needs_resets++;
}

static inline void blk_rig_ring(struct doorbell *bell, unsigned queue)
{
	(void)bell;
	assert(queue < blk_rig.vd->nr_queues);
	blk_rig.rings++;
}

static inline void blk_rig_io_done(struct disk_io *io, ssize_t res)
{
	struct disk_request *rq = container_of(io, struct disk_request, raw.io);

	rq->done(rq, (int)res);
}

static inline void blk_rig_disk_run(struct blk_rig_disk *d, struct disk_request *rq)
{
	assert(rq->op == DISK_FLUSH || u64_range_within(rq->off, rq->len, sizeof(d->bytes)));
	if (d->err == 0 && rq->op == DISK_READ)
		iov_write(rq->iov, rq->nr_iov, 0, &d->bytes[rq->off], rq->len);
	if (d->err == 0 && rq->op == DISK_WRITE)
		iov_read(rq->iov, rq->nr_iov, 0, &d->bytes[rq->off], rq->len);
	if (d->err == 0 && rq->op == DISK_ZERO)
		memset(&d->bytes[rq->off], 0, rq->len);
	rq->raw.io.done = blk_rig_io_done;
	disk_engine_post(d->disk.engine, &rq->raw.io, d->err);
}

static inline void blk_rig_disk_submit(struct disk *disk, struct disk_request *rq)
{
	struct blk_rig_disk *d = container_of(disk, struct blk_rig_disk, disk);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < rq->nr_iov; i++)
		bytes += rq->iov[i].iov_len;
	assert(bytes == (rq->op == DISK_READ || rq->op == DISK_WRITE ? rq->len : 0));
	assert(rq->off % 512 == 0 && rq->len % 512 == 0);
	assert(!d->disk.geo.read_only || rq->op == DISK_READ || rq->op == DISK_FLUSH);
	d->submits++;
	d->last = *rq;
	if (d->hold) {
		assert(d->nr_held < DISK_REQUESTS_MAX);
		d->held[d->nr_held++] = rq;
	} else {
		blk_rig_disk_run(d, rq);
	}
	if (d->submitted)
		d->submitted(d->submitted_arg);
}

/* Ends the first n requests held, as the loop would. */
static inline void blk_rig_release(unsigned n)
{
	struct blk_rig_disk *d = blk_rig.disk;

	assert(n <= d->nr_held);
	for (unsigned i = 0; i < n; i++)
		blk_rig_disk_run(d, d->held[i]);
	d->nr_held -= n;
	memmove(d->held, d->held + n, d->nr_held * sizeof(struct disk_request *));
}

static inline void blk_rig_disk_close(struct disk *disk)
{
	free(container_of(disk, struct blk_rig_disk, disk));
}

static inline int blk_rig_open(const struct disk_opts *opts, struct event_loop *loop,
			       void (*batch_done)(void *arg), void *arg, struct disk **ret,
			       struct diag *diag)
{
	static const struct disk_ops ops = {.submit = blk_rig_disk_submit,
					    .close = blk_rig_disk_close};
	struct blk_rig_disk *d = calloc(1, sizeof(*d));

	(void)diag;
	assert(d);
	for (size_t i = 0; i < sizeof(d->bytes); i++)
		d->bytes[i] = (uint8_t)(i * 7 + i / 512);
	d->disk.ops = &ops;
	d->disk.geo = (struct disk_geometry){
		.bytes = sizeof(d->bytes),
		.logical_bytes = 512,
		.physical_bytes = 4096,
		.read_only = opts->read_only,
		.can_discard = !opts->read_only,
	};
	blk_rig.disk = d;
	*ret = &d->disk;
	return disk_engine_create(loop, DISK_ENGINE_THREADS, DISK_REQUESTS_MAX, batch_done, arg,
				  &d->disk.engine);
}

/* As the transport does it. */
static inline void blk_rig_kick(unsigned queue)
{
	if (!blk_rig.vd->broken && virtq_live(&blk_rig.vd->queue[queue]))
		blk_rig.vd->cls->kick(blk_rig.vd, queue);
}

/* As the transport starts it. acked: what the driver took of what is offered. */
static inline void blk_rig_start(uint64_t acked)
{
	struct virtio_device *vd = blk_rig.vd;

	vd->acked = acked & (vd->features | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |
			     UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
	vd->broken = false;
	for (unsigned i = 0; i < vd->nr_queues; i++) {
		struct virtq *vq = &vd->queue[i];

		virtq_reset(vq);
		blk_rig.drv[i] = (struct virtq_driver){0};
		if (blk_rig.left_out >> i & 1)
			continue;
		if (virtq_driver_start(&blk_rig.drv[i], vq, 0x10000 + i * UINT64_C(0x10000), 256,
				       vd->acked) < 0)
			abort();
	}
	for (unsigned i = 0; i < vd->nr_queues; i++)
		blk_rig_kick(i);
}

/* Before: conf, but for what has a default here. */
static inline void blk_rig_init(void)
{
	static const struct guest_region region = {.gpa = 0, .len = BLK_RIG_RAM_BYTES};
	static const struct virtio_transport_ops transport = {
		.interrupt = blk_rig_interrupt,
		.config_set = blk_rig_config_set,
		.needs_reset = blk_rig_needs_reset,
	};
	const struct virtio_class *cls = &virtio_blk_class;
	struct diag diag = {0};
	int r = guest_mem_init(&blk_rig.mem, &region, 1, &(struct guest_mem_opts){0}, &diag);

	if (r == 0)
		r = event_loop_init(&blk_rig.loop, NULL, NULL);
	if (r < 0)
		abort();
	blk_rig.bell.ring = blk_rig_ring;
	blk_rig.env = (struct device_env){.mem = &blk_rig.mem, .doorbell = &blk_rig.bell};
	if (!blk_rig.conf.open)
		blk_rig.conf.open = blk_rig_open;
	if (!blk_rig.conf.disk.path)
		blk_rig.conf.disk.path = "memory";
	blk_rig.conf.cpus = &blk_rig.cpus;
	if (!blk_rig.cpus)
		blk_rig.cpus = 1;
	blk_rig.vd = calloc(1, cls->state_size);
	if (!blk_rig.vd)
		abort();
	blk_rig.vd->cls = cls;
	blk_rig.vd->transport = &transport;
	blk_rig.vd->env = &blk_rig.env;
	blk_rig.vd->loop = &blk_rig.loop;
	blk_rig.vd->name = "disk0";
	if (cls->init(blk_rig.vd, &blk_rig.conf, &diag) < 0)
		abort();
	for (unsigned i = 0; i < blk_rig.vd->nr_queues; i++)
		virtq_init(&blk_rig.vd->queue[i], &blk_rig.mem, blk_rig.vd->queue_size[i]);
}

static inline void blk_rig_fini(void)
{
	blk_rig.vd->cls->stop(blk_rig.vd);
	blk_rig.vd->cls->fini(blk_rig.vd);
	free(blk_rig.vd);
	event_loop_fini(&blk_rig.loop);
	guest_mem_fini(&blk_rig.mem);
	memset(&blk_rig, 0, sizeof(blk_rig));
}

/* Guest memory, which is there. */
static inline uint8_t *blk_rig_ram(uint64_t gpa, uint64_t len)
{
	uint8_t *p = guest_mem_ptr(&blk_rig.mem, gpa, len);

	assert(p);
	return p;
}

static inline void blk_rig_header(unsigned i, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr hdr = {.type = htole32(type), .sector = htole64(sector)};

	memcpy(blk_rig_ram(BLK_RIG_HEADER_GPA + 16 * i, 16), &hdr, sizeof(hdr));
	*blk_rig_ram(BLK_RIG_STATUS_GPA + i, 1) = 0xee;
}

/* Request i of queue: header, one buffer of data unless len is 0, status. Offered, not kicked. */
static inline void blk_rig_request(unsigned queue, unsigned i, uint32_t type, uint64_t sector,
				   uint64_t data_gpa, uint32_t len)
{
	const bool from_device = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct virtq_buf buf[3];
	unsigned n = 0;

	blk_rig_header(i, type, sector);
	buf[n++] = (struct virtq_buf){BLK_RIG_HEADER_GPA + 16 * i, 16, false};
	if (len)
		buf[n++] = (struct virtq_buf){data_gpa, len, from_device};
	buf[n++] = (struct virtq_buf){BLK_RIG_STATUS_GPA + i, 1, true};
	virtq_driver_add(&blk_rig.drv[queue], buf, n);
}

static inline uint8_t blk_rig_status(unsigned i)
{
	return *blk_rig_ram(BLK_RIG_STATUS_GPA + i, 1);
}

#endif
