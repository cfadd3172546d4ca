/*
 * internal.h - what the two sides of the transport share: mmio.c, the registers on vCPUs' threads, and
 * mmio/io.c, the device on its I/O thread. For these two alone.
 */
#ifndef VMM_VIRTIO_MMIO_INTERNAL_H
#define VMM_VIRTIO_MMIO_INTERNAL_H

#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "virtio/mmio.h"

enum {
	VIRTIO_MMIO_PAGE_FROM = VIRTIO_MMIO_INTERRUPT_STATUS,
	VIRTIO_MMIO_PAGE_BYTES = VIRTIO_MMIO_BYTES - VIRTIO_MMIO_PAGE_FROM,
};

struct virtio_mmio {
	struct virtio_transport
		transport; /* its lock guards everything but vd, which is the I/O thread's */
	struct device_env env;

	/* Registers from VIRTIO_MMIO_PAGE_FROM on, little-endian; the guest may read them at any time. */
	uint32_t *regs;
	uint32_t own_regs[VIRTIO_MMIO_PAGE_BYTES / sizeof(uint32_t)]; /* where there is no page */

	uint32_t device_features_sel, driver_features_sel, queue_sel;
	uint64_t driver_features;

	bool ack_awaited; /* I/O thread: the timer or the watch is on for it */

	pthread_cond_t reset_done;
	bool reset_wanted;               /* by a vCPU, until the I/O thread has done it */
	bool start_wanted;               /* the same */
	bool running;                    /* between start and stop; written by the I/O thread */
	unsigned dirty_first, dirty_end; /* configuration that the driver wrote; empty: none */
	bool config_changed;             /* by the driver since the last reset */
};

static inline struct virtio_mmio *virtio_mmio_of(struct device *dev)
{
	return container_of(dev, struct virtio_mmio, transport.dev);
}

/* The register at off, which is at least VIRTIO_MMIO_PAGE_FROM. */
static inline uint32_t *reg_at(const struct virtio_mmio *m, uint32_t off)
{
	return &m->regs[(off - VIRTIO_MMIO_PAGE_FROM) / sizeof(uint32_t)];
}

static inline uint32_t reg_get(const struct virtio_mmio *m, uint32_t off)
{
	return le32toh(__atomic_load_n(reg_at(m, off), __ATOMIC_SEQ_CST));
}

static inline void reg_set(struct virtio_mmio *m, uint32_t off, uint32_t val)
{
	__atomic_store_n(reg_at(m, off), htole32(val), __ATOMIC_SEQ_CST);
}

/* The status that the driver has set so far, and whether the device needs a reset. */
static inline uint32_t status_get(const struct virtio_mmio *m)
{
	return reg_get(m, VIRTIO_MMIO_STATUS);
}

/* The registers after a reset (2.4, 4.2.2.1). Under the lock, while the device does not run. */
void virtio_mmio_reset_registers(struct virtio_mmio *m);

/* The driver's writes to the configuration that the device has not heard of yet are none. Under the lock. */
void virtio_mmio_forget_writes(struct virtio_mmio *m);

/* Updates these bytes of the device's configuration space. */
void virtio_mmio_put_config(struct virtio_mmio *m, unsigned off, unsigned len);

/* mmio/io.c: what the device asks of its transport, and the ops of virtio_mmio_class on the I/O thread. */
extern const struct virtio_transport_ops virtio_mmio_transport;
extern const struct device_io_ops virtio_mmio_io;
void virtio_mmio_expire(struct device *dev);

#endif
