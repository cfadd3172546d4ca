/*
 * gdb.h - a stub for gdb's remote protocol (gdb's manual, "Remote Protocol"): one client at a time, all-stop, a thread
 * per vCPU. docs/guide/debug.md is its user's view.
 *
 * Without a client, and with one whose guest runs without break- and watchpoints, the guest pays nothing.
 *
 * Threads: opened before vm_run() and closed after it; between that it runs on the event thread, and on a vCPU's thread
 * what notes that it stopped.
 */
#ifndef VMM_GDB_H
#define VMM_GDB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"

struct control_commands;
struct gdb;
struct vm;

struct gdb_opts {
	const char *path; /* of a Unix socket; NULL: port */
	uint16_t port;    /* of TCP on 127.0.0.1; 0: the host chooses */
};

/*
 * Listens. vm and commands (for `monitor`) are borrowed until gdb_close(). -errno with diag. *ret_port is the TCP port,
 * or untouched.
 */
int gdb_open(const struct gdb_opts *opts, struct vm *vm, struct control_commands *commands,
	     struct gdb **ret, uint16_t *ret_port, struct diag *diag);

/* After vm_run(): reports to the client how the VM ended, if it takes the packet at once. Takes NULL; returns NULL. */
struct gdb *gdb_close(struct gdb *gdb, int exit_status);

#endif
