/* share.h - the option --share DIR[,tag=NAME][,ro]. */
#ifndef VMM_CONFIG_SHARE_H
#define VMM_CONFIG_SHARE_H

#include "base/diag.h"
#include "base/option_table.h"
#include "virtio/classes.h"

enum { CONFIG_SHARES_MAX = 16 };

struct config;

extern const struct option_group config_share_group;

/* A directory that was asked for. conf points into it. */
struct config_share {
	struct virtio_fs_conf conf;
	char *path; /* conf.fs.path */
	char tag[VIRTIO_FS_TAG_MAX + 1];
};

/* Adds the next share, "share0" and so on. Nothing is opened yet. -EINVAL with diag. */
int config_share_add(struct config *config, const char *arg, struct diag *diag);

#endif
