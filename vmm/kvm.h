/*
 * kvm.h - /dev/kvm and one VM on it. With vcpu.c, ioeventfd.c, kvm/irq.c and arch/ the only user of
 * <linux/kvm.h>.
 *
 * Source for all of it: the kernel's Documentation/virt/kvm/api.rst.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "mem.h"

#define KVM_DEVICE_PATH "/dev/kvm"

struct kvm {
	int fd;            /* /dev/kvm; -1 when closed */
	int vm_fd;         /* -1 before kvm_vm_create() */
	size_t run_bytes;  /* the mapping of a vCPU's struct kvm_run */
	unsigned nr_slots; /* memory slots that have an owner */
};

/*
 * Opens /dev/kvm and checks the API version. On failure diag says what is missing and how it is
 * mended (module, group, device node); kvm is safe to close.
 */
int kvm_open(struct kvm *kvm, struct diag *diag);
void kvm_close(struct kvm *kvm);

/* KVM_CHECK_EXTENSION, on the VM when there is one; 0 when the host lacks it. */
int kvm_cap(const struct kvm *kvm, int cap);

/* KVM_CREATE_VM. */
int kvm_vm_create(struct kvm *kvm, struct diag *diag);
void kvm_vm_close(struct kvm *kvm); /* vCPUs are closed; takes one without a VM too */

/*
 * The id of a memory slot that nobody else has: RAM, pages of registers and whatever else is in guest
 * memory share one numbering, which begins here. Not given back; building thread only.
 */
unsigned kvm_mem_slot_new(struct kvm *kvm);

/*
 * KVM_SET_USER_MEMORY_REGION: the guest finds host at [gpa, gpa + len). Its writes are MMIO exits where
 * that is read-only (needs kvm_has_readonly_mem()). len 0 takes the slot back. Returns 0 or -errno. Time:
 * see kvm_mem_slots_set().
 */
int kvm_mem_slot_set(const struct kvm *kvm, unsigned slot, uint64_t gpa, uint64_t len, void *host,
		     bool readonly);

/* Whether memory slots can be read-only. */
bool kvm_has_readonly_mem(const struct kvm *kvm);

/* A new memory slot for each region of mem. Before arch_irqchip_create(): later it costs 5 ms each. */
int kvm_mem_slots_set(struct kvm *kvm, const struct guest_mem *mem, struct diag *diag);

#endif
