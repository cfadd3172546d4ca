/*
 * mptable.h - the MP floating pointer structure and MP configuration table of a machine (Intel
 * MultiProcessor Specification 1.4), for kernels without ACPI and those booted with acpi=off.
 */
#ifndef VMM_ARCH_X86_64_MPTABLE_H
#define VMM_ARCH_X86_64_MPTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "machine.h"

/*
 * Pure: the same machine and gpa give the same bytes. They are meant for guest memory at gpa, a
 * multiple of 16 in [LAYOUT_MPTABLE_GPA, LAYOUT_MPTABLE_END), where kernels look for the floating
 * pointer, which comes first. *ret_bytes (*ret_len bytes) is the caller's to free. -ENOMEM; -ENOSPC
 * when they would pass LAYOUT_MPTABLE_END; outputs are untouched then.
 */
int machine_mptable_render(const struct machine *m, uint64_t gpa, void **ret_bytes, size_t *ret_len,
			   struct diag *diag);

#endif
