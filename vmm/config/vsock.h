/* vsock.h - --vsock: sockets between the guest and the host. */
#ifndef VMM_CONFIG_VSOCK_H
#define VMM_CONFIG_VSOCK_H

#include "base/diag.h"
#include "base/option_table.h"
#include "virtio/classes.h"

struct config;

struct config_vsock {
	struct virtio_vsock_conf device; /* path NULL: none */
};

extern const struct option_group config_vsock_group;

/* Takes the value of --vsock: PATH[,cid=N]. -EINVAL with diag. */
int config_vsock_option(struct config *config, const char *arg, struct diag *diag);

#endif
