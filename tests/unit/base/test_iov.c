/* Scattered buffers: copied, cut and described. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/iov.h"
#include "base/macros.h"

static void bytes_go_through_scatter_lists(void **state)
{
	char a[] = {'a', 'b', 'c'}, b[] = {'d'}, c[] = {'e', 'f', 'g', 'h'}, buf[9] = "";
	const struct iovec iov[] = {{a, 3}, {b, 1}, {NULL, 0}, {c, 4}};

	(void)state;
	assert_int_equal(iov_read(iov, 4, 0, buf, sizeof(buf)), 8);
	assert_string_equal(buf, "abcdefgh");
	memset(buf, 0, sizeof(buf));
	assert_int_equal(iov_read(iov, 4, 2, buf, 3), 3);
	assert_string_equal(buf, "cde");
	assert_int_equal(iov_read(iov, 4, 8, buf, 1), 0);
	assert_int_equal(iov_read(iov, 4, SIZE_MAX, buf, 1), 0);
	assert_int_equal(iov_read(iov, 0, 0, buf, 1), 0);
	assert_int_equal(iov_write(iov, 4, 3, "XYZ", 3), 3);
	assert_memory_equal(a, "abc", 3);
	assert_memory_equal(b, "X", 1);
	assert_memory_equal(c, "YZgh", 4);
	assert_int_equal(iov_write(iov, 4, 6, "12345", 5), 2);
	assert_memory_equal(c, "YZ12", 4);
}

static void bytes_are_those_of_all_pieces(void **state)
{
	char a[5];
	const struct iovec iov[] = {{a, 5}, {a, 0}, {a, 3}};

	(void)state;
	assert_int_equal(iov_bytes(iov, 3), 8);
	assert_int_equal(iov_bytes(iov, 0), 0);
}

/* Each range of eight bytes in four pieces, one of them empty, against the bytes themselves. */
static void a_slice_is_the_bytes_of_its_range(void **state)
{
	char bytes[] = "abcdefgh";
	const struct iovec iov[] = {{bytes, 3}, {bytes + 3, 1}, {NULL, 0}, {bytes + 4, 4}};

	(void)state;
	for (size_t off = 0; off <= 8; off++) {
		for (size_t len = 0; off + len <= 8; len++) {
			struct iovec part[ARRAY_SIZE(iov)];
			const unsigned n = iov_slice(iov, 4, off, len, part);
			char buf[8];

			assert_int_equal(iov_bytes(part, n), len);
			assert_int_equal(iov_read(part, n, 0, buf, sizeof(buf)), len);
			assert_memory_equal(buf, bytes + off, len);
		}
	}
}

static void advancing_drops_the_first_bytes(void **state)
{
	char bytes[] = "abcdefgh";

	(void)state;
	for (size_t off = 0; off <= 8; off++) {
		struct iovec iov[] = {{bytes, 3}, {bytes + 3, 1}, {NULL, 0}, {bytes + 4, 4}};
		struct iovec *at = iov;
		unsigned nr = ARRAY_SIZE(iov);
		char buf[8];

		iov_advance(&at, &nr, off);
		assert_int_equal(iov_read(at, nr, 0, buf, sizeof(buf)), 8 - off);
		assert_memory_equal(buf, bytes + off, 8 - off);
	}
}

static void zeroing_leaves_what_is_outside(void **state)
{
	char bytes[] = "abcdefgh";
	const struct iovec iov[] = {{bytes + 1, 2}, {NULL, 0}, {bytes + 5, 1}};

	(void)state;
	iov_zero(iov, ARRAY_SIZE(iov));
	assert_memory_equal(bytes, "a\0\0de\0gh", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_through_scatter_lists),
		cmocka_unit_test(bytes_are_those_of_all_pieces),
		cmocka_unit_test(a_slice_is_the_bytes_of_its_range),
		cmocka_unit_test(advancing_drops_the_first_bytes),
		cmocka_unit_test(zeroing_leaves_what_is_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
