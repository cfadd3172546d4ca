#include "backend/file_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/signals.h"

enum { PIECE_BYTES = 1 << 16 };

struct file_writer {
	int fd, pipe_read, pipe_write, failed;
	atomic_int err;
	pthread_t thread;
	char piece[PIECE_BYTES]; /* the thread's */
};

static int write_piece(const struct file_writer *fw, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const ssize_t n = write(fw->fd, fw->piece + done, len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

static void *writer_thread(void *arg)
{
	struct file_writer *fw = arg;
	const uint64_t one = 1;
	int r = 0;

	while (r == 0) {
		const ssize_t n = read(fw->pipe_read, fw->piece, sizeof(fw->piece));

		if (n == 0)
			return NULL;
		if (n > 0)
			r = write_piece(fw, (size_t)n);
		else if (errno != EINTR)
			r = -errno;
	}
	atomic_store(&fw->err, r);
	close(fw->pipe_read); /* from now on writers of the pipe get EPIPE */
	fw->pipe_read = -1;
	if (write(fw->failed, &one, sizeof(one)) < 0)
		return NULL; /* cannot be: the counter is not near its limit */
	return NULL;
}

static void release(struct file_writer *fw)
{
	if (fw->pipe_read >= 0)
		close(fw->pipe_read);
	if (fw->pipe_write >= 0)
		close(fw->pipe_write);
	if (fw->failed >= 0)
		close(fw->failed);
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

static int start_thread(struct file_writer *fw)
{
	const sigset_t others = signals_from_outside();
	sigset_t old;
	int r;

	pthread_sigmask(SIG_SETMASK, &others, &old);
	r = -pthread_create(&fw->thread, NULL, writer_thread, fw);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		pthread_setname_np(fw->thread, "file-writer");
	return r;
}

int file_writer_start(int fd, struct file_writer **ret, int *ret_pipe, int *ret_failed)
{
	struct file_writer *fw = calloc(1, sizeof(*fw));
	int r;

	if (!fw)
		return -ENOMEM;
	fw->fd = fd;
	fw->pipe_read = fw->pipe_write = -1;
	r = open_pipe(fw);
	if (r == 0)
		r = start_thread(fw);
	if (r < 0) {
		release(fw);
		return r;
	}
	*ret = fw;
	*ret_pipe = fw->pipe_write;
	*ret_failed = fw->failed;
	return 0;
}

int file_writer_error(const struct file_writer *fw)
{
	return atomic_load(&fw->err);
}

int file_writer_stop(struct file_writer *fw, int64_t until_ns)
{
	const struct timespec until = clock_timespec(until_ns);
	int r;

	close(fw->pipe_write); /* the thread reads the rest, and then the end */
	fw->pipe_write = -1;
	if (pthread_clockjoin_np(fw->thread, NULL, CLOCK_MONOTONIC, &until) != 0) {
		pthread_detach(fw->thread);
		return -ETIMEDOUT; /* the thread may use it until this process has ended */
	}
	r = file_writer_error(fw);
	if (close(fw->fd) < 0 && r == 0)
		r = -errno; /* a network file system may say "no space" only now */
	release(fw);
	return r;
}
