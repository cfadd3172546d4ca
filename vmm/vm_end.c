#include "vm_end.h"

const char *vm_end_name(enum vm_end_kind kind)
{
	switch (kind) {
	case VM_END_NONE: return "running";
	case VM_END_POWEROFF: return "power off";
	case VM_END_EXIT_CODE: return "exit code";
	case VM_END_PANIC: return "panic";
	case VM_END_TRIPLE_FAULT: return "triple fault";
	case VM_END_RESET: return "reset";
	case VM_END_KVM_ERROR: return "KVM error";
	case VM_END_KILLED: return "killed";
	case VM_END_TIMEOUT: return "timeout";
	case VM_END_HALTED: return "halted";
	case VM_END_UNCLAIMED: return "unclaimed access";
	}
	return "unknown";
}

int vm_end_status(const struct vm_end *end)
{
	switch (end->kind) {
	case VM_END_NONE:
	case VM_END_POWEROFF: return EXIT_OK;
	case VM_END_EXIT_CODE:
		if (end->code == 0)
			return EXIT_OK;
		return (end->code & 0xff) ? (int)(end->code & 0xff) : 255;
	case VM_END_PANIC: return EXIT_PANIC;
	case VM_END_TRIPLE_FAULT: return EXIT_TRIPLE_FAULT;
	case VM_END_RESET: return EXIT_RESET;
	case VM_END_KVM_ERROR: return EXIT_KVM_ERROR;
	case VM_END_KILLED: return EXIT_KILLED;
	case VM_END_TIMEOUT: return EXIT_TIMEOUT;
	case VM_END_HALTED: return EXIT_HALTED;
	case VM_END_UNCLAIMED: return EXIT_UNCLAIMED;
	}
	return EXIT_KVM_ERROR;
}

int vm_end_status_qemu(const struct vm_end *end)
{
	return end->kind == VM_END_EXIT_CODE ? (int)((end->code << 1 | 1) & 0xff)
					     : vm_end_status(end);
}
