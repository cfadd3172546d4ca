/* Mistyped names: the distance, against a reference that is written otherwise, and what is suggested. */
#include "base/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "random.h"

static size_t distance(const char *a, const char *b)
{
	return suggest_distance(a, strlen(a), b, 100);
}

static void each_mistake_counts_one(void **state)
{
	(void)state;
	assert_int_equal(distance("run", "run"), 0);
	assert_int_equal(distance("runn", "run"), 1);
	assert_int_equal(distance("rn", "run"), 1);
	assert_int_equal(distance("rum", "run"), 1);
	assert_int_equal(distance("kernle", "kernel"), 1);
	assert_int_equal(distance("", "run"), 3);
	assert_int_equal(distance("run", ""), 3);
	assert_int_equal(distance("ca", "abc"), 3); /* a swapped pair is not edited again */
	assert_int_equal(suggest_distance("runaway", 3, "run", 9), 0);
	assert_int_equal(suggest_distance("abcdef", 6, "uvwxyz", 2), 3);
}

static void long_names_are_far_from_all(void **state)
{
	char name[65];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[64] = '\0';
	assert_int_equal(distance(name, name), 101);
	assert_int_equal(distance("run", name), 101);
	name[63] = '\0';
	assert_int_equal(distance(name, name), 0);
}

/* By the definition, without a table. */
static size_t reference(const char *a, size_t i, const char *b, size_t k)
{
	size_t best, other;

	if (i == 0 || k == 0)
		return i + k;
	best = reference(a, i - 1, b, k - 1) + (a[i - 1] != b[k - 1]);
	other = reference(a, i - 1, b, k) + 1;
	best = other < best ? other : best;
	other = reference(a, i, b, k - 1) + 1;
	best = other < best ? other : best;
	if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1]) {
		other = reference(a, i - 2, b, k - 2) + 1;
		best = other < best ? other : best;
	}
	return best;
}

static void random_names_have_the_distance_of_the_definition(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (unsigned n = 0; n < 2000; n++) {
		char a[7] = "", b[7] = "";
		const size_t a_len = random_below(&random, 7), b_len = random_below(&random, 7);

		for (size_t i = 0; i < a_len; i++)
			a[i] = (char)('a' + random_below(&random, 3));
		for (size_t i = 0; i < b_len; i++)
			b[i] = (char)('a' + random_below(&random, 3));
		assert_int_equal(distance(a, b), reference(a, a_len, b, b_len));
	}
}

static const char *suggested(const char *typed)
{
	static const char *const names[] = {"run",    "smoke", "control", "doctor",
					    "append", "net",   "rng",     "hostname-file"};
	struct suggest suggest;

	suggest_init(&suggest, typed, strlen(typed));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		suggest_offer(&suggest, names[i]);
	return suggest.best;
}

static void the_nearest_name_is_suggested(void **state)
{
	(void)state;
	assert_string_equal(suggested("runn"), "run");
	assert_string_equal(suggested("appned"), "append");
	assert_string_equal(suggested("hostname-fle"), "hostname-file");
	assert_string_equal(suggested("contrl"), "control");
	assert_string_equal(suggested("ret"), "net");
	assert_string_equal(suggested("rnn"), "run"); /* as near as rng, and offered first */
}

static void nothing_is_suggested_for_what_is_far_from_all(void **state)
{
	(void)state;
	assert_null(suggested(""));
	assert_null(suggested("zx"));
	assert_null(suggested("banana"));
	assert_null(suggested("ru"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_counts_one),
		cmocka_unit_test(long_names_are_far_from_all),
		cmocka_unit_test(random_names_have_the_distance_of_the_definition),
		cmocka_unit_test(the_nearest_name_is_suggested),
		cmocka_unit_test(nothing_is_suggested_for_what_is_far_from_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
