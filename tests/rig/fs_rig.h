/*
 * fs_rig.h - for unit tests of backend/fs: a temporary directory with share/, which is served, and outside/, which is not.
 * The group's setup and teardown, and those of each test.
 */
#ifndef TESTS_FS_RIG_H
#define TESTS_FS_RIG_H

#include "fuse_client.h"
#include "temp_dir.h"

static struct fs_opts fs_rig_opts;
static char fs_rig_path[64];

/* With fs_rig_opts, but for the path. */
static inline int fs_rig_start(void)
{
	snprintf(fs_rig_path, sizeof(fs_rig_path), "%s/share", temp_dir);
	fs_rig_opts.path = fs_rig_path;
	return fuse_client_start(&fs_rig_opts);
}

static inline int fs_rig_setup(void **state)
{
	(void)state;
	if (temp_dir_make() < 0)
		return -1;
	temp_dir_shell("mkdir share outside; echo secret >outside/file; chmod 755 .");
	fs_rig_opts = (struct fs_opts){0};
	return fs_rig_start();
}

static inline int fs_rig_teardown(void **state)
{
	(void)state;
	fuse_client_stop();
	temp_dir_remove();
	return 0;
}

/* With other options, from now on. */
static inline void fs_rig_restart(void)
{
	fuse_client_stop();
	assert_int_equal(fs_rig_start(), 0);
}

/* A node that is there. */
static inline uint64_t fs_rig_node(const char *path)
{
	const uint64_t node = fuse_walk(path);

	assert_int_not_equal(node, 0);
	return node;
}

#define FS_TEST(name) cmocka_unit_test_setup_teardown(name, fs_rig_setup, fs_rig_teardown)

#endif
