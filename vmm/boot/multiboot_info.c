#include "boot/multiboot.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/checked.h"

/* Which fields hold something. */
enum {
	INFO_MEMORY = 1 << 0,
	INFO_CMDLINE = 1 << 2,
	INFO_MODULES = 1 << 3,
	INFO_MEM_MAP = 1 << 6,
	INFO_LOADER_NAME = 1 << 9,
};

enum { E820_RAM = 1, LOW_END = 640 << 10, HIGH_FIRST = 1 << 20 };

struct info {
	uint32_t flags, mem_lower_kib, mem_upper_kib, boot_device, cmdline;
	uint32_t mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr, config_table, boot_loader_name, apm_table;
	uint32_t vbe[4], framebuffer[7]; /* their flags stay clear */
};

struct module {
	uint32_t mod_start, mod_end, string, reserved;
};

struct mmap_entry {
	uint32_t size; /* of what follows */
	uint64_t addr, len;
	uint32_t type;
} __attribute__((packed));

static_assert(sizeof(struct info) == 116, "section 3.3");
static_assert(sizeof(struct module) == 16, "section 3.3");
static_assert(sizeof(struct mmap_entry) == 24, "section 3.3");

static const char loader_name[] = "Tollgate";

/* Offsets of the parts, and the length of all. */
struct layout {
	uint32_t nr_modules; /* those that are there */
	uint64_t modules, map, strings, len;
};

static struct layout lay_out(const struct boot_handoff *handoff)
{
	struct layout l = {.modules = sizeof(struct info)};
	uint64_t strings_len = sizeof(loader_name);

	for (unsigned i = 0; i < handoff->nr_modules; i++) {
		const struct boot_module *mod = &handoff->module[i];

		if (mod->len == 0)
			continue;
		l.nr_modules++;
		if (mod->cmdline)
			strings_len += strlen(mod->cmdline) + 1;
	}
	l.map = l.modules + l.nr_modules * sizeof(struct module);
	l.strings = l.map + handoff->nr_map * sizeof(struct mmap_entry);
	l.len = l.strings + strings_len;
	return l;
}

/* KiB of RAM from first on without a gap, up to limit. */
static uint32_t ram_kib(const struct boot_handoff *handoff, uint64_t first, uint64_t limit)
{
	uint64_t end = first;

	for (unsigned i = 0; i < handoff->nr_map; i++) {
		const struct boot_map_entry *e = &handoff->map[i];

		if (e->type == E820_RAM && e->gpa <= end && e->len > end - e->gpa)
			end = e->gpa + e->len;
	}
	return (uint32_t)(((end < limit ? end : limit) - first) / 1024);
}

uint32_t boot_handoff_low_kib(const struct boot_handoff *handoff)
{
	return ram_kib(handoff, 0, LOW_END);
}

uint32_t boot_handoff_high_kib(const struct boot_handoff *handoff)
{
	return ram_kib(handoff, HIGH_FIRST, UINT64_C(1) << 32);
}

static int check_addresses(const struct boot_handoff *handoff, uint64_t gpa, uint64_t len,
			   struct diag *diag)
{
	const uint64_t end = UINT64_C(1) << 32;

	if (!u64_range_within(gpa, len, end))
		return diag_set(diag, -EINVAL, "multiboot-info-address",
				"the Multiboot information would end past 4 GiB");
	if (handoff->cmdline_gpa >= end)
		return diag_set(diag, -EINVAL, "multiboot-cmdline-address",
				"the Multiboot command line lies past 4 GiB");
	for (unsigned i = 0; i < handoff->nr_modules; i++) /* mod_end must fit, too */
		if (!u64_range_within(handoff->module[i].gpa, handoff->module[i].len, end - 1))
			return diag_set(diag, -EINVAL, "multiboot-module-end",
					"Multiboot module %u would end past 4 GiB", i);
	return 0;
}

static void multiboot_put_modules(const struct boot_handoff *handoff, const struct layout *l,
				  uint32_t gpa, uint8_t *buf)
{
	uint8_t *at = buf + l->modules;
	uint32_t string = (uint32_t)(l->strings + sizeof(loader_name));

	for (unsigned i = 0; i < handoff->nr_modules; i++) {
		const struct boot_module *mod = &handoff->module[i];
		struct module entry = {
			.mod_start = (uint32_t)mod->gpa,
			.mod_end = (uint32_t)(mod->gpa + mod->len),
		};

		if (mod->len == 0)
			continue;
		if (mod->cmdline) {
			const size_t n = strlen(mod->cmdline) + 1;

			entry.string = gpa + string;
			memcpy(buf + string, mod->cmdline, n);
			string += (uint32_t)n;
		}
		memcpy(at, &entry, sizeof(entry));
		at += sizeof(entry);
	}
}

static void multiboot_put_map(const struct boot_handoff *handoff, uint8_t *at)
{
	for (unsigned i = 0; i < handoff->nr_map; i++, at += sizeof(struct mmap_entry)) {
		const struct mmap_entry entry = {
			.size = sizeof(entry) - sizeof(entry.size),
			.addr = handoff->map[i].gpa,
			.len = handoff->map[i].len,
			.type = handoff->map[i].type,
		};

		memcpy(at, &entry, sizeof(entry));
	}
}

int boot_multiboot_render(const struct boot_handoff *handoff, uint64_t gpa, uint8_t *buf,
			  size_t cap, size_t *ret_len, struct diag *diag)
{
	const struct layout l = lay_out(handoff);
	const uint32_t base = (uint32_t)gpa;
	struct info info = {
		.flags = INFO_MEMORY | INFO_LOADER_NAME,
		.mem_lower_kib = boot_handoff_low_kib(handoff),
		.mem_upper_kib = boot_handoff_high_kib(handoff),
		.boot_loader_name = base + (uint32_t)l.strings,
	};
	int r;

	if (l.len > cap)
		return diag_set(diag, -ENOSPC, "multiboot-info-size",
				"Multiboot information of %llu bytes in %zu",
				(unsigned long long)l.len, cap);
	r = check_addresses(handoff, gpa, l.len, diag);
	if (r < 0)
		return r;
	if (handoff->cmdline_gpa) {
		info.flags |= INFO_CMDLINE;
		info.cmdline = (uint32_t)handoff->cmdline_gpa;
	}
	if (l.nr_modules) {
		info.flags |= INFO_MODULES;
		info.mods_count = l.nr_modules;
		info.mods_addr = base + (uint32_t)l.modules;
	}
	if (handoff->nr_map) {
		info.flags |= INFO_MEM_MAP;
		info.mmap_length = (uint32_t)(l.strings - l.map);
		info.mmap_addr = base + (uint32_t)l.map;
	}
	memcpy(buf, &info, sizeof(info));
	memcpy(buf + l.strings, loader_name, sizeof(loader_name));
	multiboot_put_modules(handoff, &l, base, buf);
	multiboot_put_map(handoff, buf + l.map);
	*ret_len = (size_t)l.len;
	return 0;
}
