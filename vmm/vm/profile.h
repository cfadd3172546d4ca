/*
 * profile.h - what the notes of all vCPUs (vcpu/profile.h) say: which function makes which exits.
 *
 * Threads: the event thread, or after vm_run().
 */
#ifndef VMM_VM_PROFILE_H
#define VMM_VM_PROFILE_H

#include <stdio.h>

#include "base/diag.h"

struct vm;

/* A table, the most frequent first. Holds the vCPUs: -errno with diag, as vm_hold(); -EINVAL without --profile. */
int vm_profile_print(struct vm *vm, FILE *out, struct diag *diag);

/* After vm_run(): the same table, and "FUNCTION;EXIT COUNT" per line, as flame graphs' programs take it. -ENOMEM. */
int vm_profile_print_end(struct vm *vm, FILE *out);
int vm_profile_write_folded(struct vm *vm, FILE *out);

#endif
