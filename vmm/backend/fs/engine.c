/*
 * engine.c - requests of one event loop: those that the host answers at once are served by the loop's own thread, and the
 * others by threads that start when there is work for them.
 *
 * The lock guards the lists and counts of the threads.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/fs.h"
#include "base/macros.h"
#include "base/thread.h"

enum { ENGINE_THREADS_MAX = 4 };

struct request_list {
	struct fs_request *first, *last;
};

struct fs_engine {
	struct fs *fs;
	struct event_loop *loop;
	struct event_source source; /* an eventfd: something has ended */
	void (*batch_done)(void *arg);
	void *batch_done_arg;
	struct fs_worker *worker;  /* of the loop's thread */
	struct request_list ended; /* of the loop's thread: done is still to be called */
	unsigned under_way;

	pthread_mutex_t lock;
	pthread_cond_t work; /* todo or stop changed */
	struct request_list todo, finished;
	unsigned nr_todo, idle; /* idle: threads that wait for work */
	bool stop;

	struct engine_thread {
		struct fs_engine *engine;
		struct fs_worker *worker;
		pthread_t thread;
	} thread[ENGINE_THREADS_MAX];
	unsigned nr_threads;
};

static void request_add(struct request_list *list, struct fs_request *rq)
{
	rq->next = NULL;
	if (list->last)
		list->last->next = rq;
	else
		list->first = rq;
	list->last = rq;
}

static struct fs_request *request_take(struct request_list *list)
{
	struct fs_request *rq = list->first;

	if (!rq)
		return NULL;
	list->first = rq->next;
	if (!list->first)
		list->last = NULL;
	return rq;
}

static bool request_serve(struct fs_engine *engine, struct fs_worker *worker, struct fs_request *rq,
			  bool may_wait)
{
	return fs_serve(engine->fs, worker, rq->out, rq->nr_out, rq->in, rq->nr_in, may_wait,
			&rq->result);
}

static void *engine_thread(void *arg)
{
	struct engine_thread *self = arg;
	struct fs_engine *engine = self->engine;

	pthread_mutex_lock(&engine->lock);
	for (;;) {
		struct fs_request *rq = request_take(&engine->todo);
		const uint64_t one = 1;

		if (!rq && engine->stop)
			break;
		if (!rq) {
			engine->idle++;
			pthread_cond_wait(&engine->work, &engine->lock);
			engine->idle--;
			continue;
		}
		engine->nr_todo--;
		pthread_mutex_unlock(&engine->lock);
		request_serve(engine, self->worker, rq, true);
		pthread_mutex_lock(&engine->lock);
		if (!engine->finished.first && write(engine->source.fd, &one, sizeof(one)) < 0)
			assert(errno == EAGAIN); /* signalled as it is */
		request_add(&engine->finished, rq);
	}
	pthread_mutex_unlock(&engine->lock);
	return NULL;
}

/* Without another one, those that there are do it; without any, the loop's own. */
static void engine_add_thread(struct fs_engine *engine)
{
	struct engine_thread *thread = &engine->thread[engine->nr_threads];

	thread->engine = engine;
	thread->worker = fs_worker_create();
	if (thread->worker &&
	    thread_start(&thread->thread, THREAD_FS_WORKER, NULL, engine_thread, thread) == 0)
		engine->nr_threads++;
	else
		thread->worker = fs_worker_destroy(thread->worker);
}

static void take_finished(struct fs_engine *engine)
{
	struct fs_request *rq;

	pthread_mutex_lock(&engine->lock);
	while ((rq = request_take(&engine->finished)) != NULL)
		request_add(&engine->ended, rq);
	pthread_mutex_unlock(&engine->lock);
}

/* Calls done for what has ended, and for what ends while they run; true when there was any. */
static bool requests_end(struct fs_engine *engine)
{
	bool any = false;

	for (;;) {
		struct fs_request *rq;

		take_finished(engine);
		if (!engine->ended.first)
			return any;
		any = true;
		while ((rq = request_take(&engine->ended)) != NULL) {
			engine->under_way--;
			rq->done(rq);
		}
	}
}

static void event_clear(const struct fs_engine *engine)
{
	uint64_t n;
	const ssize_t got = read(engine->source.fd, &n, sizeof(n));

	(void)got; /* EAGAIN: it was not signalled */
}

static void requests_ready(struct event_source *src, uint32_t epoll_events)
{
	struct fs_engine *engine = container_of(src, struct fs_engine, source);

	(void)epoll_events;
	event_clear(engine);
	if (requests_end(engine))
		engine->batch_done(engine->batch_done_arg);
}

static int engine_begin(struct fs_engine *engine)
{
	int r;

	engine->worker = fs_worker_create();
	if (!engine->worker)
		return -ENOMEM;
	engine->source = (struct event_source){
		.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = requests_ready,
	};
	if (engine->source.fd < 0)
		return -errno;
	r = event_loop_add(engine->loop, &engine->source);
	return r;
}

int fs_engine_create(struct fs *fs, struct event_loop *loop, void (*batch_done)(void *arg),
		     void *arg, struct fs_engine **ret)
{
	struct fs_engine *engine = calloc(1, sizeof(*engine));
	int r;

	if (!engine)
		return -ENOMEM;
	engine->fs = fs;
	engine->loop = loop;
	engine->batch_done = batch_done;
	engine->batch_done_arg = arg;
	engine->source.fd = -1;
	pthread_mutex_init(&engine->lock, NULL);
	pthread_cond_init(&engine->work, NULL);
	r = engine_begin(engine);
	if (r < 0) {
		fs_engine_destroy(engine);
		return r;
	}
	*ret = engine;
	return 0;
}

struct fs_engine *fs_engine_destroy(struct fs_engine *engine)
{
	if (!engine)
		return NULL;
	fs_engine_drain(engine);
	pthread_mutex_lock(&engine->lock);
	engine->stop = true;
	pthread_cond_broadcast(&engine->work);
	pthread_mutex_unlock(&engine->lock);
	for (unsigned i = 0; i < engine->nr_threads; i++) {
		pthread_join(engine->thread[i].thread, NULL);
		fs_worker_destroy(engine->thread[i].worker);
	}
	event_loop_remove(engine->loop, &engine->source);
	if (engine->source.fd >= 0)
		close(engine->source.fd);
	fs_worker_destroy(engine->worker);
	pthread_cond_destroy(&engine->work);
	pthread_mutex_destroy(&engine->lock);
	free(engine);
	return NULL;
}

/* To a thread; false: there is none. */
static bool engine_hand_over(struct fs_engine *engine, struct fs_request *rq)
{
	bool busy;

	if (engine->nr_threads == 0)
		engine_add_thread(engine);
	if (engine->nr_threads == 0)
		return false;
	pthread_mutex_lock(&engine->lock);
	request_add(&engine->todo, rq);
	busy = ++engine->nr_todo > engine->idle;
	pthread_cond_signal(&engine->work);
	pthread_mutex_unlock(&engine->lock);
	if (busy && engine->nr_threads < ENGINE_THREADS_MAX)
		engine_add_thread(engine);
	return true;
}

void fs_engine_submit(struct fs_engine *engine, struct fs_request *rq)
{
	engine->under_way++;
	if (request_serve(engine, engine->worker, rq, false)) {
		request_add(&engine->ended, rq);
		return;
	}
	if (engine_hand_over(engine, rq))
		return;
	request_serve(engine, engine->worker, rq, true);
	request_add(&engine->ended, rq);
}

void fs_engine_commit(struct fs_engine *engine)
{
	requests_end(engine);
}

void fs_engine_drain(struct fs_engine *engine)
{
	fs_engine_commit(engine);
	while (engine->under_way > 0) {
		struct pollfd ready = {.fd = engine->source.fd, .events = POLLIN};

		poll(&ready, 1, -1);
		event_clear(engine);
		fs_engine_commit(engine);
	}
}
