/* Which lines of a console a report shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smoke/tail.h"

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct smoke_tail));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void add(struct smoke_tail *tail, const char *text, bool marked)
{
	const struct smoke_line line = {.text = text, .len = strlen(text), .marked = marked};

	smoke_tail_add(tail, &line);
}

static void add_numbers(struct smoke_tail *tail, unsigned from, unsigned to)
{
	char text[16];

	for (unsigned i = from; i < to; i++) {
		snprintf(text, sizeof(text), "%u", i);
		add(tail, text, false);
	}
}

static void test_the_last_lines_are_kept(void **state)
{
	struct smoke_tail *tail = *state;

	add_numbers(tail, 0, 1000);
	assert_int_equal(tail->nr, SMOKE_TAIL_LINES);
	assert_string_equal(smoke_tail_get(tail, 0)->text, "936");
	assert_string_equal(smoke_tail_get(tail, tail->nr - 1)->text, "999");
	assert_int_equal(tail->before, 936);
	assert_int_equal(tail->after, 0);
}

static void test_what_decided_stays_with_what_was_around_it(void **state)
{
	struct smoke_tail *tail = *state;

	add_numbers(tail, 0, 1000);
	add(tail, "BUG", true);
	add_numbers(tail, 1000, 5000);
	add(tail, "panic", true);
	assert_int_equal(tail->nr, SMOKE_TAIL_LINES);
	assert_string_equal(smoke_tail_get(tail, SMOKE_TAIL_BEFORE)->text, "BUG");
	assert_true(smoke_tail_get(tail, SMOKE_TAIL_BEFORE)->marked);
	assert_string_equal(smoke_tail_get(tail, 0)->text, "984");
	assert_string_equal(smoke_tail_get(tail, tail->nr - 1)->text, "1046");
	assert_int_equal(tail->before + tail->nr + tail->after, 5002);
}

static void test_long_lines_are_cut_between_characters(void **state)
{
	struct smoke_tail *tail = *state;
	char text[2 * SMOKE_TAIL_TEXT_MAX];

	for (size_t i = 0; i + 3 < sizeof(text); i += 3)
		memcpy(text + i, "\xe2\x82\xac", 4);
	add(tail, text, false);
	assert_true(smoke_tail_get(tail, 0)->cut);
	assert_int_equal(strlen(smoke_tail_get(tail, 0)->text), (SMOKE_TAIL_TEXT_MAX - 1) / 3 * 3);
	text[SMOKE_TAIL_TEXT_MAX - 1] = '\0';
	memset(text, 'x', SMOKE_TAIL_TEXT_MAX - 1);
	add(tail, text, false);
	assert_false(smoke_tail_get(tail, 1)->cut);
	assert_string_equal(smoke_tail_get(tail, 1)->text, text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_last_lines_are_kept),
		TEST(what_decided_stays_with_what_was_around_it),
		TEST(long_lines_are_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
