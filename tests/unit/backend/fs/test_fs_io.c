/* Unit tests of backend/fs: open files, their content and their attributes. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs_rig.h"

static struct stat host_stat(const char *name)
{
	struct stat st = {0};

	assert_int_equal(lstat(temp_dir_at(name), &st), 0);
	return st;
}

static uint64_t opened(const char *path, uint32_t flags, uint64_t *ret_node)
{
	struct fuse_open_out out = {0};

	*ret_node = fs_rig_node(path);
	assert_int_equal(fuse_open(*ret_node, flags, &out), 0);
	return out.fh;
}

static void a_file_is_read_and_written(void **state)
{
	uint64_t node = 0, fh = 0;
	char buf[16];

	(void)state;
	temp_dir_shell("printf 0123456789 >share/file");
	fh = opened("file", O_RDWR, &node);
	assert_int_equal(fuse_read(node, fh, 2, buf, 4), 4);
	assert_memory_equal(buf, "2345", 4);
	assert_int_equal(fuse_read(node, fh, 8, buf, 16), 2);
	assert_int_equal(fuse_read(node, fh, 10, buf, 16), 0);
	assert_int_equal(fuse_read(node, fh, 100, buf, 16), 0);
	assert_int_equal(fuse_read(node, fh, UINT64_MAX, buf, 16), -EINVAL);
	assert_int_equal(fuse_write(node, fh, UINT64_MAX, "x", 1, O_RDWR), -EINVAL);
	assert_int_equal(fuse_write(node, fh, 4, "ABC", 3, O_RDWR), 3);
	assert_int_equal(fuse_client.result.written_bytes, 3);
	assert_int_equal(fuse_write(node, fh, 12, "x", 1, O_RDWR), 1);
	assert_int_equal(fuse_release(node, fh, false), 0);
	assert_int_equal(fuse_release(node, fh, false), -EBADF);
	assert_int_equal(fuse_read(node, fh, 0, buf, 1), -EBADF);
	assert_string_equal(temp_dir_shell("tr '\\0' _ <share/file"), "0123ABC789__x");
}

static void a_flag_of_an_open_holds(void **state)
{
	uint64_t node = 0, fh = 0;
	char buf[4];

	(void)state;
	temp_dir_shell("printf 0123 >share/file");
	fh = opened("file", O_RDONLY, &node);
	assert_int_equal(fuse_write(node, fh, 0, "x", 1, O_RDONLY), -EBADF);
	fh = opened("file", O_WRONLY, &node);
	assert_int_equal(fuse_read(node, fh, 0, buf, 1), -EBADF);
	/* The guest's program may turn O_APPEND on and off: it comes with each write. */
	assert_int_equal(fuse_write(node, fh, 0, "45", 2, O_WRONLY | O_APPEND), 2);
	assert_int_equal(fuse_write(node, fh, 1, "X", 1, O_WRONLY), 1);
	assert_string_equal(temp_dir_shell("cat share/file"), "0X2345");
	opened("file", O_WRONLY | O_TRUNC, &node);
	assert_int_equal(host_stat("share/file").st_size, 0);
	assert_int_equal(fuse_open(node, O_ACCMODE, &(struct fuse_open_out){0}), -EINVAL);
}

static void a_file_is_made_and_opened_at_once(void **state)
{
	uint64_t node = 0, fh = 0, again;

	(void)state;
	umask(027);
	fs_rig_restart();
	assert_int_equal(fuse_create(1, "new", O_RDWR | O_EXCL, 0666, &node, &fh), 0);
	assert_int_equal(host_stat("share/new").st_mode, S_IFREG | 0666);
	assert_int_equal(fuse_write(node, fh, 0, "12", 2, O_RDWR), 2);
	assert_int_equal(fuse_create(1, "new", O_RDWR | O_EXCL, 0666, &again, &fh), -EEXIST);
	assert_int_equal(fuse_create(1, "new", O_RDWR | O_TRUNC, 0600, &again, &fh), 0);
	assert_int_equal(again, node);
	assert_int_equal(host_stat("share/new").st_size, 0);
	assert_int_equal(host_stat("share/new").st_mode, S_IFREG | 0666);
	temp_dir_shell("mkdir share/dir; mkfifo share/fifo; ln -s new share/link");
	assert_int_equal(fuse_create(1, "dir", O_RDWR, 0666, &again, &fh), -EISDIR);
	assert_int_equal(fuse_create(1, "fifo", O_RDWR, 0666, &again, &fh), -ENXIO);
	assert_int_equal(fuse_create(1, "link", O_RDWR, 0666, &again, &fh), -ELOOP);
	assert_int_equal(fuse_create(1, "a/b", O_RDWR, 0666, &again, &fh), -EINVAL);
}

static void a_file_without_a_name_gets_one(void **state)
{
	const struct fuse_create_in in = {.flags = O_RDWR, .mode = 0640};
	struct fuse_link_in link = {0};
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	struct fuse_attr attr;

	(void)state;
	assert_int_equal(fuse_call(FUSE_TMPFILE, 1, &in, sizeof(in), "#1", NULL), 0);
	memcpy(&entry, fuse_client_reply(), sizeof(entry));
	memcpy(&open, (const uint8_t *)fuse_client_reply() + sizeof(entry), sizeof(open));
	assert_int_equal(entry.attr.nlink, 0);
	assert_string_equal(temp_dir_shell("ls -A share"), "");
	assert_int_equal(fuse_write(entry.nodeid, open.fh, 0, "data", 4, O_RDWR), 4);
	assert_int_equal(fuse_getattr(entry.nodeid, &attr), 0);
	assert_int_equal(attr.size, 4);
	link.oldnodeid = entry.nodeid;
	assert_int_equal(fuse_call(FUSE_LINK, 1, &link, sizeof(link), "name", NULL), 0);
	assert_string_equal(temp_dir_shell("cat share/name; stat -c %a share/name"), "data640\n");
}

static void an_open_file_needs_no_name(void **state)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = 0600};
	uint64_t node = 0, fh = 0;
	struct fuse_attr attr;

	(void)state;
	assert_int_equal(fuse_create(1, "file", O_RDWR, 0644, &node, &fh), 0);
	assert_int_equal(fuse_call(FUSE_UNLINK, 1, NULL, 0, "file", NULL), 0);
	assert_int_equal(fuse_write(node, fh, 0, "123", 3, O_RDWR), 3);
	assert_int_equal(fuse_call(FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL), 0);
	assert_int_equal(fuse_getattr(node, &attr), 0);
	assert_int_equal(attr.size, 3);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(attr.mode, S_IFREG | 0600);
}

static void attributes_are_set(void **state)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_MODE | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME,
		.mode = 0751,
		.size = 3,
		.atime = 1000,
		.atimensec = 1,
		.mtime = 2000,
		.mtimensec = 999999999,
	};
	struct stat st;

	(void)state;
	temp_dir_shell("printf 0123456789 >share/file; ln -s x share/link; mkdir share/dir");
	assert_int_equal(fuse_call(FUSE_SETATTR, fs_rig_node("file"), &in, sizeof(in), NULL, NULL),
			 0);
	st = host_stat("share/file");
	assert_int_equal(st.st_mode, S_IFREG | 0751);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(st.st_atim.tv_sec, 1000);
	assert_int_equal(st.st_atim.tv_nsec, 1);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_int_equal(st.st_mtim.tv_nsec, 999999999);
	assert_int_equal(fuse_call(FUSE_SETATTR, fs_rig_node("dir"), &in, sizeof(in), NULL, NULL),
			 -EISDIR);
	in.valid = FATTR_MODE;
	assert_int_equal(fuse_call(FUSE_SETATTR, fs_rig_node("link"), &in, sizeof(in), NULL, NULL),
			 -EOPNOTSUPP);
	in.valid = FATTR_MTIME; /* of the link itself */
	assert_int_equal(fuse_call(FUSE_SETATTR, fs_rig_node("link"), &in, sizeof(in), NULL, NULL),
			 0);
	assert_int_equal(host_stat("share/link").st_mtim.tv_sec, 2000);
	in.mtimensec = 1000000000;
	assert_int_equal(fuse_call(FUSE_SETATTR, fs_rig_node("file"), &in, sizeof(in), NULL, NULL),
			 -EINVAL);
	in.valid = FATTR_ATIME | FATTR_ATIME_NOW;
	assert_int_equal(fuse_call(FUSE_SETATTR, fs_rig_node("file"), &in, sizeof(in), NULL, NULL),
			 0);
	assert_true(host_stat("share/file").st_atim.tv_sec > 1000);
	assert_int_equal(host_stat("share/file").st_mtim.tv_sec, 2000);
	in.valid = FATTR_SIZE;
	in.size = UINT64_MAX;
	assert_int_equal(fuse_call(FUSE_SETATTR, fs_rig_node("file"), &in, sizeof(in), NULL, NULL),
			 -EINVAL);
}

static void a_handle_of_another_file_does_not_truncate_it(void **state)
{
	struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_FH};
	uint64_t other;

	(void)state;
	temp_dir_shell("printf 1 >share/a; printf 2 >share/b");
	in.fh = opened("b", O_RDWR, &other);
	assert_int_equal(fuse_call(FUSE_SETATTR, fs_rig_node("a"), &in, sizeof(in), NULL, NULL),
			 -EBADF);
	assert_int_equal(fuse_call(FUSE_SETATTR, other, &in, sizeof(in), NULL, NULL), 0);
	assert_string_equal(temp_dir_shell("cat share/a share/b"), "1");
}

static void an_unchanged_file_stays_cached(void **state)
{
	struct fuse_open_out out = {0};
	struct fuse_attr attr;
	uint64_t node;

	(void)state;
	temp_dir_shell("printf 1234 >share/file; touch -d @1000 share/file");
	node = fs_rig_node("file");
	assert_int_equal(fuse_open(node, O_RDONLY, &out), 0);
	assert_true(out.open_flags & FOPEN_KEEP_CACHE);
	assert_true(out.open_flags & FOPEN_NOFLUSH);
	/* The host changes its time, and then its size. */
	temp_dir_shell("touch -d @2000 share/file");
	assert_int_equal(fuse_open(node, O_RDWR, &out), 0);
	assert_false(out.open_flags & (FOPEN_KEEP_CACHE | FOPEN_NOFLUSH));
	assert_int_equal(fuse_getattr(node, &attr), 0);
	assert_int_equal(fuse_open(node, O_RDONLY, &out), 0);
	assert_true(out.open_flags & FOPEN_KEEP_CACHE);
	temp_dir_shell("printf 5 >>share/file; touch -d @2000 share/file");
	assert_int_equal(fuse_open(node, O_RDONLY, &out), 0);
	assert_false(out.open_flags & FOPEN_KEEP_CACHE);
}

static void holes_are_made_and_found(void **state)
{
	struct fuse_fallocate_in punch = {
		.offset = 65536,
		.length = 65536,
		.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	};
	struct fuse_lseek_in seek = {.whence = SEEK_HOLE};
	uint64_t node;

	(void)state;
	temp_dir_shell("head -c 262144 /dev/urandom >share/file; sync share/file");
	punch.fh = seek.fh = opened("file", O_RDWR, &node);
	assert_int_equal(fuse_call(FUSE_FALLOCATE, node, &punch, sizeof(punch), NULL, NULL), 0);
	assert_int_equal(fuse_call(FUSE_LSEEK, node, &seek, sizeof(seek), NULL, NULL), 0);
	assert_int_equal(((const struct fuse_lseek_out *)fuse_client_reply())->offset, 65536);
	seek.whence = SEEK_DATA;
	seek.offset = 65536;
	assert_int_equal(fuse_call(FUSE_LSEEK, node, &seek, sizeof(seek), NULL, NULL), 0);
	assert_int_equal(((const struct fuse_lseek_out *)fuse_client_reply())->offset, 131072);
	seek.whence = SEEK_END;
	assert_int_equal(fuse_call(FUSE_LSEEK, node, &seek, sizeof(seek), NULL, NULL), -EINVAL);
	punch.mode = FALLOC_FL_COLLAPSE_RANGE;
	assert_int_equal(fuse_call(FUSE_FALLOCATE, node, &punch, sizeof(punch), NULL, NULL),
			 -EOPNOTSUPP);
	punch = (struct fuse_fallocate_in){.fh = punch.fh, .length = 300000};
	assert_int_equal(fuse_call(FUSE_FALLOCATE, node, &punch, sizeof(punch), NULL, NULL), 0);
	assert_int_equal(host_stat("share/file").st_size, 300000);
}

static void a_range_is_copied(void **state)
{
	struct fuse_copy_file_range_in in = {.off_in = 2, .off_out = 1, .len = 3};
	uint64_t from, to;

	(void)state;
	temp_dir_shell("printf 0123456789 >share/a; printf ABCDEFG >share/b");
	in.fh_in = opened("a", O_RDONLY, &from);
	in.fh_out = opened("b", O_RDWR, &to);
	in.nodeid_out = to;
	assert_int_equal(fuse_call(FUSE_COPY_FILE_RANGE, from, &in, sizeof(in), NULL, NULL), 0);
	assert_int_equal(((const struct fuse_write_out *)fuse_client_reply())->size, 3);
	assert_string_equal(temp_dir_shell("cat share/b"), "A234EFG");
	in.fh_out = 12345;
	assert_int_equal(fuse_call(FUSE_COPY_FILE_RANGE, from, &in, sizeof(in), NULL, NULL),
			 -EBADF);
	in.flags = 1;
	assert_int_equal(fuse_call(FUSE_COPY_FILE_RANGE, from, &in, sizeof(in), NULL, NULL),
			 -EINVAL);
}

static void files_are_synced_and_flushed(void **state)
{
	struct fuse_fsync_in sync = {0};
	struct fuse_flush_in flush = {0};
	struct fuse_open_in open_in = {0};
	uint64_t node;

	(void)state;
	temp_dir_shell("echo >share/file");
	sync.fh = flush.fh = opened("file", O_RDWR, &node);
	assert_int_equal(fuse_write(node, sync.fh, 0, "x", 1, O_RDWR), 1);
	assert_int_equal(fuse_call(FUSE_FSYNC, node, &sync, sizeof(sync), NULL, NULL), 0);
	sync.fsync_flags = FUSE_FSYNC_FDATASYNC;
	assert_int_equal(fuse_call(FUSE_FSYNC, node, &sync, sizeof(sync), NULL, NULL), 0);
	assert_int_equal(fuse_call(FUSE_FLUSH, node, &flush, sizeof(flush), NULL, NULL), 0);
	assert_int_equal(fuse_call(FUSE_FSYNCDIR, node, &sync, sizeof(sync), NULL, NULL), -EBADF);
	assert_int_equal(fuse_call(FUSE_OPENDIR, 1, &open_in, sizeof(open_in), NULL, NULL), 0);
	sync.fh = ((const struct fuse_open_out *)fuse_client_reply())->fh;
	assert_int_equal(fuse_call(FUSE_FSYNCDIR, 1, &sync, sizeof(sync), NULL, NULL), 0);
	assert_int_equal(fuse_call(FUSE_SYNCFS, 1, NULL, 0, NULL, NULL), 0);
}

static void the_file_system_is_described(void **state)
{
	const struct fuse_access_in access_in = {.mask = R_OK | W_OK};
	const struct fuse_kstatfs *st;

	(void)state;
	assert_int_equal(fuse_call(FUSE_STATFS, 1, NULL, 0, NULL, NULL), 0);
	st = &((const struct fuse_statfs_out *)fuse_client_reply())->st;
	assert_true(st->blocks > 0 && st->bfree <= st->blocks && st->bsize > 0);
	assert_int_equal(st->namelen, 255);
	assert_int_equal(fuse_call(FUSE_ACCESS, 1, &access_in, sizeof(access_in), NULL, NULL), 0);
}

static int set_xattr(uint64_t node, const char *name, const void *value, uint32_t len)
{
	const struct fuse_setxattr_in in = {.size = len};

	fuse_client_begin(FUSE_SETXATTR, node);
	fuse_client_put(&in, FUSE_COMPAT_SETXATTR_IN_SIZE);
	fuse_client_put_string(name);
	fuse_client_put(value, len);
	return fuse_client_send();
}

static int get_xattr(uint64_t node, const char *name, uint32_t size)
{
	const struct fuse_getxattr_in in = {.size = size};

	return fuse_call(name ? FUSE_GETXATTR : FUSE_LISTXATTR, node, &in, sizeof(in), name, NULL);
}

static void attributes_of_users_are_kept(void **state)
{
	uint64_t node = 0, link = 0;

	(void)state;
	temp_dir_shell("echo >share/file; ln -s file share/link");
	node = fs_rig_node("file");
	link = fs_rig_node("link");
	if (set_xattr(node, "user.a", "value", 5) == -EOPNOTSUPP)
		skip(); /* a file system without any */
	assert_int_equal(get_xattr(node, "user.a", 0), 0);
	assert_int_equal(((const struct fuse_getxattr_out *)fuse_client_reply())->size, 5);
	assert_int_equal(get_xattr(node, "user.a", 4), -ERANGE);
	assert_int_equal(get_xattr(node, "user.a", 5), 0);
	assert_memory_equal(fuse_client_reply(), "value", 5);
	assert_int_equal(get_xattr(node, NULL, 100), 0);
	assert_int_equal(fuse_client_reply_len(), 7);
	assert_memory_equal(fuse_client_reply(), "user.a", 7);
	assert_int_equal(get_xattr(link, "user.a", 5), -ENODATA);
	assert_int_equal(get_xattr(link, NULL, 0), 0);
	assert_int_equal(set_xattr(link, "user.b", "x", 1), -EPERM);
	assert_int_equal(fuse_call(FUSE_REMOVEXATTR, node, NULL, 0, "user.a", NULL), 0);
	assert_int_equal(get_xattr(node, "user.a", 5), -ENODATA);
}

static void other_attributes_are_the_hosts(void **state)
{
	static const char *const names[] = {"security.capability",
					    "trusted.overlay.opaque",
					    "system.posix_acl_access",
					    "user",
					    "user.",
					    ""};
	uint64_t node;

	(void)state;
	temp_dir_shell("echo >share/file");
	setxattr(temp_dir_at("share/file"), "trusted.x", "1", 1, 0); /* where it is possible */
	node = fs_rig_node("file");
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(set_xattr(node, names[i], "x", 1), -EOPNOTSUPP);
		assert_int_equal(get_xattr(node, names[i], 10), -EOPNOTSUPP);
		assert_int_equal(fuse_call(FUSE_REMOVEXATTR, node, NULL, 0, names[i], NULL),
				 -EOPNOTSUPP);
	}
	assert_int_equal(get_xattr(node, NULL, 100), 0);
	assert_int_equal(fuse_client_reply_len(), 0);
}

static void scattered_requests_are_served(void **state)
{
	uint64_t node = 0, fh = 0;
	struct fuse_read_in in = {.size = 6};
	struct fuse_in_header hdr = {.opcode = FUSE_READ, .unique = 77};
	struct iovec out[sizeof(hdr) + sizeof(in)], room[22];
	uint8_t bytes[sizeof(hdr) + sizeof(in)], back[22];
	struct fuse_out_header reply;

	(void)state;
	temp_dir_shell("printf 0123456789 >share/file");
	fh = opened("file", O_RDONLY, &node);
	hdr.len = sizeof(bytes);
	hdr.nodeid = node;
	in.fh = fh;
	memcpy(bytes, &hdr, sizeof(hdr));
	memcpy(bytes + sizeof(hdr), &in, sizeof(in));
	for (size_t i = 0; i < sizeof(bytes); i++)
		out[i] = (struct iovec){&bytes[i], 1};
	for (size_t i = 0; i < sizeof(back); i++)
		room[i] = (struct iovec){&back[i], 1};
	assert_true(fs_serve(fuse_client.fs, fuse_client.worker, out, sizeof(bytes), room, 22, true,
			     &fuse_client.result));
	memcpy(&reply, back, sizeof(reply));
	assert_int_equal(reply.len, 22);
	assert_int_equal(reply.unique, 77);
	assert_memory_equal(back + 16, "012345", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(a_file_is_read_and_written),
		FS_TEST(a_flag_of_an_open_holds),
		FS_TEST(a_file_is_made_and_opened_at_once),
		FS_TEST(a_file_without_a_name_gets_one),
		FS_TEST(an_open_file_needs_no_name),
		FS_TEST(attributes_are_set),
		FS_TEST(a_handle_of_another_file_does_not_truncate_it),
		FS_TEST(an_unchanged_file_stays_cached),
		FS_TEST(holes_are_made_and_found),
		FS_TEST(a_range_is_copied),
		FS_TEST(files_are_synced_and_flushed),
		FS_TEST(the_file_system_is_described),
		FS_TEST(attributes_of_users_are_kept),
		FS_TEST(other_attributes_are_the_hosts),
		FS_TEST(scattered_requests_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
