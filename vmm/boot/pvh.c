#include "boot/pvh.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define START_MAGIC 0x336ec578U /* "xEn3" with the top bit of the "E" set */

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
	uint32_t memmap_entries, reserved;
};

struct modlist_entry {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct memmap_table_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

_Static_assert(sizeof(struct start_info) == 56, "version 1 of the ABI");
_Static_assert(sizeof(struct modlist_entry) == 32, "version 1 of the ABI");
_Static_assert(sizeof(struct memmap_table_entry) == 24, "version 1 of the ABI");

/* Every part is a multiple of 8 bytes but the strings, which come last. */
static size_t strings_at(const struct boot_pvh_info *info)
{
	return sizeof(struct start_info) + info->nr_modules * sizeof(struct modlist_entry) +
	       info->nr_map * sizeof(struct memmap_table_entry);
}

static size_t total_bytes(const struct boot_pvh_info *info)
{
	size_t n = strings_at(info);

	for (unsigned i = 0; i < info->nr_modules; i++)
		if (info->module[i].cmdline)
			n += strlen(info->module[i].cmdline) + 1;
	return n;
}

static void put_modules(const struct boot_pvh_info *info, uint64_t gpa, uint8_t *buf, size_t at)
{
	size_t string = strings_at(info);

	for (unsigned i = 0; i < info->nr_modules; i++) {
		const struct boot_pvh_module *m = &info->module[i];
		struct modlist_entry entry = {.paddr = m->gpa, .size = m->len};

		if (m->cmdline) {
			size_t n = strlen(m->cmdline) + 1;

			entry.cmdline_paddr = gpa + string;
			memcpy(buf + string, m->cmdline, n);
			string += n;
		}
		memcpy(buf + at + i * sizeof(entry), &entry, sizeof(entry));
	}
}

static void put_map(const struct boot_pvh_info *info, uint8_t *buf, size_t at)
{
	for (unsigned i = 0; i < info->nr_map; i++) {
		const struct memmap_table_entry entry = {
			.addr = info->map[i].gpa,
			.size = info->map[i].len,
			.type = info->map[i].type,
		};

		memcpy(buf + at + i * sizeof(entry), &entry, sizeof(entry));
	}
}

int boot_pvh_render(const struct boot_pvh_info *info, uint64_t gpa, uint8_t *buf, size_t cap,
		    size_t *ret_len, struct diag *diag)
{
	const size_t modules_at = sizeof(struct start_info);
	const size_t map_at = modules_at + info->nr_modules * sizeof(struct modlist_entry);
	const size_t len = total_bytes(info);
	const struct start_info start = {
		.magic = START_MAGIC,
		.version = 1,
		.nr_modules = info->nr_modules,
		.modlist_paddr = info->nr_modules ? gpa + modules_at : 0,
		.cmdline_paddr = info->cmdline_gpa,
		.rsdp_paddr = info->rsdp_gpa,
		.memmap_paddr = info->nr_map ? gpa + map_at : 0,
		.memmap_entries = info->nr_map,
	};

	assert(info->nr_modules <= BOOT_PVH_MODULES_MAX);
	if (len > cap)
		return diag_set(diag, -ENOSPC, "hvm_start_info of %zu bytes in %zu", len, cap);
	memcpy(buf, &start, sizeof(start));
	put_modules(info, gpa, buf, modules_at);
	put_map(info, buf, map_at);
	*ret_len = len;
	return 0;
}
