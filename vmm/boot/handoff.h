/*
 * handoff.h - the information that a kernel gets when it starts; each protocol renders it in its own form. The
 * renderers are pure: they fill a caller's buffer with the bytes that belong at a guest address.
 */
#ifndef VMM_BOOT_HANDOFF_H
#define VMM_BOOT_HANDOFF_H

#include <stdint.h>

/* type has the numbers of E820 (1: RAM), which PVH, Linux and Multiboot share. */
struct boot_map_entry {
	uint64_t gpa, len; /* bytes */
	uint32_t type;
};

struct boot_module {
	uint64_t gpa, len;   /* bytes; len 0 keeps the place of a module that is not there */
	const char *cmdline; /* the module's own words; NULL: none */
};

struct boot_handoff {
	uint64_t cmdline_gpa;             /* of a NUL-terminated string; 0: none */
	const char *cmdline;              /* the same string, for Multiboot 2; NULL: none */
	uint64_t rsdp_gpa;                /* 0: no ACPI */
	const uint8_t *rsdp;              /* its bytes, for Multiboot 2; NULL: no ACPI */
	uint32_t rsdp_len;                /* 20 for ACPI 1.0, 36 since 2.0 */
	uint64_t load_base_gpa;           /* as in struct boot_plan */
	uint64_t setup_data_gpa;          /* first of a list of setup_data; 0: none. Linux64 only */
	const struct boot_module *module; /* the first is the initrd, because Linux takes it so */
	unsigned nr_modules;
	const struct boot_map_entry *map; /* ascending */
	unsigned nr_map;
};

#endif
