#include "lapic.h"

#include "cpu.h"
#include "entry.h"
#include "power.h"
#include "trap.h"

enum {
	LAPIC_ID = 0x20,
	LAPIC_EOI = 0xb0,
	LAPIC_SVR = 0xf0,
	LAPIC_ICR_LOW = 0x300,
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};

#define APIC_BASE_ENABLE 0x800u
#define APIC_BASE_X2APIC 0x400u
#define APIC_BASE_GPA    UINT64_C(0xffffff000)

#define SVR_ENABLE       0x100u
#define LVT_MASKED       0x10000u
#define TIMER_DIVIDE_BY1 0xbu
#define ICR_NMI          0x400u
#define ICR_INIT         0x500u
#define ICR_STARTUP      0x600u
#define ICR_PENDING      0x1000u
#define ICR_ASSERT       0x4000u

/* The architectural address; nobody here moves it. */
static const uint64_t lapic_gpa = 0xfee00000;

static uint64_t waited_ticks;

static uint32_t lapic_read(unsigned reg)
{
	return mmio_read32(lapic_gpa + reg);
}

static void lapic_write(unsigned reg, uint32_t val)
{
	mmio_write32(lapic_gpa + reg, val);
}

void lapic_init(void)
{
	const uint64_t base = rdmsr(MSR_APIC_BASE);

	if ((base & APIC_BASE_GPA) != lapic_gpa || !(base & APIC_BASE_ENABLE) ||
	    (base & APIC_BASE_X2APIC))
		guest_panic("local APIC is not in xAPIC mode at its reset address: "
			    "IA32_APIC_BASE is 0x%lx",
			    base);
	lapic_write(LAPIC_SVR, SVR_ENABLE | TRAP_SPURIOUS);
	lapic_write(LAPIC_TIMER_DIVIDE, TIMER_DIVIDE_BY1);
}

unsigned lapic_id(void)
{
	return lapic_read(LAPIC_ID) >> 24;
}

void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

void lapic_timer_start(unsigned ms, bool with_interrupt)
{
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | (with_interrupt ? 0 : LVT_MASKED));
	lapic_write(LAPIC_TIMER_INITIAL, ms * LAPIC_TICKS_PER_MS);
}

bool lapic_timer_expired(void)
{
	return lapic_read(LAPIC_TIMER_CURRENT) == 0;
}

void lapic_delay_us(unsigned us)
{
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | LVT_MASKED);
	lapic_write(LAPIC_TIMER_INITIAL, us * (LAPIC_TICKS_PER_MS / 1000));
	while (!lapic_timer_expired())
		cpu_relax();
}

static void timer_interrupt(void)
{
	/* Its purpose was to end a HLT. */
}

void lapic_sleep_ns(uint32_t ns)
{
	trap_set_handler(VECTOR_TIMER, timer_interrupt);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL, ns); /* LAPIC_TICKS_PER_MS: a tick is 1 ns */
	irq_wait();
}

/* One shot of the timer; ms is at most LAPIC_TIMER_MAX_MS. */
static bool wait_round(bool (*done)(void), unsigned ms)
{
	bool is_done;

	lapic_timer_start(ms, true);
	while (!(is_done = done()) && !lapic_timer_expired())
		irq_wait();
	waited_ticks += ms * LAPIC_TICKS_PER_MS - lapic_read(LAPIC_TIMER_CURRENT);
	lapic_timer_start(0, false);
	return is_done;
}

bool lapic_wait(bool (*done)(void), unsigned ms)
{
	trap_set_handler(VECTOR_TIMER, timer_interrupt);
	waited_ticks = 0;
	for (; ms > LAPIC_TIMER_MAX_MS; ms -= LAPIC_TIMER_MAX_MS)
		if (wait_round(done, LAPIC_TIMER_MAX_MS))
			return true;
	return wait_round(done, ms);
}

uint64_t lapic_waited_us(void)
{
	return waited_ticks / (LAPIC_TICKS_PER_MS / 1000);
}

static void send_ipi(unsigned apic_id, uint32_t command)
{
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, command);
	while (lapic_read(LAPIC_ICR_LOW) & ICR_PENDING)
		cpu_relax();
}

void lapic_send_nmi(unsigned apic_id)
{
	send_ipi(apic_id, ICR_NMI | ICR_ASSERT);
}

void lapic_send_init(unsigned apic_id)
{
	send_ipi(apic_id, ICR_INIT | ICR_ASSERT);
}

void lapic_send_startup(unsigned apic_id, uint8_t page)
{
	send_ipi(apic_id, ICR_STARTUP | ICR_ASSERT | page);
}
