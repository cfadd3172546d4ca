/* Unit tests of backend/fs: users of the guest and of the host. As root both kinds of process are tried, else what this is. */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/fs/internal.h"
#include "fs_rig.h"

enum { USER = 12345, GROUP = 12346, OTHER = 23456 };

static struct stat host_stat(const char *name)
{
	struct stat st = {0};

	assert_int_equal(lstat(temp_dir_at(name), &st), 0);
	return st;
}

static int make_dir(const char *name)
{
	const struct fuse_mkdir_in in = {.mode = 0755};

	return fuse_call(FUSE_MKDIR, FUSE_ROOT_ID, &in, sizeof(in), name, NULL);
}

static int chown_to(uint64_t node, uint32_t valid, uint32_t uid, uint32_t gid)
{
	const struct fuse_setattr_in in = {.valid = valid, .uid = uid, .gid = gid};

	return fuse_call(FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL);
}

/* The server is made by a process that is USER and GROUP; the directory is theirs. */
static void become_user(void)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(temp_dir_at("share"), USER, GROUP), 0);
	assert_int_equal(chmod(temp_dir, 0755), 0);
	assert_int_equal(setegid(GROUP), 0);
	assert_int_equal(seteuid(USER), 0);
	prctl(PR_SET_DUMPABLE, 1); /* else /proc/self is root's */
	fs_rig_restart();
}

static void become_root(void)
{
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	prctl(PR_SET_DUMPABLE, 1);
}

static void a_users_files_are_roots(void **state)
{
	struct fuse_attr attr;
	uint64_t mine, roots, others;

	(void)state;
	become_user();
	assert_int_equal(make_dir("mine"), 0);
	become_root();
	assert_int_equal(host_stat("share/mine").st_uid, USER);
	assert_int_equal(host_stat("share/mine").st_gid, GROUP);
	temp_dir_shell("mkdir share/roots share/others; chown 23456:23456 share/others");
	assert_int_equal(seteuid(USER), 0);
	mine = fs_rig_node("mine");
	roots = fs_rig_node("roots");
	others = fs_rig_node("others");
	assert_int_equal(fuse_getattr(mine, &attr), 0);
	assert_int_equal(attr.uid, 0);
	assert_int_equal(attr.gid, 0);
	assert_int_equal(fuse_getattr(roots, &attr), 0);
	assert_int_equal(attr.uid, 0);
	assert_int_equal(fuse_getattr(others, &attr), 0);
	assert_int_equal(attr.uid, OTHER);
	assert_int_equal(attr.gid, OTHER);
	become_root();
}

static void a_user_changes_no_owner(void **state)
{
	uint64_t mine, roots;

	(void)state;
	become_user();
	assert_int_equal(make_dir("mine"), 0);
	become_root();
	temp_dir_shell("mkdir share/roots");
	assert_int_equal(seteuid(USER), 0);
	mine = fs_rig_node("mine");
	roots = fs_rig_node("roots");
	/* The ids that they show already. */
	assert_int_equal(chown_to(mine, FATTR_UID | FATTR_GID, 0, 0), 0);
	assert_int_equal(chown_to(roots, FATTR_UID | FATTR_GID, 0, 0), 0);
	assert_int_equal(chown_to(mine, FATTR_UID, OTHER, 0), -EPERM);
	assert_int_equal(chown_to(mine, FATTR_GID, 0, OTHER), -EPERM);
	assert_int_equal(chown_to(roots, FATTR_UID, OTHER, 0), -EPERM);
	become_root();
	assert_int_equal(host_stat("share/mine").st_uid, USER);
	assert_int_equal(host_stat("share/roots").st_uid, 0);
}

static void other_users_of_a_users_guest_make_nothing(void **state)
{
	const struct fuse_create_in create = {.flags = O_RDWR, .mode = 0644};
	const struct fuse_mknod_in node = {.mode = S_IFREG | 0644};

	(void)state;
	become_user();
	fuse_client.uid = USER; /* not the host's: root is */
	assert_int_equal(make_dir("dir"), -EPERM);
	assert_int_equal(fuse_call(FUSE_CREATE, 1, &create, sizeof(create), "a", NULL), -EPERM);
	assert_int_equal(fuse_call(FUSE_TMPFILE, 1, &create, sizeof(create), "a", NULL), -EPERM);
	assert_int_equal(fuse_call(FUSE_MKNOD, 1, &node, sizeof(node), "a", NULL), -EPERM);
	assert_int_equal(fuse_call(FUSE_SYMLINK, 1, NULL, 0, "a", "b"), -EPERM);
	become_root();
	assert_string_equal(temp_dir_shell("ls -A share"), "");
}

static void ids_may_stay_the_same(void **state)
{
	struct fuse_attr attr;

	(void)state;
	fs_rig_opts.ids = FS_IDS_SAME;
	become_user();
	fuse_client.uid = USER;
	assert_int_equal(make_dir("dir"), 0);
	assert_int_equal(fuse_getattr(fs_rig_node("dir"), &attr), 0);
	assert_int_equal(attr.uid, USER);
	assert_int_equal(attr.gid, GROUP);
	fuse_client.uid = 0;
	assert_int_equal(make_dir("by-root"), 0);
	assert_int_equal(fuse_getattr(fs_rig_node("by-root"), &attr), 0);
	assert_int_equal(attr.uid, USER);
	fuse_client.uid = OTHER;
	assert_int_equal(make_dir("by-another"), -EPERM);
	become_root();
}

static void a_user_reads_what_the_user_may(void **state)
{
	struct fuse_open_out out = {0};
	uint64_t node;

	(void)state;
	become_user();
	become_root();
	temp_dir_shell("echo >share/secret; chmod 600 share/secret");
	assert_int_equal(seteuid(USER), 0);
	node = fs_rig_node("secret");
	assert_int_equal(fuse_open(node, O_RDONLY, &out), -EACCES);
	become_root();
}

static void roots_guest_makes_files_of_its_users(void **state)
{
	uint64_t node = 0, fh = 0;

	(void)state;
	if (geteuid() != 0)
		skip();
	fuse_client.uid = USER;
	fuse_client.gid = GROUP;
	/* In a directory where the user itself may not: the guest has checked that. */
	assert_int_equal(make_dir("dir"), 0);
	assert_int_equal(fuse_create(1, "file", O_RDWR, 0644, &node, &fh), 0);
	assert_int_equal(fuse_call(FUSE_SYMLINK, 1, NULL, 0, "link", "x"), 0);
	assert_int_equal(host_stat("share/dir").st_uid, USER);
	assert_int_equal(host_stat("share/dir").st_gid, GROUP);
	assert_int_equal(host_stat("share/file").st_uid, USER);
	assert_int_equal(host_stat("share/link").st_gid, GROUP);
	fuse_client.uid = fuse_client.gid = 0;
	assert_int_equal(make_dir("roots"), 0);
	assert_int_equal(host_stat("share/roots").st_uid, 0);
	assert_int_equal(chown_to(fs_rig_node("roots"), FATTR_UID | FATTR_GID, OTHER, GROUP), 0);
	assert_int_equal(host_stat("share/roots").st_uid, OTHER);
	assert_int_equal(host_stat("share/roots").st_gid, GROUP);
}

static void a_write_ends_set_user_id(void **state)
{
	struct fuse_write_in in = {.size = 1, .write_flags = FUSE_WRITE_KILL_SUIDGID};
	struct fuse_setattr_in size = {.valid = FATTR_SIZE | FATTR_KILL_SUIDGID};
	struct fuse_open_out out = {0};
	uint64_t node;

	(void)state;
	temp_dir_shell("echo >share/file; chmod 6755 share/file");
	node = fs_rig_node("file");
	assert_int_equal(fuse_open(node, O_RDWR, &out), 0);
	in.fh = out.fh;
	fuse_client_begin(FUSE_WRITE, node);
	fuse_client_put(&in, sizeof(in));
	fuse_client_put("x", 1);
	assert_int_equal(fuse_client_send(), 0);
	assert_int_equal(host_stat("share/file").st_mode, S_IFREG | 0755);
	temp_dir_shell("chmod 6745 share/file");
	assert_int_equal(fuse_call(FUSE_SETATTR, node, &size, sizeof(size), NULL, NULL), 0);
	assert_int_equal(host_stat("share/file").st_mode & 04777, 0745);
}

/* Where a thread cannot have a umask of its own. */
static void the_processs_umask_is_mended(void **state)
{
	uint64_t node = 0, fh = 0;

	(void)state;
	fuse_client.worker->own_umask = false;
	umask(077);
	assert_int_equal(make_dir("dir"), 0);
	assert_int_equal(fuse_create(1, "file", O_RDWR, 0666, &node, &fh), 0);
	umask(022);
	assert_int_equal(host_stat("share/dir").st_mode, S_IFDIR | 0755);
	assert_int_equal(host_stat("share/file").st_mode, S_IFREG | 0666);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FS_TEST(a_users_files_are_roots),
		FS_TEST(a_user_changes_no_owner),
		FS_TEST(other_users_of_a_users_guest_make_nothing),
		FS_TEST(ids_may_stay_the_same),
		FS_TEST(a_user_reads_what_the_user_may),
		FS_TEST(roots_guest_makes_files_of_its_users),
		FS_TEST(a_write_ends_set_user_id),
		FS_TEST(the_processs_umask_is_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
