/* The gate that holds vCPUs: threads that come to it as a vCPU's loop does, with no KVM. */
#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "vcpu.h"
#include "vcpu/gate.h"

enum { VCPUS = 3, ROUNDS = 200 };

static struct vcpu vcpu[VCPUS];
static struct kvm_run run[VCPUS];
static pthread_t thread[VCPUS];
static struct vcpu_gate gate;
static atomic_uint all_here_calls;
static atomic_uint_fast64_t steps[VCPUS]; /* of the guest, as it were */

static void all_here(void *arg)
{
	(void)arg;
	atomic_fetch_add(&all_here_calls, 1);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;

	while (!atomic_load(&v->stop)) {
		if (__atomic_load_n(&v->run->immediate_exit, __ATOMIC_SEQ_CST))
			vcpu_gate_wait(&gate, v);
		else
			atomic_fetch_add(&steps[v->index], 1);
	}
	return NULL;
}

static int setup(void **state)
{
	(void)state;
	memset(vcpu, 0, sizeof(vcpu));
	memset(run, 0, sizeof(run));
	atomic_store(&all_here_calls, 0);
	vcpu_gate_init(&gate, VCPUS, all_here, NULL);
	for (unsigned i = 0; i < VCPUS; i++) {
		vcpu[i].run = &run[i];
		vcpu[i].index = i;
		assert_int_equal(pthread_create(&thread[i], NULL, vcpu_main, &vcpu[i]), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VCPUS; i++)
		vcpu_stop(&vcpu[i]);
	vcpu_gate_open(&gate);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
	vcpu_gate_fini(&gate);
	return 0;
}

static uint64_t steps_sum(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < VCPUS; i++)
		sum += atomic_load(&steps[i]);
	return sum;
}

static void all_are_held_until_it_opens(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t before;

		vcpu_gate_close(&gate, vcpu);
		assert_int_equal(vcpu_gate_await(&gate, INT64_MAX), 0);
		assert_int_equal(atomic_load(&all_here_calls), i + 1);
		before = steps_sum();
		sched_yield();
		assert_int_equal(steps_sum(), before);
		vcpu_gate_open(&gate);
	}
}

/* A vCPU that waited may not have run between: it is called anew, and comes anew. */
static void closed_again_before_they_left(void **state)
{
	(void)state;
	vcpu_gate_close(&gate, vcpu);
	assert_int_equal(vcpu_gate_await(&gate, INT64_MAX), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		vcpu_gate_open(&gate);
		vcpu_gate_close(&gate, vcpu);
		assert_int_equal(vcpu_gate_await(&gate, INT64_MAX), 0);
	}
	vcpu_gate_close(&gate, vcpu); /* also without being opened between */
	assert_int_equal(vcpu_gate_await(&gate, INT64_MAX), 0);
	vcpu_gate_open(&gate);
}

/* One that ends does not come. */
static void those_who_do_not_come(void **state)
{
	(void)state;
	vcpu_stop(&vcpu[0]);
	pthread_join(thread[0], NULL);
	vcpu_gate_close(&gate, vcpu);
	assert_int_equal(vcpu_gate_await(&gate, clock_monotonic_ns() + NS_PER_MS), -ETIMEDOUT);
	vcpu_gate_open(&gate);
	assert_int_equal(vcpu_gate_await(&gate, INT64_MAX), -ECANCELED);
	atomic_store(&vcpu[0].stop, false);
	assert_int_equal(pthread_create(&thread[0], NULL, vcpu_main, &vcpu[0]), 0);
}

/* It waits at an open gate, counts at a closed one, and goes on alone. */
static void one_is_held_alone(void **state)
{
	uint64_t before;

	(void)state;
	vcpu_gate_hold(&gate, &vcpu[1], VCPU_HELD_BY_DEBUGGER);
	vcpu_gate_close(&gate, vcpu);
	assert_int_equal(vcpu_gate_await(&gate, INT64_MAX), 0);
	before = atomic_load(&steps[1]);
	vcpu_gate_open(&gate);
	for (uint64_t other = atomic_load(&steps[0]); atomic_load(&steps[0]) < other + 1000;)
		sched_yield();
	assert_int_equal(atomic_load(&steps[1]), before);
	vcpu_gate_close(&gate, vcpu);
	assert_int_equal(vcpu_gate_await(&gate, INT64_MAX), 0);
	vcpu_gate_release(&gate, &vcpu[1], VCPU_HELD_BY_DEBUGGER);
	sched_yield();
	assert_int_equal(atomic_load(&steps[1]), before);
	vcpu_gate_open(&gate);
	while (atomic_load(&steps[1]) == before)
		sched_yield();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_are_held_until_it_opens, setup, teardown),
		cmocka_unit_test_setup_teardown(closed_again_before_they_left, setup, teardown),
		cmocka_unit_test_setup_teardown(one_is_held_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(those_who_do_not_come, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
