/* Unit tests of config/host_root.c: a command line with --root-of-host, and what comes of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "config.h"
#include "diag_rig.h"
#include "temp_dir.h"

enum { ARGS_MAX = 16 };

static struct config config;
static struct diag diag;

static int setup(void **state)
{
	(void)state;
	diag = (struct diag){0};
	return temp_dir_make();
}

static int teardown(void **state)
{
	(void)state;
	config_fini(&config);
	config = (struct config){0};
	temp_dir_shell("rm -r \"$PWD\"");
	return 0;
}

/* The command line "run ARGUMENT...", up to a NULL. */
static int parse(const char *const *argument)
{
	static char text[ARGS_MAX][128];
	static char *argv[ARGS_MAX + 1];
	int argc = 1;

	snprintf(text[0], sizeof(text[0]), "run");
	argv[0] = text[0];
	for (; *argument; argument++, argc++) {
		assert_true(argc < ARGS_MAX);
		snprintf(text[argc], sizeof(text[argc]), "%s", *argument);
		argv[argc] = text[argc];
	}
	argv[argc] = NULL;
	config_fini(&config);
	return config_parse_run(&config, argc, argv, &diag);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static bool has_env(const char *variable)
{
	for (unsigned i = 0; i < config.initramfs.nr_env; i++)
		if (strcmp(config.initramfs.env[i], variable) == 0)
			return true;
	return false;
}

static void a_command_follows_two_dashes(void **state)
{
	const struct initramfs_host_root *root = &config.initramfs.host_root;
	char cwd[4096];

	(void)state;
	assert_int_equal(
		PARSE("--root-of-host", "bzImage", "--mem", "1G", "--", "echo", "--mem", "a b"), 0);
	assert_string_equal(config.kernel, "bzImage");
	assert_int_equal(config.vm.machine.mem_bytes, 1 << 30);
	assert_string_equal(root->command[0], "echo");
	assert_string_equal(root->command[1], "--mem");
	assert_string_equal(root->command[2], "a b");
	assert_null(root->command[3]);
	assert_int_equal(root->uid, geteuid());
	assert_int_equal(root->gid, getegid());
	assert_string_equal(root->cwd, getcwd(cwd, sizeof(cwd)));
}

static void the_root_directory_is_shared_and_read_only(void **state)
{
	(void)state;
	assert_int_equal(PARSE("bzImage", "--root-of-host", "--", "true"), 0);
	assert_int_equal(config.nr_shares, 1);
	assert_string_equal(config.share[0]->path, "/");
	assert_true(config.share[0]->conf.fs.read_only);
	assert_int_equal(config.share[0]->conf.fs.ids, FS_IDS_SAME);
	assert_string_equal(config.initramfs.host_root.tag, config.share[0]->tag);
	assert_int_equal(config.initramfs.nr_shares, 0); /* for a mount of its own */
	assert_true(config.consoles.added);
}

/* By the name that it has for the guest, which knows no links yet. */
static void directories_can_be_written(void **state)
{
	char link[64], dir[64];

	(void)state;
	temp_dir_shell("mkdir a,b; ln -s a,b link");
	snprintf(link, sizeof(link), "%s/link", temp_dir);
	snprintf(dir, sizeof(dir), "%s/a,b", temp_dir);
	assert_int_equal(PARSE("k", "--root-of-host", "--rw", link, "--rw", temp_dir, "--", "true"),
			 0);
	assert_int_equal(config.nr_shares, 3);
	assert_string_equal(config.share[1]->path, dir);
	assert_false(config.share[1]->conf.fs.read_only);
	assert_int_equal(config.share[1]->conf.fs.ids, FS_IDS_SAME);
	assert_int_equal(config.initramfs.nr_shares, 2);
	assert_string_equal(config.initramfs.share[0].path, dir);
	assert_string_equal(config.initramfs.share[1].path, temp_dir);
	assert_string_not_equal(config.share[1]->tag, config.share[2]->tag);
}

static void the_environment_is_passed_in_part(void **state)
{
	(void)state;
	setenv("LC_TEST", "x", 1);
	setenv("DISPLAY", ":0", 1);
	setenv("TZ", "UTC", 1);
	assert_int_equal(PARSE("k", "--root-of-host", "--env", "TZ=Asia/Tokyo", "--", "true"), 0);
	assert_true(has_env("LC_TEST=x"));
	assert_false(has_env("DISPLAY=:0"));
	assert_true(has_env("TZ=Asia/Tokyo"));
	assert_false(has_env("TZ=UTC"));
	unsetenv("LC_TEST");
	unsetenv("DISPLAY");
	unsetenv("TZ");
}

static void without_a_command_it_is_the_users_shell(void **state)
{
	(void)state;
	setenv("SHELL", "/bin/zsh", 1);
	assert_int_equal(PARSE("k", "--root-of-host"), 0);
	assert_string_equal(config.initramfs.host_root.command[0], "/bin/zsh");
	assert_null(config.initramfs.host_root.command[1]);
	unsetenv("SHELL");
	assert_int_equal(PARSE("k", "--root-of-host", "--"), 0);
	assert_string_equal(config.initramfs.host_root.command[0], "/bin/sh");
}

static void two_dashes_alone_end_the_options_as_ever(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--", "--kernel"), 0);
	assert_string_equal(config.kernel, "--kernel");
	assert_null(config.initramfs.host_root.tag);
	assert_int_equal(config.nr_shares, 0);
}

static void what_does_not_go_together_is_refused(void **state)
{
	static const struct {
		const char *argument[6];
		const char *error;
		int err;
	} cases[] = {
		{{"k", "--rw", "/tmp"}, "rw-without-root", -EINVAL},
		{{"k", "--root-of-host", "--rw", "/"}, "rw-root /", -EINVAL},
		{{"k", "--root-of-host", "--rw", "/none/x"}, "rw-directory /none/x", -ENOENT},
		{{"k", "--root-of-host", "--run", "true"}, "host-root-combined --run", -EINVAL},
		{{"k", "--root-of-host", "--root", "/dev/vda"},
		 "host-root-combined --root",
		 -EINVAL},
		{{"k", "--root-of-host", "--rootfs", "f"}, "host-root-combined --rootfs", -EINVAL},
		{{"k", "--root-of-host", "--busybox"}, "host-root-combined --busybox", -EINVAL},
		{{"k", "--root-of-host", "--console", "virtio"},
		 "host-root-combined console",
		 -EINVAL},
		{{"--root-of-host"}, "kernel-missing", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		diag = (struct diag){0};
		assert_int_equal(parse(cases[i].argument), cases[i].err);
		assert_diag(&diag, cases[i].err, cases[i].error);
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_command_follows_two_dashes),
		TEST(the_root_directory_is_shared_and_read_only),
		TEST(directories_can_be_written),
		TEST(the_environment_is_passed_in_part),
		TEST(without_a_command_it_is_the_users_shell),
		TEST(two_dashes_alone_end_the_options_as_ever),
		TEST(what_does_not_go_together_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
