/*
 * stats.h - exit accounting: sums what vCPUs and buses counted, and shows it.
 *
 * The JSON document (`--stats=json:FILE`) is described in docs/stats.md.
 */
#ifndef VMM_STATS_H
#define VMM_STATS_H

#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"
#include "vm.h"

/* KVM exits of all vCPUs, by reason. */
struct stats_exits {
	uint64_t by_reason[VCPU_EXIT_REASONS];
	uint64_t total;
};

/* May run beside the vCPUs; each number is then a recent one. */
void stats_exits_sum(const struct vm *vm, struct stats_exits *ret);

/* Exits by reason and accesses by device range, as tables for a person. */
void stats_print(FILE *out, struct vm *vm);

/* KVM's own statistics that are not 0, where the host has KVM_GET_STATS_FD. */
void stats_print_kvm(FILE *out, const struct vm *vm);

/*
 * All of it, and how the VM ended, as one JSON document to the open file fd; path is for messages.
 * -errno with diag.
 */
int stats_write_json(int fd, const char *path, struct vm *vm, const struct vm_end *end,
		     int exit_status, struct diag *diag);

#endif
