#include "config/files.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "config.h"

static int add_inputs(const struct config *config, struct file_uses *uses)
{
	const struct config_initramfs *initramfs = &config->initramfs;
	int r = file_uses_add(uses, "kernel", config->kernel, false, 0);

	if (r == 0)
		r = file_uses_add(uses, "--symbols", config->symbols, false, 0);
	for (unsigned i = 0; r == 0 && i < config->nr_initrds; i++)
		r = file_uses_add(uses, "--initrd", config->initrd[i], false, 0);
	for (unsigned i = 0; r == 0 && i < config->fw_cfg.conf.nr_files; i++)
		r = file_uses_add(uses, "--fw-cfg", config->fw_cfg.path[i], false, 0);
	if (r == 0)
		r = file_uses_add(uses, "--busybox", initramfs->busybox_file, false, 0);
	for (unsigned i = 0; r == 0 && i < initramfs->nr_copies; i++) {
		AUTO_FREE char *file = strdup(initramfs->copy[i]);

		if (!file)
			return -ENOMEM;
		file[config_initramfs_copy_len(initramfs->copy[i])] = '\0';
		r = file_uses_add(uses, "--copy", file, false, 0);
	}
	return r;
}

static int add_disks(const struct config *config, struct file_uses *uses)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < config->nr_disks; i++) {
		const struct disk_opts *disk = &config->disk[i]->conf.disk;

		r = file_uses_add(uses, i + 1 == config->initramfs.rootfs ? "--rootfs" : "--disk",
				  disk->path, !disk->read_only && !disk->cow, FILE_USE_DISK);
	}
	return r;
}

/* Sockets and links are made by us, too. */
static int add_outputs(const struct config *config, struct file_uses *uses)
{
	const struct {
		const char *option, *path;
	} out[] = {
		{"--serial", config->consoles.serial.path},
		{"--virtio-console", config->consoles.virtio.path},
		{"--vsock", config->vsock.device.path},
		{"--control", config->control},
		{"--gdb", config->gdb.opts.path},
		{"--core", config->core.path},
		{"--stats", config->stats_json},
		{"--profile", config->profile},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(out); i++)
		r = file_uses_add(uses, out[i].option, out[i].path, true, 0);
	return r;
}

int config_files_add(const struct config *config, struct file_uses *uses)
{
	int r = add_inputs(config, uses);

	if (r == 0)
		r = add_disks(config, uses);
	return r < 0 ? r : add_outputs(config, uses);
}

int config_files_check(const struct config *config, struct diag *diag)
{
	struct file_uses uses = {0};
	int r = config_files_add(config, &uses);

	r = r < 0 ? diag_set(diag, r, "files-compare", "compare files")
		  : file_uses_check(&uses, diag);
	file_uses_fini(&uses);
	return r;
}
