/*
 * The transport and the I/O thread as they are, the entropy device, and four threads: a
 * vCPU that resets, negotiates and asks for bytes over and over; one that only resets; one that rings
 * doorbells, as KVM does it, whatever the device is doing; one that reads registers. For TSan; and
 * whatever happened, the device works afterwards.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "event/io_thread.h"
#include "virtio/classes.h"
#include "virtio_rig.h"

enum { ROUNDS = 2000, SIZE = 16, DATA_GPA = 0x40000, BYTES = 64, LOOKS = 100000 };

static struct virtio_rig rig;
static struct io_thread io;
static atomic_bool over;
static atomic_uint interrupts;

static void pulse(struct irq_line *irq)
{
	(void)irq;
	atomic_fetch_add(&interrupts, 1);
}

static int setup(void **state)
{
	int r;

	(void)state;
	r = virtio_rig_init(&rig, &virtio_rng_class, NULL);
	if (r < 0)
		return r;
	/* Made once more, with the bell of a thread. */
	rig.dev = device_destroy(rig.dev);
	rig.irq.pulse = pulse;
	r = io_thread_init(&io, NULL);
	rig.f.env.doorbell = &io.bell;
	rig.f.env.loop = &io.loop;
	if (r == 0)
		r = device_create(&virtio_mmio_class, &rig.f.env, &rig.dev);
	if (r == 0)
		r = io_thread_attach(&io, rig.dev, NULL);
	if (r == 0)
		r = io_thread_start(&io, THREAD_IO, "io-test", NULL);
	rig.vd = virtio_device_of(rig.dev);
	atomic_store(&over, false);
	return r;
}

static int teardown(void **state)
{
	const struct kvm none = {.fd = -1, .vm_fd = -1};

	(void)state;
	io_thread_stop(&io);
	assert_true(io_thread_join(&io, INT64_MAX));
	rig.dev = device_destroy(rig.dev);
	io_thread_fini(&io, &none);
	virtio_rig_fini(&rig);
	return 0;
}

static void *ringer(void *arg)
{
	const uint64_t one = 1;

	(void)arg;
	while (!atomic_load(&over)) {
		ssize_t n = write(io.queue[0].io.fd, &one, sizeof(one));

		(void)n;
		sched_yield();
	}
	return NULL;
}

static void *reader(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		for (uint32_t reg = 0; reg < VIRTIO_MMIO_BYTES; reg += 4)
			virtio_rig_read(&rig, reg);
		virtio_rig_write(&rig, VIRTIO_MMIO_INTERRUPT_ACK, 3);
		sched_yield();
	}
	return NULL;
}

static void *resetter(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		virtio_rig_write(&rig, VIRTIO_MMIO_STATUS, 0);
		for (unsigned i = 0; i < 50; i++)
			sched_yield();
	}
	return NULL;
}

/* False when the other vCPU's reset came in between, or nothing came for long. */
static bool ask(struct virtq_driver *drv, unsigned looks)
{
	uint32_t id, len;

	virtq_driver_add(drv, &(struct virtq_buf){DATA_GPA, BYTES, true}, 1);
	virtio_rig_kick(&rig, 0);
	while (looks-- > 0) {
		if (virtq_driver_used(drv, &id, &len))
			return len == BYTES;
		sched_yield();
	}
	return false;
}

static void run(void *(*const *threads)(void *), unsigned nr, unsigned looks)
{
	struct virtq_driver drv;
	pthread_t thread[4];
	unsigned answered = 0;

	for (unsigned i = 0; i < nr; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, threads[i], NULL), 0);
	for (unsigned i = 0; i < ROUNDS; i++)
		answered += virtio_rig_start(&rig, &drv, SIZE, 0) && ask(&drv, looks);
	atomic_store(&over, true);
	for (unsigned i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
	/* With nobody in the way each would have been. */
	assert_true(virtio_rig_start(&rig, &drv, SIZE, 0));
	for (unsigned i = 0; i < SIZE; i++)
		assert_true(ask(&drv, UINT32_MAX));
	if (looks == UINT32_MAX)
		assert_int_equal(answered, ROUNDS);
	assert_true(atomic_load(&interrupts) > 0);
}

static void requests_are_answered_while_doorbells_ring_and_registers_are_read(void **state)
{
	void *(*const threads[])(void *) = {ringer, reader};

	(void)state;
	run(threads, 2, UINT32_MAX);
}

static void resets_come_in_between_at_any_time(void **state)
{
	void *(*const threads[])(void *) = {ringer, reader, resetter};

	(void)state;
	run(threads, 3, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			requests_are_answered_while_doorbells_ring_and_registers_are_read, setup,
			teardown),
		cmocka_unit_test_setup_teardown(resets_come_in_between_at_any_time, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
