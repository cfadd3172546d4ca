/*
 * reset.h - starts the machine again without a new process: for a guest that resets itself, for `control PATH reset`,
 * and for gdb's `run`. docs/guide/control.md, "Reset", says what stays.
 *
 * vCPUs and I/O threads stand as in a pause (pause.h); devices are reset by their class and their transport; KVM's
 * state and guest memory are made what they were before the first instruction, from copies.
 *
 * Threads: the event thread, but for vm_reset_takes().
 */
#ifndef VMM_VM_RESET_H
#define VMM_VM_RESET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "device/lines.h"
#include "vm/memory_copy.h"

struct arch_start;
struct vm;

struct vm_reset {
	bool by_guest; /* a guest that resets itself is started again, and the VM does not end */
	bool wanted;   /* by the guest, for why; under end_lock */
	struct vm_end why;
	struct arch_start *start; /* NULL: nothing is kept, and no reset is possible */
	struct memory_copy memory;
	uint64_t count;      /* resets so far */
	struct diag failure; /* of one that ended the VM; err 0: none. After vm_run() */
};

/*
 * Starts the machine again; if it is paused, it stays so. -ENOTSUP with diag when nothing of the start was kept; others
 * as vm_pause(), and the VM runs on. A later failure ends the VM, and 0 is returned.
 */
int vm_reset(struct vm *vm, struct diag *diag);

/*
 * For vm_end(), under end_lock, on any thread: whether this end is a reset that the guest wanted and that
 * vm_reset_woken() will make. No vCPU makes a further access before that.
 */
bool vm_reset_takes(struct vm *vm, const struct vm_end *end);

/* From the loop's woken function. */
void vm_reset_woken(struct vm *vm);

#endif
