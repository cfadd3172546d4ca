/* Whole buffers to and from descriptors, where each call moves a part or is interrupted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io_full.h"

enum { TEST_FD = 1000, FILE_BYTES = 10 };

/* The file of TEST_FD: each second call on it is interrupted, the others move at most three bytes. */
static struct {
	char bytes[FILE_BYTES + 1];
	size_t at;
	unsigned calls;
	int fails_with; /* once at is FILE_BYTES; 0: the end of the file, or no byte is taken */
} file;

ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);

/* How many of len bytes the next call moves, or -1 with errno. */
static ssize_t next_part(size_t at, size_t len)
{
	size_t n = FILE_BYTES - at;

	if (file.calls++ % 2 == 0) {
		errno = EINTR;
		return -1;
	}
	if (n == 0 && file.fails_with) {
		errno = file.fails_with;
		return -1;
	}
	if (n > 3)
		n = 3;
	return (ssize_t)(n < len ? n : len);
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off)
{
	const ssize_t n = next_part((size_t)off, len);

	assert_int_equal(fd, TEST_FD);
	if (n > 0)
		memcpy(buf, file.bytes + off, (size_t)n);
	return n;
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
	ssize_t n;

	if (fd != TEST_FD)
		return __real_read(fd, buf, len);
	n = __wrap_pread64(fd, buf, len, (off_t)file.at);
	if (n > 0)
		file.at += (size_t)n;
	return n;
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	ssize_t n;

	if (fd != TEST_FD)
		return __real_write(fd, buf, len);
	n = next_part(file.at, len);
	if (n > 0) {
		memcpy(file.bytes + file.at, buf, (size_t)n);
		file.at += (size_t)n;
	}
	return n;
}

static void file_reset(const char *bytes, int fails_with)
{
	memset(&file, 0, sizeof(file));
	snprintf(file.bytes, sizeof(file.bytes), "%s", bytes);
	file.fails_with = fails_with;
}

static void reading_goes_on_until_the_buffer_is_full(void **state)
{
	char buf[FILE_BYTES + 1] = "";

	(void)state;
	file_reset("0123456789", 0);
	assert_int_equal(io_read_full(TEST_FD, buf, FILE_BYTES), 0);
	assert_string_equal(buf, "0123456789");
	memset(buf, 0, sizeof(buf));
	assert_int_equal(io_pread_full(TEST_FD, buf, 7, 2), 0);
	assert_string_equal(buf, "2345678");
	assert_int_equal(io_read_full(TEST_FD, buf, 0), 0);
}

static void a_file_that_ends_too_early_is_an_error(void **state)
{
	char buf[FILE_BYTES + 1];

	(void)state;
	file_reset("0123456789", 0);
	assert_int_equal(io_read_full(TEST_FD, buf, FILE_BYTES + 1), -EIO);
	assert_int_equal(io_pread_full(TEST_FD, buf, 3, 8), -EIO);
	file_reset("0123456789", ESTALE);
	assert_int_equal(io_read_full(TEST_FD, buf, FILE_BYTES + 1), -ESTALE);
	assert_int_equal(io_pread_full(TEST_FD, buf, 3, 8), -ESTALE);
}

static void writing_goes_on_until_all_is_written(void **state)
{
	size_t done = 99;

	(void)state;
	file_reset("", 0);
	assert_int_equal(io_write_full(TEST_FD, "0123456789", FILE_BYTES, NULL), 0);
	assert_string_equal(file.bytes, "0123456789");
	file_reset("", 0);
	assert_int_equal(io_write_full(TEST_FD, "0123", 4, &done), 0);
	assert_int_equal(done, 4);
	assert_int_equal(io_write_full(TEST_FD, NULL, 0, &done), 0);
	assert_int_equal(done, 0);
}

static void a_failed_write_says_how_far_it_came(void **state)
{
	static const int fails_with[] = {EAGAIN, ENOSPC, 0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		size_t done = 99;

		file_reset("", fails_with[i]);
		assert_int_equal(io_write_full(TEST_FD, "0123456789abc", 13, &done),
				 fails_with[i] ? -fails_with[i] : -EIO);
		assert_int_equal(done, FILE_BYTES);
		assert_string_equal(file.bytes, "0123456789");
	}
}

static void reading_some_is_one_call_that_no_signal_interrupts(void **state)
{
	char buf[FILE_BYTES] = "";

	(void)state;
	file_reset("0123456789", 0);
	assert_int_equal(io_read_some(TEST_FD, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "012", 3);
	file.at = FILE_BYTES;
	assert_int_equal(io_read_some(TEST_FD, buf, sizeof(buf)), 0);
	file.fails_with = EAGAIN;
	assert_int_equal(io_read_some(TEST_FD, buf, sizeof(buf)), -1);
	assert_int_equal(errno, EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_goes_on_until_the_buffer_is_full),
		cmocka_unit_test(a_file_that_ends_too_early_is_an_error),
		cmocka_unit_test(writing_goes_on_until_all_is_written),
		cmocka_unit_test(a_failed_write_says_how_far_it_came),
		cmocka_unit_test(reading_some_is_one_call_that_no_signal_interrupts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
