/*
 * Unit tests of disks whose host makes difficulties: short transfers, interrupted calls, calls it does
 * not have, errors. By threads, whose calls are wrapped (meson.build).
 */
#include <sys/uio.h>

#include "base/macros.h"
#include "disk_rig.h"

/* The host's behaviour. Written while no request is under way. */
static struct {
	size_t most;         /* bytes that a transfer does at most; 0: no limit */
	unsigned interrupts; /* every so manieth transfer says EINTR; 0: none */
	int transfer_err;    /* -errno of the transfers of bad_off */
	uint64_t bad_off;    /* the first byte of the range that has it; UINT64_MAX: none */
	bool no_punch, no_zero_range;
	int fallocate_err;
	unsigned transfers, syncs, fallocates; /* calls */
} host;

ssize_t __real_preadv64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int n, off_t off);
int __real_fdatasync(int fd);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t off);
int __wrap_fdatasync(int fd);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);

/* The first piece, cut; or errno. */
static bool transfer_allowed(const struct iovec *iov, off_t off, struct iovec *ret)
{
	host.transfers++;
	if (host.interrupts && host.transfers % host.interrupts == 0) {
		errno = EINTR;
		return false;
	}
	*ret = iov[0];
	if (host.most && ret->iov_len > host.most)
		ret->iov_len = host.most;
	if ((uint64_t)off <= host.bad_off && host.bad_off - (uint64_t)off < ret->iov_len) {
		errno = host.transfer_err;
		return false;
	}
	return true;
}

ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t off)
{
	struct iovec one;

	(void)n;
	return transfer_allowed(iov, off, &one) ? __real_preadv64(fd, &one, 1, off) : -1;
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	(void)fd;
	(void)iov;
	(void)n;
	(void)off;
	assert_int_equal(flags, RWF_NOWAIT);
	errno = EAGAIN;
	return -1;
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	struct iovec one;

	(void)n;
	return transfer_allowed(iov, off, &one) ? __real_pwritev64(fd, &one, 1, off) : -1;
}

int __wrap_fdatasync(int fd)
{
	host.syncs++;
	return __real_fdatasync(fd);
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	host.fallocates++;
	if ((mode & FALLOC_FL_PUNCH_HOLE && host.no_punch) ||
	    (mode & FALLOC_FL_ZERO_RANGE && host.no_zero_range)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (host.fallocate_err) {
		errno = host.fallocate_err;
		return -1;
	}
	return __real_fallocate64(fd, mode, off, len);
}

enum { BYTES = 1 << 20 };

static struct disk_rig rig;

static void start(const struct disk_way *way)
{
	memset(&host, 0, sizeof(host));
	host.bad_off = UINT64_MAX;
	disk_rig_image(&rig, BYTES);
	assert_true(disk_rig_open(&rig, way));
	host.transfers = host.fallocates = 0;
}

static void finish(void)
{
	disk_rig_close(&rig);
	disk_rig_remove(&rig);
}

static const struct disk_way ways[] = {
	{.engine = DISK_ENGINE_THREADS},
	{.engine = DISK_ENGINE_THREADS, .align = 4096},
	{.engine = DISK_ENGINE_THREADS, .align = 512},
	{.engine = DISK_ENGINE_THREADS, .cow = true},
};

static void short_and_interrupted_transfers_go_on(void **state)
{
	static uint8_t data[BYTES], back[BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + 5);
	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		start(&ways[w]);
		host.most = 12345;
		host.interrupts = 3;
		assert_int_equal(disk_rig_do(&rig, DISK_WRITE, 512, data, BYTES - 1024), 0);
		assert_int_equal(disk_rig_do(&rig, DISK_READ, 512, back, BYTES - 1024), 0);
		assert_memory_equal(data, back, BYTES - 1024);
		assert_int_equal(disk_rig_do(&rig, DISK_READ, 0, back, 512), 0);
		assert_int_equal(back[511], disk_rig_byte(511));
		assert_true(host.transfers > 2 * BYTES / 16384);
		finish();
	}
}

/* The host's bytes of a block end before those that are wanted. */
static void a_transfer_that_ends_before_its_bytes_is_an_error(void **state)
{
	uint8_t back[512];

	(void)state;
	start(&(struct disk_way){.engine = DISK_ENGINE_THREADS, .align = 4096});
	host.most = 1024;
	assert_int_equal(disk_rig_do(&rig, DISK_READ, 2048, back, sizeof(back)), -EIO);
	host.most = 0;
	assert_int_equal(disk_rig_do(&rig, DISK_READ, 2048, back, sizeof(back)), 0);
	assert_int_equal(back[0], disk_rig_byte(2048));
	finish();
}

/* Where a file system has no way to zero, zeros are written; it is tried in the guest's order. */
static void zeroes_are_written_where_there_is_no_call(void **state)
{
	static const struct {
		bool unmap, no_punch, no_zero_range;
		unsigned fallocates;
		bool written;
	} cases[] = {
		{false, false, false, 1, false}, {true, false, false, 1, false},
		{true, true, false, 2, false},   {true, true, true, 2, true},
		{false, false, true, 1, true},
	};
	static uint8_t back[BYTES];

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		struct rig_request r;

		start(&ways[c % 2]);
		host.no_punch = cases[c].no_punch;
		host.no_zero_range = cases[c].no_zero_range;
		rig_request_init(&r, DISK_ZERO, 1536, NULL, 307200);
		r.rq.may_unmap = cases[c].unmap;
		assert_int_equal(disk_rig_run(&rig, &r), 0);
		assert_int_equal(host.fallocates, cases[c].fallocates);
		assert_int_equal(host.transfers > 0, cases[c].written);
		assert_int_equal(disk_rig_do(&rig, DISK_READ, 0, back, BYTES), 0);
		for (size_t i = 0; i < BYTES; i++)
			assert_int_equal(back[i],
					 i >= 1536 && i < 1536 + 307200 ? 0 : disk_rig_byte(i));
		finish();
	}
}

static void a_discard_that_the_host_lacks_is_no_error(void **state)
{
	(void)state;
	start(&ways[0]);
	host.no_punch = true;
	assert_int_equal(disk_rig_do(&rig, DISK_DISCARD, 0, NULL, 8192), 0);
	assert_int_equal(disk_rig_do(&rig, DISK_DISCARD, 0, NULL, 8192), 0);
	assert_int_equal(host.fallocates, 1); /* it is not asked again */
	finish();
}

static void errors_reach_the_request(void **state)
{
	static uint8_t buf[16384];

	(void)state;
	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		start(&ways[w]);
		host.bad_off = 20000;
		host.transfer_err = EIO;
		assert_int_equal(disk_rig_do(&rig, DISK_READ, 8192, buf, 16384), -EIO);
		host.transfer_err = ENOSPC;
		assert_int_equal(disk_rig_do(&rig, DISK_WRITE, 8192, buf, 16384), -ENOSPC);
		assert_int_equal(disk_rig_do(&rig, DISK_WRITE, 24576, buf, 512), 0);
		/* Of an overlay's two runs, the first one fails. */
		assert_int_equal(disk_rig_do(&rig, DISK_READ, 16384, buf, 16384), -ENOSPC);
		host.fallocate_err = ENOSPC;
		assert_int_equal(disk_rig_do(&rig, DISK_ZERO, 8192, NULL, 4096), -ENOSPC);
		if (!ways[w].cow)
			assert_int_equal(disk_rig_do(&rig, DISK_DISCARD, 8192, NULL, 4096),
					 -ENOSPC);
		finish();
	}
}

/* After a write of a cow cluster failed, the base's bytes are still to be read there. */
static void a_failed_write_to_an_overlay_changes_nothing(void **state)
{
	static uint8_t buf[4096];

	(void)state;
	start(&ways[3]);
	host.bad_off = 8192 + 1024;
	host.transfer_err = ENOSPC;
	assert_int_equal(disk_rig_do(&rig, DISK_WRITE, 8192, buf, 4096), -ENOSPC);
	host.bad_off = UINT64_MAX;
	assert_int_equal(disk_rig_do(&rig, DISK_READ, 8192, buf, 4096), 0);
	for (unsigned i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], disk_rig_byte(8192 + i));
	finish();
}

static void flush_and_stable_writes_sync(void **state)
{
	static uint8_t buf[512];
	struct rig_request r;

	(void)state;
	start(&ways[0]);
	assert_int_equal(disk_rig_do(&rig, DISK_WRITE, 0, buf, 512), 0);
	assert_int_equal(host.syncs, 0);
	assert_int_equal(disk_rig_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(host.syncs, 1);
	rig_request_init(&r, DISK_WRITE, 0, buf, 512);
	r.rq.stable = true;
	assert_int_equal(disk_rig_run(&rig, &r), 0);
	assert_int_equal(host.syncs, 2);
	rig_request_init(&r, DISK_ZERO, 0, NULL, 512);
	r.rq.stable = true;
	assert_int_equal(disk_rig_run(&rig, &r), 0);
	assert_int_equal(host.syncs, 3);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_and_interrupted_transfers_go_on),
		cmocka_unit_test(a_transfer_that_ends_before_its_bytes_is_an_error),
		cmocka_unit_test(zeroes_are_written_where_there_is_no_call),
		cmocka_unit_test(a_discard_that_the_host_lacks_is_no_error),
		cmocka_unit_test(errors_reach_the_request),
		cmocka_unit_test(a_failed_write_to_an_overlay_changes_nothing),
		cmocka_unit_test(flush_and_stable_writes_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
