/* targets.h - which ports there are, and which writes to them rightly end the VM. */
#ifndef GUEST_TARGETS_H
#define GUEST_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port_range {
	uint16_t first, len;
};

/* Collects the PC's ranges and those of the device tree; after devtree_init(). */
void port_ranges_init(void);

size_t port_ranges(void);
struct port_range port_range_get(size_t i);

/* True when a byte of the write lands where such a byte ends the VM. */
bool port_write_ends_vm(uint16_t port, unsigned width, uint64_t val);

/*
 * The value with every byte that would be output replaced by a dot: terminals are to survive too.
 */
uint64_t port_value_tamed(uint16_t port, unsigned width, uint64_t val);

#endif
