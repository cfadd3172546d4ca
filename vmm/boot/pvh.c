#include "boot/pvh.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"

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
static size_t strings_at(const struct boot_handoff *handoff)
{
	return sizeof(struct start_info) + handoff->nr_modules * sizeof(struct modlist_entry) +
	       handoff->nr_map * sizeof(struct memmap_table_entry);
}

static size_t total_bytes(const struct boot_handoff *handoff)
{
	size_t n = strings_at(handoff);

	for (unsigned i = 0; i < handoff->nr_modules; i++)
		if (handoff->module[i].cmdline)
			n += strlen(handoff->module[i].cmdline) + 1;
	return n;
}

static void pvh_put_modules(const struct boot_handoff *handoff, uint64_t gpa, uint8_t *buf,
			    size_t at)
{
	size_t string = strings_at(handoff);

	for (unsigned i = 0; i < handoff->nr_modules; i++) {
		const struct boot_module *m = &handoff->module[i];
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

static void pvh_put_map(const struct boot_handoff *handoff, uint8_t *buf, size_t at)
{
	for (unsigned i = 0; i < handoff->nr_map; i++) {
		const struct memmap_table_entry entry = {
			.addr = handoff->map[i].gpa,
			.size = handoff->map[i].len,
			.type = handoff->map[i].type,
		};

		memcpy(buf + at + i * sizeof(entry), &entry, sizeof(entry));
	}
}

int boot_pvh_render(const struct boot_handoff *handoff, uint64_t gpa, uint8_t *buf, size_t cap,
		    size_t *ret_len, struct diag *diag)
{
	const size_t modules_at = sizeof(struct start_info);
	const size_t map_at = modules_at + handoff->nr_modules * sizeof(struct modlist_entry);
	const size_t len = total_bytes(handoff);
	const struct start_info start = {
		.magic = START_MAGIC,
		.version = 1,
		.nr_modules = handoff->nr_modules,
		.modlist_paddr = handoff->nr_modules ? gpa + modules_at : 0,
		.cmdline_paddr = handoff->cmdline_gpa,
		.rsdp_paddr = handoff->rsdp_gpa,
		.memmap_paddr = handoff->nr_map ? gpa + map_at : 0,
		.memmap_entries = handoff->nr_map,
	};

	if (len > cap)
		return diag_set(diag, -ENOSPC, "pvh-info-size",
				"hvm_start_info of %zu bytes in %zu", len, cap);
	if (!u64_range_within(gpa, len, UINT64_C(1) << 32)) /* EBX holds its address */
		return diag_set(diag, -EINVAL, "pvh-info-address",
				"hvm_start_info at %#llx would end past 4 GiB",
				(unsigned long long)gpa);
	memcpy(buf, &start, sizeof(start));
	pvh_put_modules(handoff, gpa, buf, modules_at);
	pvh_put_map(handoff, buf, map_at);
	*ret_len = len;
	return 0;
}
