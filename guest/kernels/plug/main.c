/*
 * plug - every CPU reads one register of a device over and over while the host takes that device off the bus and
 * puts it back: each answer is the device's, or all ones, and both are counted.
 *
 *   port=N | mmio=N   the register; one of the two
 *   width=1|2|4       of the register (default 1)
 *   expect=N          what it reads as while the device is there
 *   write=N           a register in the same space, of the same width, which is written once for each read
 *   value=N           what is written there (default 0)
 *   driver            CPU 0 drives the entropy device instead: it negotiates and asks for bytes, over and over
 *
 * The CPUs go on until the debug console is off the bus: so the host says that the device stays. Then each makes a last
 * round, in which the device answers. With driver, a working entropy device is asked for after that. The line with the
 * counts says that the CPUs have stopped; from then on nothing but the console is accessed, and the host may count.
 */
#include <string.h>

#include "access.h"
#include "boot.h"
#include "cmdline.h"
#include "cpu.h"
#include "devtree.h"
#include "lapic.h"
#include "pc.h"
#include "power.h"
#include "print.h"
#include "serial.h"
#include "smp.h"
#include "virtio.h"

enum { ROUNDS = 64, MAGIC = 0x74726976, CPUS = 64 };
enum {
	READY = VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_FEATURES_OK,
	RUNNING = READY | VIRTIO_S_DRIVER_OK,
};

static struct {
	bool is_port, driver;
	unsigned width, cpus;
	uint64_t addr, expect, write, value;
	struct virtio_device rng;
	struct virtio_queue queue;
	uint8_t random[64];
	struct result {
		uint64_t there, gone, wrong, written, looks;
	} result[CPUS];
	uint64_t answered;
	struct smp_barrier started;
} plug;

static bool host_is_done(struct result *r)
{
	r->looks++;
	return in8(PC_DEBUGCON_PORT) != DEBUGCON_SIGNATURE;
}

static void hit(struct result *r)
{
	const uint64_t val = plug.is_port ? port_read((uint16_t)plug.addr, plug.width)
					  : mmio_read(plug.addr, plug.width);

	if (val == plug.expect)
		r->there++;
	else if (val == width_mask(plug.width))
		r->gone++;
	else
		r->wrong++;
	if (!plug.write)
		return;
	r->written++;
	if (plug.is_port)
		port_write((uint16_t)plug.write, plug.width, plug.value);
	else
		mmio_write(plug.write, plug.width, plug.value);
}

static void hit_often(struct result *r)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		hit(r);
}

static bool start_driver(void)
{
	if (virtio_read(&plug.rng, VIRTIO_MAGIC) != MAGIC ||
	    !virtio_negotiate(&plug.rng, VIRTIO_F_VERSION_1) ||
	    !virtio_queue_start(&plug.rng, 0, &plug.queue) ||
	    virtio_read(&plug.rng, VIRTIO_STATUS) != READY)
		return false;
	virtio_write(&plug.rng, VIRTIO_STATUS, RUNNING);
	return virtio_read(&plug.rng, VIRTIO_STATUS) == RUNNING;
}

/*
 * Without interrupts. A device that leaves meanwhile does not answer, and its status shows that: all ones, or 0 once
 * it is back. One that runs on is waited for, however long it takes.
 */
static bool ask_for_bytes(void)
{
	uint32_t len = 0;

	if (!start_driver())
		return false;
	plug.queue.desc[0] = (struct virtio_desc){.addr = (uintptr_t)plug.random,
						  .len = sizeof(plug.random),
						  .flags = VIRTIO_DESC_WRITE};
	virtio_offer(&plug.queue, 0);
	virtio_kick(&plug.rng, 0);
	while (!virtio_used(&plug.queue, &len)) {
		if (virtio_read(&plug.rng, VIRTIO_STATUS) != RUNNING)
			return false;
		cpu_relax();
	}
	return len == sizeof(plug.random);
}

static void run_cpu(unsigned cpu)
{
	struct result *r = &plug.result[cpu];
	bool is_last;

	smp_barrier_wait(&plug.started, plug.cpus);
	do {
		is_last = host_is_done(r);
		if (cpu == 0 && plug.driver)
			plug.answered += ask_for_bytes();
		else
			hit_often(r);
	} while (!is_last);
}

static void read_words(void)
{
	static const char *const widths[] = {"1", "2", "4", NULL};
	const uint64_t max = UINT32_MAX - 8;

	plug.is_port = cmdline_value("port", &(size_t){0});
	if (plug.is_port == (cmdline_value("mmio", &(size_t){0}) != NULL))
		guest_usage("plug: port=N or mmio=N, one of them");
	plug.addr = cmdline_u64(plug.is_port ? "port" : "mmio", 0, max);
	plug.width = 1U << cmdline_choice("width", widths);
	plug.expect = cmdline_u64("expect", 0, UINT32_MAX);
	plug.write = cmdline_u64("write", 0, max);
	plug.value = cmdline_u64("value", 0, UINT32_MAX);
	plug.driver = cmdline_has("driver");
	if (plug.driver && !virtio_find(VIRTIO_TYPE_RNG, &plug.rng))
		guest_usage("plug: there is no entropy device to drive");
}

static void print_results(void)
{
	struct result sum = {0};

	for (unsigned i = 0; i < plug.cpus; i++) {
		sum.there += plug.result[i].there;
		sum.gone += plug.result[i].gone;
		sum.wrong += plug.result[i].wrong;
		sum.written += plug.result[i].written;
		sum.looks += plug.result[i].looks;
	}
	if (plug.driver) {
		memset(plug.random, 0, sizeof(plug.random));
		print("plug: %lu answered, then %s\n", plug.answered,
		      ask_for_bytes() ? "works" : "does not work");
	}
	print("plug: %lu there, %lu gone, %lu wrong, %lu written, %lu looks\n", sum.there, sum.gone,
	      sum.wrong, sum.written, sum.looks);
}

void kernel_main(void)
{
	if (!devtree_init())
		guest_panic("no device tree");
	lapic_init();
	read_words();
	plug.cpus = smp_cpus();
	if (plug.cpus > CPUS)
		guest_usage("plug: %u CPUs, and at most %d", plug.cpus, CPUS);
	print("plug: begins\n");
	serial_flush();
	if (plug.write && plug.is_port) /* before another CPU reads it */
		port_write((uint16_t)plug.write, plug.width, plug.value);
	if (smp_start(plug.cpus, run_cpu) < plug.cpus)
		guest_panic("plug: not all of %u CPUs started", plug.cpus);
	run_cpu(0);
	smp_join();
	print_results();
	serial_flush();
	for (;;)
		irq_wait();
}
