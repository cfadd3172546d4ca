/*
 * engine.h - runs the system calls of a disk without waiting for them: by io_uring where the host
 * permits it, else by a few threads.
 *
 * Threads: all of it belongs to the event loop's thread; create and destroy run while the loop does not.
 */
#ifndef VMM_BACKEND_DISK_ENGINE_H
#define VMM_BACKEND_DISK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "event.h"

enum disk_io_op {
	DISK_IO_READ,      /* preadv(2) */
	DISK_IO_WRITE,     /* pwritev(2) */
	DISK_IO_SYNC,      /* fdatasync(2) */
	DISK_IO_FALLOCATE, /* fallocate(2) */
	DISK_IO_DISCARD,   /* ioctl(2), BLKDISCARD */
};

/* Whether disk_engine_start() makes the call itself. */
enum disk_io_now {
	DISK_IO_LATER,
	DISK_IO_IF_CACHED, /* DISK_IO_READ: when it need not wait for a disk */
	DISK_IO_NOW,       /* it copies memory, and there is nothing to gain elsewhere */
};

/* One system call. The engine has it from start to done, which gets what the call returned or -errno. */
struct disk_io {
	enum disk_io_op op;
	int fd;
	int mode; /* of DISK_IO_FALLOCATE */
	enum disk_io_now now;
	uint64_t off, len; /* bytes; len not for DISK_IO_READ and WRITE */
	const struct iovec *iov;
	unsigned nr_iov;
	void (*done)(struct disk_io *io, ssize_t res);

	ssize_t res; /* the engine's */
	struct disk_io *next;
};

/* A queue of them, first in, first out; zeroed: empty. */
struct disk_io_list {
	struct disk_io *first, *last;
};
void disk_io_list_add(struct disk_io_list *list, struct disk_io *io);
struct disk_io *disk_io_list_take(struct disk_io_list *list); /* NULL when empty */

struct disk_engine;
struct disk_uring;
struct disk_pool;

enum disk_engine_kind {
	DISK_ENGINE_BEST,    /* io_uring, or threads where that is not permitted */
	DISK_ENGINE_THREADS, /* threads alone */
};

/* At most depth calls are under way at once. batch_done: see disk_open(). -errno. */
int disk_engine_create(struct event_loop *loop, enum disk_engine_kind kind, unsigned depth,
		       void (*batch_done)(void *arg), void *arg, struct disk_engine **ret);
struct disk_engine *disk_engine_destroy(struct disk_engine *engine); /* drains; takes NULL */

/* Never calls done. */
void disk_engine_start(struct disk_engine *engine, struct disk_io *io);
/* As if a call had returned res. */
void disk_engine_post(struct disk_engine *engine, struct disk_io *io, ssize_t res);
void disk_engine_commit(struct disk_engine *engine);
void disk_engine_drain(struct disk_engine *engine);

/*
 * The two ways, for engine.c. event_fd is signalled when there is something to reap, and at other
 * times too.
 */

/* -errno where the host does not permit it, or Tollgate was built without. */
int disk_uring_create(unsigned depth, int event_fd, struct disk_uring **ret);
struct disk_uring *
disk_uring_destroy(struct disk_uring *uring); /* nothing is under way; takes NULL */
/* False: io_uring does not do such a call. */
bool disk_uring_start(struct disk_uring *uring, struct disk_io *io);
/* Sends what was started on its way; signals event_fd when the kernel wants to be asked again. */
void disk_uring_commit(struct disk_uring *uring);
void disk_uring_reap(struct disk_uring *uring, struct disk_io_list *ret);

/* Threads start when there is work for them. */
int disk_pool_create(int event_fd, struct disk_pool **ret);
struct disk_pool *disk_pool_destroy(struct disk_pool *pool); /* nothing is under way; takes NULL */
void disk_pool_start(struct disk_pool *pool, struct disk_io *io);
void disk_pool_reap(struct disk_pool *pool, struct disk_io_list *ret);

/* Makes the call and waits for it. */
ssize_t disk_io_run(const struct disk_io *io);

#endif
