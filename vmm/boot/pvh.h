/*
 * pvh.h - hvm_start_info, the structure a PVH kernel finds through EBX. Pure.
 *
 * Source: Xen's xen/include/public/arch-x86/hvm/start_info.h, version 1, and docs/misc/pvh.pandoc.
 */
#ifndef BOOT_PVH_H
#define BOOT_PVH_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum { BOOT_PVH_MODULES_MAX = 4 };

struct boot_pvh_module {
	uint64_t gpa, len;   /* bytes; len 0 keeps the place of a module that is not there */
	const char *cmdline; /* NULL: none */
};

struct boot_pvh_map_entry {
	uint64_t gpa, len;
	uint32_t type; /* as E820 */
};

struct boot_pvh_info {
	uint64_t cmdline_gpa, rsdp_gpa; /* 0: none */
	const struct boot_pvh_module *module;
	unsigned nr_modules; /* at most BOOT_PVH_MODULES_MAX */
	const struct boot_pvh_map_entry *map;
	unsigned nr_map;
};

/*
 * Lays the structure, its module list, memory map and module command lines out for loading at gpa.
 * -ENOSPC with diag when they do not fit cap bytes; *ret_len (bytes used) is untouched then.
 */
int boot_pvh_render(const struct boot_pvh_info *info, uint64_t gpa, uint8_t *buf, size_t cap,
		    size_t *ret_len, struct diag *diag);

#endif
