#include "machine/fdt.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "devices/classes.h"
#include "machine/cmdline.h"

enum {
	BLOB_FIRST_BYTES = 16 << 10,
	BLOB_MAX_BYTES = 16 << 20,
	IOAPIC_PHANDLE = 1,
	IOAPIC_EDGE_RISING = 0,
	ISA_IO = 1, /* first cell of an ISA address: I/O space */
	UART_CLOCK_HZ = 1843200,
	UART_BAUD = 115200,
	PATH_BYTES = 96,
	COMPATIBLE_BYTES = 128,
};

/* Writes in order; once a step failed, the later ones do nothing. */
struct out {
	void *blob;
	int err; /* libfdt's, 0 at first */
};

static void node_begin(struct out *o, const char *name)
{
	if (o->err == 0)
		o->err = fdt_begin_node(o->blob, name);
}

static void node_end(struct out *o)
{
	if (o->err == 0)
		o->err = fdt_end_node(o->blob);
}

static void prop(struct out *o, const char *name, const void *val, size_t len)
{
	assert(len <= BLOB_MAX_BYTES);
	if (o->err == 0)
		o->err = fdt_property(o->blob, name, val, (int)len);
}

static void prop_flag(struct out *o, const char *name)
{
	prop(o, name, NULL, 0);
}

static void prop_string(struct out *o, const char *name, const char *val)
{
	prop(o, name, val, strlen(val) + 1);
}

static void prop_u32(struct out *o, const char *name, uint32_t val)
{
	const fdt32_t cell = cpu_to_fdt32(val);

	prop(o, name, &cell, sizeof(cell));
}

static void prop_u64(struct out *o, const char *name, uint64_t val)
{
	const fdt64_t cells = cpu_to_fdt64(val);

	prop(o, name, &cells, sizeof(cells));
}

static void prop_cells(struct out *o, const char *name, const uint32_t *val, size_t n)
{
	fdt32_t cells[MACHINE_RANGES_MAX * 4];

	assert(n <= ARRAY_SIZE(cells));
	for (size_t i = 0; i < n; i++)
		cells[i] = cpu_to_fdt32(val[i]);
	prop(o, name, cells, n * sizeof(cells[0]));
}

static void address_cells(struct out *o, uint32_t addr, uint32_t size)
{
	prop_u32(o, "#address-cells", addr);
	prop_u32(o, "#size-cells", size);
}

static void begin_at(struct out *o, const char *name, const char *space, uint64_t addr)
{
	char unit[PATH_BYTES];
	int n = snprintf(unit, sizeof(unit), "%s@%s%" PRIx64, name, space, addr);

	assert(n > 0 && (size_t)n < sizeof(unit));
	node_begin(o, unit);
}

/* reg of a child of the root or of /soc: two cells each. */
static void prop_reg(struct out *o, const struct machine_range *range, unsigned nr)
{
	uint32_t cells[MACHINE_RANGES_MAX * 4];
	size_t n = 0;

	for (unsigned i = 0; i < nr; i++) {
		cells[n++] = (uint32_t)(range[i].first >> 32);
		cells[n++] = (uint32_t)range[i].first;
		cells[n++] = (uint32_t)(range[i].len >> 32);
		cells[n++] = (uint32_t)range[i].len;
	}
	prop_cells(o, "reg", cells, n);
}

static void prop_reg_isa(struct out *o, const struct machine_range *range, unsigned nr)
{
	uint32_t cells[MACHINE_RANGES_MAX * 3];
	size_t n = 0;

	for (unsigned i = 0; i < nr; i++) {
		cells[n++] = ISA_IO;
		cells[n++] = (uint32_t)range[i].first;
		cells[n++] = (uint32_t)range[i].len;
	}
	prop_cells(o, "reg", cells, n);
}

/* The class separates its strings by blanks, the tree by NULs. */
static void prop_compatible(struct out *o, const char *blank_separated)
{
	char list[COMPATIBLE_BYTES];
	const size_t len = strlen(blank_separated) + 1;

	assert(len <= sizeof(list));
	for (size_t i = 0; i < len; i++)
		list[i] = blank_separated[i] == ' ' ? '\0' : blank_separated[i];
	prop(o, "compatible", list, len);
}

static bool is_in_tree(const struct machine_device *dev, enum iobus_space space)
{
	return dev->range[0].space == space && dev->cls->fdt_compatible;
}

static void put_device(struct out *o, const struct machine_device *dev)
{
	const bool isa = dev->range[0].space == IOBUS_PIO;

	begin_at(o, dev->fdt_name, isa ? "i" : "", dev->range[0].first);
	prop_compatible(o, dev->cls->fdt_compatible);
	if (isa)
		prop_reg_isa(o, dev->range, dev->nr_ranges);
	else
		prop_reg(o, dev->range, dev->nr_ranges);
	if (dev->gsi != MACHINE_GSI_NONE)
		prop_cells(o, "interrupts", (uint32_t[]){(uint32_t)dev->gsi, IOAPIC_EDGE_RISING},
			   2);
	if (dev->cls == &serial_16550_class) {
		prop_u32(o, "clock-frequency", UART_CLOCK_HZ);
		prop_u32(o, "current-speed", UART_BAUD);
	}
	node_end(o);
}

static void put_devices(struct out *o, const struct machine *m, enum iobus_space space)
{
	for (unsigned i = 0; i < m->nr_devices; i++)
		if (is_in_tree(&m->device[i], space))
			put_device(o, &m->device[i]);
}

/*
 * The interrupt controllers name a chip of 2010, because that is what Linux's x86 code looks for;
 * both are the ordinary PC parts. Virtual wire mode: the PICs' output goes to the local APIC's LINT0,
 * and there is no IMCR to switch.
 */
static void put_irq_chip(struct out *o, const struct machine_device *chip, const char *compatible)
{
	begin_at(o, chip->fdt_name, "", chip->range[0].first);
	prop_string(o, "compatible", compatible);
	prop_reg(o, chip->range, chip->nr_ranges);
	prop_flag(o, "interrupt-controller");
	prop_u32(o, "#interrupt-cells", 2);
	prop_u32(o, "#address-cells", 0);
}

static void put_irq_chips(struct out *o, const struct machine *m)
{
	const struct machine_device *ioapic = machine_find(m, "ioapic");
	const struct machine_device *lapic = machine_find(m, "lapic");

	assert(ioapic && lapic);
	put_irq_chip(o, ioapic, "intel,ce4100-ioapic");
	prop_u32(o, "phandle", IOAPIC_PHANDLE);
	node_end(o);
	put_irq_chip(o, lapic, "intel,ce4100-lapic");
	prop_flag(o, "intel,virtual-wire-mode");
	node_end(o);
}

/* Port 0 is mapped to address 0 of the bus above: on x86 a port is not a memory address, and Linux
 * takes the translated number as the port. */
static void put_isa(struct out *o, const struct machine *m)
{
	node_begin(o, "isa@0");
	prop_string(o, "compatible", "isa");
	address_cells(o, 2, 1);
	prop_cells(o, "ranges", (uint32_t[]){ISA_IO, 0, 0, 0, 0x10000}, 5);
	put_devices(o, m, IOBUS_PIO);
	node_end(o);
}

static void put_soc(struct out *o, const struct machine *m)
{
	node_begin(o, "soc");
	prop_compatible(o, "intel,ce4100-cp simple-bus");
	address_cells(o, 2, 2);
	prop_flag(o, "ranges");
	put_irq_chips(o, m);
	put_devices(o, m, IOBUS_MMIO);
	put_isa(o, m);
	node_end(o);
}

static void put_cpus(struct out *o, const struct machine *m)
{
	node_begin(o, "cpus");
	address_cells(o, 1, 0);
	for (unsigned i = 0; i < m->cpus; i++) {
		begin_at(o, "cpu", "", i);
		prop_string(o, "device_type", "cpu");
		prop_u32(o, "reg", i);
		node_end(o);
	}
	node_end(o);
}

static void put_memory(struct out *o, const struct machine *m)
{
	for (unsigned i = 0; i < m->nr_ram; i++) {
		const struct machine_range ram = {.first = m->ram[i].gpa, .len = m->ram[i].len};

		begin_at(o, "memory", "", ram.first);
		prop_string(o, "device_type", "memory");
		prop_reg(o, &ram, 1);
		node_end(o);
	}
}

static bool is_in_ram(const struct machine *m, const struct machine_map_entry *e)
{
	for (unsigned i = 0; i < m->nr_ram; i++)
		if (e->gpa >= m->ram[i].gpa &&
		    u64_range_within(e->gpa - m->ram[i].gpa, e->len, m->ram[i].len))
			return true;
	return false;
}

static void put_reserved(struct out *o, const struct machine *m)
{
	node_begin(o, "reserved-memory");
	address_cells(o, 2, 2);
	prop_flag(o, "ranges");
	for (unsigned i = 0; i < m->nr_map; i++) {
		const struct machine_map_entry *e = &m->map[i];
		const struct machine_range range = {.first = e->gpa, .len = e->len};

		if (e->type == MACHINE_MAP_RAM || !is_in_ram(m, e))
			continue;
		begin_at(o, "firmware", "", e->gpa);
		prop_reg(o, &range, 1);
		node_end(o);
	}
	node_end(o);
}

static void put_serial_alias(struct out *o, const struct machine_device *serial, const char *alias)
{
	const bool isa = serial->range[0].space == IOBUS_PIO;
	char path[PATH_BYTES];
	int n = snprintf(path, sizeof(path), "/soc/%s%s@%s%" PRIx64, isa ? "isa@0/" : "",
			 serial->fdt_name, isa ? "i" : "", serial->range[0].first);

	assert(n > 0 && (size_t)n < sizeof(path));
	node_begin(o, "aliases");
	prop_string(o, alias, path);
	node_end(o);
}

static void put_chosen(struct out *o, const struct machine_fdt_opts *opts, const char *cmdline,
		       bool serial)
{
	node_begin(o, "chosen");
	prop_string(o, "bootargs", cmdline);
	if (serial)
		prop_string(o, "stdout-path", "serial0:115200n8"); /* an alias and its options */
	if (opts->initrd_len) {
		assert(u64_range_within(opts->initrd_gpa, opts->initrd_len, UINT64_MAX));
		prop_u64(o, "linux,initrd-start", opts->initrd_gpa);
		prop_u64(o, "linux,initrd-end", opts->initrd_gpa + opts->initrd_len);
	}
	if (opts->rng_seed_len)
		prop(o, "rng-seed", opts->rng_seed, opts->rng_seed_len);
	node_end(o);
}

static void put_root(struct out *o, const struct machine *m, const struct machine_fdt_opts *opts,
		     const char *cmdline)
{
	const struct machine_device *serial = machine_find(m, "serial0");

	node_begin(o, "");
	prop_string(o, "model", "Tollgate x86-64");
	prop_string(o, "compatible", "tollgate,x86-64");
	address_cells(o, 2, 2);
	prop_u32(o, "interrupt-parent", IOAPIC_PHANDLE);
	if (serial)
		put_serial_alias(o, serial, "serial0");
	put_chosen(o, opts, cmdline, serial);
	put_cpus(o, m);
	put_memory(o, m);
	put_reserved(o, m);
	put_soc(o, m);
	node_end(o);
}

/* One try in size bytes; libfdt's -FDT_ERR_NOSPACE when they do not suffice. */
static int render_in(void *blob, int size, const struct machine *m,
		     const struct machine_fdt_opts *opts, const char *cmdline)
{
	struct out o = {.blob = blob};

	/* Looking for an equal name before each property would cost more than all the rest. */
	o.err = fdt_create_with_flags(blob, size, FDT_CREATE_FLAG_NO_NAME_DEDUP);
	if (o.err == 0)
		o.err = fdt_finish_reservemap(blob);
	put_root(&o, m, opts, cmdline);
	if (o.err == 0)
		o.err = fdt_finish(blob);
	return o.err;
}

int machine_fdt_render(const struct machine *m, const struct machine_fdt_opts *opts,
		       void **ret_blob, size_t *ret_len, struct diag *diag)
{
	AUTO_FREE char *cmdline = NULL;
	int r;

	r = machine_cmdline_render(m, &cmdline, diag);
	if (r < 0)
		return r;
	for (int size = BLOB_FIRST_BYTES; size <= BLOB_MAX_BYTES; size *= 2) {
		/* zeroed: libfdt skips over the padding behind a property */
		AUTO_FREE void *blob = calloc(1, (size_t)size);

		if (!blob)
			return diag_set(diag, -ENOMEM, "device tree");
		r = render_in(blob, size, m, opts, cmdline);
		if (r == 0) {
			*ret_len = fdt_totalsize(blob);
			*ret_blob = STEAL_PTR(blob);
			return 0;
		}
		/* Any other error is a wrong sequence of calls here. */
		assert(r == -FDT_ERR_NOSPACE);
	}
	return diag_set(diag, -EFBIG, "device tree of more than %d bytes", BLOB_MAX_BYTES);
}
