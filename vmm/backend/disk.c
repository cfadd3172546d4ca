#include "backend/disk.h"

#include <errno.h>

#include "backend/disk/fault.h"
#include "backend/disk/raw.h"

static int open_stack(const struct disk_opts *opts, struct disk_engine *engine, struct disk **ret,
		      struct diag *diag)
{
	struct disk_opts file_opts = *opts;
	struct disk_file file;
	struct disk *raw = NULL;
	int r;

	if (opts->cow)
		file_opts.read_only = true;
	r = disk_file_open(&file_opts, &file, diag);
	if (r < 0)
		return r;
	r = disk_raw_create(&file, engine, &raw);
	if (r < 0)
		return diag_set(diag, r, "disk-engine-create", "disk '%s'", opts->path);
	if (opts->cow)
		return disk_cow_create(raw, opts, ret, diag);
	*ret = raw;
	return 0;
}

int disk_open(const struct disk_opts *opts, struct event_loop *loop, void (*batch_done)(void *arg),
	      void *arg, struct disk **ret, struct diag *diag)
{
	struct disk_engine *engine;
	struct disk *disk = NULL;
	int r = disk_engine_create(loop, DISK_ENGINE_BEST, DISK_REQUESTS_MAX, batch_done, arg,
				   &engine);

	if (r < 0)
		return diag_set(diag, r, "disk-engine-create", "disk '%s'", opts->path);
	r = open_stack(opts, engine, &disk, diag);
	if (r == 0 && opts->faults) {
		r = disk_fault_create(disk, opts->faults, loop, batch_done, arg, &disk);
		if (r < 0)
			diag_set(diag, r, "disk-engine-create", "disk '%s'", opts->path);
	}
	if (r < 0)
		disk_engine_destroy(engine);
	else
		*ret = disk;
	return r;
}

struct disk *disk_close(struct disk *disk)
{
	struct disk_engine *engine;

	if (!disk)
		return NULL;
	engine = disk->engine;
	disk_drain(disk);
	disk->ops->close(disk);
	disk_engine_destroy(engine);
	return NULL;
}
