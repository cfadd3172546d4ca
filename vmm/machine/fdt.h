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
 * Only devices whose class has a compatible string are in the tree. The contents of /soc and the
 * format of interrupts are the architecture's: struct machine_fdt_platform.
 */
#ifndef VMM_MACHINE_FDT_H
#define VMM_MACHINE_FDT_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "machine.h"

struct fdt_writer;

/* The architecture's part of the tree; machine_platform.fdt. */
struct machine_fdt_platform {
	const char *model, *compatible; /* of the root */
	uint32_t interrupt_parent; /* phandle of the interrupt controller, which put_soc writes */
	/* Writes /soc: interrupt controllers and timers, and the devices on each bus. */
	void (*put_soc)(struct fdt_writer *w, const struct machine *m);
	/* The path of a device that put_soc writes, in buf, which is large enough. */
	void (*device_path)(const struct machine_device *dev, char *buf, size_t size);
};

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
