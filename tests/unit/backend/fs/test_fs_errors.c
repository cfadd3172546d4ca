/*
 * Unit tests of backend/fs: a host that has no space, no quota, or a disk that fails. The host's calls are the test's. The
 * guest gets that very error, once, and nothing is left of the request.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/macros.h"
#include "fs_rig.h"

static int fails;               /* an errno; 0: the host's call is made */
static size_t takes = SIZE_MAX; /* bytes of a write, at most */

#define CALL(real, ...) (fails ? (errno = fails, -1) : (real)(__VA_ARGS__))

ssize_t __real_pwritev64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags)
{
	const struct iovec first = {iov[0].iov_base, takes};

	if (takes < iov[0].iov_len)
		return CALL(__real_pwritev64v2, fd, &first, 1, off, flags);
	return CALL(__real_pwritev64v2, fd, iov, nr, off, flags);
}

ssize_t __real_preadv64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int nr, off_t off, int flags)
{
	return CALL(__real_preadv64v2, fd, iov, nr, off, flags);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	return CALL(__real_fsync, fd);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	return CALL(__real_fdatasync, fd);
}

int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	return CALL(__real_fallocate64, fd, mode, off, len);
}

int __real_mkdirat(int dir, const char *name, mode_t mode);
int __wrap_mkdirat(int dir, const char *name, mode_t mode);
int __wrap_mkdirat(int dir, const char *name, mode_t mode)
{
	return CALL(__real_mkdirat, dir, name, mode);
}

static uint64_t node, fh;

static int do_write(void)
{
	const int r = fuse_write(node, fh, 0, "content", 7, 0);

	return r < 0 ? r : r == 7 ? 0 : -EBADMSG;
}

static int do_read(void)
{
	char buf[7];
	const int r = fuse_read(node, fh, 0, buf, sizeof(buf));

	return r < 0 ? r : 0;
}

static int do_sync(uint32_t flags)
{
	const struct fuse_fsync_in in = {.fh = fh, .fsync_flags = flags};

	return fuse_call(FUSE_FSYNC, node, &in, sizeof(in), NULL, NULL);
}

static int do_fsync(void)
{
	return do_sync(0);
}

static int do_fdatasync(void)
{
	return do_sync(FUSE_FSYNC_FDATASYNC);
}

static int do_fallocate(void)
{
	const struct fuse_fallocate_in in = {.fh = fh, .length = 4096};

	return fuse_call(FUSE_FALLOCATE, node, &in, sizeof(in), NULL, NULL);
}

static int do_mkdir(void)
{
	const struct fuse_mkdir_in in = {.mode = 0755};

	return fuse_call(FUSE_MKDIR, FUSE_ROOT_ID, &in, sizeof(in), "dir", NULL);
}

static void errors_of_the_host_are_the_guests(void **state)
{
	static const int errors[] = {ENOSPC, EDQUOT, EIO};
	static int (*const calls[])(void) = {do_write,     do_read,      do_fsync,
					     do_fdatasync, do_fallocate, do_mkdir};

	(void)state;
	assert_int_equal(fuse_create(FUSE_ROOT_ID, "file", O_RDWR, 0644, &node, &fh), 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct fs_counts before = fs_count(fuse_client.fs);

		for (size_t k = 0; k < ARRAY_SIZE(errors); k++) {
			fails = errors[k];
			assert_int_equal(calls[i](), -errors[k]);
			fails = 0;
			assert_int_equal(fs_count(fuse_client.fs).nodes, before.nodes);
			assert_int_equal(fs_count(fuse_client.fs).handles, before.handles);
		}
		assert_int_equal(calls[i](), 0); /* and there is space again */
	}
	assert_int_equal(fuse_release(node, fh, false), 0);
}

/* As much as there is room for: the guest learns how much, and asks again for the rest. */
static void a_write_in_part_says_how_much(void **state)
{
	(void)state;
	assert_int_equal(fuse_create(FUSE_ROOT_ID, "file", O_RDWR, 0644, &node, &fh), 0);
	takes = 3;
	assert_int_equal(fuse_write(node, fh, 0, "content", 7, 0), 3);
	takes = SIZE_MAX;
	assert_string_equal(temp_dir_shell("cat share/file"), "con");
	assert_int_equal(fuse_release(node, fh, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(errors_of_the_host_are_the_guests),
		FS_TEST(a_write_in_part_says_how_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
