#include "config/disk.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/option.h"
#include "base/suggest.h"
#include "config.h"
#include "config/fault.h"

static const char option[] = "--disk";

static int set_id(struct config_disk *disk, const char *id, struct diag *diag)
{
	const size_t n = strlen(id);

	if (n == 0 || n >= sizeof(disk->id))
		return diag_set(diag, -EINVAL, "disk-id", "%s id '%s' is not 1 to %d bytes long",
				option, id, VIRTIO_BLK_ID_MAX);
	memcpy(disk->id, id, n + 1);
	disk->conf.id = disk->id;
	return 0;
}

/* Keys of other programs for the same, and mistyped ones. */
static void suggest_item(const char *item, struct diag *diag)
{
	static const struct {
		const char *theirs, *ours;
	} aliases[] = {
		{"readonly", "ro"},       {"readonly=on", "ro"}, {"read-only", "ro"},
		{"read-only=on", "ro"},   {"snapshot", "cow"},   {"snapshot=on", "cow"},
		{"cache=none", "direct"}, {"serial", "id="},     {"num-queues", "queues="},
	};
	static const char *const keys[] = {"ro", "cow", "direct", "id", "queues", "fault"};
	struct suggest suggest;

	suggest_init(&suggest, item, strcspn(item, "="));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		suggest_offer(&suggest, keys[i]);
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (strcmp(item, aliases[i].theirs) == 0)
			suggest.best = aliases[i].ours;
	if (suggest.best)
		diag_remedy(diag, "did you mean '%s'?", suggest.best);
}

static int set_item(struct config_disk *disk, const char *item, struct diag *diag)
{
	const char *id = option_item_value(item, "id");
	const char *queues = option_item_value(item, "queues");
	const char *fault = option_item_value(item, "fault");
	uint64_t n;

	if (id)
		return set_id(disk, id, diag);
	if (queues) {
		int r = option_u64("--disk queues", queues, 1, VIRTIO_BLK_QUEUES_MAX, &n, diag);

		if (r == 0)
			disk->conf.queues = (unsigned)n;
		return r;
	}
	if (fault) {
		disk->conf.disk.faults = &disk->faults;
		return config_fault_add(option, fault, &config_fault_disk, &disk->faults, diag);
	}
	if (strcmp(item, "ro") == 0) {
		disk->conf.disk.read_only = true;
	} else if (strcmp(item, "cow") == 0) {
		disk->conf.disk.cow = true;
	} else if (strcmp(item, "direct") == 0) {
		disk->conf.disk.direct = true;
	} else {
		diag_set(diag, -EINVAL, "disk-item", "%s does not know '%s'", option, item);
		suggest_item(item, diag);
		diag_remedy(
			diag,
			"FILE[,ro|,cow][,direct][,id=NAME][,queues=N][,fault=SPEC]; a comma in a "
			"name is ,,");
		return -EINVAL;
	}
	return 0;
}

/* FILE, which is no longer than arg, to disk->path. */
static int disk_parse_path(struct config *config, struct config_disk *disk, const char *arg,
			   struct option_items *items, struct diag *diag)
{
	const size_t len = strnlen(arg, PATH_MAX - 1) + 1;

	disk->path = config_alloc(config, len, diag);
	if (!disk->path)
		return -ENOMEM;
	disk->conf.disk.path = disk->path;
	return option_item_next(items, disk->path, len, diag);
}

static int disk_parse(struct config *config, struct config_disk *disk, const char *arg,
		      struct diag *diag)
{
	struct option_items items = option_items(option, arg);
	char item[CONFIG_FAULT_BYTES];
	int r = disk_parse_path(config, disk, arg, &items, diag);

	if (r < 0)
		return r;
	if (!disk->path[0])
		return diag_set(diag, -EINVAL, "disk-no-file", "%s '%s' names no file", option,
				arg);
	while ((r = option_item_next(&items, item, sizeof(item), diag)) > 0) {
		r = set_item(disk, item, diag);
		if (r < 0)
			return r;
	}
	if (r == 0 && disk->conf.disk.read_only && disk->conf.disk.cow)
		return diag_set(diag, -EINVAL, "disk-ro-cow",
				"%s '%s': ro and cow cannot be combined", option, disk->path);
	return r;
}

int config_disk_add(struct config *config, const char *arg, struct diag *diag)
{
	struct config_disk *disk;
	int r;

	if (config->nr_disks == CONFIG_DISKS_MAX)
		return diag_set(diag, -EINVAL, "disk-count", "more than %d times %s",
				CONFIG_DISKS_MAX, option);
	disk = config_alloc(config, sizeof(*disk), diag);
	if (!disk)
		return -ENOMEM;
	disk->conf.disk.warning = &disk->warning;
	disk->conf.open = disk_open;
	disk->conf.cpus = &config->vm.machine.cpus;
	r = disk_parse(config, disk, arg, diag);
	if (r == 0)
		r = config_virtio_add(config, "disk", &virtio_blk_class, &disk->conf, diag);
	if (r == 0)
		config->disk[config->nr_disks++] = disk;
	return r;
}

static int disk_take(void *config, const char *arg, struct diag *diag)
{
	return config_disk_add(config, arg, diag);
}

static const struct option_row disk_rows[] = {
	{"disk", CONFIG_OPT_DISK, "FILE[,HOW]",
	 .help = "a block device (virtio) on an image or a device of the host\n"
		 "HOW: ro, cow (writes end with the guest), direct (O_DIRECT),\n"
		 "id=NAME, queues=N; repeatable; ,, is a comma of the name;\n"
		 "fault=KIND[:KEY=VALUE]...: faults on purpose",
	 .common = true, .take = disk_take},
	{0},
};
const struct option_group config_disk_group = {"Devices", disk_rows};
