/*
 * A virtio device that leaves its bus and comes back, over and over: the bus, the transport, the I/O thread and the
 * entropy device as they are, and vCPUs that access its registers all the while. For TSan. Each access is answered
 * by the device or by nobody, and counted so; a device that was reset off the bus writes to no guest memory.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/checked.h"
#include "event/io_thread.h"
#include "iobus.h"
#include "virtio/classes.h"
#include "virtio_rig.h"

enum { CYCLES = 1000, VCPUS = 3, SIZE = 16, DATA_GPA = 0x40000, BYTES = 64, SETTLED = 4 };
enum { MAGIC = 0x74726976 };
#define BASE_GPA UINT64_C(0xd0000000)

static struct virtio_rig rig;
static struct io_thread io;
static struct iobus *bus;
static atomic_bool over;

struct vcpu_counts {
	uint64_t reads, writes, gone, wrong;
};

static void pulse(struct irq_line *irq)
{
	(void)irq;
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
		r = io_thread_start(&io, "io-test", NULL);
	if (r == 0)
		r = iobus_create(IOBUS_MMIO, &bus);
	atomic_store(&over, false);
	return r;
}

static int teardown(void **state)
{
	const struct kvm none = {.fd = -1, .vm_fd = -1};

	(void)state;
	io_thread_stop(&io);
	assert_true(io_thread_join(&io, INT64_MAX));
	bus = iobus_destroy(bus);
	rig.dev = device_destroy(rig.dev);
	io_thread_fini(&io, &none);
	virtio_rig_fini(&rig);
	return 0;
}

static void plug(void)
{
	const struct iobus_range range = {
		.first = BASE_GPA, .len = VIRTIO_MMIO_BYTES, .dev = rig.dev, .owner = "rng0"};

	assert_int_equal(iobus_add(bus, &range, NULL), 0);
}

/* What a vCPU does that nobody has told that the device goes: it identifies it, rings, and starts a driver. */
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

static void *vcpu_main(void *arg)
{
	struct vcpu_counts *counts = arg;
	struct iobus_reader *reader;

	if (iobus_reader_create(bus, &reader) < 0) {
		counts->wrong++;
		return NULL;
	}
	while (!atomic_load(&over)) {
		hit(reader, counts);
		sched_yield();
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

static void unplugged_device_is_still(struct virtq_driver *drv, bool started)
{
	assert_true(virtio_mmio_is_reset(rig.dev));
	assert_int_equal(virtio_rig_status(&rig), 0);
	if (!started)
		return;
	buffers_used(drv);
	for (unsigned i = 0; i < SETTLED; i++)
		sched_yield();
	assert_int_equal(buffers_used(drv), 0);
}

static void accesses_are_the_devices_or_nobodys(void **state)
{
	struct vcpu_counts counts[VCPUS] = {0}, sum = {0};
	struct iobus_totals totals;
	struct virtq_driver drv;
	pthread_t thread[VCPUS];
	unsigned started = 0;

	(void)state;
	plug();
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, vcpu_main, &counts[i]), 0);
	for (unsigned i = 0; i < CYCLES; i++) {
		const bool runs = start_requests(&drv);

		started += runs;
		assert_int_equal(iobus_remove(bus, BASE_GPA, NULL), 0);
		assert_true(virtio_mmio_reset(rig.dev));
		unplugged_device_is_still(&drv, runs);
		do /* at least once, a vCPU meets nobody */
			iobus_counts(bus, NULL, 0, &totals);
		while (totals.unclaimed_reads == 0);
		plug();
	}
	atomic_store(&over, true);
	for (unsigned i = 0; i < VCPUS; i++) {
		pthread_join(thread[i], NULL);
		sum.reads += counts[i].reads;
		sum.writes += counts[i].writes;
		sum.gone += counts[i].gone;
		sum.wrong += counts[i].wrong;
	}
	iobus_counts(bus, NULL, 0, &totals);
	assert_int_equal(sum.wrong, 0);
	assert_int_equal(totals.reads, sum.reads);
	assert_int_equal(totals.writes, sum.writes);
	assert_int_equal(totals.unclaimed_reads, sum.gone);
	assert_true(started > 0);
	assert_true(start_requests(&drv)); /* and works, now that nobody disturbs */
	for (unsigned used = 0; used < SIZE; used += buffers_used(&drv))
		sched_yield();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(accesses_are_the_devices_or_nobodys, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
