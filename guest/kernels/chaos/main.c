/*
 * chaos - several CPUs that do at random, and at once, what guests do and what none would: port I/O and memory accesses
 * all over the machine, queues rewritten under devices that use them, resets in the middle of I/O, storms of doorbells
 * and interrupts. The VMM must neither end nor hang nor grow.
 *
 *   ops=N    operations of each CPU (default 2000)
 *   seed=N   of the random numbers (default 1); each CPU's follow from it, so one CPU alone repeats its run
 *   cpus=N   how many take part (default all)
 *
 * Left out is only what rightly ends the VM (targets.h), and what the interrupt controllers make of junk: those are
 * KVM's.
 */
#include "access.h"
#include "boot.h"
#include "chaos.h"
#include "check.h"
#include "cmdline.h"
#include "cpu.h"
#include "devtree.h"
#include "ioapic.h"
#include "lapic.h"
#include "pc.h"
#include "power.h"
#include "print.h"
#include "random.h"
#include "serial.h"
#include "smp.h"
#include "targets.h"
#include "trap.h"

enum {
	CPUS_MAX = 64,
	LOW_BYTES = 0x1000, /* where queues of a device are that was given no address */
	ROM_FIRST = 0xa0000,
	ROM_END = 0x100000,
	GSI_SERIAL = 4,
	GSI_RTC = 8,
	LINT0 = 0x350,
	LINT1 = 0x360,
	UNCLAIMED_PORT = 0x0e00,
};

#define LAPIC      UINT64_C(0xfee00000)
#define LVT_MASKED UINT32_C(0x10000)
#define ICR_LOW    UINT64_C(0x300)
#define ICR_ALL    UINT32_C(0x80000) /* to all CPUs, this one included */
#define HOLE_FIRST UINT64_C(0xc0000000)
#define HOLE_END   UINT64_C(0xfec00000) /* from here on: interrupt controllers, KVM's own pages */
#define SPREAD     UINT64_C(0x9e3779b97f4a7c15) /* between the seeds of CPUs: SplitMix64's */

static struct {
	uint64_t ops, seed;
	unsigned devices;
	struct smp_barrier begin;
	unsigned cpus;
} options;

static void hit_port(uint64_t *random, uint16_t port)
{
	const unsigned width = 1u << random_below(random, 3);
	const uint64_t val = port_value_tamed(port, width, random_next(random));

	if (random_below(random, 2))
		port_read(port, width);
	else if (!port_write_ends_vm(port, width, val))
		port_write(port, width, val);
}

static void hit_range(uint64_t *random)
{
	const struct port_range range = port_range_get(random_below(random, port_ranges()));

	hit_port(random, (uint16_t)(range.first - 3 + random_below(random, range.len + 3)));
}

static void hit_memory(uint64_t *random)
{
	const unsigned width = 1u << random_below(random, 4);
	uint64_t gpa = HOLE_FIRST + random_below(random, HOLE_END - HOLE_FIRST - 8);

	switch (random_below(random, 4)) {
	case 0: gpa = ROM_FIRST + random_below(random, ROM_END - ROM_FIRST - 8); break;
	case 1: break;
	default:
		if (options.devices)
			gpa = chaos_register(random);
		break;
	}
	if (random_below(random, 2))
		mmio_read(gpa, width);
	else if (chaos_may_write(gpa, width))
		mmio_write(gpa, width, random_next(random));
}

/* An interrupt for every CPU, and a moment in which those that are pending come. */
static void interrupt_all(void)
{
	mmio_write32(LAPIC + ICR_LOW, ICR_ALL | VECTOR_DOORBELL);
	irq_enable();
	cpu_relax();
	irq_disable();
}

static void one_op(uint64_t *random)
{
	switch (random_below(random, 16)) {
	case 0: hit_port(random, (uint16_t)random_below(random, 0x10000)); break;
	case 1:
	case 2: hit_range(random); break;
	case 3:
	case 4: hit_memory(random); break;
	case 5: interrupt_all(); break;
	default:
		if (options.devices)
			chaos_device_op(random);
		else
			hit_range(random);
		break;
	}
}

static void run(unsigned cpu)
{
	uint64_t random = options.seed + cpu * SPREAD;

	if (random == 0)
		random = 1; /* the generator's one fixed point is 0 */
	/* The 8259s get junk: what they make of it is a vector of anything. */
	mmio_write32(LAPIC + LINT0, LVT_MASKED);
	mmio_write32(LAPIC + LINT1, LVT_MASKED);
	smp_barrier_wait(&options.begin, options.cpus);
	for (uint64_t i = 0; i < options.ops; i++)
		one_op(&random);
}

static void nothing(void)
{
}

static void prepare(void)
{
	if (!devtree_init())
		guest_usage("chaos: no device tree");
	lapic_init();
	port_ranges_init();
	options.ops = cmdline_u64("ops", 2000, UINT64_MAX);
	options.seed = cmdline_u64("seed", 1, UINT64_MAX);
	options.cpus = (unsigned)cmdline_u64("cpus", smp_cpus(), CPUS_MAX);
	options.devices = chaos_devices_init();
	trap_set_handler(VECTOR_DOORBELL, nothing);
	trap_set_handler(VECTOR_SERIAL, nothing);
	trap_set_handler(VECTOR_RTC, nothing);
	ioapic_route(GSI_SERIAL, VECTOR_SERIAL, lapic_id());
	ioapic_route(GSI_RTC, VECTOR_RTC, lapic_id());
	print("chaos: %u CPUs, %u virtio devices, seed 0x%lx\n", options.cpus, options.devices,
	      options.seed);
	serial_flush();
}

static void clear_low_memory(void)
{
	for (uint64_t gpa = 0; gpa < LOW_BYTES; gpa += 8)
		mmio_write64(gpa, 0);
}

void kernel_main(void)
{
	bool rest;

	prepare();
	if (options.cpus > 1 && smp_start(options.cpus, run) != options.cpus)
		guest_panic("chaos: not all CPUs started");
	clear_low_memory();
	run(0);
	smp_join();
	ioapic_mask(GSI_SERIAL);
	ioapic_mask(GSI_RTC);
	rest = chaos_devices_rest();
	serial_init();
	print("\n"); /* after the dots */
	check("chaos-devices", rest, "a virtio device is not there any more");
	check("chaos-senses",
	      in32(UNCLAIMED_PORT) == UINT32_MAX && in8(PC_DEBUGCON_PORT) == DEBUGCON_SIGNATURE,
	      "ports do not read what they should");
	check_finish();
}
