/* Unit tests of base/out_file.c: what is emptied, what is appended to, and the standard streams. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/out_file.h"
#include "temp_dir.h"

static const struct out_file_opts emptied = {0}, appended = {.append = true},
				  console = {.append = true, .nonblock = true};

static int setup(void **state)
{
	(void)state;
	if (temp_dir_make() < 0)
		return -1;
	return chdir(temp_dir);
}

static int teardown(void **state)
{
	(void)state;
	temp_dir_shell("rm -f f link p");
	return rmdir(temp_dir);
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void a_file_is_emptied_or_appended_to(void **state)
{
	int fd;

	(void)state;
	temp_dir_shell("echo old >f");
	fd = out_file_open("f", &appended);
	put(fd, "one\n");
	temp_dir_shell("echo other >>f");
	put(fd, "two\n");
	assert_string_equal(temp_dir_shell("cat f"), "old\none\nother\ntwo\n");
	temp_dir_shell(": >f"); /* as a program that rotates logs does */
	put(fd, "three\n");
	assert_string_equal(temp_dir_shell("cat f"), "three\n");
	close(fd);
	fd = out_file_open("f", &emptied);
	assert_string_equal(temp_dir_shell("cat f"), "");
	assert_int_equal(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND), 0);
	close(fd);
	fd = out_file_open("f", &console);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND), O_NONBLOCK | O_APPEND);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

static void what_cannot_be_opened_is_an_error(void **state)
{
	(void)state;
	temp_dir_shell("ln -s f link; mkfifo p");
	assert_int_equal(out_file_open("none/f", &emptied), -ENOENT);
	assert_int_equal(out_file_open(".", &emptied), -EISDIR);
	assert_int_equal(out_file_open("p", &emptied), -ENXIO);
	assert_int_equal(out_file_open("link", &(struct out_file_opts){.no_follow = true}), -ELOOP);
}

/* With fd in the place of standard output: writes before, through the name, and after. */
static void through(const char *name, int stream, const struct out_file_opts *opts)
{
	const int before = dup(stream), f = open("f", O_WRONLY | O_CREAT | O_TRUNC, 0666);
	int fd;

	assert_true(before >= 0 && f >= 0);
	dup2(f, stream);
	close(f);
	put(stream, "one\n");
	fd = out_file_open(name, opts);
	if (fd >= 0) {
		put(fd, "two\n");
		close(fd);
	}
	put(stream, "three\n");
	dup2(before, stream);
	close(before);
	assert_true(fd >= 0);
	assert_string_equal(temp_dir_shell("cat f"), "one\ntwo\nthree\n");
}

static void the_standard_streams_are_neither_emptied_nor_overwritten(void **state)
{
	static const char *const names[] = {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "f",
					    "-"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		through(names[i], STDOUT_FILENO, &emptied);
		through(names[i], STDOUT_FILENO, &appended);
		through(names[i], STDOUT_FILENO, &console);
	}
	through("/dev/stderr", STDERR_FILENO, &emptied);
}

/* A socket cannot be opened by its name. */
static void standard_output_may_be_a_socket(void **state)
{
	const int before = dup(STDOUT_FILENO);
	int ends[2], fd;
	char byte = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	dup2(ends[1], STDOUT_FILENO);
	fd = out_file_open("/dev/stdout", &emptied);
	dup2(before, STDOUT_FILENO);
	close(before);
	assert_true(fd >= 0);
	put(fd, "x");
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_emptied_or_appended_to),
		cmocka_unit_test(what_cannot_be_opened_is_an_error),
		cmocka_unit_test(the_standard_streams_are_neither_emptied_nor_overwritten),
		cmocka_unit_test(standard_output_may_be_a_socket),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
