/*
 * unclaimed.h - ends a VM at its first access that no device claims, with who made it, for --end-on-unclaimed.
 *
 * Threads: made before the vCPUs run; it notes on the vCPU's thread; read after vm_run().
 */
#ifndef VMM_VM_UNCLAIMED_H
#define VMM_VM_UNCLAIMED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "iobus.h"

struct symbols;
struct vm;

struct vm_unclaimed {
	struct vm_unclaimed_bus {
		struct vm *vm;
		enum iobus_space space;
	} bus[2];
	/* The first access; under end_lock until the threads have been joined. */
	bool is_set, is_write;
	unsigned vcpu;
	uint64_t pc;   /* linear: where the vCPU was at the exit */
	uint64_t addr; /* physical, or a port */
	char text[64];
};

/* Watches both buses. */
void vm_unclaimed_watch(struct vm *vm);

/*
 * A line with the access, its vCPU and its instruction ("at" it, or "before" the next one), if that is how the VM
 * ended. After vm_run(). symbols NULL: no names.
 */
void vm_unclaimed_print(FILE *out, const struct vm *vm, const struct symbols *symbols);

#endif
