/*
 * multiboot.h - the information a Multiboot kernel finds through EBX. Pure.
 *
 * Source: Multiboot Specification 0.6.96, section 3.3; Multiboot2 Specification 2.0, section 3.6.
 */
#ifndef VMM_BOOT_MULTIBOOT_H
#define VMM_BOOT_MULTIBOOT_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "boot/handoff.h"

/*
 * Lays the information, its module list, memory map and strings out for loading at gpa. Modules of
 * length 0 are left out. -ENOSPC with diag when they do not fit cap bytes, -EINVAL when they, the
 * command line or a module would not end below 4 GiB; *ret_len (bytes used) is untouched then.
 */
int boot_multiboot_render(const struct boot_handoff *handoff, uint64_t gpa, uint8_t *buf,
			  size_t cap, size_t *ret_len, struct diag *diag);

/*
 * The same for Multiboot 2, which carries the command line and the RSDP themselves. It has no ELF
 * symbols, for the machine has no use for them. gpa is a multiple of 8. Errors as above.
 */
int boot_multiboot2_render(const struct boot_handoff *handoff, uint64_t gpa, uint8_t *buf,
			   size_t cap, size_t *ret_len, struct diag *diag);

/* KiB of RAM without a gap from 0, at most 640, and from 1 MiB, up to 4 GiB: for both versions. */
uint32_t boot_handoff_low_kib(const struct boot_handoff *handoff);
uint32_t boot_handoff_high_kib(const struct boot_handoff *handoff);

#endif
