/*
 * clocks - how far each of the guest's clocks went while it ran, for a host that pauses it: each line "clock NAME US"
 * is microseconds from begin to end. And timers that may be late, and never early: the local APIC's one-shot and TSC
 * deadline, and the PIT's ticks, compared with kvmclock.
 *
 *   deadline=0   without the TSC deadline, where a host has none
 *
 * Every CPU looks at its clocks over and over, and none may go back. They go on until the debug console is off the bus:
 * so the host says that the end has come.
 *
 * kvmclock: Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW; PIT: Intel 8254 datasheet.
 */
#include "boot.h"
#include "check.h"
#include "cmdline.h"
#include "cpu.h"
#include "devtree.h"
#include "ioapic.h"
#include "lapic.h"
#include "pc.h"
#include "power.h"
#include "print.h"
#include "rtc.h"
#include "serial.h"
#include "smp.h"
#include "trap.h"

#define MSR_KVM_SYSTEM_TIME_NEW UINT32_C(0x4b564d01)
#define MSR_TSC_DEADLINE        UINT32_C(0x6e0)
#define LAPIC_LVT_TIMER         UINT64_C(0xfee00320)
#define LVT_TSC_DEADLINE        0x40000u
#define NS_PER_MS               UINT64_C(1000000)

enum {
	CPUS = 16,
	DAY_S = 24 * 3600,
	GUEST_STOPPED = 1 << 1, /* of pvclock.flags: the host paused this CPU */
	PIT_GSI = 0,            /* as KVM wires it, and the machine says */
	PIT_CHANNEL0 = 0x40,
	PIT_COMMAND = 0x43,
	PIT_PERIODIC = 0x34, /* channel 0, both bytes, mode 2 */
	PIT_TICK_US = 10000,
	PIT_COUNT = 11932, /* of 1,193,182 Hz */
	ONE_SHOT_MS = 3000,
	DEADLINE_MS = 3000,
	SLACK_US = 1000,     /* rounding of frequencies, which KVM knows in kHz */
	PIT_TICKS_SLACK = 1, /* rounding of the period */
};

__extension__ typedef unsigned __int128 u128; /* the product of a clock's scale */

/* As the host writes it; version is odd while it does. */
struct pvclock {
	uint32_t version, pad;
	uint64_t tsc, system_ns;
	uint32_t tsc_to_ns_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};

static struct cpu {
	_Alignas(64) volatile struct pvclock pvclock;
	uint64_t last_ns, last_tsc;
	bool went_back, was_told;
} cpus[CPUS];

static struct smp_barrier started;
static unsigned nr_cpus;
static volatile unsigned pit_ticks;
static volatile bool deadline_came;
static volatile uint64_t deadline_came_tsc;

static uint64_t scale(const volatile struct pvclock *clock, uint64_t ticks)
{
	const int8_t shift = clock->tsc_shift;

	ticks = shift < 0 ? ticks >> -shift : ticks << shift;
	return (uint64_t)((u128)ticks * clock->tsc_to_ns_mul >> 32);
}

static uint64_t kvmclock_ns(struct cpu *cpu)
{
	volatile struct pvclock *clock = &cpu->pvclock;
	uint32_t version;
	uint64_t ns;

	do {
		version = clock->version & ~UINT32_C(1);
		ns = clock->system_ns + scale(clock, rdtsc() - clock->tsc);
	} while (clock->version != version);
	if (clock->flags & GUEST_STOPPED) {
		cpu->was_told = true;
		clock->flags &= (uint8_t)~GUEST_STOPPED;
	}
	return ns;
}

static void look(struct cpu *cpu)
{
	const uint64_t tsc = rdtsc(), ns = kvmclock_ns(cpu);

	cpu->went_back |= tsc < cpu->last_tsc || ns < cpu->last_ns;
	cpu->last_tsc = tsc;
	cpu->last_ns = ns;
}

static bool host_is_done(void)
{
	return in8(PC_DEBUGCON_PORT) != DEBUGCON_SIGNATURE;
}

static void kvmclock_start(struct cpu *cpu)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)(uintptr_t)&cpu->pvclock | 1);
	cpu->last_tsc = rdtsc();
	cpu->last_ns = kvmclock_ns(cpu);
}

static void pit_interrupt(void)
{
	pit_ticks++;
}

static void deadline_interrupt(void)
{
	deadline_came_tsc = rdtsc();
	deadline_came = true;
}

/* Deadlines one after the other: whenever the pause comes, one is to come. */
static void watch_deadlines(struct cpu *cpu)
{
	const uint64_t hz_per_ms = NS_PER_MS * 1000 / scale(&cpu->pvclock, 1000);
	uint64_t early = 0, deadline;
	unsigned n = 0;

	mmio_write32(LAPIC_LVT_TIMER, VECTOR_TIMER | LVT_TSC_DEADLINE);
	while (!host_is_done()) {
		deadline_came = false;
		deadline = rdtsc() + hz_per_ms * DEADLINE_MS;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		while (!deadline_came && !host_is_done()) {
			irq_enable();
			look(cpu);
			irq_disable();
		}
		if (!deadline_came)
			break;
		n++;
		if (deadline_came_tsc + hz_per_ms * SLACK_US / 1000 < deadline)
			early = deadline - deadline_came_tsc;
	}
	wrmsr(MSR_TSC_DEADLINE, 0);
	check("deadlines", !early, "one of %u came %lu ticks early", n, early);
}

static void another_cpu(unsigned index)
{
	struct cpu *cpu = &cpus[index];

	kvmclock_start(cpu);
	smp_barrier_wait(&started, nr_cpus);
	if (index == 1 && cmdline_u64("deadline", 1, 1))
		watch_deadlines(cpu);
	while (!host_is_done())
		look(cpu);
}

/* Of the day. */
static unsigned rtc_s(void)
{
	struct rtc_time t;

	if (!rtc_read_time(PC_RTC_PORT, &t))
		guest_panic("the RTC gives no time");
	return t.hour * 3600 + t.minute * 60 + t.second;
}

static void pit_start(void)
{
	trap_set_handler(VECTOR_VIRTIO, pit_interrupt);
	ioapic_route(PIT_GSI, VECTOR_VIRTIO, lapic_id());
	out8(PIT_COMMAND, PIT_PERIODIC);
	out8(PIT_CHANNEL0, PIT_COUNT & 0xff);
	out8(PIT_CHANNEL0, PIT_COUNT >> 8);
}

/* One-shots one after the other, as the deadlines. */
static void watch(struct cpu *cpu)
{
	uint64_t early_us = 0, begin_ns = cpu->last_ns, took_us;
	unsigned n = 0;

	lapic_timer_start(ONE_SHOT_MS, false);
	while (!host_is_done()) {
		const bool expired = lapic_timer_expired();

		irq_enable();
		look(cpu);
		irq_disable();
		if (!expired)
			continue;
		n++;
		took_us = (cpu->last_ns - begin_ns) / 1000;
		if (took_us + SLACK_US < ONE_SHOT_MS * UINT64_C(1000))
			early_us = ONE_SHOT_MS * UINT64_C(1000) - took_us;
		begin_ns = kvmclock_ns(cpu);
		lapic_timer_start(ONE_SHOT_MS, false);
	}
	check("one-shots", !early_us, "one of %u came %lu us early", n, early_us);
}

static void check_all(void)
{
	bool back = false, told = true;

	for (unsigned i = 0; i < nr_cpus; i++) {
		back |= cpus[i].went_back;
		told &= cpus[i].was_told;
	}
	check("forwards", !back, "a clock went back");
	print("told %s\n", told ? "yes" : "no");
}

void kernel_main(void)
{
	struct cpu *cpu = &cpus[0];
	uint64_t begin_ns, begin_tsc, us, ticks_max;
	unsigned begin_s;

	if (!devtree_init())
		guest_panic("no device tree");
	lapic_init();
	trap_set_handler(VECTOR_TIMER, deadline_interrupt);
	nr_cpus = smp_cpus();
	kvmclock_start(cpu);
	smp_start(nr_cpus, another_cpu);
	smp_barrier_wait(&started, nr_cpus);
	begin_s = rtc_s();
	kvmclock_start(cpu);
	begin_ns = cpu->last_ns;
	begin_tsc = cpu->last_tsc;
	pit_start();
	print("clocks: begin\n");
	watch(cpu);
	us = (kvmclock_ns(cpu) - begin_ns) / 1000;
	ticks_max = us / PIT_TICK_US + PIT_TICKS_SLACK;
	check("pit", pit_ticks > 0 && pit_ticks <= ticks_max, "%u ticks, of at most %lu", pit_ticks,
	      ticks_max);
	smp_join();
	check_all();
	print("clock kvmclock %lu\nclock tsc %lu\nclock rtc %u\n",
	      (kvmclock_ns(cpu) - begin_ns) / 1000,
	      scale(&cpu->pvclock, rdtsc() - begin_tsc) / 1000,
	      (rtc_s() + DAY_S - begin_s) % DAY_S * 1000000);
	check_finish();
}
