/*
 * A virtio device that leaves its bus and comes back, over and over: the bus, the transport, the I/O thread and the
 * entropy device as they are, and vCPUs that access its registers all the while. For TSan. Each access is answered
 * by the device or by nobody, and counted so; a device that was reset off the bus writes to no guest memory.
 *
 * A cycle has three phases, and barriers between them: the device leaves, is out, and comes back. In each phase each
 * vCPU makes a fixed number of accesses, so the number of vCPUs that run at once changes nothing but the order.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/checked.h"
#include "event/io_thread.h"
#include "iobus.h"
#include "virtio/classes.h"
#include "virtio_rig.h"

enum { CYCLES = 400, VCPUS = 3, SIZE = 16, DATA_GPA = 0x40000, BYTES = 64 };
enum {
	HITS = 16,
	HITS_OUT = 2
}; /* of each vCPU in a phase: while the device moves, and while it is out */
enum { MAGIC = 0x74726976 };
#define BASE_GPA UINT64_C(0xd0000000)

static struct virtio_rig rig;
static struct io_thread io;
static struct iobus *bus;
static pthread_barrier_t phase;
static sem_t interrupted;

/* Asks the I/O thread to post answer. */
static struct event_source question;
static sem_t answer;

struct vcpu_counts {
	uint64_t reads, writes, gone, wrong;
	uint64_t there_out; /* answered while the device was out */
};

static void pulse(struct irq_line *irq)
{
	(void)irq;
	sem_post(&interrupted);
}

static void question_ready(struct event_source *src, uint32_t epoll_events)
{
	uint64_t n;

	(void)epoll_events;
	assert_int_equal(read(src->fd, &n, sizeof(n)), sizeof(n));
	sem_post(&answer);
}

static void sem_take(sem_t *sem)
{
	while (sem_wait(sem) < 0)
		assert_int_equal(errno, EINTR);
}

/* The second time, the I/O thread has been through all that was ready before the first. */
static void io_thread_has_looked(void)
{
	const uint64_t one = 1;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(write(question.fd, &one, sizeof(one)), sizeof(one));
		sem_take(&answer);
	}
}

static int question_init(void)
{
	sem_init(&interrupted, 0, 0);
	sem_init(&answer, 0, 0);
	question = (struct event_source){
		.fd = eventfd(0, EFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = question_ready,
	};
	return question.fd < 0 ? -errno : event_loop_add(&io.loop, &question);
}

static int setup(void **state)
{
	int r;

	(void)state;
	r = virtio_rig_prepare(&rig, &virtio_rng_class, NULL);
	if (r == 0)
		r = io_thread_init(&io, NULL);
	if (r < 0)
		return r;
	rig.irq.pulse = pulse;
	rig.f.env.doorbell = &io.bell;
	rig.f.env.loop = &io.loop;
	r = virtio_rig_create(&rig);
	if (r == 0)
		r = io_thread_attach(&io, rig.dev, NULL);
	if (r == 0)
		r = question_init();
	if (r == 0)
		r = io_thread_start(&io, THREAD_IO, "io-test", NULL);
	if (r == 0)
		r = iobus_create(IOBUS_MMIO, &bus);
	return r == 0 ? -pthread_barrier_init(&phase, NULL, VCPUS + 1) : r;
}

static int teardown(void **state)
{
	const struct kvm none = {.fd = -1, .vm_fd = -1};

	(void)state;
	io_thread_stop(&io);
	assert_true(io_thread_join(&io, INT64_MAX));
	event_loop_remove(&io.loop, &question);
	close(question.fd);
	bus = iobus_destroy(bus);
	rig.dev = device_destroy(rig.dev);
	io_thread_fini(&io, &none);
	virtio_rig_fini(&rig);
	pthread_barrier_destroy(&phase);
	sem_destroy(&answer);
	sem_destroy(&interrupted);
	return 0;
}

static void plug(void)
{
	const struct iobus_range range = {
		.first = BASE_GPA, .len = VIRTIO_MMIO_BYTES, .dev = rig.dev, .owner = "rng0"};

	assert_int_equal(iobus_add(bus, &range, NULL), 0);
}

/* Accesses of a vCPU that does not know that the device goes: it identifies it, rings, and starts a driver. */
static void hit(struct iobus_reader *reader, struct vcpu_counts *counts)
{
	static const struct {
		uint32_t reg, val;
	} writes[] = {
		{VIRTIO_MMIO_QUEUE_NOTIFY, 0},
		{VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE},
		{VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING},
	};
	uint32_t magic = 0;

	iobus_read(reader, BASE_GPA + VIRTIO_MMIO_MAGIC_VALUE, sizeof(magic), &magic);
	counts->gone += magic == UINT32_MAX;
	counts->wrong += magic != UINT32_MAX && magic != MAGIC;
	counts->reads++;
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
		iobus_write(reader, BASE_GPA + writes[i].reg, sizeof(writes[i].val),
			    &writes[i].val);
	counts->writes += ARRAY_SIZE(writes);
}

static void hit_while_out(struct iobus_reader *reader, struct vcpu_counts *counts)
{
	const uint64_t gone = counts->gone;

	for (unsigned i = 0; i < HITS_OUT; i++)
		hit(reader, counts);
	counts->there_out += HITS_OUT - (counts->gone - gone);
}

static void *vcpu_main(void *arg)
{
	struct vcpu_counts *counts = arg;
	struct iobus_reader *reader;

	assert_int_equal(iobus_reader_create(bus, &reader), 0);
	for (unsigned i = 0; i < CYCLES; i++) {
		pthread_barrier_wait(&phase);
		for (unsigned k = 0; k < HITS; k++) /* the device leaves */
			hit(reader, counts);
		pthread_barrier_wait(&phase);
		hit_while_out(reader, counts);
		pthread_barrier_wait(&phase);
		for (unsigned k = 0; k < HITS; k++) /* it comes back */
			hit(reader, counts);
	}
	iobus_reader_destroy(reader);
	return NULL;
}

/* A driver with all its buffers on their way, unless another vCPU got in between. */
static bool start_requests(struct virtq_driver *drv)
{
	if (!virtio_rig_start(&rig, drv, SIZE, 0))
		return false;
	for (unsigned i = 0; i < SIZE; i++)
		virtq_driver_add(drv, &(struct virtq_buf){DATA_GPA, BYTES, true}, 1);
	virtio_rig_kick(&rig, 0);
	return true;
}

static unsigned buffers_used(struct virtq_driver *drv)
{
	unsigned used = 0;
	uint32_t id, len;

	while (virtq_driver_used(drv, &id, &len))
		used++;
	return used;
}

/* A doorbell that is late finds nothing to do. */
static void unplugged_device_is_still(struct virtq_driver *drv, bool started)
{
	assert_true(virtio_mmio_is_reset(rig.dev));
	assert_int_equal(virtio_rig_status(&rig), 0);
	if (!started)
		return;
	buffers_used(drv);
	io.bell.ring(&io.bell, 0);
	io_thread_has_looked();
	assert_int_equal(buffers_used(drv), 0);
}

/* True when a driver had got its buffers on their way. */
static bool cycle(void)
{
	struct virtq_driver drv;
	bool runs;

	pthread_barrier_wait(&phase);
	runs = start_requests(&drv);
	assert_int_equal(iobus_remove(bus, BASE_GPA, NULL), 0);
	assert_true(virtio_mmio_reset(rig.dev));
	pthread_barrier_wait(&phase);
	unplugged_device_is_still(&drv, runs);
	pthread_barrier_wait(&phase);
	plug();
	return runs;
}

static void counts_agree(const struct vcpu_counts *counts)
{
	struct vcpu_counts sum = {0};
	struct iobus_totals totals;

	for (unsigned i = 0; i < VCPUS; i++) {
		sum.reads += counts[i].reads;
		sum.writes += counts[i].writes;
		sum.gone += counts[i].gone;
		sum.wrong += counts[i].wrong;
		sum.there_out += counts[i].there_out;
	}
	iobus_counts(bus, NULL, 0, &totals);
	assert_int_equal(sum.wrong, 0);
	assert_int_equal(sum.there_out, 0);
	assert_int_equal(sum.reads, VCPUS * CYCLES * (2 * HITS + HITS_OUT));
	assert_int_equal(totals.reads, sum.reads);
	assert_int_equal(totals.writes, sum.writes);
	assert_int_equal(totals.unclaimed_reads, sum.gone);
}

static void accesses_are_the_devices_or_nobodys(void **state)
{
	struct vcpu_counts counts[VCPUS] = {0};
	struct virtq_driver drv;
	pthread_t thread[VCPUS];
	unsigned started = 0;

	(void)state;
	plug();
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, vcpu_main, &counts[i]), 0);
	for (unsigned i = 0; i < CYCLES; i++)
		started += cycle();
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
	counts_agree(counts);
	assert_true(started > 0);
	assert_true(start_requests(&drv)); /* and works, now that nobody disturbs */
	for (unsigned used = buffers_used(&drv); used < SIZE; used += buffers_used(&drv))
		sem_take(&interrupted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(accesses_are_the_devices_or_nobodys, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
