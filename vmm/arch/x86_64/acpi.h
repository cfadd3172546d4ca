/*
 * acpi.h - the ACPI tables of a machine (ACPI 6.3): RSDP, FACS, DSDT, FADT, MADT and XSDT.
 *
 * In the DSDT is each device whose class has an acpi_hid, with its ranges and its interrupt; what is
 * not there is not probed. Power-off is the PM1 block's, reboot the reset register's. There is no PM
 * timer, no GPE, no button and no PCI. docs/design/acpi.md says why, and what every flag saves.
 */
#ifndef VMM_ARCH_X86_64_ACPI_H
#define VMM_ARCH_X86_64_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "machine.h"

/*
 * Pure: the same machine and gpa give the same bytes. They are meant for guest memory at gpa, a
 * multiple of 64 in [LAYOUT_ACPI_GPA, LAYOUT_ACPI_END), and end before LAYOUT_ACPI_END; the RSDP is
 * at *ret_rsdp_gpa. *ret_bytes (*ret_len bytes) is the caller's to free. -EINVAL for a device that
 * the descriptors used cannot describe, -ENOSPC when the tables do not fit, -ENOMEM; outputs are
 * untouched then.
 */
int machine_acpi_render(const struct machine *m, uint64_t gpa, void **ret_bytes, size_t *ret_len,
			uint64_t *ret_rsdp_gpa, struct diag *diag);

#endif
