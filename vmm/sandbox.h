/*
 * sandbox.h - confines this process, and each of its threads to the system calls of its role.
 *
 * The guest is hostile, and may one day own a thread of ours. So each thread gets a seccomp filter before it works:
 * an allow-list of system calls, some with checked arguments. A thread that makes another call ends the process with
 * exit status 109, and one line on stderr that names the call. The process drops its capabilities, and can gain no
 * privileges by execve(2). docs/design/sandbox.md has the reasons.
 *
 * Threads: as each function says. State is of the process, as filters are.
 */
#ifndef VMM_SANDBOX_H
#define VMM_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/diag.h"
#include "base/thread.h"

/* A shared directory. */
struct sandbox_dir {
	const char *path;
	bool read_only;
};

struct sandbox_opts {
	const struct sandbox_dir
		*dir; /* the threads of shared directories open files below these, and no others */
	size_t nr_dirs;
	bool sockets; /* a user network: its threads make and connect sockets of the Internet */
	bool remaps_pages; /* the test device of kvm-unit-tests: a vCPU changes the protection of guest memory */
};

/* False in a build with a sanitizer or with coverage: their run time makes calls of its own, so nothing is confined. */
bool sandbox_is_built(void);

/* This kernel's means: for the doctor. */
struct sandbox_host {
	bool seccomp;     /* filters that report the call, which run and smoke need */
	int landlock_abi; /* 0: none. Used from 2 on, for shared directories. */
};
void sandbox_examine_host(struct sandbox_host *ret);

/*
 * From here on each thread that thread_start() makes is confined to its role. The calling thread, which is the only
 * one, is to become the event thread, and is not confined yet. Once per process. -errno with diag: this host has no
 * seccomp.
 */
int sandbox_begin(const struct sandbox_opts *opts, struct diag *diag);

/* Whether sandbox_begin() was successful: what is loaded or started late is to come before sandbox_close(). */
bool sandbox_is_on(void);

/*
 * Between these two, threads of vCPUs wait before they work. The second confines the calling thread, as the event
 * thread, and lets them go. So no guest runs before all threads are confined, and no thread inherits the filter of the
 * event thread. Both do nothing without sandbox_begin(). sandbox_close() returns 0 or -errno; then threads wait no
 * more, either.
 */
void sandbox_open(void);
int sandbox_close(void);

/* Confines the calling thread to a role, after sandbox_begin(); for tests. -errno. */
int sandbox_enter(enum thread_role role);

#endif
