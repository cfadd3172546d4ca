/*
 * halted.h - ends a VM that is over without having said so: each of its vCPUs has halted with interrupts
 * off, or waits for another one to start it.
 *
 * KVM does not report this. So the event thread looks at the CPU time of the vCPUs' threads, and when it has not
 * moved for a while it holds all vCPUs out of KVM_RUN for a moment and looks at their state. A guest that is
 * merely idle is looked at less and less often, and pays nothing between.
 */
#ifndef VMM_VM_HALTED_H
#define VMM_VM_HALTED_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/diag.h"
#include "event.h"
#include "vcpu/gate.h"

struct vm;

struct vm_halted {
	struct event_timer timer; /* zeroed: none */
	struct vcpu_gate gate;
	atomic_bool all_here;
	bool asked;        /* the gate is closed */
	int64_t cpu_ns;    /* of all vCPUs, at the last tick */
	unsigned quiet;    /* ticks without any since */
	unsigned patience; /* ticks that must be quiet before a look */
};

/* Once the event loop and the vCPUs are made; vm_run() starts it. -errno with diag. */
int vm_halted_build(struct vm *vm, struct diag *diag);
void vm_halted_start(struct vm *vm);

/* Event thread: nobody looks, and none is held for a look; then as before. */
void vm_halted_suspend(struct vm *vm);
void vm_halted_resume(struct vm *vm);

/* From the loop's woken function. */
void vm_halted_woken(struct vm *vm);

/* The VM has ended: vCPUs that are held go on. Any thread, with or without end_lock. */
void vm_halted_release(struct vm *vm);

void vm_halted_fini(struct vm *vm); /* the vCPUs are joined; takes one that was not built */

#endif
