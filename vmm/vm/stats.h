/*
 * stats.h - exit accounting: sums what vCPUs and buses counted, and shows it.
 *
 * The JSON document (`--stats=json:FILE`, and `stats` of the control socket) is described in docs/reference/stats.md.
 */
#ifndef VMM_VM_STATS_H
#define VMM_VM_STATS_H

#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"
#include "vm.h"

/* KVM exits of all vCPUs, by reason. */
struct stats_exits {
	uint64_t by_reason[VCPU_EXIT_REASONS];
	uint64_t total;
};

/* May run alongside the vCPUs; each number is then a recent one. */
void stats_exits_sum(const struct vm *vm, struct stats_exits *ret);

/* Exits by reason and accesses by device range, as tables for a person. After vm_run(). */
void stats_print(FILE *out, struct vm *vm);

/* Where KVM's own statistics are read; a descriptor, or -errno where the host has none. */
struct stats_kvm {
	int vm;
	int *vcpu; /* as vm->vcpu; NULL: none */
	unsigned nr_vcpus;
};

/* Not while vCPUs run: KVM would make us wait for them. Whatever fails is left out of the statistics. */
void stats_kvm_open(struct stats_kvm *kvm, const struct vm *vm);
void stats_kvm_close(struct stats_kvm *kvm); /* takes a zeroed one too */

/* Those that are not 0. */
void stats_print_kvm(FILE *out, const struct stats_kvm *kvm);

/*
 * All of it, and how the VM ended, as one JSON document to the open file fd; path is for messages.
 * -errno with diag.
 */
int stats_write_json(int fd, const char *path, struct vm *vm, const struct stats_kvm *kvm,
		     const struct vm_end *end, int exit_status, struct diag *diag);

/* The same of a VM that still runs, whose numbers are recent ones. Event thread. -ENOMEM with diag. */
int stats_print_json(FILE *out, struct vm *vm, const struct stats_kvm *kvm, struct diag *diag);

#endif
