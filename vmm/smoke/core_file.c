#include "smoke/core_file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core.h"
#include "smoke/log.h"
#include "vm/dump.h"

/* A host that is busy writes so much per second at least; and what else it may take. */
#define BYTES_PER_S (UINT64_C(64) << 20)
#define WAIT_NS     (30 * NS_PER_S)

int smoke_core_prepare(struct smoke_spec *spec, const char *dir, struct diag *diag)
{
	char path[PATH_MAX];
	int r = smoke_file_path(dir, spec->name, ".core", path, sizeof(path));

	if (r < 0)
		return diag_set(diag, r, "smoke-core-create", "core of boot '%s' in '%s'",
				spec->name, dir);
	r = core_check(path, diag);
	if (r < 0)
		return r;
	spec->core = strdup(path);
	return spec->core ? 0
			  : diag_set(diag, -ENOMEM, "smoke-core-memory", "core of boot '%s'",
				     spec->name);
}

bool smoke_core_is_due(const struct smoke_spec *spec, const struct smoke_facts *facts)
{
	if (!spec->core)
		return false;
	switch (facts->stop) {
	case SMOKE_STOP_TIMEOUT: return facts->wanted.kind != VM_END_TIMEOUT;
	case SMOKE_STOP_STALL:
	case SMOKE_STOP_PHASE: return true;
	case SMOKE_STOP_SIGNAL:
	case SMOKE_STOP_FAIL_FAST: return false;
	case SMOKE_STOP_NONE: break;
	}
	if (facts->finding == SMOKE_FOUND_PANIC)
		return facts->wanted.kind != VM_END_PANIC;
	return facts->finding == SMOKE_FOUND_REJECT;
}

int64_t smoke_core_limit_ns(const struct smoke_spec *spec)
{
	const uint64_t s = spec->config.vm.machine.mem_bytes / BYTES_PER_S;

	return WAIT_NS + (int64_t)s * NS_PER_S;
}

static bool leaves_core(enum vm_end_kind wanted, const struct vm_end *end)
{
	switch (end->kind) {
	case VM_END_PANIC:
	case VM_END_TRIPLE_FAULT:
	case VM_END_RESET:
	case VM_END_KVM_ERROR:
	case VM_END_HALTED:
	case VM_END_UNCLAIMED: return end->kind != wanted;
	case VM_END_KILLED: return end->by && strcmp(end->by, "SIGHUP") == 0;
	case VM_END_TIMEOUT:
	case VM_END_POWEROFF:
	case VM_END_EXIT_CODE:
	case VM_END_NONE: break;
	}
	return false;
}

void smoke_core_write(struct vm *vm, const char *path, enum vm_end_kind wanted,
		      const struct vm_end *end, FILE *out)
{
	struct diag diag = {0};

	if (!leaves_core(wanted, end))
		return;
	if (vm_core_write_ended(vm, path, &diag) == 0) {
		fprintf(out, "core: %s\n", path);
		return;
	}
	fputs("core: not written: ", out);
	diag_print(&diag, out);
	fputc('\n', out);
}
