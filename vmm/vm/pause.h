/*
 * pause.h - stops a VM where nothing of it is half done, and lets it go on as if no time had passed: its vCPUs wait at
 * the gate (vcpu/gate.h) with their accesses complete, its I/O threads between two operations. The guest's clocks and
 * the VM's timeout stand still; the timeout goes on during a reset.
 *
 * Host operations under way, such as a disk's read, still end, and may write guest memory; the guest learns of
 * them once it goes on. The event thread goes on: consoles take output, and input waits in the devices.
 *
 * Threads: the event thread, while it runs the loop or before.
 */
#ifndef VMM_VM_PAUSE_H
#define VMM_VM_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"

struct vm;
struct arch_clocks;

/* Those who can stop a VM: it runs while none of them does. */
enum vm_pause_by {
	VM_PAUSED_BY_USER = 1 << 0,
	VM_PAUSED_BY_DEBUGGER = 1 << 1,
	VM_PAUSED_BY_CORE = 1 << 2,  /* while one is written */
	VM_PAUSED_BY_RESET = 1 << 3, /* while one is made */
};

struct vm_pause {
	unsigned at_start; /* enum vm_pause_by: vm_run() begins with a pause by these */
	unsigned by;       /* the same, now */
	struct arch_clocks *clocks;
	bool timeout_stopped; /* by all but a reset */
	int64_t timeout_left_ns;
};

/*
 * Waits for the vCPUs and I/O threads, for a few seconds at most. -errno with diag: the VM runs on as before, or is
 * about to end. -EALREADY: that one has paused it already.
 */
int vm_pause(struct vm *vm, unsigned by, struct diag *diag);

/* -EALREADY with diag: that one has not paused it. */
int vm_resume(struct vm *vm, enum vm_pause_by by, struct diag *diag);

bool vm_is_paused(const struct vm *vm);

/*
 * For a look at the vCPUs, a moment long: they are held, and nothing else is. Nothing is done for a VM that is paused.
 * As vm_pause(); after 0, vm_let_go() follows soon.
 */
int vm_hold(struct vm *vm, struct diag *diag);
void vm_let_go(struct vm *vm);

#endif
