#include "initramfs/modules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "boot/unpack.h"
#include "initramfs/host_files.h"
#include "initramfs/module_index.h"

/* The drivers of what a machine of ours can have. The last is large, and only for a machine that has its device. */
static const char *const virtio_drivers[] = {
	"virtio_mmio",
	"virtio_blk",
	"virtio_net",
	"virtio_console",
	"virtio_rng",
	"virtio_balloon",
	"vmw_vsock_virtio_transport",
};

/* One modules_read(). */
struct reading {
	struct modules *modules;
	uint64_t budget_bytes;
	bool needed;
	struct diag *diag;
};

static struct module_file *modules_find(const struct modules *m, const char *name)
{
	for (size_t i = 0; i < m->nr; i++)
		if (strcmp(m->file[i].name, name) == 0)
			return &m->file[i];
	return NULL;
}

static int unpack(const char *path, struct reading *reading, const struct unpack_codec *codec,
		  struct module_file *file)
{
	const size_t max = reading->budget_bytes < SIZE_MAX ? (size_t)reading->budget_bytes
							    : SIZE_MAX - UNPACK_SLACK;
	const struct unpack_opts opts = {.max = max};
	uint8_t *data = NULL;
	size_t len = 0;
	int r = unpack_run(codec, file->data, file->len, &opts, &data, &len);

	if (r == -ENOTSUP) {
		diag_set(reading->diag, r, "module-codec", "module '%s' is packed with %s", path,
			 codec->name);
		diag_remedy(reading->diag, "build Tollgate with %s", codec->library);
	}
	if (r < 0)
		return diag_set(reading->diag, r, "module-unpack", "unpack module '%s'", path);
	free(file->data);
	file->data = data;
	file->len = len;
	reading->budget_bytes -= len;
	return 0;
}

static int read_file(struct reading *reading, const char *path, struct module_file *file)
{
	const struct unpack_codec *codec;
	void *data = NULL;
	int r = host_file_read("module", path, &reading->budget_bytes, &data, &file->len,
			       reading->diag);

	if (r < 0)
		return r;
	file->data = data;
	codec = unpack_detect(file->data, file->len);
	if (codec)
		r = unpack(path, reading, codec, file);
	if (r == 0 && (file->len < 4 || memcmp(file->data, "\177ELF", 4) != 0))
		r = diag_set(reading->diag, -EINVAL, "module-not-elf",
			     "module '%s' is not an ELF file, packed or not", path);
	return r;
}

static int modules_grow(struct modules *m)
{
	const size_t cap = m->cap ? m->cap * 2 : 16;
	struct module_file *file = reallocarray(m->file, cap, sizeof(*file));

	if (!file)
		return -ENOMEM;
	m->file = file;
	m->cap = cap;
	return 0;
}

static int modules_add(void *arg, const struct module_index_entry *found)
{
	struct reading *reading = arg;
	struct modules *m = reading->modules;
	struct module_file *file = modules_find(m, found->name);

	if (file)
		file->needed |= reading->needed;
	if (file || !found->path)
		return 0;
	if (m->nr == m->cap && modules_grow(m) < 0)
		return diag_set(reading->diag, -ENOMEM, "module-memory", "module '%s'",
				found->name);
	file = &m->file[m->nr];
	*file = (struct module_file){.name = strdup(found->name), .needed = reading->needed};
	m->nr++; /* modules_fini() frees what it has */
	if (!file->name)
		return diag_set(reading->diag, -ENOMEM, "module-memory", "module '%s'",
				found->name);
	return read_file(reading, found->path, file);
}

static void note_missing(struct modules *m, const char *name)
{
	const size_t n = strlen(m->missing);

	snprintf(m->missing + n, sizeof(m->missing) - n, "%s%s", n ? " " : "", name);
}

static int add_defaults(struct module_index *index, bool sockets, struct reading *reading)
{
	const size_t nr = ARRAY_SIZE(virtio_drivers) - (sockets ? 0 : 1);

	for (size_t i = 0; i < nr; i++) {
		int r = module_index_resolve(index, virtio_drivers[i], modules_add, reading);

		if (r == -ENOENT && reading->diag->err == 0)
			note_missing(reading->modules, virtio_drivers[i]);
		else if (r < 0)
			return diag_set(reading->diag, r, "module-resolve", "resolve module '%s'",
					virtio_drivers[i]);
	}
	return 0;
}

static int add_named(struct module_index *index, const char *dir, const char *name,
		     struct reading *reading)
{
	int r = module_index_resolve(index, name, modules_add, reading);

	if (r == -ENOENT && reading->diag->err == 0) {
		diag_set(reading->diag, r, "module-missing", "module '%s' in '%s'", name, dir);
		diag_remedy(reading->diag,
			    "its name or an alias, as modprobe takes it; a module that this kernel "
			    "was not built with cannot be had");
	}
	return r < 0 ? diag_set(reading->diag, r, "module-resolve", "resolve module '%s'", name)
		     : 0;
}

/* Before libkmod, which would only report that it finds no module at all. */
static int check_dir(const char *dir, struct diag *diag)
{
	AUTO_FREE char *index = NULL;
	struct stat st;

	if (asprintf(&index, "%s/modules.dep.bin", dir) < 0) {
		index = NULL;
		return diag_set(diag, -ENOMEM, "modules-directory-memory", "modules directory '%s'",
				dir);
	}
	if (stat(dir, &st) < 0)
		return diag_set(diag, -errno, "modules-directory-stat", "modules directory '%s'",
				dir);
	if (stat(index, &st) < 0) {
		const int r = diag_set(diag, -errno, "modules-index", "'%s'", index);

		diag_remedy(diag,
			    "`depmod -b ROOT VERSION` makes it, for ROOT/lib/modules/VERSION");
		return r;
	}
	return 0;
}

int modules_read(struct modules *ret, const char *dir, bool sockets, const char *const *names,
		 unsigned nr_names, uint64_t max_bytes, struct diag *diag)
{
	struct reading reading = {.modules = ret, .budget_bytes = max_bytes, .diag = diag};
	struct module_index *index = NULL;
	int r;

	*ret = (struct modules){0};
	r = check_dir(dir, diag);
	if (r < 0)
		return r;
	r = module_index_open(dir, &index, diag);
	if (r < 0)
		return diag_set(diag, r, "modules-directory-read", "modules directory '%s'", dir);
	r = add_defaults(index, sockets, &reading);
	reading.needed = true;
	for (unsigned i = 0; r == 0 && i < nr_names; i++)
		r = add_named(index, dir, names[i], &reading);
	module_index_close(index);
	return r;
}

void modules_fini(struct modules *modules)
{
	for (size_t i = 0; i < modules->nr; i++) {
		free(modules->file[i].name);
		free(modules->file[i].data);
	}
	free(modules->file);
	*modules = (struct modules){0};
}
