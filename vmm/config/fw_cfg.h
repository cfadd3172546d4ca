/* fw_cfg.h - --fw-cfg: QEMU's configuration device, and files that the guest reads there. */
#ifndef VMM_CONFIG_FW_CFG_H
#define VMM_CONFIG_FW_CFG_H

#include <stdbool.h>

#include "base/diag.h"
#include "base/option_table.h"
#include "devices/classes.h"

struct config;

struct config_fw_cfg {
	struct fw_cfg_conf conf;            /* of the device; config_fw_cfg_load() completes it */
	const char *path[FW_CFG_FILES_MAX]; /* of the files, in the same order */
	bool present;                       /* the device is in the machine */
};

extern const struct option_group config_fw_cfg_group;

/* Adds the device, once however often it is asked for. -EINVAL with diag. */
int config_fw_cfg_add(struct config *config, struct diag *diag);

/*
 * Before the device is made, with all options taken: reads the files into memory that config owns. -errno with diag for
 * one that cannot be read, is larger than 16 MiB, or is written to meanwhile.
 */
int config_fw_cfg_load(struct config *config, struct diag *diag);

#endif
