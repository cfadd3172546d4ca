/*
 * io_devices.h - what a VM has for each device with an I/O thread: the thread, its doorbells, its
 * interrupt and the page of its registers. For vm/devices.c, which calls these in the order they are here.
 */
#ifndef VMM_VM_IO_DEVICES_H
#define VMM_VM_IO_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "device.h"
#include "event.h"
#include "event/guest_clock.h"
#include "event/io_thread.h"
#include "kvm/irq.h"
#include "machine.h"

struct vm;

struct vm_virtio {
	struct io_thread io;
	struct irq_eventfd irq;
	struct guest_timer timer; /* on the I/O thread */
	uint8_t *register_page;   /* NULL: reads of the registers are exits */
	unsigned slot;            /* memory slot of register_page */
	bool in_memory;           /* the guest finds it in its memory */
	bool stuck;               /* the thread did not end when it was asked to */
};

struct vm_virtio_opts {
	bool no_ioeventfd, no_irqfd; /* every doorbell an exit; every interrupt an ioctl */
	bool no_register_pages;      /* every read an exit */
};

/* One struct vm_virtio per device with an I/O thread. -ENOMEM with diag; vm_virtio_free() takes what is there. */
int vm_virtio_alloc(struct vm *vm, struct diag *diag);

/* Registers as memory, where the host can; while memory slots are cheap. */
void vm_virtio_show_pages(struct vm *vm, const struct vm_virtio_opts *opts);

/* Adds to what device[i] is handed; nothing for a device without an I/O thread. */
int vm_virtio_build_env(struct vm *vm, unsigned i, const struct vm_virtio_opts *opts,
			struct device_env *env, struct diag *diag);

/* After device[i] was made: its doorbells. */
int vm_virtio_build_doorbells(struct vm *vm, unsigned i, const struct vm_virtio_opts *opts,
			      struct diag *diag);

/* Operations of a row's device as a character device, or NULL when it is not one. */
const struct char_ops *vm_virtio_char_ops(const struct machine_device *row);

/* Before the vCPUs start, and after they have ended. stop: false when a thread does not end. */
int vm_virtio_start(struct vm *vm, struct diag *diag);
bool vm_virtio_stop(struct vm *vm);

/*
 * While the vCPUs are held: each I/O thread waits between two operations, and the interrupt chips have what it
 * signalled. false, with *ret_stuck a device whose thread the host does not let go before until_ns of CLOCK_MONOTONIC.
 * unpark: they go on, also after a failure.
 */
bool vm_virtio_park(struct vm *vm, int64_t until_ns, unsigned *ret_stuck);
void vm_virtio_unpark(struct vm *vm);

/*
 * Event thread: device[i]'s I/O thread waits between two operations, for a call into the device that is its own. Nothing
 * is done for a VM that is paused. -ETIMEDOUT with diag; after 0, vm_virtio_let_go() follows soon.
 */
int vm_virtio_hold(struct vm *vm, unsigned i, struct diag *diag);
void vm_virtio_let_go(struct vm *vm, unsigned i);

/*
 * While the guest runs: after hide, each access to device[i] is an exit, as KVM has neither page nor doorbell of it;
 * show is the reverse. For a device with an I/O thread. On failure nothing has changed; -errno with diag. A host
 * that does not take the page back makes an exit of each read, which is slower and no error.
 */
int vm_virtio_hide(struct vm *vm, unsigned i, struct diag *diag);
int vm_virtio_show(struct vm *vm, unsigned i, struct diag *diag);

/* Teardown: KVM rings no bell and takes no interrupt any more; then, without devices, the rest. */
void vm_virtio_disconnect(struct vm *vm);
void vm_virtio_fini(struct vm *vm);
void vm_virtio_free(struct vm *vm); /* after KVM's VM is closed, which shows the pages */

#endif
