#include "machine.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "arch/x86_64/layout.h"
#include "base/checked.h"
#include "base/parse.h"
#include "base/words.h"
#include "devices/classes.h"

#define PORT(port, n)                                                                              \
	{                                                                                          \
		.space = IOBUS_PIO, .first = (port), .len = (n)                                    \
	}
#define MMIO(gpa, size)                                                                            \
	{                                                                                          \
		.space = IOBUS_MMIO, .first = (gpa), .len = (size)                                 \
	}

/* THE table. Ports are the PC's, or QEMU's where the device is QEMU's invention. */
static const struct machine_row x86_rows[] = {
	{"rtc0", "rtc", &rtc_mc146818_class, {PORT(0x70, 2)}, .gsi = 8},
	{"i8042", "8042", &i8042_class, {PORT(0x60, 1), PORT(0x64, 1)}, .gsi = MACHINE_GSI_NONE},
	{"serial0", "serial", &serial_16550_class, {PORT(0x3f8, 8)}, .gsi = 4},
	{"debugcon0", "debug-port", &debugcon_class, {PORT(0xe9, 1)}, .gsi = MACHINE_GSI_NONE},
	{"port80", "post-port", &port80_class, {PORT(0x80, 1)}, .gsi = MACHINE_GSI_NONE},
	{"exit0",
	 "exit-port",
	 &exit_port_class,
	 {PORT(0xf4, 4), PORT(0x501, 2)},
	 .gsi = MACHINE_GSI_NONE},
	{"pvpanic0", "pvpanic", &pvpanic_class, {PORT(0x505, 1)}, .gsi = MACHINE_GSI_NONE},
	{"reset0", "reset-port", &reset_cf9_class, {PORT(0xcf8, 8)}, .gsi = MACHINE_GSI_NONE},
	{"pm0", "power-management", &acpi_pm1_class, {PORT(0x600, 6)}, .gsi = 9},
};

/* machine_spec.command_ports. Eight ports each, in a place where PCs have nothing. */
static const struct machine_row command_rows[] = {
	{MACHINE_COMMAND_OUT,
	 "output-port",
	 &output_port_class,
	 {PORT(0x640, 8)},
	 .gsi = MACHINE_GSI_NONE},
	{MACHINE_COMMAND_ERR,
	 "output-port",
	 &output_port_class,
	 {PORT(0x648, 8)},
	 .gsi = MACHINE_GSI_NONE},
	{MACHINE_INIT_LOG,
	 "output-port",
	 &output_port_class,
	 {PORT(0x650, 8)},
	 .gsi = MACHINE_GSI_NONE},
};

/*
 * `--test-device`. The memory ranges touch, and a page edge is inside the first: a straddling access
 * then meets both kinds of border. Nothing else is near, so what is beside them reads as unclaimed.
 */
const struct machine_row machine_test_rows[MACHINE_TEST_ROWS] = {
	{"scratch0",
	 "test-memory",
	 &scratch_class,
	 {MMIO(LAYOUT_MMIO_GPA + 0x100fe0, 64), MMIO(LAYOUT_MMIO_GPA + 0x101020, 64)},
	 .gsi = MACHINE_GSI_NONE},
	{"scratch1",
	 "test-ports",
	 &scratch_ports_class,
	 {PORT(0xc00, 16)},
	 .gsi = MACHINE_GSI_NONE},
};

/*
 * What KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_SET_TSS_ADDR and KVM_SET_IDENTITY_MAP_ADDR take: an
 * access to these never reaches our buses, so a row there would be dead. GSI 0 is the PIT's, GSI 2 the
 * cascade between the two PICs.
 */
static const struct machine_device x86_chips[] = {
	{.name = "pic",
	 .part = "8259A",
	 .range = {PORT(0x20, 2), PORT(0xa0, 2), PORT(0x4d0, 2)},
	 .nr_ranges = 3,
	 .gsi = 2},
	{.name = "pit",
	 .part = "8254",
	 .range = {PORT(0x40, 4), PORT(0x61, 1)},
	 .nr_ranges = 2,
	 .gsi = 0},
	{.name = "ioapic",
	 .part = "82093AA",
	 .fdt_name = "interrupt-controller",
	 .range = {MMIO(LAYOUT_IOAPIC_GPA, 0x1000)},
	 .nr_ranges = 1,
	 .gsi = MACHINE_GSI_NONE},
	{.name = "lapic",
	 .part = "xAPIC",
	 .fdt_name = "interrupt-controller",
	 .range = {MMIO(LAYOUT_LAPIC_GPA, 0x1000)},
	 .nr_ranges = 1,
	 .gsi = MACHINE_GSI_NONE},
	{.name = "vmx-pages",
	 .part = "TSS, page table",
	 .range = {MMIO(LAYOUT_IDENTITY_MAP_GPA, 0x4000)},
	 .nr_ranges = 1,
	 .gsi = MACHINE_GSI_NONE},
};

enum {
	PAGE_BYTES = 4096,
	GSI_AUTO_FIRST = 5, /* those below belong to PC devices that drivers look for by number */
	CLAIMS_MAX = MACHINE_RAM_MAX +
		     (MACHINE_DEVICES_MAX + ARRAY_SIZE(x86_chips)) * MACHINE_RANGES_MAX,
};

/* Every address and interrupt that has an owner: the one place that refuses a second owner. */
struct claims {
	struct claim {
		const char *owner;
		enum iobus_space space;
		uint64_t first, last;
	} claim[CLAIMS_MAX];
	unsigned nr;
	const char *gsi_owner[MACHINE_GSIS];
};

static const struct claim *claims_find(const struct claims *c, enum iobus_space space,
				       uint64_t first, uint64_t last)
{
	for (unsigned i = 0; i < c->nr; i++) {
		const struct claim *at = &c->claim[i];

		if (at->space == space && first <= at->last && at->first <= last)
			return at;
	}
	return NULL;
}

static int claim_range(struct claims *c, const char *owner, const struct machine_range *r,
		       struct diag *diag)
{
	const uint64_t space_end = r->space == IOBUS_PIO ? UINT64_C(0x10000) : LAYOUT_GPA_END;
	const char *what = r->space == IOBUS_PIO ? "port" : "address";
	const struct claim *taken;
	uint64_t last;

	if (!u64_range_within(r->first, r->len, space_end))
		return diag_set(diag, -EINVAL,
				"%s range of %s: 0x%" PRIx64 " from 0x%" PRIx64
				" go past the last, 0x%" PRIx64,
				what, owner, r->len, r->first, space_end - 1);
	last = r->first + r->len - 1;
	taken = claims_find(c, r->space, r->first, last);
	if (taken)
		return diag_set(diag, -EINVAL,
				"%s range 0x%" PRIx64 "-0x%" PRIx64 " of %s overlaps 0x%" PRIx64
				"-0x%" PRIx64 " of %s",
				what, r->first, last, owner, taken->first, taken->last,
				taken->owner);
	assert(c->nr < CLAIMS_MAX);
	c->claim[c->nr++] = (struct claim){owner, r->space, r->first, last};
	return 0;
}

static int claim_gsi(struct claims *c, const char *owner, int gsi, struct diag *diag)
{
	if (gsi == MACHINE_GSI_NONE)
		return 0;
	if (gsi < 0 || gsi >= MACHINE_GSIS)
		return diag_set(diag, -EINVAL, "GSI %d of %s: the IOAPIC has 0 to %d", gsi, owner,
				MACHINE_GSIS - 1);
	if (c->gsi_owner[gsi])
		return diag_set(diag, -EINVAL, "GSI %d of %s is taken by %s", gsi, owner,
				c->gsi_owner[gsi]);
	c->gsi_owner[gsi] = owner;
	return 0;
}

/* Claims what is fixed; what is to be chosen waits until all of that is known. */
static int claim_fixed(struct claims *c, const struct machine_device *dev, struct diag *diag)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < dev->nr_ranges + dev->nr_untold; i++)
		if (dev->range[i].first != MACHINE_FIRST_AUTO)
			r = claim_range(c, dev->name, &dev->range[i], diag);
	if (r == 0 && dev->gsi != MACHINE_GSI_AUTO)
		r = claim_gsi(c, dev->name, dev->gsi, diag);
	return r;
}

/*
 * Whole pages, so that what is behind one device can be mapped or trapped without the next. A page
 * begins at the byte shown_from, for what may be mapped is not what should be trapped.
 */
static int choose_first(struct claims *c, const struct machine_device *dev,
			struct machine_range *range, struct diag *diag)
{
	const uint64_t lead = (PAGE_BYTES - dev->cls->shown_from % PAGE_BYTES) % PAGE_BYTES;
	const char *owner = dev->name;
	uint64_t first = LAYOUT_MMIO_GPA, pages;

	if (range->space != IOBUS_MMIO)
		return diag_set(diag, -EINVAL, "ports of %s: only addresses are chosen", owner);
	if (!u64_add(range->len, lead, &pages) || !u64_align_up(pages, PAGE_BYTES, &pages))
		pages = UINT64_MAX;
	for (;;) {
		const struct claim *taken;

		if (!u64_range_within(first, pages, LAYOUT_MMIO_END))
			return diag_set(diag, -EINVAL,
					"no 0x%" PRIx64 " bytes for %s are free in 0x%" PRIx64
					"-0x%" PRIx64,
					range->len, owner, LAYOUT_MMIO_GPA, LAYOUT_MMIO_END - 1);
		taken = claims_find(c, IOBUS_MMIO, first, first + pages - 1);
		if (!taken)
			break;
		/* No overflow: a claim ends below 2^52. */
		first = (taken->last + PAGE_BYTES) & ~(uint64_t)(PAGE_BYTES - 1);
	}
	range->first = first + lead;
	return claim_range(c, owner, range, diag);
}

static int choose_gsi(struct claims *c, const char *owner, int *gsi, struct diag *diag)
{
	for (int i = GSI_AUTO_FIRST; i < MACHINE_GSIS; i++) {
		if (!c->gsi_owner[i]) {
			*gsi = i;
			return claim_gsi(c, owner, i, diag);
		}
	}
	diag_set(diag, -EINVAL, "no interrupt for %s: GSI %d to %d are taken", owner,
		 GSI_AUTO_FIRST, MACHINE_GSIS - 1);
	diag_remedy(diag, "leave out a device before it, such as a disk");
	return -EINVAL;
}

static int choose_rest(struct claims *c, struct machine_device *dev, struct diag *diag)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < dev->nr_ranges; i++)
		if (dev->range[i].first == MACHINE_FIRST_AUTO)
			r = choose_first(c, dev, &dev->range[i], diag);
	if (r == 0 && dev->gsi == MACHINE_GSI_AUTO)
		r = choose_gsi(c, dev->name, &dev->gsi, diag);
	return r;
}

static int assign(struct machine *m, struct diag *diag)
{
	struct claims c = {0};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < m->nr_ram; i++)
		r = claim_range(&c, "RAM",
				&(struct machine_range)MMIO(m->ram[i].gpa, m->ram[i].len), diag);
	for (unsigned i = 0; r == 0 && i < m->nr_chips; i++)
		r = claim_fixed(&c, &m->chip[i], diag);
	for (unsigned i = 0; r == 0 && i < m->nr_devices; i++)
		r = claim_fixed(&c, &m->device[i], diag);
	for (unsigned i = 0; r == 0 && i < m->nr_devices; i++)
		r = choose_rest(&c, &m->device[i], diag);
	return r;
}

static int machine_add_row(struct machine *m, const struct machine_row *row, struct diag *diag)
{
	struct machine_device dev = {
		.name = row->name,
		.part = row->part ? row->part : row->cls->name,
		.fdt_name = row->fdt_name,
		.cls = row->cls,
		.conf = row->conf,
		.gsi = row->gsi,
	};

	if (m->nr_devices == MACHINE_DEVICES_MAX)
		return diag_set(diag, -EINVAL, "no room for %s: a machine has at most %d devices",
				row->name, MACHINE_DEVICES_MAX);
	if (machine_find(m, row->name))
		return diag_set(diag, -EINVAL, "two devices are called %s", row->name);
	while (dev.nr_ranges < MACHINE_RANGES_MAX && row->range[dev.nr_ranges].len != 0) {
		dev.range[dev.nr_ranges] = row->range[dev.nr_ranges];
		if (dev.range[dev.nr_ranges].space != dev.range[0].space)
			return diag_set(diag, -EINVAL, "%s has both ports and addresses",
					row->name);
		dev.nr_ranges++;
	}
	if (dev.nr_ranges == 0)
		return diag_set(diag, -EINVAL, "%s has no range", row->name);
	m->device[m->nr_devices++] = dev;
	return 0;
}

/* Whether the user's words need the ports, by naming a console there or by leaving nobody to name one. */
static bool wants_ports(const char *cmdline)
{
	static const char *const word[] = {"console=",     "earlycon", "earlycon=",  "earlyprintk",
					   "earlyprintk=", "acpi=off", "pnpacpi=off"};

	for (unsigned i = 0; i < ARRAY_SIZE(word); i++)
		if (words_have(cmdline, word[i]))
			return true;
	return false;
}

static bool has_window(const struct machine_device *dev)
{
	return dev->nr_ranges == 1 && dev->nr_untold == 1;
}

static void add_windows(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_devices; i++) {
		struct machine_device *dev = &m->device[i];

		if (!dev->cls->shadow || dev->nr_ranges != 1 || dev->range[0].space != IOBUS_PIO)
			continue;
		dev->range[1] = dev->range[0];
		dev->nr_untold = 1;
		dev->range[0] = (struct machine_range)MMIO(MACHINE_FIRST_AUTO, dev->range[1].len);
	}
}

void machine_tell_ports(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_devices; i++) {
		struct machine_device *dev = &m->device[i];
		const struct machine_range told = dev->range[0];

		if (has_window(dev) && told.space == IOBUS_MMIO) {
			dev->range[0] = dev->range[1];
			dev->range[1] = told;
		}
	}
}

static int add_rows(struct machine *m, const struct machine_row *rows, size_t n, struct diag *diag)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = machine_add_row(m, &rows[i], diag);
	return r;
}

static int check_mem(uint64_t bytes, struct diag *diag)
{
	const uint64_t max = LAYOUT_GPA_END - (LAYOUT_HOLE_END - LAYOUT_HOLE_FIRST);
	char size[24], limit[24];

	if (bytes < MACHINE_MEM_MIN) {
		diag_set(diag, -EINVAL, "%s of memory: too small for a kernel",
			 format_size(bytes, size));
		diag_remedy(diag, "give it %s or more", format_size(MACHINE_MEM_MIN, limit));
		return -EINVAL;
	}
	if (bytes > max)
		return diag_set(diag, -EINVAL, "%s of memory: the architecture addresses %s",
				format_size(bytes, size), format_size(max, limit));
	if (bytes % PAGE_BYTES)
		return diag_set(diag, -EINVAL, "%" PRIu64 " bytes of memory: no multiple of 4 KiB",
				bytes);
	return 0;
}

static int check_cpus(unsigned cpus, struct diag *diag)
{
	if (cpus >= 1 && cpus <= MACHINE_CPUS_MAX)
		return 0;
	return diag_set(diag, -EINVAL, "%u CPUs: 1 to %d are possible", cpus, MACHINE_CPUS_MAX);
}

/* RAM below the hole first; what does not fit goes on at its end. */
static void place_ram(struct machine *m)
{
	uint64_t low = m->mem_bytes < LAYOUT_HOLE_FIRST ? m->mem_bytes : LAYOUT_HOLE_FIRST;

	m->ram[m->nr_ram++] = (struct machine_span){.gpa = 0, .len = low};
	if (m->mem_bytes > low)
		m->ram[m->nr_ram++] = (struct machine_span){
			.gpa = LAYOUT_HOLE_END,
			.len = m->mem_bytes - low,
		};
}

static void map_add(struct machine *m, uint64_t first, uint64_t end, enum machine_map_type type)
{
	assert(m->nr_map < MACHINE_MAP_MAX && first < end);
	m->map[m->nr_map++] = (struct machine_map_entry){first, end - first, type};
}

/*
 * Page 0 is told as RAM, as PC firmware does; kernels know to keep off it. Device pages are told by
 * the device tree and ACPI, not here: E820's "reserved" would only hide them from Linux's resource
 * tree. The end of the hole is reserved because nothing else tells KVM's own pages there.
 */
static void tell_map(struct machine *m)
{
	const uint64_t low_end = m->ram[0].len;

	map_add(m, 0, LAYOUT_EBDA_GPA, MACHINE_MAP_RAM);
	map_add(m, LAYOUT_EBDA_GPA, LAYOUT_HIGH_RAM_GPA, MACHINE_MAP_RESERVED);
	map_add(m, LAYOUT_HIGH_RAM_GPA, low_end, MACHINE_MAP_RAM);
	map_add(m, LAYOUT_IOAPIC_GPA, LAYOUT_HOLE_END, MACHINE_MAP_RESERVED);
	if (m->nr_ram > 1)
		map_add(m, m->ram[1].gpa, m->ram[1].gpa + m->ram[1].len, MACHINE_MAP_RAM);
}

int machine_resolve(const struct machine_spec *spec, struct machine *ret, struct diag *diag)
{
	struct machine m = {
		.mem_bytes = spec->mem_bytes,
		.cpus = spec->cpus,
		.cmdline_user = spec->cmdline,
		.quiet = spec->quiet,
		.hvc = spec->hvc,
		.quick = spec->quick,
		.chip = x86_chips,
		.nr_chips = ARRAY_SIZE(x86_chips),
	};
	int r;

	r = check_mem(spec->mem_bytes, diag);
	if (r == 0)
		r = check_cpus(spec->cpus, diag);
	if (r < 0)
		return r;
	place_ram(&m);
	tell_map(&m);
	r = add_rows(&m, x86_rows, ARRAY_SIZE(x86_rows), diag);
	if (r == 0 && spec->command_ports)
		r = add_rows(&m, command_rows, ARRAY_SIZE(command_rows), diag);
	if (r == 0)
		r = add_rows(&m, spec->extra, spec->nr_extra, diag);
	if (spec->windows && !wants_ports(spec->cmdline ? spec->cmdline : ""))
		add_windows(&m);
	if (r == 0)
		r = assign(&m, diag);
	if (r < 0)
		return r;
	*ret = m;
	return 0;
}

const struct machine_device *machine_find(const struct machine *m, const char *name)
{
	for (unsigned i = 0; i < m->nr_devices; i++)
		if (strcmp(m->device[i].name, name) == 0)
			return &m->device[i];
	for (unsigned i = 0; i < m->nr_chips; i++)
		if (strcmp(m->chip[i].name, name) == 0)
			return &m->chip[i];
	return NULL;
}
