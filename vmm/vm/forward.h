/*
 * forward.h - the forwarded ports of a VM's user networks, while it runs or is paused.
 *
 * Threads: the event thread. It waits for the network's I/O thread, for a few seconds at most where the host does not
 * let that go.
 */
#ifndef VMM_VM_FORWARD_H
#define VMM_VM_FORWARD_H

#include <stdbool.h>
#include <stdio.h>

#include "base/diag.h"

struct vm;

/*
 * Adds or removes a forward, as net_forward_parse() reads it, of the network of that name; NULL: of the first user
 * network. -errno with diag.
 */
int vm_forward_change(struct vm *vm, const char *network, bool add, const char *forward,
		      struct diag *diag);

/* Prints "NETWORK FORWARD" for each. -errno with diag. */
int vm_forward_list(struct vm *vm, FILE *out, struct diag *diag);

#endif
