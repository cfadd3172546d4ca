/*
 * The PC's part of the device tree: interrupt controllers, the ISA bus, and the devices' interrupts.
 *
 * An interrupt is two cells for the I/O APIC: the GSI, and 0 for edge-triggered, active high (Linux,
 * Documentation/devicetree/bindings/interrupt-controller/intel,ce4100-ioapic.yaml). The bus is
 * "intel,ce4100-cp" alongside "simple-bus", because on x86 Linux makes platform devices of the children
 * of that, of "isa" and of "pci" buses, and of no others (arch/x86/kernel/devicetree.c).
 */
#include "machine/fdt.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "arch/x86_64/internal.h"
#include "devices/classes.h"
#include "machine/fdt_writer.h"

enum {
	IOAPIC_PHANDLE = 1,
	IOAPIC_EDGE_RISING = 0,
	ISA_IO = 1, /* first cell of an ISA address: I/O space */
	UART_CLOCK_HZ = 1843200,
	UART_BAUD = 115200,
};

static void prop_reg_isa(struct fdt_writer *w, const struct machine_range *range, unsigned nr)
{
	uint32_t cells[MACHINE_RANGES_MAX * 3];
	size_t n = 0;

	for (unsigned i = 0; i < nr; i++) {
		cells[n++] = ISA_IO;
		cells[n++] = (uint32_t)range[i].first;
		cells[n++] = (uint32_t)range[i].len;
	}
	fdt_writer_cells(w, "reg", cells, n);
}

static bool is_in_tree(const struct machine_device *dev, enum iobus_space space)
{
	return dev->range[0].space == space && dev->cls->fdt_compatible;
}

static void put_device(struct fdt_writer *w, const struct machine_device *dev)
{
	const bool isa = dev->range[0].space == IOBUS_PIO;

	fdt_writer_begin_at(w, dev->fdt_name, isa ? "i" : "", dev->range[0].first);
	fdt_writer_strings(w, "compatible", dev->cls->fdt_compatible);
	if (isa)
		prop_reg_isa(w, dev->range, dev->nr_ranges);
	else
		fdt_writer_reg(w, dev->range, dev->nr_ranges);
	if (dev->gsi != MACHINE_GSI_NONE)
		fdt_writer_cells(w, "interrupts",
				 (uint32_t[]){(uint32_t)dev->gsi, IOAPIC_EDGE_RISING}, 2);
	if (dev->cls == &serial_16550_class) {
		fdt_writer_u32(w, "clock-frequency", UART_CLOCK_HZ);
		fdt_writer_u32(w, "current-speed", UART_BAUD);
	}
	fdt_writer_end(w);
}

static void put_devices(struct fdt_writer *w, const struct machine *m, enum iobus_space space)
{
	for (unsigned i = 0; i < m->nr_devices; i++)
		if (is_in_tree(&m->device[i], space))
			put_device(w, &m->device[i]);
}

/*
 * The interrupt controllers name a chip of 2010, because that is what Linux's x86 code looks for;
 * both are the ordinary PC parts. Virtual wire mode: the PICs' output goes to the local APIC's LINT0,
 * and there is no IMCR to switch.
 */
static void put_irq_chip(struct fdt_writer *w, const struct machine_device *chip,
			 const char *compatible)
{
	fdt_writer_begin_at(w, chip->fdt_name, "", chip->range[0].first);
	fdt_writer_string(w, "compatible", compatible);
	fdt_writer_reg(w, chip->range, chip->nr_ranges);
	fdt_writer_flag(w, "interrupt-controller");
	fdt_writer_u32(w, "#interrupt-cells", 2);
	fdt_writer_u32(w, "#address-cells", 0);
}

static void put_irq_chips(struct fdt_writer *w, const struct machine *m)
{
	const struct machine_device *ioapic = machine_find(m, "ioapic");
	const struct machine_device *lapic = machine_find(m, "lapic");

	assert(ioapic && lapic);
	put_irq_chip(w, ioapic, "intel,ce4100-ioapic");
	fdt_writer_u32(w, "phandle", IOAPIC_PHANDLE);
	fdt_writer_end(w);
	put_irq_chip(w, lapic, "intel,ce4100-lapic");
	fdt_writer_flag(w, "intel,virtual-wire-mode");
	fdt_writer_end(w);
}

/* Port 0 is mapped to address 0 of the bus above: on x86 a port is not a memory address, and Linux
 * takes the translated number as the port. */
static void put_isa(struct fdt_writer *w, const struct machine *m)
{
	fdt_writer_begin(w, "isa@0");
	fdt_writer_string(w, "compatible", "isa");
	fdt_writer_address_cells(w, 2, 1);
	fdt_writer_cells(w, "ranges", (uint32_t[]){ISA_IO, 0, 0, 0, 0x10000}, 5);
	put_devices(w, m, IOBUS_PIO);
	fdt_writer_end(w);
}

static void put_soc(struct fdt_writer *w, const struct machine *m)
{
	fdt_writer_begin(w, "soc");
	fdt_writer_strings(w, "compatible", "intel,ce4100-cp simple-bus");
	fdt_writer_address_cells(w, 2, 2);
	fdt_writer_flag(w, "ranges");
	put_irq_chips(w, m);
	put_devices(w, m, IOBUS_MMIO);
	put_isa(w, m);
	fdt_writer_end(w);
}

static void device_path(const struct machine_device *dev, char *buf, size_t size)
{
	const bool isa = dev->range[0].space == IOBUS_PIO;
	const int n = snprintf(buf, size, "/soc/%s%s@%s%" PRIx64, isa ? "isa@0/" : "",
			       dev->fdt_name, isa ? "i" : "", dev->range[0].first);

	assert(n > 0 && (size_t)n < size);
}

const struct machine_fdt_platform x86_fdt = {
	.model = "Tollgate x86-64",
	.compatible = "tollgate,x86-64",
	.interrupt_parent = IOAPIC_PHANDLE,
	.put_soc = put_soc,
	.device_path = device_path,
};
