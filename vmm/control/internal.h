/* internal.h - what the files of the control socket's commands share. */
#ifndef VMM_CONTROL_INTERNAL_H
#define VMM_CONTROL_INTERNAL_H

#include <stdio.h>

#include "base/diag.h"

struct vm_control;

/* Runs a command: arg are the nr words after its name. 0, or -errno with diag. */
typedef int command_fn(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		       struct diag *diag);

/* inspect.c: looks into the guest, and wakes it. */
command_fn command_regs, command_stack, command_sym, command_profile, command_nmi, command_sysrq,
	command_core;

/* forward.c: ports of the host. */
command_fn command_hostfwd;

#endif
