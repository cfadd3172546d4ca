/* Unit tests of backend/fs: names in directories, and how files are made, moved and removed. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs_rig.h"

static uint32_t mode_of(const char *name)
{
	struct stat st = {0};

	return lstat(temp_dir_at(name), &st) == 0 ? st.st_mode : 0;
}

static void a_lookup_finds_what_is_there(void **state)
{
	struct fuse_entry_out entry;
	struct stat st = {0};

	(void)state;
	temp_dir_shell("printf 12345 >share/file; mkdir share/dir; ln -s dir share/link");
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, "file", &entry), 0);
	assert_int_equal(stat(temp_dir_at("share/file"), &st), 0);
	assert_int_equal(entry.attr.ino, st.st_ino);
	assert_int_equal(entry.attr.size, 5);
	assert_int_equal(entry.attr.mode, S_IFREG | 0644);
	assert_int_equal(entry.entry_valid, 1);
	assert_int_equal(entry.attr_valid, 1);
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, "link", &entry), 0);
	assert_int_equal(entry.attr.mode & S_IFMT, S_IFLNK);
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, "none", &entry), -ENOENT);
	assert_int_equal(fuse_lookup(fs_rig_node("file"), "x", &entry), -ENOTDIR);
}

static void a_file_keeps_its_number(void **state)
{
	uint64_t node;

	(void)state;
	temp_dir_shell("mkdir share/a share/b; echo >share/a/file; ln share/a/file share/b/other");
	node = fs_rig_node("a/file");
	assert_int_equal(fs_rig_node("a/file"), node);
	assert_int_equal(fs_rig_node("b/other"), node);
	temp_dir_shell("mv share/a/file share/moved");
	assert_int_equal(fs_rig_node("moved"), node);
	assert_int_equal(fs_count(fuse_client.fs).nodes, 4);
}

static void names_that_are_none_are_refused(void **state)
{
	char name[NAME_MAX + 2];
	struct fuse_entry_out entry;

	(void)state;
	temp_dir_shell("mkdir share/dir; echo >share/dir/file");
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, "", &entry), -EINVAL);
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, ".", &entry), -EINVAL);
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, "dir/file", &entry), -EINVAL);
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, "/", &entry), -EINVAL);
	assert_int_equal(fuse_lookup(fs_rig_node("dir"), "..", &entry), -EINVAL);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, name, &entry), -ENAMETOOLONG);
	/* No NUL at all. */
	assert_int_equal(fuse_call(FUSE_LOOKUP, FUSE_ROOT_ID, "dir", 3, NULL, NULL), -EINVAL);
	assert_int_equal(fuse_call(FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, NULL, NULL), -EINVAL);
}

static void the_parent_of_the_root_is_the_root(void **state)
{
	struct fuse_entry_out entry;
	struct stat st = {0};

	(void)state;
	assert_int_equal(fuse_lookup(FUSE_ROOT_ID, "..", &entry), 0);
	assert_int_equal(entry.nodeid, FUSE_ROOT_ID);
	assert_int_equal(stat(temp_dir_at("share"), &st), 0);
	assert_int_equal(entry.attr.ino, st.st_ino);
}

static void a_link_is_read_and_not_followed(void **state)
{
	(void)state;
	temp_dir_shell("ln -s /etc/passwd share/link; echo >share/file");
	assert_int_equal(fuse_call(FUSE_READLINK, fs_rig_node("link"), NULL, 0, NULL, NULL), 0);
	assert_int_equal(fuse_client_reply_len(), 11);
	assert_memory_equal(fuse_client_reply(), "/etc/passwd", 11);
	assert_int_equal(fuse_call(FUSE_READLINK, fs_rig_node("file"), NULL, 0, NULL, NULL),
			 -EINVAL);
}

static void directories_links_and_files_are_made(void **state)
{
	const struct fuse_mkdir_in mkdir_in = {.mode = 0775};
	struct fuse_mknod_in mknod_in = {.mode = S_IFREG | 0666};
	char target[16];

	(void)state;
	umask(022); /* the process's; the guest has applied its own */
	fs_rig_restart();
	assert_int_equal(
		fuse_call(FUSE_MKDIR, FUSE_ROOT_ID, &mkdir_in, sizeof(mkdir_in), "dir", NULL), 0);
	assert_int_equal(mode_of("share/dir"), S_IFDIR | 0775);
	assert_int_equal(
		fuse_call(FUSE_MKDIR, FUSE_ROOT_ID, &mkdir_in, sizeof(mkdir_in), "dir", NULL),
		-EEXIST);
	assert_int_equal(fuse_call(FUSE_SYMLINK, FUSE_ROOT_ID, NULL, 0, "link", "/a/b"), 0);
	assert_int_equal(readlink(temp_dir_at("share/link"), target, sizeof(target)), 4);
	assert_int_equal(fuse_call(FUSE_MKNOD, fs_rig_node("dir"), &mknod_in, sizeof(mknod_in),
				   "file", NULL),
			 0);
	assert_int_equal(mode_of("share/dir/file"), S_IFREG | 0666);
	mknod_in.mode = S_IFIFO | 0600;
	assert_int_equal(
		fuse_call(FUSE_MKNOD, FUSE_ROOT_ID, &mknod_in, sizeof(mknod_in), "fifo", NULL), 0);
	assert_int_equal(mode_of("share/fifo"), S_IFIFO | 0600);
	mknod_in.mode = S_IFSOCK | 0600;
	assert_int_equal(
		fuse_call(FUSE_MKNOD, FUSE_ROOT_ID, &mknod_in, sizeof(mknod_in), "sock", NULL), 0);
}

static void devices_are_not_made(void **state)
{
	struct fuse_mknod_in in = {.mode = S_IFCHR | 0666, .rdev = 0x103};

	(void)state;
	assert_int_equal(fuse_call(FUSE_MKNOD, FUSE_ROOT_ID, &in, sizeof(in), "null", NULL),
			 -EPERM);
	in.mode = S_IFBLK | 0666;
	assert_int_equal(fuse_call(FUSE_MKNOD, FUSE_ROOT_ID, &in, sizeof(in), "sda", NULL), -EPERM);
	in.mode = S_IFDIR | 0777;
	assert_int_equal(fuse_call(FUSE_MKNOD, FUSE_ROOT_ID, &in, sizeof(in), "dir", NULL), -EPERM);
	assert_string_equal(temp_dir_shell("ls share"), "");
}

static void files_are_removed(void **state)
{
	(void)state;
	temp_dir_shell("mkdir -p share/dir/sub; echo >share/file");
	assert_int_equal(fuse_call(FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "dir", NULL), -EISDIR);
	assert_int_equal(fuse_call(FUSE_RMDIR, FUSE_ROOT_ID, NULL, 0, "file", NULL), -ENOTDIR);
	assert_int_equal(fuse_call(FUSE_RMDIR, FUSE_ROOT_ID, NULL, 0, "dir", NULL), -ENOTEMPTY);
	assert_int_equal(fuse_call(FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "file", NULL), 0);
	assert_int_equal(fuse_call(FUSE_RMDIR, fs_rig_node("dir"), NULL, 0, "sub", NULL), 0);
	assert_int_equal(fuse_call(FUSE_RMDIR, FUSE_ROOT_ID, NULL, 0, "dir", NULL), 0);
	assert_string_equal(temp_dir_shell("ls -A share"), "");
}

static int rename2(uint64_t dir, const char *from, uint64_t to_dir, const char *to, uint32_t flags)
{
	const struct fuse_rename2_in in = {.newdir = to_dir, .flags = flags};

	return fuse_call(FUSE_RENAME2, dir, &in, sizeof(in), from, to);
}

static void files_are_renamed(void **state)
{
	const struct fuse_rename_in in = {.newdir = FUSE_ROOT_ID};
	uint64_t dir, a;

	(void)state;
	temp_dir_shell("mkdir share/dir; echo a >share/a; echo b >share/b");
	dir = fs_rig_node("dir");
	a = fs_rig_node("a");
	assert_int_equal(rename2(FUSE_ROOT_ID, "a", dir, "c", 0), 0);
	assert_int_equal(fs_rig_node("dir/c"), a);
	assert_int_equal(rename2(dir, "c", FUSE_ROOT_ID, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(rename2(dir, "c", FUSE_ROOT_ID, "b", RENAME_EXCHANGE), 0);
	assert_int_equal(fs_rig_node("b"), a);
	assert_string_equal(temp_dir_shell("cat share/b share/dir/c"), "a\nb\n");
	assert_int_equal(rename2(FUSE_ROOT_ID, "b", dir, "d", RENAME_WHITEOUT), -EINVAL);
	assert_int_equal(fuse_call(FUSE_RENAME, dir, &in, sizeof(in), "c", "b"), 0);
	assert_string_equal(temp_dir_shell("cat share/b; ls share/dir"), "b\n");
	assert_int_equal(rename2(FUSE_ROOT_ID, "b", FUSE_ROOT_ID, "x/y", 0), -EINVAL);
}

static void a_directory_does_not_become_its_own_child(void **state)
{
	uint64_t a;

	(void)state;
	temp_dir_shell("mkdir -p share/a/b");
	a = fs_rig_node("a");
	assert_int_equal(rename2(FUSE_ROOT_ID, "a", fs_rig_node("a/b"), "c", 0), -EINVAL);
	/* The host turns them over while the guest knows both. */
	temp_dir_shell("mv share/a/b share/b; mv share/a share/b/a");
	assert_int_equal(fs_rig_node("b/a"), a);
	fs_reset(fuse_client.fs);
	assert_int_equal(fs_count(fuse_client.fs).nodes, 1);
}

static void a_file_gets_another_name(void **state)
{
	struct fuse_link_in in = {0};
	struct fuse_entry_out entry;

	(void)state;
	temp_dir_shell("echo data >share/file; ln -s gone share/link");
	in.oldnodeid = fs_rig_node("file");
	assert_int_equal(fuse_call(FUSE_LINK, FUSE_ROOT_ID, &in, sizeof(in), "name", NULL), 0);
	memcpy(&entry, fuse_client_reply(), sizeof(entry));
	assert_int_equal(entry.nodeid, in.oldnodeid);
	assert_int_equal(entry.attr.nlink, 2);
	assert_string_equal(temp_dir_shell("cat share/name"), "data\n");
	in.oldnodeid = fs_rig_node("link");
	assert_int_equal(fuse_call(FUSE_LINK, FUSE_ROOT_ID, &in, sizeof(in), "link2", NULL), 0);
	assert_string_equal(temp_dir_shell("readlink share/link2"), "gone\n");
}

/* All of a directory, a request after the other; the names that came, sorted by the host's own tools. */
static unsigned read_all(uint64_t node, bool plus, uint32_t size, char names[][NAME_MAX + 1],
			 unsigned max)
{
	const struct fuse_open_in open_in = {0};
	struct fuse_read_in in = {.size = size};
	unsigned n = 0;

	assert_int_equal(fuse_call(FUSE_OPENDIR, node, &open_in, sizeof(open_in), NULL, NULL), 0);
	in.fh = ((const struct fuse_open_out *)fuse_client_reply())->fh;
	for (;;) {
		size_t at = 0;

		assert_int_equal(fuse_call(plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in,
					   sizeof(in), NULL, NULL),
				 0);
		if (fuse_client_reply_len() == 0)
			break;
		assert_true(fuse_client_reply_len() <= size);
		while (at < fuse_client_reply_len()) {
			struct fuse_dirent dirent;
			const uint8_t *rec = (const uint8_t *)fuse_client_reply() + at;

			rec += plus ? sizeof(struct fuse_entry_out) : 0;
			memcpy(&dirent, rec, sizeof(dirent));
			assert_true(n < max && dirent.namelen <= NAME_MAX);
			memcpy(names[n], rec + FUSE_NAME_OFFSET, dirent.namelen);
			names[n++][dirent.namelen] = '\0';
			in.offset = dirent.off;
			at += FUSE_DIRENT_ALIGN(
				(plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET) +
				dirent.namelen);
		}
		assert_int_equal(at, fuse_client_reply_len());
	}
	assert_int_equal(fuse_release(node, in.fh, true), 0);
	return n;
}

static void each_name_of_a_directory_comes_once(void **state)
{
	static char names[1200][NAME_MAX + 1];
	static bool seen[1000];

	(void)state;
	temp_dir_shell("cd share; seq -f 'file-with-a-name-%04g' 0 999 | xargs touch");
	for (unsigned round = 0; round < 4; round++) {
		const bool plus = round % 2;
		const unsigned n =
			read_all(FUSE_ROOT_ID, plus, round < 2 ? 4096 : 500, names, 1200);
		unsigned files = 0;

		assert_int_equal(n, 1002);
		memset(seen, 0, sizeof(seen));
		for (unsigned i = 0; i < n; i++) {
			static const char prefix[] = "file-with-a-name-";
			unsigned long file;

			if (strncmp(names[i], prefix, strlen(prefix)) != 0)
				continue;
			file = strtoul(names[i] + strlen(prefix), NULL, 10);
			assert_true(file < 1000 && !seen[file]);
			seen[file] = true;
			files++;
		}
		assert_int_equal(files, 1000);
		/* With attributes each is looked up, and none without. */
		assert_int_equal(fs_count(fuse_client.fs).nodes,
				 plus ? 1001 : 1 + 1000 * (round / 2));
	}
}

static void no_room_for_one_name_is_not_the_end(void **state)
{
	static char names[8][NAME_MAX + 1];
	const struct fuse_open_in open_in = {0};
	struct fuse_read_in in = {.size = 24};

	(void)state;
	assert_int_equal(fuse_call(FUSE_OPENDIR, 1, &open_in, sizeof(open_in), NULL, NULL), 0);
	in.fh = ((const struct fuse_open_out *)fuse_client_reply())->fh;
	assert_int_equal(fuse_call(FUSE_READDIR, 1, &in, sizeof(in), NULL, NULL), -EINVAL);
	assert_int_equal(read_all(FUSE_ROOT_ID, false, 64, names, 8), 2);
}

static void the_roots_parent_has_no_number(void **state)
{
	const struct fuse_open_in open_in = {0};
	struct fuse_read_in in = {.size = 4096};
	struct stat st = {0};

	(void)state;
	assert_int_equal(stat(temp_dir_at("share"), &st), 0);
	assert_int_equal(fuse_call(FUSE_OPENDIR, 1, &open_in, sizeof(open_in), NULL, NULL), 0);
	in.fh = ((const struct fuse_open_out *)fuse_client_reply())->fh;
	assert_int_equal(fuse_call(FUSE_READDIR, 1, &in, sizeof(in), NULL, NULL), 0);
	for (size_t at = 0; at < fuse_client_reply_len();) {
		struct fuse_dirent dirent;

		memcpy(&dirent, (const uint8_t *)fuse_client_reply() + at, sizeof(dirent));
		assert_int_equal(dirent.ino, st.st_ino);
		at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + dirent.namelen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(a_lookup_finds_what_is_there),
		FS_TEST(a_file_keeps_its_number),
		FS_TEST(names_that_are_none_are_refused),
		FS_TEST(the_parent_of_the_root_is_the_root),
		FS_TEST(a_link_is_read_and_not_followed),
		FS_TEST(directories_links_and_files_are_made),
		FS_TEST(devices_are_not_made),
		FS_TEST(files_are_removed),
		FS_TEST(files_are_renamed),
		FS_TEST(a_directory_does_not_become_its_own_child),
		FS_TEST(a_file_gets_another_name),
		FS_TEST(each_name_of_a_directory_comes_once),
		FS_TEST(no_room_for_one_name_is_not_the_end),
		FS_TEST(the_roots_parent_has_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
