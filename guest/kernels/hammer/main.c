/*
 * hammer - every CPU makes the same access as fast as it can; lib/hammer_abi.h says how the host
 * starts, stops and counts it.
 *
 *   port=N | mmio=N    where; one of the two
 *   dir=out|in         write (default) or read
 *   width=1|2|4|8      bytes (default 1; 8 only for mmio)
 *   value=N            what is written (default 0)
 *   count=N            accesses of each CPU; 0 (default): until asked to stop
 *   cpus=N             CPUs (default: all)
 *   ctl=N              control area; without it the counts are printed instead
 *   commands           each CPU makes what the host writes into the control area; needs ctl=, and no port= or mmio=
 */
#include "accesses.h"
#include "boot.h"
#include "cmdline.h"
#include "commands.h"
#include "cpu.h"
#include "devtree.h"
#include "hammer_abi.h"
#include "lapic.h"
#include "power.h"
#include "print.h"
#include "smp.h"

static struct {
	struct access access;
	uint64_t addr, value, count;
	unsigned cpus;
	bool commands;
	struct hammer_ctl *ctl;
} hammer;

/* Stands in for the control area when there is none. */
static struct hammer_ctl own_ctl;

static void hammer_loop(struct hammer_cpu *cpu)
{
	const struct access access = hammer.access;
	const uint64_t addr = hammer.addr;
	const uint64_t wanted = hammer.count ? hammer.count : UINT64_MAX;
	const uint32_t *stop = &hammer.ctl->stop;
	uint64_t left = wanted, val = hammer.value;

	cpu->tsc_first = rdtsc();
	while (left >= HAMMER_BLOCK && !__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		val = access.block(addr, val);
		left -= HAMMER_BLOCK;
	}
	for (; left && left < HAMMER_BLOCK; left--)
		val = access.one(addr, val);
	cpu->tsc_last = rdtsc();
	cpu->count = wanted - left;
	cpu->in_value = (uint32_t)val;
}

static void hammer_cpu_run(unsigned index)
{
	struct hammer_ctl *ctl = hammer.ctl;

	ctl->cpu[index].apic_id = lapic_id();
	__atomic_fetch_add(&ctl->ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&ctl->ready, __ATOMIC_ACQUIRE) < hammer.cpus ||
	       !__atomic_load_n(&ctl->go, __ATOMIC_ACQUIRE))
		cpu_relax();
	if (hammer.commands)
		commands_run(ctl, index);
	else
		hammer_loop(&ctl->cpu[index]);
	__atomic_fetch_add(&ctl->done, 1, __ATOMIC_ACQ_REL);
}

static void read_target(void)
{
	static const char *const dirs[] = {"out", "in", NULL};
	static const char *const widths[] = {"1", "2", "4", "8", NULL};
	const bool is_mmio = cmdline_value("mmio", &(size_t){0});
	const unsigned dir = cmdline_choice("dir", dirs);
	const unsigned width = cmdline_choice("width", widths);

	if (is_mmio == (cmdline_value("port", &(size_t){0}) != NULL))
		guest_usage("hammer: port=N or mmio=N, one of them");
	hammer.access = *access_of(is_mmio, dir, 1u << width);
	if (!hammer.access.block)
		guest_usage("hammer: ports are at most 4 bytes wide");
	hammer.addr = is_mmio ? cmdline_u64("mmio", 0, UINT32_MAX - 7)
			      : cmdline_u64("port", 0, UINT16_MAX);
	hammer.value = cmdline_u64("value", 0, UINT64_MAX);
	hammer.count = cmdline_u64("count", 0, UINT64_MAX - 1);
}

static void read_ctl(void)
{
	const uint64_t gpa = cmdline_u64("ctl", 0, UINT32_MAX - HAMMER_CTL_BYTES);

	if (gpa % HAMMER_LINE_BYTES)
		guest_usage("hammer: ctl=0x%lx is not aligned to %d", gpa, HAMMER_LINE_BYTES);
	own_ctl.magic = HAMMER_MAGIC;
	own_ctl.go = 1;
	hammer.ctl = gpa ? phys_ptr(gpa) : &own_ctl;
	if (hammer.ctl->magic != HAMMER_MAGIC)
		guest_usage("hammer: no control area at ctl=0x%lx", gpa);
	if (!gpa && hammer.commands)
		guest_usage("hammer: commands come through ctl=N");
	if (!gpa && !hammer.count)
		guest_usage("hammer: without ctl=, nobody can stop it: count=N is needed");
}

static void print_counts(void)
{
	for (unsigned i = 0; i < hammer.cpus; i++) {
		const struct hammer_cpu *cpu = &hammer.ctl->cpu[i];

		print("hammer: CPU %u: %lu accesses in %lu TSC ticks, last value 0x%x\n", i,
		      cpu->count, cpu->tsc_last - cpu->tsc_first, cpu->in_value);
	}
}

void kernel_main(void)
{
	hammer.commands = cmdline_has("commands");
	if (!hammer.commands)
		read_target();
	read_ctl();
	devtree_init();
	lapic_init();
	hammer.cpus = (unsigned)cmdline_u64("cpus", smp_cpus(), HAMMER_CPUS_MAX);
	if (hammer.cpus == 0 || hammer.cpus > smp_cpus())
		guest_usage("hammer: cpus=%u: there are %u", hammer.cpus, smp_cpus());
	if (smp_start(hammer.cpus, hammer_cpu_run) < hammer.cpus)
		guest_panic("hammer: not all of %u CPUs started", hammer.cpus);
	hammer_cpu_run(0);
	while (__atomic_load_n(&hammer.ctl->done, __ATOMIC_ACQUIRE) < hammer.cpus)
		cpu_relax();
	if (hammer.ctl == &own_ctl)
		print_counts();
}
