#include "devtree.h"

#include <libfdt.h>
#include <string.h>

#include "boot.h"
#include "cpu.h"
#include "entry.h"
#include "power.h"

enum { LEVELS_MAX = 8 };

struct prop {
	const void *val; /* NULL when the node has no such property */
	int len;         /* bytes */
};

/* A node on the way from the root to where the walk is, with the properties that matter here. */
struct level {
	const char *name;
	struct prop compatible, reg, interrupts, address_cells, size_cells;
	bool is_read; /* all its properties are known, and it was taken into the table */
};

/* How a bus's children write their reg. */
struct bus {
	unsigned address_cells, size_cells;
	bool is_isa;
};

static struct {
	struct devtree_device device[DEVTREE_DEVICES_MAX];
	size_t nr_devices;
	uint32_t apic_id[CPUS_MAX];
	size_t nr_cpus;
} tree;

/* FS:0 points to this; the canary that libfdt's objects compare is at offset 0x28. */
static const struct {
	uint64_t unused[5], canary;
} fs_area;

_Noreturn void __stack_chk_fail(void);

void __stack_chk_fail(void)
{
	guest_panic("stack overrun in libfdt");
}

static void read_prop(const void *fdt, int offset, struct level *node)
{
	const struct fdt_property *raw = fdt_offset_ptr(fdt, offset, sizeof(*raw));
	const char *name = raw ? fdt_string(fdt, (int)fdt32_to_cpu(raw->nameoff)) : NULL;
	struct prop prop;

	if (!name)
		guest_panic("device tree: bad property at %d", offset);
	prop = (struct prop){.val = raw->data, .len = (int)fdt32_to_cpu(raw->len)};
	if (strcmp(name, "compatible") == 0)
		node->compatible = prop;
	else if (strcmp(name, "reg") == 0)
		node->reg = prop;
	else if (strcmp(name, "interrupts") == 0)
		node->interrupts = prop;
	else if (strcmp(name, "#address-cells") == 0)
		node->address_cells = prop;
	else if (strcmp(name, "#size-cells") == 0)
		node->size_cells = prop;
}

/* n cells, which the caller has counted, as one number. */
static uint64_t read_cells(const void *val, unsigned n)
{
	const fdt32_t *cells = val;
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum = sum << 32 | fdt32_to_cpu(cells[i]);
	return sum;
}

/* The first cell; fallback when there is none. */
static uint32_t first_cell(const struct prop *prop, uint32_t fallback)
{
	if (!prop->val || prop->len < (int)sizeof(fdt32_t))
		return fallback;
	return (uint32_t)read_cells(prop->val, 1);
}

/* The defaults are the specification's (Devicetree Specification v0.4, 2.3.5). */
static struct bus read_bus(const struct level *node)
{
	return (struct bus){
		.address_cells = first_cell(&node->address_cells, 2),
		.size_cells = first_cell(&node->size_cells, 1),
		.is_isa =
			node->compatible.val &&
			fdt_stringlist_contains(node->compatible.val, node->compatible.len, "isa"),
	};
}

static void read_regs(const struct prop *reg, const struct bus *bus, struct devtree_device *dev)
{
	const unsigned space_cells = bus->is_isa ? 1 : 0;
	const size_t cells = (size_t)bus->address_cells + bus->size_cells;
	const fdt32_t *at = reg->val;

	if (!at || bus->address_cells <= space_cells || cells > 4 + space_cells)
		return;
	for (size_t left = (size_t)reg->len / sizeof(*at);
	     left >= cells && dev->nr_regs < DEVTREE_REGS_MAX; left -= cells, at += cells) {
		dev->reg[dev->nr_regs++] = (struct devtree_reg){
			.is_port = bus->is_isa && read_cells(at, 1) == 1,
			.first = read_cells(at + space_cells, bus->address_cells - space_cells),
			.len = read_cells(at + bus->address_cells, bus->size_cells),
		};
	}
}

static void read_device(const struct level *node, const struct level *parent)
{
	const struct bus bus = read_bus(parent);
	struct devtree_device dev = {
		.name = node->name,
		.compatible = node->compatible.val,
		.compatible_len = node->compatible.len,
		.gsi = (int)first_cell(&node->interrupts, UINT32_MAX),
	};

	if (!dev.compatible)
		return;
	read_regs(&node->reg, &bus, &dev);
	if (tree.nr_devices == DEVTREE_DEVICES_MAX)
		guest_panic("device tree: more than %d devices", DEVTREE_DEVICES_MAX);
	tree.device[tree.nr_devices++] = dev;
}

static void read_cpu(const struct level *node)
{
	const uint32_t apic_id = first_cell(&node->reg, UINT32_MAX);

	if (apic_id == UINT32_MAX)
		return;
	if (tree.nr_cpus == CPUS_MAX)
		guest_panic("device tree: more than %d CPUs", CPUS_MAX);
	tree.apic_id[tree.nr_cpus++] = apic_id;
}

/* Once a node's properties are over: at its first child, or at its end. */
static void read_node(struct level *levels, int depth)
{
	struct level *node = &levels[depth];

	if (node->is_read)
		return;
	node->is_read = true;
	if (depth > 0 && strcmp(levels[depth - 1].name, "cpus") == 0)
		read_cpu(node);
	else if (depth > 0)
		read_device(node, &levels[depth - 1]);
}

/*
 * Walks over the tags once, in order. Asking libfdt for one property after the other would read
 * each node's again for every question, which costs an emulated guest a tenth of a second.
 */
static void read_tree(const void *fdt)
{
	struct level levels[LEVELS_MAX];
	int depth = -1, at = 0, next;

	for (;; at = next) {
		switch (fdt_next_tag(fdt, at, &next)) {
		case FDT_BEGIN_NODE:
			if (depth >= 0)
				read_node(levels, depth);
			if (++depth == LEVELS_MAX)
				guest_panic("device tree: more than %d levels", LEVELS_MAX);
			levels[depth] = (struct level){.name = fdt_get_name(fdt, at, NULL)};
			if (!levels[depth].name)
				guest_panic("device tree: bad node at %d", at);
			break;
		case FDT_PROP:
			if (depth >= 0)
				read_prop(fdt, at, &levels[depth]);
			break;
		case FDT_END_NODE:
			if (depth < 0)
				guest_panic("device tree: a node ends that did not begin");
			read_node(levels, depth--);
			break;
		case FDT_END:
			if (next < 0)
				guest_panic("device tree: libfdt error %d", -next);
			return;
		default: break; /* FDT_NOP */
		}
	}
}

bool devtree_init(void)
{
	const struct boot_info *boot = boot_info();
	int r;

	if (!boot->fdt)
		return false;
	wrmsr(MSR_FS_BASE, (uintptr_t)&fs_area);
	r = fdt_check_header(boot->fdt);
	if (r < 0)
		guest_panic("device tree: libfdt error %d", -r);
	if (fdt_totalsize(boot->fdt) > boot->fdt_bytes)
		guest_panic("device tree: %u bytes in a module of %lu", fdt_totalsize(boot->fdt),
			    boot->fdt_bytes);
	read_tree(boot->fdt);
	return true;
}

bool devtree_is(const struct devtree_device *dev, const char *compatible)
{
	return fdt_stringlist_contains(dev->compatible, dev->compatible_len, compatible);
}

const struct devtree_device *devtree_find(const char *compatible)
{
	for (size_t i = 0; i < tree.nr_devices; i++) {
		if (devtree_is(&tree.device[i], compatible))
			return &tree.device[i];
	}
	return NULL;
}

size_t devtree_nr_devices(void)
{
	return tree.nr_devices;
}

const struct devtree_device *devtree_device(size_t i)
{
	return &tree.device[i];
}

size_t devtree_cpus(const uint32_t **ret_apic_ids)
{
	*ret_apic_ids = tree.apic_id;
	return tree.nr_cpus;
}
