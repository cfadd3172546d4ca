/* child.h - the process of one boot: makes the VM, runs it, tells the supervisor how it ended. */
#ifndef SMOKE_CHILD_H
#define SMOKE_CHILD_H

#include <sys/types.h>

#include "smoke/judge.h"
#include "smoke/plan.h"

/* The supervisor's ends of the pipes; the caller's to close. */
struct smoke_child {
	pid_t pid;
	int pid_fd;
	int stream_fd[SMOKE_STREAMS]; /* what the guest prints; non-blocking */
	int report_fd;                /* wire.h; non-blocking */
};

/* Makes a configuration write its streams where smoke_child_start() expects them. */
void smoke_child_connect(struct config *config);

/*
 * Forks it, without another program: the kernel image is read and unpacked there, not here. spec's
 * configuration has been through smoke_child_connect(). The caller must have no other thread. SIGTERM ends the guest, with all that is to be told about it; the process
 * never outlives the caller. -errno with diag.
 */
int smoke_child_start(const struct smoke_spec *spec, struct smoke_child *ret, struct diag *diag);

#endif
