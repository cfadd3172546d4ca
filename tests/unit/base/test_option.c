/* Values of options: numbers, choices, and lists with commas. */
#include "base/option.h"
#include "diag_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"

static const struct option_value how[] = {{"host", 1}, {"baseline", 2}, {"none", 7}, {0}};

static void number_in_range_is_taken(void **state)
{
	struct diag diag = {0};
	uint64_t n = 99;

	(void)state;
	assert_int_equal(option_u64("--width", "1", 1, 8, &n, &diag), 0);
	assert_int_equal(n, 1);
	assert_int_equal(option_u64("--width", "0x8", 1, 8, &n, &diag), 0);
	assert_int_equal(n, 8);
}

static void number_out_of_range_names_option_and_limits(void **state)
{
	static const char *const bad[] = {"0", "9", "", "8 ", "-1", "18446744073709551616"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct diag diag = {0};
		uint64_t n = 99;

		assert_int_equal(option_u64("--width", bad[i], 1, 8, &n, &diag), -EINVAL);
		assert_int_equal(n, 99);
		assert_diag(&diag, -EINVAL, "option-number --width ~ 1 to 8");
	}
}

static void sizes_and_seconds_are_taken(void **state)
{
	struct diag diag = {0};
	uint64_t bytes = 0;
	int64_t ns = -1;

	(void)state;
	assert_int_equal(option_size("--mem", "3M", &bytes, &diag), 0);
	assert_int_equal(bytes, 3 << 20);
	assert_int_equal(option_seconds("--stall", "0", true, &ns, &diag), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(option_seconds("--stall", "0.5", false, &ns, &diag), 0);
	assert_int_equal(ns, 500000000);
}

static void what_is_no_size_or_no_time_is_told(void **state)
{
	static const struct {
		const char *arg;
		bool zero;
		const char *error;
	} bad[] = {
		{"x", true, "option-seconds --stall 'x'"},
		{"0", false, "option-seconds --stall '0' ~ above 0"},
		{"9999999999", true, "option-seconds-max --stall '9999999999'"},
	};
	struct diag diag = {0};
	uint64_t bytes = 99;
	int64_t ns = 99;

	(void)state;
	assert_int_equal(option_size("--mem", "3Q", &bytes, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "option-size --mem '3Q'");
	assert_int_equal(bytes, 99);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		diag = (struct diag){0};
		assert_int_equal(option_seconds("--stall", bad[i].arg, bad[i].zero, &ns, &diag),
				 -EINVAL);
		assert_diag(&diag, -EINVAL, bad[i].error);
		assert_int_equal(ns, 99);
	}
}

static void choice_is_found(void **state)
{
	struct diag diag = {0};
	int value = 0;

	(void)state;
	assert_int_equal(option_choice("--cpu", "none", how, &value, &diag), 0);
	assert_int_equal(value, 7);
}

static void other_word_lists_the_choices(void **state)
{
	struct diag diag = {0};
	int value = 0;

	(void)state;
	assert_int_equal(option_choice("--cpu", "hos", how, &value, &diag), -EINVAL);
	assert_int_equal(value, 0);
	assert_diag(&diag, -EINVAL, "option-choice --cpu 'hos' ~ host, baseline or none");
	assert_remedy(&diag, "host");
}

static const char *size_remedy(const char *arg)
{
	static struct diag diag;

	diag = (struct diag){0};
	diag_set(&diag, -EINVAL, "size-small", "too small");
	option_size_remedy("--mem", arg, 64 << 20, &diag);
	return diag.remedy;
}

static void a_size_without_a_unit_gets_one_suggested(void **state)
{
	static const char *const none[] = {"0", "", "512M", "5x", "-5", "0x200", "67108863"};

	(void)state;
	assert_non_null(strstr(size_remedy("512"), "--mem 512M"));
	assert_non_null(strstr(size_remedy("4"), "--mem 4G"));
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_string_equal(size_remedy(none[i]), "");
}

static void expect_items(const char *arg, const char *const *want, size_t n)
{
	struct option_items items = option_items("--disk", arg);
	struct diag diag = {0};
	char item[16];

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(option_item_next(&items, item, sizeof(item), &diag), 1);
		assert_string_equal(item, want[i]);
	}
	assert_int_equal(option_item_next(&items, item, sizeof(item), &diag), 0);
	assert_int_equal(option_item_next(&items, item, sizeof(item), &diag), 0);
}

static void items_are_split_at_single_commas(void **state)
{
	(void)state;
	expect_items("a", (const char *[]){"a"}, 1);
	expect_items("a,ro,id=x", (const char *[]){"a", "ro", "id=x"}, 3);
	expect_items("", (const char *[]){""}, 1);
	expect_items("a,", (const char *[]){"a", ""}, 2);
	expect_items("a,,b,ro", (const char *[]){"a,b", "ro"}, 2);
	expect_items("a,,", (const char *[]){"a,"}, 1);
	expect_items("a,,,b", (const char *[]){"a,", "b"}, 2);
}

static void item_fits_exactly_or_is_refused(void **state)
{
	struct option_items items = option_items("--disk", "123456789012345,x");
	struct diag diag = {0};
	char item[16];

	(void)state;
	assert_int_equal(option_item_next(&items, item, sizeof(item), &diag), 1);
	assert_string_equal(item, "123456789012345");
	items = option_items("--disk", "1234567890123456");
	assert_int_equal(option_item_next(&items, item, sizeof(item), &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, "option-item-length --disk ~ 15");
}

static void value_belongs_to_its_key(void **state)
{
	(void)state;
	assert_string_equal(option_item_value("id=root", "id"), "root");
	assert_string_equal(option_item_value("id=", "id"), "");
	assert_null(option_item_value("id", "id"));
	assert_null(option_item_value("ids=1", "id"));
	assert_null(option_item_value("i", "id"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_in_range_is_taken),
		cmocka_unit_test(number_out_of_range_names_option_and_limits),
		cmocka_unit_test(sizes_and_seconds_are_taken),
		cmocka_unit_test(what_is_no_size_or_no_time_is_told),
		cmocka_unit_test(choice_is_found),
		cmocka_unit_test(other_word_lists_the_choices),
		cmocka_unit_test(a_size_without_a_unit_gets_one_suggested),
		cmocka_unit_test(items_are_split_at_single_commas),
		cmocka_unit_test(item_fits_exactly_or_is_refused),
		cmocka_unit_test(value_belongs_to_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
