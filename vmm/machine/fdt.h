/*
 * fdt.h - the flattened device tree of a machine (Devicetree Specification v0.4).
 *
 *   /aliases, /chosen          serial0; bootargs, stdout-path, initrd, rng-seed
 *   /cpus/cpu@N                reg is the APIC ID
 *   /memory@ADDR               one a span of RAM
 *   /reserved-memory           what the memory map takes out of RAM
 *   /soc                       interrupt controllers and MMIO devices, one to one
 *   /soc/isa@0                 devices on ports: reg = <1 PORT LEN> (IEEE 1275 ISA binding)
 *
 * Only devices whose class has a compatible string are in the tree. An interrupt is two cells for
 * the I/O APIC: the GSI, and 0 for edge-triggered, active high (Linux,
 * Documentation/devicetree/bindings/interrupt-controller/intel,ce4100-ioapic.yaml). The bus is
 * "intel,ce4100-cp" beside "simple-bus", because on x86 Linux makes platform devices of the children
 * of that, of "isa" and of "pci" buses, and of no others (arch/x86/kernel/devicetree.c).
 */
#ifndef VMM_MACHINE_FDT_H
#define VMM_MACHINE_FDT_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "machine.h"

struct machine_fdt_opts {
	uint64_t initrd_gpa, initrd_len; /* bytes; initrd_len 0: there is none */
	const uint8_t *rng_seed; /* from the caller, because rendering is pure; may be NULL */
	size_t rng_seed_len;     /* bytes, 0 without */
};

/*
 * Pure: the same machine and options give the same bytes. bootargs is machine_cmdline_render()'s
 * line. *ret_blob (*ret_len bytes, aligned for libfdt) is the caller's to free. -ENOMEM, -EINVAL
 * (the command line), -EFBIG past 16 MiB; outputs are untouched then.
 */
int machine_fdt_render(const struct machine *m, const struct machine_fdt_opts *opts,
		       void **ret_blob, size_t *ret_len, struct diag *diag);

#endif
