#include "vm/failed_memory.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "backend/char/terminal.h"
#include "vm.h"

/* A signal handler has nothing else to find these by. Written while no thread of the VM runs. */
static struct {
	const struct guest_mem *mem;
	struct sigaction old;
} watched;

static size_t message_put_text(char *to, const char *text)
{
	size_t n = 0;

	while (text[n]) {
		to[n] = text[n];
		n++;
	}
	return n;
}

static size_t message_put_hex(char *to, uint64_t v)
{
	size_t digits = 1, n = message_put_text(to, "0x");

	while (digits < 16 && v >> 4 * digits)
		digits++;
	for (size_t i = 0; i < digits; i++)
		to[n + i] = "0123456789abcdef"[v >> 4 * (digits - 1 - i) & 15];
	return n + digits;
}

/* In a signal handler: no stdio. */
static void report_lost(uintptr_t host)
{
	char line[256];
	uint64_t gpa;
	size_t n;

	if (guest_mem_gpa(watched.mem, host, &gpa)) {
		n = message_put_text(line,
				     "tollgate: memory of the host failed at the guest's address ");
		n += message_put_hex(line + n, gpa);
		n += message_put_text(line + n, " while a device used it, which cannot go on: "
						"SIGBUS [memory-failed-device]\n");
	} else {
		n = message_put_text(line,
				     "tollgate: memory of the host failed at the VMM's address ");
		n += message_put_hex(line + n, host);
		n += message_put_text(line + n,
				      ", outside the guest's: SIGBUS [memory-failed-vmm]\n");
	}
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* and nobody is left to notify */
}

static void on_sigbus(int sig, siginfo_t *si, void *context)
{
	const int saved_errno = errno;
	const uintptr_t host = (uintptr_t)si->si_addr;
	uint64_t gpa;

	(void)context;
	if (si->si_code == BUS_MCEERR_AO)
		return;
	if (si->si_code == BUS_MCEERR_AR) {
		if (guest_mem_gpa(watched.mem, host, &gpa) && vcpu_note_failed_memory(host)) {
			errno = saved_errno;
			return;
		}
		report_lost(host);
	}
	terminal_restore(); /* a terminal that was set up after the watch began has no handler for it */
	signal(sig, watched.old.sa_handler == SIG_IGN ? SIG_IGN : SIG_DFL);
	raise(sig); /* blocked until this returns */
}

/* Lock: the threads that are signalled are joined only after the end. */
static void note_others(struct vm *vm, const struct vcpu *vcpu)
{
	pthread_mutex_lock(&vm->end_lock);
	for (unsigned i = 0; vm->end.kind == VM_END_NONE && i < vm->nr_vcpus; i++)
		if (i != vcpu->index)
			vcpu_note_failed_elsewhere(&vm->vcpu[i]);
	pthread_mutex_unlock(&vm->end_lock);
}

static bool memory_failed(struct vcpu *vcpu, uintptr_t host, void *arg)
{
	struct vm *vm = arg;
	const char *why_not;
	uint64_t gpa;

	if (!host || !guest_mem_gpa(&vm->mem, host, &gpa)) {
		arch_vcpu_memory_error_elsewhere(vcpu->fd, vm->cpu_model);
		return true;
	}
	why_not = arch_vcpu_memory_error(vcpu->fd, vm->cpu_model, gpa);
	if (why_not) {
		vm_end(vm, (struct vm_end){.kind = VM_END_KVM_ERROR, .by = why_not});
		return false;
	}
	if (arch_memory_error_is_broadcast(vm->cpu_model))
		note_others(vm, vcpu);
	return true;
}

int vm_failed_memory_watch(struct vm *vm)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus};

	sa.sa_flags = (int)(SA_SIGINFO | SA_RESTART);
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		vm->vcpu[i].memory_failed = memory_failed;
		vm->vcpu[i].memory_failed_arg = vm;
	}
	watched.mem = &vm->mem;
	return sigaction(SIGBUS, &sa, &watched.old) < 0 ? -errno : 0;
}

void vm_failed_memory_unwatch(void)
{
	sigaction(SIGBUS, &watched.old, NULL);
	watched.mem = NULL;
}
