#include "arch/x86_64/mptable.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "arch/x86_64/internal.h"
#include "arch/x86_64/layout.h"
#include "base/byte_writer.h"
#include "base/cleanup.h"

/* Chapter 4; offsets are in the floating pointer structure or the configuration table's header. */
enum {
	FLOATING_LEN = 16,
	FLOATING_CHECKSUM = 10,

	HEADER_LENGTH = 4,
	HEADER_CHECKSUM = 7,
	HEADER_ENTRIES = 34,

	SPEC_REV_1_4 = 4,

	ENTRY_PROCESSOR = 0,
	ENTRY_BUS = 1,
	ENTRY_IO_APIC = 2,
	ENTRY_IO_INTERRUPT = 3,
	ENTRY_LOCAL_INTERRUPT = 4,

	CPU_ENABLED = 1 << 0,
	CPU_BSP = 1 << 1,
	CPU_SIGNATURE = 0x600,          /* family 6; kernels ask CPUID for the rest */
	CPU_FEATURES = 1 << 0 | 1 << 9, /* FPU, APIC */

	APIC_VERSION = 0x14,    /* of an integrated local APIC with xAPIC registers */
	IO_APIC_VERSION = 0x11, /* 82093AA, what KVM's version register reads */
	IO_APIC_ID = 0,         /* what the ID register reads after KVM_CREATE_IRQCHIP */
	IO_APIC_ENABLED = 1 << 0,

	BUS_ISA = 0, /* the ID of the one bus */

	INT = 0, /* vectored: the I/O APIC gives the vector */
	NMI = 1,
	EXTINT = 3,
	CONFORMS = 0, /* edge-triggered and active high, on an ISA bus */
	ALL_LOCAL_APICS = 0xff,
};

/* 4.1 */
static void render_floating(struct byte_writer *w, uint64_t gpa)
{
	const size_t start = w->len;

	byte_writer_text(w, "_MP_", 4, ' ');
	byte_writer_u32(w, (uint32_t)(gpa + start + FLOATING_LEN)); /* the configuration table */
	byte_writer_u8(w, FLOATING_LEN / 16);
	byte_writer_u8(w, SPEC_REV_1_4);
	byte_writer_u8(w, 0);  /* checksum */
	byte_writer_u8(w, 0);  /* no default configuration: there is a table */
	byte_writer_u32(w, 0); /* virtual wire mode: there is no IMCR */
	byte_writer_patch_u8(w, start + FLOATING_CHECKSUM,
			     byte_writer_checksum(w, start, FLOATING_LEN));
}

/* 4.2 */
static void render_header(struct byte_writer *w, const struct machine *m)
{
	byte_writer_text(w, "PCMP", 4, ' ');
	byte_writer_u16(w, 0); /* length */
	byte_writer_u8(w, SPEC_REV_1_4);
	byte_writer_u8(w, 0); /* checksum */
	byte_writer_text(w, "TOLLGATE", 8, ' ');
	byte_writer_text(w, "VM", 12, ' ');
	byte_writer_u32(w, 0); /* no OEM table */
	byte_writer_u16(w, 0);
	byte_writer_u16(w, 0); /* number of entries */
	byte_writer_u32(w, chip_gpa(m, "lapic"));
	byte_writer_u32(w, 0); /* no extended table; reserved */
}

/* 4.3.1. CPU n has APIC ID n, as KVM gives it to vCPU n. */
static void render_cpu(struct byte_writer *w, unsigned id)
{
	assert(id < UINT8_MAX); /* which is the broadcast */
	byte_writer_u8(w, ENTRY_PROCESSOR);
	byte_writer_u8(w, (uint8_t)id);
	byte_writer_u8(w, APIC_VERSION);
	byte_writer_u8(w, id == 0 ? CPU_ENABLED | CPU_BSP : CPU_ENABLED);
	byte_writer_u32(w, CPU_SIGNATURE);
	byte_writer_u32(w, CPU_FEATURES);
	byte_writer_u64(w, 0);
}

/* 4.3.2 and 4.3.3 */
static void render_bus_and_io_apic(struct byte_writer *w, const struct machine *m)
{
	byte_writer_u8(w, ENTRY_BUS);
	byte_writer_u8(w, BUS_ISA);
	byte_writer_text(w, "ISA", 6, ' ');

	byte_writer_u8(w, ENTRY_IO_APIC);
	byte_writer_u8(w, IO_APIC_ID);
	byte_writer_u8(w, IO_APIC_VERSION);
	byte_writer_u8(w, IO_APIC_ENABLED);
	byte_writer_u32(w, chip_gpa(m, "ioapic"));
}

/* 4.3.4 and 4.3.5: both kinds of entry have the same form. */
static void render_interrupt(struct byte_writer *w, uint8_t entry, uint8_t type, uint8_t bus_irq,
			     uint8_t apic, uint8_t input)
{
	byte_writer_u8(w, entry);
	byte_writer_u8(w, type);
	byte_writer_u16(w, CONFORMS);
	byte_writer_u8(w, BUS_ISA);
	byte_writer_u8(w, bus_irq);
	byte_writer_u8(w, apic);
	byte_writer_u8(w, input);
}

/*
 * Every input is listed as the ISA interrupt of its number, those from 16 up too: Linux makes no
 * interrupt of an input that is not listed, and virtio_mmio.device= on its command line is believed
 * only if there is one. The numbers are those of the default GSI routing of KVM_CREATE_IRQCHIP.
 */
static void render_interrupts(struct byte_writer *w, const struct machine *m)
{
	for (unsigned gsi = 0; gsi < (unsigned)m->platform->nr_gsis; gsi++)
		render_interrupt(w, ENTRY_IO_INTERRUPT, INT, (uint8_t)gsi, IO_APIC_ID,
				 (uint8_t)gsi);
	render_interrupt(w, ENTRY_LOCAL_INTERRUPT, EXTINT, 0, ALL_LOCAL_APICS, 0);
	render_interrupt(w, ENTRY_LOCAL_INTERRUPT, NMI, 0, ALL_LOCAL_APICS, 1);
}

static void render_table(struct byte_writer *w, const struct machine *m)
{
	const unsigned entries = m->cpus + 2 + (unsigned)m->platform->nr_gsis + 2;
	const size_t start = w->len;

	render_header(w, m);
	for (unsigned id = 0; id < m->cpus; id++)
		render_cpu(w, id);
	render_bus_and_io_apic(w, m);
	render_interrupts(w, m);
	byte_writer_patch_u16(w, start + HEADER_ENTRIES, (uint16_t)entries);
	byte_writer_patch_u16(w, start + HEADER_LENGTH, (uint16_t)(w->len - start));
	byte_writer_patch_u8(w, start + HEADER_CHECKSUM,
			     byte_writer_checksum(w, start, w->len - start));
}

int machine_mptable_render(const struct machine *m, uint64_t gpa, void **ret_bytes, size_t *ret_len,
			   struct diag *diag)
{
	AUTO_FREE uint8_t *buf = NULL;
	struct byte_writer w = {0};

	assert(gpa >= LAYOUT_MPTABLE_GPA && gpa < LAYOUT_MPTABLE_END && gpa % 16 == 0);
	w.cap = (size_t)(LAYOUT_MPTABLE_END - gpa);
	w.buf = buf = malloc(w.cap);
	if (!buf)
		return diag_set(diag, -ENOMEM, "mptable-memory", "MP table");
	render_floating(&w, gpa);
	render_table(&w, m);
	if (w.full)
		return diag_set(diag, -ENOSPC, "mptable-size",
				"MP table of %u CPUs: %zu bytes are for it", m->cpus, w.cap);
	*ret_bytes = STEAL_PTR(buf);
	*ret_len = w.len;
	return 0;
}
