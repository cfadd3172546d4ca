/*
 * pvh.h - hvm_start_info, the structure a PVH kernel finds through EBX. Pure.
 *
 * Source: Xen's xen/include/public/arch-x86/hvm/start_info.h, version 1, and docs/misc/pvh.pandoc.
 */
#ifndef VMM_BOOT_PVH_H
#define VMM_BOOT_PVH_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "boot/handoff.h"

/*
 * Lays the structure, its module list, memory map and module command lines out for loading at gpa.
 * -ENOSPC with diag when they do not fit cap bytes, -EINVAL when they would not end below 4 GiB;
 * *ret_len (bytes used) is untouched then.
 */
int boot_pvh_render(const struct boot_handoff *handoff, uint64_t gpa, uint8_t *buf, size_t cap,
		    size_t *ret_len, struct diag *diag);

#endif
