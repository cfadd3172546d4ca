/* print.h - a machine for people and, as JSON, for programs. Pure; docs/reference/machine.md has the
 * JSON's schema. */
#ifndef VMM_MACHINE_PRINT_H
#define VMM_MACHINE_PRINT_H

#include "base/diag.h"
#include "machine.h"

/* The kernel that the machine is for, as a loader recognised it. */
struct machine_kernel {
	const char *name, *kind, *entered_by;
	uint64_t entry_gpa;
	const char *state; /* of the boot processor there */
	bool has_cmdline;  /* false: it is handed none */
};

/*
 * Both give a string that ends in a newline and that the caller frees. kernel: NULL when none was named. -ENOMEM,
 * -EINVAL (the command line, see machine/cmdline.h); *ret is untouched then.
 */
int machine_print_text(const struct machine *m, const struct machine_kernel *kernel, char **ret,
		       struct diag *diag);
int machine_print_json(const struct machine *m, const struct machine_kernel *kernel, char **ret,
		       struct diag *diag);

#endif
