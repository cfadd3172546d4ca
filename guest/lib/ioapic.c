#include "ioapic.h"

#include "cpu.h"
#include "pc.h"

enum {
	IOREGSEL = 0x00,
	IOWIN = 0x10,
	IOAPICVER = 1,
	IOREDTBL = 0x10, /* two 32-bit registers an input */
};

#define REDIRECTION_MASKED 0x10000u

static uint32_t ioapic_read(uint32_t reg)
{
	mmio_write32(PC_IOAPIC_GPA + IOREGSEL, reg);
	return mmio_read32(PC_IOAPIC_GPA + IOWIN);
}

static void ioapic_write(uint32_t reg, uint32_t val)
{
	mmio_write32(PC_IOAPIC_GPA + IOREGSEL, reg);
	mmio_write32(PC_IOAPIC_GPA + IOWIN, val);
}

unsigned ioapic_inputs(void)
{
	return (ioapic_read(IOAPICVER) >> 16 & 0xff) + 1;
}

void ioapic_route(unsigned gsi, uint8_t vector, unsigned apic_id)
{
	ioapic_mask(gsi);
	ioapic_write(IOREDTBL + 2 * gsi + 1, apic_id << 24);
	ioapic_write(IOREDTBL + 2 * gsi, vector);
}

void ioapic_mask(unsigned gsi)
{
	ioapic_write(IOREDTBL + 2 * gsi, REDIRECTION_MASKED);
}
