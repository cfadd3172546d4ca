/* uring.c - system calls by io_uring. Without liburing there is none, and threads do it all. */
#include <errno.h>

#include "backend/disk/engine.h"

#ifdef TOLLGATE_HAVE_LIBURING

#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

struct disk_uring {
	struct io_uring ring;
	int event_fd;
};

/* The calls that io_uring must know, or threads are the better way. */
static const uint8_t needed[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
				 IORING_OP_FALLOCATE};
enum { NEEDED = sizeof(needed) / sizeof(needed[0]) };

static bool knows_all(struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool all = probe != NULL;

	for (size_t i = 0; all && i < NEEDED; i++)
		all = io_uring_opcode_supported(probe, needed[i]);
	free(probe);
	return all;
}

/* No filter of the sandbox sees what a ring is asked for. So this one takes the needed calls and no other (Linux 5.10). */
static int uring_restrict(struct io_uring *ring)
{
	struct io_uring_restriction allowed[NEEDED] = {0};
	int r;

	for (size_t i = 0; i < NEEDED; i++) {
		allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
		allowed[i].sqe_op = needed[i];
	}
	r = io_uring_register_restrictions(ring, allowed, NEEDED);
	return r < 0 ? r : io_uring_enable_rings(ring);
}

int disk_uring_create(unsigned depth, int event_fd, struct disk_uring **ret)
{
	static const unsigned flags[] = {
#ifdef IORING_SETUP_COOP_TASKRUN /* Linux 5.19: no interprocessor interrupt to a thread that polls soon */
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_R_DISABLED,
#endif
		IORING_SETUP_R_DISABLED,
	};
	struct disk_uring *uring = calloc(1, sizeof(*uring));
	int r = -EINVAL;

	if (!uring)
		return -ENOMEM;
	uring->event_fd = event_fd;
	for (size_t i = 0; r == -EINVAL && i < sizeof(flags) / sizeof(flags[0]); i++)
		r = io_uring_queue_init(depth, &uring->ring, flags[i]);
	if (r < 0) {
		free(uring);
		return r;
	}
	r = knows_all(&uring->ring) ? io_uring_register_eventfd(&uring->ring, event_fd) : -ENOSYS;
	if (r == 0)
		r = uring_restrict(&uring->ring);
	if (r < 0) {
		disk_uring_destroy(uring);
		return r;
	}
	*ret = uring;
	return 0;
}

struct disk_uring *disk_uring_destroy(struct disk_uring *uring)
{
	if (!uring)
		return NULL;
	io_uring_queue_exit(&uring->ring);
	free(uring);
	return NULL;
}

/* Offset and length are off_t to older versions of liburing, and __u64 to newer ones. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static void prep_fallocate(struct io_uring_sqe *sqe, const struct disk_io *io)
{
	io_uring_prep_fallocate(sqe, io->fd, io->mode, io->off, io->len);
}
#pragma GCC diagnostic pop

bool disk_uring_start(struct disk_uring *uring, struct disk_io *io)
{
	struct io_uring_sqe *sqe;

	if (io->op == DISK_IO_DISCARD)
		return false;
	sqe = io_uring_get_sqe(&uring->ring);
	if (!sqe) {
		disk_uring_commit(uring);
		sqe = io_uring_get_sqe(&uring->ring);
	}
	if (!sqe)
		return false; /* the kernel takes no more at the moment: a thread does it */
	switch (io->op) {
	case DISK_IO_READ: io_uring_prep_readv(sqe, io->fd, io->iov, io->nr_iov, io->off); break;
	case DISK_IO_WRITE: io_uring_prep_writev(sqe, io->fd, io->iov, io->nr_iov, io->off); break;
	case DISK_IO_FALLOCATE: prep_fallocate(sqe, io); break;
	default: io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC); break;
	}
	io_uring_sqe_set_data(sqe, io);
	return true;
}

void disk_uring_commit(struct disk_uring *uring)
{
	const uint64_t one = 1;

	if (io_uring_sq_ready(&uring->ring) == 0)
		return;
	io_uring_submit(&uring->ring);
	/* EAGAIN, EBUSY: what the kernel did not take stays in the ring. */
	if (io_uring_sq_ready(&uring->ring) > 0 && write(uring->event_fd, &one, sizeof(one)) < 0)
		return; /* EAGAIN: signalled as it is */
}

void disk_uring_reap(struct disk_uring *uring, struct disk_io_list *ret)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
		struct disk_io *io = io_uring_cqe_get_data(cqe);

		io->res = cqe->res;
		disk_io_list_add(ret, io);
		io_uring_cqe_seen(&uring->ring, cqe);
	}
}

#else

int disk_uring_create(unsigned depth, int event_fd, struct disk_uring **ret)
{
	(void)depth;
	(void)event_fd;
	(void)ret;
	return -ENOSYS;
}

struct disk_uring *disk_uring_destroy(struct disk_uring *uring)
{
	(void)uring;
	return NULL;
}

bool disk_uring_start(struct disk_uring *uring, struct disk_io *io)
{
	(void)uring;
	(void)io;
	return false;
}

void disk_uring_commit(struct disk_uring *uring)
{
	(void)uring;
}

void disk_uring_reap(struct disk_uring *uring, struct disk_io_list *ret)
{
	(void)uring;
	(void)ret;
}

#endif
