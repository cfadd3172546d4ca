/*
 * devtree.h - what the device tree says, read once through libfdt into a table.
 *
 * libfdt comes compiled for user space: it keeps a stack canary at FS:0x28 and may use the red
 * zone. So devtree_init() gives FS a base, and these functions are for the boot CPU with interrupts
 * off. Debian's objects hold no SSE instruction; check_isa.sh keeps an eye on that.
 */
#ifndef GUEST_DEVTREE_H
#define GUEST_DEVTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DEVTREE_DEVICES_MAX = 96,
	DEVTREE_REGS_MAX = 3,
};

struct devtree_reg {
	bool is_port; /* a child of an ISA bus, first cell 1 (IEEE 1275 ISA binding) */
	uint64_t first, len;
};

/* A node with a compatible property. Strings point into the blob. */
struct devtree_device {
	const char *name;       /* with the unit address: "serial@i3f8" */
	const char *compatible; /* NUL-separated strings */
	int compatible_len;
	struct devtree_reg reg[DEVTREE_REGS_MAX];
	unsigned nr_regs;
	int gsi; /* first cell of interrupts; -1 when there is none */
};

/* False when there is no device tree. One that libfdt rejects ends the guest. Once a boot. */
bool devtree_init(void);

/* The first device with that string in its compatible list, or NULL. */
const struct devtree_device *devtree_find(const char *compatible);

/* True when the string is in the device's compatible list. */
bool devtree_is(const struct devtree_device *dev, const char *compatible);

size_t devtree_nr_devices(void);
const struct devtree_device *devtree_device(size_t i); /* i < devtree_nr_devices() */

/* The APIC IDs of the CPU nodes; 0 without a device tree. */
size_t devtree_cpus(const uint32_t **ret_apic_ids);

#endif
