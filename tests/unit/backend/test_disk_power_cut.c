/*
 * Unit test of disks whose host loses its power. A write is in the host's cache, and on the medium only after
 * an fdatasync(2) that began later and succeeded. Nothing of the cache is left after a cut. At each moment the medium has
 * every write that a flush promised to keep, and each write that was promised at once.
 *
 * By threads, whose calls are wrapped (meson.build): those of io_uring are the kernel's.
 */
#include <pthread.h>
#include <sys/uio.h>

#include "disk_rig.h"
#include "random.h"

enum {
	BLOCK_SECTORS = 8, /* one write under way in each block */
	SECTORS = 512,
	BYTES = SECTORS * DISK_SECTOR_BYTES,
	SLOTS = 12, /* requests under way */
	STEPS = 1500,
	SYNC_FAILS = 5, /* each fifth */
};

/* The first bytes of a sector that was written; of an image that was not, others. */
struct stamp {
	uint64_t magic;
	uint32_t sector, version;
};

#define STAMP_MAGIC UINT64_C(0x70c7701dca57e11a)

static struct {
	pthread_mutex_t lock; /* of all but fd */
	int fd;               /* of the image, in the host's cache */
	uint8_t medium[BYTES];
	unsigned syncs, newest; /* the newest sync that reached the medium */
	unsigned failed;
} power = {.lock = PTHREAD_MUTEX_INITIALIZER};

ssize_t __real_pwritev64(int fd, const struct iovec *iov, int n, off_t off);
int __real_fdatasync(int fd);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t off);
int __wrap_fdatasync(int fd);

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	ssize_t r;

	pthread_mutex_lock(&power.lock);
	r = __real_pwritev64(fd, iov, n, off);
	pthread_mutex_unlock(&power.lock);
	return r;
}

/* Reaches the medium at its end, with what was in the cache at its beginning. */
int __wrap_fdatasync(int fd)
{
	static _Thread_local uint8_t cache[BYTES];
	unsigned n;

	pthread_mutex_lock(&power.lock);
	n = ++power.syncs;
	assert_int_equal(pread(power.fd, cache, BYTES, 0), BYTES);
	pthread_mutex_unlock(&power.lock);
	if (__real_fdatasync(fd) < 0)
		return -1;
	pthread_mutex_lock(&power.lock);
	if (n % SYNC_FAILS == 0) {
		power.failed++;
		errno = EIO;
	} else if (n > power.newest) {
		power.newest = n;
		memcpy(power.medium, cache, BYTES);
	}
	pthread_mutex_unlock(&power.lock);
	return n % SYNC_FAILS == 0 ? -1 : 0;
}

struct cut_request {
	struct rig_request r;
	bool busy;
	unsigned first, nr; /* sectors */
	uint32_t version;
	uint32_t acked[SECTORS]; /* DISK_FLUSH: the versions that had ended before it began */
	uint8_t data[BLOCK_SECTORS * DISK_SECTOR_BYTES];
};

static struct {
	struct disk_rig rig;
	struct cut_request slot[SLOTS];
	bool block_busy[SECTORS / BLOCK_SECTORS];
	uint32_t version;           /* of the newest write */
	uint32_t acked[SECTORS];    /* the guest has seen that it ended */
	uint32_t promised[SECTORS]; /* and that it is on the medium */
	unsigned flushes, refused, stable;
	bool overlay; /* promises end with the VMM */
} guest;

/* The power fails now: the first sector that has less than was promised, or SECTORS. */
static unsigned lost_sector(uint32_t *ret_version)
{
	struct stamp stamp;

	for (unsigned s = 0; s < SECTORS; s++) {
		memcpy(&stamp, &power.medium[(size_t)s * DISK_SECTOR_BYTES], sizeof(stamp));
		if (stamp.magic != STAMP_MAGIC || stamp.sector != s)
			stamp.version = 0;
		*ret_version = stamp.version;
		if (stamp.version < guest.promised[s])
			return s;
	}
	return SECTORS;
}

static void cut_power(void)
{
	uint32_t version;
	unsigned s;

	if (guest.overlay)
		return;
	pthread_mutex_lock(&power.lock);
	s = lost_sector(&version);
	pthread_mutex_unlock(&power.lock);
	if (s < SECTORS) {
		/* Threads of the disk still run, so that no further case can. */
		print_error("sector %u: version %u was promised, and %u is there\n", s,
			    guest.promised[s], version);
		_exit(1);
	}
}

static void write_ended(struct cut_request *cut, int err)
{
	guest.block_busy[cut->first / BLOCK_SECTORS] = false;
	if (err != 0) {
		assert_int_equal(err, -EIO); /* of the sync that makes it stable */
		assert_true(cut->r.rq.stable);
		guest.refused++;
		return;
	}
	for (unsigned s = cut->first; s < cut->first + cut->nr; s++) {
		guest.acked[s] = cut->version;
		if (cut->r.rq.stable)
			guest.promised[s] = cut->version;
	}
	guest.stable += cut->r.rq.stable;
}

static void flush_ended(const struct cut_request *cut, int err)
{
	if (err != 0) {
		assert_int_equal(err, -EIO);
		guest.refused++;
		return;
	}
	guest.flushes++;
	for (unsigned s = 0; s < SECTORS; s++)
		if (guest.promised[s] < cut->acked[s])
			guest.promised[s] = cut->acked[s];
}

static void cut_request_done(struct disk_request *rq, int err)
{
	struct cut_request *cut = container_of(rq, struct cut_request, r.rq);

	cut->busy = false;
	if (rq->op == DISK_FLUSH)
		flush_ended(cut, err);
	else
		write_ended(cut, err);
	cut_power();
}

static void stamp_sectors(struct cut_request *cut)
{
	memset(cut->data, (int)(cut->version % 251), sizeof(cut->data));
	for (unsigned i = 0; i < cut->nr; i++) {
		const struct stamp stamp = {STAMP_MAGIC, cut->first + i, cut->version};

		memcpy(&cut->data[(size_t)i * DISK_SECTOR_BYTES], &stamp, sizeof(stamp));
	}
}

/* False: that block has a write under way. */
static bool begin_write(struct cut_request *cut, uint64_t *seed)
{
	const unsigned block = (unsigned)(random_below(seed, (SECTORS / BLOCK_SECTORS)));
	const unsigned skip = (unsigned)(random_next(seed) % BLOCK_SECTORS);

	if (guest.block_busy[block])
		return false;
	guest.block_busy[block] = true;
	cut->first = block * BLOCK_SECTORS + skip;
	cut->nr = 1 + (unsigned)(random_next(seed) % (BLOCK_SECTORS - skip));
	cut->version = ++guest.version;
	stamp_sectors(cut);
	rig_request_init(&cut->r, DISK_WRITE, (uint64_t)cut->first * DISK_SECTOR_BYTES, cut->data,
			 (size_t)cut->nr * DISK_SECTOR_BYTES);
	cut->r.rq.stable = random_next(seed) % 8 == 0;
	return true;
}

static void step(uint64_t *seed)
{
	struct cut_request *cut = &guest.slot[random_next(seed) % SLOTS];

	if (cut->busy || random_next(seed) % 16 == 0) {
		disk_drain(guest.rig.disk);
		return;
	}
	if (random_next(seed) % 6 == 0) {
		rig_request_init(&cut->r, DISK_FLUSH, 0, NULL, 0);
		memcpy(cut->acked, guest.acked, sizeof(cut->acked));
	} else if (!begin_write(cut, seed)) {
		return;
	}
	cut->r.rq.done = cut_request_done;
	cut->busy = true;
	disk_submit(guest.rig.disk, &cut->r.rq);
	if (random_next(seed) % 4 == 0)
		disk_commit(guest.rig.disk);
}

/* False: it cannot be tried here. */
static bool run(const struct disk_way *way)
{
	uint64_t seed = 1;

	memset(&guest, 0, sizeof(guest));
	guest.overlay = way->cow;
	power.syncs = power.newest = power.failed = 0;
	disk_rig_image(&guest.rig, BYTES);
	disk_rig_file(&guest.rig, power.medium, BYTES);
	power.fd = open(guest.rig.path, O_RDONLY | O_CLOEXEC);
	assert_true(power.fd >= 0);
	if (!disk_rig_open(&guest.rig, way)) {
		close(power.fd);
		disk_rig_remove(&guest.rig);
		return false;
	}
	for (unsigned i = 0; i < STEPS; i++)
		step(&seed);
	disk_drain(guest.rig.disk);
	disk_rig_close(&guest.rig);
	close(power.fd);
	return true;
}

static void promised_something(void)
{
	assert_true(guest.flushes >= 20);
	assert_true(guest.stable >= 20);
	/* Syncs that failed were reported, each to its request. */
	assert_int_equal(guest.refused, power.failed);
	disk_rig_remove(&guest.rig);
}

static void a_cached_disk_loses_nothing_that_it_acknowledged(void **state)
{
	(void)state;
	assert_true(run(&(struct disk_way){"cached", DISK_ENGINE_THREADS, 0, false, false}));
	promised_something();
}

static void neither_does_one_with_blocks_that_are_written_whole(void **state)
{
	(void)state;
	assert_true(run(&(struct disk_way){"blocks", DISK_ENGINE_THREADS, 4096, false, false}));
	promised_something();
}

static void neither_does_a_direct_one(void **state)
{
	(void)state;
	if (!run(&(struct disk_way){"direct", DISK_ENGINE_THREADS, 0, true, false}))
		skip();
	promised_something();
}

/* Its writes are gone with the VMM, as they should be. The image is not. */
static void an_overlay_leaves_the_image_on_the_medium_as_it_was(void **state)
{
	static uint8_t now[BYTES];

	(void)state;
	assert_true(run(&(struct disk_way){"overlay", DISK_ENGINE_THREADS, 0, false, true}));
	disk_rig_file(&guest.rig, now, BYTES);
	for (unsigned i = 0; i < BYTES; i++)
		if (now[i] != disk_rig_byte(i))
			fail_msg("byte %u has changed", i);
	disk_rig_remove(&guest.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cached_disk_loses_nothing_that_it_acknowledged),
		cmocka_unit_test(neither_does_one_with_blocks_that_are_written_whole),
		cmocka_unit_test(neither_does_a_direct_one),
		cmocka_unit_test(an_overlay_leaves_the_image_on_the_medium_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
