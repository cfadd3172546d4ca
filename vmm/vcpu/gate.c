#include "vcpu/gate.h"

#include <linux/kvm.h>

#include "vcpu.h"

void vcpu_gate_init(struct vcpu_gate *gate, unsigned nr_vcpus, void (*all_here)(void *arg),
		    void *arg)
{
	*gate = (struct vcpu_gate){.nr_vcpus = nr_vcpus, .all_here = all_here, .arg = arg};
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->opened, NULL);
}

void vcpu_gate_fini(struct vcpu_gate *gate)
{
	pthread_cond_destroy(&gate->opened);
	pthread_mutex_destroy(&gate->lock);
}

void vcpu_gate_close(struct vcpu_gate *gate, struct vcpu *vcpu)
{
	pthread_mutex_lock(&gate->lock);
	gate->closed = true;
	gate->here = 0;
	for (unsigned i = 0; i < gate->nr_vcpus; i++)
		vcpu_call(&vcpu[i]);
	pthread_mutex_unlock(&gate->lock);
}

void vcpu_gate_open(struct vcpu_gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->closed = false;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->lock);
}

void vcpu_gate_wait(struct vcpu_gate *gate, struct vcpu *vcpu)
{
	pthread_mutex_lock(&gate->lock);
	if (gate->closed && ++gate->here == gate->nr_vcpus)
		gate->all_here(gate->arg);
	while (gate->closed && !atomic_load(&vcpu->stop))
		pthread_cond_wait(&gate->opened, &gate->lock);
	/* Under the lock, so that a call that follows is not taken back; a stop may come at any time. */
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (atomic_load(&vcpu->stop))
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&gate->lock);
}
