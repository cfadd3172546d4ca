/*
 * disk.h - what a block device keeps its bytes in: a raw image file or a block device of the host, or a
 * throw-away overlay over one.
 *
 * Requests are asynchronous. disk_submit() takes one, disk_commit() sends what was submitted on its way,
 * and each ends with its done(): inside disk_commit(), inside disk_drain(), or from the event loop, but
 * never inside disk_submit(). A done() may submit more; whatever made it run commits that.
 *
 * Threads: everything here belongs to the thread that runs the disk's event loop, but for disk_open(), which
 * runs while it does not, and disk_close(), which runs while the loop does not.
 */
#ifndef VMM_BACKEND_DISK_H
#define VMM_BACKEND_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "backend/disk/engine.h"
#include "backend/disk/order.h"
#include "backend/fault.h"
#include "base/diag.h"
#include "event.h"

enum {
	DISK_SECTOR_BYTES = 512,
	DISK_REQUESTS_MAX = 128, /* under way at once, of one disk */
	DISK_IOV_MAX = 264,      /* pieces of one request */
};

struct disk;
struct disk_request;

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,   /* what was written and done before is on the medium */
	DISK_DISCARD, /* the bytes are not needed any more: a hint */
	DISK_ZERO,    /* the bytes read as zeros */
};

/* The raw back end's state of a request that is under way. */
struct disk_transfer {
	struct disk *disk;
	struct disk_io io;
	struct disk_span span; /* in the disk's order, if it has one */
	uint64_t pos;          /* bytes of the request that are done */
	/* An aligned buffer through which the caller's pieces are copied, or NULL. */
	uint8_t *staging;
	struct iovec staged_iov;
	uint64_t staged_off; /* where in the disk its bytes belong, and how many they are */
	size_t staged_bytes;
	uint32_t staged_align;
	void (*part_done)(struct disk_request *rq, ssize_t res);
};

/* The caller owns it from done() on, and before disk_submit(). */
struct disk_request {
	enum disk_op op;
	bool may_unmap; /* DISK_ZERO: the space may be given back */
	bool stable;    /* DISK_WRITE, DISCARD, ZERO: on the medium before done() */
	/*
	 * Multiples of DISK_SECTOR_BYTES, inside the disk; not for DISK_FLUSH. The back end may change
	 * these, and the array of pieces.
	 */
	uint64_t off, len;
	/* DISK_READ, DISK_WRITE: the buffers, len bytes in all. */
	struct iovec *iov;
	unsigned nr_iov;
	void (*done)(struct disk_request *rq, int err); /* 0 or -errno */

	struct disk_transfer raw; /* the back end's */
};

/* Properties of a disk; in bytes. */
struct disk_geometry {
	uint64_t bytes;          /* whole sectors; what the last one lacks reads as zeros */
	uint32_t logical_bytes;  /* block sizes: powers of two from 512 */
	uint32_t physical_bytes; /* what is written at once */
	uint32_t align_off;      /* of the first physical block */
	uint32_t io_min, io_opt; /* preferred sizes; 0: not known */
	bool read_only;
	bool can_discard; /* DISK_DISCARD may do something */
};

struct disk_ops {
	void (*submit)(struct disk *disk, struct disk_request *rq);
	void (*close)(struct disk *disk); /* nothing is under way */
	void (*drain)(struct disk *disk); /* NULL: what is under way is in the engine */
};

struct disk {
	const struct disk_ops *ops;
	struct disk_engine *engine; /* of the whole stack; the outermost disk owns it */
	struct disk_geometry geo;
	/* Set by the disk's user: a request has a fault on purpose. NULL: nobody counts. */
	void (*faulted)(void *arg, enum fault_kind kind);
	void *faulted_arg;
};

struct disk_opts {
	const char *path;
	bool read_only;
	bool is_root; /* a root file system is to be on it: an empty file is refused */
	bool direct;  /* O_DIRECT */
	bool cow;     /* writes go to an overlay that ends with the disk; path stays as it is */
	const struct fault_rules *faults; /* with at least one; or NULL */
	struct diag *
		warning; /* set when the disk is there, but with less than was asked for; or NULL */
};

/*
 * Opens and locks path: against everybody when it is written to, else against writers. batch_done(arg) runs
 * on the loop's thread after each batch of done() that the loop itself made, not after those inside
 * disk_commit() and disk_drain(). -errno with diag; -EBUSY when somebody else holds the lock.
 */
int disk_open(const struct disk_opts *opts, struct event_loop *loop, void (*batch_done)(void *arg),
	      void *arg, struct disk **ret, struct diag *diag);
/* Waits for what is under way. Takes NULL; returns NULL. */
struct disk *disk_close(struct disk *disk);

/* At most DISK_REQUESTS_MAX at once, of at most DISK_IOV_MAX pieces each. */
static inline void disk_submit(struct disk *disk, struct disk_request *rq)
{
	disk->ops->submit(disk, rq);
}
static inline void disk_commit(struct disk *disk)
{
	disk_engine_commit(disk->engine);
}
/* Returns when nothing is under way. */
static inline void disk_drain(struct disk *disk)
{
	if (disk->ops->drain)
		disk->ops->drain(disk);
	else
		disk_engine_drain(disk->engine);
}

#endif
