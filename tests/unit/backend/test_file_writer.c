/* A file's writer: all arrives; a file that does not answer, or fails, holds up nobody and is reported. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/file_writer.h"
#include "base/clock.h"
#include "temp_dir.h"

enum { HANG_S = 60, TOTAL = 1 << 20, PIECE = 4096 };

static int64_t in_s(int64_t s)
{
	return clock_monotonic_ns() + s * NS_PER_S;
}

static void all_of_it_arrives(void **state)
{
	static uint8_t out[TOTAL], in[TOTAL];
	struct file_writer *fw;
	int pipe_fd, failed, fd;
	size_t done = 0;

	(void)state;
	assert_int_equal(temp_dir_make(), 0);
	for (size_t i = 0; i < TOTAL; i++)
		out[i] = (uint8_t)(i * 2654435761U >> 13);
	fd = open(temp_dir_at("f"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(file_writer_start(fd, &fw, &pipe_fd, &failed), 0);
	while (done < TOTAL) {
		struct pollfd pfd = {.fd = pipe_fd, .events = POLLOUT};
		ssize_t n = write(pipe_fd, out + done, TOTAL - done);

		if (n > 0)
			done += (size_t)n;
		else
			assert_int_equal(poll(&pfd, 1, HANG_S * 1000), 1);
	}
	assert_int_equal(file_writer_stop(fw, in_s(HANG_S)), 0);
	fd = open(temp_dir_at("f"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, in, TOTAL), TOTAL);
	close(fd);
	assert_memory_equal(in, out, TOTAL);
	temp_dir_remove();
}

/* A full pipe stands for a frozen file system: a write to it does not return. */
static void a_file_that_does_not_answer_holds_up_nobody(void **state)
{
	static const uint8_t piece[PIECE];
	struct file_writer *fw;
	int ends[2], pipe_fd, failed;
	size_t taken = 0;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(ends[1], piece, sizeof(piece)) > 0)
		;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	assert_int_equal(file_writer_start(ends[1], &fw, &pipe_fd, &failed), 0);
	alarm(HANG_S);
	while (write(pipe_fd, piece, sizeof(piece)) > 0)
		taken += sizeof(piece);
	assert_int_equal(errno, EAGAIN);
	assert_true(taken >= PIECE && taken <= TOTAL); /* it holds some, and not without end */
	assert_int_equal(file_writer_stop(fw, clock_monotonic_ns() + 10 * NS_PER_MS), -ETIMEDOUT);
	alarm(0);
}

static void a_file_that_fails_says_so(void **state)
{
	static const uint8_t piece[PIECE];
	struct file_writer *fw;
	int pipe_fd, failed;
	struct pollfd pfd;

	(void)state;
	assert_int_equal(
		file_writer_start(open("/dev/full", O_WRONLY | O_CLOEXEC), &fw, &pipe_fd, &failed),
		0);
	assert_int_equal(file_writer_error(fw), 0);
	assert_int_equal(write(pipe_fd, "x", 1), 1);
	pfd = (struct pollfd){.fd = failed, .events = POLLIN};
	assert_int_equal(poll(&pfd, 1, HANG_S * 1000), 1);
	assert_int_equal(file_writer_error(fw), -ENOSPC);
	for (unsigned i = 0; i < TOTAL / PIECE; i++) { /* dropped, and holds up nobody */
		pfd = (struct pollfd){.fd = pipe_fd, .events = POLLOUT};
		assert_int_equal(poll(&pfd, 1, HANG_S * 1000), 1);
		assert_true(write(pipe_fd, piece, sizeof(piece)) > 0);
	}
	assert_int_equal(file_writer_stop(fw, in_s(HANG_S)), -ENOSPC);
}

static void the_rest_follows_what_the_pipe_held(void **state)
{
	struct file_writer *fw;
	int pipe_fd, failed, fd;
	char in[16];

	(void)state;
	assert_int_equal(temp_dir_make(), 0);
	assert_int_equal(file_writer_open(temp_dir_at("f"), &(struct out_file_opts){.append = true},
					  &fw, &pipe_fd, &failed),
			 0);
	assert_int_equal(write(pipe_fd, "first ", 6), 6);
	file_writer_finish(fw, strdup("rest"), 4);
	alarm(HANG_S);
	while (!file_writer_is_done(fw))
		sched_yield();
	alarm(0);
	assert_int_equal(file_writer_stop(fw, 0), 0);
	fd = open(temp_dir_at("f"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, in, sizeof(in)), 10);
	close(fd);
	assert_memory_equal(in, "first rest", 10);
	temp_dir_remove();
}

static void a_file_that_cannot_be_opened_says_so(void **state)
{
	struct file_writer *fw;
	int pipe_fd, failed;

	(void)state;
	assert_int_equal(file_writer_open("/nonexistent/f", &(struct out_file_opts){0}, &fw,
					  &pipe_fd, &failed),
			 0);
	file_writer_finish(fw, strdup("rest"), 4);
	assert_int_equal(file_writer_stop(fw, in_s(HANG_S)), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_arrives),
		cmocka_unit_test(a_file_that_does_not_answer_holds_up_nobody),
		cmocka_unit_test(a_file_that_fails_says_so),
		cmocka_unit_test(the_rest_follows_what_the_pipe_held),
		cmocka_unit_test(a_file_that_cannot_be_opened_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
