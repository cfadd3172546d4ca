#include "machine.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/macros.h"
#include "base/params.h"
#include "base/parse.h"

enum {
	PAGE_BYTES = 4096,
	CLAIMS_MAX =
		MACHINE_RAM_MAX + (MACHINE_DEVICES_MAX + MACHINE_CHIPS_MAX) * MACHINE_RANGES_MAX,
};

/* Every address and interrupt that has an owner: the one place that refuses a second owner. */
struct claims {
	const struct machine_platform *platform;
	struct claim {
		const char *owner;
		enum iobus_space space;
		uint64_t first, last;
	} claim[CLAIMS_MAX];
	unsigned nr;
	const char *gsi_owner[MACHINE_GSIS_MAX];
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
	const uint64_t space_end =
		r->space == IOBUS_PIO ? c->platform->nr_ports : c->platform->gpa_end;
	const char *what = r->space == IOBUS_PIO ? "port" : "address";
	const struct claim *taken;
	uint64_t last;

	if (space_end == 0)
		return diag_set(diag, -EINVAL, "device-ports-none", "ports of %s: %s has none",
				owner, c->platform->name);
	if (!u64_range_within(r->first, r->len, space_end))
		return diag_set(diag, -EINVAL, "device-range-end",
				"%s range of %s: 0x%" PRIx64 " from 0x%" PRIx64
				" go past the last, 0x%" PRIx64,
				what, owner, r->len, r->first, space_end - 1);
	last = r->first + r->len - 1;
	taken = claims_find(c, r->space, r->first, last);
	if (taken)
		return diag_set(diag, -EINVAL, "device-range-overlap",
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
	if (gsi < 0 || gsi >= c->platform->nr_gsis)
		return diag_set(diag, -EINVAL, "device-gsi-range",
				"GSI %d of %s: the machine has GSI 0 to %d", gsi, owner,
				c->platform->nr_gsis - 1);
	if (c->gsi_owner[gsi])
		return diag_set(diag, -EINVAL, "device-gsi-taken", "GSI %d of %s is taken by %s",
				gsi, owner, c->gsi_owner[gsi]);
	c->gsi_owner[gsi] = owner;
	return 0;
}

/* Claims what is fixed; what is to be chosen waits until all of that is known. */
static int claim_fixed(struct claims *c, const struct machine_device *dev, struct diag *diag)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < machine_device_nr_ranges(dev); i++)
		if (dev->range[i].first != MACHINE_FIRST_AUTO)
			r = claim_range(c, dev->name, &dev->range[i], diag);
	if (r == 0 && dev->gsi != MACHINE_GSI_AUTO)
		r = claim_gsi(c, dev->name, dev->gsi, diag);
	return r;
}

/*
 * Whole pages, so that the memory after one device can be mapped or trapped without the next. A page
 * begins at the byte register_page_from, for what may be mapped is not what should be trapped.
 */
static int choose_first(struct claims *c, const struct machine_device *dev,
			struct machine_range *range, struct diag *diag)
{
	const uint64_t lead = (PAGE_BYTES - dev->cls->register_page_from % PAGE_BYTES) % PAGE_BYTES;
	const struct machine_platform *p = c->platform;
	const char *owner = dev->name;
	uint64_t first = p->mmio_gpa, pages;

	if (range->space != IOBUS_MMIO)
		return diag_set(diag, -EINVAL, "device-ports-unchosen",
				"ports of %s: only addresses are chosen", owner);
	if (!u64_add(range->len, lead, &pages) || !u64_align_up(pages, PAGE_BYTES, &pages))
		pages = UINT64_MAX;
	for (;;) {
		const struct claim *taken;

		if (!u64_range_within(first, pages, p->mmio_end))
			return diag_set(diag, -EINVAL, "device-range-full",
					"no 0x%" PRIx64 " bytes for %s are free in 0x%" PRIx64
					"-0x%" PRIx64,
					range->len, owner, p->mmio_gpa, p->mmio_end - 1);
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
	const struct machine_platform *p = c->platform;

	for (int i = p->gsi_auto_first; i < p->nr_gsis; i++) {
		if (!c->gsi_owner[i]) {
			*gsi = i;
			return claim_gsi(c, owner, i, diag);
		}
	}
	diag_set(diag, -EINVAL, "device-gsi-full", "no interrupt for %s: GSI %d to %d are taken",
		 owner, p->gsi_auto_first, p->nr_gsis - 1);
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
	struct claims c = {.platform = m->platform};
	int r = 0;

	assert(m->platform->nr_gsis <= MACHINE_GSIS_MAX && m->nr_chips <= MACHINE_CHIPS_MAX);
	for (unsigned i = 0; r == 0 && i < m->nr_ram; i++)
		r = claim_range(&c, "RAM",
				&(struct machine_range){.space = IOBUS_MMIO,
							.first = m->ram[i].gpa,
							.len = m->ram[i].len},
				diag);
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
		return diag_set(diag, -EINVAL, "device-count",
				"no room for %s: a machine has at most %d devices", row->name,
				MACHINE_DEVICES_MAX);
	if (machine_find(m, row->name))
		return diag_set(diag, -EINVAL, "device-name-twice", "two devices are called %s",
				row->name);
	while (dev.nr_ranges < MACHINE_RANGES_MAX && row->range[dev.nr_ranges].len != 0) {
		dev.range[dev.nr_ranges] = row->range[dev.nr_ranges];
		if (dev.range[dev.nr_ranges].space != dev.range[0].space)
			return diag_set(diag, -EINVAL, "device-range-both",
					"%s has both ports and addresses", row->name);
		dev.nr_ranges++;
	}
	if (dev.nr_ranges == 0)
		return diag_set(diag, -EINVAL, "device-range-none", "%s has no range", row->name);
	m->device[m->nr_devices++] = dev;
	return 0;
}

/* Whether the user's parameters need the ports, by naming a console there or by leaving nobody to name one. */
static bool wants_ports(const char *cmdline)
{
	static const char *const param[] = {"console=",     "earlycon", "earlycon=",  "earlyprintk",
					    "earlyprintk=", "acpi=off", "pnpacpi=off"};

	for (unsigned i = 0; i < ARRAY_SIZE(param); i++)
		if (params_have(cmdline, param[i]))
			return true;
	return false;
}

static void add_register_pages(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_devices; i++) {
		struct machine_device *dev = &m->device[i];

		if (!dev->cls->register_page || dev->nr_ranges != 1 ||
		    dev->range[0].space != IOBUS_PIO)
			continue;
		dev->range[1] = dev->range[0];
		dev->nr_unadvertised = 1;
		dev->range[0] = (struct machine_range){
			.space = IOBUS_MMIO, .first = MACHINE_FIRST_AUTO, .len = dev->range[1].len};
	}
}

static bool has_register_page(const struct machine_device *dev)
{
	return dev->nr_ranges == 1 && dev->nr_unadvertised == 1;
}

/* The ranges that are advertised to the guest come first. */
static void put_ports_first(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_devices; i++) {
		struct machine_device *dev = &m->device[i];
		const struct machine_range memory = dev->range[0];

		if (!has_register_page(dev))
			continue;
		dev->range[0] = dev->range[1];
		dev->range[1] = memory;
	}
}

static int add_rows(struct machine *m, const struct machine_row *rows, size_t n, struct diag *diag)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = machine_add_row(m, &rows[i], diag);
	return r;
}

static int check_mem(uint64_t bytes, uint64_t max, struct diag *diag)
{
	char size[24], limit[24];

	if (bytes < MACHINE_MEM_MIN) {
		diag_set(diag, -EINVAL, "mem-too-small", "%s of memory: too small for a kernel",
			 format_size(bytes, size));
		diag_remedy(diag, "give it %s or more", format_size(MACHINE_MEM_MIN, limit));
		return -EINVAL;
	}
	if (bytes > max)
		return diag_set(diag, -EINVAL, "mem-too-large",
				"%s of memory: the architecture addresses %s",
				format_size(bytes, size), format_size(max, limit));
	if (bytes % PAGE_BYTES)
		return diag_set(diag, -EINVAL, "mem-not-pages",
				"%" PRIu64 " bytes of memory: no multiple of 4 KiB", bytes);
	return 0;
}

static int check_cpus(unsigned cpus, unsigned max, struct diag *diag)
{
	if (cpus >= 1 && cpus <= max)
		return 0;
	return diag_set(diag, -EINVAL, "cpus-range", "%u CPUs: 1 to %u are possible", cpus, max);
}

int machine_ram(const struct machine_platform *platform, uint64_t mem_bytes,
		struct machine_span ret_ram[MACHINE_RAM_MAX], unsigned *ret_nr, struct diag *diag)
{
	int r = check_mem(mem_bytes, platform->mem_max, diag);

	if (r == 0)
		*ret_nr = platform->place_ram(mem_bytes, ret_ram);
	return r;
}

void machine_map_add(struct machine *m, uint64_t first, uint64_t end, enum machine_map_type type)
{
	assert(m->nr_map < MACHINE_MAP_MAX && first < end);
	m->map[m->nr_map++] = (struct machine_map_entry){first, end - first, type};
}

int machine_resolve(const struct machine_platform *platform, const struct machine_spec *spec,
		    struct machine *ret, struct diag *diag)
{
	struct machine m = {
		.platform = platform,
		.mem_bytes = spec->mem_bytes,
		.cpus = spec->cpus,
		.cmdline_user = spec->cmdline,
		.quiet = spec->quiet,
		.sysrq = spec->sysrq,
		.hvc = spec->hvc,
		.quick = spec->quick,
		.chip = platform->chip,
		.nr_chips = platform->nr_chips,
	};
	int r = machine_ram(platform, spec->mem_bytes, m.ram, &m.nr_ram, diag);

	if (r == 0)
		r = check_cpus(spec->cpus, platform->cpus_max, diag);
	if (r < 0)
		return r;
	platform->describe_memory(&m);
	r = add_rows(&m, platform->row, platform->nr_rows, diag);
	if (r == 0 && spec->command_ports)
		r = add_rows(&m, platform->command_row, platform->nr_command_rows, diag);
	if (r == 0)
		r = add_rows(&m, spec->extra, spec->nr_extra, diag);
	if (spec->register_pages && !wants_ports(spec->cmdline ? spec->cmdline : ""))
		add_register_pages(&m);
	if (r == 0)
		r = assign(&m, diag);
	if (r < 0)
		return r;
	if (spec->advertise_ports)
		put_ports_first(&m);
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
