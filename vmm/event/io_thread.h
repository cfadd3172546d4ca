/*
 * event/io_thread.h - a thread with an event loop for one device, and the device's doorbells.
 *
 * A doorbell is an eventfd in that loop. KVM itself rings it upon the guest's write
 * (io_thread_listen()), or the vCPU that handles the exit does (struct doorbell). Either way the device's
 * kick (device_io_ops) runs on the thread.
 *
 * Threads: init to start and stop to fini on the thread that owns the VM. The loop and what is added to
 * it belong to the I/O thread between start and stop, to the owner before and after.
 */
#ifndef VMM_EVENT_IO_THREAD_H
#define VMM_EVENT_IO_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"
#include "base/thread.h"
#include "device.h"
#include "event.h"
#include "ioeventfd.h"
#include "kvm.h"

struct io_doorbell {
	struct ioeventfd io;
	struct event_source src;
	struct io_thread *owner;
	uint64_t rings; /* that the I/O thread saw; __ATOMIC_RELAXED */
};

/* Writes of one value that KVM counts. */
struct io_counter {
	struct write_counter counter;
	struct ioeventfd io;
	struct event_source src; /* nothing is wanted of it unless watched */
	struct io_thread *owner;
	uint64_t taken; /* __ATOMIC_RELAXED */
};

struct io_thread {
	struct event_loop loop;
	struct doorbell bell; /* for the device */
	struct device *dev;   /* borrowed */
	struct io_doorbell *queue;
	unsigned nr_queues;
	struct io_counter writes;
	pthread_t thread;
	bool started;
	atomic_int tid;
	atomic_bool ending; /* the loop is over, and the device quiesces */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* one of the following, which are under lock */
	bool has_ended;         /* the thread touches nothing any more but lock and changed */
	bool park, is_parked;   /* it is to wait between two operations; and does */
};

/* The loop, and a bell that can be handed to a device. *io is zeroed before. -errno with diag. */
int io_thread_init(struct io_thread *io, struct diag *diag);

/* A doorbell for each queue of dev, whose class has device_io_ops; they are called from now on. -errno with diag. */
int io_thread_attach(struct io_thread *io, struct device *dev, struct diag *diag);

/*
 * Lets KVM ring: a write of a queue's number, 32 bits wide, to addr. Where the device has one queue any
 * write does, which KVM answers faster (docs/design/virtio.md). Does nothing where KVM cannot: then each
 * write is an exit. -errno with diag.
 */
int io_thread_listen(struct io_thread *io, const struct kvm *kvm, uint64_t addr, struct diag *diag);
/*
 * Lets KVM count writes of val, 32 bits wide, to addr, for io->writes.counter; false where it cannot,
 * and the device is not to have that counter then.
 */
bool io_thread_count(struct io_thread *io, const struct kvm *kvm, uint64_t addr, uint32_t val);

/* Once this returned KVM neither rings nor counts. */
void io_thread_deafen(struct io_thread *io, const struct kvm *kvm);
/* KVM rings and counts again as before io_thread_deafen(); on failure neither. -errno with diag. */
int io_thread_hear(struct io_thread *io, const struct kvm *kvm, struct diag *diag);

/* name, of at most 15 characters, is for tools that list threads. -errno with diag. */
int io_thread_start(struct io_thread *io, enum thread_role role, const char *name,
		    struct diag *diag);
/*
 * Asks the thread to wait between two operations of its device. Requests to the host go on meanwhile, and their
 * results are taken when the thread goes on. A thread that is asked to end does not wait.
 */
void io_thread_park(struct io_thread *io);
/* Waits until it does, until until_ns of CLOCK_MONOTONIC. False: the host does not let the thread go. */
bool io_thread_await_parked(struct io_thread *io, int64_t until_ns);
/* The thread goes on. No effect on one that was not asked to wait. */
void io_thread_unpark(struct io_thread *io);

/* Asks the thread to end, which it does once the device has quiesced (device_io_ops.end). */
void io_thread_stop(struct io_thread *io);
/*
 * Waits for that until until_ns, of CLOCK_MONOTONIC. False: the host does not let the thread go. It may go on
 * at any time, so all that it can reach must stay, for as long as the process lives. True at once if
 * it was not started.
 */
bool io_thread_join(struct io_thread *io, int64_t until_ns);
/* Describes in buf the reason why a thread does not end; returns buf. */
const char *io_thread_waits_for(const struct io_thread *io, char *buf, size_t len);

/* Takes a zeroed one too; after the device is gone, which may have added to the loop. */
void io_thread_fini(struct io_thread *io, const struct kvm *kvm);

#endif
