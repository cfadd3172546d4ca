/* Unit tests of backend/fs/engine.c: which requests end at once, which on other threads, and that all end. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/macros.h"
#include "event.h"
#include "fs_rig.h"

enum { REQUESTS = FS_REQUESTS_MAX };

/* One request, its bytes and its reply. */
struct sent {
	struct fs_request rq;
	struct iovec out, in;
	uint8_t bytes[128];
	uint8_t room[256];
	bool done;
};

static struct event_loop loop;
static struct fs_engine *engine;
static struct sent sent[REQUESTS];
static unsigned nr_done, batches;
static bool submitting;

static void request_done(struct fs_request *rq)
{
	assert_false(submitting);
	container_of(rq, struct sent, rq)->done = true;
	nr_done++;
}

static void batch_done(void *arg)
{
	(void)arg;
	batches++;
	if (nr_done == REQUESTS)
		event_loop_stop(&loop);
}

static int setup(void **state)
{
	int r = fs_rig_setup(state);

	if (r == 0)
		r = event_loop_init(&loop, NULL, NULL);
	if (r == 0)
		r = fs_engine_create(fuse_client.fs, &loop, batch_done, NULL, &engine);
	memset(sent, 0, sizeof(sent));
	nr_done = batches = 0;
	return r;
}

static int teardown(void **state)
{
	engine = fs_engine_destroy(engine);
	event_loop_fini(&loop);
	return fs_rig_teardown(state);
}

static void submit(unsigned i, uint32_t opcode, uint64_t node, const void *arg, size_t len)
{
	struct sent *s = &sent[i];
	const struct fuse_in_header hdr = {
		.len = (uint32_t)(sizeof(hdr) + len),
		.opcode = opcode,
		.unique = i,
		.nodeid = node,
	};

	memcpy(s->bytes, &hdr, sizeof(hdr));
	if (len)
		memcpy(s->bytes + sizeof(hdr), arg, len);
	s->out = (struct iovec){s->bytes, hdr.len};
	s->in = (struct iovec){s->room, sizeof(s->room)};
	s->rq = (struct fs_request){
		.out = &s->out, .nr_out = 1, .in = &s->in, .nr_in = 1, .done = request_done};
	submitting = true;
	fs_engine_submit(engine, &s->rq);
	submitting = false;
}

static void submit_getattr(unsigned i)
{
	submit(i, FUSE_GETATTR, FUSE_ROOT_ID, &(struct fuse_getattr_in){0},
	       sizeof(struct fuse_getattr_in));
}

static void submit_fsync(unsigned i, uint64_t fh)
{
	submit(i, FUSE_FSYNC, FUSE_ROOT_ID, &(struct fuse_fsync_in){.fh = fh},
	       sizeof(struct fuse_fsync_in));
}

static uint64_t opened(void)
{
	struct fuse_open_out out = {0};

	temp_dir_shell("echo data >share/file");
	assert_int_equal(fuse_open(fs_rig_node("file"), O_RDWR, &out), 0);
	return out.fh;
}

static int error_of(unsigned i)
{
	const struct fuse_out_header *hdr = (const void *)sent[i].room;

	assert_true(sent[i].done);
	assert_int_equal(hdr->unique, i);
	assert_int_equal(hdr->len, sent[i].rq.result.reply_bytes);
	return hdr->error;
}

static void quick_requests_end_at_the_commit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		submit_getattr(i);
	assert_int_equal(nr_done, 0);
	fs_engine_commit(engine);
	assert_int_equal(nr_done, 10);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(error_of(i), 0);
	assert_int_equal(batches, 0);
}

static void slow_ones_end_by_the_loop(void **state)
{
	const uint64_t fh = opened();

	(void)state;
	for (unsigned i = 0; i < REQUESTS; i++) {
		if (i % 2)
			submit_fsync(i, i % 4 == 1 ? fh : fh + 1);
		else
			submit_getattr(i);
	}
	fs_engine_commit(engine);
	assert_true(nr_done >= REQUESTS / 2);
	if (nr_done < REQUESTS)
		event_loop_run(&loop);
	for (unsigned i = 0; i < REQUESTS; i++)
		assert_int_equal(error_of(i), i % 4 == 3 ? -EBADF : 0);
}

static void a_drain_waits_for_all(void **state)
{
	const uint64_t fh = opened();

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		submit_fsync(i, fh);
	fs_engine_drain(engine);
	assert_int_equal(nr_done, 40);
	fs_engine_drain(engine);
}

/* The session ends while they are under way: each keeps what it uses. */
static void a_session_ends_meanwhile(void **state)
{
	const uint64_t fh = opened();

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		submit_fsync(i, fh);
	submit(40, FUSE_DESTROY, 0, NULL, 0);
	fs_engine_drain(engine);
	assert_int_equal(nr_done, 41);
	for (unsigned i = 0; i < 40; i++)
		assert_true(error_of(i) == 0 || error_of(i) == -EBADF || error_of(i) == -EIO);
	assert_int_equal(fs_count(fuse_client.fs).handles, 0);
	assert_int_equal(fs_count(fuse_client.fs).files, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(quick_requests_end_at_the_commit),
		TEST(slow_ones_end_by_the_loop),
		TEST(a_drain_waits_for_all),
		TEST(a_session_ends_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
