/*
 * commands.h - the commands of a VM's control socket (docs/guide/control.md).
 *
 * Threads: opened before vm_run() and closed after it; between that it runs on the event thread.
 */
#ifndef VMM_CONTROL_COMMANDS_H
#define VMM_CONTROL_COMMANDS_H

#include <stdint.h>

#include "base/diag.h"
#include "control.h"
#include "vm.h"
#include "vm/stats.h"

struct vm_control {
	struct control_commands commands;
	struct control *socket;
	struct vm *vm;
	struct stats_kvm kvm;
	int64_t since_ns; /* of CLOCK_MONOTONIC: when it was opened */
};

/*
 * Makes the socket at path for a VM that is about to run, and is borrowed. NULL: no socket, for one who calls the
 * commands' run. -errno with diag.
 */
int vm_control_open(struct vm_control *ctl, const char *path, struct vm *vm, struct diag *diag);

/* The name of the i-th command; NULL after the last one. */
const char *vm_control_command(unsigned i);

/* Before vm_fini(). Takes a zeroed one too. */
void vm_control_close(struct vm_control *ctl);

#endif
