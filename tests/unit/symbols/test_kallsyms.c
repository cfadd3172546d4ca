/* Unit tests of the tables of kallsyms: every layout, and images in which one thing is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kallsyms_image.h"
#include "symbols.h"

static struct kallsyms_image image;
static struct symbols *symbols;

/* In memory of its own, so that a sanitizer sees a read past its end. */
static int parse(size_t len)
{
	uint8_t *copy = aligned_alloc(8, (len + 8) & ~(size_t)7);
	int r;

	assert_non_null(copy);
	memcpy(copy, image.bytes, len);
	symbols = NULL;
	r = symbols_parse_kallsyms(copy, len, KALLSYMS_LINEAR, &symbols);
	free(copy);
	return r;
}

static void expect_names(enum kallsyms_layout layout)
{
	const unsigned first = kallsyms_has_per_cpu(layout) ? KALLSYMS_PER_CPU : 0;
	char want[32], text[SYMBOL_TEXT_MAX];
	struct symbol symbol;

	assert_int_equal(symbols_count(symbols), KALLSYMS_SYMBOLS - first);
	for (unsigned i = first; i < KALLSYMS_SYMBOLS; i++) {
		assert_true(symbols_find(symbols, kallsyms_addr(layout, i) + 5, &symbol) ||
			    i == KALLSYMS_SYMBOLS - 1);
		assert_true(symbols_find(symbols, kallsyms_addr(layout, i), &symbol));
		snprintf(want, sizeof(want), "fn_%u", i);
		assert_memory_equal(symbol.name, want, strlen(want));
		assert_int_equal(strlen(symbol.name),
				 i == KALLSYMS_LONG_AT ? KALLSYMS_LONG + 1 : strlen(want));
		assert_int_equal(symbol.is_text, i % 3 != 0);
	}
	assert_string_equal(symbols_format(symbols, kallsyms_addr(layout, 7) + 0x11, text),
			    "fn_7+0x11/0x40");
	/* Offsets of per-CPU variables do not become addresses. */
	assert_false(symbols_find(symbols, 0x1000, &symbol));
	assert_false(symbols_find(symbols, KALLSYMS_TEXT - 1, &symbol));
}

static void test_finds_the_tables_of_each_version(void **state)
{
	(void)state;
	for (size_t align = 4; align <= 8; align += 4) {
		for (enum kallsyms_layout layout = 0; layout < KALLSYMS_LAYOUTS; layout++) {
			kallsyms_image_make(&image, layout, align);
			if (align == 4 && layout != KALLSYMS_7_0)
				continue; /* with a 64-bit base, labels have its alignment */
			assert_int_equal(parse(image.len), 0);
			expect_names(layout);
			symbols = symbols_free(symbols);
		}
	}
}

/* A kernel that was moved has its base moved, or its place. */
static void test_follows_a_kernel_that_was_moved(void **state)
{
	const uint64_t base = KALLSYMS_TEXT + 0x1e00000;
	struct symbol symbol;

	(void)state;
	kallsyms_image_make(&image, KALLSYMS_6_4, 8);
	memcpy(image.bytes + image.base, &base, sizeof(base));
	assert_int_equal(parse(image.len), 0);
	assert_true(symbols_find(symbols, kallsyms_addr(KALLSYMS_6_4, 10) + 0x1e00000, &symbol));
	assert_string_equal(symbol.name, "fn_10");
	symbols = symbols_free(symbols);

	kallsyms_image_make(&image, KALLSYMS_7_0, 8);
	assert_int_equal(symbols_parse_kallsyms(image.bytes, image.len, KALLSYMS_LINEAR + 0x600000,
						&symbols),
			 0);
	assert_true(symbols_find(symbols, kallsyms_addr(KALLSYMS_7_0, 10) + 0x600000, &symbol));
	assert_string_equal(symbol.name, "fn_10");
	symbols = symbols_free(symbols);
}

static void test_refuses_parts_that_do_not_fit_each_other(void **state)
{
	static const uint32_t none;

	(void)state;
	for (enum kallsyms_layout layout = 0; layout < KALLSYMS_LAYOUTS; layout++) {
		const size_t wrong[] = {offsetof(struct kallsyms_image, count),
					offsetof(struct kallsyms_image, token_table),
					offsetof(struct kallsyms_image, token_index)};

		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			size_t at;

			kallsyms_image_make(&image, layout, 8);
			memcpy(&at, (char *)&image + wrong[i], sizeof(at));
			memcpy(image.bytes + at + (wrong[i] == wrong[0] ? 0 : 4), &none, 4);
			assert_int_equal(parse(image.len), -ENOENT);
		}
		kallsyms_image_make(&image, layout, 8);
		image.bytes[image.markers + 8]++;
		assert_int_equal(parse(image.len), -ENOENT);
		/* Addresses that do not ascend. */
		kallsyms_image_make(&image, layout, 8);
		memset(image.bytes + image.offsets + 400, 0x80, 4);
		memset(image.bytes + image.offsets + 404, 0, 4);
		memset(image.bytes + image.offsets + 408, 0xff, 4);
		memset(image.bytes + image.offsets + 412, 0x7f, 4);
		assert_int_equal(parse(image.len), -ENOENT);
	}
}

static void test_takes_any_length(void **state)
{
	(void)state;
	for (enum kallsyms_layout layout = 0; layout < KALLSYMS_LAYOUTS; layout++) {
		const int want = layout <= KALLSYMS_6_2 ? 0 : -ENOENT;

		kallsyms_image_make(&image, layout, 8);
		assert_int_equal(parse(0), -ENOENT);
		assert_int_equal(parse(3), -ENOENT);
		assert_int_equal(parse(image.token_index + 511), -ENOENT);
		assert_int_equal(parse(image.token_index + 512), want);
		symbols = symbols_free(symbols);
	}
}

/* Numbers that ascend are in many programs: the search goes on after them. */
static void test_passes_over_what_only_looks_like_an_index(void **state)
{
	(void)state;
	kallsyms_image_make(&image, KALLSYMS_6_4, 8);
	for (size_t i = 0; i < 256; i++) {
		const uint16_t v = (uint16_t)(i * 5);

		memcpy(image.bytes + 1024 + i * 2, &v, sizeof(v));
	}
	assert_int_equal(parse(image.len), 0);
	expect_names(KALLSYMS_6_4);
	symbols = symbols_free(symbols);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_the_tables_of_each_version),
		cmocka_unit_test(test_follows_a_kernel_that_was_moved),
		cmocka_unit_test(test_refuses_parts_that_do_not_fit_each_other),
		cmocka_unit_test(test_takes_any_length),
		cmocka_unit_test(test_passes_over_what_only_looks_like_an_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
