/*
 * symbols.h - names for a guest's addresses. In this order: those of --symbols; a small kernel's own symbol table; the
 * kallsyms tables that a Linux kernel has in its memory. They are looked for when they are first wanted.
 *
 * Threads: the event thread, or after vm_run().
 */
#ifndef VMM_VM_SYMBOLS_H
#define VMM_VM_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"
#include "symbols.h"

struct vm;

struct vm_symbols {
	struct symbols *table; /* NULL: none yet */
	bool is_placed;        /* its addresses are those of the guest */
	bool is_given;         /* by --symbols */
	bool is_found;         /* in the guest's memory */
	uint64_t moved;        /* by so much, to where Linux has moved itself */
};

/* With all vCPUs held or joined. NULL: there are none now. The VM's, until the VM is gone. */
const struct symbols *vm_symbols(struct vm *vm);

/* The guest starts again, and may be elsewhere. */
void vm_symbols_forget(struct vm *vm);

/* Prints the symbol of an address, as a line. -EINVAL with diag when there is none, others as vm_hold(). */
int vm_print_symbol(struct vm *vm, uint64_t addr, FILE *out, struct diag *diag);

/* Starts what reads source lines for a report, which cannot be started once this thread is confined. */
void vm_symbols_prepare(struct vm *vm);

#endif
