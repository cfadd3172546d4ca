/* Unit tests of base/parse.c and base/diag.c: what users type, and the messages for it. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/parse.h"

static void numbers_are_decimal_or_0x(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(parse_u64("0", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(parse_u64("010", &v), 0);
	assert_int_equal(v, 10);
	assert_int_equal(parse_u64("0x3f8", &v), 0);
	assert_int_equal(v, 0x3f8);
	assert_int_equal(parse_u64("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
}

static void what_is_no_number_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[] = {"",   " 1",  "1 ", "-1",  "+1",
					  "0x", "0xg", "1k", "abc", "1.0"};
	uint64_t v = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_u64(bad[i], &v), -EINVAL);
	assert_int_equal(parse_u64("18446744073709551616", &v), -ERANGE);
	assert_int_equal(parse_u64_in("256", 1, 255, &v), -ERANGE);
	assert_int_equal(parse_u64_in("0", 1, 255, &v), -ERANGE);
	assert_int_equal(v, 7);
}

static void sizes_take_binary_units(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(parse_size_bytes("4096", &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(parse_size_bytes("64M", &v), 0);
	assert_int_equal(v, 64 << 20);
	assert_int_equal(parse_size_bytes("1g", &v), 0);
	assert_int_equal(v, 1 << 30);
	assert_int_equal(parse_size_bytes("2GiB", &v), 0);
	assert_true(v == UINT64_C(2) << 30);
	assert_int_equal(parse_size_bytes("3KB", &v), 0);
	assert_int_equal(v, 3072);
	assert_int_equal(parse_size_bytes("1T", &v), 0);
	assert_true(v == UINT64_C(1) << 40);
	assert_int_equal(parse_size_bytes("64MX", &v), -EINVAL);
	assert_int_equal(parse_size_bytes("M", &v), -EINVAL);
	assert_int_equal(parse_size_bytes("64MMiB", &v), -EINVAL);
	assert_int_equal(parse_size_bytes("1.5G", &v), -EINVAL);
	assert_int_equal(parse_size_bytes("99999999999999T", &v), -ERANGE);
}

static void seconds_take_decimals(void **state)
{
	int64_t ns = 7;

	(void)state;
	assert_int_equal(parse_seconds_ns("2", &ns), 0);
	assert_int_equal(ns, 2000000000);
	assert_int_equal(parse_seconds_ns("0.25", &ns), 0);
	assert_int_equal(ns, 250000000);
	assert_int_equal(parse_seconds_ns("1.0000000019", &ns), 0);
	assert_int_equal(ns, 1000000001);
	assert_int_equal(parse_seconds_ns("1.", &ns), -EINVAL);
	assert_int_equal(parse_seconds_ns(".5", &ns), -EINVAL);
	assert_int_equal(parse_seconds_ns("0x2", &ns), -EINVAL);
	assert_int_equal(parse_seconds_ns("1s", &ns), -EINVAL);
	assert_int_equal(parse_seconds_ns("99999999999", &ns), -ERANGE);
	assert_int_equal(parse_seconds_ns("4611686019", &ns), -ERANGE);
	assert_int_equal(ns, 1000000001);
	/* The longest is still a time that ends, on whatever clock. */
	assert_int_equal(parse_seconds_ns("4611686018.999999999", &ns), 0);
	assert_true(ns > 0 && ns <= INT64_MAX / 2 + NS_PER_S);
}

static void sizes_are_shown_short(void **state)
{
	char buf[24];

	(void)state;
	assert_string_equal(format_size(17, buf), "17 B");
	assert_string_equal(format_size(4096, buf), "4 KiB");
	assert_string_equal(format_size(4608, buf), "4.5 KiB");
	assert_string_equal(format_size(UINT64_C(3) << 30, buf), "3 GiB");
	assert_string_equal(format_size(UINT64_MAX, buf), "16777215.9 TiB");
}

static void the_first_cause_wins(void **state)
{
	struct diag diag = {0};

	(void)state;
	assert_int_equal(diag_set(&diag, -ENOENT, "kernel-open", "open kernel '%s'", "a\nb\033"),
			 -ENOENT);
	assert_int_equal(diag_set(&diag, -EIO, "kernel-late", "later"), -EIO);
	diag_remedy(&diag, "name a file");
	diag_remedy(&diag, "no, another");
	assert_int_equal(diag.err, -ENOENT);
	assert_string_equal(diag.id, "kernel-open");
	assert_string_equal(diag.what, "open kernel 'a?b?': No such file or directory");
	assert_string_equal(diag.remedy, "name a file");
}

static void einval_says_its_own_reason(void **state)
{
	struct diag diag = {0};

	(void)state;
	diag_set(&diag, -EINVAL, "cpus-few", "--cpus 0: at least 1");
	assert_string_equal(diag.what, "--cpus 0: at least 1");
	assert_int_equal(diag_set(NULL, -EIO, "nobody-listens", "nobody listens"), -EIO);
}

/* Another process may hand one on: a guest may have taken that process over. */
static void an_id_has_one_form(void **state)
{
	static const char *const wrong[] = {
		"",
		"kernel open",
		"kernel\nopen",
		"Kernel-open",
		"[kernel-open]",
		"kernel-\xc3\xb6",
		"kernel",
		"-open",
		"kernel-",
		"kernel--open",
		"-",
		"a-name-that-is-as-long-as-it-may-be-and-1",
	};
	char longest[DIAG_ID_BYTES];
	struct diag diag = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		diag_take_id(&diag, "kernel-open");
		diag_take_id(&diag, wrong[i]);
		assert_false(diag_is_id(wrong[i]));
		assert_string_equal(diag.id, "");
	}
	memset(longest, 'a', sizeof(longest));
	longest[1] = '-';
	longest[sizeof(longest) - 1] = '\0';
	diag_take_id(&diag, longest);
	assert_string_equal(diag.id, longest);
}

static void an_id_is_printed_in_brackets(void **state)
{
	struct diag diag = {.what = "it is broken"};
	char text[64] = "";
	FILE *out;

	(void)state;
	for (int with_id = 0; with_id < 2; with_id++) {
		if (with_id)
			diag_take_id(&diag, "it-broken");
		out = fmemopen(text, sizeof(text), "w");
		assert_non_null(out);
		diag_print(&diag, out);
		fclose(out);
		assert_string_equal(text, with_id ? "it is broken [it-broken]" : "it is broken");
	}
}

static void test_hex_digits(void **state)
{
	static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";

	(void)state;
	for (int c = CHAR_MIN; c <= CHAR_MAX; c++) {
		const char *low = c ? strchr(digits, c) : NULL, *up = c ? strchr(upper, c) : NULL;

		assert_int_equal(parse_hex_digit((char)c), low  ? low - digits
							   : up ? up - upper
								: -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex_digits),
		cmocka_unit_test(numbers_are_decimal_or_0x),
		cmocka_unit_test(what_is_no_number_is_refused_and_changes_nothing),
		cmocka_unit_test(sizes_take_binary_units),
		cmocka_unit_test(seconds_take_decimals),
		cmocka_unit_test(sizes_are_shown_short),
		cmocka_unit_test(the_first_cause_wins),
		cmocka_unit_test(an_id_has_one_form),
		cmocka_unit_test(an_id_is_printed_in_brackets),
		cmocka_unit_test(einval_says_its_own_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
