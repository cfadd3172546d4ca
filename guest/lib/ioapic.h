/* ioapic.h - the I/O APIC (Intel 82093AA data sheet), edge-triggered and active-high inputs. */
#ifndef GUEST_IOAPIC_H
#define GUEST_IOAPIC_H

#include <stdint.h>

/* Inputs the I/O APIC has. */
unsigned ioapic_inputs(void);

/* Sends the interrupts of a GSI as vector to the CPU with that APIC ID. */
void ioapic_route(unsigned gsi, uint8_t vector, unsigned apic_id);
void ioapic_mask(unsigned gsi);

#endif
