#include "report.h"

#include <inttypes.h>

enum { REPORT_VCPUS_MAX = 8 };

void report_end(FILE *out, const struct vm_end *end, int exit_status)
{
	fprintf(out, "tollgate: %s", vm_end_name(end->kind));
	if (end->kind == VM_END_EXIT_CODE)
		fprintf(out, " %" PRIu32, end->code);
	if (end->by)
		fprintf(out, " (%s)", end->by);
	fprintf(out, ", exit status %d\n", exit_status);
}

bool report_wanted(const struct vm_end *end)
{
	switch (end->kind) {
	case VM_END_PANIC:
	case VM_END_TRIPLE_FAULT:
	case VM_END_KVM_ERROR:
	case VM_END_TIMEOUT: return true;
	default: return false;
	}
}

void report_print(FILE *out, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		const struct vcpu *vcpu = &vm->vcpu[i];

		if (i == REPORT_VCPUS_MAX) {
			fprintf(out, "and %u more vCPUs\n", vm->nr_vcpus - i);
			break;
		}
		fprintf(out, "vCPU %u:\n", i);
		vcpu_print_error(out, vcpu, "  ");
		arch_vcpu_print(out, vcpu->fd, &vm->mem, "  ");
		fprintf(out, "  last exits, the latest last:\n");
		vcpu_print_history(out, vcpu, "    ");
	}
}
