/* balloon.h - --balloon: memory that the guest gives back. */
#ifndef VMM_CONFIG_BALLOON_H
#define VMM_CONFIG_BALLOON_H

#include <stdbool.h>

#include "base/diag.h"
#include "base/option_table.h"
#include "virtio/classes.h"

struct config;

extern const struct option_group config_balloon_group;

struct config_balloon {
	struct virtio_balloon_conf device;
	bool added; /* to the machine */
};

/* SIZE[,stats=SECONDS]. -EINVAL with diag. */
int config_balloon_option(struct config *config, const char *arg, struct diag *diag);

/* Checks it together with other options: -EINVAL with diag, or 0. */
int config_balloon_check(const struct config *config, struct diag *diag);

#endif
