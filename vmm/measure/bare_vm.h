/*
 * bare_vm.h - a VM of memory and interrupt chips, in which a guest goes on that another VM has started. Its memory is a
 * copy, so what the guest does there does not count in the other.
 */
#ifndef VMM_MEASURE_BARE_VM_H
#define VMM_MEASURE_BARE_VM_H

#include <stdbool.h>

#include "base/diag.h"
#include "vm.h"

struct bare_vm {
	struct kvm kvm;
	struct guest_mem mem;
	struct vcpu *vcpu; /* each for the thread of the other VM's vCPU of the same index */
	unsigned nr_vcpus;
	bool is_open;
};

struct bare_vm_opts {
	struct iobus *pio, *mmio; /* of the dispatch; borrowed */
	unsigned vcpus;           /* at most as many as the other VM has */
	unsigned slots;           /* memory slots besides the RAM's; the guest does not use them */
};

/*
 * of: the VM whose guest it is to take; borrowed. After a failure, too, bare_vm_fini() takes it, and it takes a zeroed
 * one. -errno with diag.
 */
int bare_vm_init(struct bare_vm *bare, struct vm *of, const struct bare_vm_opts *opts,
		 struct diag *diag);
void bare_vm_fini(struct bare_vm *bare);

/* All memory that the hammer kernel uses. While no vCPU of either is in KVM_RUN. */
void bare_vm_copy_memory(struct bare_vm *bare, const struct vm *of);

/*
 * The state of a vCPU of the other VM, to that of the same index; each on its thread, as arch_vcpu_copy() says. False:
 * the other VM has been ended.
 */
bool bare_vm_copy_vcpu(struct bare_vm *bare, struct vm *of, unsigned index);

#endif
