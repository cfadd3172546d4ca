/*
 * smp.h - the other CPUs: those the device tree names, started by INIT, SIPI, SIPI (SDM volume 3,
 * 8.4).
 *
 * An AP runs one function once, then halts. The page SMP_TRAMPOLINE_GPA is overwritten.
 */
#ifndef GUEST_SMP_H
#define GUEST_SMP_H

#include <stdatomic.h>
#include <stdint.h>

#define SMP_TRAMPOLINE_GPA UINT64_C(0x8000)

/*
 * Starts CPUs until max run, this one included, and waits for them, unless none comes for two
 * seconds. Returns how many run. Each AP calls fn(cpu), cpu counting from 1 in order of arrival.
 * devtree_init() and lapic_init() come first. Once a boot.
 */
unsigned smp_start(unsigned max, void (*fn)(unsigned cpu));

/* CPUs that smp_start() would run without a limit: at least 1. */
unsigned smp_cpus(void);

/* Waits until every AP is back from fn. */
void smp_join(void);

/* Lets nobody on before n CPUs came; each barrier is used once. */
struct smp_barrier {
	atomic_uint arrived;
};

void smp_barrier_wait(struct smp_barrier *barrier, unsigned n);

/* Called by ap_entry.S, which counts the stacks it gave out from 0. */
_Noreturn void ap_start(unsigned stack);

/* The trampoline's code in ap_entry.S. */
extern const uint8_t ap_trampoline[];
extern const uint32_t ap_trampoline_bytes;

#endif
