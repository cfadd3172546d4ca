#include "smp.h"

#include <string.h>

#include "cpu.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "trap.h"

enum {
	INIT_DELAY_US = 10000, /* SDM volume 3, 8.4.4.1 */
	STARTUP_DELAY_US = 200,
};

static struct {
	void (*fn)(unsigned cpu);
	atomic_uint online; /* APs only */
	atomic_uint finished;
} smp;

unsigned smp_cpus(void)
{
	const uint32_t *apic_ids;
	size_t n = devtree_cpus(&apic_ids);

	return n ? (unsigned)n : 1;
}

/* Sends one kind of IPI to the first max - 1 CPUs that are not this one; returns how many. */
static unsigned each_ap(unsigned max, void (*send)(unsigned apic_id))
{
	const unsigned self = lapic_id();
	const uint32_t *apic_ids;
	const size_t n = devtree_cpus(&apic_ids);
	unsigned sent = 0;

	for (size_t i = 0; i < n && sent + 1 < max; i++) {
		if (apic_ids[i] == self)
			continue;
		send(apic_ids[i]);
		sent++;
	}
	return sent;
}

static void send_startup(unsigned apic_id)
{
	lapic_send_startup(apic_id, SMP_TRAMPOLINE_GPA >> 12);
}

/* Returns when more are there than before, or all, or when LAPIC_HANG_MS have passed. */
static unsigned wait_for_more(unsigned before, unsigned wanted)
{
	unsigned online = before;

	for (unsigned ms = 0; ms < LAPIC_HANG_MS; ms += LAPIC_TIMER_MAX_MS) {
		lapic_timer_start(LAPIC_TIMER_MAX_MS, false);
		do {
			online = atomic_load(&smp.online);
			if (online != before || online >= wanted)
				return online;
			cpu_relax();
		} while (!lapic_timer_expired());
	}
	return online;
}

static unsigned wait_online(unsigned wanted)
{
	unsigned online = 0, before;

	do {
		before = online;
		online = wait_for_more(before, wanted);
	} while (online != before);
	return online;
}

unsigned smp_start(unsigned max, void (*fn)(unsigned cpu))
{
	unsigned wanted;

	if (smp.fn)
		guest_panic("smp_start() called twice");
	smp.fn = fn;
	memcpy(phys_ptr(SMP_TRAMPOLINE_GPA), ap_trampoline, ap_trampoline_bytes);
	wanted = each_ap(max, lapic_send_init);
	if (wanted == 0)
		return 1;
	lapic_delay_us(INIT_DELAY_US);
	each_ap(max, send_startup);
	lapic_delay_us(STARTUP_DELAY_US);
	each_ap(max, send_startup); /* ignored by those already up */
	return 1 + wait_online(wanted);
}

void ap_start(unsigned stack)
{
	trap_init_ap();
	lapic_init();
	atomic_fetch_add(&smp.online, 1);
	smp.fn(stack + 1);
	atomic_fetch_add(&smp.finished, 1);
	cpu_halt();
}

void smp_join(void)
{
	while (atomic_load(&smp.finished) < atomic_load(&smp.online))
		cpu_relax();
}

void smp_barrier_wait(struct smp_barrier *barrier, unsigned n)
{
	atomic_fetch_add(&barrier->arrived, 1);
	while (atomic_load(&barrier->arrived) < n)
		cpu_relax();
}
