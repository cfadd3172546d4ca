/* Unit tests of base/byte_writer.c: byte order, patches, and what happens at the very end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/byte_writer.h"

static void numbers_are_little_endian(void **state)
{
	static const uint8_t want[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f,
				       0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08};
	uint8_t buf[32];
	struct byte_writer w = {.buf = buf, .cap = sizeof(buf)};

	(void)state;
	byte_writer_u8(&w, 0x01);
	byte_writer_u16(&w, 0x0203);
	byte_writer_u32(&w, 0x04050607);
	byte_writer_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
	assert_int_equal(w.len, sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

static void text_is_filled_to_its_width(void **state)
{
	uint8_t buf[16];
	struct byte_writer w = {.buf = buf, .cap = sizeof(buf)};

	(void)state;
	byte_writer_text(&w, "ISA", 6, ' ');
	byte_writer_text(&w, "FULL", 4, ' ');
	assert_int_equal(w.len, 10);
	assert_memory_equal(buf, "ISA   FULL", 10);
}

static void align_writes_zeros_only_when_needed(void **state)
{
	uint8_t buf[32];
	struct byte_writer w = {.buf = buf, .cap = sizeof(buf)};

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	byte_writer_align(&w, 16);
	assert_int_equal(w.len, 0);
	byte_writer_u8(&w, 1);
	byte_writer_align(&w, 16);
	assert_int_equal(w.len, 16);
	byte_writer_align(&w, 16);
	assert_int_equal(w.len, 16);
	for (size_t i = 1; i < 16; i++)
		assert_int_equal(buf[i], 0);
}

static void insert_moves_what_follows(void **state)
{
	uint8_t buf[8];
	struct byte_writer w = {.buf = buf, .cap = sizeof(buf)};

	(void)state;
	byte_writer_bytes(&w, "ad", 2);
	byte_writer_insert(&w, 1, "bc", 2);
	byte_writer_insert(&w, 0, "<", 1);
	byte_writer_insert(&w, w.len, ">", 1);
	assert_int_equal(w.len, 6);
	assert_memory_equal(buf, "<abcd>", 6);
}

static void patches_change_what_is_there(void **state)
{
	static const uint8_t want[] = {0x11, 0x33, 0x22, 0x77, 0x66, 0x55, 0x44};
	uint8_t buf[8];
	struct byte_writer w = {.buf = buf, .cap = sizeof(buf)};

	(void)state;
	byte_writer_zeros(&w, sizeof(want));
	byte_writer_patch_u8(&w, 0, 0x11);
	byte_writer_patch_u16(&w, 1, 0x2233);
	byte_writer_patch_u32(&w, 3, 0x44556677);
	assert_int_equal(w.len, sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

static void checksum_makes_the_sum_zero(void **state)
{
	uint8_t buf[8];
	struct byte_writer w = {.buf = buf, .cap = sizeof(buf)};

	(void)state;
	byte_writer_u32(&w, 0x01ff80fe);
	byte_writer_u8(&w, 9);
	assert_int_equal(byte_writer_checksum(&w, 0, 4),
			 0x100 - ((0x01 + 0xff + 0x80 + 0xfe) & 0xff));
	assert_int_equal(byte_writer_checksum(&w, 4, 1), 0xf7);
	assert_int_equal(byte_writer_checksum(&w, 4, 0), 0);
}

static void the_last_byte_fits_and_one_more_does_not(void **state)
{
	uint8_t buf[5] = {0, 0, 0, 0, 0xee};
	struct byte_writer w = {.buf = buf, .cap = 4};

	(void)state;
	byte_writer_u32(&w, 0x04030201);
	assert_false(w.full);
	assert_int_equal(w.len, 4);
	byte_writer_zeros(&w, 0);
	assert_false(w.full);
	byte_writer_u8(&w, 5);
	assert_true(w.full);
	assert_int_equal(w.len, 4);
	assert_int_equal(buf[4], 0xee);
}

static void a_full_writer_stays_as_it_is(void **state)
{
	uint8_t buf[4] = {0};
	struct byte_writer w = {.buf = buf, .cap = 4};

	(void)state;
	byte_writer_u16(&w, 0x0201);
	byte_writer_u32(&w, 0xffffffff);
	assert_true(w.full);
	/* Each of these would fit. */
	byte_writer_u8(&w, 0xff);
	byte_writer_insert(&w, 0, "x", 1);
	byte_writer_patch_u8(&w, 0, 0xff);
	assert_int_equal(byte_writer_checksum(&w, 0, 2), 0);
	assert_int_equal(w.len, 2);
	assert_memory_equal(buf, "\1\2\0\0", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(text_is_filled_to_its_width),
		cmocka_unit_test(align_writes_zeros_only_when_needed),
		cmocka_unit_test(insert_moves_what_follows),
		cmocka_unit_test(patches_change_what_is_there),
		cmocka_unit_test(checksum_makes_the_sum_zero),
		cmocka_unit_test(the_last_byte_fits_and_one_more_does_not),
		cmocka_unit_test(a_full_writer_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
