/*
 * lapic.h - the local APIC in xAPIC mode (SDM volume 3, chapter 10): timer, EOI, IPIs.
 *
 * The timer counts at 1 GHz with divisor 1, which is what KVM and QEMU make it; real hardware would
 * have to be calibrated. The kernels use it to bound waits, so a wrong rate stretches a time-out
 * and breaks no result.
 */
#ifndef GUEST_LAPIC_H
#define GUEST_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#define LAPIC_TICKS_PER_MS UINT32_C(1000000)

enum {
	LAPIC_TIMER_MAX_MS = 4000,
	LAPIC_HANG_MS = 60000, /* for the host, which may be late by seconds under load */
};

/*
 * Enables this CPU's APIC. Ends the guest when it is in x2APIC mode, which no VMM enters unasked.
 */
void lapic_init(void);

unsigned lapic_id(void);
void lapic_eoi(void);

/* Starts a one-shot of ms milliseconds (at most LAPIC_TIMER_MAX_MS), which replaces an earlier one. */
void lapic_timer_start(unsigned ms, bool with_interrupt);
bool lapic_timer_expired(void);

/* Waits by looking at the timer; for times too short to sleep. */
void lapic_delay_us(unsigned us);

/* Sets the timer and sleeps (HLT) until its interrupt, once. Interrupts are off before and after. */
void lapic_sleep_ns(uint32_t ns);

/*
 * Sleeps (HLT) until done() or until ms milliseconds passed; returns what done() says then.
 * Interrupts are on while it sleeps and off when it returns; done() runs with interrupts off.
 */
bool lapic_wait(bool (*done)(void), unsigned ms);

/* How long the last lapic_wait() took; at most its ms. */
uint64_t lapic_waited_us(void);

/* IPIs to the CPU with that APIC ID; they wait for delivery. */
void lapic_send_nmi(unsigned apic_id);
void lapic_send_init(unsigned apic_id);
void lapic_send_startup(unsigned apic_id, uint8_t page);

#endif
