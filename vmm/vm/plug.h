/*
 * plug.h - puts the devices of a VM on its buses and takes them off, also while the guest runs.
 *
 * An unplugged device is not destroyed: its ranges are off the bus, so the guest reads all ones there and its
 * writes are dropped; both are counted as unclaimed. All that KVM answers in the device's place goes first: the
 * page of its registers, its doorbells and the zones of collected writes. A chip keeps its state, its timer and its
 * back end, and its interrupt line is low until it is back. A virtio device is reset, and touches no guest memory.
 *
 * Threads: the event thread, or the one that makes the VM. No device lock may be held. Both wait for the vCPUs'
 * accesses under way and for the virtio device, for a few seconds at most where the host does not answer it.
 */
#ifndef VMM_VM_PLUG_H
#define VMM_VM_PLUG_H

#include "base/diag.h"
#include "iobus.h"
#include "machine.h"

struct vm;

/* The ranges of machine.device[i] in that space, as they go on the bus. Returns how many. */
unsigned vm_device_ranges(struct vm *vm, unsigned i, enum iobus_space space,
			  struct iobus_range ret[MACHINE_RANGES_MAX]);

/* Takes those ranges off the bus; ranges that are not on it stay so. */
void vm_device_ranges_remove(struct vm *vm, unsigned i, enum iobus_space space);

/* Lets KVM collect writes to device[i] where its class allows that. A host that lacks it makes exits of them. */
void vm_device_collect(struct vm *vm, unsigned i);

/*
 * Takes device[i] off the bus. -EALREADY when it is off; -ETIMEDOUT when it is off now, but the host does not answer
 * what the virtio device asked for, so it may still use guest memory. On other errors nothing has changed. All with
 * diag.
 */
int vm_unplug(struct vm *vm, unsigned i, struct diag *diag);

/*
 * Puts device[i] back. -EALREADY when it is on the bus; -EBUSY after -ETIMEDOUT of vm_unplug(), until the host has
 * answered. On errors nothing has changed. All with diag.
 */
int vm_plug(struct vm *vm, unsigned i, struct diag *diag);

#endif
