/* Unit tests of machine/fdt.c: the tree is read back by libfdt and compared with the machine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "base/macros.h"
#include "diag_rig.h"
#include "machine.h"
#include "machine/cmdline.h"
#include "machine/fdt.h"

#define GIB (UINT64_C(1) << 30)

static const struct device_class disk_class = {
	.name = "disk",
	.fdt_compatible = "test,disk-2 test,disk",
};
static const struct device_class hidden_class = {.name = "hidden"};

static const struct machine_row extra[] = {
	{"disk0",
	 "disk",
	 &disk_class,
	 {{IOBUS_MMIO, MACHINE_FIRST_AUTO, 0x200}},
	 .gsi = MACHINE_GSI_AUTO},
	{"disk1", "disk", &disk_class, {{IOBUS_MMIO, UINT64_C(1) << 40, 0x200}}, .gsi = 23},
	{"hidden0",
	 "hidden",
	 &hidden_class,
	 {{IOBUS_MMIO, MACHINE_FIRST_AUTO, 4}},
	 .gsi = MACHINE_GSI_NONE},
};

static struct machine machine;
static void *blob;
static size_t blob_len;

static void render(const struct machine_spec *spec, const struct machine_fdt_opts *opts)
{
	struct diag diag = {0};

	if (machine_resolve(&arch_platform, spec, &machine, &diag) < 0 ||
	    machine_fdt_render(&machine, opts, &blob, &blob_len, &diag) < 0)
		fail_msg("%s", diag.what);
	assert_int_equal(fdt_check_full(blob, blob_len), 0);
}

static int teardown(void **state)
{
	(void)state;
	free(blob);
	blob = NULL;
	return 0;
}

static void render_default(uint64_t mem_bytes, unsigned cpus)
{
	const struct machine_spec spec = {
		.mem_bytes = mem_bytes,
		.cpus = cpus,
		.extra = extra,
		.nr_extra = ARRAY_SIZE(extra),
	};

	render(&spec, &(struct machine_fdt_opts){0});
}

static int node_at(const char *path)
{
	int node = fdt_path_offset(blob, path);

	if (node < 0)
		fail_msg("no node %s", path);
	return node;
}

static void assert_cells(int node, const char *name, const uint32_t *want, int n)
{
	int len;
	const fdt32_t *cell = fdt_getprop(blob, node, name, &len);

	assert_non_null(cell);
	assert_int_equal(len, n * 4);
	for (int i = 0; i < n; i++)
		assert_int_equal(fdt32_to_cpu(cell[i]), want[i]);
}

#define ASSERT_CELLS(node, name, ...)                                                              \
	assert_cells(node, name, (const uint32_t[]){__VA_ARGS__},                                  \
		     (int)ARRAY_SIZE(((const uint32_t[]){__VA_ARGS__})))

static void assert_string(int node, const char *name, const char *want)
{
	int len;
	const char *val = fdt_getprop(blob, node, name, &len);

	assert_non_null(val);
	assert_int_equal(len, strlen(want) + 1);
	assert_string_equal(val, want);
}

/* The device's node, by the path that its bus, name and first address give. */
static int device_node(const struct machine_device *dev)
{
	const bool pio = dev->range[0].space == IOBUS_PIO;
	char path[96];

	snprintf(path, sizeof(path), "/soc/%s%s@%s%llx", pio ? "isa@0/" : "", dev->fdt_name,
		 pio ? "i" : "", (unsigned long long)dev->range[0].first);
	return node_at(path);
}

static void assert_reg(int node, const struct machine_device *dev)
{
	const bool pio = dev->range[0].space == IOBUS_PIO;
	uint32_t want[MACHINE_RANGES_MAX * 4];
	int n = 0;

	for (unsigned i = 0; i < dev->nr_ranges; i++) {
		want[n++] = pio ? 1 : (uint32_t)(dev->range[i].first >> 32);
		want[n++] = (uint32_t)dev->range[i].first;
		if (!pio)
			want[n++] = (uint32_t)(dev->range[i].len >> 32);
		want[n++] = (uint32_t)dev->range[i].len;
	}
	assert_cells(node, "reg", want, n);
}

static void every_device_that_has_a_compatible_string_is_there_with_its_resources(void **state)
{
	unsigned seen = 0;

	(void)state;
	render_default(GIB, 1);
	for (unsigned i = 0; i < machine.nr_devices; i++) {
		const struct machine_device *dev = &machine.device[i];
		int node;

		if (!dev->cls->fdt_compatible)
			continue;
		node = device_node(dev);
		assert_reg(node, dev);
		if (dev->gsi == MACHINE_GSI_NONE)
			assert_null(fdt_getprop(blob, node, "interrupts", NULL));
		else
			ASSERT_CELLS(node, "interrupts", (uint32_t)dev->gsi, 0);
		seen++;
	}
	assert_true(seen == machine.nr_devices - 1); /* all but hidden0 */
}

static void compatible_strings_become_a_list(void **state)
{
	int node;

	(void)state;
	render_default(GIB, 1);
	node = device_node(machine_find(&machine, "disk0"));
	assert_int_equal(fdt_stringlist_count(blob, node, "compatible"), 2);
	assert_string_equal(fdt_stringlist_get(blob, node, "compatible", 0, NULL), "test,disk-2");
	assert_string_equal(fdt_stringlist_get(blob, node, "compatible", 1, NULL), "test,disk");
}

static void the_serial_port_is_the_console(void **state)
{
	int node;

	(void)state;
	render_default(GIB, 1);
	assert_string(node_at("/chosen"), "stdout-path", "serial0:115200n8");
	node = node_at(fdt_get_alias(blob, "serial0"));
	assert_int_equal(node, device_node(machine_find(&machine, "serial0")));
	assert_int_equal(fdt_node_check_compatible(blob, node, "ns16550a"), 0);
	ASSERT_CELLS(node, "clock-frequency", 1843200);
	ASSERT_CELLS(node, "current-speed", 115200);
}

static void interrupts_lead_to_the_ioapic(void **state)
{
	int node;

	(void)state;
	render_default(GIB, 1);
	node = node_at("/soc/interrupt-controller@fec00000");
	assert_int_equal(fdt_node_check_compatible(blob, node, "intel,ce4100-ioapic"), 0);
	assert_non_null(fdt_getprop(blob, node, "interrupt-controller", NULL));
	ASSERT_CELLS(node, "#interrupt-cells", 2);
	ASSERT_CELLS(node, "reg", 0, 0xfec00000, 0, 0x1000);
	ASSERT_CELLS(0, "interrupt-parent", fdt_get_phandle(blob, node));
	node = node_at("/soc/interrupt-controller@fee00000");
	assert_int_equal(fdt_node_check_compatible(blob, node, "intel,ce4100-lapic"), 0);
	assert_non_null(fdt_getprop(blob, node, "intel,virtual-wire-mode", NULL));
	ASSERT_CELLS(node, "reg", 0, 0xfee00000, 0, 0x1000);
}

static void ram_below_and_above_the_hole_are_two_nodes(void **state)
{
	(void)state;
	render_default(3 * GIB, 1);
	ASSERT_CELLS(node_at("/memory@0"), "reg", 0, 0, 0, 0xc0000000);
	assert_true(fdt_path_offset(blob, "/memory@100000000") == -FDT_ERR_NOTFOUND);
	teardown(NULL);
	render_default(9 * GIB, 1);
	ASSERT_CELLS(node_at("/memory@0"), "reg", 0, 0, 0, 0xc0000000);
	ASSERT_CELLS(node_at("/memory@100000000"), "reg", 1, 0, 1, 0x80000000);
	assert_string(node_at("/memory@0"), "device_type", "memory");
}

static void what_the_map_takes_out_of_ram_is_reserved(void **state)
{
	int parent, node, n = 0;

	(void)state;
	render_default(9 * GIB, 1);
	parent = node_at("/reserved-memory");
	fdt_for_each_subnode(node, blob, parent) n++;
	assert_int_equal(n, 1); /* the other reserved entry is no RAM */
	ASSERT_CELLS(node_at("/reserved-memory/firmware@9fc00"), "reg", 0, 0x9fc00, 0, 0x60400);
}

static void each_cpu_has_a_node_with_its_apic_id(void **state)
{
	static const unsigned counts[] = {1, 2, 255};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		int parent, node;
		uint32_t id = 0;

		render_default(GIB, counts[c]);
		parent = node_at("/cpus");
		fdt_for_each_subnode(node, blob, parent)
		{
			assert_string(node, "device_type", "cpu");
			ASSERT_CELLS(node, "reg", id);
			id++;
		}
		assert_int_equal(id, counts[c]);
		teardown(NULL);
	}
}

static void chosen_has_what_the_caller_gives_and_nothing_else(void **state)
{
	static const uint8_t seed[] = {1, 0, 0xff, 4, 5};
	const struct machine_spec spec = {.mem_bytes = 9 * GIB, .cpus = 1, .cmdline = "quiet"};
	int node, len;
	const void *val;

	(void)state;
	render(&spec, &(struct machine_fdt_opts){
			      .initrd_gpa = 0x1fffff000,
			      .initrd_len = 0x1001,
			      .rng_seed = seed,
			      .rng_seed_len = sizeof(seed),
		      });
	node = node_at("/chosen");
	assert_string(node, "bootargs",
		      "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 quiet");
	ASSERT_CELLS(node, "linux,initrd-start", 1, 0xfffff000);
	ASSERT_CELLS(node, "linux,initrd-end", 2, 1);
	val = fdt_getprop(blob, node, "rng-seed", &len);
	assert_non_null(val);
	assert_int_equal(len, sizeof(seed));
	assert_memory_equal(val, seed, sizeof(seed));
	teardown(NULL);

	render_default(GIB, 1);
	node = node_at("/chosen");
	assert_null(fdt_getprop(blob, node, "linux,initrd-start", NULL));
	assert_null(fdt_getprop(blob, node, "linux,initrd-end", NULL));
	assert_null(fdt_getprop(blob, node, "rng-seed", NULL));
}

static void the_same_machine_gives_the_same_bytes(void **state)
{
	struct diag diag = {0};
	void *again;
	size_t again_len;

	(void)state;
	render_default(GIB, 7);
	assert_int_equal(blob_len, fdt_totalsize(blob));
	assert_int_equal(machine_fdt_render(&machine, &(struct machine_fdt_opts){0}, &again,
					    &again_len, &diag),
			 0);
	assert_int_equal(again_len, blob_len);
	assert_memory_equal(again, blob, blob_len);
	free(again);
}

static char words[LAYOUT_CMDLINE_MAX];

/* Larger than the first buffer that is tried, and the largest there is. */
static void the_tree_grows_with_the_command_line(void **state)
{
	const struct machine_spec spec = {.mem_bytes = GIB, .cpus = 255, .cmdline = words};
	char *line;

	(void)state;
	memset(words, 'x', LAYOUT_CMDLINE_MAX - 100);
	words[LAYOUT_CMDLINE_MAX - 100] = '\0';
	render(&spec, &(struct machine_fdt_opts){0});
	assert_int_equal(machine_cmdline_render(&machine, &line, NULL), 0);
	assert_string(node_at("/chosen"), "bootargs", line);
	free(line);
}

static void a_command_line_that_does_not_fit_is_refused(void **state)
{
	const struct machine_spec spec = {.mem_bytes = GIB, .cpus = 1, .cmdline = words};
	struct diag diag = {0};

	(void)state;
	memset(words, 'x', LAYOUT_CMDLINE_MAX - 1);
	words[LAYOUT_CMDLINE_MAX - 1] = '\0';
	assert_int_equal(machine_resolve(&arch_platform, &spec, &machine, &diag), 0);
	assert_int_equal(machine_fdt_render(&machine, &(struct machine_fdt_opts){0}, &blob,
					    &blob_len, &diag),
			 -EINVAL);
	assert_null(blob);
}

static uint8_t seed_16_mib[16 << 20];

static void a_tree_of_16_mib_is_too_large(void **state)
{
	const struct machine_spec spec = {.mem_bytes = GIB, .cpus = 1};
	const struct machine_fdt_opts opts = {.rng_seed = seed_16_mib,
					      .rng_seed_len = sizeof(seed_16_mib)};
	struct diag diag = {0};

	(void)state;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &machine, &diag), 0);
	assert_int_equal(machine_fdt_render(&machine, &opts, &blob, &blob_len, &diag), -EFBIG);
	assert_null(blob);
	assert_diag(&diag, -EFBIG, "device-tree-limit 16777216");
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_device_that_has_a_compatible_string_is_there_with_its_resources),
		TEST(compatible_strings_become_a_list),
		TEST(the_serial_port_is_the_console),
		TEST(interrupts_lead_to_the_ioapic),
		TEST(ram_below_and_above_the_hole_are_two_nodes),
		TEST(what_the_map_takes_out_of_ram_is_reserved),
		TEST(each_cpu_has_a_node_with_its_apic_id),
		TEST(chosen_has_what_the_caller_gives_and_nothing_else),
		TEST(the_same_machine_gives_the_same_bytes),
		TEST(the_tree_grows_with_the_command_line),
		TEST(a_command_line_that_does_not_fit_is_refused),
		TEST(a_tree_of_16_mib_is_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
