#include "machine/fdt.h"

#include <assert.h>
#include <errno.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "machine/cmdline.h"
#include "machine/fdt_writer.h"

enum {
	BLOB_FIRST_BYTES = 16 << 10,
	BLOB_MAX_BYTES = 16 << 20,
	PATH_BYTES = 96,
};

static void put_cpus(struct fdt_writer *w, const struct machine *m)
{
	fdt_writer_begin(w, "cpus");
	fdt_writer_address_cells(w, 1, 0);
	for (unsigned i = 0; i < m->cpus; i++) {
		fdt_writer_begin_at(w, "cpu", "", i);
		fdt_writer_string(w, "device_type", "cpu");
		fdt_writer_u32(w, "reg", i);
		fdt_writer_end(w);
	}
	fdt_writer_end(w);
}

static void put_memory(struct fdt_writer *w, const struct machine *m)
{
	for (unsigned i = 0; i < m->nr_ram; i++) {
		const struct machine_range ram = {.first = m->ram[i].gpa, .len = m->ram[i].len};

		fdt_writer_begin_at(w, "memory", "", ram.first);
		fdt_writer_string(w, "device_type", "memory");
		fdt_writer_reg(w, &ram, 1);
		fdt_writer_end(w);
	}
}

static bool is_in_ram(const struct machine *m, const struct machine_map_entry *e)
{
	for (unsigned i = 0; i < m->nr_ram; i++)
		if (e->gpa >= m->ram[i].gpa &&
		    u64_range_within(e->gpa - m->ram[i].gpa, e->len, m->ram[i].len))
			return true;
	return false;
}

static void put_reserved(struct fdt_writer *w, const struct machine *m)
{
	fdt_writer_begin(w, "reserved-memory");
	fdt_writer_address_cells(w, 2, 2);
	fdt_writer_flag(w, "ranges");
	for (unsigned i = 0; i < m->nr_map; i++) {
		const struct machine_map_entry *e = &m->map[i];
		const struct machine_range range = {.first = e->gpa, .len = e->len};

		if (e->type == MACHINE_MAP_RAM || !is_in_ram(m, e))
			continue;
		fdt_writer_begin_at(w, "firmware", "", e->gpa);
		fdt_writer_reg(w, &range, 1);
		fdt_writer_end(w);
	}
	fdt_writer_end(w);
}

static void put_serial_alias(struct fdt_writer *w, const struct machine *m,
			     const struct machine_device *serial, const char *alias)
{
	char path[PATH_BYTES];

	m->platform->fdt->device_path(serial, path, sizeof(path));
	fdt_writer_begin(w, "aliases");
	fdt_writer_string(w, alias, path);
	fdt_writer_end(w);
}

static void put_chosen(struct fdt_writer *w, const struct machine_fdt_opts *opts,
		       const char *cmdline, bool serial)
{
	fdt_writer_begin(w, "chosen");
	fdt_writer_string(w, "bootargs", cmdline);
	if (serial)
		fdt_writer_string(w, "stdout-path",
				  "serial0:115200n8"); /* an alias and its options */
	if (opts->initrd_len) {
		assert(u64_range_within(opts->initrd_gpa, opts->initrd_len, UINT64_MAX));
		fdt_writer_u64(w, "linux,initrd-start", opts->initrd_gpa);
		fdt_writer_u64(w, "linux,initrd-end", opts->initrd_gpa + opts->initrd_len);
	}
	if (opts->rng_seed_len)
		fdt_writer_prop(w, "rng-seed", opts->rng_seed, opts->rng_seed_len);
	fdt_writer_end(w);
}

static void put_root(struct fdt_writer *w, const struct machine *m,
		     const struct machine_fdt_opts *opts, const char *cmdline)
{
	const struct machine_fdt_platform *p = m->platform->fdt;
	const struct machine_device *serial = machine_find(m, "serial0");

	fdt_writer_begin(w, "");
	fdt_writer_string(w, "model", p->model);
	fdt_writer_string(w, "compatible", p->compatible);
	fdt_writer_address_cells(w, 2, 2);
	fdt_writer_u32(w, "interrupt-parent", p->interrupt_parent);
	if (serial)
		put_serial_alias(w, m, serial, "serial0");
	put_chosen(w, opts, cmdline, serial);
	put_cpus(w, m);
	put_memory(w, m);
	put_reserved(w, m);
	p->put_soc(w, m);
	fdt_writer_end(w);
}

/* One try in size bytes; libfdt's -FDT_ERR_NOSPACE when they do not suffice. */
static int render_in(void *blob, int size, const struct machine *m,
		     const struct machine_fdt_opts *opts, const char *cmdline)
{
	struct fdt_writer w = {.blob = blob};

	/* Looking for an equal name before each property would cost more than all the rest. */
	w.err = fdt_create_with_flags(blob, size, FDT_CREATE_FLAG_NO_NAME_DEDUP);
	if (w.err == 0)
		w.err = fdt_finish_reservemap(blob);
	put_root(&w, m, opts, cmdline);
	if (w.err == 0)
		w.err = fdt_finish(blob);
	return w.err;
}

int machine_fdt_render(const struct machine *m, const struct machine_fdt_opts *opts,
		       void **ret_blob, size_t *ret_len, struct diag *diag)
{
	AUTO_FREE char *cmdline = NULL;
	int r;

	r = machine_cmdline_render(m, &cmdline, diag);
	if (r < 0)
		return r;
	for (int size = BLOB_FIRST_BYTES; size <= BLOB_MAX_BYTES; size *= 2) {
		/* zeroed: libfdt skips over the padding after a property */
		AUTO_FREE void *blob = calloc(1, (size_t)size);

		if (!blob)
			return diag_set(diag, -ENOMEM, "device-tree-memory", "device tree");
		r = render_in(blob, size, m, opts, cmdline);
		if (r == 0) {
			*ret_len = fdt_totalsize(blob);
			*ret_blob = STEAL_PTR(blob);
			return 0;
		}
		/* Any other error is a wrong sequence of calls here. */
		assert(r == -FDT_ERR_NOSPACE);
	}
	return diag_set(diag, -EFBIG, "device-tree-limit", "device tree of more than %d bytes",
			BLOB_MAX_BYTES);
}
