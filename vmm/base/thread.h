/* thread.h - starts threads: the one place where a thread of the VMM is made. */
#ifndef VMM_BASE_THREAD_H
#define VMM_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* The purpose of a thread. Its signals, and its name unless the caller has one, follow from that. */
enum thread_role {
	THREAD_VCPU,        /* runs a vCPU; takes thread_kick_signal() */
	THREAD_IO,          /* an event loop for one device */
	THREAD_IO_DISK,     /* the same, of a disk */
	THREAD_IO_FS,       /* of a shared directory */
	THREAD_IO_NET,      /* of a network */
	THREAD_IO_VSOCK,    /* of sockets */
	THREAD_DISK_WORKER, /* system calls of a disk */
	THREAD_FS_WORKER,   /* system calls of a shared directory */
	THREAD_FILE_WRITER, /* system calls of one file that is written */
	THREAD_MEASURE,     /* measures the vCPUs */
	THREAD_EVENT,       /* the thread that main() runs on; none is started with it */
	THREAD_ROLES,
};

/*
 * Runs run(arg) on a new thread, with each signal blocked but those that a thread raises itself, and the
 * role's own. Signals from outside belong to the event thread. name is for tools that list threads, cut
 * to 15 characters; NULL: the role's. Returns 0 and *ret, to be joined or detached, or -errno.
 */
int thread_start(pthread_t *ret, enum thread_role role, const char *name, void *(*run)(void *arg),
		 void *arg);

/* Each thread that is started from now on calls that first, on itself. Before the first one; NULL: none. */
void thread_set_entry(void (*entry)(enum thread_role role));

/*
 * Gives the calling thread a table of descriptors of its own, with the n of keep, sorted, and nothing else. In a table
 * that no thread shares, a system call finds a file without counting a reference. A descriptor that another thread
 * opens later does not exist here, and this thread opens none. Returns 0; or -errno, and the table is shared as before
 * (Linux before 5.9, or a sandbox).
 */
int thread_own_files(const int *keep, size_t n);

/* Closes all of them, for the end of a thread that thread_own_files() was successful for. */
void thread_close_own_files(void);

/*
 * The signal that interrupts KVM_RUN. A real-time signal, which nobody uses by default; SIGRTMIN itself
 * is a favourite of libraries.
 */
int thread_kick_signal(void);

#endif
