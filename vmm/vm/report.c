#include "vm/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "virtio/transport.h"

enum { REPORT_REGISTERS_MAX = 8 }; /* vCPUs; of the others, the stack alone */

void report_end(FILE *out, const struct vm_end *end, uint64_t resets, int exit_status)
{
	fprintf(out, "tollgate: %s", vm_end_name(end->kind));
	if (end->kind == VM_END_EXIT_CODE)
		fprintf(out, " %" PRIu32, end->code);
	if (end->by)
		fprintf(out, " (%s)", end->by);
	if (resets)
		fprintf(out, ", after %" PRIu64 " reset%s", resets, resets == 1 ? "" : "s");
	fprintf(out, ", exit status %d\n", exit_status);
}

bool report_wanted(const struct vm_end *end)
{
	switch (end->kind) {
	case VM_END_PANIC:
	case VM_END_TRIPLE_FAULT:
	case VM_END_KVM_ERROR:
	case VM_END_HALTED:
	case VM_END_UNCLAIMED:
	case VM_END_TIMEOUT: return true;
	default: return false;
	}
}

/* KVM reports what happened, for experts. This says why, and how to go on. */
static void print_emulation(FILE *out, const char *backing, const char *module)
{
	if (!backing) {
		fprintf(out,
			"why: this host's KVM (%s) has %s, so it emulates guest kernel\n"
			"     code, and the instruction below is one it cannot emulate. The "
			"kernel\n"
			"     itself is not at fault.\n"
			"ways out:\n"
			"  - a host with %s (see `tollgate doctor`)\n"
			"  - a nested KVM (docs/guide/boot.md, 'A host without VMX or SVM')\n"
			"  - --cpu baseline, which hides CPU features from kernels that look for "
			"them\n",
			module[0] ? module : "unknown module", arch_backing_none, arch_backing_any);
		return;
	}
	fputs("why: hardware ran the guest, but this access KVM has to emulate, and it does not "
	      "know the\n"
	      "     instruction: device memory reached by a vector instruction, or code that runs\n"
	      "     outside RAM\n",
	      out);
}

void report_emulates_linux(FILE *out)
{
	struct diag diag = {0};
	char module[32];

	arch_backing_module(module, sizeof(module));
	diag_set(&diag, -EINVAL, "kvm-emulates",
		 "this host's KVM (%s) has %s: it emulates guest kernel code, so a Linux kernel "
		 "takes "
		 "minutes, or stops at an instruction that KVM cannot emulate",
		 module[0] ? module : "unknown module", arch_backing_none);
	fputs("tollgate: warning: ", out);
	diag_print(&diag, out);
	fprintf(out,
		"\n  remedy: a host with %s (see `tollgate doctor`), or a nested KVM "
		"(docs/guide/boot.md)\n",
		arch_backing_any);
}

static void print_registers(FILE *out, const struct vcpu *vcpu, const struct arch_view *view)
{
	char module[32];

	vcpu_print_error(out, vcpu, "  ");
	if (vcpu_error_is_emulation(vcpu))
		print_emulation(out, arch_backing_name(),
				arch_backing_module(module, sizeof(module)));
	arch_vcpu_print(out, view);
}

void report_print(FILE *out, struct vm *vm)
{
	struct arch_view view = {.mem = &vm->mem, .symbols = vm_symbols(vm)};

	vm_unclaimed_print(out, vm, view.symbols);
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		const struct vcpu *vcpu = &vm->vcpu[i];

		view.vcpu_fd = vcpu->fd;
		view.indent = "  ";
		fprintf(out, "vCPU %u:\n", i);
		if (i > 0 && arch_vcpu_halted(vcpu->fd) == ARCH_WAITS_FOR_CPU) {
			fprintf(out, "  not started\n");
			continue;
		}
		if (i < REPORT_REGISTERS_MAX)
			print_registers(out, vcpu, &view);
		view.indent = "    ";
		fprintf(out, "  stack:\n");
		arch_vcpu_print_stack(out, &view);
		if (i >= REPORT_REGISTERS_MAX)
			continue;
		fprintf(out, "  last exits, the latest last:\n");
		vcpu_print_history(out, vcpu, "    ");
	}
}

void report_stuck(FILE *out, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		struct diag diag = {0};
		const char *host_name;
		char waits_for[128];

		if (!vm->virtio[i] || !vm->virtio[i]->stuck)
			continue;
		host_name = virtio_device_of(vm->device[i])->host_name;
		diag_set(&diag, -EINVAL, "device-stuck",
			 "%s%s%s%s does not end: its thread waits for %s",
			 vm->machine.device[i].name, host_name ? " ('" : "",
			 host_name ? host_name : "", host_name ? "')" : "",
			 io_thread_waits_for(&vm->virtio[i]->io, waits_for, sizeof(waits_for)));
		fputs("tollgate: ", out);
		diag_print(&diag, out);
		fputc('\n', out);
	}
}

/* Their counters, whatever the device is, begin with the same word. */
static void print_faults(FILE *out, const char *name, const struct virtio_device *vd)
{
	static const char prefix[] = "fault_";
	const char *const *names = vd->cls->counter_names;
	const char *before = ": faults on purpose: ";

	for (unsigned c = 0; names && names[c]; c++) {
		const uint64_t n = __atomic_load_n(&vd->counter[c], __ATOMIC_RELAXED);

		if (n == 0 || strncmp(names[c], prefix, sizeof(prefix) - 1) != 0)
			continue;
		if (before[0] == ':')
			fputs(name, out);
		fprintf(out, "%s%" PRIu64 " %s", before, n, names[c] + sizeof(prefix) - 1);
		before = ", ";
	}
	if (before[0] != ':')
		fputc('\n', out);
}

void report_faults(FILE *out, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		if (vm->virtio[i] && vm->device[i])
			print_faults(out, vm->machine.device[i].name,
				     virtio_device_of(vm->device[i]));
}
