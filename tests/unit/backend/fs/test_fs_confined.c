/* Unit tests of backend/fs: what a hostile guest, or a host that moves files, leads to. Nothing outside share/ is reached. */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_rig.h"

static int open_read(uint64_t node, char *buf, uint32_t len)
{
	struct fuse_open_out out = {0};
	int r = fuse_open(node, O_RDONLY, &out);

	return r < 0 ? r : fuse_read(node, out.fh, 0, buf, len);
}

static void links_lead_nowhere(void **state)
{
	static const char *const links[] = {"absolute", "relative", "proc"};
	struct fuse_entry_out entry;
	char buf[16];

	(void)state;
	temp_dir_shell(
		"cd share; ln -s ../outside/file relative; ln -s \"$PWD/../outside\" absolute;"
		"ln -s /proc/self/root proc");
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t node = fs_rig_node(links[i]);

		assert_int_equal(open_read(node, buf, sizeof(buf)), -ELOOP);
		assert_int_equal(fuse_lookup(node, "file", &entry), -ENOTDIR);
	}
}

/* A directory that the guest knows becomes a link on the host. */
static void a_directory_becomes_a_link(void **state)
{
	struct fuse_entry_out entry;
	uint64_t dir, file;
	char buf[16];

	(void)state;
	temp_dir_shell("mkdir share/dir; echo inside >share/dir/file");
	dir = fs_rig_node("dir");
	file = fs_rig_node("dir/file");
	temp_dir_shell("mv share/dir outside/dir; ln -s ../outside share/dir");
	assert_int_equal(fuse_lookup(dir, "file", &entry), -ESTALE);
	assert_int_equal(open_read(file, buf, sizeof(buf)), -ESTALE);
}

static void a_directory_that_is_moved_out_is_lost(void **state)
{
	const struct fuse_mkdir_in mkdir_in = {.mode = 0755};
	const struct fuse_open_in open_in = {0};
	struct fuse_read_in read_in = {.size = 4096};
	struct fuse_entry_out entry;
	uint64_t dir, sub, file;
	char buf[16];

	(void)state;
	temp_dir_shell("mkdir -p share/dir/sub; echo inside >share/dir/sub/file");
	dir = fs_rig_node("dir");
	sub = fs_rig_node("dir/sub");
	file = fs_rig_node("dir/sub/file");
	assert_int_equal(open_read(file, buf, sizeof(buf)), 7); /* all have descriptors now */
	assert_int_equal(fuse_call(FUSE_OPENDIR, sub, &open_in, sizeof(open_in), NULL, NULL), 0);
	read_in.fh = ((const struct fuse_open_out *)fuse_client_reply())->fh;
	temp_dir_shell("mv share/dir outside/dir; echo secret >outside/dir/sub/new");
	assert_int_equal(fuse_lookup(dir, "sub", &entry), -ESTALE);
	assert_int_equal(fuse_lookup(sub, "new", &entry), -ESTALE);
	assert_int_equal(open_read(file, buf, sizeof(buf)), -ESTALE);
	assert_int_equal(fuse_call(FUSE_MKDIR, sub, &mkdir_in, sizeof(mkdir_in), "made", NULL),
			 -ESTALE);
	assert_int_equal(fuse_call(FUSE_UNLINK, sub, NULL, 0, "file", NULL), -ESTALE);
	assert_string_equal(temp_dir_shell("ls outside/dir/sub"), "file\nnew\n");
	assert_int_equal(fuse_call(FUSE_READDIRPLUS, sub, &read_in, sizeof(read_in), NULL, NULL),
			 -ESTALE);
	/* It comes back, and is found as before. */
	temp_dir_shell("mv outside/dir share/back");
	assert_int_equal(fs_rig_node("back"), dir);
	assert_int_equal(fuse_lookup(sub, "new", &entry), 0);
}

static void the_directory_itself_may_move(void **state)
{
	struct fuse_entry_out entry;
	uint64_t dir;

	(void)state;
	temp_dir_shell("mkdir -p share/dir/sub share2; touch share2/file");
	dir = fs_rig_node("dir");
	assert_int_equal(fuse_lookup(dir, "sub", &entry), 0);
	temp_dir_shell("mv share outside/moved");
	assert_int_equal(fuse_lookup(dir, "sub", &entry), 0);
	/* The beginning of a path is not the whole of a name. */
	temp_dir_shell("mv outside/moved/dir outside/moved2");
	assert_int_equal(fuse_lookup(dir, "sub", &entry), -ESTALE);
}

static void a_file_moves_within(void **state)
{
	uint64_t file;
	char buf[16];

	(void)state;
	temp_dir_shell("mkdir share/a share/b; echo 1 >share/a/file");
	file = fs_rig_node("a/file");
	assert_int_equal(open_read(file, buf, sizeof(buf)), 2);
	temp_dir_shell("mv share/a/file share/b/file");
	assert_int_equal(open_read(file, buf, sizeof(buf)), 2);
	temp_dir_shell("mv share/b/file outside/x");
	assert_int_equal(open_read(file, buf, sizeof(buf)), -ESTALE);
}

static void a_hard_link_is_a_file_of_the_directory(void **state)
{
	char buf[16];

	(void)state;
	temp_dir_shell("ln outside/file share/file");
	assert_int_equal(open_read(fs_rig_node("file"), buf, sizeof(buf)), 7);
}

static void special_files_are_not_opened(void **state)
{
	const struct fuse_open_in in = {0};
	char buf[16];

	(void)state;
	temp_dir_shell("mkfifo share/fifo; mknod share/null c 1 3");
	assert_int_equal(open_read(fs_rig_node("fifo"), buf, 1), -ENXIO);
	if (access(temp_dir_at("share/null"), F_OK) == 0)
		assert_int_equal(open_read(fs_rig_node("null"), buf, 1), -ENXIO);
	assert_int_equal(open_read(FUSE_ROOT_ID, buf, 1), -EISDIR);
	assert_int_equal(fuse_call(FUSE_OPENDIR, fs_rig_node("fifo"), &in, sizeof(in), NULL, NULL),
			 -ENOTDIR);
}

static void a_read_only_directory_is_not_changed(void **state)
{
	static const uint8_t zeros[128];
	static const uint32_t changes[] = {
		FUSE_SETATTR, FUSE_SYMLINK,  FUSE_MKNOD,       FUSE_MKDIR,
		FUSE_UNLINK,  FUSE_RMDIR,    FUSE_RENAME,      FUSE_LINK,
		FUSE_WRITE,   FUSE_SETXATTR, FUSE_REMOVEXATTR, FUSE_CREATE,
		FUSE_RENAME2, FUSE_TMPFILE,  FUSE_FALLOCATE,   FUSE_COPY_FILE_RANGE,
	};
	struct fuse_open_out out = {0};
	uint64_t node;
	char buf[4];

	(void)state;
	fs_rig_opts.read_only = true;
	fs_rig_restart();
	temp_dir_shell("echo abc >share/file");
	node = fs_rig_node("file");
	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		assert_int_equal(fuse_call(changes[i], node, zeros, sizeof(zeros), NULL, NULL),
				 -EROFS);
	assert_int_equal(fuse_open(node, O_WRONLY, &out), -EROFS);
	assert_int_equal(fuse_open(node, O_RDWR, &out), -EROFS);
	assert_int_equal(fuse_open(node, O_RDONLY | O_TRUNC, &out), -EROFS);
	assert_int_equal(fuse_open(node, O_ACCMODE, &out), -EINVAL);
	assert_int_equal(open_read(node, buf, 4), 4);
}

static void broken_requests_have_an_answer(void **state)
{
	struct fuse_in_header hdr = {.opcode = FUSE_LOOKUP, .nodeid = 1, .unique = 5};
	struct iovec out = {&hdr, sizeof(hdr)}, in = {fuse_client.in, 100};
	struct fs_result result;

	(void)state;
	/* A header that is not whole, and lengths that are not there. */
	out.iov_len = 39;
	assert_true(fs_serve(fuse_client.fs, fuse_client.worker, &out, 1, &in, 1, true, &result));
	assert_int_equal(result.reply_bytes, 16);
	out.iov_len = sizeof(hdr);
	for (unsigned i = 0; i < 3; i++) {
		const uint32_t lens[] = {0, 39, 41};

		hdr.len = lens[i];
		assert_true(fs_serve(fuse_client.fs, fuse_client.worker, &out, 1, &in, 1, true,
				     &result));
		assert_int_equal(((const struct fuse_out_header *)in.iov_base)->error, -EINVAL);
	}
	/* No room for a reply, for its header, for all of it. */
	hdr.len = sizeof(hdr);
	assert_true(fs_serve(fuse_client.fs, fuse_client.worker, &out, 1, NULL, 0, true, &result));
	assert_int_equal(result.reply_bytes, 0);
	in.iov_len = 15;
	assert_true(fs_serve(fuse_client.fs, fuse_client.worker, &out, 1, &in, 1, true, &result));
	assert_int_equal(result.reply_bytes, 0);
	assert_true(fs_serve(fuse_client.fs, fuse_client.worker, NULL, 0, NULL, 0, true, &result));
	/* An opcode that nobody has. */
	for (uint32_t opcode = 52; opcode < 70; opcode++)
		assert_int_equal(fuse_call(opcode, 1, NULL, 0, NULL, NULL), -ENOSYS);
	assert_int_equal(fuse_call(UINT32_MAX, 1, NULL, 0, NULL, NULL), -ENOSYS);
	assert_int_equal(fuse_call(FUSE_IOCTL, 1, NULL, 0, NULL, NULL), -ENOSYS);
	assert_int_equal(fuse_call(FUSE_SETLKW, 1, NULL, 0, NULL, NULL), -ENOSYS);
}

static void a_request_without_room_for_its_reply_does_nothing(void **state)
{
	const struct fuse_mkdir_in in = {.mode = 0755};

	(void)state;
	fuse_client_begin(FUSE_MKDIR, 1);
	fuse_client_put(&in, sizeof(in));
	fuse_client_put_string("dir");
	fuse_client.room = 100;
	assert_int_equal(fuse_client_send(), -EINVAL);
	assert_string_equal(temp_dir_shell("ls -A share"), "");
}

static void numbers_of_nobody_are_refused(void **state)
{
	struct fuse_attr attr;
	uint64_t node, old;
	char buf[4];

	(void)state;
	temp_dir_shell("echo >share/file");
	assert_int_equal(fuse_getattr(0, &attr), -ESTALE);
	assert_int_equal(fuse_getattr(12345, &attr), -ESTALE);
	node = fs_rig_node("file");
	fs_rig_node("file");
	fuse_forget(node, 1);
	assert_int_equal(fuse_getattr(node, &attr), 0);
	fuse_forget(node, UINT64_MAX);
	assert_int_equal(fuse_getattr(node, &attr), -ESTALE);
	fuse_forget(node, 1);
	fuse_forget(FUSE_ROOT_ID, UINT64_MAX);
	assert_int_equal(fuse_getattr(FUSE_ROOT_ID, &attr), 0);
	/* A number is not used again, and a handle's neither. */
	old = node;
	assert_int_not_equal(fs_rig_node("file"), old);
	assert_int_equal(fuse_read(1, 0, 0, buf, 1), -EBADF);
	assert_int_equal(fuse_read(1, UINT64_MAX, 0, buf, 1), -EBADF);
	assert_int_equal(fuse_read(1, 1000000, 0, buf, 1), -EBADF);
}

static void forgotten_at_once(void **state)
{
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[600];
	} all = {.in.count = UINT32_MAX};

	(void)state;
	temp_dir_shell("cd share; seq 0 599 | xargs touch");
	for (unsigned i = 0; i < 600; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%u", i);
		all.one[i] = (struct fuse_forget_one){fs_rig_node(name), 1};
	}
	assert_int_equal(fs_count(fuse_client.fs).nodes, 601);
	/* More than there are, as the count says. */
	fuse_call(FUSE_BATCH_FORGET, 0, &all, sizeof(all), NULL, NULL);
	assert_int_equal(fs_count(fuse_client.fs).nodes, 1);
}

static void a_session_ends_and_begins(void **state)
{
	struct fuse_open_out out = {0};
	struct fuse_attr attr;
	uint64_t node;
	char buf[4];

	(void)state;
	temp_dir_shell("mkdir -p share/a/b; echo >share/a/b/file");
	node = fs_rig_node("a/b/file");
	assert_int_equal(fuse_open(node, O_RDONLY, &out), 0);
	assert_int_equal(fuse_call(FUSE_DESTROY, 0, NULL, 0, NULL, NULL), 0);
	assert_int_equal(fs_count(fuse_client.fs).nodes, 1);
	assert_int_equal(fs_count(fuse_client.fs).handles, 0);
	assert_int_equal(fs_count(fuse_client.fs).files, 1);
	assert_int_equal(fuse_getattr(FUSE_ROOT_ID, &attr), -EIO);
	assert_int_equal(fuse_init(UINT32_MAX), 0);
	assert_int_equal(fuse_getattr(FUSE_ROOT_ID, &attr), 0);
	assert_int_equal(fuse_getattr(node, &attr), -ESTALE);
	assert_int_equal(fuse_read(node, out.fh, 0, buf, 1), -EBADF);
}

static void versions_are_negotiated(void **state)
{
	struct fuse_init_in in = {.major = 7, .minor = 31, .flags = UINT32_MAX};
	const struct fuse_init_out *out = fuse_client_reply();

	(void)state;
	assert_int_equal(fuse_call(FUSE_INIT, 0, &in, sizeof(in), NULL, NULL), 0);
	assert_int_equal(out->major, 7);
	assert_int_equal(out->minor, 31);
	assert_int_equal(out->max_write, 1 << 20);
	assert_int_equal(out->max_pages, 256);
	assert_false(out->flags & (FUSE_WRITEBACK_CACHE | FUSE_POSIX_LOCKS | FUSE_INIT_EXT));
	assert_true(out->flags & FUSE_DO_READDIRPLUS);
	in.flags = 0;
	assert_int_equal(fuse_call(FUSE_INIT, 0, &in, sizeof(in), NULL, NULL), 0);
	assert_int_equal(out->flags, 0);
	in.minor = 26;
	assert_int_equal(fuse_call(FUSE_INIT, 0, &in, sizeof(in), NULL, NULL), -EPROTO);
	in.major = 6;
	assert_int_equal(fuse_call(FUSE_INIT, 0, &in, sizeof(in), NULL, NULL), -EPROTO);
	in.major = 8; /* comes again with ours */
	assert_int_equal(fuse_call(FUSE_INIT, 0, &in, sizeof(in), NULL, NULL), 0);
	assert_int_equal(out->major, 7);
	assert_int_equal(fuse_call(FUSE_INIT, 0, &in, 8, NULL, NULL), -EINVAL);
}

/*
 * Limits.
 */

static void descriptors_have_a_limit(void **state)
{
	uint64_t node[400];
	struct fuse_open_out out[64];
	unsigned open = 0;
	char name[16];

	(void)state;
	temp_dir_shell("mkdir -p share/a/b/c; cd share/a/b/c; seq 0 399 | xargs touch");
	for (unsigned i = 0; i < 400; i++) {
		struct fuse_attr attr;

		snprintf(name, sizeof(name), "a/b/c/%u", i);
		node[i] = fs_rig_node(name);
		assert_int_equal(fuse_getattr(node[i], &attr), 0);
		assert_true(fs_count(fuse_client.fs).files <= FS_FILES_MIN);
	}
	/* The first ones are found again. */
	for (unsigned i = 0; i < 400; i++) {
		struct fuse_attr attr;

		assert_int_equal(fuse_getattr(node[i], &attr), 0);
	}
	while (open < 64 && fuse_open(node[open], O_RDONLY, &out[open]) == 0)
		open++;
	assert_true(open >= FS_FILES_MIN / 2 - 3 && open < FS_FILES_MIN / 2);
	assert_int_equal(fuse_open(node[open], O_RDONLY, &out[open]), -ENFILE);
	assert_int_equal(fuse_release(node[0], out[0].fh, false), 0);
	assert_int_equal(fuse_open(node[open], O_RDONLY, &out[open]), 0);
	assert_true(fs_count(fuse_client.fs).files <= FS_FILES_MIN);
}

/* Its descriptor was closed, and its name is another file's now. */
static void a_name_that_changed_hands_is_not_taken(void **state)
{
	struct fuse_attr attr;
	uint64_t node;

	(void)state;
	temp_dir_shell("mkdir share/dir; echo 1 >share/dir/file");
	node = fs_rig_node("dir/file");
	temp_dir_shell("echo 2 >share/dir/other; mv share/dir/other share/dir/file");
	assert_int_equal(fuse_getattr(node, &attr), -ESTALE);
	assert_int_not_equal(fs_rig_node("dir/file"), node);
}

static void nodes_have_a_limit(void **state)
{
	struct fuse_entry_out entry = {0};
	char name[16];
	unsigned n = 0;
	int r = 0;

	(void)state;
	temp_dir_shell("cd share; seq 0 999 | xargs touch");
	fs_rig_opts.nodes_bytes = 65536;
	fs_rig_restart();
	while (r == 0 && n < 1000) {
		snprintf(name, sizeof(name), "%u", n++);
		r = fuse_lookup(FUSE_ROOT_ID, name, &entry);
	}
	assert_int_equal(r, -ENFILE);
	assert_true(n > 200 && n < 600);
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, "0", &entry), 0); /* one that it has */
	fuse_forget(entry.nodeid, 2);
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, name, &entry), 0);
	fs_reset(fuse_client.fs);
	assert_int_equal(fuse_init(0), 0);
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, "999", &entry), 0);
}

/* Each of the names so often, as a build does that looks for its headers, and all of them forgotten in the end. */
static void look_up_and_forget(unsigned times)
{
	enum { NAMES = 1000 };
	static uint64_t id[NAMES];
	struct fuse_entry_out entry = {0};
	char name[16];

	for (unsigned i = 0; i < times * NAMES; i++) {
		snprintf(name, sizeof(name), "%u", i % NAMES);
		assert_int_equal(fuse_lookup(FUSE_ROOT_ID, name, &entry), 0);
		id[i % NAMES] = entry.nodeid;
		assert_true(fs_count(fuse_client.fs).nodes <= 1 + NAMES);
		assert_true(fs_count(fuse_client.fs).files <= FS_FILES_MIN);
	}
	for (unsigned i = 0; i < NAMES; i++)
		fuse_forget(id[i], times);
	assert_int_equal(fs_count(fuse_client.fs).nodes, 1);
}

/* LOOKUPS of the environment is how many thousands there are in the second half. */
static void look_ups_cost_no_memory(void **state)
{
	const char *thousands = getenv("LOOKUPS");
	size_t bytes;

	(void)state;
	temp_dir_shell("cd share; seq 0 999 | xargs touch");
	look_up_and_forget(1);
	bytes = mallinfo2().uordblks;
	look_up_and_forget(thousands ? (unsigned)strtoul(thousands, NULL, 10) : 5);
	assert_int_equal(mallinfo2().uordblks, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(links_lead_nowhere),
		FS_TEST(a_directory_becomes_a_link),
		FS_TEST(a_directory_that_is_moved_out_is_lost),
		FS_TEST(the_directory_itself_may_move),
		FS_TEST(a_file_moves_within),
		FS_TEST(a_hard_link_is_a_file_of_the_directory),
		FS_TEST(special_files_are_not_opened),
		FS_TEST(a_read_only_directory_is_not_changed),
		FS_TEST(broken_requests_have_an_answer),
		FS_TEST(a_request_without_room_for_its_reply_does_nothing),
		FS_TEST(numbers_of_nobody_are_refused),
		FS_TEST(forgotten_at_once),
		FS_TEST(a_session_ends_and_begins),
		FS_TEST(versions_are_negotiated),
		FS_TEST(descriptors_have_a_limit),
		FS_TEST(a_name_that_changed_hands_is_not_taken),
		FS_TEST(nodes_have_a_limit),
		FS_TEST(look_ups_cost_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
