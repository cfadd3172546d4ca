/* Unit tests of base/params.c: what a parameter is, and where the parameters of a kernel end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/params.h"

static void a_key_is_the_beginning_of_a_parameter(void **state)
{
	(void)state;
	assert_true(params_have("console=ttyS0", "console="));
	assert_true(params_have("a  b\tconsole=\n", "console="));
	assert_true(params_have("\"console=a b\"", "console="));
	assert_false(params_have("", "console="));
	assert_false(params_have("console", "console="));
	assert_false(params_have("earlyconsole=x", "console="));
	assert_false(params_have("x=\"a console=b\"", "console="));
}

static void a_flag_is_a_whole_parameter(void **state)
{
	(void)state;
	assert_true(params_have("quiet", "quiet"));
	assert_true(params_have(" a quiet ", "quiet"));
	assert_true(params_have("\"quiet\"", "quiet"));
	assert_true(params_have("\"quiet", "quiet"));
	assert_false(params_have("\"", "quiet"));
	assert_false(params_have("quieter", "quiet"));
	assert_false(params_have("unquiet", "quiet"));
	assert_false(params_have("quiet=1", "quiet"));
	assert_true(params_have("acpi=off", "acpi=off"));
	assert_false(params_have("acpi=offset", "acpi=off"));
}

static void init_has_the_words_behind_two_dashes(void **state)
{
	(void)state;
	assert_false(params_have("-- quiet", "quiet"));
	assert_false(params_have("a -- b=1", "b="));
	assert_true(params_have("--x quiet", "quiet"));
	assert_true(params_have("x=\"-- \" quiet", "quiet"));
}

static void the_end_is_init_s_mark_or_the_terminator(void **state)
{
	const char *cmdline;

	(void)state;
	cmdline = "a b -- c -- d";
	assert_ptr_equal(params_end(cmdline), cmdline + 4);
	cmdline = "--";
	assert_ptr_equal(params_end(cmdline), cmdline);
	cmdline = "a --b x=\"c --\"";
	assert_string_equal(params_end(cmdline), "");
	assert_null(params_end("a x=\"open --"));
	assert_null(params_end("\""));
	cmdline = "a=\"b\" -- \"";
	assert_ptr_equal(params_end(cmdline), cmdline + 6);
	cmdline = "a  ";
	assert_string_equal(params_end(cmdline), "");
	assert_string_equal(params_end(""), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_the_beginning_of_a_parameter),
		cmocka_unit_test(a_flag_is_a_whole_parameter),
		cmocka_unit_test(init_has_the_words_behind_two_dashes),
		cmocka_unit_test(the_end_is_init_s_mark_or_the_terminator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
