/* The PC as machine.c needs to know it: devices and chips with their addresses, and where RAM is. */
#include "machine.h"
#include "base/macros.h"

#include "arch/x86_64/internal.h"
#include "arch/x86_64/layout.h"
#include "devices/classes.h"

enum {
	GSIS = 24,          /* inputs of the one IOAPIC */
	GSI_AUTO_FIRST = 5, /* those below belong to PC devices that drivers look for by number */
	CPUS_MAX = 255,     /* APIC IDs 0 to 254; 255 is the xAPIC's broadcast */
};

#define PORT(port, n)                                                                              \
	{                                                                                          \
		.space = IOBUS_PIO, .first = (port), .len = (n)                                    \
	}
#define MMIO(gpa, size)                                                                            \
	{                                                                                          \
		.space = IOBUS_MMIO, .first = (gpa), .len = (size)                                 \
	}

/* The devices of every machine. Ports are the PC's, or QEMU's where the device is QEMU's invention. */
static const struct machine_row rows[] = {
	{"rtc0", "rtc", &rtc_mc146818_class, {PORT(0x70, 2)}, .gsi = 8},
	{"i8042", "8042", &i8042_class, {PORT(0x60, 1), PORT(0x64, 1)}, .gsi = MACHINE_GSI_NONE},
	{"serial0", "serial", &serial_16550_class, {PORT(0x3f8, 8)}, .gsi = 4},
	{"debugcon0", "debug-port", &debugcon_class, {PORT(0xe9, 1)}, .gsi = MACHINE_GSI_NONE},
	{"port80", "post-port", &port80_class, {PORT(0x80, 1)}, .gsi = MACHINE_GSI_NONE},
	{"exit0",
	 "exit-port",
	 &exit_port_class,
	 {PORT(0xf4, 4), PORT(0x501, 2)},
	 .gsi = MACHINE_GSI_NONE},
	{"pvpanic0", "pvpanic", &pvpanic_class, {PORT(0x505, 1)}, .gsi = MACHINE_GSI_NONE},
	{"reset0", "reset-port", &reset_cf9_class, {PORT(0xcf8, 8)}, .gsi = MACHINE_GSI_NONE},
	{"pm0", "power-management", &acpi_pm1_class, {PORT(0x600, 6)}, .gsi = 9},
};

/* machine_spec.command_ports. Eight ports each, in a place where PCs have nothing. */
static const struct machine_row command_rows[] = {
	{MACHINE_COMMAND_OUT,
	 "output-port",
	 &output_port_class,
	 {PORT(0x640, 8)},
	 .gsi = MACHINE_GSI_NONE},
	{MACHINE_COMMAND_ERR,
	 "output-port",
	 &output_port_class,
	 {PORT(0x648, 8)},
	 .gsi = MACHINE_GSI_NONE},
	{MACHINE_INIT_LOG,
	 "output-port",
	 &output_port_class,
	 {PORT(0x650, 8)},
	 .gsi = MACHINE_GSI_NONE},
};

/* `--fw-cfg`, where QEMU has it. */
static const struct machine_row fw_cfg_row = {
	"fwcfg0", "fw-cfg", &fw_cfg_class, {PORT(0x510, 2)}, .gsi = MACHINE_GSI_NONE};

/*
 * `--test-device`. The memory ranges touch, and a page edge is inside the first: a straddling access
 * then meets both kinds of border. Nothing else is near, so the bytes next to them read as unclaimed.
 */
static const struct machine_row scratch_rows[] = {
	{"scratch0",
	 "test-memory",
	 &scratch_class,
	 {MMIO(LAYOUT_MMIO_GPA + 0x100fe0, 64), MMIO(LAYOUT_MMIO_GPA + 0x101020, 64)},
	 .gsi = MACHINE_GSI_NONE},
	{"scratch1",
	 "test-ports",
	 &scratch_ports_class,
	 {PORT(0xc00, 16)},
	 .gsi = MACHINE_GSI_NONE},
};

/* `--test-device=pc`, where kvm-unit-tests have them built in. */
static const struct machine_row pc_testdev_rows[] = {
	{"pctest0",
	 "test-ports",
	 &pc_testdev_ports_class,
	 {PORT(0xe0, 4), PORT(0xe4, 4)},
	 .gsi = MACHINE_GSI_NONE},
	{"pctest1",
	 "test-interrupts",
	 &pc_testdev_irqs_class,
	 {PORT(0x2000, PC_TESTDEV_IRQS)},
	 .gsi = MACHINE_GSI_NONE},
	{"pctest2",
	 "test-memory",
	 &pc_testdev_memory_class,
	 {MMIO(LAYOUT_PC_TESTDEV_GPA, 0x10000)},
	 .gsi = MACHINE_GSI_NONE},
};
_Static_assert((int)PC_TESTDEV_IRQS == (int)GSIS, "a port for each GSI");

/*
 * Ranges that KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_SET_TSS_ADDR and KVM_SET_IDENTITY_MAP_ADDR take: an
 * access to these never reaches our buses, so a row there would be dead. GSI 0 is the PIT's, GSI 2 the
 * cascade between the two PICs.
 */
static const struct machine_device chips[] = {
	{.name = "pic",
	 .part = "8259A",
	 .range = {PORT(0x20, 2), PORT(0xa0, 2), PORT(0x4d0, 2)},
	 .nr_ranges = 3,
	 .gsi = 2},
	{.name = "pit",
	 .part = "8254",
	 .range = {PORT(0x40, 4), PORT(0x61, 1)},
	 .nr_ranges = 2,
	 .gsi = 0},
	{.name = "ioapic",
	 .part = "82093AA",
	 .fdt_name = "interrupt-controller",
	 .range = {MMIO(LAYOUT_IOAPIC_GPA, 0x1000)},
	 .nr_ranges = 1,
	 .gsi = MACHINE_GSI_NONE},
	{.name = "lapic",
	 .part = "xAPIC",
	 .fdt_name = "interrupt-controller",
	 .range = {MMIO(LAYOUT_LAPIC_GPA, 0x1000)},
	 .nr_ranges = 1,
	 .gsi = MACHINE_GSI_NONE},
	{.name = "vmx-pages",
	 .part = "TSS, page table",
	 .range = {MMIO(LAYOUT_IDENTITY_MAP_GPA, 0x4000)},
	 .nr_ranges = 1,
	 .gsi = MACHINE_GSI_NONE},
};

/* RAM below the hole first; what does not fit goes on at its end. */
static unsigned pc_place_ram(uint64_t mem_bytes, struct machine_span ram[MACHINE_RAM_MAX])
{
	const uint64_t low = mem_bytes < LAYOUT_HOLE_FIRST ? mem_bytes : LAYOUT_HOLE_FIRST;

	ram[0] = (struct machine_span){.gpa = 0, .len = low};
	if (mem_bytes == low)
		return 1;
	ram[1] = (struct machine_span){.gpa = LAYOUT_HOLE_END, .len = mem_bytes - low};
	return 2;
}

/*
 * Page 0 is described as RAM, as PC firmware does; kernels know to keep off it. Device pages are in
 * the device tree and in ACPI, not here: E820's "reserved" would only hide them from Linux's resource
 * tree. The end of the hole is reserved because nothing else describes KVM's own pages there.
 */
static void pc_describe_memory(struct machine *m)
{
	machine_map_add(m, 0, LAYOUT_EBDA_GPA, MACHINE_MAP_RAM);
	machine_map_add(m, LAYOUT_EBDA_GPA, LAYOUT_HIGH_RAM_GPA, MACHINE_MAP_RESERVED);
	machine_map_add(m, LAYOUT_HIGH_RAM_GPA, m->ram[0].len, MACHINE_MAP_RAM);
	machine_map_add(m, LAYOUT_IOAPIC_GPA, LAYOUT_HOLE_END, MACHINE_MAP_RESERVED);
	if (m->nr_ram > 1)
		machine_map_add(m, m->ram[1].gpa, m->ram[1].gpa + m->ram[1].len, MACHINE_MAP_RAM);
}

/*
 * The machine has PCI's configuration ports and an empty bus. conf1: Linux asks for the mechanism and
 * looks no further. Without it, it tries every function of bus 0, and with pci=off each boot says "PCI:
 * Fatal: No config space access function found", quiet or not. noearly: it does not search bus 0 for
 * chips with quirks early on, which is one exit for each of 32 slots and one for its address.
 */
static const struct machine_kernel_param kernel_params[] = {{"pci=conf1,noearly", "pci="}};

const struct machine_platform arch_platform = {
	.name = "x86-64",
	.cpu_id_name = "APIC ID",
	.row = rows,
	.nr_rows = ARRAY_SIZE(rows),
	.command_row = command_rows,
	.nr_command_rows = ARRAY_SIZE(command_rows),
	.fw_cfg_row = &fw_cfg_row,
	.test[MACHINE_TEST_SCRATCH] = {scratch_rows, ARRAY_SIZE(scratch_rows)},
	.test[MACHINE_TEST_PC] = {pc_testdev_rows, ARRAY_SIZE(pc_testdev_rows)},
	.chip = chips,
	.nr_chips = ARRAY_SIZE(chips),
	.nr_ports = 0x10000,
	.gpa_end = LAYOUT_GPA_END,
	.mmio_gpa = LAYOUT_MMIO_GPA,
	.mmio_end = LAYOUT_MMIO_END,
	.mem_max = LAYOUT_GPA_END - (LAYOUT_HOLE_END - LAYOUT_HOLE_FIRST),
	.cpus_max = CPUS_MAX,
	.nr_gsis = GSIS,
	.gsi_auto_first = GSI_AUTO_FIRST,
	.place_ram = pc_place_ram,
	.describe_memory = pc_describe_memory,
	.fdt = &x86_fdt,
	.param = kernel_params,
	.nr_params = ARRAY_SIZE(kernel_params),
	.cmdline_max = LAYOUT_CMDLINE_MAX,
};
