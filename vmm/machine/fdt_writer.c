#include "machine/fdt_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/macros.h"

enum {
	PROP_BYTES_MAX = 16 << 20,
	NAME_BYTES = 96,
	LIST_BYTES = 128,
};

void fdt_writer_begin(struct fdt_writer *w, const char *name)
{
	if (w->err == 0)
		w->err = fdt_begin_node(w->blob, name);
}

void fdt_writer_end(struct fdt_writer *w)
{
	if (w->err == 0)
		w->err = fdt_end_node(w->blob);
}

void fdt_writer_prop(struct fdt_writer *w, const char *name, const void *val, size_t len)
{
	assert(len <= PROP_BYTES_MAX);
	if (w->err == 0)
		w->err = fdt_property(w->blob, name, val, (int)len);
}

void fdt_writer_flag(struct fdt_writer *w, const char *name)
{
	fdt_writer_prop(w, name, NULL, 0);
}

void fdt_writer_string(struct fdt_writer *w, const char *name, const char *val)
{
	fdt_writer_prop(w, name, val, strlen(val) + 1);
}

void fdt_writer_u32(struct fdt_writer *w, const char *name, uint32_t val)
{
	const fdt32_t cell = cpu_to_fdt32(val);

	fdt_writer_prop(w, name, &cell, sizeof(cell));
}

void fdt_writer_u64(struct fdt_writer *w, const char *name, uint64_t val)
{
	const fdt64_t cells = cpu_to_fdt64(val);

	fdt_writer_prop(w, name, &cells, sizeof(cells));
}

void fdt_writer_cells(struct fdt_writer *w, const char *name, const uint32_t *val, size_t n)
{
	fdt32_t cells[MACHINE_RANGES_MAX * 4];

	assert(n <= ARRAY_SIZE(cells));
	for (size_t i = 0; i < n; i++)
		cells[i] = cpu_to_fdt32(val[i]);
	fdt_writer_prop(w, name, cells, n * sizeof(cells[0]));
}

void fdt_writer_address_cells(struct fdt_writer *w, uint32_t addr, uint32_t size)
{
	fdt_writer_u32(w, "#address-cells", addr);
	fdt_writer_u32(w, "#size-cells", size);
}

void fdt_writer_begin_at(struct fdt_writer *w, const char *name, const char *space, uint64_t addr)
{
	char unit[NAME_BYTES];
	int n = snprintf(unit, sizeof(unit), "%s@%s%" PRIx64, name, space, addr);

	assert(n > 0 && (size_t)n < sizeof(unit));
	fdt_writer_begin(w, unit);
}

void fdt_writer_reg(struct fdt_writer *w, const struct machine_range *range, unsigned nr)
{
	uint32_t cells[MACHINE_RANGES_MAX * 4];
	size_t n = 0;

	for (unsigned i = 0; i < nr; i++) {
		cells[n++] = (uint32_t)(range[i].first >> 32);
		cells[n++] = (uint32_t)range[i].first;
		cells[n++] = (uint32_t)(range[i].len >> 32);
		cells[n++] = (uint32_t)range[i].len;
	}
	fdt_writer_cells(w, "reg", cells, n);
}

void fdt_writer_strings(struct fdt_writer *w, const char *name, const char *blank_separated)
{
	char list[LIST_BYTES];
	const size_t len = strlen(blank_separated) + 1;

	assert(len <= sizeof(list));
	for (size_t i = 0; i < len; i++)
		list[i] = blank_separated[i] == ' ' ? '\0' : blank_separated[i];
	fdt_writer_prop(w, name, list, len);
}
