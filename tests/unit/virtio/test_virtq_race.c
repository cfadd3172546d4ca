/*
 * A driver and a device on two threads, each asleep until the other notifies it, with suppression both
 * ways: if either missed a notification it was owed, the test would stand still and time out. For TSan.
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "virtio/queue.h"
#include "virtq_driver.h"

enum { RAM_BYTES = 1 << 20, QUEUE_GPA = 0x10000, DATA_GPA = 0x80000, SIZE = 16, CHAINS = 100000 };

struct rig {
	struct guest_mem mem;
	struct virtq vq;
	struct virtq_driver drv;
	sem_t kicked, interrupted;
	bool event_idx;
};

static void *device_thread(void *arg)
{
	struct rig *rig = arg;
	struct iovec iov[2];
	struct virtq_chain c;
	unsigned done = 0;

	while (done < CHAINS) {
		virtq_kicks_suppress(&rig->vq);
		while (virtq_pop(&rig->vq, iov, 2, &c) == 1) {
			/* The payload is ordered by the rings alone. */
			*(uint32_t *)c.in[0].iov_base = *(const uint32_t *)c.out[0].iov_base + 1;
			virtq_push(&rig->vq, c.head, sizeof(uint32_t));
			done++;
			if (done % 3 == 0 && virtq_publish(&rig->vq))
				sem_post(&rig->interrupted);
		}
		if (virtq_publish(&rig->vq))
			sem_post(&rig->interrupted);
		if (done < CHAINS && !virtq_kicks_allow(&rig->vq))
			sem_wait(&rig->kicked);
	}
	return NULL;
}

static void driver_take(struct rig *rig, uint32_t *taken)
{
	uint32_t id, len;

	while (virtq_driver_used(&rig->drv, &id, &len)) {
		const uint32_t slot = *taken % (SIZE / 2);
		const uint32_t *data = guest_mem_ptr(&rig->mem, DATA_GPA + (uint64_t)slot * 8, 8);

		assert_int_equal(id, 2 * slot);
		assert_int_equal(data[1], *taken + 1);
		(*taken)++;
	}
}

static void driver_fill(struct rig *rig, uint32_t *added, uint32_t taken)
{
	const uint16_t old = rig->drv.avail_idx;

	while (*added < CHAINS && *added - taken < SIZE / 2) {
		const uint64_t gpa = DATA_GPA + *added % (SIZE / 2) * 8;
		const struct virtq_buf bufs[] = {{gpa, 4, false}, {gpa + 4, 4, true}};

		*(uint32_t *)guest_mem_ptr(&rig->mem, gpa, 4) = *added;
		virtq_driver_add(&rig->drv, bufs, 2);
		(*added)++;
	}
	if (rig->drv.avail_idx != old && virtq_driver_kick_wanted(&rig->drv, old))
		sem_post(&rig->kicked);
}

/* Asks for an interrupt for what comes next; true when it has come already. */
static bool driver_asks(struct rig *rig)
{
	if (rig->event_idx)
		virtq_driver_used_event(&rig->drv, rig->drv.used_idx);
	else
		__atomic_store_n(&rig->drv.avail->flags, 0, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&rig->drv.used->idx, __ATOMIC_SEQ_CST) != rig->drv.used_idx;
}

static void run(bool event_idx)
{
	static const struct guest_region region = {.gpa = 0, .len = RAM_BYTES};
	struct rig rig = {.event_idx = event_idx};
	uint32_t added = 0, taken = 0;
	pthread_t thread;

	assert_int_equal(guest_mem_init(&rig.mem, &region, 1, &(struct guest_mem_opts){0}, NULL),
			 0);
	virtq_init(&rig.vq, &rig.mem, SIZE);
	assert_int_equal(virtq_driver_start(&rig.drv, &rig.vq, QUEUE_GPA, SIZE,
					    (uint64_t)event_idx << VIRTIO_RING_F_EVENT_IDX),
			 0);
	sem_init(&rig.kicked, 0, 0);
	sem_init(&rig.interrupted, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, device_thread, &rig), 0);
	while (taken < CHAINS) {
		if (!event_idx)
			__atomic_store_n(&rig.drv.avail->flags, VRING_AVAIL_F_NO_INTERRUPT,
					 __ATOMIC_SEQ_CST);
		driver_take(&rig, &taken);
		driver_fill(&rig, &added, taken);
		if (taken < CHAINS && !driver_asks(&rig))
			sem_wait(&rig.interrupted);
	}
	pthread_join(thread, NULL);
	assert_int_equal(rig.vq.chains, CHAINS);
	sem_destroy(&rig.kicked);
	sem_destroy(&rig.interrupted);
	guest_mem_fini(&rig.mem);
}

static void no_notification_is_lost_with_flags(void **state)
{
	(void)state;
	run(false);
}

static void no_notification_is_lost_with_event_idx(void **state)
{
	(void)state;
	run(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_notification_is_lost_with_flags),
		cmocka_unit_test(no_notification_is_lost_with_event_idx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
