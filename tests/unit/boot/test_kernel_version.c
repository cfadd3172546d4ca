/* Unit tests of how a kernel's version is found in its image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/kernel_version.h"

enum { IMAGE_BYTES = 0x1000, MAGIC = 0x202, VERSION = 0x20e };

static const uint8_t magic[] = {'H', 'd', 'r', 'S'};
static char found[KERNEL_VERSION_MAX];

/* In memory of its own, so that a sanitizer sees a read past its end. */
static bool find(const void *image, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	bool ok;

	assert_non_null(copy);
	memcpy(copy, image, len);
	memset(found, 'x', sizeof(found));
	ok = kernel_version_find(copy, len, found);
	free(copy);
	return ok;
}

static bool find_bzimage(const char *text, size_t text_len, uint16_t at, size_t len)
{
	uint8_t image[IMAGE_BYTES] = {0};

	memcpy(image + MAGIC, magic, sizeof(magic));
	image[VERSION] = (uint8_t)at;
	image[VERSION + 1] = (uint8_t)(at >> 8);
	memcpy(image + at + 0x200, text, text_len);
	return find(image, len);
}

static void a_bzimage_has_it_where_its_header_says(void **state)
{
	static const char text[] = "6.1.0-56-cloud-amd64 (debian@example) #1 SMP";

	(void)state;
	assert_true(find_bzimage(text, sizeof(text), 0x600, IMAGE_BYTES));
	assert_string_equal(found, "6.1.0-56-cloud-amd64");
	assert_true(find_bzimage("6.12.0-rc1+", 12, 0x600, IMAGE_BYTES));
	assert_string_equal(found, "6.12.0-rc1+");
}

static void a_header_may_lie(void **state)
{
	uint8_t image[IMAGE_BYTES] = {0};

	(void)state;
	assert_false(find_bzimage("6.1", 4, 0, IMAGE_BYTES)); /* it has none */
	assert_false(find_bzimage("6.1", 4, 0x600, 0x800));   /* past the end */
	assert_true(find_bzimage("6.123", 6, 0x600, 0x804));  /* its word is cut by the end */
	assert_string_equal(found, "6.12");
	assert_false(find_bzimage("../../x", 8, 0x600, IMAGE_BYTES));
	assert_false(find_bzimage("", 1, 0x600, IMAGE_BYTES));
	memcpy(image + MAGIC, magic, sizeof(magic));
	image[VERSION] = image[VERSION + 1] = 0xff;
	assert_false(find(image, sizeof(image)));
	assert_false(find(image, 0x20f)); /* the header itself is cut */
}

static void only_what_a_name_is_made_of_is_taken(void **state)
{
	(void)state;
	assert_true(find_bzimage("6.1/../../etc", 14, 0x600, IMAGE_BYTES));
	assert_string_equal(found, "6.1");
}

static void an_endless_word_is_cut(void **state)
{
	char text[200];

	(void)state;
	memset(text, '7', sizeof(text));
	assert_true(find_bzimage(text, sizeof(text), 0x600, IMAGE_BYTES));
	assert_int_equal(strlen(found), KERNEL_VERSION_MAX - 1);
}

static void any_other_image_has_it_in_its_banner(void **state)
{
	static const char banner[] =
		"\177ELF\0\0Linux version %s\0pad\0Linux version 5.10.0-8 (gcc)\n";
	static const char cut[] = "\177ELFLinux version ";

	(void)state;
	assert_true(find(banner, sizeof(banner)));
	assert_string_equal(found, "5.10.0-8");
	assert_false(find(cut, sizeof(cut) - 1));
	assert_false(find("", 0));
	assert_false(find("\177ELF", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bzimage_has_it_where_its_header_says),
		cmocka_unit_test(a_header_may_lie),
		cmocka_unit_test(only_what_a_name_is_made_of_is_taken),
		cmocka_unit_test(an_endless_word_is_cut),
		cmocka_unit_test(any_other_image_has_it_in_its_banner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
