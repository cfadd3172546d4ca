/*
 * fdt_writer.h - a device tree, written in order (Devicetree Specification v0.4, chapters 2 and 5). Once
 * a step failed, the later ones do nothing; err says what it was.
 */
#ifndef VMM_MACHINE_FDT_WRITER_H
#define VMM_MACHINE_FDT_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "machine.h"

struct fdt_writer {
	void *blob;
	int err; /* libfdt's, 0 at first */
};

void fdt_writer_begin(struct fdt_writer *w, const char *name);
void fdt_writer_end(struct fdt_writer *w);

/* A node with a unit address: "NAME@" and in hexadecimal what space says, if anything, and addr. */
void fdt_writer_begin_at(struct fdt_writer *w, const char *name, const char *space, uint64_t addr);

/* Properties of the node that was begun last: of len bytes, empty, and of each kind of value. */
void fdt_writer_prop(struct fdt_writer *w, const char *name, const void *val, size_t len);
void fdt_writer_flag(struct fdt_writer *w, const char *name);
void fdt_writer_string(struct fdt_writer *w, const char *name, const char *val);
void fdt_writer_u32(struct fdt_writer *w, const char *name, uint32_t val);
void fdt_writer_u64(struct fdt_writer *w, const char *name, uint64_t val);

/* n cells, at most four for each of MACHINE_RANGES_MAX ranges. */
void fdt_writer_cells(struct fdt_writer *w, const char *name, const uint32_t *val, size_t n);

/* A list of strings, given as one with blanks between them: device_class.fdt_compatible. */
void fdt_writer_strings(struct fdt_writer *w, const char *name, const char *blank_separated);

/* #address-cells and #size-cells. */
void fdt_writer_address_cells(struct fdt_writer *w, uint32_t addr, uint32_t size);

/* reg of a child of the root or of /soc: two cells for each address and length. */
void fdt_writer_reg(struct fdt_writer *w, const struct machine_range *range, unsigned nr);

#endif
