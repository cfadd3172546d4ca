/* inspect.c - the commands that look into a guest, or wake one that hangs. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/parse.h"
#include "control/commands.h"
#include "control/internal.h"
#include "vm/dump.h"
#include "vm/inspect.h"
#include "vm/profile.h"

/* The vCPU that a command names; fallback without one. */
static int parse_vcpu(char *const arg[], unsigned nr, unsigned fallback, unsigned *ret,
		      struct diag *diag)
{
	uint64_t val;

	*ret = fallback;
	if (nr == 0)
		return 0;
	if (parse_u64(arg[0], &val) < 0 || val >= UINT_MAX) {
		diag_set(diag, -EINVAL, "vcpu-number", "'%s' is not the number of a vCPU", arg[0]);
		diag_remedy(diag, "they are counted from 0");
		return -EINVAL;
	}
	*ret = (unsigned)val;
	return 0;
}

int command_regs(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		 struct diag *diag)
{
	unsigned vcpu;
	int r = parse_vcpu(arg, nr, VM_ALL_VCPUS, &vcpu, diag);

	return r < 0 ? r : vm_print_registers(ctl->vm, vcpu, out, diag);
}

int command_stack(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		  struct diag *diag)
{
	unsigned vcpu;
	int r = parse_vcpu(arg, nr, VM_ALL_VCPUS, &vcpu, diag);

	return r < 0 ? r : vm_print_stacks(ctl->vm, vcpu, out, diag);
}

/* Reports and gdb print addresses without 0x. */
static int parse_address(const char *arg, uint64_t *ret)
{
	char prefixed[20];

	if (strncmp(arg, "0x", 2) == 0)
		return parse_u64(arg, ret);
	if ((size_t)snprintf(prefixed, sizeof(prefixed), "0x%s", arg) >= sizeof(prefixed))
		return -EINVAL;
	return parse_u64(prefixed, ret);
}

int command_sym(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		struct diag *diag)
{
	uint64_t addr;

	(void)nr;
	if (parse_address(arg[0], &addr) == 0)
		return vm_print_symbol(ctl->vm, addr, out, diag);
	diag_set(diag, -EINVAL, "symbol-address", "'%s' is not a hexadecimal address", arg[0]);
	diag_remedy(diag, "as in sym ffffffff81000000; 0x before it is allowed");
	return -EINVAL;
}

int command_profile(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		    struct diag *diag)
{
	(void)arg;
	(void)nr;
	return vm_profile_print(ctl->vm, out, diag);
}

int command_nmi(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		struct diag *diag)
{
	unsigned vcpu;
	int r = parse_vcpu(arg, nr, 0, &vcpu, diag);

	(void)out;
	return r < 0 ? r : vm_send_nmi(ctl->vm, vcpu, diag);
}

int command_sysrq(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		  struct diag *diag)
{
	(void)nr;
	(void)out;
	if (strlen(arg[0]) == 1 && (arg[0][0] & 0x80) == 0)
		return vm_send_sysrq(ctl->vm, (uint8_t)arg[0][0], diag);
	diag_set(diag, -EINVAL, "sysrq-key", "'%s' is not one key", arg[0]);
	diag_remedy(diag, "one ASCII character, as in sysrq t; sysrq h has the guest list them");
	return -EINVAL;
}

/* The directory of the VM's process is not the client's, so the name depends on neither. */
int command_core(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		 struct diag *diag)
{
	(void)nr;
	(void)out;
	if (arg[0][0] == '/')
		return vm_core_write(ctl->vm, arg[0], diag);
	diag_set(diag, -EINVAL, "core-path", "core '%s' is not a whole path", arg[0]);
	diag_remedy(diag, "one that begins with /; `tollgate control` makes it so");
	return -EINVAL;
}
