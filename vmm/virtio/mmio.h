/*
 * mmio.h - the virtio over MMIO transport (virtio 1.2, 4.2), version 2, for any virtio_class.
 *
 * One device_class serves all: the row's conf says which virtio device it has.
 *
 * The registers from InterruptStatus on, and the configuration space, only hold what was last put
 * there. They are kept in env.register_page where there is one, so a guest's interrupt handler reads them
 * without an exit; what lies before, QueueNotify above all, is on the page before, where KVM answers
 * a doorbell the fast way.
 *
 * Threads: registers run on any vCPU's thread, under the device's lock, which is never held while
 * something is waited for. The virtio device runs on the I/O thread alone: the vCPU leaves word
 * what is wanted (start, reset, configuration written) and calls doorbell.control. A reset is waited for,
 * VIRTIO_MMIO_RESET_WAIT_NS at most; status reads non-zero until it is done.
 */
#ifndef VMM_VIRTIO_MMIO_H
#define VMM_VIRTIO_MMIO_H

#include "device.h"
#include "virtio/transport.h"

enum {
	VIRTIO_MMIO_BYTES = 0x200, /* of the register range: 0x100 and the configuration space */
};

#define VIRTIO_MMIO_RESET_WAIT_NS (2 * NS_PER_S)

/*
 * A transport (virtio/transport.h). env: mem, irq, loop, doorbell, conf, and what the virtio class asks for.
 * register_page, or none. writes, or none: of VIRTIO_MMIO_INT_VRING to InterruptACK; then also clock and timer, on
 * the I/O thread.
 */
extern const struct device_class virtio_mmio_class;

/* virtio_reset() of this transport; waits for VIRTIO_MMIO_RESET_WAIT_NS at most. */
bool virtio_mmio_reset(struct device *dev);

/* virtio_is_reset() of this transport. */
bool virtio_mmio_is_reset(struct device *dev);

#endif
