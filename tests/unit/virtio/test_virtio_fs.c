/* Unit tests of virtio/fs.c: requests from rings to the directory, the configuration, resets. */
#include <endian.h>
#include <linux/fuse.h>
#include <linux/virtio_fs.h>
#include <string.h>

#include "temp_dir.h"
#include "virtio_device_rig.h"

enum { OUT_GPA = 0x40000, IN_GPA = 0x50000, SIZE = 512, ROOM = 512 };

static struct virtq_driver drv;
static unsigned cpus, shares = 1;
static struct virtio_fs_conf conf = {.tag = "tag", .cpus = &cpus, .shares = &shares};

static bool start(void)
{
	/* Queue 1 is the first for requests. */
	virtq_driver_init(&drv, &rig.mem, VIRTIO_RIG_QUEUE_GPA, SIZE);
	if (!virtio_rig_negotiate(&rig, UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC) ||
	    !virtio_rig_queue(&rig, 1, &drv))
		return false;
	virtio_rig_driver_ok(&rig);
	return true;
}

static int setup(void **state)
{
	int r;

	(void)state;
	if (temp_dir_make() < 0)
		return -1;
	cpus = 2;
	conf.fs.path = temp_dir;
	r = virtio_rig_init(&rig, &virtio_fs_class, &conf);
	if (r == 0 && !start())
		r = -1;
	return r;
}

static int fs_teardown(void **state)
{
	temp_dir_remove();
	return teardown(state);
}

/* A request in one piece, offered; its reply is at that place then. */
static void offer(uint64_t reply_gpa, uint32_t opcode, uint64_t node, const void *arg, size_t len)
{
	struct fuse_in_header hdr = {
		.len = (uint32_t)(sizeof(hdr) + len),
		.opcode = opcode,
		.unique = 7,
		.nodeid = node,
	};
	const struct virtq_buf bufs[] = {{OUT_GPA, hdr.len, false}, {reply_gpa, ROOM, true}};

	memcpy(at(OUT_GPA), &hdr, sizeof(hdr));
	memcpy(at(OUT_GPA) + sizeof(hdr), arg, len);
	virtq_driver_add(&drv, bufs, 2);
}

/* The error of the reply. */
static int call(uint32_t opcode, uint64_t node, const void *arg, size_t len)
{
	const struct fuse_out_header *hdr = (const void *)at(IN_GPA);
	uint32_t id, used = 0;

	offer(IN_GPA, opcode, node, arg, len);
	virtio_rig_kick(&rig, 1);
	assert_true(virtq_driver_used(&drv, &id, &used));
	assert_int_equal(hdr->len, used);
	assert_int_equal(hdr->unique, 7);
	return hdr->error;
}

static int init(void)
{
	const struct fuse_init_in in = {.major = 7, .minor = 31};

	return call(FUSE_INIT, 0, &in, sizeof(in));
}

static uint64_t lookup(const char *name)
{
	if (call(FUSE_LOOKUP, FUSE_ROOT_ID, name, strlen(name) + 1) < 0)
		return 0;
	return ((const struct fuse_entry_out *)(at(IN_GPA) + sizeof(struct fuse_out_header)))
		->nodeid;
}

static void it_says_what_it_is(void **state)
{
	struct virtio_fs_config config;

	(void)state;
	assert_int_equal(virtio_rig_read(&rig, VIRTIO_MMIO_DEVICE_ID), 26);
	assert_int_equal(rig.vd->config_len, sizeof(config));
	memcpy(&config, rig.vd->config, sizeof(config));
	assert_memory_equal(config.tag, "tag\0\0\0\0\0", 8);
	assert_int_equal(le32toh(config.num_request_queues), 2);
	assert_int_equal(rig.vd->nr_queues, 3);
	assert_int_equal(rig.vd->features, 0);
}

static void a_request_is_answered(void **state)
{
	(void)state;
	temp_dir_put("file", "data", 4);
	assert_int_equal(init(), 0);
	assert_int_not_equal(lookup("file"), 0);
	assert_int_equal(lookup("none"), 0);
	assert_int_equal(rig.pulses, 3);
	assert_int_equal(counted("known_files"), 2);
}

static void a_chain_without_a_request_comes_back(void **state)
{
	uint32_t id, used = 0;

	(void)state;
	virtq_driver_add(&drv, &(struct virtq_buf){OUT_GPA, 39, false}, 1);
	virtq_driver_add(&drv, &(struct virtq_buf){IN_GPA, 8, true}, 1);
	virtio_rig_kick(&rig, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(virtq_driver_used(&drv, &id, &used));
		assert_int_equal(used, 0);
	}
	assert_int_equal(init(), 0);
}

static void too_many_pieces_need_a_reset(void **state)
{
	static struct virtq_buf bufs[FS_IOV_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < FS_IOV_MAX + 1; i++)
		bufs[i] = (struct virtq_buf){OUT_GPA + i, 1, false};
	virtq_driver_add(&drv, bufs, FS_IOV_MAX);
	virtio_rig_kick(&rig, 1);
	assert_false(rig.vd->broken);
	virtq_driver_add(&drv, bufs, FS_IOV_MAX + 1);
	virtio_rig_kick(&rig, 1);
	assert_true(rig.vd->broken);
	assert_true(virtio_rig_status(&rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(start());
	assert_int_equal(init(), 0);
}

static void a_reset_ends_the_session(void **state)
{
	const struct fuse_getattr_in in = {0};
	uint64_t node;

	(void)state;
	temp_dir_put("file", "data", 4);
	assert_int_equal(init(), 0);
	node = lookup("file");
	assert_int_equal(call(FUSE_GETATTR, node, &in, sizeof(in)), 0);
	assert_true(start());
	assert_int_equal(call(FUSE_GETATTR, node, &in, sizeof(in)), -5 /* EIO */);
	assert_int_equal(init(), 0);
	assert_int_equal(call(FUSE_GETATTR, node, &in, sizeof(in)), -116 /* ESTALE */);
	assert_int_equal(counted("known_files"), 1);
}

/* Requests that have threads are under way; the reset waits, and hands none of them to the next driver. */
static void a_reset_waits_for_what_is_under_way(void **state)
{
	uint32_t id, used;

	(void)state;
	assert_int_equal(init(), 0);
	for (unsigned i = 0; i < 32; i++)
		offer(IN_GPA + i * ROOM, FUSE_FSYNC, FUSE_ROOT_ID, &(struct fuse_fsync_in){.fh = 5},
		      sizeof(struct fuse_fsync_in));
	virtio_rig_kick(&rig, 1);
	assert_true(start());
	assert_false(virtq_driver_used(&drv, &id, &used));
	assert_int_equal(init(), 0);
}

/* The same head without end: the device rings for itself, and its other events are serviced. */
static void a_flood_is_served_in_turns(void **state)
{
	const struct virtq_buf buf = {OUT_GPA, 1, false};
	uint32_t id, used;
	unsigned n = 0;
	uint16_t head;

	(void)state;
	head = virtq_driver_chain(&drv, &buf, 1);
	for (unsigned i = 0; i < SIZE; i++)
		virtq_driver_offer(&drv, head);
	rig.deaf = true;
	virtio_rig_kick(&rig, 1);
	rig.rung = 0;
	rig.dev->cls->io->kick(rig.dev, 1);
	while (virtq_driver_used(&drv, &id, &used))
		n++;
	assert_true(n > 0 && n < SIZE);
	assert_int_not_equal(rig.rung, 0);
	rig.deaf = false;
	virtio_rig_answer(&rig);
	while (virtq_driver_used(&drv, &id, &used))
		n++;
	assert_int_equal(n, SIZE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_says_what_it_is),
		TEST(a_request_is_answered),
		TEST(a_chain_without_a_request_comes_back),
		TEST(too_many_pieces_need_a_reset),
		TEST(a_reset_ends_the_session),
		TEST(a_reset_waits_for_what_is_under_way),
		TEST(a_flood_is_served_in_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
