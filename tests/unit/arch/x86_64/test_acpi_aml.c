/* Unit tests of arch/x86_64/aml.c: the bytes of ACPI 6.3, chapter 20, and the edges of its lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/aml.h"

static uint8_t buf[(1 << 20) + 64];
static struct byte_writer w;

static int setup(void **state)
{
	(void)state;
	w = (struct byte_writer){.buf = buf, .cap = sizeof(buf)};
	return 0;
}

#define ASSERT_BYTES(...)                                                                          \
	do {                                                                                       \
		static const uint8_t want_[] = {__VA_ARGS__};                                      \
                                                                                                   \
		assert_false(w.full);                                                              \
		assert_int_equal(w.len, sizeof(want_));                                            \
		assert_memory_equal(buf, want_, sizeof(want_));                                    \
	} while (0)

static void integers_take_the_shortest_form(void **state)
{
	(void)state;
	aml_integer(&w, 0);
	aml_integer(&w, 1);
	aml_integer(&w, 2);
	aml_integer(&w, 0xff);
	aml_integer(&w, 0x100);
	aml_integer(&w, 0xffff);
	aml_integer(&w, 0x10000);
	aml_integer(&w, 0xffffffff);
	ASSERT_BYTES(0x00, 0x01, 0x0a, 0x02, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0b, 0xff, 0xff, 0x0c,
		     0x00, 0x00, 0x01, 0x00, 0x0c, 0xff, 0xff, 0xff, 0xff);
}

static void names_are_filled_to_four_characters(void **state)
{
	(void)state;
	aml_name(&w, "_S5");
	aml_integer(&w, 0);
	aml_name(&w, "_HID");
	ASSERT_BYTES(0x08, '_', 'S', '5', '_', 0x00, 0x08, '_', 'H', 'I', 'D');
}

static void eisa_ids_are_compressed(void **state)
{
	(void)state;
	/* 19.3.4: P, N, P are 16, 14, 16, so 0 10000 01110 10000, which is 41d0; then 0501. */
	aml_hardware_id(&w, "PNP0501");
	aml_hardware_id(&w, "ABCF09E");
	ASSERT_BYTES(0x0c, 0x41, 0xd0, 0x05, 0x01, 0x0c, 0x04, 0x43, 0xf0, 0x9e);
}

static void what_is_no_eisa_id_is_a_string(void **state)
{
	static const char *const ids[] = {"LNRO0005", "QEMU0001", "pnp0501", "PNP05f1", "PN00501",
					  "PNP050",   "PNP050G",  "",        "PNP050 "};

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		w.len = 0;
		aml_hardware_id(&w, ids[i]);
		assert_int_equal(w.len, strlen(ids[i]) + 2);
		assert_int_equal(buf[0], 0x0d);
		assert_string_equal((const char *)buf + 1, ids[i]);
	}
}

static void blocks_nest(void **state)
{
	size_t scope, device, package;

	(void)state;
	scope = aml_begin_scope(&w, "_SB");
	device = aml_begin_device(&w, "DEV0");
	aml_name(&w, "ABC_");
	package = aml_begin_package(&w, 2);
	aml_integer(&w, 7);
	aml_integer(&w, 0);
	aml_end(&w, package);
	aml_end(&w, device);
	aml_end(&w, scope);
	ASSERT_BYTES(0x10, 0x17, '_', 'S', 'B', '_', 0x5b, 0x82, 0x10, 'D', 'E', 'V', '0', 0x08,
		     'A', 'B', 'C', '_', 0x12, 0x05, 0x02, 0x0a, 0x07, 0x00);
}

/* The length of a package whose contents are n bytes, as ACPI 20.2.4 reads it. */
static size_t length_of(size_t n, size_t *ret_len_bytes)
{
	size_t mark, len, more;

	w.len = 0;
	mark = w.len;
	byte_writer_zeros(&w, n);
	aml_end(&w, mark);
	assert_false(w.full);
	more = buf[0] >> 6;
	*ret_len_bytes = 1 + more;
	if (more == 0)
		return buf[0] & 0x3f;
	assert_int_equal(buf[0] & 0x30, 0);
	len = buf[0] & 0xf;
	for (size_t i = 0; i < more; i++)
		len |= (size_t)buf[1 + i] << (4 + 8 * i);
	return len;
}

static void lengths_count_themselves_at_every_edge(void **state)
{
	static const struct {
		size_t contents, len_bytes;
	} edge[] = {
		{0, 1},    {62, 1},          {63, 2},          {4093, 2},
		{4094, 3}, {1048575 - 3, 3}, {1048576 - 3, 4}, {1 << 20, 4},
	};
	size_t len_bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(edge) / sizeof(edge[0]); i++) {
		assert_int_equal(length_of(edge[i].contents, &len_bytes),
				 edge[i].contents + edge[i].len_bytes);
		assert_int_equal(len_bytes, edge[i].len_bytes);
		assert_int_equal(w.len, edge[i].contents + edge[i].len_bytes);
	}
}

static void resources_are_a_buffer_with_an_end_tag(void **state)
{
	size_t mark;

	(void)state;
	mark = aml_begin_resources(&w);
	aml_end_resources(&w, mark);
	ASSERT_BYTES(0x11, 0x05, 0x0a, 0x02, 0x79, 0x00);
}

static void resources_tell_ports_memory_and_interrupt(void **state)
{
	size_t mark;

	(void)state;
	mark = aml_begin_resources(&w);
	aml_io(&w, 0x3f8, 8);
	aml_memory32(&w, 0xd0001000, 0x200);
	aml_interrupt_edge_high(&w, 4);
	aml_end_resources(&w, mark);
	ASSERT_BYTES(0x11, 0x22, 0x0a, 0x1f,                         /* 31 bytes */
		     0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08, /* 6.4.2.5 */
		     0x86, 9, 0, 0x01, 0x00, 0x10, 0x00, 0xd0, 0x00, 0x02, 0x00, 0x00, /* 6.4.3.4 */
		     0x89, 6, 0, 0x03, 0x01, 0x04, 0x00, 0x00, 0x00,                   /* 6.4.3.6 */
		     0x79, 0x00);
}

static void nothing_is_written_past_the_end(void **state)
{
	uint8_t small[24];

	(void)state;
	for (size_t cap = 0; cap < sizeof(small) - 1; cap++) {
		size_t scope, resources;

		memset(small, 0xee, sizeof(small));
		w = (struct byte_writer){.buf = small, .cap = cap};
		scope = aml_begin_scope(&w, "_SB");
		aml_name(&w, "_CRS");
		resources = aml_begin_resources(&w);
		aml_io(&w, 0x70, 2);
		aml_end_resources(&w, resources);
		aml_end(&w, scope);
		assert_true(w.full);
		for (size_t i = cap; i < sizeof(small); i++)
			assert_int_equal(small[i], 0xee);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(integers_take_the_shortest_form, setup),
		cmocka_unit_test_setup(names_are_filled_to_four_characters, setup),
		cmocka_unit_test_setup(eisa_ids_are_compressed, setup),
		cmocka_unit_test_setup(what_is_no_eisa_id_is_a_string, setup),
		cmocka_unit_test_setup(blocks_nest, setup),
		cmocka_unit_test_setup(lengths_count_themselves_at_every_edge, setup),
		cmocka_unit_test_setup(resources_are_a_buffer_with_an_end_tag, setup),
		cmocka_unit_test_setup(resources_tell_ports_memory_and_interrupt, setup),
		cmocka_unit_test_setup(nothing_is_written_past_the_end, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
