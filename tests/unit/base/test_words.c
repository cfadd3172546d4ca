/* Unit tests of base/words.c: what a word is, and where a kernel's words end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/words.h"

static void a_key_is_the_beginning_of_a_word(void **state)
{
	(void)state;
	assert_true(words_have("console=ttyS0", "console="));
	assert_true(words_have("a  b\tconsole=\n", "console="));
	assert_true(words_have("\"console=a b\"", "console="));
	assert_false(words_have("", "console="));
	assert_false(words_have("console", "console="));
	assert_false(words_have("earlyconsole=x", "console="));
	assert_false(words_have("x=\"a console=b\"", "console="));
}

static void a_flag_is_a_whole_word(void **state)
{
	(void)state;
	assert_true(words_have("quiet", "quiet"));
	assert_true(words_have(" a quiet ", "quiet"));
	assert_true(words_have("\"quiet\"", "quiet"));
	assert_true(words_have("\"quiet", "quiet"));
	assert_false(words_have("\"", "quiet"));
	assert_false(words_have("quieter", "quiet"));
	assert_false(words_have("unquiet", "quiet"));
	assert_false(words_have("quiet=1", "quiet"));
	assert_true(words_have("acpi=off", "acpi=off"));
	assert_false(words_have("acpi=offset", "acpi=off"));
}

static void init_has_the_words_behind_two_dashes(void **state)
{
	(void)state;
	assert_false(words_have("-- quiet", "quiet"));
	assert_false(words_have("a -- b=1", "b="));
	assert_true(words_have("--x quiet", "quiet"));
	assert_true(words_have("x=\"-- \" quiet", "quiet"));
}

static void the_end_is_init_s_mark_or_the_terminator(void **state)
{
	const char *words;

	(void)state;
	words = "a b -- c -- d";
	assert_ptr_equal(words_end(words), words + 4);
	words = "--";
	assert_ptr_equal(words_end(words), words);
	words = "a --b x=\"c --\"";
	assert_string_equal(words_end(words), "");
	assert_null(words_end("a x=\"open --"));
	assert_null(words_end("\""));
	words = "a=\"b\" -- \"";
	assert_ptr_equal(words_end(words), words + 6);
	words = "a  ";
	assert_string_equal(words_end(words), "");
	assert_string_equal(words_end(""), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_the_beginning_of_a_word),
		cmocka_unit_test(a_flag_is_a_whole_word),
		cmocka_unit_test(init_has_the_words_behind_two_dashes),
		cmocka_unit_test(the_end_is_init_s_mark_or_the_terminator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
