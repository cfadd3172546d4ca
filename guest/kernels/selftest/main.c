/*
 * selftest - the kernel inside the tollgate binary, which runs when none was given: says what
 * machine it finds itself in, and tries every part of it. Exits with 0 when all of it works.
 */
#include "selftest.h"

#include "boot.h"
#include "check.h"
#include "cpu.h"
#include "devtree.h"
#include "entry.h"
#include "ioapic.h"
#include "lapic.h"
#include "pc.h"
#include "print.h"
#include "smp.h"
#include "trap.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define MAPPED_END (4 * GIB)
#define PATTERN    UINT64_C(0x5441ac6e1f6a7e05)

enum { TIMER_LOOKS = 1000000 }; /* a moment on hardware, seconds where guest code is emulated */

static uint32_t started_apic_ids[CPUS_MAX];
static unsigned timer_interrupts;

/* Nine columns: the unit that leaves few digits. */
static void print_size(uint64_t bytes)
{
	if (bytes >= 10 * GIB)
		print("%5lu GiB", bytes / GIB);
	else if (bytes >= 10 * MIB)
		print("%5lu MiB", bytes / MIB);
	else
		print("%5lu KiB", bytes / KIB);
}

static const char *memmap_name(uint32_t type)
{
	switch (type) {
	case MEMMAP_RAM: return "usable";
	case MEMMAP_RESERVED: return "reserved";
	case MEMMAP_ACPI: return "ACPI tables";
	case MEMMAP_NVS: return "ACPI NVS";
	case MEMMAP_UNUSABLE: return "unusable";
	default: return "unknown";
	}
}

/* Writes and reads back the last word of a range, and puts back what was there. */
static bool last_word_works(const struct hvm_memmap_table_entry *range)
{
	const uint64_t gpa = range->addr + range->size - sizeof(uint64_t);
	uint64_t saved, seen;

	if (gpa >= MAPPED_END)
		return true;
	saved = mmio_read64(gpa);
	mmio_write64(gpa, PATTERN ^ gpa);
	seen = mmio_read64(gpa);
	mmio_write64(gpa, saved);
	return seen == (PATTERN ^ gpa);
}

static void test_memory(void)
{
	const struct boot_info *boot = boot_info();
	uint64_t usable = 0, broken = 0;

	for (size_t i = 0; i < boot->nr_memmap; i++) {
		const struct hvm_memmap_table_entry *range = &boot->memmap[i];

		print("     %-12s 0x%09lx-0x%09lx  ", i == 0 ? "memory map" : "", range->addr,
		      range->addr + range->size - 1);
		print_size(range->size);
		print("  %s\n", memmap_name(range->type));
		if (range->type != MEMMAP_RAM)
			continue;
		usable += range->size;
		if (!broken && !last_word_works(range))
			broken = range->addr + range->size - sizeof(uint64_t);
	}
	if (broken)
		check_fail("memory", "what is written to 0x%lx does not read back", broken);
	else if (usable == 0)
		check_fail("memory", "the memory map names no usable memory");
	else
		check_pass("memory", "%lu MiB usable", usable / MIB);
}

static void test_devtree(void)
{
	const uint32_t *apic_ids;

	if (devtree_init())
		check_pass("device-tree", "%lu CPUs, %lu devices", devtree_cpus(&apic_ids),
			   devtree_nr_devices());
	else
		check_fail("device-tree", "no boot module is a flattened device tree");
}

static void cpu_started(unsigned cpu)
{
	started_apic_ids[cpu] = lapic_id();
}

static bool is_started(uint32_t apic_id, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (started_apic_ids[i] == apic_id)
			return true;
	}
	return false;
}

static void test_cpus(void)
{
	const unsigned wanted = smp_cpus();
	const uint32_t *apic_ids;
	unsigned n;

	cpu_started(0);
	n = smp_start(wanted, cpu_started);
	smp_join();
	for (size_t i = 0; i < devtree_cpus(&apic_ids); i++) {
		if (!is_started(apic_ids[i], n)) {
			check_fail("cpus", "%u of %u started; the one with APIC ID %u did not", n,
				   wanted, apic_ids[i]);
			return;
		}
	}
	check_pass("cpus", "%u of %u started", n, wanted);
}

static void timer_interrupt(void)
{
	timer_interrupts++;
}

/*
 * Looks instead of sleeping, so that an interrupt that never comes is a failure, not a hang. The
 * timer is left alone meanwhile: KVM lets its count read 0 a little before it raises the interrupt,
 * and forgets one that is on its way when the timer is written.
 */
static void test_timer(void)
{
	trap_set_handler(VECTOR_TIMER, timer_interrupt);
	irq_enable();
	lapic_timer_start(1, true);
	while (!lapic_timer_expired())
		cpu_relax();
	for (unsigned i = 0; i < TIMER_LOOKS; i++) {
		if (__atomic_load_n(&timer_interrupts, __ATOMIC_RELAXED))
			break;
		cpu_relax();
	}
	irq_disable();
	if (timer_interrupts == 1)
		check_pass("apic-timer", "interrupt after 1 ms");
	else
		check_fail("apic-timer", "%u interrupts from a one-shot", timer_interrupts);
}

static void test_ioapic(void)
{
	const unsigned inputs = ioapic_inputs();

	if (inputs >= 24 && inputs <= 240)
		check_pass("ioapic", "at 0x%x, %u inputs", PC_IOAPIC_GPA, inputs);
	else
		check_fail("ioapic", "it claims %u inputs", inputs);
}

void kernel_main(void)
{
	print("\nTollgate self-test\n"
	      "This kernel is built in and runs when none is given. It tries what the machine "
	      "has.\n"
	      "\n");
	if (*boot_info()->cmdline)
		print("     %-12s %s\n", "command line", boot_info()->cmdline);
	test_memory();
	test_devtree();
	lapic_init();
	test_cpus();
	test_timer();
	test_ioapic();
	test_devices();
	test_rtc_update();
	print("\n");
	check_finish();
}
