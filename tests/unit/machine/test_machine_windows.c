/*
 * Unit tests of a machine's windows: who gets one, what makes the ports be told instead, and that all
 * renderers tell of the same one of the two.
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
#include "base/checked.h"
#include "machine.h"
#include "machine/cmdline.h"
#include "machine/fdt.h"

enum { COM1 = 0x3f8, REGISTERS = 8 };

static void resolve(bool windows, const char *cmdline, struct machine *ret)
{
	const struct machine_spec spec = {
		.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
		.cpus = 1,
		.cmdline = cmdline,
		.windows = windows,
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

static bool window_is_told(bool windows, const char *cmdline)
{
	struct machine m;
	const struct machine_device *serial;

	resolve(windows, cmdline, &m);
	serial = machine_find(&m, "serial0");
	assert_int_equal(serial->nr_ranges, 1);
	if (serial->nr_untold == 0) {
		assert_range(&serial->range[0], IOBUS_PIO, COM1);
		return false;
	}
	assert_int_equal(serial->nr_untold, 1);
	assert_range(&serial->range[0], IOBUS_MMIO, LAYOUT_MMIO_GPA);
	assert_range(&serial->range[1], IOBUS_PIO, COM1);
	return true;
}

static void a_window_is_there_when_asked_for(void **state)
{
	(void)state;
	assert_false(window_is_told(false, NULL));
	assert_true(window_is_told(true, NULL));
	assert_true(window_is_told(true, ""));
	assert_true(window_is_told(true, "quiet panic=1"));
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
		assert_int_equal(dev->nr_untold, 0);
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
		if (window_is_told(true, needing[i]))
			fail_msg("%s: told of the window", needing[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(alike); i++)
		if (!window_is_told(true, alike[i]))
			fail_msg("%s: told of the ports", alike[i]);
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
					  .windows = true};
	struct diag diag = {0};
	struct machine m;

	(void)state;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &m, &diag), -EINVAL);
	assert_string_equal(diag.what,
			    "port range 0x3ff-0x3ff of w overlaps 0x3f8-0x3ff of serial0");
}

/* All that a guest is told. */
struct told {
	char *cmdline;
	void *acpi, *fdt;
	size_t acpi_len, fdt_len;
};

static void told_render(const struct machine *m, struct told *ret)
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

static void told_free(struct told *told)
{
	free(told->cmdline);
	free(told->acpi);
	free(told->fdt);
}

static bool acpi_has(const struct told *told, const uint8_t *descriptor, size_t len)
{
	return memmem(told->acpi, told->acpi_len, descriptor, len);
}

static void all_tables_tell_of_the_window(void **state)
{
	/* ACPI 6.4.3.4 and 6.4.2.5 */
	static const uint8_t memory32_fixed[] = {0x86, 9, 0, 1, 0, 0, 0, 0xd0, REGISTERS, 0, 0, 0};
	static const uint8_t io_com1[] = {0x47, 1, 0xf8, 0x03};
	struct machine m;
	struct told told;
	int node;

	(void)state;
	resolve(true, "quiet -- x", &m);
	told_render(&m, &told);
	assert_string_equal(told.cmdline, "8250.nr_uarts=1 pci=conf1,noearly panic=-1 quiet "
					  "console=uart8250,mmio,0xd0000000 -- x");
	assert_true(acpi_has(&told, memory32_fixed, sizeof(memory32_fixed)));
	assert_false(acpi_has(&told, io_com1, sizeof(io_com1)));
	assert_string_equal(fdt_get_alias(told.fdt, "serial0"), "/soc/serial@d0000000");
	node = fdt_path_offset(told.fdt, "serial0");
	assert_true(node > 0);
	assert_int_equal(fdt_node_check_compatible(told.fdt, node, "ns16550a"), 0);
	assert_true(fdt_path_offset(told.fdt, "/soc/isa@0/serial@i3f8") < 0);
	told_free(&told);
}

static void a_machine_that_tells_of_its_ports_is_as_one_without_windows_to_a_kernel(void **state)
{
	struct machine_spec spec = {
		.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
		.cpus = 1,
		.cmdline = "quiet",
		.windows = true,
		.tell_ports = true,
	};
	struct machine with, without;
	const struct machine_device *serial;
	struct told a, b;

	(void)state;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &with, NULL), 0);
	serial = machine_find(&with, "serial0");
	assert_range(&serial->range[0], IOBUS_PIO, COM1);
	assert_int_equal(serial->nr_untold, 1);
	assert_range(&serial->range[1], IOBUS_MMIO, LAYOUT_MMIO_GPA);
	spec.windows = false;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &without, NULL), 0);
	assert_int_equal(machine_find(&without, "serial0")->nr_untold, 0);
	told_render(&with, &a);
	told_render(&without, &b);
	assert_string_equal(a.cmdline, b.cmdline);
	assert_int_equal(a.acpi_len, b.acpi_len);
	assert_memory_equal(a.acpi, b.acpi, a.acpi_len);
	assert_int_equal(a.fdt_len, b.fdt_len);
	assert_memory_equal(a.fdt, b.fdt, a.fdt_len);
	told_free(&a);
	told_free(&b);
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
		cmocka_unit_test(a_window_is_there_when_asked_for),
		cmocka_unit_test(only_the_serial_port_has_one),
		cmocka_unit_test(words_that_need_the_ports_get_them),
		cmocka_unit_test(the_ports_stay_claimed),
		cmocka_unit_test(all_tables_tell_of_the_window),
		cmocka_unit_test(
			a_machine_that_tells_of_its_ports_is_as_one_without_windows_to_a_kernel),
		cmocka_unit_test(the_console_is_the_kernels_last_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
