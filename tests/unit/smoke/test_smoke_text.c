/* Console bytes become harmless text, the same however they were split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "smoke/judge/text.h"

#define REPLACED "\xef\xbf\xbd"

struct sample {
	const char *in;
	size_t len; /* 0: as strlen() has it */
	const char *out;
};

static void assert_text(const struct sample *sample)
{
	const size_t len = sample->len ? sample->len : strlen(sample->in);
	struct smoke_text text = {0};
	char out[8192];
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += smoke_text_feed(&text, (uint8_t)sample->in[i], out + n);
	n += smoke_text_finish(&text, out + n);
	out[n] = '\0';
	assert_string_equal(out, sample->out);
}

static void assert_texts(const struct sample *samples, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_text(&samples[i]);
}

static void test_text_passes(void **state)
{
	static const struct sample samples[] = {
		{"plain ASCII ~!", 0, "plain ASCII ~!"},
		{"tab\tand\nnewline", 0, "tab\tand\nnewline"},
		{"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 0,
		 "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\xf4\x8f\xbf\xbd", 0, "\xf4\x8f\xbf\xbd"},
	};

	(void)state;
	assert_texts(samples, ARRAY_SIZE(samples));
}

static void test_escape_sequences_go(void **state)
{
	static const struct sample samples[] = {
		{"a\x1b[31mred\x1b[0m.", 0, "ared."},
		{"a\x1b[?25l\x1b[2J\x1b[1;1Hb", 0, "ab"},
		{"a\x1b(0b\x1b#8c\x1b"
		 "7d\x1b"
		 "ce",
		 0, "abcde"},
		{"a\x1b]0;title\x07"
		 "b",
		 0, "ab"},
		{"a\x1b]0;title\x1b\\b", 0, "ab"},
		{"a\x1bP1$r0m\x1b\\b\x1b_x\x1b\\c\x1b^x\x1b\\d\x1bXx\x1b\\e", 0, "abcde"},
		{"a\x1b]0;t\x18"
		 "b\x1b]0;t\x1a"
		 "c",
		 0, "abc"},
		/* One that begins inside another ends it. */
		{"a\x1b[3\x1b[31mb", 0, "ab"},
		{"a\x1b]0;t\x1b[31mb", 0, "ab"},
		{"a\x1b\x1b[31mb", 0, "ab"},
		/* Cut off: nothing of it shows. */
		{"a\x1b", 0, "a"},
		{"a\x1b[12;", 0, "a"},
	};

	(void)state;
	assert_texts(samples, ARRAY_SIZE(samples));
}

static void test_sequences_hide_no_line(void **state)
{
	static const struct sample samples[] = {
		{"\x1b]0;hidden\nKernel panic", 0, "\nKernel panic"},
		{"\x1b[1\nKernel panic", 0, "\nKernel panic"},
		{"\x1b\nKernel panic", 0, "\nKernel panic"},
	};
	char in[2 * SMOKE_TEXT_SEQUENCE_MAX + 3] = "\x1b]";
	char out[SMOKE_TEXT_SEQUENCE_MAX + 2];

	(void)state;
	assert_texts(samples, ARRAY_SIZE(samples));
	memset(in + 2, 'x', sizeof(in) - 3);
	memset(out, 'x', sizeof(out) - 1);
	out[sizeof(out) - 1] = '\0';
	assert_text(&(struct sample){.in = in, .out = out});
}

static void test_controls_are_replaced(void **state)
{
	static const struct sample samples[] = {
		{"a\r\nb\rc", 0, "a\nbc"},
		{"a\0b", 3, "a" REPLACED "b"},
		{"\x07\x08\x0b\x0c\x0e\x7f", 0,
		 REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED},
		/* C1 as a byte and as a character, line separators, writing from right to left. */
		{"\x9b"
		 "31m",
		 0, REPLACED "31m"},
		{"\xc2\x9b"
		 "31m \xc2\x85",
		 0, REPLACED "31m " REPLACED},
		/* NOLINTNEXTLINE(misc-misleading-bidirectional): what must not get through */
		{"\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8f", 0,
		 REPLACED REPLACED REPLACED REPLACED},
		/* Characters that XML does not take. */
		{"\xef\xbf\xbe\xef\xbf\xbf\xf0\x9f\xbf\xbf\xef\xb7\x90", 0,
		 REPLACED REPLACED REPLACED REPLACED},
	};

	(void)state;
	assert_texts(samples, ARRAY_SIZE(samples));
}

static void test_malformed_utf8_is_replaced(void **state)
{
	static const struct sample samples[] = {
		{"\xff\xfe\x80", 0, REPLACED REPLACED REPLACED},
		{"\xc0\xaf", 0, REPLACED REPLACED},              /* overlong */
		{"\xe0\x80\xaf", 0, REPLACED REPLACED REPLACED}, /* overlong */
		{"\xf0\x80\x80\xaf", 0, REPLACED REPLACED REPLACED REPLACED},
		{"\xed\xa0\x80", 0, REPLACED REPLACED REPLACED}, /* surrogate */
		{"\xf4\x90\x80\x80", 0, REPLACED REPLACED REPLACED REPLACED},
		{"\xe2\x82"
		 "a",
		 0, REPLACED "a"},
		{"\xe2\x82\n", 0, REPLACED "\n"},
		{"\xe2\x82\xc3\xa9", 0, REPLACED "\xc3\xa9"},
		{"\xe2\xe2\x82\xac", 0, REPLACED "\xe2\x82\xac"},
		{"\xe2\x82\x1b[31mx", 0, REPLACED "x"},
		{"x\xe2\x82", 0, "x" REPLACED},
	};

	(void)state;
	assert_texts(samples, ARRAY_SIZE(samples));
}

static void test_strings_become_one_line(void **state)
{
	char buf[16];

	(void)state;
	smoke_text_clean("a\tb\nc\x1b[31md\xe2", buf, sizeof(buf));
	assert_string_equal(buf, "a b cd" REPLACED);
	smoke_text_clean("0123456789abc\xe2\x82\xac", buf, sizeof(buf));
	assert_string_equal(buf, "0123456789abc"); /* no half of a character */
	smoke_text_clean("0123456789abcdefg", buf, sizeof(buf));
	assert_string_equal(buf, "0123456789abcde");
	smoke_text_clean("", buf, sizeof(buf));
	assert_string_equal(buf, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_passes),
		cmocka_unit_test(test_escape_sequences_go),
		cmocka_unit_test(test_sequences_hide_no_line),
		cmocka_unit_test(test_controls_are_replaced),
		cmocka_unit_test(test_malformed_utf8_is_replaced),
		cmocka_unit_test(test_strings_become_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
