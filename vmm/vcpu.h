/*
 * vcpu.h - one virtual CPU: its KVM_RUN loop and what it counts.
 *
 * Threads: the vCPU's own thread runs it; vcpu_stop() may be called from any; everything else only
 * while the thread does not run.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arch/arch.h"
#include "base/diag.h"
#include "device/lines.h"
#include "iobus.h"
#include "kvm.h"
#include "kvm/coalesced.h"

struct kvm_coalesced_mmio_ring;
struct kvm_run;
struct vcpu_gate;
struct vcpu_latency;
struct vcpu_profile;

enum {
	VCPU_EXIT_REASONS = 64, /* reasons past the last count as the last */
	VCPU_HISTORY = 16,      /* power of two */
};

/* One exit, noted with as little work as possible; vcpu_print_history() makes sense of it. */
struct vcpu_history_entry {
	/* KVM_EXIT_IO: as struct kvm_run has it. size 0: another exit. */
	_Alignas(32) struct vcpu_history_io {
		uint8_t direction, size;
		uint16_t port;
		uint32_t count;
	} io;
	uint64_t gpa;    /* KVM_EXIT_MMIO, as the two at the end */
	uint64_t data;   /* bytes above the access's size mean nothing */
	uint32_t reason; /* when it is not KVM_EXIT_IO */
	uint8_t mmio_len, mmio_is_write;
};

/* Why the vCPU's loop ended with VM_END_KVM_ERROR. */
struct vcpu_error {
	bool set;
	uint32_t reason;   /* KVM_EXIT_*; meaningless when run_errno is not 0 */
	uint32_t suberror; /* KVM_INTERNAL_ERROR_* */
	uint64_t hardware; /* hardware_entry_failure_reason, or hardware_exit_reason */
	int run_errno;     /* KVM_RUN itself failed */
	uint32_t nr_data;
	uint64_t data[16]; /* what KVM adds to an internal error */
};

struct vcpu {
	/* Written by its own thread in each exit; others read a recent value, by vcpu_exits(). */
	_Alignas(64) atomic_uint_fast64_t exits[VCPU_EXIT_REASONS]; /* but KVM_EXIT_IO */
	struct vcpu_history_entry history[VCPU_HISTORY];
	/* Exits so far, in bytes of history[]: the next entry is at this, modulo its size. */
	atomic_uint_fast64_t history_bytes;
	atomic_uint_fast64_t interrupted; /* KVM_RUN returned EINTR or EAGAIN */
	struct vcpu_error error;

	_Alignas(64) struct kvm_run *run;
	size_t run_bytes;
	struct iobus_reader *pio, *mmio;
	struct power *power;                        /* borrowed */
	const struct kvm_coalesced_mmio_ring *ring; /* of coalesced; without that an empty one */
	struct coalesced *coalesced;                /* borrowed; NULL: nothing is coalesced */
	int fd;
	unsigned index;
	atomic_bool stop;
	/* Its thread has these descriptors and no others. Borrowed, sorted; NULL: those of the process. */
	const int *files;
	size_t nr_files;
	struct vcpu_gate *gate; /* borrowed; NULL: nobody calls */
	unsigned held_by; /* enum vcpu_gate_holder, under its lock: waits there, open or not */
	bool has_thread;
	pthread_t thread;
	void (*loop)(struct vcpu *vcpu, void *arg); /* NULL: vcpu_loop() */
	void *loop_arg;

	/* Of the VM, which frees them. */
	struct vcpu_profile *profile; /* vcpu/profile.h; NULL: exits are not noted */
	struct vcpu_latency *latency; /* vcpu/latency.h; NULL: exits are not timed */

	/* On its thread, after KVM_EXIT_DEBUG, which debug_exit describes. NULL: nobody debugs. */
	void (*debugged)(struct vcpu *vcpu, void *arg);
	void *debugged_arg;
	struct arch_debug_exit debug_exit;

	/* Memory of the host that fails under the guest. */
	bool in_run;                    /* in KVM_RUN; for signal handlers of this thread */
	atomic_uintptr_t failed_memory; /* a host address that the guest accessed; 0: none */
	atomic_bool failed_elsewhere;   /* another vCPU did */
	/* Called by vcpu_loop(); host 0: another vCPU accessed it. False: the vCPU must not run on. */
	bool (*memory_failed)(struct vcpu *vcpu, uintptr_t host, void *arg);
	void *memory_failed_arg;
};

/* KVM_CREATE_VCPU and its readers. vcpu must be zeroed; after a failure vcpu_fini() is allowed. */
int vcpu_init(struct vcpu *vcpu, const struct kvm *kvm, unsigned index, struct iobus *pio,
	      struct iobus *mmio, struct power *power, struct diag *diag);
void vcpu_fini(struct vcpu *vcpu); /* takes a zeroed vcpu too; its thread must have been joined */

/*
 * Each exit drains this first, from now on; NULL: nothing. Borrowed until it is set to another. While no vCPU's thread
 * runs.
 */
void vcpu_set_coalesced(struct vcpu *vcpu, struct coalesced *coalesced);

/*
 * The signal that interrupts KVM_RUN, with a handler that does nothing. Once per process, before
 * vCPU threads start.
 */
int vcpu_signal_setup(void);

/* Starts the thread, which runs the loop until the VM ends or vcpu_stop(). */
int vcpu_start(struct vcpu *vcpu, struct diag *diag);

/* Makes the loop return soon, from whatever it does (immediate_exit and a signal). Any thread. */
void vcpu_stop(struct vcpu *vcpu);

/*
 * For a signal handler: the guest of the thread it runs on accessed this host address, which has failed. True when
 * the thread is a vCPU's and in KVM_RUN; then memory_failed is called soon.
 */
bool vcpu_note_failed_memory(uintptr_t host);

/* memory_failed is called soon on that vCPU's thread, with 0. Its thread must not have been joined. */
void vcpu_note_failed_elsewhere(struct vcpu *vcpu);

/* Exits for that reason so far, below VCPU_EXIT_REASONS; interruptions count as KVM_EXIT_INTR. Any thread. */
uint64_t vcpu_exits(const struct vcpu *vcpu, uint32_t reason);

/* For vcpu/gate.c: interrupts KVM_RUN, after which the loop goes to the gate. Any thread. */
void vcpu_call(struct vcpu *vcpu);

/* The one whose thread this is; NULL: it is not a vCPU's. */
struct vcpu *vcpu_of_thread(void);

/* Waits for the thread. */
void vcpu_join(struct vcpu *vcpu);

/* Runs and dispatches until stopped or the VM ended. On the vCPU's thread. */
void vcpu_loop(struct vcpu *vcpu);

/* Dispatches the exit that is in vcpu->run; false when the vCPU must not run on. For tests and rare exits. */
bool vcpu_dispatch(struct vcpu *vcpu);

/*
 * vcpu_loop() for n exits, interruptions not counted. False when the loop is to end, as after an interruption with
 * *stop set; vcpu_loop() then meets the reason again.
 */
bool vcpu_run_dispatched(struct vcpu *vcpu, const atomic_bool *stop, unsigned n);

/*
 * The same, with the ns that each exit's dispatch took in ns[n]. A reading of the clock is part of each; without
 * dispatch it is all there is, and the exits are as those of vcpu_run_bare().
 */
bool vcpu_run_timed(struct vcpu *vcpu, const atomic_bool *stop, bool dispatch, unsigned n,
		    int64_t *ns);

/*
 * n accesses that exit, and KVM_RUN and nothing else for each: the floor that dispatch is measured
 * against. Reads get whatever kvm_run holds. Adds what it took to *count; false when the vCPU must
 * not run on, as after an interruption with *stop set. Exits that are not an access are dispatched.
 */
bool vcpu_run_bare(struct vcpu *vcpu, const atomic_bool *stop, unsigned n, uint64_t *count);

/* Whether the last exit was an access to that very address. */
bool vcpu_exit_is_at(const struct vcpu *vcpu, enum iobus_space space, uint64_t addr);

/* Accesses of the last exit, which was one or more: of string I/O there are several. */
unsigned vcpu_exit_accesses(const struct vcpu *vcpu);

/* Whether exits for that reason are accesses of the bus, and of which. */
bool vcpu_exit_is_access(uint32_t reason, enum iobus_space *ret);

/* "IO", "MMIO", "INTERNAL_ERROR", …: KVM_EXIT_* without its prefix; "exit N" in buf if unknown. */
const char *vcpu_exit_name(uint32_t reason, char buf[16]);

/* The last exits, oldest first, one a line. */
void vcpu_print_history(FILE *out, const struct vcpu *vcpu, const char *indent);

/* Whether KVM stopped because it could not emulate an instruction. */
bool vcpu_error_is_emulation(const struct vcpu *vcpu);

/* Prints in words why KVM could not go on; nothing when it reported no error. */
void vcpu_print_error(FILE *out, const struct vcpu *vcpu, const char *indent);

#endif
