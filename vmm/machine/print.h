/* print.h - a machine for people and, as JSON, for programs. Pure; docs/reference/machine.md has the
 * JSON's schema. */
#ifndef VMM_MACHINE_PRINT_H
#define VMM_MACHINE_PRINT_H

#include "base/diag.h"
#include "machine.h"

/*
 * Both give a string that ends in a newline and that the caller frees. -ENOMEM, -EINVAL (the command
 * line, see machine/cmdline.h); *ret is untouched then.
 */
int machine_print_text(const struct machine *m, char **ret, struct diag *diag);
int machine_print_json(const struct machine *m, char **ret, struct diag *diag);

#endif
