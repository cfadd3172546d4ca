/*
 * disk_rig.h - for the tests of disk back ends: a temporary image whose bytes are known, a disk on it in
 * one of several ways, and requests that are waited for.
 */
#ifndef TESTS_UNIT_DISK_RIG_H
#define TESTS_UNIT_DISK_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/disk.h"
#include "backend/disk/raw.h"
#include "base/macros.h"

/* How a disk is made. */
struct disk_way {
	const char *name;
	enum disk_engine_kind engine;
	uint32_t align; /* as if O_DIRECT asked for so much; 0: as the file is */
	bool direct, cow;
};

struct disk_rig {
	char path[64];
	struct event_loop loop;
	struct disk *disk;
	unsigned batch_done; /* calls */
};

static inline void disk_rig_batch_done(void *arg)
{
	((struct disk_rig *)arg)->batch_done++;
}

/* Byte i of a fresh image. */
static inline uint8_t disk_rig_byte(uint64_t i)
{
	return (uint8_t)(i * 7 + i / 512);
}

static inline void disk_rig_image(struct disk_rig *rig, size_t bytes)
{
	uint8_t *all = malloc(bytes + 1);
	int fd;

	strcpy(rig->path, "/tmp/tollgate-disk-XXXXXX");
	fd = mkstemp(rig->path);
	assert_true(fd >= 0);
	for (size_t i = 0; i < bytes; i++)
		all[i] = disk_rig_byte(i);
	assert_int_equal(pwrite(fd, all, bytes, 0), bytes);
	close(fd);
	free(all);
}

static inline void disk_rig_file(struct disk_rig *rig, uint8_t *buf, size_t bytes)
{
	int fd = open(rig->path, O_RDONLY);

	assert_int_equal(pread(fd, buf, bytes, 0), bytes);
	close(fd);
}

/* False when the file system has no O_DIRECT. */
static inline bool disk_rig_open(struct disk_rig *rig, const struct disk_way *way)
{
	const struct disk_opts opts = {
		.path = rig->path, .direct = way->direct, .read_only = way->cow};
	struct disk_engine *engine;
	struct disk_file file;
	struct diag diag = {0};
	int r;

	assert_int_equal(event_loop_init(&rig->loop, NULL, NULL), 0);
	assert_int_equal(disk_engine_create(&rig->loop, way->engine, DISK_REQUESTS_MAX,
					    disk_rig_batch_done, rig, &engine),
			 0);
	r = disk_file_open(&opts, &file, &diag);
	if (r < 0) {
		assert_true(way->direct && r == -EINVAL);
		disk_engine_destroy(engine);
		event_loop_fini(&rig->loop);
		return false;
	}
	if (way->align) {
		file.direct = true;
		file.dio_mem_align = way->align;
		file.dio_off_align = way->align;
	}
	assert_int_equal(disk_raw_create(&file, engine, &rig->disk), 0);
	if (way->cow)
		assert_int_equal(disk_cow_create(rig->disk, &opts, &rig->disk, &diag), 0);
	return true;
}

static inline void disk_rig_close(struct disk_rig *rig)
{
	rig->disk = disk_close(rig->disk);
	event_loop_fini(&rig->loop);
}

static inline void disk_rig_remove(struct disk_rig *rig)
{
	unlink(rig->path);
}

/* A request and how it ended. */
struct rig_request {
	struct disk_request rq;
	struct iovec iov[8];
	struct event_loop *stop; /* the loop to stop when it is done, or NULL */
	bool done;
	int err;
};

static inline void rig_request_done(struct disk_request *rq, int err)
{
	struct rig_request *r = container_of(rq, struct rig_request, rq);

	assert_false(r->done);
	r->done = true;
	r->err = err;
	if (r->stop)
		event_loop_stop(r->stop);
}

/* One buffer. */
static inline void rig_request_init(struct rig_request *r, enum disk_op op, uint64_t off, void *buf,
				    size_t len)
{
	*r = (struct rig_request){
		.rq = {.op = op, .off = off, .len = len, .iov = r->iov, .done = rig_request_done},
	};
	if (op == DISK_READ || op == DISK_WRITE) {
		r->iov[0] = (struct iovec){buf, len};
		r->rq.nr_iov = 1;
	}
}

/* Waits for its end; 0 or -errno. */
static inline int disk_rig_run(struct disk_rig *rig, struct rig_request *r)
{
	disk_submit(rig->disk, &r->rq);
	assert_false(r->done);
	disk_drain(rig->disk);
	assert_true(r->done);
	return r->err;
}

static inline int disk_rig_do(struct disk_rig *rig, enum disk_op op, uint64_t off, void *buf,
			      size_t len)
{
	struct rig_request r;

	rig_request_init(&r, op, off, buf, len);
	return disk_rig_run(rig, &r);
}

#endif
