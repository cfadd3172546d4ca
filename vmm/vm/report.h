/* report.h - reports for a person when a VM has ended. */
#ifndef VMM_VM_REPORT_H
#define VMM_VM_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "vm.h"

/* One line: which end, by whom, after how many resets if there were any, and the exit status. */
void report_end(FILE *out, const struct vm_end *end, uint64_t resets, int exit_status);

/* Whether the end was one that a report should follow. */
bool report_wanted(const struct vm_end *end);

/*
 * Each vCPU's stack; for the first eight also registers, instruction bytes, last exits, and what KVM said. With names
 * for addresses where there are some. After vm_run().
 */
void report_print(FILE *out, struct vm *vm);

/* A line for each device whose I/O thread does not end (vm_virtio.stuck). */
void report_stuck(FILE *out, const struct vm *vm);

/* A line for each device that had faults on purpose: how many of each kind. */
void report_faults(FILE *out, const struct vm *vm);

/* A Linux kernel is about to be booted on a KVM that emulates its code: what is to be expected. */
void report_emulates_linux(FILE *out);

#endif
