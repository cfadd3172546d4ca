#include "backend/file_writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io_full.h"
#include "base/thread.h"

enum { PIECE_BYTES = 1 << 16 };

struct file_writer {
	int fd, pipe_read, pipe_write, failed;
	char *path; /* to open first; NULL: fd is open */
	struct out_file_opts opts;
	atomic_int err;
	pthread_mutex_t lock;
	pthread_cond_t done_set;
	atomic_bool done; /* set under the lock */
	/* Bytes that follow those of the pipe; the thread's once has_rest is set, before the writing end is closed. */
	char *rest;
	size_t rest_len;
	atomic_bool has_rest;
	pthread_t thread;
	struct file_writer *next; /* in abandoned */
	char piece[PIECE_BYTES];  /* the thread's */
};

/* Those that a thread may use until this process has ended. Kept in view of leak checkers. */
static struct file_writer *_Atomic abandoned;

static int write_what_comes(struct file_writer *fw)
{
	for (;;) {
		const ssize_t n = io_read_some(fw->pipe_read, fw->piece, sizeof(fw->piece));
		int r;

		if (n == 0)
			return atomic_load(&fw->has_rest)
				       ? io_write_full(fw->fd, fw->rest, fw->rest_len, NULL)
				       : 0;
		r = n < 0 ? -errno : io_write_full(fw->fd, fw->piece, (size_t)n, NULL);
		if (r < 0)
			return r;
	}
}

static int open_file(struct file_writer *fw)
{
	if (fw->path)
		fw->fd = out_file_open(fw->path, &fw->opts);
	return fw->fd < 0 ? fw->fd : 0;
}

/* A network file system may say "no space" only when the file is closed. */
static int close_file(struct file_writer *fw)
{
	const int fd = fw->fd;

	fw->fd = -1;
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

/* No writer of the pipe is to be held up, or to die of SIGPIPE, because the file failed. */
static void drop_what_comes(struct file_writer *fw)
{
	while (io_read_some(fw->pipe_read, fw->piece, sizeof(fw->piece)) > 0)
		;
}

static void *writer_thread(void *arg)
{
	struct file_writer *fw = arg;
	const uint64_t one = 1;
	int r = open_file(fw);

	if (r == 0) {
		const int written = write_what_comes(fw);

		r = close_file(fw);
		if (written < 0)
			r = written;
	}
	atomic_store(&fw->err, r);
	if (r < 0) {
		if (write(fw->failed, &one, sizeof(one)) < 0)
			assert(false && "the counter is not near its limit");
		drop_what_comes(fw);
	}
	pthread_mutex_lock(&fw->lock);
	atomic_store(&fw->done, true);
	pthread_cond_signal(&fw->done_set);
	pthread_mutex_unlock(&fw->lock);
	return NULL;
}

static void writer_release(struct file_writer *fw)
{
	if (fw->pipe_read >= 0)
		close(fw->pipe_read);
	if (fw->pipe_write >= 0)
		close(fw->pipe_write);
	if (fw->failed >= 0)
		close(fw->failed);
	pthread_cond_destroy(&fw->done_set);
	pthread_mutex_destroy(&fw->lock);
	free(fw->rest);
	free(fw->path);
	free(fw);
}

static int open_pipe(struct file_writer *fw)
{
	int ends[2];

	fw->failed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fw->failed < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fw->pipe_read = ends[0];
	fw->pipe_write = ends[1];
	return fcntl(fw->pipe_write, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* Takes over path, also when it fails. */
static int writer_start(int fd, char *path, const struct out_file_opts *opts,
			struct file_writer **ret, int *ret_pipe, int *ret_failed)
{
	struct file_writer *fw = calloc(1, sizeof(*fw));
	int r;

	if (!fw) {
		free(path);
		return -ENOMEM;
	}
	fw->fd = fd;
	fw->path = path;
	fw->opts = *opts;
	fw->pipe_read = fw->pipe_write = -1;
	pthread_mutex_init(&fw->lock, NULL);
	pthread_cond_init(&fw->done_set, NULL);
	r = open_pipe(fw);
	if (r == 0)
		r = thread_start(&fw->thread, THREAD_FILE_WRITER, NULL, writer_thread, fw);
	if (r < 0) {
		writer_release(fw);
		return r;
	}
	*ret = fw;
	*ret_pipe = fw->pipe_write;
	*ret_failed = fw->failed;
	return 0;
}

int file_writer_start(int fd, struct file_writer **ret, int *ret_pipe, int *ret_failed)
{
	return writer_start(fd, NULL, &(struct out_file_opts){0}, ret, ret_pipe, ret_failed);
}

int file_writer_open(const char *path, const struct out_file_opts *opts, struct file_writer **ret,
		     int *ret_pipe, int *ret_failed)
{
	char *copy = strdup(path);

	return copy ? writer_start(-1, copy, opts, ret, ret_pipe, ret_failed) : -ENOMEM;
}

int file_writer_error(const struct file_writer *fw)
{
	return atomic_load(&fw->err);
}

void file_writer_finish(struct file_writer *fw, char *rest, size_t len)
{
	fw->rest = rest;
	fw->rest_len = len;
	atomic_store(&fw->has_rest, true);
	close(fw->pipe_write); /* the thread reads what it holds, and then the end */
	fw->pipe_write = -1;
}

bool file_writer_is_done(const struct file_writer *fw)
{
	return atomic_load(&fw->done);
}

/* Not pthread_clockjoin_np(), which ThreadSanitizer does not know. */
static bool wait_until_done(struct file_writer *fw, int64_t until_ns)
{
	const struct timespec until = clock_timespec(until_ns);
	int r = 0;

	pthread_mutex_lock(&fw->lock);
	while (r == 0 && !file_writer_is_done(fw))
		r = pthread_cond_clockwait(&fw->done_set, &fw->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&fw->lock);
	return file_writer_is_done(fw);
}

int file_writer_stop(struct file_writer *fw, int64_t until_ns)
{
	int r;

	if (fw->pipe_write >= 0)
		file_writer_finish(fw, NULL, 0);
	if (!wait_until_done(fw, until_ns)) {
		pthread_detach(fw->thread);
		fw->next = atomic_load(&abandoned);
		while (!atomic_compare_exchange_weak(&abandoned, &fw->next, fw))
			;
		return -ETIMEDOUT;
	}
	pthread_join(fw->thread, NULL);
	r = file_writer_error(fw);
	writer_release(fw);
	return r;
}
