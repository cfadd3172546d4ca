/* Unit tests of machine.c: where things are, what is chosen, and each reason to refuse. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "base/macros.h"
#include "diag_rig.h"
#include "machine.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TOP                                                                                        \
	(LAYOUT_GPA_END - (LAYOUT_HOLE_END - LAYOUT_HOLE_FIRST)) /* the most memory there can be */

static const struct device_class widget_class = {.name = "widget"};

static struct machine_row port_row(const char *name, uint64_t port, uint64_t len)
{
	return (struct machine_row){
		.name = name,
		.cls = &widget_class,
		.range = {{IOBUS_PIO, port, len}},
		.gsi = MACHINE_GSI_NONE,
	};
}

static struct machine_row mmio_row(const char *name, uint64_t gpa, uint64_t len)
{
	return (struct machine_row){
		.name = name,
		.cls = &widget_class,
		.range = {{IOBUS_MMIO, gpa, len}},
		.gsi = MACHINE_GSI_NONE,
	};
}

static struct machine_row gsi_row(const char *name, int gsi)
{
	struct machine_row row = mmio_row(name, MACHINE_FIRST_AUTO, 4);

	row.gsi = gsi;
	return row;
}

static int resolve(uint64_t mem_bytes, const struct machine_row *extra, unsigned n,
		   struct machine *m, struct diag *diag)
{
	const struct machine_spec spec = {
		.mem_bytes = mem_bytes, .cpus = 1, .extra = extra, .nr_extra = n};

	*diag = (struct diag){0};
	return machine_resolve(&arch_platform, &spec, m, diag);
}

static void assert_takes(const struct machine_row *extra, unsigned n, struct machine *m)
{
	struct diag diag;

	if (resolve(GIB, extra, n, m, &diag) < 0)
		fail_msg("%s", diag.what);
}

/* Refused with that error, and the result untouched. */
static void assert_refuses(const struct machine_row *extra, unsigned n, const char *error)
{
	static const struct machine blank;
	struct machine m = {0};
	struct diag diag;

	assert_int_equal(resolve(GIB, extra, n, &m, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, error);
	assert_memory_equal(&m, &blank, sizeof(m));
}

static void assert_refuses_row(struct machine_row row, const char *error)
{
	assert_refuses(&row, 1, error);
}

static void assert_mem_refused(uint64_t bytes, const char *error)
{
	struct machine m;
	struct diag diag;

	assert_int_equal(resolve(bytes, NULL, 0, &m, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL, error);
}

static void memory_is_64_mib_to_52_bits_in_pages(void **state)
{
	struct machine m;
	struct diag diag;

	(void)state;
	assert_mem_refused(0, "mem-too-small 0 B");
	assert_mem_refused(64 * MIB - 4096, "mem-too-small 63.9 MiB");
	assert_int_equal(resolve(64 * MIB, NULL, 0, &m, &diag), 0);
	assert_mem_refused(64 * MIB + 1, "mem-not-pages 67108865");
	assert_mem_refused(64 * MIB + 4095, "mem-not-pages 67112959");
	assert_int_equal(resolve(64 * MIB + 4096, NULL, 0, &m, &diag), 0);
	assert_int_equal(resolve(TOP, NULL, 0, &m, &diag), 0);
	assert_true(m.ram[1].gpa + m.ram[1].len == LAYOUT_GPA_END);
	assert_mem_refused(TOP + 4096, "mem-too-large 4095.9 TiB ~ 4095.9 TiB");
	assert_mem_refused(UINT64_MAX, "mem-too-large 16777215.9 TiB ~ 4095.9 TiB");
}

static void cpus_are_1_to_255(void **state)
{
	static const struct {
		unsigned cpus;
		int r;
		const char *error;
	} cases[] = {
		{0, -EINVAL, "cpus-range 0 ~ 1 to 255"},
		{1, 0, ""},
		{255, 0, ""},
		{256, -EINVAL, "cpus-range 256 ~ 1 to 255"},
		{UINT32_MAX, -EINVAL, "cpus-range 4294967295 ~ 1 to 255"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct machine_spec spec = {.mem_bytes = GIB, .cpus = cases[i].cpus};
		struct machine m;
		struct diag diag = {0};

		assert_int_equal(machine_resolve(&arch_platform, &spec, &m, &diag), cases[i].r);
		assert_diag(&diag, cases[i].r, cases[i].error);
	}
}

static void ram_goes_on_behind_the_hole(void **state)
{
	struct machine m;
	struct diag diag;

	(void)state;
	assert_int_equal(resolve(3 * GIB, NULL, 0, &m, &diag), 0);
	assert_int_equal(m.nr_ram, 1);
	assert_true(m.ram[0].gpa == 0 && m.ram[0].len == 3 * GIB);
	assert_int_equal(resolve(3 * GIB + 4096, NULL, 0, &m, &diag), 0);
	assert_int_equal(m.nr_ram, 2);
	assert_true(m.ram[0].len == 3 * GIB);
	assert_true(m.ram[1].gpa == 4 * GIB && m.ram[1].len == 4096);
}

static uint64_t map_bytes(const struct machine *m, enum machine_map_type type)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->nr_map; i++)
		if (m->map[i].type == type)
			sum += m->map[i].len;
	return sum;
}

static void the_map_tells_all_ram_but_the_legacy_hole_in_order(void **state)
{
	static const uint64_t sizes[] = {64 * MIB, 3 * GIB, 3 * GIB + 4096, 64 * GIB, TOP};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct machine m;
		struct diag diag;
		uint64_t end = 0;

		assert_int_equal(resolve(sizes[i], NULL, 0, &m, &diag), 0);
		for (unsigned e = 0; e < m.nr_map; e++) {
			assert_true(m.map[e].gpa >= end && m.map[e].len > 0);
			end = m.map[e].gpa + m.map[e].len;
		}
		assert_true(map_bytes(&m, MACHINE_MAP_RAM) ==
			    sizes[i] - (LAYOUT_HIGH_RAM_GPA - LAYOUT_EBDA_GPA));
		assert_true(map_bytes(&m, MACHINE_MAP_RESERVED) ==
			    LAYOUT_HIGH_RAM_GPA - LAYOUT_EBDA_GPA + LAYOUT_HOLE_END -
				    LAYOUT_IOAPIC_GPA);
	}
}

static void devices_and_chips_are_found_by_name(void **state)
{
	struct machine m;
	const struct machine_device *dev;

	(void)state;
	assert_takes(NULL, 0, &m);
	dev = machine_find(&m, "serial0");
	assert_non_null(dev);
	assert_int_equal(dev->range[0].first, 0x3f8);
	assert_int_equal(dev->range[0].len, 8);
	assert_int_equal(dev->gsi, 4);
	dev = machine_find(&m, "exit0");
	assert_non_null(dev);
	assert_int_equal(dev->nr_ranges, 2);
	assert_int_equal(dev->range[1].first, 0x501);
	assert_int_equal(dev->gsi, MACHINE_GSI_NONE);
	dev = machine_find(&m, "ioapic");
	assert_non_null(dev);
	assert_null(dev->cls);
	assert_true(dev->range[0].first == LAYOUT_IOAPIC_GPA);
	assert_null(machine_find(&m, "serial"));
	assert_null(machine_find(&m, ""));
}

static void ranges_may_touch_and_not_overlap(void **state)
{
	const struct machine_row touching[] = {
		port_row("below", 0x3f7, 1),
		port_row("above", 0x400, 1),
		port_row("last", 0xffff, 1),
		mmio_row("past-ram", GIB, 4),
		mmio_row("same-number-as-a-port", 0xd00003f8, 8),
		mmio_row("top", LAYOUT_GPA_END - 1, 1),
	};
	struct machine m;

	(void)state;
	assert_takes(touching, ARRAY_SIZE(touching), &m);
	assert_true(machine_find(&m, "top")->range[0].first == LAYOUT_GPA_END - 1);
	assert_refuses_row(port_row("x", 0x3f7, 2),
			   "device-range-overlap 0x3f7-0x3f8 of x ~ 0x3f8-0x3ff of serial0");
	assert_refuses_row(port_row("x", 0x3ff, 1),
			   "device-range-overlap 0x3ff-0x3ff of x ~ 0x3f8-0x3ff of serial0");
	assert_refuses_row(port_row("x", 0x502, 4),
			   "device-range-overlap 0x502-0x505 of x ~ 0x501-0x502 of exit0");
	assert_refuses_row(port_row("x", 0x3fa, 1),
			   "device-range-overlap 0x3fa-0x3fa of x ~ 0x3f8-0x3ff of serial0");
}

static void ram_and_what_kvm_emulates_are_owners_too(void **state)
{
	(void)state;
	assert_refuses_row(
		mmio_row("x", GIB - 1, 4),
		"device-range-overlap 0x3fffffff-0x40000002 of x ~ 0x0-0x3fffffff of RAM");
	assert_refuses_row(mmio_row("x", LAYOUT_IOAPIC_GPA + 0xfff, 1),
			   "device-range-overlap 0xfec00fff-0xfec00fff of x ~ "
			   "0xfec00000-0xfec00fff of ioapic");
	assert_refuses_row(mmio_row("x", LAYOUT_TSS_GPA, 4),
			   "device-range-overlap 0xfffbd000-0xfffbd003 of x ~ "
			   "0xfffbc000-0xfffbffff of vmx-pages");
	assert_refuses_row(port_row("x", 0x43, 1),
			   "device-range-overlap 0x43-0x43 of x ~ 0x40-0x43 of pit");
}

static void ranges_of_one_device_must_not_overlap_either(void **state)
{
	struct machine_row row = port_row("x", 0x1000, 8);

	(void)state;
	row.range[1] = (struct machine_range){IOBUS_PIO, 0x1007, 1};
	assert_refuses(&row, 1, "device-range-overlap 0x1007-0x1007 of x ~ 0x1000-0x1007 of x");
}

static void ranges_stay_inside_their_space(void **state)
{
	(void)state;
	assert_refuses_row(port_row("x", 0xfffe, 3), "device-range-end x ~ 0x3 ~ 0xfffe ~ 0xffff");
	assert_refuses_row(port_row("x", 0x10000, 1),
			   "device-range-end x ~ 0x1 ~ 0x10000 ~ 0xffff");
	assert_refuses_row(mmio_row("x", LAYOUT_GPA_END - 1, 2),
			   "device-range-end x ~ 0x2 ~ 0xfffffffffffff ~ 0xfffffffffffff");
	assert_refuses_row(
		mmio_row("x", 0xd0000000, UINT64_MAX),
		"device-range-end x ~ 0xffffffffffffffff ~ 0xd0000000 ~ 0xfffffffffffff");
}

static void a_row_has_one_to_three_ranges_of_one_space(void **state)
{
	struct machine_row row = port_row("x", 0x1000, 1);
	struct machine m;

	(void)state;
	assert_refuses_row(port_row("x", 0x1000, 0), "device-range-none x");
	row.range[1] = (struct machine_range){IOBUS_PIO, 0x2000, 2};
	row.range[2] = (struct machine_range){IOBUS_PIO, 0x3000, 3};
	assert_takes(&row, 1, &m);
	assert_int_equal(machine_find(&m, "x")->nr_ranges, 3);
	assert_int_equal(machine_find(&m, "x")->range[2].first, 0x3000);
	row.range[2].space = IOBUS_MMIO;
	assert_refuses(&row, 1, "device-range-both x");
}

static void names_are_unique(void **state)
{
	(void)state;
	assert_refuses_row(port_row("serial0", 0x1000, 1), "device-name-twice serial0");
	assert_refuses_row(port_row("pit", 0x1000, 1), "device-name-twice pit");
}

static void a_machine_has_64_devices_at_most(void **state)
{
	static char name[MACHINE_DEVICES_MAX][8];
	struct machine_row rows[MACHINE_DEVICES_MAX];
	struct machine m;
	unsigned room;
	char what[64];

	(void)state;
	assert_takes(NULL, 0, &m);
	room = MACHINE_DEVICES_MAX - m.nr_devices;
	for (unsigned i = 0; i <= room; i++) {
		snprintf(name[i], sizeof(name[i]), "x%u", i);
		rows[i] = port_row(name[i], 0x1000 + i, 1);
		rows[i].range[1] = (struct machine_range){IOBUS_PIO, 0x2000 + i, 1};
		rows[i].range[2] = (struct machine_range){IOBUS_PIO, 0x3000 + i, 1};
	}
	assert_takes(rows, room, &m);
	assert_int_equal(m.nr_devices, MACHINE_DEVICES_MAX);
	snprintf(what, sizeof(what), "device-count x%u ~ 64", room);
	assert_refuses(rows, room + 1, what);
}

static void an_interrupt_has_one_owner(void **state)
{
	const struct machine_row twins[] = {gsi_row("a", 23), gsi_row("b", 23)};

	(void)state;
	assert_refuses(twins, 2, "device-gsi-taken 23 of b ~ by a");
	assert_refuses_row(gsi_row("x", 4), "device-gsi-taken 4 ~ x ~ serial0");
	assert_refuses_row(gsi_row("x", 0), "device-gsi-taken 0 ~ x ~ pit");
	assert_refuses_row(gsi_row("x", 2), "device-gsi-taken 2 ~ x ~ pic");
	assert_refuses_row(gsi_row("x", 24), "device-gsi-range 24 ~ x ~ 0 to 23");
	assert_refuses_row(gsi_row("x", -3), "device-gsi-range -3 ~ x ~ 0 to 23");
}

static void chosen_addresses_are_pages_apart(void **state)
{
	const struct machine_row rows[] = {
		mmio_row("a", MACHINE_FIRST_AUTO, 0x200),
		mmio_row("b", MACHINE_FIRST_AUTO, 0x1001),
		mmio_row("c", MACHINE_FIRST_AUTO, 0x1000),
		mmio_row("d", MACHINE_FIRST_AUTO, 1),
	};
	struct machine m;

	(void)state;
	assert_takes(rows, ARRAY_SIZE(rows), &m);
	assert_true(machine_find(&m, "a")->range[0].first == LAYOUT_MMIO_GPA);
	assert_true(machine_find(&m, "a")->range[0].len == 0x200);
	assert_true(machine_find(&m, "b")->range[0].first == LAYOUT_MMIO_GPA + 0x1000);
	assert_true(machine_find(&m, "c")->range[0].first == LAYOUT_MMIO_GPA + 0x3000);
	assert_true(machine_find(&m, "d")->range[0].first == LAYOUT_MMIO_GPA + 0x4000);
}

static void chosen_addresses_go_around_fixed_ones_of_any_row(void **state)
{
	const struct machine_row rows[] = {
		mmio_row("a", MACHINE_FIRST_AUTO, 0x2000),
		mmio_row("b", MACHINE_FIRST_AUTO, 0x1000),
		mmio_row("mid-page", LAYOUT_MMIO_GPA + 0x1800, 0x10),
		mmio_row("page-end", LAYOUT_MMIO_GPA + 0x4fff, 1),
	};
	struct machine m;

	(void)state;
	assert_takes(rows, ARRAY_SIZE(rows), &m);
	assert_true(machine_find(&m, "a")->range[0].first == LAYOUT_MMIO_GPA + 0x2000);
	assert_true(machine_find(&m, "b")->range[0].first == LAYOUT_MMIO_GPA);
}

static void chosen_addresses_end_with_the_window(void **state)
{
	const uint64_t window = LAYOUT_MMIO_END - LAYOUT_MMIO_GPA;
	const struct machine_row rows[] = {
		mmio_row("all", MACHINE_FIRST_AUTO, window),
		mmio_row("more", MACHINE_FIRST_AUTO, 1),
	};
	struct machine m;

	(void)state;
	assert_takes(rows, 1, &m);
	assert_refuses(rows, 2, "device-range-full 0x1 ~ more ~ 0xd0000000-0xdfffffff");
	assert_refuses_row(mmio_row("x", MACHINE_FIRST_AUTO, window + 1),
			   "device-range-full 0x10000001 ~ x ~ 0xd0000000-0xdfffffff");
	assert_refuses_row(mmio_row("x", MACHINE_FIRST_AUTO, UINT64_MAX),
			   "device-range-full 0xffffffffffffffff ~ x ~ 0xd0000000-0xdfffffff");
	assert_refuses_row(port_row("x", MACHINE_FIRST_AUTO, 1), "device-ports-unchosen x");
}

static void chosen_interrupts_skip_those_taken_by_any_row(void **state)
{
	/* 8 is the RTC's, 9 the SCI; 10 and 23 are taken by rows that come later. */
	static const int want[] = {5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22};
	static char name[ARRAY_SIZE(want) + 3][8];
	struct machine_row rows[ARRAY_SIZE(name)];
	struct machine m;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(name[i], sizeof(name[i]), "x%u", i);
		rows[i] = gsi_row(name[i], MACHINE_GSI_AUTO);
	}
	rows[ARRAY_SIZE(want)].gsi = 23;
	rows[ARRAY_SIZE(want) + 1].gsi = 10;
	assert_takes(rows, ARRAY_SIZE(want) + 2, &m);
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
		assert_int_equal(machine_find(&m, name[i])->gsi, want[i]);
	assert_refuses(rows, ARRAY_SIZE(rows), "device-gsi-full x17 ~ 5 to 23");
}

static void ports_for_a_command_are_there_when_asked_for(void **state)
{
	static const char *const name[] = {MACHINE_COMMAND_OUT, MACHINE_COMMAND_ERR,
					   MACHINE_INIT_LOG};
	struct machine_spec spec = {.mem_bytes = MACHINE_DEFAULT_MEM_BYTES, .cpus = 1};
	struct diag diag = {0};
	struct machine m;

	(void)state;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &m, &diag), 0);
	for (size_t i = 0; i < ARRAY_SIZE(name); i++)
		assert_null(machine_find(&m, name[i]));
	spec.command_ports = true;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &m, &diag), 0);
	for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
		const struct machine_device *dev = machine_find(&m, name[i]);

		assert_non_null(dev);
		assert_int_equal(dev->range[0].space, IOBUS_PIO);
		assert_int_equal(dev->range[0].len, 8);
		assert_int_equal(dev->gsi, MACHINE_GSI_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_for_a_command_are_there_when_asked_for),
		cmocka_unit_test(memory_is_64_mib_to_52_bits_in_pages),
		cmocka_unit_test(cpus_are_1_to_255),
		cmocka_unit_test(ram_goes_on_behind_the_hole),
		cmocka_unit_test(the_map_tells_all_ram_but_the_legacy_hole_in_order),
		cmocka_unit_test(devices_and_chips_are_found_by_name),
		cmocka_unit_test(ranges_may_touch_and_not_overlap),
		cmocka_unit_test(ram_and_what_kvm_emulates_are_owners_too),
		cmocka_unit_test(ranges_of_one_device_must_not_overlap_either),
		cmocka_unit_test(ranges_stay_inside_their_space),
		cmocka_unit_test(a_row_has_one_to_three_ranges_of_one_space),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(a_machine_has_64_devices_at_most),
		cmocka_unit_test(an_interrupt_has_one_owner),
		cmocka_unit_test(chosen_addresses_are_pages_apart),
		cmocka_unit_test(chosen_addresses_go_around_fixed_ones_of_any_row),
		cmocka_unit_test(chosen_addresses_end_with_the_window),
		cmocka_unit_test(chosen_interrupts_skip_those_taken_by_any_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
