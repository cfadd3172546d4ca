/* Unit tests of arch/x86_64/mptable.c: found, checked and read back as a kernel does it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/mptable.h"
#include "base/macros.h"
#include "machine.h"
#include "table_rig.h"

static struct machine machine;
static uint8_t *bytes;
static size_t bytes_len;

static void render(unsigned cpus)
{
	const struct machine_spec spec = {.mem_bytes = MACHINE_MEM_MIN, .cpus = cpus};
	struct diag diag = {0};
	void *ret = NULL;

	if (machine_resolve(&arch_platform, &spec, &machine, &diag) < 0 ||
	    machine_mptable_render(&machine, LAYOUT_MPTABLE_GPA, &ret, &bytes_len, &diag) < 0)
		fail_for(diag.what);
	free(bytes);
	bytes = ret;
}

static int teardown(void **state)
{
	(void)state;
	free(bytes);
	bytes = NULL;
	return 0;
}

/* The configuration table, from the floating pointer at the start of the BIOS area. */
static const uint8_t *config_table(size_t *ret_len)
{
	const uint8_t *table;
	size_t offset;

	assert_memory_equal(bytes, "_MP_", 4);
	assert_int_equal(byte_sum(bytes, 16), 0);
	assert_int_equal(bytes[8], 1); /* paragraphs */
	assert_int_equal(bytes[9], 4); /* revision 1.4 */
	assert_int_equal(bytes[11], 0);
	offset = (size_t)(le(bytes + 4, 4) - LAYOUT_MPTABLE_GPA);
	assert_true(offset >= 16 && offset <= bytes_len - 44);
	table = bytes + offset;
	assert_memory_equal(table, "PCMP", 4);
	*ret_len = le(table + 4, 2);
	assert_int_equal(offset + *ret_len, bytes_len);
	assert_int_equal(byte_sum(table, *ret_len), 0);
	assert_int_equal(table[6], 4);
	return table;
}

struct seen {
	unsigned cpus, buses, ioapics, ints, locals, entries;
};

static void see_cpu(const uint8_t *e, struct seen *seen)
{
	assert_int_equal(e[1], seen->cpus);
	assert_int_equal(e[2], 0x14);
	assert_int_equal(e[3], seen->cpus == 0 ? 3 : 1); /* enabled; the first one is the BSP */
	assert_true(le(e + 8, 4) & 1 << 9);              /* APIC */
	seen->cpus++;
}

static void see_interrupt(const uint8_t *e, struct seen *seen)
{
	assert_int_equal(e[1], 0);         /* INT */
	assert_int_equal(le(e + 2, 2), 0); /* conforms to its bus */
	assert_int_equal(e[4], 0);         /* ISA */
	assert_int_equal(e[5], seen->ints);
	assert_int_equal(e[6], 0); /* the I/O APIC's ID */
	assert_int_equal(e[7], seen->ints);
	seen->ints++;
}

static void see_local(const uint8_t *e, struct seen *seen)
{
	static const uint8_t type[2] = {3, 1}; /* ExtINT at LINTIN0, NMI at LINTIN1 */

	assert_true(seen->locals < 2);
	assert_int_equal(e[1], type[seen->locals]);
	assert_int_equal(e[6], 0xff);
	assert_int_equal(e[7], seen->locals);
	seen->locals++;
}

static struct seen walk(const uint8_t *table, size_t len)
{
	const uint8_t *e = table + 44, *end = table + len;
	struct seen seen = {0};
	uint8_t last = 0;

	while (e < end) {
		assert_true(e[0] >= last); /* 4.3: sorted by type */
		last = e[0];
		assert_true((size_t)(end - e) >= (e[0] == 0 ? 20 : 8));
		switch (e[0]) {
		case 0: see_cpu(e, &seen); break;
		case 1:
			assert_int_equal(e[1], 0);
			assert_memory_equal(e + 2, "ISA   ", 6);
			seen.buses++;
			break;
		case 2:
			assert_int_equal(e[1], 0);
			assert_int_equal(e[3], 1);
			assert_int_equal(le(e + 4, 4), 0xfec00000);
			seen.ioapics++;
			break;
		case 3: see_interrupt(e, &seen); break;
		case 4: see_local(e, &seen); break;
		default: fail_msg("entry of type %u", e[0]);
		}
		e += e[0] == 0 ? 20 : 8;
		seen.entries++;
	}
	assert_ptr_equal(e, end);
	return seen;
}

static void every_cpu_and_every_input_is_told_once(void **state)
{
	static const unsigned cpus[] = {1, 2, 4, 64, 255};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
		const uint8_t *table;
		struct seen seen;
		size_t len;

		render(cpus[i]);
		table = config_table(&len);
		assert_int_equal(le(table + 36, 4), 0xfee00000);
		seen = walk(table, len);
		assert_int_equal(seen.cpus, cpus[i]);
		assert_int_equal(seen.buses, 1);
		assert_int_equal(seen.ioapics, 1);
		assert_int_equal(seen.ints, arch_platform.nr_gsis);
		assert_int_equal(seen.locals, 2);
		assert_int_equal(seen.entries, le(table + 34, 2));
	}
}

static void the_floating_pointer_is_where_kernels_look(void **state)
{
	(void)state;
	/* 4: the BIOS area, in steps of 16 bytes; no other table of ours reaches into it. */
	assert_true(LAYOUT_MPTABLE_GPA >= 0xf0000 && LAYOUT_MPTABLE_END <= 0x100000);
	assert_int_equal(LAYOUT_MPTABLE_GPA % 16, 0);
	assert_true(LAYOUT_ACPI_END <= LAYOUT_MPTABLE_GPA);
	render(arch_platform.cpus_max);
	assert_true(bytes_len <= LAYOUT_MPTABLE_END - LAYOUT_MPTABLE_GPA);
}

static void the_last_place_that_fits_is_taken_and_the_next_refused(void **state)
{
	struct diag diag = {0};
	void *ret = &diag;
	size_t len = 1;
	uint64_t last;

	(void)state;
	render(arch_platform.cpus_max);
	last = (LAYOUT_MPTABLE_END - bytes_len) & ~UINT64_C(15);
	assert_int_equal(machine_mptable_render(&machine, last + 16, &ret, &len, &diag), -ENOSPC);
	assert_int_equal(diag.err, -ENOSPC);
	assert_ptr_equal(ret, &diag);
	assert_int_equal(len, 1);
	assert_int_equal(machine_mptable_render(&machine, last, &ret, &len, &diag), 0);
	assert_int_equal(len, bytes_len);
	assert_int_equal(le((const uint8_t *)ret + 4, 4), last + 16);
	free(ret);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_cpu_and_every_input_is_told_once),
		TEST(the_floating_pointer_is_where_kernels_look),
		TEST(the_last_place_that_fits_is_taken_and_the_next_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
