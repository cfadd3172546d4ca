#include "config/fw_cfg.h"

#include <errno.h>
#include <string.h>

#include "arch/arch.h"
#include "base/file.h"
#include "config.h"

#define FILE_BYTES_MAX (16U << 20)

static const char option[] = "--fw-cfg";

int config_fw_cfg_add(struct config *config, struct diag *diag)
{
	struct machine_row row;
	int r;

	if (config->fw_cfg.present)
		return 0;
	if (!arch_platform.fw_cfg_row)
		return diag_set(diag, -EINVAL, "fw-cfg-none", "%s: %s has no such device", option,
				arch_platform.name);
	row = *arch_platform.fw_cfg_row;
	row.conf = &config->fw_cfg.conf;
	r = config_row_add(config, &row, diag);
	config->fw_cfg.present = r == 0;
	return r;
}

/* Guests compare names byte by byte, and firmware prints them. */
static bool item_name_is_plain(const char *name)
{
	for (; *name; name++)
		if (*name <= ' ' || *name > '~')
			return false;
	return true;
}

static int item_name_check(const struct config_fw_cfg *fw_cfg, const char *name, struct diag *diag)
{
	if (strlen(name) > FW_CFG_NAME_MAX || !item_name_is_plain(name)) {
		diag_set(diag, -EINVAL, "fw-cfg-name",
			 "%s: '%s' is not a name of 1 to %d ASCII characters without blanks",
			 option, name, FW_CFG_NAME_MAX);
		diag_remedy(diag, "as in %s opt/org.example/key=FILE", option);
		return -EINVAL;
	}
	for (unsigned i = 0; i < fw_cfg->conf.nr_files; i++)
		if (strcmp(fw_cfg->conf.file[i].name, name) == 0)
			return diag_set(diag, -EINVAL, "fw-cfg-twice",
					"%s: two files are called '%s'", option, name);
	if (fw_cfg->conf.nr_files == FW_CFG_FILES_MAX)
		return diag_set(diag, -EINVAL, "fw-cfg-count", "%s: more than %d files", option,
				FW_CFG_FILES_MAX);
	return 0;
}

static int fw_cfg_take(void *target, const char *arg, struct diag *diag)
{
	struct config *config = target;
	struct config_fw_cfg *fw_cfg = &config->fw_cfg;
	const char *equals = strchr(arg, '=');
	char *name;
	int r;

	if (!equals || equals == arg || !equals[1]) {
		diag_set(diag, -EINVAL, "fw-cfg-form", "%s '%s' is not NAME=FILE", option, arg);
		diag_remedy(diag, "as in %s opt/org.example/key=FILE", option);
		return -EINVAL;
	}
	name = config_alloc(config, (size_t)(equals - arg) + 1, diag);
	if (!name)
		return -ENOMEM;
	memcpy(name, arg, (size_t)(equals - arg));
	r = item_name_check(fw_cfg, name, diag);
	if (r == 0)
		r = config_fw_cfg_add(config, diag);
	if (r < 0)
		return r;
	fw_cfg->path[fw_cfg->conf.nr_files] = equals + 1;
	fw_cfg->conf.file[fw_cfg->conf.nr_files++] = (struct fw_cfg_file){.name = name};
	return 0;
}

/* A mapping would change with the file, and fault where it is cut off: the guest gets a copy. */
static int load_file(struct config *config, unsigned i, struct diag *diag)
{
	struct fw_cfg_file *file = &config->fw_cfg.conf.file[i];
	const char *path = config->fw_cfg.path[i];
	struct file_map map = {0};
	uint8_t *copy = NULL;
	int r = file_map_open(&map, "fw_cfg file", path, diag);

	if (r < 0)
		return r;
	if (map.len > FILE_BYTES_MAX)
		r = diag_set(diag, -EFBIG, "fw-cfg-size", "%s '%s' is larger than %u MiB", option,
			     path, FILE_BYTES_MAX >> 20);
	if (r == 0)
		copy = config_alloc(config, map.len, diag);
	if (r == 0 && !copy)
		r = -ENOMEM;
	if (r == 0) {
		memcpy(copy, map.data, map.len);
		file->data = copy;
		file->len = (uint32_t)map.len;
		r = file_map_check(&map, "fw_cfg file", path, diag);
	}
	file_map_close(&map);
	return r;
}

int config_fw_cfg_load(struct config *config, struct diag *diag)
{
	struct fw_cfg_conf *conf = &config->fw_cfg.conf;
	int r = 0;

	conf->mem_bytes = config->vm.machine.mem_bytes;
	conf->cpus = (uint16_t)config->vm.machine.cpus;
	for (unsigned i = 0; r == 0 && i < conf->nr_files; i++)
		r = load_file(config, i, diag);
	return r;
}

static const struct option_row fw_cfg_rows[] = {
	{"fw-cfg", CONFIG_OPT_FW_CFG, "NAME=FILE",
	 .help = "QEMU's fw_cfg, with FILE as an item; repeatable\n"
		 "Linux has it in /sys/firmware/qemu_fw_cfg/by_name/NAME/raw",
	 .take = fw_cfg_take},
	{0},
};
const struct option_group config_fw_cfg_group = {"Devices", fw_cfg_rows};
