/* child.h - the process of one boot: makes the VM, runs it, reports to the supervisor how it ended. */
#ifndef VMM_SMOKE_CHILD_H
#define VMM_SMOKE_CHILD_H

#include <sys/types.h>

#include "smoke/judge.h"
#include "smoke/suite.h"

/* The supervisor's ends of the pipes; the caller's to close. */
struct smoke_child {
	pid_t pid;
	int pid_fd;
	int stream_fd[SMOKE_STREAMS]; /* what the guest prints; non-blocking */
	int report_fd;                /* wire.h; non-blocking */
	int ask_fd;                   /* wire.h: a socket; -1: this process takes no keys */
};

/* The subcommand that smoke_child_start() starts. No user's: it is in no list. */
#define SMOKE_CHILD_COMMAND "smoke-boot"

/* Makes a configuration write its streams where smoke_child_start() has pipes, and its kernel obey SysRq. */
void smoke_child_connect(struct config *config);

/*
 * Starts this program anew for the boot, so that no two boots share an address-space layout: a guest that
 * learns its VMM's learns nothing of the next one's. The process has the pipes, standard error, and a
 * file with spec->args, which says what to boot; it has no other descriptor. The kernel image is read and
 * unpacked there, not here. SIGTERM ends the guest, with a full report of it; the process
 * never outlives the caller. -errno with diag.
 */
int smoke_child_start(const struct smoke_spec *spec, struct smoke_child *ret, struct diag *diag);

/*
 * That process: argv is SMOKE_CHILD_COMMAND, the boot's name (for lists of processes), and the
 * supervisor's process id. -errno with diag when no supervisor made it; other errors are reported to it.
 */
int smoke_child_main(int argc, char **argv, struct diag *diag);

#endif
