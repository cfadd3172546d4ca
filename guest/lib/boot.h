/*
 * boot.h - what the VMM hands a test kernel (PVH: Xen's public/arch-x86/hvm/start_info.h).
 *
 * The contract beyond PVH:
 * - Command line: words separated by spaces (cmdline.h); words no kernel asks for are ignored.
 * - Device tree: the first module whose content starts with the FDT magic (0xd00dfeed, big-endian)
 *   is the flattened device tree; its content decides, wherever it stands in the list. A VMM gives
 *   that module the command line "device-tree" (BOOT_FDT_MODULE_CMDLINE), for those who print the
 *   list.
 * - start_info, command line, module list, memory map and modules lie below 4 GiB, outside the
 *   kernel's image, and outside the trampoline page (smp.h). They are only read.
 */
#ifndef GUEST_BOOT_H
#define GUEST_BOOT_H

#include <stddef.h>
#include <stdint.h>

#define BOOT_FDT_MODULE_CMDLINE "device-tree"

struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
	uint64_t memmap_paddr; /* this and the rest: version 1 and later */
	uint32_t memmap_entries, reserved;
};

struct hvm_modlist_entry {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

enum memmap_type {
	MEMMAP_RAM = 1,
	MEMMAP_RESERVED = 2,
	MEMMAP_ACPI = 3,
	MEMMAP_NVS = 4,
	MEMMAP_UNUSABLE = 5,
};

struct hvm_memmap_table_entry {
	uint64_t addr, size; /* bytes */
	uint32_t type;       /* enum memmap_type */
	uint32_t reserved;
};

struct boot_info {
	const char *cmdline; /* never NULL */
	const struct hvm_memmap_table_entry *memmap;
	size_t nr_memmap;
	const void *fdt; /* NULL when there is none */
	size_t fdt_bytes;
};

/* Reads start_info. A magic or a version that does not fit ends the guest. */
void boot_init(const struct hvm_start_info *info);

const struct boot_info *boot_info(void);

/* Each kernel's own. Returning is success: guest_exit(GUEST_EXIT_OK). */
void kernel_main(void);

/* The 64-bit entry, called by entry.S with interrupts off. */
_Noreturn void guest_start(const struct hvm_start_info *info);

#endif
