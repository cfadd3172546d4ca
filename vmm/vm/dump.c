#include "vm/dump.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "core.h"
#include "vm.h"
#include "vm/vcpu_files.h"

/* It waits for the event thread, which is busy here. A hang-up ends a VM and not its core. */
static bool has_signal(void *arg)
{
	sigset_t pending;

	(void)arg;
	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1);
}

/* The notes of the vCPUs, for the caller to free. */
static int make_vcpu_notes(const struct vm *vm, char **ret, size_t *ret_len, struct diag *diag)
{
	AUTO_FREE int *fd = vm_vcpu_fds(vm);
	FILE *out = fd ? open_memstream(ret, ret_len) : NULL;
	bool failed;
	int r;

	if (!out)
		return diag_set(diag, -ENOMEM, "core-registers-memory", "registers of %u vCPUs",
				vm->nr_vcpus);
	r = arch_core_notes(out, fd, vm->nr_vcpus);
	failed = ferror(out);
	if ((fclose(out) != 0 || failed) && r == 0)
		r = -ENOMEM;
	return r < 0 ? diag_set(diag, r, "core-registers-read", "registers of %u vCPUs",
				vm->nr_vcpus)
		     : 0;
}

int vm_core_write_ended(struct vm *vm, const char *path, struct diag *diag)
{
	AUTO_FREE char *notes = NULL;
	struct core_opts opts = {
		.path = path,
		.mem = &vm->mem,
		.elf_machine = arch_elf_machine,
		.find_kernel = arch_core_kernel,
		.is_cancelled = has_signal,
	};
	int r = make_vcpu_notes(vm, &notes, &opts.notes_len, diag);

	opts.notes = notes;
	return r < 0 ? r : core_write(&opts, diag);
}

int vm_core_write(struct vm *vm, const char *path, struct diag *diag)
{
	int r = vm_pause(vm, VM_PAUSED_BY_CORE, diag);

	if (r < 0)
		return r;
	r = vm_core_write_ended(vm, path, diag);
	vm_resume(vm, VM_PAUSED_BY_CORE, NULL);
	return r;
}
