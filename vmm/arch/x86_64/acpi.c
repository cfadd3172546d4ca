#include "arch/x86_64/acpi.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/aml.h"
#include "arch/x86_64/internal.h"
#include "arch/x86_64/layout.h"
#include "base/byte_writer.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "devices/classes.h"

enum {
	TABLE_ALIGN = 64, /* what the FACS wants (5.2.10); the RSDP wants 16 */

	RSDP_LEN = 36,
	RSDP_V1_LEN = 20, /* what the first checksum covers */
	RSDP_CHECKSUM = 8,
	RSDP_EXTENDED_CHECKSUM = 32,

	HEADER_LEN = 36,
	HEADER_LENGTH = 4,
	HEADER_CHECKSUM = 9,

	FACS_LEN = 64,
	FACS_VERSION = 32,
};

/* 5.2.9, byte offsets in the FADT. Fields without a name are zero: the machine does not have them. */
enum {
	FADT_FIRMWARE_CTRL = 36,
	FADT_SCI_INT = 46,
	FADT_PM1A_EVT_BLK = 56,
	FADT_PM1A_CNT_BLK = 64,
	FADT_PM1_EVT_LEN = 88,
	FADT_PM1_CNT_LEN = 89,
	FADT_P_LVL2_LAT = 96,
	FADT_CENTURY = 108,
	FADT_IAPC_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR_VERSION = 131,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_EVT_BLK = 148,
	FADT_X_PM1A_CNT_BLK = 172,
	FADT_HYPERVISOR_VENDOR = 268,
	FADT_LEN = 276,

	NO_C2 = 101, /* longer than a C2 or C3 may take to leave: there is none */
	NO_C3 = 1001,
};

/* Fixed feature flags and, after them, boot architecture flags (5.2.9 and 5.2.9.3). */
enum {
	WBINVD = 1 << 0,
	PROC_C1 = 1 << 2,
	PWR_BUTTON = 1 << 4, /* not a fixed feature; the DSDT has none either */
	SLP_BUTTON = 1 << 5, /* likewise */
	FIX_RTC = 1 << 6,    /* the RTC's wake status is in no fixed register */
	RESET_REG_SUP = 1 << 10,
	HEADLESS = 1 << 12,

	/* LEGACY_DEVICES and 8042 stay clear: nothing is to be looked for that the DSDT lacks. */
	VGA_NOT_PRESENT = 1 << 2,
};

enum {
	GAS_SYSTEM_IO = 1, /* 5.2.3.2 */
	GAS_BYTE_ACCESS = 1,
	GAS_WORD_ACCESS = 2,

	PM1_EVT_OFF = 0, /* in range 0 of acpi_pm1_class */
	PM1_EVT_BYTES = 4,
	PM1_CNT_OFF = 4,
	PM1_CNT_BYTES = 2,

	MADT_LOCAL_APIC = 0, /* 5.2.12 */
	MADT_IO_APIC = 1,
	MADT_LOCAL_X2APIC = 9,
	MADT_ENABLED = 1 << 0,
	MADT_PCAT_COMPAT = 1 << 0,
	XAPIC_BROADCAST = 255, /* APIC IDs from here up need the x2APIC structure */
};

/* The device of that class; every machine has one. */
static const struct machine_device *find_class(const struct machine *m,
					       const struct device_class *cls)
{
	unsigned i = 0;

	while (i < m->nr_devices && m->device[i].cls != cls)
		i++;
	assert(i < m->nr_devices);
	return &m->device[i];
}

uint32_t chip_gpa(const struct machine *m, const char *name)
{
	const struct machine_device *chip = machine_find(m, name);

	assert(chip && chip->range[0].first <= UINT32_MAX);
	return (uint32_t)chip->range[0].first;
}

/* 5.2.6; returns the table's offset. */
static size_t begin_table(struct byte_writer *w, const char *signature, uint8_t revision)
{
	size_t start;

	byte_writer_align(w, TABLE_ALIGN);
	start = w->len;
	byte_writer_text(w, signature, 4, ' ');
	byte_writer_u32(w, 0); /* length */
	byte_writer_u8(w, revision);
	byte_writer_u8(w, 0); /* checksum */
	byte_writer_text(w, "TOLLGT", 6, ' ');
	byte_writer_text(w, "TOLLGATE", 8, ' ');
	byte_writer_u32(w, 1); /* OEM revision */
	byte_writer_text(w, "TLGT", 4, ' ');
	byte_writer_u32(w, 1); /* creator revision */
	return start;
}

static void end_table(struct byte_writer *w, size_t start)
{
	const size_t len = w->len - start;

	byte_writer_patch_u32(w, start + HEADER_LENGTH, (uint32_t)len);
	byte_writer_patch_u8(w, start + HEADER_CHECKSUM, byte_writer_checksum(w, start, len));
}

/*
 * Four characters that no other device has: two of its name for people, its index for uniqueness.
 * The kernel shows them in /sys/bus/acpi/devices/…/path.
 */
static void device_name(const struct machine_device *dev, unsigned index, char ret[static 5])
{
	snprintf(ret, 5, "%.2s%02X", dev->name, index & 0xff);
	for (unsigned i = 0; i < 2; i++)
		ret[i] =
			isalpha((unsigned char)ret[i]) ? (char)toupper((unsigned char)ret[i]) : '_';
}

static int render_range(struct byte_writer *w, const struct machine_device *dev,
			const struct machine_range *range, struct diag *diag)
{
	if (range->space == IOBUS_PIO && range->len <= UINT8_MAX) {
		aml_io(w, (uint16_t)range->first, (uint8_t)range->len);
		return 0;
	}
	if (range->space == IOBUS_MMIO && u64_range_within(range->first, range->len, UINT32_MAX)) {
		aml_memory32(w, (uint32_t)range->first, (uint32_t)range->len);
		return 0;
	}
	return diag_set(diag, -EINVAL, "acpi-range",
			"ACPI: %s has %#" PRIx64 " %s from %#" PRIx64
			"; at most 255 ports, or addresses below 4 GiB, can be described",
			dev->name, range->len, range->space == IOBUS_PIO ? "ports" : "bytes",
			range->first);
}

static int render_device(struct byte_writer *w, const struct machine_device *dev, unsigned index,
			 struct diag *diag)
{
	size_t device, resources;
	char name[5];
	int r = 0;

	device_name(dev, index, name);
	device = aml_begin_device(w, name);
	aml_name(w, "_HID");
	aml_hardware_id(w, dev->cls->acpi_hid);
	aml_name(w, "_UID");
	aml_integer(w, index);
	aml_name(w, "_CRS");
	resources = aml_begin_resources(w);
	for (unsigned i = 0; r == 0 && i < dev->nr_ranges; i++)
		r = render_range(w, dev, &dev->range[i], diag);
	if (dev->gsi != MACHINE_GSI_NONE)
		aml_interrupt_edge_high(w, (uint32_t)dev->gsi);
	aml_end_resources(w, resources);
	aml_end(w, device);
	return r;
}

/* 7.4.2: the types for PM1a and, which is not there, PM1b; then reserved. */
static void render_s5(struct byte_writer *w)
{
	size_t package;

	aml_name(w, "_S5");
	package = aml_begin_package(w, 4);
	aml_integer(w, ACPI_PM1_S5_TYPE);
	for (unsigned i = 0; i < 3; i++)
		aml_integer(w, 0);
	aml_end(w, package);
}

static int render_dsdt(struct byte_writer *w, const struct machine *m, size_t *ret_offset,
		       struct diag *diag)
{
	const size_t start = begin_table(w, "DSDT", 2); /* 2: integers of 64 bits */
	const size_t scope = aml_begin_scope(w, "_SB");
	int r = 0;

	for (unsigned i = 0; r == 0 && i < m->nr_devices; i++)
		if (m->device[i].cls->acpi_hid)
			r = render_device(w, &m->device[i], i, diag);
	aml_end(w, scope);
	render_s5(w);
	end_table(w, start);
	*ret_offset = start;
	return r;
}

/* 5.2.3.2 */
static void gas_port(struct byte_writer *w, uint64_t port, unsigned bytes, uint8_t access)
{
	byte_writer_u8(w, GAS_SYSTEM_IO);
	byte_writer_u8(w, (uint8_t)(8 * bytes));
	byte_writer_u8(w, 0); /* from bit 0 */
	byte_writer_u8(w, access);
	byte_writer_u64(w, port);
}

/*
 * 5.2.10. All of it is the guest's: the global lock, that nobody contends for, and the waking vector
 * of sleep states that the machine does not have.
 */
static size_t render_facs(struct byte_writer *w)
{
	size_t start;

	byte_writer_align(w, TABLE_ALIGN);
	start = w->len;
	byte_writer_text(w, "FACS", 4, ' ');
	byte_writer_u32(w, FACS_LEN);
	byte_writer_zeros(w, FACS_LEN - 8);
	byte_writer_patch_u8(w, start + FACS_VERSION, 2);
	return start;
}

/* Zeros up to an offset in the table at start. */
static void pad_to(struct byte_writer *w, size_t start, size_t offset)
{
	assert(w->len <= start + offset);
	byte_writer_zeros(w, start + offset - w->len);
}

/* The fields of ACPI 1.0, which leave off at CENTURY. SMI_CMD is 0: there is no legacy mode. */
static void fadt_v1(struct byte_writer *w, size_t start, const struct machine_device *pm1,
		    uint64_t facs_gpa, uint64_t dsdt_gpa)
{
	const uint32_t port = (uint32_t)pm1->range[0].first;

	pad_to(w, start, FADT_FIRMWARE_CTRL);
	byte_writer_u32(w, (uint32_t)facs_gpa);
	byte_writer_u32(w, (uint32_t)dsdt_gpa);
	pad_to(w, start, FADT_SCI_INT);
	byte_writer_u16(w, (uint16_t)pm1->gsi);
	pad_to(w, start, FADT_PM1A_EVT_BLK);
	byte_writer_u32(w, port + PM1_EVT_OFF);
	pad_to(w, start, FADT_PM1A_CNT_BLK);
	byte_writer_u32(w, port + PM1_CNT_OFF);
	pad_to(w, start, FADT_PM1_EVT_LEN);
	byte_writer_u8(w, PM1_EVT_BYTES);
	pad_to(w, start, FADT_PM1_CNT_LEN);
	byte_writer_u8(w, PM1_CNT_BYTES);
	pad_to(w, start, FADT_P_LVL2_LAT);
	byte_writer_u16(w, NO_C2);
	byte_writer_u16(w, NO_C3);
	pad_to(w, start, FADT_CENTURY);
	byte_writer_u8(w, RTC_MC146818_CENTURY);
}

static size_t render_fadt(struct byte_writer *w, const struct machine *m, uint64_t facs_gpa,
			  uint64_t dsdt_gpa)
{
	const struct machine_device *pm1 = find_class(m, &acpi_pm1_class);
	const struct machine_device *reset = find_class(m, &reset_cf9_class);
	const uint64_t port = pm1->range[0].first;
	const size_t start = begin_table(w, "FACP", 6);

	fadt_v1(w, start, pm1, facs_gpa, dsdt_gpa);
	pad_to(w, start, FADT_IAPC_BOOT_ARCH);
	byte_writer_u16(w, VGA_NOT_PRESENT);
	pad_to(w, start, FADT_FLAGS);
	byte_writer_u32(w, WBINVD | PROC_C1 | PWR_BUTTON | SLP_BUTTON | FIX_RTC | RESET_REG_SUP |
				   HEADLESS);
	pad_to(w, start, FADT_RESET_REG);
	gas_port(w, reset->range[0].first + RESET_CF9_OFF, 1, GAS_BYTE_ACCESS);
	pad_to(w, start, FADT_RESET_VALUE);
	byte_writer_u8(w, RESET_CF9_HARD);
	pad_to(w, start, FADT_MINOR_VERSION);
	byte_writer_u8(w, 3); /* ACPI 6.3 */
	pad_to(w, start, FADT_X_DSDT);
	byte_writer_u64(w, dsdt_gpa);
	pad_to(w, start, FADT_X_PM1A_EVT_BLK);
	gas_port(w, port + PM1_EVT_OFF, PM1_EVT_BYTES, GAS_WORD_ACCESS);
	pad_to(w, start, FADT_X_PM1A_CNT_BLK);
	gas_port(w, port + PM1_CNT_OFF, PM1_CNT_BYTES, GAS_WORD_ACCESS);
	pad_to(w, start, FADT_HYPERVISOR_VENDOR);
	byte_writer_text(w, "TOLLGATE", 8, ' ');
	assert(w->full || w->len == start + FADT_LEN);
	end_table(w, start);
	return start;
}

/* 5.2.12.2 or 5.2.12.12. CPU n has APIC ID n, as KVM gives it to vCPU n; its ACPI UID is the same. */
static void madt_cpu(struct byte_writer *w, unsigned id)
{
	if (id < XAPIC_BROADCAST) {
		byte_writer_u8(w, MADT_LOCAL_APIC);
		byte_writer_u8(w, 8);
		byte_writer_u8(w, (uint8_t)id);
		byte_writer_u8(w, (uint8_t)id);
		byte_writer_u32(w, MADT_ENABLED);
	} else {
		byte_writer_u8(w, MADT_LOCAL_X2APIC);
		byte_writer_u8(w, 16);
		byte_writer_u16(w, 0);
		byte_writer_u32(w, id);
		byte_writer_u32(w, MADT_ENABLED);
		byte_writer_u32(w, id);
	}
}

/*
 * No interrupt source overrides: the default GSI routing of KVM_CREATE_IRQCHIP takes every GSI to the
 * I/O APIC pin of that number, the PIT's 0 too. Every interrupt is edge-triggered and active high, as
 * an ISA interrupt without an override is (5.2.12.5), but the SCI: that is level-triggered and active
 * low without one (FADT, SCI_INT), and no matter how it is programmed, since nothing raises it.
 */
static size_t render_madt(struct byte_writer *w, const struct machine *m)
{
	const size_t start = begin_table(w, "APIC", 5);

	byte_writer_u32(w, chip_gpa(m, "lapic"));
	byte_writer_u32(w, machine_find(m, "pic") ? MADT_PCAT_COMPAT : 0);
	for (unsigned id = 0; id < m->cpus; id++)
		madt_cpu(w, id);
	byte_writer_u8(w, MADT_IO_APIC); /* 5.2.12.3 */
	byte_writer_u8(w, 12);
	byte_writer_u8(w, 0); /* ID, as the register has it after KVM_CREATE_IRQCHIP */
	byte_writer_u8(w, 0);
	byte_writer_u32(w, chip_gpa(m, "ioapic"));
	byte_writer_u32(w, 0); /* its first GSI */
	end_table(w, start);
	return start;
}

static size_t render_xsdt(struct byte_writer *w, uint64_t fadt_gpa, uint64_t madt_gpa)
{
	const size_t start = begin_table(w, "XSDT", 1);

	byte_writer_u64(w, fadt_gpa);
	byte_writer_u64(w, madt_gpa);
	end_table(w, start);
	return start;
}

/* 5.2.5.3. There is no RSDT: a guest without support of the XSDT has none of FADT revision 6 either. */
static void render_rsdp(uint8_t *buf, uint64_t xsdt_gpa)
{
	struct byte_writer w = {.buf = buf, .cap = RSDP_LEN};

	byte_writer_text(&w, "RSD PTR ", 8, ' ');
	byte_writer_u8(&w, 0); /* checksum */
	byte_writer_text(&w, "TOLLGT", 6, ' ');
	byte_writer_u8(&w, 2);
	byte_writer_u32(&w, 0); /* RSDT */
	byte_writer_u32(&w, RSDP_LEN);
	byte_writer_u64(&w, xsdt_gpa);
	byte_writer_u32(&w, 0); /* extended checksum, reserved */
	assert(!w.full && w.len == RSDP_LEN);
	byte_writer_patch_u8(&w, RSDP_CHECKSUM, byte_writer_checksum(&w, 0, RSDP_V1_LEN));
	byte_writer_patch_u8(&w, RSDP_EXTENDED_CHECKSUM, byte_writer_checksum(&w, 0, RSDP_LEN));
}

int machine_acpi_render(const struct machine *m, uint64_t gpa, void **ret_bytes, size_t *ret_len,
			uint64_t *ret_rsdp_gpa, struct diag *diag)
{
	AUTO_FREE uint8_t *buf = NULL;
	struct byte_writer w = {0};
	size_t facs, dsdt, fadt, madt, xsdt;
	int r;

	assert(gpa >= LAYOUT_ACPI_GPA && gpa < LAYOUT_ACPI_END && gpa % TABLE_ALIGN == 0);
	w.cap = (size_t)(LAYOUT_ACPI_END - gpa);
	w.buf = buf = malloc(w.cap);
	if (!buf)
		return diag_set(diag, -ENOMEM, "acpi-memory", "ACPI tables");
	byte_writer_zeros(&w, RSDP_LEN);
	facs = render_facs(&w);
	r = render_dsdt(&w, m, &dsdt, diag);
	if (r < 0)
		return r;
	fadt = render_fadt(&w, m, gpa + facs, gpa + dsdt);
	madt = render_madt(&w, m);
	xsdt = render_xsdt(&w, gpa + fadt, gpa + madt);
	if (w.full)
		return diag_set(diag, -ENOSPC, "acpi-size",
				"ACPI tables of %u devices and %u CPUs: %zu bytes are for them",
				m->nr_devices, m->cpus, w.cap);
	render_rsdp(buf, gpa + xsdt);
	*ret_bytes = STEAL_PTR(buf);
	*ret_len = w.len;
	*ret_rsdp_gpa = gpa;
	return 0;
}

bool arch_acpi_next(const void *bytes, size_t len, struct arch_acpi_table *table)
{
	const uint8_t *b = bytes;
	uint64_t offset;

	if (table->len == 0) {
		*table = (struct arch_acpi_table){.name = "RSDP", .len = RSDP_LEN};
		return true;
	}
	if (!u64_align_up(table->offset + table->len, TABLE_ALIGN, &offset) || offset >= len)
		return false;
	assert(u64_range_within(offset, HEADER_LEN, len));
	memcpy(table->name, b + offset, 4);
	table->offset = (size_t)offset;
	table->len = (size_t)b[offset + HEADER_LENGTH] |
		     (size_t)b[offset + HEADER_LENGTH + 1] << 8 |
		     (size_t)b[offset + HEADER_LENGTH + 2] << 16;
	assert(u64_range_within(offset, table->len, len));
	return true;
}

int arch_acpi_render(const struct machine *m, void **ret_bytes, size_t *ret_len, struct diag *diag)
{
	uint64_t rsdp_gpa;

	return machine_acpi_render(m, LAYOUT_ACPI_GPA, ret_bytes, ret_len, &rsdp_gpa, diag);
}
