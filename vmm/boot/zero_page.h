/*
 * zero_page.h - struct boot_params, the "zero page" a Linux kernel finds through RSI. Pure.
 *
 * Source: Linux's Documentation/arch/x86/boot.rst (protocol 2.15) and zero-page.rst.
 */
#ifndef VMM_BOOT_ZERO_PAGE_H
#define VMM_BOOT_ZERO_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "boot/boot.h"
#include "boot/handoff.h"

struct boot_params; /* <asm/bootparam.h> */

/*
 * Fills *ret, 4 KiB: the setup header of the plan's bzImage, or one made up for a kernel that came
 * without, and what the handoff says. Of the modules only the first, the initrd, has a place here.
 * -EINVAL with diag for more than 128 map entries; *ret is untouched then.
 */
int boot_zero_page_render(const struct boot_plan *plan, const struct boot_handoff *handoff,
			  struct boot_params *ret, struct diag *diag);

/*
 * One element of the setup_data list, next_gpa 0 for the last. With type SETUP_DTB, data is a
 * flattened device tree. -ENOSPC with diag when it does not fit cap bytes; *ret_len (bytes used) is
 * untouched then.
 */
int boot_setup_data_render(uint32_t type, uint64_t next_gpa, const void *data, uint32_t len,
			   uint8_t *buf, size_t cap, size_t *ret_len, struct diag *diag);

#endif
