#include "vm/unclaimed.h"

#include <inttypes.h>

#include "arch/arch.h"
#include "vm.h"

/* "1-byte read of port 0xe00", "4-byte write of 0x1 to 0xd0001000". */
static void describe(enum iobus_space space, const struct iobus_unclaimed_access *access, char *buf,
		     size_t len)
{
	const char *port = space == IOBUS_PIO ? "port " : "";

	if (access->is_write)
		snprintf(buf, len, "%u-byte write of %#" PRIx64 " to %s%#" PRIx64, access->size,
			 access->val, port, access->addr);
	else
		snprintf(buf, len, "%u-byte read of %s%#" PRIx64, access->size, port, access->addr);
}

/* The VM ends, so this may take its time. */
static void unclaimed(void *arg, const struct iobus_unclaimed_access *access)
{
	const struct vm_unclaimed_bus *bus = arg;
	struct vm *vm = bus->vm;
	struct vm_unclaimed *first = &vm->unclaimed;
	const struct vcpu *vcpu = vcpu_of_thread();

	pthread_mutex_lock(&vm->end_lock);
	if (!first->is_set && vcpu) {
		first->is_set = true;
		first->vcpu = vcpu->index;
		first->pc = arch_sample_pc(NULL, vcpu->fd);
		first->is_write = access->is_write;
		first->addr = access->addr;
		describe(bus->space, access, first->text, sizeof(first->text));
	}
	pthread_mutex_unlock(&vm->end_lock);
	vm_end(vm, (struct vm_end){.kind = VM_END_UNCLAIMED, .by = first->text});
}

void vm_unclaimed_watch(struct vm *vm)
{
	struct vm_unclaimed_bus *bus = vm->unclaimed.bus;

	bus[0] = (struct vm_unclaimed_bus){vm, IOBUS_PIO};
	bus[1] = (struct vm_unclaimed_bus){vm, IOBUS_MMIO};
	iobus_watch_unclaimed(vm->pio, unclaimed, &bus[0]);
	iobus_watch_unclaimed(vm->mmio, unclaimed, &bus[1]);
}

/*
 * At the exit of a read, the vCPU is at its instruction. KVM has completed most writes by then, and nobody knows where
 * the instruction began: its last byte is before the next one. One with REP is not over before all of its accesses are.
 */
static bool is_write_over(const struct vm *vm, const struct vm_unclaimed *first)
{
	const int fd = vm->vcpu[first->vcpu].fd;

	return first->is_write && arch_sample_pc(NULL, fd) == first->pc &&
	       !arch_repeats_write(fd, &vm->mem, first->addr);
}

void vm_unclaimed_print(FILE *out, const struct vm *vm, const struct symbols *symbols)
{
	const struct vm_unclaimed *first = &vm->unclaimed;
	char name[SYMBOL_TEXT_MAX] = "";
	bool is_over;

	if (vm->end.kind != VM_END_UNCLAIMED)
		return;
	is_over = is_write_over(vm, first);
	if (symbols)
		symbols_format(symbols, first->pc - is_over, name);
	fprintf(out, "unclaimed: %s, by vCPU %u %s %016" PRIx64 "%s%s\n", first->text, first->vcpu,
		is_over ? "before" : "at", first->pc, name[0] ? " " : "", name);
}
