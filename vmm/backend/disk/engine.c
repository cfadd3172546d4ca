#include "backend/disk/engine.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/macros.h"

struct disk_engine {
	struct event_loop *loop;
	struct event_source source; /* the eventfd that both ways signal */
	void (*batch_done)(void *arg);
	void *batch_done_arg;
	struct disk_uring *uring; /* NULL: threads alone */
	struct disk_pool *pool;
	struct disk_io_list finished; /* their done is still to be called */
	unsigned under_way;           /* started or posted, and not done */
};

void disk_io_list_add(struct disk_io_list *list, struct disk_io *io)
{
	io->next = NULL;
	if (list->last)
		list->last->next = io;
	else
		list->first = io;
	list->last = io;
}

struct disk_io *disk_io_list_take(struct disk_io_list *list)
{
	struct disk_io *io = list->first;

	if (!io)
		return NULL;
	list->first = io->next;
	if (!list->first)
		list->last = NULL;
	return io;
}

/* Calls done for what has ended, and for what ends while they run; true when there was any. */
static bool engine_reap(struct disk_engine *engine)
{
	bool any = false;

	for (;;) {
		struct disk_io *io;

		if (engine->uring)
			disk_uring_reap(engine->uring, &engine->finished);
		disk_pool_reap(engine->pool, &engine->finished);
		if (!engine->finished.first)
			return any;
		any = true;
		while ((io = disk_io_list_take(&engine->finished)) != NULL) {
			engine->under_way--;
			io->done(io, io->res);
		}
		if (engine->uring)
			disk_uring_commit(engine->uring);
	}
}

static void clear_signal(const struct disk_engine *engine)
{
	uint64_t n;
	ssize_t got = read(engine->source.fd, &n, sizeof(n));

	(void)got; /* EAGAIN: it was not signalled */
}

static void engine_ready(struct event_source *src, uint32_t epoll_events)
{
	struct disk_engine *engine = container_of(src, struct disk_engine, source);

	(void)epoll_events;
	clear_signal(engine);
	if (engine->uring)
		disk_uring_commit(engine->uring);
	if (engine_reap(engine))
		engine->batch_done(engine->batch_done_arg);
}

static int engine_init(struct disk_engine *engine, enum disk_engine_kind kind, unsigned depth)
{
	int r;

	engine->source = (struct event_source){
		.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = engine_ready,
	};
	if (engine->source.fd < 0)
		return -errno;
	r = event_loop_add(engine->loop, &engine->source);
	if (r < 0)
		return r;
	/* Whatever the reason is why there is none (seccomp, a sysctl, memory), threads do it too. */
	if (kind == DISK_ENGINE_BEST &&
	    disk_uring_create(depth, engine->source.fd, &engine->uring) < 0)
		engine->uring = NULL;
	return disk_pool_create(engine->source.fd, &engine->pool);
}

int disk_engine_create(struct event_loop *loop, enum disk_engine_kind kind, unsigned depth,
		       void (*batch_done)(void *arg), void *arg, struct disk_engine **ret)
{
	struct disk_engine *engine = calloc(1, sizeof(*engine));
	int r;

	if (!engine)
		return -ENOMEM;
	engine->loop = loop;
	engine->batch_done = batch_done;
	engine->batch_done_arg = arg;
	r = engine_init(engine, kind, depth);
	if (r < 0) {
		disk_engine_destroy(engine);
		return r;
	}
	*ret = engine;
	return 0;
}

struct disk_engine *disk_engine_destroy(struct disk_engine *engine)
{
	if (!engine)
		return NULL;
	if (engine->pool)
		disk_engine_drain(engine);
	disk_uring_destroy(engine->uring);
	disk_pool_destroy(engine->pool);
	event_loop_remove(engine->loop, &engine->source);
	if (engine->source.fd >= 0)
		close(engine->source.fd);
	free(engine);
	return NULL;
}

void disk_engine_start(struct disk_engine *engine, struct disk_io *io)
{
	ssize_t n = -1;

	if (io->now == DISK_IO_NOW) {
		disk_engine_post(engine, io, disk_io_run(io));
		return;
	}
	/* An error is reported by the call that may wait: not all file systems know RWF_NOWAIT. */
	if (io->now == DISK_IO_IF_CACHED)
		n = preadv2(io->fd, io->iov, (int)io->nr_iov, (off_t)io->off, RWF_NOWAIT);
	if (n >= 0) {
		disk_engine_post(engine, io, n);
		return;
	}
	engine->under_way++;
	if (!engine->uring || !disk_uring_start(engine->uring, io))
		disk_pool_start(engine->pool, io);
}

void disk_engine_post(struct disk_engine *engine, struct disk_io *io, ssize_t res)
{
	engine->under_way++;
	io->res = res;
	disk_io_list_add(&engine->finished, io);
}

void disk_engine_commit(struct disk_engine *engine)
{
	if (engine->uring)
		disk_uring_commit(engine->uring);
	engine_reap(engine);
}

void disk_engine_drain(struct disk_engine *engine)
{
	disk_engine_commit(engine);
	while (engine->under_way > 0) {
		struct pollfd ready = {.fd = engine->source.fd, .events = POLLIN};

		poll(&ready, 1, -1);
		clear_signal(engine);
		disk_engine_commit(engine);
	}
}
