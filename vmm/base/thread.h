/* thread.h - starts threads: the one place where a thread of the VMM is made. */
#ifndef VMM_BASE_THREAD_H
#define VMM_BASE_THREAD_H

#include <pthread.h>

/* What a thread is for. Its signals, and its name unless the caller has one, follow from that. */
enum thread_role {
	THREAD_VCPU,        /* runs a vCPU; takes thread_kick_signal() */
	THREAD_IO,          /* an event loop for one device */
	THREAD_DISK_WORKER, /* system calls of a disk */
	THREAD_FILE_WRITER, /* system calls of one file that is written */
	THREAD_MEASURE,     /* measures the vCPUs */
	THREAD_ROLES,
};

/*
 * Runs run(arg) on a new thread, with each signal blocked but those that a thread raises itself, and the
 * role's own. Signals from outside belong to the event thread. name is for tools that list threads, cut
 * to 15 characters; NULL: the role's. Returns 0 and *ret, to be joined or detached, or -errno.
 */
int thread_start(pthread_t *ret, enum thread_role role, const char *name, void *(*run)(void *arg),
		 void *arg);

/*
 * The signal that interrupts KVM_RUN. A real-time signal, which nobody uses by default; SIGRTMIN itself
 * is a favourite of libraries.
 */
int thread_kick_signal(void);

#endif
