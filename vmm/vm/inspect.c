#include "vm/inspect.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "vm.h"

typedef void print_vcpu_fn(FILE *out, const struct arch_view *view);

static int check_vcpu(const struct vm *vm, unsigned vcpu, struct diag *diag)
{
	if (vcpu == VM_ALL_VCPUS || vcpu < vm->nr_vcpus)
		return 0;
	diag_set(diag, -EINVAL, "vcpu-none", "this VM has no vCPU %u", vcpu);
	diag_remedy(diag, "its vCPUs are 0 to %u", vm->nr_vcpus - 1);
	return -EINVAL;
}

static int print_vcpus(struct vm *vm, unsigned which, print_vcpu_fn *print, FILE *out,
		       struct diag *diag)
{
	struct arch_view view = {.mem = &vm->mem, .indent = "  "};
	int r = check_vcpu(vm, which, diag);

	if (r == 0)
		r = vm_hold(vm, diag);
	if (r < 0)
		return r;
	view.symbols = vm_symbols(vm);
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		view.vcpu_fd = vm->vcpu[i].fd;
		if (which != VM_ALL_VCPUS && which != i)
			continue;
		fprintf(out, "vCPU %u:\n", i);
		if (arch_vcpu_halted(vm->vcpu[i].fd) == ARCH_WAITS_FOR_CPU)
			fputs("  not started\n", out);
		else
			print(out, &view);
	}
	vm_let_go(vm);
	return 0;
}

int vm_print_registers(struct vm *vm, unsigned vcpu, FILE *out, struct diag *diag)
{
	return print_vcpus(vm, vcpu, arch_vcpu_print, out, diag);
}

int vm_print_stacks(struct vm *vm, unsigned vcpu, FILE *out, struct diag *diag)
{
	return print_vcpus(vm, vcpu, arch_vcpu_print_stack, out, diag);
}

int vm_send_nmi(struct vm *vm, unsigned vcpu, struct diag *diag)
{
	int r = check_vcpu(vm, vcpu, diag);

	if (r == 0)
		r = vm_hold(vm, diag);
	if (r < 0)
		return r;
	if (arch_vcpu_halted(vm->vcpu[vcpu].fd) == ARCH_WAITS_FOR_CPU) {
		diag_set(diag, -EINVAL, "nmi-not-started", "vCPU %u has not been started", vcpu);
		r = -EINVAL;
	} else {
		r = arch_vcpu_nmi(vm->vcpu[vcpu].fd);
		if (r < 0)
			diag_set(diag, r, "nmi-send", "NMI for vCPU %u", vcpu);
	}
	vm_let_go(vm);
	return r;
}

int vm_send_sysrq(struct vm *vm, uint8_t key, struct diag *diag)
{
	static const char name[] = "serial0";

	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		struct char_client *client = &vm->chr[i].client;

		if (strcmp(vm->machine.device[i].name, name) != 0)
			continue;
		if (!vm->unplugged[i] && client->line_break(client, &key, 1))
			return 0;
		diag_set(diag, -EINVAL, "sysrq-no-input", "the guest takes no input from %s", name);
		diag_remedy(diag, vm->unplugged[i] ? "plug it in"
						   : "a program in the guest has to open it");
		return -EAGAIN;
	}
	return diag_set(diag, -EINVAL, "sysrq-no-device", "this VM has no %s", name);
}
