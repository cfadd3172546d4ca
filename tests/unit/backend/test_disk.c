/* Unit tests of disks on files: every way to make one against a model, geometry, locks, refusals. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/macros.h"
#include "child_exit.h"
#include "diag_rig.h"
#include "disk_rig.h"
#include "random.h"

static const struct disk_way ways[] = {
	{.name = "best"},
	{.name = "threads", .engine = DISK_ENGINE_THREADS},
	{.name = "direct", .direct = true},
	{.name = "direct-threads", .direct = true, .engine = DISK_ENGINE_THREADS},
	{.name = "align-4096", .align = 4096},
	{.name = "align-4096-threads", .align = 4096, .engine = DISK_ENGINE_THREADS},
	{.name = "cow", .cow = true},
	{.name = "cow-direct", .cow = true, .direct = true},
	{.name = "cow-threads", .cow = true, .engine = DISK_ENGINE_THREADS},
	{.name = "cow-align-4096", .cow = true, .align = 4096},
};

enum {
	SECTORS = 1021, /* no multiple of a page */
	BYTES = SECTORS * 512,
	ROUNDS = 150,
	BATCH = 24,
};

struct model {
	uint8_t bytes[BYTES];
	bool unknown[SECTORS]; /* discarded */
	bool taken[SECTORS];   /* by a request of this batch */
};

struct model_request {
	struct rig_request r;
	uint8_t *buf, *data; /* data is inside, not always aligned */
	uint64_t first, n;   /* sectors */
};

static bool take(struct model *m, uint64_t first, uint64_t n)
{
	for (uint64_t s = first; s < first + n; s++)
		if (m->taken[s])
			return false;
	memset(&m->taken[first], true, n);
	return true;
}

/* Splits [data, data + len) into pieces of odd sizes. */
static void scatter(struct rig_request *r, uint8_t *data, size_t len, uint64_t *rnd)
{
	unsigned n = 0;

	while (len > 0 && n < ARRAY_SIZE(r->iov)) {
		size_t part = n + 1 == ARRAY_SIZE(r->iov) ? len : 1 + random_next(rnd) % len;

		r->iov[n++] = (struct iovec){data, part};
		data += part;
		len -= part;
	}
	r->rq.nr_iov = n;
}

static const enum disk_op model_ops[] = {DISK_READ,    DISK_READ,  DISK_READ, DISK_WRITE,
					 DISK_WRITE,   DISK_WRITE, DISK_ZERO, DISK_ZERO,
					 DISK_DISCARD, DISK_FLUSH};

/* A random request on sectors that no other of the batch has; false when these are taken. */
static bool model_start(struct disk_rig *rig, struct model *m, struct model_request *q,
			uint64_t *rnd)
{
	const enum disk_op op = model_ops[random_next(rnd) % ARRAY_SIZE(model_ops)];
	const uint64_t first = random_next(rnd) % SECTORS;
	uint64_t n = random_next(rnd) % 4 ? 1 + random_next(rnd) % 9 : random_next(rnd) % 300;
	size_t len;

	if (n > SECTORS - first)
		n = SECTORS - first;
	if (op == DISK_FLUSH)
		n = 0;
	if (!take(m, first, n))
		return false;
	q->first = first;
	q->n = n;
	len = (size_t)n * 512;
	q->buf = aligned_alloc(4096, 4096 + (len + 4095) / 4096 * 4096);
	q->data = q->buf + (random_next(rnd) % 2 ? 0 : random_next(rnd) % 4096);
	rig_request_init(&q->r, op, first * 512, q->data, len);
	q->r.rq.may_unmap = random_next(rnd) % 2;
	q->r.rq.stable = random_next(rnd) % 8 == 0;
	if (op == DISK_WRITE)
		for (size_t i = 0; i < len; i++)
			q->data[i] = (uint8_t)(random_next(rnd) >> 32);
	if ((op == DISK_READ || op == DISK_WRITE) && random_next(rnd) % 2)
		scatter(&q->r, q->data, len, rnd);
	disk_submit(rig->disk, &q->r.rq);
	return true;
}

static void model_end(struct model *m, struct model_request *q)
{
	const uint64_t first = q->first, n = q->n;

	assert_true(q->r.done);
	assert_int_equal(q->r.err, 0);
	for (uint64_t s = first; q->r.rq.op == DISK_READ && s < first + n; s++)
		if (!m->unknown[s])
			assert_memory_equal(q->data + (s - first) * 512, &m->bytes[s * 512], 512);
	if (q->r.rq.op == DISK_WRITE)
		memcpy(&m->bytes[first * 512], q->data, n * 512);
	if (q->r.rq.op == DISK_ZERO)
		memset(&m->bytes[first * 512], 0, n * 512);
	if (q->r.rq.op != DISK_READ)
		memset(&m->unknown[first], q->r.rq.op == DISK_DISCARD, n);
	free(q->buf);
}

static void model_batch(struct disk_rig *rig, struct model *m, uint64_t *rnd)
{
	struct model_request q[BATCH];
	unsigned n = 0;

	memset(m->taken, 0, sizeof(m->taken));
	for (unsigned i = 0; i < BATCH; i++)
		n += model_start(rig, m, &q[n], rnd);
	disk_commit(rig->disk);
	disk_drain(rig->disk);
	for (unsigned i = 0; i < n; i++)
		model_end(m, &q[i]);
}

static void check_whole(struct disk_rig *rig, const struct model *m)
{
	uint8_t *all = malloc(BYTES);

	assert_int_equal(disk_rig_do(rig, DISK_READ, 0, all, BYTES), 0);
	for (size_t s = 0; s < SECTORS; s++)
		if (!m->unknown[s])
			assert_memory_equal(&all[s * 512], &m->bytes[s * 512], 512);
	free(all);
}

static void against_the_model(const struct disk_way *way)
{
	/* As if O_DIRECT asked for 4,096, so the file must have it. */
	const size_t file_bytes = way->align ? (BYTES + 4095) / 4096 * 4096 : BYTES;
	struct model *m = calloc(1, sizeof(*m));
	uint8_t *file = malloc(file_bytes);
	struct disk_rig rig = {0};
	uint64_t rnd = 88172645463325252;

	print_message("  %s\n", way->name);
	disk_rig_image(&rig, file_bytes);
	for (size_t i = 0; i < BYTES; i++)
		m->bytes[i] = disk_rig_byte(i);
	if (disk_rig_open(&rig, way)) {
		for (unsigned i = 0; i < ROUNDS; i++)
			model_batch(&rig, m, &rnd);
		check_whole(&rig, m);
		disk_rig_close(&rig);
		disk_rig_file(&rig, file, file_bytes);
		for (size_t i = 0; i < BYTES; i++)
			if (way->cow)
				assert_int_equal(file[i], disk_rig_byte(i));
			else if (!m->unknown[i / 512])
				assert_int_equal(file[i], m->bytes[i]);
		for (size_t i = BYTES; i < file_bytes; i++)
			assert_int_equal(file[i], disk_rig_byte(i));
	}
	disk_rig_remove(&rig);
	free(file);
	free(m);
}

static void every_way_behaves_as_the_model(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		against_the_model(&ways[i]);
}

/* Two writes to halves of one block, at once: each must survive. */
static void neighbours_within_a_block_survive(void **state)
{
	(void)state;
	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		struct disk_rig rig = {0};
		uint8_t half[8][512], block[4096];
		struct rig_request r[8];

		disk_rig_image(&rig, 65536);
		if (!disk_rig_open(&rig, &ways[w])) {
			disk_rig_remove(&rig);
			continue;
		}
		for (size_t i = 0; i < 8; i++) {
			memset(half[i], (int)('a' + i), sizeof(half[i]));
			rig_request_init(&r[i], DISK_WRITE, 8192 + 512 * i, half[i], 512);
			disk_submit(rig.disk, &r[i].rq);
		}
		disk_drain(rig.disk);
		assert_int_equal(disk_rig_do(&rig, DISK_READ, 8192, block, sizeof(block)), 0);
		for (size_t i = 0; i < 8; i++) {
			assert_int_equal(r[i].err, 0);
			assert_memory_equal(block + 512 * i, half[i], 512);
		}
		disk_rig_close(&rig);
		disk_rig_remove(&rig);
	}
}

/* Through the event loop, as a device uses it, and not by waiting. */
static void the_loop_ends_requests_and_says_so(void **state)
{
	(void)state;
	for (unsigned kind = DISK_ENGINE_BEST; kind <= DISK_ENGINE_THREADS; kind++) {
		const struct disk_way way = {.engine = kind};
		struct disk_rig rig = {0};
		struct rig_request r;

		disk_rig_image(&rig, 4096);
		assert_true(disk_rig_open(&rig, &way));
		rig_request_init(&r, DISK_FLUSH, 0, NULL, 0);
		r.stop = &rig.loop;
		disk_submit(rig.disk, &r.rq);
		disk_commit(rig.disk);
		if (!r.done) {
			event_loop_run(&rig.loop);
			assert_int_equal(rig.batch_done, 1);
		}
		assert_true(r.done);
		assert_int_equal(r.err, 0);
		disk_rig_close(&rig);
		disk_rig_remove(&rig);
	}
}

static void the_last_sector_reads_as_zeros_and_becomes_whole(void **state)
{
	static const struct disk_way odd_ways[] = {
		{.name = "best"},
		{.name = "threads", .engine = DISK_ENGINE_THREADS},
		{.name = "cow", .cow = true},
	};

	(void)state;
	for (size_t w = 0; w < ARRAY_SIZE(odd_ways); w++) {
		struct disk_rig rig = {0};
		uint8_t buf[1024];
		struct stat st;

		disk_rig_image(&rig, 3 * 512 + 100);
		assert_true(disk_rig_open(&rig, &odd_ways[w]));
		assert_int_equal(rig.disk->geo.bytes, 4 * 512);
		memset(buf, 0xff, sizeof(buf));
		assert_int_equal(disk_rig_do(&rig, DISK_READ, 1024, buf, sizeof(buf)), 0);
		for (unsigned i = 0; i < sizeof(buf); i++)
			assert_int_equal(buf[i], i < 612 ? disk_rig_byte(1024 + i) : 0);
		memset(buf, 0x5a, 512);
		assert_int_equal(disk_rig_do(&rig, DISK_WRITE, 1536, buf, 512), 0);
		assert_int_equal(disk_rig_do(&rig, DISK_READ, 1536, buf + 512, 512), 0);
		assert_memory_equal(buf, buf + 512, 512);
		disk_rig_close(&rig);
		assert_int_equal(stat(rig.path, &st), 0);
		assert_int_equal(st.st_size, odd_ways[w].cow ? 3 * 512 + 100 : 4 * 512);
		disk_rig_remove(&rig);
	}
}

/* O_DIRECT can read it; to write there it would have to write more than there is. */
static void an_odd_size_and_direct_can_only_be_read(void **state)
{
	struct disk_opts opts = {.direct = true};
	struct disk_rig rig = {0};
	struct diag diag = {0};
	struct rig_request r;
	uint8_t *buf = aligned_alloc(4096, 4096);
	int err;

	(void)state;
	disk_rig_image(&rig, 3 * 512 + 100);
	opts.path = rig.path;
	assert_int_equal(event_loop_init(&rig.loop, NULL, NULL), 0);
	err = disk_open(&opts, &rig.loop, disk_rig_batch_done, &rig, &rig.disk, &diag);
	assert_int_equal(err, -EINVAL);
	opts.read_only = true;
	diag = (struct diag){0};
	err = disk_open(&opts, &rig.loop, disk_rig_batch_done, &rig, &rig.disk, &diag);
	if (err == 0) {
		memset(buf, 0xff, 4096);
		rig_request_init(&r, DISK_READ, 512, buf, 1536);
		assert_int_equal(disk_rig_run(&rig, &r), 0);
		for (size_t i = 0; i < 1536; i++)
			assert_int_equal(buf[i], i < 1124 ? disk_rig_byte(512 + i) : 0);
		disk_rig_close(&rig);
	} else {
		event_loop_fini(&rig.loop);
	}
	disk_rig_remove(&rig);
	free(buf);
}

static int try_open(const char *path, bool read_only, bool cow, struct event_loop *loop,
		    struct disk **ret, struct diag *diag)
{
	const struct disk_opts opts = {.path = path, .read_only = read_only, .cow = cow};

	*diag = (struct diag){0};
	*ret = NULL;
	return disk_open(&opts, loop, disk_rig_batch_done, NULL, ret, diag);
}

static void an_image_has_one_writer_or_many_readers(void **state)
{
	struct disk_rig rig = {0};
	struct disk *a, *b;
	struct diag diag;

	(void)state;
	disk_rig_image(&rig, 4096);
	assert_int_equal(event_loop_init(&rig.loop, NULL, NULL), 0);
	assert_int_equal(try_open(rig.path, false, false, &rig.loop, &a, &diag), 0);
	for (unsigned way = 0; way < 3; way++) {
		assert_int_equal(try_open(rig.path, way == 1, way == 2, &rig.loop, &b, &diag),
				 -EBUSY);
		assert_diag(&diag, -EBUSY, "disk-in-use");
		assert_non_null(strstr(diag.what, rig.path));
		assert_remedy(&diag, ",ro");
	}
	disk_close(a);
	assert_int_equal(try_open(rig.path, true, false, &rig.loop, &a, &diag), 0);
	assert_int_equal(try_open(rig.path, false, true, &rig.loop, &b, &diag), 0);
	disk_close(b);
	assert_int_equal(try_open(rig.path, false, false, &rig.loop, &b, &diag), -EBUSY);
	disk_close(a);
	assert_int_equal(try_open(rig.path, false, false, &rig.loop, &b, &diag), 0);
	disk_close(b);
	event_loop_fini(&rig.loop);
	disk_rig_remove(&rig);
}

static void what_is_no_disk_is_refused(void **state)
{
	struct disk_rig rig = {0};
	struct disk *disk;
	struct diag diag;
	char fifo[80];

	(void)state;
	disk_rig_image(&rig, 0);
	snprintf(fifo, sizeof(fifo), "%s.fifo", rig.path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(event_loop_init(&rig.loop, NULL, NULL), 0);
	assert_int_equal(try_open(rig.path, false, false, &rig.loop, &disk, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "disk-empty");
	assert_int_equal(try_open(fifo, false, false, &rig.loop, &disk, &diag), -EINVAL);
	assert_int_equal(try_open("/dev/null", false, false, &rig.loop, &disk, &diag), -EINVAL);
	assert_int_equal(try_open("/tmp", false, false, &rig.loop, &disk, &diag), -EINVAL);
	assert_int_equal(try_open("/tmp", true, false, &rig.loop, &disk, &diag), -EINVAL);
	assert_int_equal(try_open("/nonexistent/x", true, true, &rig.loop, &disk, &diag), -ENOENT);
	assert_diag(&diag, -ENOENT, "disk-open /nonexistent/x");
	event_loop_fini(&rig.loop);
	unlink(fifo);
	disk_rig_remove(&rig);
}

/* A file that somebody shortens, and one that must not grow: the guest gets an error, and may go on. */
static void host_errors_are_the_requests_errors(void **state)
{
	const struct rlimit small = {.rlim_cur = 8192, .rlim_max = RLIM_INFINITY};
	struct rlimit before;
	struct disk_rig rig = {0};
	uint8_t buf[8192] = {0};

	(void)state;
	disk_rig_image(&rig, 65536);
	assert_true(disk_rig_open(&rig, &ways[0]));
	assert_int_equal(truncate(rig.path, 5000), 0);
	assert_int_equal(disk_rig_do(&rig, DISK_READ, 4096, buf, 4096), -EIO);
	assert_int_equal(disk_rig_do(&rig, DISK_READ, 0, buf, 4096), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(disk_rig_do(&rig, DISK_WRITE, 4096, buf, 8192), -EFBIG);
	assert_int_equal(disk_rig_do(&rig, DISK_WRITE, 0, buf, 4096), 0);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(disk_rig_do(&rig, DISK_WRITE, 4096, buf, 8192), 0);
	disk_rig_close(&rig);
	disk_rig_remove(&rig);
}

/* The answer that a container's seccomp filter gives. */
static void forbid_io_uring(int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(3);
}

static int use_without_io_uring(const char *path, int err)
{
	const struct disk_opts opts = {.path = path};
	struct disk_rig rig = {0};
	struct diag diag = {0};
	uint8_t buf[512];

	forbid_io_uring(err);
	if (event_loop_init(&rig.loop, NULL, NULL) < 0 ||
	    disk_open(&opts, &rig.loop, disk_rig_batch_done, &rig, &rig.disk, &diag) < 0)
		return 4;
	if (disk_rig_do(&rig, DISK_READ, 512, buf, 512) != 0 || buf[1] != disk_rig_byte(513))
		return 6;
	if (disk_rig_do(&rig, DISK_FLUSH, 0, NULL, 0) != 0)
		return 7;
	disk_rig_close(&rig);
	return 0;
}

static void threads_do_it_where_io_uring_is_forbidden(void **state)
{
	static const int errs[] = {EPERM, ENOSYS, ENOMEM};
	struct disk_rig rig = {0};

	(void)state;
	disk_rig_image(&rig, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(errs); i++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			child_exit(use_without_io_uring(rig.path, errs[i]));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	disk_rig_remove(&rig);
}

static void an_unmapped_range_gives_its_space_back(void **state)
{
	struct disk_rig rig = {0};
	struct stat before, after;

	(void)state;
	disk_rig_image(&rig, 1 << 20);
	assert_true(disk_rig_open(&rig, &ways[0]));
	assert_int_equal(stat(rig.path, &before), 0);
	if (rig.disk->geo.can_discard) {
		assert_int_equal(disk_rig_do(&rig, DISK_DISCARD, 0, NULL, 1 << 19), 0);
		assert_int_equal(disk_rig_do(&rig, DISK_FLUSH, 0, NULL, 0), 0);
		assert_int_equal(stat(rig.path, &after), 0);
		assert_true(after.st_blocks <= before.st_blocks / 2 + 16);
		assert_int_equal(after.st_size, before.st_size);
	}
	disk_rig_close(&rig);
	disk_rig_remove(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_behaves_as_the_model),
		cmocka_unit_test(neighbours_within_a_block_survive),
		cmocka_unit_test(the_loop_ends_requests_and_says_so),
		cmocka_unit_test(the_last_sector_reads_as_zeros_and_becomes_whole),
		cmocka_unit_test(an_odd_size_and_direct_can_only_be_read),
		cmocka_unit_test(an_image_has_one_writer_or_many_readers),
		cmocka_unit_test(what_is_no_disk_is_refused),
		cmocka_unit_test(host_errors_are_the_requests_errors),
		cmocka_unit_test(threads_do_it_where_io_uring_is_forbidden),
		cmocka_unit_test(an_unmapped_range_gives_its_space_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
