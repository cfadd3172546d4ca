/*
 * scratch.h - the VMM's test device: bytes that read as they were written, in accesses of any
 * width.
 *
 *   memory   two ranges of SCRATCH_RANGE_BYTES that touch, from mmio=N of the command line, or the
 *            device tree's "tollgate,scratch"; accesses up to 8 bytes. Nothing is claimed in the
 *            8 bytes before the first and after the second. An address that ends in 0xfe0 puts a
 *            page edge into the middle of the first.
 *   ports    SCRATCH_PORTS ports, from pio=N, or "tollgate,scratch-ports"; accesses up to 4 bytes.
 *            Nothing is claimed in the 4 ports before and after.
 *
 * The bytes are 0 at first. devtree_init() comes before these.
 */
#ifndef GUEST_SCRATCH_H
#define GUEST_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>

#define SCRATCH_RANGE_BYTES 64
#define SCRATCH_BYTES       128 /* both */
#define SCRATCH_PORTS       16

/* False when the machine has no such device. */
bool scratch_find_mmio(uint64_t *ret_gpa);
bool scratch_find_ports(uint16_t *ret_port);

#endif
