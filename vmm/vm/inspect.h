/*
 * inspect.h - looks into a running or paused guest, and what wakes one that hangs. vCPUs are held for the moment
 * that it takes.
 *
 * Threads: the event thread.
 */
#ifndef VMM_VM_INSPECT_H
#define VMM_VM_INSPECT_H

#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"

struct vm;

#define VM_ALL_VCPUS UINT_MAX

/* Of one vCPU, or of all. -errno with diag, as vm_hold(); nothing is printed then. */
int vm_print_registers(struct vm *vm, unsigned vcpu, FILE *out, struct diag *diag);
int vm_print_stacks(struct vm *vm, unsigned vcpu, FILE *out, struct diag *diag);

/* A non-maskable interrupt for one vCPU. -errno with diag. */
int vm_send_nmi(struct vm *vm, unsigned vcpu, struct diag *diag);

/* A break on the first serial port, and key after it: Linux's SysRq. -errno with diag when it takes no input. */
int vm_send_sysrq(struct vm *vm, uint8_t key, struct diag *diag);

#endif
