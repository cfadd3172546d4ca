/*
 * dump.h - the core file of a VM (core.h).
 *
 * Threads: the event thread, while the VM runs or after vm_run().
 */
#ifndef VMM_VM_DUMP_H
#define VMM_VM_DUMP_H

#include "base/diag.h"

struct vm;

/*
 * Writes the core of a VM to path, which must not exist. SIGINT and SIGTERM end this before it is done.
 * -errno with diag; no file is left then. The first is for a VM that runs, which is paused for as long and goes on as
 * if no time had passed; the second for one whose vm_run() has returned.
 */
int vm_core_write(struct vm *vm, const char *path, struct diag *diag);
int vm_core_write_ended(struct vm *vm, const char *path, struct diag *diag);

#endif
