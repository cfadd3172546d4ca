/*
 * virtio.h - what a virtio device offers (struct virtio_class) and what its transport does for it.
 *
 * The transport (transport.h) keeps registers, features, status and interrupts; a device sees queues that
 * are live and whole, and the bytes of its configuration space. Names are virtio 1.2's; numbers come
 * from the kernel's <linux/virtio_*.h>.
 *
 * Threads: each virtio device has an I/O thread with an event loop of its own. start, stop, reset, end, kick, control
 * and whatever the device added to that loop run there, so a device needs no lock, and a back end that is
 * slow holds up only its own device. A vCPU that resets the device waits until stop has returned, but
 * not forever: the status register reads non-zero until then. init and fini run while there is no
 * such thread.
 */
#ifndef VMM_VIRTIO_VIRTIO_H
#define VMM_VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/thread.h"
#include "device.h"
#include "event.h"
#include "virtio/queue.h"

enum {
	VIRTIO_QUEUES_MAX = 34, /* of one device: 16 pairs for net, its control queue, one spare */
	VIRTIO_CONFIG_BYTES_MAX = 256, /* the configuration space of a device */
	VIRTIO_COUNTERS_MAX = 16,      /* that a device has of its own */
};

struct virtio_device;
struct virtio_transport_ops;

struct virtio_class {
	const char *name;                 /* "block": as in "virtio block" */
	uint32_t device_id;               /* virtio 1.2, 5: Device Types */
	const char *const *counter_names; /* keys of vd->counter[], up to a NULL; NULL: none */
	enum thread_role io_role;         /* of its I/O thread; 0: THREAD_IO */
	size_t state_size;                /* a struct that begins with a struct virtio_device */
	/*
	 * Fills in features, nr_queues, queue_size[], config and config_len, and opens what it needs.
	 * conf is the class's own (virtio_conf.conf). -errno with diag.
	 */
	int (*init)(struct virtio_device *vd, const void *conf, struct diag *diag);
	void (*fini)(struct virtio_device *vd); /* may be NULL; also after a failed init */
	/* The driver said DRIVER_OK: vd->acked and the live queues are final. */
	void (*start)(struct virtio_device *vd); /* may be NULL */
	/* Returns when no request is under way any more: no guest memory is touched until start. */
	void (*stop)(struct virtio_device *vd); /* may be NULL */
	/*
	 * The driver or the VMM resets the device, which is stopped: what the driver may write of config becomes
	 * what it was after init. Called for each reset once the driver has written there or has begun; NULL for a
	 * device whose config is read-only.
	 */
	void (*reset)(struct virtio_device *vd);
	/*
	 * The VM is over, and the device stopped: closes what the host may take long to close, because the
	 * end waits for this thread as long as is reasonable, and for fini without end. May be NULL.
	 */
	void (*end)(struct virtio_device *vd);
	/*
	 * The driver made buffers of this queue available, perhaps; also once for each live queue after
	 * start. Not called for a queue that is not live, nor once the device needs a reset.
	 */
	void (*kick)(struct virtio_device *vd, unsigned queue);
	/*
	 * The driver wrote len bytes at off of config, where they are already; several writes since the
	 * last call are reported as one span around them. Also while the device is stopped. NULL: config is
	 * read-only.
	 */
	void (*config_written)(struct virtio_device *vd, unsigned off, unsigned len);
	/*
	 * doorbell.control was called, for the device itself or for its transport. Does what a function of
	 * the class left to do from another thread. Also while the device is stopped. May be NULL.
	 */
	void (*control)(struct virtio_device *vd);
	const struct char_ops
		*chr; /* NULL unless a character device; with the transport's device */
};

/* First member of every virtio device's state. */
struct virtio_device {
	const struct virtio_class *cls;
	const struct virtio_transport_ops *transport;
	struct device *dev;           /* the transport's, for its own use */
	const struct device_env *env; /* clock, mem and chr; borrowed */
	struct event_loop *loop;      /* of its I/O thread; borrowed */
	const char *name;             /* of its row: "disk0" */
	const char *host_name;        /* set by init: the file or interface of the host, or NULL */

	/*
	 * Set by init, constant then. VIRTIO_F_VERSION_1, INDIRECT_DESC and EVENT_IDX are the
	 * transport's; VIRTIO_F_IN_ORDER is for a device that pushes chains in the order it took them.
	 */
	uint64_t features;
	unsigned nr_queues;
	uint16_t queue_size[VIRTIO_QUEUES_MAX]; /* largest; a power of two */
	unsigned config_len;

	uint8_t config
		[VIRTIO_CONFIG_BYTES_MAX]; /* little-endian; after init: virtio_config_set() */
	uint64_t acked;                    /* features both sides want; valid from start to stop */
	bool broken;                       /* needs a reset: I/O thread */
	struct virtq queue[VIRTIO_QUEUES_MAX];

	/* Since the VM started; written by the I/O thread, read by statistics: __ATOMIC_RELAXED. */
	uint64_t kicks[VIRTIO_QUEUES_MAX];     /* calls of cls->kick for the driver */
	uint64_t counter[VIRTIO_COUNTERS_MAX]; /* as cls->counter_names says */
	uint64_t resets_needed;
	const char *reset_why; /* the last one; NULL: none yet */
};

/* Whether a feature bit was negotiated. From start to stop. */
static inline bool virtio_has(const struct virtio_device *vd, unsigned feature)
{
	return vd->acked >> feature & 1;
}

/*
 * All below: I/O thread only.
 */

static inline void virtio_count(struct virtio_device *vd, unsigned counter, uint64_t n)
{
	__atomic_store_n(&vd->counter[counter], vd->counter[counter] + n, __ATOMIC_RELAXED);
}

/* Shows the driver what was pushed onto the queue, and interrupts it if it wants that. */
void virtio_publish(struct virtio_device *vd, unsigned queue);

/* Changes bytes of config, counts the configuration up and notifies the driver. */
void virtio_config_set(struct virtio_device *vd, unsigned off, const void *bytes, unsigned len);

/*
 * The driver broke the rules: DEVICE_NEEDS_RESET, with an interrupt (2.1.2). Kicks are ignored until
 * it has reset the device; requests under way may still be pushed. why is a literal, for --stats.
 */
void virtio_needs_reset(struct virtio_device *vd, const char *why);

/*
 * virtq_pop(), with a broken ring answered by virtio_needs_reset(): true with a chain, false when there
 * is none to work on.
 */
bool virtio_pop(struct virtio_device *vd, unsigned queue, struct iovec *iov, unsigned iov_max,
		struct virtq_chain *ret);

#endif
