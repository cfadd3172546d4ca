/*
 * Unit tests of a machine's register pages: which device gets one, when the ports are advertised instead, and that
 * all renderers advertise the same one of the two.
 */
#include <errno.h>
#include <libfdt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/layout.h"
#include "base/macros.h"
#include "diag_rig.h"
#include "machine.h"
#include "machine/cmdline.h"
#include "machine/fdt.h"

enum { COM1 = 0x3f8, REGISTERS = 8 };

static void resolve(bool register_pages, const char *cmdline, struct machine *ret)
{
	const struct machine_spec spec = {
		.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
		.cpus = 1,
		.cmdline = cmdline,
		.register_pages = register_pages,
	};
	struct diag diag = {0};

	if (machine_resolve(&arch_platform, &spec, ret, &diag) < 0)
		fail_msg("%s", diag.what);
}

static void assert_range(const struct machine_range *range, enum iobus_space space, uint64_t first)
{
	assert_int_equal(range->space, space);
	assert_int_equal(range->first, first);
	assert_int_equal(range->len, REGISTERS);
}

static bool page_is_advertised(bool register_pages, const char *cmdline)
{
	struct machine m;
	const struct machine_device *serial;

	resolve(register_pages, cmdline, &m);
	serial = machine_find(&m, "serial0");
	assert_int_equal(serial->nr_ranges, 1);
	if (serial->nr_unadvertised == 0) {
		assert_range(&serial->range[0], IOBUS_PIO, COM1);
		return false;
	}
	assert_int_equal(serial->nr_unadvertised, 1);
	assert_range(&serial->range[0], IOBUS_MMIO, LAYOUT_MMIO_GPA);
	assert_range(&serial->range[1], IOBUS_PIO, COM1);
	return true;
}

static void a_register_page_is_there_when_asked_for(void **state)
{
	(void)state;
	assert_false(page_is_advertised(false, NULL));
	assert_true(page_is_advertised(true, NULL));
	assert_true(page_is_advertised(true, ""));
	assert_true(page_is_advertised(true, "quiet panic=1"));
}

static void only_the_serial_port_has_one(void **state)
{
	struct machine with, without;

	(void)state;
	resolve(true, NULL, &with);
	resolve(false, NULL, &without);
	assert_int_equal(with.nr_devices, without.nr_devices);
	for (unsigned i = 0; i < with.nr_devices; i++) {
		const struct machine_device *dev = &with.device[i];

		if (strcmp(dev->name, "serial0") == 0)
			continue;
		assert_int_equal(dev->nr_unadvertised, 0);
		assert_int_equal(dev->nr_ranges, without.device[i].nr_ranges);
		assert_int_equal(dev->range[0].space, without.device[i].range[0].space);
		assert_int_equal(dev->range[0].first, without.device[i].range[0].first);
	}
}

static void words_that_need_the_ports_get_them(void **state)
{
	static const char *const needing[] = {
		"console=ttyS0", "console=hvc0 quiet",
		"earlyprintk",   "earlyprintk=serial,ttyS0",
		"earlycon",      "earlycon=uart8250,io,0x3f8",
		"acpi=off",      "pnpacpi=off",
	};
	static const char *const alike[] = {
		"earlyconsole=x",   "myconsole=x",     "acpi=noirq",
		"-- console=ttyS0", "x=\"console=a\"",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(needing); i++)
		if (page_is_advertised(true, needing[i]))
			fail_msg("%s: the register page is advertised", needing[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(alike); i++)
		if (!page_is_advertised(true, alike[i]))
			fail_msg("%s: the ports are advertised", alike[i]);
}

static void the_ports_stay_claimed(void **state)
{
	static const struct device_class widget_class = {.name = "widget"};
	const struct machine_row extra = {
		.name = "w", .cls = &widget_class, .range = {{IOBUS_PIO, COM1 + 7, 1}}, .gsi = 5};
	const struct machine_spec spec = {.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
					  .cpus = 1,
					  .extra = &extra,
					  .nr_extra = 1,
					  .register_pages = true};
	struct diag diag = {0};
	struct machine m;

	(void)state;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &m, &diag), -EINVAL);
	assert_diag(&diag, -EINVAL,
		    "device-range-overlap 0x3ff-0x3ff of w ~ 0x3f8-0x3ff of serial0");
}

/* All that is advertised to a guest. */
struct tables {
	char *cmdline;
	void *acpi, *fdt;
	size_t acpi_len, fdt_len;
};

static void tables_render(const struct machine *m, struct tables *ret)
{
	struct diag diag = {0};
	uint64_t rsdp_gpa;

	if (machine_cmdline_render(m, &ret->cmdline, &diag) < 0 ||
	    machine_acpi_render(m, LAYOUT_ACPI_GPA, &ret->acpi, &ret->acpi_len, &rsdp_gpa, &diag) <
		    0 ||
	    machine_fdt_render(m, &(struct machine_fdt_opts){0}, &ret->fdt, &ret->fdt_len, &diag) <
		    0)
		fail_msg("%s", diag.what);
}

static void tables_free(struct tables *tables)
{
	free(tables->cmdline);
	free(tables->acpi);
	free(tables->fdt);
}

static bool acpi_has(const struct tables *tables, const uint8_t *descriptor, size_t len)
{
	return memmem(tables->acpi, tables->acpi_len, descriptor, len);
}

static void all_tables_advertise_the_register_page(void **state)
{
	/* ACPI 6.4.3.4 and 6.4.2.5 */
	static const uint8_t memory32_fixed[] = {0x86, 9, 0, 1, 0, 0, 0, 0xd0, REGISTERS, 0, 0, 0};
	static const uint8_t io_com1[] = {0x47, 1, 0xf8, 0x03};
	struct machine m;
	struct tables tables;
	int node;

	(void)state;
	resolve(true, "quiet -- x", &m);
	tables_render(&m, &tables);
	assert_string_equal(tables.cmdline, "8250.nr_uarts=1 pci=conf1,noearly panic=-1 quiet "
					    "console=uart8250,mmio,0xd0000000 -- x");
	assert_true(acpi_has(&tables, memory32_fixed, sizeof(memory32_fixed)));
	assert_false(acpi_has(&tables, io_com1, sizeof(io_com1)));
	assert_string_equal(fdt_get_alias(tables.fdt, "serial0"), "/soc/serial@d0000000");
	node = fdt_path_offset(tables.fdt, "serial0");
	assert_true(node > 0);
	assert_int_equal(fdt_node_check_compatible(tables.fdt, node, "ns16550a"), 0);
	assert_true(fdt_path_offset(tables.fdt, "/soc/isa@0/serial@i3f8") < 0);
	tables_free(&tables);
}

static void a_machine_that_advertises_its_ports_is_as_one_without_register_pages(void **state)
{
	struct machine_spec spec = {
		.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
		.cpus = 1,
		.cmdline = "quiet",
		.register_pages = true,
		.advertise_ports = true,
	};
	struct machine with, without;
	const struct machine_device *serial;
	struct tables a, b;

	(void)state;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &with, NULL), 0);
	serial = machine_find(&with, "serial0");
	assert_range(&serial->range[0], IOBUS_PIO, COM1);
	assert_int_equal(serial->nr_unadvertised, 1);
	assert_range(&serial->range[1], IOBUS_MMIO, LAYOUT_MMIO_GPA);
	spec.register_pages = false;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &without, NULL), 0);
	assert_int_equal(machine_find(&without, "serial0")->nr_unadvertised, 0);
	tables_render(&with, &a);
	tables_render(&without, &b);
	assert_string_equal(a.cmdline, b.cmdline);
	assert_int_equal(a.acpi_len, b.acpi_len);
	assert_memory_equal(a.acpi, b.acpi, a.acpi_len);
	assert_int_equal(a.fdt_len, b.fdt_len);
	assert_memory_equal(a.fdt, b.fdt, a.fdt_len);
	tables_free(&a);
	tables_free(&b);
}

/* The early console starts at its word, and must find "quiet" read; init's words are not the kernel's. */
static void the_console_is_the_kernels_last_word(void **state)
{
	static const struct {
		const char *words, *want;
	} cases[] = {
		{NULL, "panic=-1 console=uart8250,mmio,0xd0000000"},
		{"", "panic=-1 console=uart8250,mmio,0xd0000000"},
		{"quiet", "panic=-1 quiet console=uart8250,mmio,0xd0000000"},
		{"quiet ", "panic=-1 quiet console=uart8250,mmio,0xd0000000"},
		{"a\tb\t", "panic=-1 a\tb\t console=uart8250,mmio,0xd0000000"},
		{"--", "panic=-1 console=uart8250,mmio,0xd0000000 --"},
		{"a -- b", "panic=-1 a console=uart8250,mmio,0xd0000000 -- b"},
		{"a=\"b c\"", "panic=-1 a=\"b c\" console=uart8250,mmio,0xd0000000"},
		{"a=\"b c", "panic=-1 console=uart8250,mmio,0xd0000000 a=\"b c"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine m;
		struct diag diag = {0};
		char *line;

		resolve(true, cases[i].words, &m);
		assert_int_equal(machine_cmdline_render(&m, &line, &diag), 0);
		assert_string_equal(strstr(line, "panic=-1"), cases[i].want);
		free(line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_register_page_is_there_when_asked_for),
		cmocka_unit_test(only_the_serial_port_has_one),
		cmocka_unit_test(words_that_need_the_ports_get_them),
		cmocka_unit_test(the_ports_stay_claimed),
		cmocka_unit_test(all_tables_advertise_the_register_page),
		cmocka_unit_test(
			a_machine_that_advertises_its_ports_is_as_one_without_register_pages),
		cmocka_unit_test(the_console_is_the_kernels_last_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
