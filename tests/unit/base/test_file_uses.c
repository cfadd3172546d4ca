/* Unit tests of base/file_uses.c: one file by several names, read and written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file_uses.h"
#include "diag_rig.h"
#include "temp_dir.h"

static struct file_uses uses;
static struct diag diag;

static int setup(void **state)
{
	(void)state;
	if (temp_dir_make() < 0)
		return -1;
	temp_dir_shell("echo a >a; echo b >b; ln a hard; ln -s a soft; mkdir d; ln -s ../d d/self; "
		       "mkfifo p");
	return chdir(temp_dir);
}

static int teardown(void **state)
{
	(void)state;
	temp_dir_shell("rm -rf a b hard soft d p");
	return rmdir(temp_dir);
}

/* Whether a file may be used as both. */
static int check(const char *first, bool first_writes, const char *second, bool second_writes)
{
	int r;

	diag = (struct diag){0};
	assert_int_equal(file_uses_add(&uses, "--first", first, first_writes, 0), 0);
	assert_int_equal(file_uses_add(&uses, "--second", second, second_writes, 0), 0);
	r = file_uses_check(&uses, &diag);
	file_uses_fini(&uses);
	assert_int_equal(diag.err, r);
	return r;
}

static void an_output_that_is_an_input_is_refused_by_any_name(void **state)
{
	static const char *const names[] = {"a", "./a", "hard", "soft", "d/../a", "d/self/../a"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(check("a", false, names[i], true), -EINVAL);
		assert_int_equal(check(names[i], true, "a", false), -EINVAL);
		assert_int_equal(check("a", true, names[i], true), -EINVAL);
		assert_int_equal(check("a", false, names[i], false), 0);
	}
	check("soft", false, "hard", true);
	assert_diag(&diag, -EINVAL, "file-twice --first 'soft' ~ --second 'hard'");
	assert_remedy(&diag, "what is read");
	check("soft", true, "hard", true);
	assert_remedy(&diag, "the other's");
	assert_int_equal(check("a", false, "b", true), 0);
}

static void two_outputs_to_be_made_are_compared_by_directory_and_name(void **state)
{
	(void)state;
	assert_int_equal(check("new", true, "./new", true), -EINVAL);
	assert_int_equal(check("d/new", true, "d/self/new", true), -EINVAL);
	assert_int_equal(check("new", true, "d/new", true), 0);
	assert_int_equal(check("new", true, "new2", true), 0);
	assert_int_equal(check("none/new", true, "none/new", true), 0); /* will not be made */
}

static void streams_may_be_named_by_many(void **state)
{
	(void)state;
	assert_int_equal(check("/dev/null", true, "/dev/null", false), 0);
	assert_int_equal(check("p", true, "p", true), 0);
	assert_int_equal(check("-", true, "-", true), 0);
	assert_int_equal(check(NULL, true, NULL, true), 0);
}

static void uses_of_one_group_are_left_to_themselves(void **state)
{
	(void)state;
	assert_int_equal(file_uses_add(&uses, "--disk", "a", true, FILE_USE_DISK), 0);
	assert_int_equal(file_uses_add(&uses, "--disk", "hard", true, FILE_USE_DISK), 0);
	assert_int_equal(file_uses_check(&uses, NULL), 0);
	assert_int_equal(file_uses_add(&uses, "kernel", "soft", false, 0), 0);
	assert_int_equal(file_uses_check(&uses, NULL), -EINVAL);
	file_uses_fini(&uses);
}

static void many_files_have_room(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(file_uses_add(&uses, "--copy", i % 2 ? "b" : "a", false, 0), 0);
	assert_int_equal(file_uses_check(&uses, NULL), 0);
	assert_int_equal(file_uses_add(&uses, "--json", "b", true, 0), 0);
	assert_int_equal(file_uses_check(&uses, NULL), -EINVAL);
	file_uses_fini(&uses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_output_that_is_an_input_is_refused_by_any_name),
		cmocka_unit_test(two_outputs_to_be_made_are_compared_by_directory_and_name),
		cmocka_unit_test(streams_may_be_named_by_many),
		cmocka_unit_test(uses_of_one_group_are_left_to_themselves),
		cmocka_unit_test(many_files_have_room),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
