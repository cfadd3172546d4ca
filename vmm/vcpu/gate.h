/*
 * gate.h - holds all vCPUs of a VM out of KVM_RUN for a moment, so that what KVM knows of them is one
 * state of the machine. Nothing on the exit path looks at it: a vCPU comes here when its KVM_RUN was
 * interrupted.
 */
#ifndef VMM_VCPU_GATE_H
#define VMM_VCPU_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* Those who hold single vCPUs: one goes on when none of them does. */
enum vcpu_gate_holder {
	VCPU_HELD_BY_DEBUGGER = 1 << 0,
	VCPU_HELD_BY_RESET = 1 << 1, /* the guest has asked for one */
};

struct vcpu_gate {
	pthread_mutex_t lock;
	pthread_cond_t opened, came;
	bool closed;
	unsigned closings;       /* how often it was closed: each calls every vCPU anew */
	unsigned nr_vcpus, here; /* here: those that wait since it was closed */
	void (*all_here)(void *arg);
	void *arg;
};

/* all_here(arg) is called once each time that the last of the vCPUs came; on its thread, with the lock held. */
void vcpu_gate_init(struct vcpu_gate *gate, unsigned nr_vcpus, void (*all_here)(void *arg),
		    void *arg);
void vcpu_gate_fini(struct vcpu_gate *gate);

/* Calls the vCPUs to the gate and does not wait for them. They are nr_vcpus, and their threads run. */
void vcpu_gate_close(struct vcpu_gate *gate, struct vcpu *vcpu);

/*
 * Waits until all are there, until until_ns of CLOCK_MONOTONIC. 0, -ETIMEDOUT, or -ECANCELED: another thread has
 * opened it.
 */
int vcpu_gate_await(struct vcpu_gate *gate, int64_t until_ns);

/*
 * One vCPU waits at the gate, open or not, from when it comes there next; and no more. It counts among those that came.
 * Any thread, hold also on its own.
 */
void vcpu_gate_hold(struct vcpu_gate *gate, struct vcpu *vcpu, enum vcpu_gate_holder by);
void vcpu_gate_release(struct vcpu_gate *gate, struct vcpu *vcpu, enum vcpu_gate_holder by);

bool vcpu_gate_holds(struct vcpu_gate *gate, const struct vcpu *vcpu, enum vcpu_gate_holder by);

/* Lets them go on. Any thread; no effect on an open one. */
void vcpu_gate_open(struct vcpu_gate *gate);

/* On a vCPU's thread, whose immediate_exit is set: waits until the gate is open, or the vCPU is to stop. */
void vcpu_gate_wait(struct vcpu_gate *gate, struct vcpu *vcpu);

#endif
