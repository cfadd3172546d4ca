/*
 * net.h - the virtio network device (virtio 1.2, 5.1) in front of a back end of backend/net.h.
 */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/net.h"
#include "virtio/virtio.h"

/* The class's conf; borrowed while init runs. */
struct virtio_net_conf {
	net_backend_open_fn *open;
	const void *opts; /* of open */
	bool has_mac;
	uint8_t mac[6]; /* else one is derived from the names of the row and of the back end */
};

/* env: clock, mem, loop, doorbell. */
extern const struct virtio_class virtio_net_class;

#endif
