/*
 * machine.h - THE machine description: one table of rows -> resolved addresses and interrupts.
 *
 * The bus, interrupt routing, device tree, memory map and command line all read a struct machine;
 * no address, port or GSI of a device is written down anywhere else.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "device.h"
#include "iobus.h"

enum {
	MACHINE_RAM_MAX = 2,
	MACHINE_MAP_MAX = 8,
	MACHINE_DEVICES_MAX = 64,
	MACHINE_RANGES_MAX = 3, /* a device */
};

struct machine_span {
	uint64_t gpa, len; /* bytes */
};

enum machine_map_type {
	MACHINE_MAP_RAM = 1, /* the numbers of E820 and of hvm_memmap_table_entry */
	MACHINE_MAP_RESERVED = 2,
	MACHINE_MAP_ACPI = 3,
};

struct machine_map_entry {
	uint64_t gpa, len;
	enum machine_map_type type;
};

struct machine_range {
	enum iobus_space space;
	uint64_t first, len;
};

struct machine_device {
	const char *name; /* unique, static: "serial0" */
	const struct device_class *cls;
	struct machine_range range[MACHINE_RANGES_MAX]; /* region id is the index */
	unsigned nr_ranges;
	int gsi; /* -1: no interrupt */
};

struct machine_spec {
	uint64_t mem_bytes;
	unsigned cpus;
	const char *cmdline; /* the user's words, may be NULL; borrowed */
};

struct machine {
	uint64_t mem_bytes;
	unsigned cpus;
	const char *cmdline_user;                 /* borrowed from the spec */
	struct machine_span ram[MACHINE_RAM_MAX]; /* what is backed by memory slots, ascending */
	unsigned nr_ram;
	struct machine_map_entry map[MACHINE_MAP_MAX]; /* what the kernel is told, ascending */
	unsigned nr_map;
	struct machine_device device[MACHINE_DEVICES_MAX];
	unsigned nr_devices;
};

/*
 * Resolves a spec. -EINVAL with diag for memory below 64 MiB or not a multiple of 4 KiB, no CPUs or
 * over 255, and for rows whose ranges or interrupts overlap (both owners named). The machine holds
 * only borrowed pointers; there is nothing to free.
 */
int machine_resolve(const struct machine_spec *spec, struct machine *ret, struct diag *diag);

/* The device of that name, or NULL. */
const struct machine_device *machine_find(const struct machine *m, const char *name);

#endif
