/* Unit tests of arch_core_kernel(): where Linux is, by a text that a guest wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "core.h"

#define MIB (UINT64_C(1) << 20)

static struct core_mapping find(const char *text)
{
	return arch_core_kernel(text, strlen(text));
}

static void a_kernel_where_it_was_linked(void **state)
{
	const struct core_mapping got = find("OSRELEASE=6.1\nSYMBOL(_stext)=ffffffff81000000\n"
					     "NUMBER(phys_base)=0\nKERNELOFFSET=0\n");

	(void)state;
	assert_int_equal(got.virt, UINT64_C(0xffffffff81000000));
	assert_int_equal(got.gpa, 16 * MIB);
	assert_int_equal(got.len, 1008 * MIB);
}

/* By KASLR both addresses move, each on its own; the difference may be negative. */
static void a_kernel_that_has_moved(void **state)
{
	const struct core_mapping
		up = find("NUMBER(phys_base)=33554432\nSYMBOL(_stext)=ffffffff81000123\n"),
		down = find("NUMBER(phys_base)=-167772160\nSYMBOL(_stext)=ffffffff8c000000\n");

	(void)state;
	assert_int_equal(up.virt, UINT64_C(0xffffffff81000000));
	assert_int_equal(up.gpa, 48 * MIB);
	assert_int_equal(down.virt, UINT64_C(0xffffffff8c000000));
	assert_int_equal(down.gpa, 32 * MIB);
	assert_int_equal(down.len, 832 * MIB);
}

static void a_text_that_does_not_say_is_no_kernel(void **state)
{
	static const char *const texts[] = {
		"",
		"OSRELEASE=6.1\n",
		"SYMBOL(_stext)=ffffffff81000000\n",
		"NUMBER(phys_base)=0\n",
		"SYMBOL(_stext)=\nNUMBER(phys_base)=0\n",
		"SYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=0", /* cut off */
		"SYMBOL(_stext)=ffffffff81000000\nXNUMBER(phys_base)=0\n",
		"SYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=77\n", /* within a page */
		"SYMBOL(_stext)=ffff800000000000\nNUMBER(phys_base)=0\n",
		"SYMBOL(_stext)=ffffffffc0000000\nNUMBER(phys_base)=0\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(find(texts[i]).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_where_it_was_linked),
		cmocka_unit_test(a_kernel_that_has_moved),
		cmocka_unit_test(a_text_that_does_not_say_is_no_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
