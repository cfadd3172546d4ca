/* Unit tests of the cpio writer; cpio(1) itself judges what it wrote. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "diag_rig.h"
#include "initramfs/cpio.h"
#include "temp_dir.h"

static struct cpio cpio;
static struct diag diag;
static uint8_t *archive;
static size_t archive_len;

static int setup(void **state)
{
	(void)state;
	cpio = (struct cpio){0};
	diag = (struct diag){0};
	archive = NULL;
	return temp_dir_make();
}

static int teardown(void **state)
{
	(void)state;
	cpio_fini(&cpio);
	free(archive);
	temp_dir_remove();
	return 0;
}

static int add_text(const char *path, mode_t perm, const char *text)
{
	return cpio_add_file(&cpio, path, perm, text ? strdup(text) : NULL, text ? strlen(text) : 0,
			     &diag);
}

static void render(void)
{
	free(archive);
	archive = NULL;
	assert_int_equal(cpio_render(&cpio, &archive, &archive_len, &diag), 0);
	assert_int_equal(archive_len % 4, 0);
}

/* The output of a shell command that reads the archive from file $A, in an empty directory. */
static const char *shell(const char *command)
{
	char line[1024];

	temp_dir_put("archive", archive, archive_len);
	snprintf(line, sizeof(line), "rm -rf x; mkdir x; A=$PWD/archive; cd x && { %s; }", command);
	return temp_dir_shell(line);
}

static void an_empty_archive_is_a_trailer(void **state)
{
	(void)state;
	render();
	assert_string_equal(shell("cpio --quiet -t <$A"), "");
}

static void parents_come_before_what_is_in_them(void **state)
{
	(void)state;
	assert_int_equal(add_text("/b/c/d", 0644, "d"), 0);
	assert_int_equal(add_text("b-", 0644, "sorts between b and b/ by bytes"), 0);
	assert_int_equal(cpio_add_dir(&cpio, "a//./e/", 0700, &diag), 0);
	assert_int_equal(add_text("b/c2/f", 0644, NULL), 0);
	render();
	assert_string_equal(shell("cpio --quiet -t <$A"),
			    "a\na/e\nb\nb/c\nb/c/d\nb/c2\nb/c2/f\nb-\n");
	assert_string_equal(shell("cpio --quiet -i <$A; cat b/c/d; stat -c ' %a' a a/e b/c2/f"),
			    "d 755\n 700\n 644\n");
}

static void kinds_and_modes_arrive(void **state)
{
	(void)state;
	assert_int_equal(add_text("bin/tool", 04755, "#!/bin/sh\n"), 0);
	assert_int_equal(cpio_add_symlink(&cpio, "bin/sh", "tool", &diag), 0);
	assert_int_equal(cpio_add_node(&cpio, "dev/console", S_IFCHR | 0600, makedev(5, 1), &diag),
			 0);
	assert_int_equal(cpio_add_node(&cpio, "dev/vda", S_IFBLK | 0660, makedev(254, 3), &diag),
			 0);
	assert_int_equal(cpio_add_node(&cpio, "fifo", S_IFIFO | 0640, 0, &diag), 0);
	render();
	assert_string_equal(
		shell("cpio --quiet -tv <$A | tr -s ' ' | sed 's/ [0-9]* / /; s/ Jan 1 1970//'"),
		"drwxr-xr-x root root 0 bin\n"
		"lrwxrwxrwx root root 4 bin/sh -> tool\n"
		"-rwsr-xr-x root root 10 bin/tool\n"
		"drwxr-xr-x root root 0 dev\n"
		"crw------- root root 5, 1 dev/console\n"
		"brw-rw---- root root 254, 3 dev/vda\n"
		"prw-r----- root root 0 fifo\n");
}

static void the_later_of_two_counts(void **state)
{
	(void)state;
	assert_int_equal(add_text("etc/conf", 0600, "first"), 0);
	assert_int_equal(add_text("etc/conf", 0644, "second"), 0);
	assert_int_equal(add_text("dir", 0600, "a file at first"), 0);
	assert_int_equal(cpio_add_dir(&cpio, "dir", 0711, &diag), 0);
	assert_int_equal(add_text("/dir/x", 0600, NULL), 0);
	assert_true(cpio_has(&cpio, "/etc/./conf"));
	assert_false(cpio_has(&cpio, "etc"));
	render();
	assert_string_equal(shell("cpio --quiet -t <$A"), "dir\ndir/x\netc\netc/conf\n");
	assert_string_equal(shell("cpio --quiet -i <$A; cat etc/conf; stat -c ' %a' dir etc/conf"),
			    "second 711\n 644\n");
	/* And what is added after a rendering is later still. */
	assert_int_equal(add_text("etc/conf", 0644, "third"), 0);
	render();
	assert_string_equal(shell("cpio --quiet -i <$A; cat etc/conf"), "third");
}

static void the_order_of_addition_makes_no_difference(void **state)
{
	uint8_t *first;
	size_t first_len;

	(void)state;
	assert_int_equal(add_text("x/1", 0644, "one"), 0);
	assert_int_equal(add_text("x/2", 0644, "two"), 0);
	render();
	first = archive;
	first_len = archive_len;
	archive = NULL;
	cpio_fini(&cpio);
	assert_int_equal(add_text("x/2", 0644, "two"), 0);
	assert_int_equal(add_text("x/1", 0644, "one"), 0);
	render();
	assert_int_equal(archive_len, first_len);
	assert_memory_equal(archive, first, first_len);
	free(first);
}

static void what_lies_below_a_file_is_refused(void **state)
{
	(void)state;
	assert_int_equal(add_text("lib", 0644, "x"), 0);
	assert_int_equal(add_text("lib/a/b", 0644, "x"), 0);
	assert_int_equal(cpio_render(&cpio, &archive, &archive_len, &diag), -ENOTDIR);
	assert_diag(&diag, -ENOTDIR, "archive-not-directory '/lib/a/b' ~ '/lib'");
}

static void bad_paths_are_refused(void **state)
{
	char longest[4097];

	(void)state;
	assert_int_equal(add_text("", 0644, "x"), -EINVAL);
	assert_int_equal(add_text("/", 0644, "x"), -EINVAL);
	assert_int_equal(add_text("./.", 0644, "x"), -EINVAL);
	assert_int_equal(add_text("a/../b", 0644, "x"), -EINVAL);
	assert_int_equal(add_text("..", 0644, "x"), -EINVAL);
	assert_int_equal(add_text("/TRAILER!!!", 0644, "x"), -EINVAL);
	assert_int_equal(add_text("..a", 0644, "x"), 0);
	assert_int_equal(add_text("a/TRAILER!!!", 0644, "x"), 0);
	memset(longest, 'a', 4096);
	longest[4096] = '\0';
	assert_int_equal(add_text(longest, 0644, "x"), -EINVAL);
	assert_int_equal(cpio_add_symlink(&cpio, "link", longest, &diag), -EINVAL);
	assert_int_equal(cpio_add_symlink(&cpio, "link", "", &diag), -EINVAL);
	longest[4095] = '\0';
	assert_int_equal(add_text(longest, 0644, "x"), 0);
	assert_int_equal(cpio_add_symlink(&cpio, "link", longest, &diag), 0);
}

static void four_gib_are_refused(void **state)
{
	(void)state;
	/* The size is judged before a byte is looked at. */
	assert_int_equal(
		cpio_add_file(&cpio, "big", 0644, malloc(1), (size_t)UINT32_MAX + 1, &diag),
		-EFBIG);
	assert_diag(&diag, -EFBIG, "archive-file-size 'big'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_archive_is_a_trailer),
		TEST(parents_come_before_what_is_in_them),
		TEST(kinds_and_modes_arrive),
		TEST(the_later_of_two_counts),
		TEST(the_order_of_addition_makes_no_difference),
		TEST(what_lies_below_a_file_is_refused),
		TEST(bad_paths_are_refused),
		TEST(four_gib_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
