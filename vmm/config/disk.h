/* disk.h - the option --disk FILE[,ro][,cow][,direct][,id=NAME][,queues=N][,fault=SPEC]... */
#ifndef VMM_CONFIG_DISK_H
#define VMM_CONFIG_DISK_H

#include "base/diag.h"
#include "base/option_table.h"
#include "virtio/classes.h"

struct config;

extern const struct option_group config_disk_group;

/* A disk that was asked for. conf points into it. */
struct config_disk {
	struct virtio_blk_conf conf;
	char *path;          /* conf.disk.path */
	struct diag warning; /* once it was opened */
	char id[VIRTIO_BLK_ID_MAX + 1];
	struct fault_rules faults; /* conf.disk.faults, if there are any */
};

/* Adds the next disk, "disk0" and so on. Nothing is opened yet. -EINVAL with diag. */
int config_disk_add(struct config *config, const char *arg, struct diag *diag);

#endif
