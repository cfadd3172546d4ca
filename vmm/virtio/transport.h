/*
 * transport.h - how a guest reaches a virtio device (virtio 1.2, 4), whichever way that is.
 *
 * A transport is a device_class that serves every virtio_class. This is all that a virtio device, the
 * statistics, the control socket and the VM know of it. A transport's own header, as mmio.h, is
 * for transport.c, which lists them, and for config/rows.c, which chooses one.
 */
#ifndef VMM_VIRTIO_TRANSPORT_H
#define VMM_VIRTIO_TRANSPORT_H

#include <stdbool.h>

#include "device.h"
#include "virtio/virtio.h"

/* device_env.conf of every transport; borrowed. */
struct virtio_conf {
	const struct virtio_class *cls;
	const void *conf; /* handed to cls->init */
	const char *name; /* the row's */
};

/* Operations that a virtio device asks of its transport, by the functions of virtio.c. I/O thread only. */
struct virtio_transport_ops {
	void (*interrupt)(struct virtio_device *vd); /* buffers were used */
	void (*config_set)(struct virtio_device *vd, unsigned off, const void *bytes, unsigned len);
	void (*needs_reset)(struct virtio_device *vd, const char *why);
};

/* First member of every transport's state. */
struct virtio_transport {
	struct device dev;
	struct virtio_device *vd; /* owned; set by init */
};

/* Whether devices of that class are transports. */
bool virtio_is_transport(const struct device_class *cls);

/* The virtio device of a device of a transport's class. Borrowed, as long as dev. Any thread. */
struct virtio_device *virtio_device_of(struct device *dev);

/*
 * Operations as a character device of a device of cls made with conf; those of a transport are its
 * virtio device's. NULL when it is not one.
 */
const struct char_ops *virtio_char_ops(const struct device_class *cls, const void *conf);

/* The role of the I/O thread of such a device; THREAD_IO for one that is not a virtio device. */
enum thread_role virtio_io_role(const struct device_class *cls, const void *conf);

/*
 * Resets a device of a transport's class as a driver does that writes 0 to its status, and waits for a bounded time.
 * True once it is reset: it touches no guest memory then. For a device that is off the bus; not on its I/O thread.
 */
bool virtio_reset(struct device *dev);

/* Whether a reset of virtio_reset() is over. Does not wait. */
bool virtio_is_reset(struct device *dev);

#endif
