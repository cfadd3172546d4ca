#include "vcpu/gate.h"

#include <errno.h>
#include <linux/kvm.h>

#include "base/clock.h"
#include "vcpu.h"

void vcpu_gate_init(struct vcpu_gate *gate, unsigned nr_vcpus, void (*all_here)(void *arg),
		    void *arg)
{
	*gate = (struct vcpu_gate){.nr_vcpus = nr_vcpus, .all_here = all_here, .arg = arg};
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->opened, NULL);
	pthread_cond_init(&gate->came, NULL);
}

void vcpu_gate_fini(struct vcpu_gate *gate)
{
	pthread_cond_destroy(&gate->came);
	pthread_cond_destroy(&gate->opened);
	pthread_mutex_destroy(&gate->lock);
}

void vcpu_gate_close(struct vcpu_gate *gate, struct vcpu *vcpu)
{
	pthread_mutex_lock(&gate->lock);
	gate->closed = true;
	gate->closings++;
	gate->here = 0;
	for (unsigned i = 0; i < gate->nr_vcpus; i++)
		vcpu_call(&vcpu[i]);
	pthread_cond_broadcast(&gate->opened); /* those that wait already come anew */
	pthread_mutex_unlock(&gate->lock);
}

int vcpu_gate_await(struct vcpu_gate *gate, int64_t until_ns)
{
	const struct timespec until = clock_timespec(until_ns);
	int r = 0;

	pthread_mutex_lock(&gate->lock);
	while (gate->closed && gate->here < gate->nr_vcpus && r == 0)
		r = pthread_cond_clockwait(&gate->came, &gate->lock, CLOCK_MONOTONIC, &until);
	if (!gate->closed)
		r = -ECANCELED;
	else
		r = gate->here == gate->nr_vcpus ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&gate->lock);
	return r;
}

void vcpu_gate_hold(struct vcpu_gate *gate, struct vcpu *vcpu, enum vcpu_gate_holder by)
{
	pthread_mutex_lock(&gate->lock);
	vcpu->held_by |= by;
	vcpu_call(vcpu);
	pthread_mutex_unlock(&gate->lock);
}

void vcpu_gate_release(struct vcpu_gate *gate, struct vcpu *vcpu, enum vcpu_gate_holder by)
{
	pthread_mutex_lock(&gate->lock);
	vcpu->held_by &= ~(unsigned)by;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->lock);
}

bool vcpu_gate_holds(struct vcpu_gate *gate, const struct vcpu *vcpu, enum vcpu_gate_holder by)
{
	bool holds;

	pthread_mutex_lock(&gate->lock);
	holds = vcpu->held_by & by;
	pthread_mutex_unlock(&gate->lock);
	return holds;
}

void vcpu_gate_open(struct vcpu_gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->closed = false;
	pthread_cond_broadcast(&gate->opened);
	pthread_cond_broadcast(&gate->came);
	pthread_mutex_unlock(&gate->lock);
}

/* Under the lock. */
static void gate_count(struct vcpu_gate *gate)
{
	if (++gate->here < gate->nr_vcpus)
		return;
	gate->all_here(gate->arg);
	pthread_cond_broadcast(&gate->came);
}

void vcpu_gate_wait(struct vcpu_gate *gate, struct vcpu *vcpu)
{
	unsigned counted_in;

	pthread_mutex_lock(&gate->lock);
	counted_in = gate->closings - 1;
	while ((gate->closed || vcpu->held_by) && !atomic_load(&vcpu->stop)) {
		/* It may have been opened and closed again before this thread ran on. */
		if (gate->closed && counted_in != gate->closings) {
			gate_count(gate);
			counted_in = gate->closings;
		}
		pthread_cond_wait(&gate->opened, &gate->lock);
	}
	/* Under the lock, so that a call that follows is not taken back; a stop may come at any time. */
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (atomic_load(&vcpu->stop))
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&gate->lock);
}
