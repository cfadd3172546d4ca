/*
 * pool.c - threads that make system calls which may take long.
 *
 * The lock guards all of struct disk_pool but event_fd and what only the loop's thread uses.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/disk/engine.h"
#include "base/thread.h"

enum { POOL_THREADS_MAX = 4 };

struct disk_pool {
	pthread_mutex_t lock;
	pthread_cond_t work; /* todo or stop changed */
	struct disk_io_list todo, finished;
	unsigned nr_todo;
	unsigned idle; /* threads that wait for work */
	bool stop;
	int event_fd;

	pthread_t thread[POOL_THREADS_MAX]; /* the loop's thread alone */
	unsigned nr_threads;
};

ssize_t disk_io_run(const struct disk_io *io)
{
	uint64_t range[2] = {io->off, io->len};
	ssize_t n = -1;

	switch (io->op) {
	case DISK_IO_READ: n = preadv(io->fd, io->iov, (int)io->nr_iov, (off_t)io->off); break;
	case DISK_IO_WRITE: n = pwritev(io->fd, io->iov, (int)io->nr_iov, (off_t)io->off); break;
	case DISK_IO_SYNC: n = fdatasync(io->fd); break;
	case DISK_IO_FALLOCATE:
		n = fallocate(io->fd, io->mode, (off_t)io->off, (off_t)io->len);
		break;
	case DISK_IO_DISCARD: n = ioctl(io->fd, BLKDISCARD, range); break;
	}
	return n < 0 ? -errno : n;
}

static void *pool_thread(void *arg)
{
	struct disk_pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct disk_io *io = disk_io_list_take(&pool->todo);
		const uint64_t one = 1;
		bool first;

		if (!io && pool->stop)
			break;
		if (!io) {
			pool->idle++;
			pthread_cond_wait(&pool->work, &pool->lock);
			pool->idle--;
			continue;
		}
		pool->nr_todo--;
		pthread_mutex_unlock(&pool->lock);
		io->res = disk_io_run(io);
		pthread_mutex_lock(&pool->lock);
		first = !pool->finished.first;
		disk_io_list_add(&pool->finished, io);
		if (first && write(pool->event_fd, &one, sizeof(one)) < 0)
			assert(errno == EAGAIN); /* signalled as it is */
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int disk_pool_create(int event_fd, struct disk_pool **ret)
{
	struct disk_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pool->event_fd = event_fd;
	*ret = pool;
	return 0;
}

struct disk_pool *disk_pool_destroy(struct disk_pool *pool)
{
	if (!pool)
		return NULL;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->nr_threads; i++)
		pthread_join(pool->thread[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	return NULL;
}

static void add_thread(struct disk_pool *pool)
{
	if (thread_start(&pool->thread[pool->nr_threads], THREAD_DISK_WORKER, NULL, pool_thread,
			 pool) == 0)
		pool->nr_threads++;
}

void disk_pool_start(struct disk_pool *pool, struct disk_io *io)
{
	bool busy;

	pthread_mutex_lock(&pool->lock);
	disk_io_list_add(&pool->todo, io);
	busy = ++pool->nr_todo > pool->idle;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	if (busy && pool->nr_threads < POOL_THREADS_MAX)
		add_thread(pool);
	if (pool->nr_threads > 0)
		return;
	/* No thread can be had: the loop's own makes the call, and waits. */
	pool->nr_todo--;
	io = disk_io_list_take(&pool->todo);
	io->res = disk_io_run(io);
	disk_io_list_add(&pool->finished, io);
}

void disk_pool_reap(struct disk_pool *pool, struct disk_io_list *ret)
{
	struct disk_io *io;

	pthread_mutex_lock(&pool->lock);
	while ((io = disk_io_list_take(&pool->finished)) != NULL)
		disk_io_list_add(ret, io);
	pthread_mutex_unlock(&pool->lock);
}
