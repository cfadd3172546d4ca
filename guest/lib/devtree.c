#include "devtree.h"

#include <libfdt.h>
#include <string.h>

#include "boot.h"
#include "cpu.h"
#include "entry.h"
#include "power.h"

enum { LEVELS_MAX = 8 };

/* How a node's children write their reg. */
struct level {
	int address_cells, size_cells;
	bool is_isa, is_cpus;
};

static struct {
	struct devtree_device device[DEVTREE_DEVICES_MAX];
	size_t nr_devices;
	uint32_t apic_id[CPUS_MAX];
	size_t nr_cpus;
} tree;

/* What FS:0 points to; the canary libfdt's objects compare is at offset 0x28. */
static const struct {
	uint64_t unused[5], canary;
} fs_area;

_Noreturn void __stack_chk_fail(void);

void __stack_chk_fail(void)
{
	guest_panic("stack overrun in libfdt");
}

static uint64_t read_cells(const fdt32_t *cells, int n)
{
	uint64_t val = 0;

	for (int i = 0; i < n; i++)
		val = val << 32 | fdt32_to_cpu(cells[i]);
	return val;
}

static struct level read_level(const void *fdt, int node, const char *name)
{
	const char *compatible;
	int len;
	struct level level = {
		.address_cells = fdt_address_cells(fdt, node),
		.size_cells = fdt_size_cells(fdt, node),
		.is_cpus = strcmp(name, "cpus") == 0,
	};

	if (level.address_cells < 0 || level.size_cells < 0) /* libfdt takes no 0 for the former */
		level.address_cells = level.size_cells = 0;
	compatible = fdt_getprop(fdt, node, "compatible", &len);
	level.is_isa = compatible && fdt_stringlist_contains(compatible, len, "isa");
	return level;
}

static void read_regs(const void *fdt, int node, const struct level *bus,
		      struct devtree_device *dev)
{
	const int cells = bus->address_cells + bus->size_cells;
	const fdt32_t *reg;
	int len;

	reg = fdt_getprop(fdt, node, "reg", &len);
	if (!reg || cells == 0)
		return;
	for (len /= (int)sizeof(*reg); len >= cells && dev->nr_regs < DEVTREE_REGS_MAX;
	     len -= cells, reg += cells) {
		const int space_cells = bus->is_isa ? 1 : 0;

		dev->reg[dev->nr_regs++] = (struct devtree_reg){
			.is_port = bus->is_isa && fdt32_to_cpu(reg[0]) == 1,
			.first = read_cells(reg + space_cells, bus->address_cells - space_cells),
			.len = read_cells(reg + bus->address_cells, bus->size_cells),
		};
	}
}

static void read_device(const void *fdt, int node, const char *name, const struct level *bus)
{
	struct devtree_device dev = {.name = name, .gsi = -1};
	const fdt32_t *interrupts;
	int len;

	dev.compatible = fdt_getprop(fdt, node, "compatible", &dev.compatible_len);
	if (!dev.compatible)
		return;
	read_regs(fdt, node, bus, &dev);
	interrupts = fdt_getprop(fdt, node, "interrupts", &len);
	if (interrupts && len >= (int)sizeof(*interrupts))
		dev.gsi = (int)fdt32_to_cpu(interrupts[0]);
	if (tree.nr_devices == DEVTREE_DEVICES_MAX)
		guest_panic("device tree: more than %d devices", DEVTREE_DEVICES_MAX);
	tree.device[tree.nr_devices++] = dev;
}

static void read_cpu(const void *fdt, int node)
{
	const fdt32_t *reg;
	int len;

	reg = fdt_getprop(fdt, node, "reg", &len);
	if (!reg || len < (int)sizeof(*reg))
		return;
	if (tree.nr_cpus == CPUS_MAX)
		guest_panic("device tree: more than %d CPUs", CPUS_MAX);
	tree.apic_id[tree.nr_cpus++] = fdt32_to_cpu(*reg);
}

static void read_tree(const void *fdt)
{
	struct level levels[LEVELS_MAX];
	int depth = 0;

	for (int node = 0; node >= 0 && depth >= 0; node = fdt_next_node(fdt, node, &depth)) {
		const char *name = fdt_get_name(fdt, node, NULL);

		if (depth >= LEVELS_MAX || !name)
			guest_panic("device tree: more than %d levels, or damaged", LEVELS_MAX);
		levels[depth] = read_level(fdt, node, name);
		if (depth == 0)
			continue;
		if (levels[depth - 1].is_cpus)
			read_cpu(fdt, node);
		else
			read_device(fdt, node, name, &levels[depth - 1]);
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
