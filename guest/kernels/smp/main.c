/*
 * smp - starts every CPU the device tree names, then has all of them use the same ports at once: no
 * access may be lost, and none may get another's answer.
 *
 *   cpus=N     how many there must be (default: what the device tree says)
 *   rounds=N   accesses of each kind a CPU makes (default 1000)
 *   mmio=N     the scratch device (lib/scratch.h), if there is one: each CPU keeps a word in it
 */
#include "access.h"
#include "boot.h"
#include "check.h"
#include "cmdline.h"
#include "devtree.h"
#include "entry.h"
#include "lapic.h"
#include "pc.h"
#include "scratch.h"
#include "smp.h"

enum {
	UNCLAIMED_PORT = 0x0e00,
	WORD_BYTES = 4,
	WORDS = SCRATCH_BYTES / WORD_BYTES,
};

static struct {
	unsigned cpus, rounds;
	bool has_scratch;
	uint64_t scratch_gpa;
	struct smp_barrier started;
	struct result {
		unsigned apic_id;
		unsigned accesses;
		unsigned debugcon_errors, unclaimed_errors, latch_errors, word_errors;
	} result[CPUS_MAX];
} smp_test;

static void hit_ports(struct result *r, unsigned cpu)
{
	r->debugcon_errors += in8(PC_DEBUGCON_PORT) != DEBUGCON_SIGNATURE;
	r->unclaimed_errors += in16(UNCLAIMED_PORT) != 0xffff;
	out8(PC_POST_PORT, (uint8_t)cpu);
	r->latch_errors += in8(PC_POST_PORT) >= smp_test.cpus; /* some CPU's number */
	r->accesses += 4;
}

static void hit_word(struct result *r, unsigned cpu, unsigned round)
{
	const uint64_t gpa = smp_test.scratch_gpa + cpu * (uint64_t)WORD_BYTES;
	const uint32_t val = cpu << 24 | round;

	mmio_write32(gpa, val);
	r->word_errors += mmio_read32(gpa) != val;
	r->accesses += 2;
}

static void run_cpu(unsigned cpu)
{
	struct result *r = &smp_test.result[cpu];

	r->apic_id = lapic_id();
	smp_barrier_wait(&smp_test.started, smp_test.cpus);
	for (unsigned i = 0; i < smp_test.rounds; i++) {
		hit_ports(r, cpu);
		if (smp_test.has_scratch && cpu < WORDS)
			hit_word(r, cpu, i);
	}
}

static bool apic_ids_differ(void)
{
	for (unsigned i = 0; i < smp_test.cpus; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (smp_test.result[i].apic_id == smp_test.result[k].apic_id)
				return false;
		}
	}
	return true;
}

static struct result sum_results(void)
{
	struct result sum = {0};

	for (unsigned i = 0; i < smp_test.cpus; i++) {
		const struct result *r = &smp_test.result[i];

		sum.accesses += r->accesses;
		sum.debugcon_errors += r->debugcon_errors;
		sum.unclaimed_errors += r->unclaimed_errors;
		sum.latch_errors += r->latch_errors;
		sum.word_errors += r->word_errors;
	}
	return sum;
}

void kernel_main(void)
{
	unsigned started;
	struct result sum;

	devtree_init();
	lapic_init();
	smp_test.cpus = (unsigned)cmdline_u64("cpus", smp_cpus(), CPUS_MAX);
	smp_test.rounds = (unsigned)cmdline_u64("rounds", 1000, 1000000);
	smp_test.has_scratch = scratch_find_mmio(&smp_test.scratch_gpa);
	out8(PC_POST_PORT, 0);

	started = smp_start(smp_test.cpus, run_cpu);
	if (!check("smp-started", started == smp_test.cpus, "%u of %u CPUs", started,
		   smp_test.cpus))
		check_finish(); /* the others wait for the missing ones */
	run_cpu(0);
	smp_join();

	check("smp-apic-ids", apic_ids_differ(), "two CPUs have the same");
	sum = sum_results();
	check("smp-debugcon", sum.debugcon_errors == 0, "%u wrong reads", sum.debugcon_errors);
	check("smp-unclaimed", sum.unclaimed_errors == 0, "%u wrong reads", sum.unclaimed_errors);
	check("smp-latch", sum.latch_errors == 0, "%u values nobody wrote", sum.latch_errors);
	if (smp_test.has_scratch)
		check("smp-words", sum.word_errors == 0, "%u words changed by another CPU",
		      sum.word_errors);
	check_pass("smp-accesses", "%u by %u CPUs", sum.accesses, smp_test.cpus);
	check_finish();
}
