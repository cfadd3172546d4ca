/*
 * rom_page.h - a page of the VMM's that the guest finds in its memory and cannot write to: the registers
 * of a device whose reads need no exit.
 */
#ifndef VMM_KVM_ROM_PAGE_H
#define VMM_KVM_ROM_PAGE_H

#include <stdint.h>

#include "kvm.h"

enum { KVM_PAGE_BYTES = 4096 };

/*
 * Makes a page that reads as all ones and shows it at gpa, which is page-aligned, in a memory slot of its
 * own. To be called before the interrupt chips are made, while a slot is cheap. Returns 0, -ENOTSUP where
 * KVM has no read-only slots, or -errno; the guest is as well off without, only slower.
 */
int kvm_page_create(const struct kvm *kvm, unsigned slot, uint64_t gpa, uint8_t **ret_page);

/* Takes such a page out of the guest's memory, or puts it back there. 0 or -errno, with nothing changed. */
int kvm_page_remove(const struct kvm *kvm, unsigned slot, uint64_t gpa, uint8_t *page);
int kvm_page_put_back(const struct kvm *kvm, unsigned slot, uint64_t gpa, uint8_t *page);

void kvm_page_destroy(uint8_t *page); /* takes NULL; after the VM is closed, which shows it */

#endif
