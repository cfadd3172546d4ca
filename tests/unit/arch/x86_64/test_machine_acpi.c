/* Unit tests of arch/x86_64/acpi.c: the tables are read back by the specification and compared. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/layout.h"
#include "base/macros.h"
#include "devices/classes.h"
#include "diag_rig.h"
#include "machine.h"
#include "table_rig.h"

static const struct device_class disk_class = {.name = "disk", .acpi_hid = "LNRO0005"};
static const struct device_class hidden_class = {.name = "hidden"};
static const struct device_class wide_class = {.name = "wide", .acpi_hid = "TST0001"};

static const struct machine_row disks[] = {
	{"virtio-disk0",
	 "disk",
	 &disk_class,
	 {{IOBUS_MMIO, MACHINE_FIRST_AUTO, 0x200}},
	 .gsi = MACHINE_GSI_AUTO},
	{"virtio-disk1", "disk", &disk_class, {{IOBUS_MMIO, MACHINE_FIRST_AUTO, 0x200}}, .gsi = 23},
	{"9hidden0",
	 "x",
	 &hidden_class,
	 {{IOBUS_MMIO, MACHINE_FIRST_AUTO, 4}},
	 .gsi = MACHINE_GSI_NONE},
	{"-two",
	 "x",
	 &wide_class,
	 {{IOBUS_PIO, 0x700, 255}, {IOBUS_PIO, 0x900, 1}},
	 .gsi = MACHINE_GSI_NONE},
};

static struct machine machine;
static uint8_t *bytes;
static size_t bytes_len;
static uint64_t rsdp_gpa;

static void render(const struct machine_spec *spec)
{
	struct diag diag = {0};
	void *ret = NULL;

	if (machine_resolve(&arch_platform, spec, &machine, &diag) < 0 ||
	    machine_acpi_render(&machine, LAYOUT_ACPI_GPA, &ret, &bytes_len, &rsdp_gpa, &diag) < 0)
		fail_for(diag.what);
	free(bytes);
	bytes = ret;
}

static void render_default(unsigned cpus)
{
	render(&(struct machine_spec){.mem_bytes = MACHINE_DEFAULT_MEM_BYTES, .cpus = cpus});
}

static int teardown(void **state)
{
	(void)state;
	free(bytes);
	bytes = NULL;
	return 0;
}

/* The table at gpa as a guest finds it: whole, with that signature and a right checksum. */
static const uint8_t *table_at(uint64_t gpa, const char *signature, size_t *ret_len)
{
	const uint8_t *t;

	assert_true(gpa >= LAYOUT_ACPI_GPA && gpa - LAYOUT_ACPI_GPA <= bytes_len - 36);
	t = bytes + (gpa - LAYOUT_ACPI_GPA);
	assert_memory_equal(t, signature, 4);
	*ret_len = (size_t)le(t + 4, 4);
	assert_true(*ret_len >= 36 && *ret_len <= bytes_len - (gpa - LAYOUT_ACPI_GPA));
	assert_int_equal(byte_sum(t, *ret_len), 0);
	return t;
}

/* From the RSDP through the XSDT, the way every guest takes. */
static const uint8_t *find_table(const char *signature, size_t *ret_len)
{
	const uint8_t *rsdp = bytes + (rsdp_gpa - LAYOUT_ACPI_GPA), *xsdt;
	size_t len;

	xsdt = table_at(le(rsdp + 24, 8), "XSDT", &len);
	for (size_t at = 36; at + 8 <= len; at += 8) {
		uint64_t gpa = le(xsdt + at, 8);

		if (memcmp(bytes + (gpa - LAYOUT_ACPI_GPA), signature, 4) == 0)
			return table_at(gpa, signature, ret_len);
	}
	fail_for(signature);
}

static void rsdp_is_first_and_sums_to_zero_twice(void **state)
{
	(void)state;
	render_default(1);
	assert_int_equal(rsdp_gpa, LAYOUT_ACPI_GPA);
	assert_memory_equal(bytes, "RSD PTR ", 8);
	assert_int_equal(byte_sum(bytes, 20), 0);
	assert_int_equal(bytes[15], 2);
	assert_int_equal(le(bytes + 16, 4), 0);
	assert_int_equal(le(bytes + 20, 4), 36);
	assert_int_equal(byte_sum(bytes, 36), 0);
}

static void fadt_tells_what_is_not_to_be_probed(void **state)
{
	const uint8_t *fadt;
	uint64_t flags;
	size_t len;

	(void)state;
	render_default(1);
	fadt = find_table("FACP", &len);
	assert_int_equal(len, 276);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(fadt[131], 3);
	flags = le(fadt + 112, 4);
	assert_false(flags & 1 << 20); /* HW_REDUCED_ACPI */
	assert_true(flags & 1 << 10);  /* RESET_REG_SUP */
	assert_true(flags & 1 << 4);   /* PWR_BUTTON, SLP_BUTTON: no fixed ones */
	assert_true(flags & 1 << 5);
	assert_true(flags & 1 << 6); /* FIX_RTC */
	/* No legacy devices, no 8042, no VGA; a CMOS RTC. */
	assert_int_equal(le(fadt + 109, 2), 1 << 2);
	assert_int_equal(fadt[108], RTC_MC146818_CENTURY);
	/* No SMI, so no legacy mode to leave. */
	assert_int_equal(le(fadt + 48, 8), 0);
	/* No PM1b, PM2, PM timer, GPE: 32-bit addresses, lengths, and the X_ ones. */
	assert_int_equal(le(fadt + 60, 4), 0);
	for (unsigned i = 68; i < 88; i++)
		assert_int_equal(fadt[i], 0);
	for (unsigned i = 90; i < 96; i++)
		assert_int_equal(fadt[i], 0);
	for (unsigned i = 160; i < 172; i++)
		assert_int_equal(fadt[i], 0);
	for (unsigned i = 184; i < 268; i++)
		assert_int_equal(fadt[i], 0);
}

static void fadt_registers_are_the_machines_ports(void **state)
{
	static const uint8_t byte_port[4] = {1, 8, 0, 1};
	static const uint8_t event_block[4] = {1, 32, 0, 2};
	static const uint8_t control_block[4] = {1, 16, 0, 2};
	const struct machine_device *reset, *pm1;
	const uint8_t *fadt;
	uint64_t port;
	size_t len;

	(void)state;
	render_default(1);
	reset = machine_find(&machine, "reset0");
	pm1 = machine_find(&machine, "pm0");
	if (!reset || !pm1)
		fail_for("a row is missing");
	fadt = find_table("FACP", &len);
	assert_memory_equal(fadt + 116, byte_port, 4);
	assert_int_equal(le(fadt + 120, 8), 0xcf9);
	assert_true(le(fadt + 120, 8) - reset->range[0].first < reset->range[0].len);
	assert_int_equal(fadt[128], 6);

	port = pm1->range[0].first;
	assert_int_equal(pm1->range[0].len, 6);
	assert_int_equal(le(fadt + 46, 2), pm1->gsi);
	assert_int_equal(le(fadt + 56, 4), port);
	assert_int_equal(fadt[88], 4);
	assert_memory_equal(fadt + 148, event_block, 4);
	assert_int_equal(le(fadt + 152, 8), port);
	assert_int_equal(le(fadt + 64, 4), port + 4);
	assert_int_equal(fadt[89], 2);
	assert_memory_equal(fadt + 172, control_block, 4);
	assert_int_equal(le(fadt + 176, 8), port + 4);
}

static void facs_is_aligned_and_empty(void **state)
{
	const uint8_t *facs;
	uint64_t gpa;
	size_t len;

	(void)state;
	render_default(1);
	gpa = le(find_table("FACP", &len) + 36, 4);
	assert_int_equal(gpa % 64, 0);
	assert_true(gpa > LAYOUT_ACPI_GPA && gpa - LAYOUT_ACPI_GPA <= bytes_len - 64);
	facs = bytes + (gpa - LAYOUT_ACPI_GPA);
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal(le(facs + 4, 4), 64);
	for (unsigned i = 8; i < 64; i++)
		assert_int_equal(facs[i], i == 32 ? 2 : 0);
}

static void both_dsdt_pointers_agree(void **state)
{
	const uint8_t *fadt;
	size_t len;

	(void)state;
	render_default(1);
	fadt = find_table("FACP", &len);
	assert_int_equal(le(fadt + 40, 4), le(fadt + 140, 8));
	table_at(le(fadt + 140, 8), "DSDT", &len);
}

/* Checks the MADT against the machine; APIC IDs are 0 to cpus - 1, in order. */
static void check_madt(unsigned cpus)
{
	unsigned lapics = 0, ioapics = 0;
	const uint8_t *madt, *e;
	size_t len;

	madt = find_table("APIC", &len);
	assert_int_equal(le(madt + 36, 4), 0xfee00000);
	assert_int_equal(le(madt + 40, 4), 1); /* PCAT_COMPAT: KVM emulates the two 8259 */
	for (e = madt + 44; e < madt + len; e += e[1]) {
		switch (e[0]) {
		case 0: /* local APIC */
			assert_int_equal(e[1], 8);
			assert_int_equal(e[2], lapics);
			assert_int_equal(e[3], lapics);
			assert_int_equal(le(e + 4, 4), 1);
			lapics++;
			break;
		case 9: /* local x2APIC */
			assert_int_equal(e[1], 16);
			assert_true(lapics >= 255);
			assert_int_equal(le(e + 4, 4), lapics);
			assert_int_equal(le(e + 8, 4), 1);
			assert_int_equal(le(e + 12, 4), lapics);
			lapics++;
			break;
		case 1: /* I/O APIC */
			assert_int_equal(e[1], 12);
			assert_int_equal(le(e + 4, 4), 0xfec00000);
			assert_int_equal(le(e + 8, 4), 0);
			ioapics++;
			break;
		default: fail_msg("MADT entry of type %u", e[0]);
		}
		assert_true(lapics <= 255 || e[0] != 0);
	}
	assert_ptr_equal(e, madt + len);
	assert_int_equal(lapics, cpus);
	assert_int_equal(ioapics, 1);
}

static void madt_lists_every_cpu_once(void **state)
{
	static const unsigned cpus[] = {1, 2, 4, 64, 254, 255};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
		render_default(cpus[i]);
		check_madt(cpus[i]);
	}
}

static void madt_uses_x2apic_structures_from_id_255_up(void **state)
{
	void *ret;

	(void)state;
	render_default(1);
	machine.cpus = 300; /* more than machine_resolve() gives out yet */
	assert_int_equal(
		machine_acpi_render(&machine, LAYOUT_ACPI_GPA, &ret, &bytes_len, &rsdp_gpa, NULL),
		0);
	free(bytes);
	bytes = ret;
	check_madt(300);
}

/* A reader of just the AML that is here: what it does not know fails the test. */
struct aml {
	const uint8_t *at, *end;
};

static uint8_t aml_u8(struct aml *a)
{
	assert_true(a->at < a->end);
	return *a->at++;
}

/* The object after an opcode with a PkgLength; a moves past it. */
static struct aml aml_block(struct aml *a)
{
	const uint8_t *start = a->at;
	const uint8_t lead = aml_u8(a);
	struct aml inner;
	size_t len = lead & 0x3f;

	if (lead >> 6) {
		len = lead & 0xf;
		for (unsigned i = 0; i < lead >> 6; i++)
			len |= (size_t)aml_u8(a) << (4 + 8 * i);
	}
	assert_true(len <= (size_t)(a->end - start));
	inner = (struct aml){.at = a->at, .end = start + len};
	a->at = inner.end;
	return inner;
}

static uint64_t aml_read_integer(struct aml *a)
{
	const uint8_t op = aml_u8(a);
	unsigned n = 0;
	uint64_t v;

	switch (op) {
	case 0x00:
	case 0x01: return op;
	case 0x0a: n = 1; break;
	case 0x0b: n = 2; break;
	case 0x0c: n = 4; break;
	default: fail_for("no integer");
	}
	assert_true((size_t)(a->end - a->at) >= n);
	v = le(a->at, n);
	a->at += n;
	return v;
}

static void aml_expect(struct aml *a, const char *what, size_t n)
{
	assert_true((size_t)(a->end - a->at) >= n);
	assert_memory_equal(a->at, what, n);
	a->at += n;
}

static void check_hid(struct aml *a, const char *hid)
{
	if (strncmp(hid, "PNP", 3) == 0) {
		uint64_t id = aml_read_integer(a);

		assert_int_equal(id & 0xffff, 0xd041);
		assert_int_equal(__builtin_bswap16((uint16_t)(id >> 16)),
				 strtoul(hid + 3, NULL, 16));
	} else if (strlen(hid) == 7) {
		aml_read_integer(a); /* test_acpi_aml.c checks how IDs are compressed */
	} else {
		aml_expect(a, "\x0d", 1);
		aml_expect(a, hid, strlen(hid) + 1);
	}
}

static void check_range(struct aml *crs, const struct machine_range *range)
{
	if (range->space == IOBUS_PIO) {
		aml_expect(crs, "\x47\x01", 2);
		assert_int_equal(le(crs->at, 2), range->first);
		assert_int_equal(le(crs->at + 2, 2), range->first);
		assert_int_equal(crs->at[5], range->len);
		crs->at += 6;
	} else {
		aml_expect(crs, "\x86\x09\x00\x01", 4);
		assert_int_equal(le(crs->at, 4), range->first);
		assert_int_equal(le(crs->at + 4, 4), range->len);
		crs->at += 8;
	}
}

static void check_device(struct aml a, const struct machine_device *dev, unsigned index)
{
	uint64_t buffer_size;
	struct aml crs;
	char name[5];

	/* Unique by its last two characters, and a legal name by the first two. */
	memcpy(name, a.at, 4);
	name[4] = '\0';
	assert_int_equal(strtoul(name + 2, NULL, 16), index);
	assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"), 4);
	assert_true(name[0] == '_' || (name[0] >= 'A' && name[0] <= 'Z'));
	a.at += 4;
	aml_expect(&a, "\x08_HID", 5);
	check_hid(&a, dev->cls->acpi_hid);
	aml_expect(&a, "\x08_UID", 5);
	assert_int_equal(aml_read_integer(&a), index);
	aml_expect(&a, "\x08_CRS\x11", 6);
	crs = aml_block(&a);
	buffer_size = aml_read_integer(&crs);
	assert_int_equal(buffer_size, crs.end - crs.at);
	for (unsigned i = 0; i < dev->nr_ranges; i++)
		check_range(&crs, &dev->range[i]);
	if (dev->gsi != MACHINE_GSI_NONE) {
		aml_expect(&crs, "\x89\x06\x00\x03\x01", 5); /* edge, high, exclusive */
		assert_int_equal(le(crs.at, 4), dev->gsi);
		crs.at += 4;
	}
	aml_expect(&crs, "\x79\x00", 2);
	assert_ptr_equal(crs.at, crs.end);
	assert_ptr_equal(a.at, a.end);
}

/* The DSDT has the machine's devices that have a _HID, in order, \_S5, and nothing else. */
static void check_dsdt(void)
{
	const uint8_t *dsdt;
	struct aml a, scope;
	size_t len;

	dsdt = table_at(le(find_table("FACP", &len) + 140, 8), "DSDT", &len);
	assert_int_equal(dsdt[8], 2);
	a = (struct aml){.at = dsdt + 36, .end = dsdt + len};
	aml_expect(&a, "\x10", 1);
	scope = aml_block(&a);
	aml_expect(&scope, "_SB_", 4);
	for (unsigned i = 0; i < machine.nr_devices; i++) {
		if (!machine.device[i].cls->acpi_hid)
			continue;
		aml_expect(&scope, "\x5b\x82", 2);
		check_device(aml_block(&scope), &machine.device[i], i);
	}
	assert_ptr_equal(scope.at, scope.end);
	aml_expect(&a, "\x08_S5_\x12\x07\x04\x0a\x05\x00\x00\x00", 13);
	assert_ptr_equal(a.at, a.end);
}

static void dsdt_has_the_devices_with_a_hid(void **state)
{
	const struct machine_spec spec = {
		.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
		.cpus = 1,
		.extra = disks,
		.nr_extra = ARRAY_SIZE(disks),
	};

	(void)state;
	render_default(1);
	check_dsdt();
	render(&spec);
	check_dsdt();
}

static void dsdt_tells_of_chips_that_linux_has_drivers_for(void **state)
{
	(void)state;
	assert_string_equal(serial_16550_class.acpi_hid, "PNP0501");
	assert_string_equal(rtc_mc146818_class.acpi_hid, "PNP0B00");
	assert_string_equal(pvpanic_class.acpi_hid, "QEMU0001");
	/* Telling of an 8042 would have keyboards looked for. */
	assert_null(i8042_class.acpi_hid);
}

static void as_many_devices_as_a_machine_holds_fit(void **state)
{
	static char names[MACHINE_DEVICES_MAX][16];
	struct machine_row rows[MACHINE_DEVICES_MAX];
	unsigned n;

	(void)state;
	render_default(1);
	n = MACHINE_DEVICES_MAX - machine.nr_devices;
	for (unsigned i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "disk%u", i);
		rows[i] = disks[0];
		rows[i].name = names[i];
		rows[i].gsi = MACHINE_GSI_NONE;
	}
	render(&(struct machine_spec){.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
				      .cpus = arch_platform.cpus_max,
				      .extra = rows,
				      .nr_extra = n});
	check_dsdt();
	check_madt(arch_platform.cpus_max);
}

static void what_the_descriptors_cannot_tell_is_refused(void **state)
{
	static const struct machine_row bad[] = {
		{"high0",
		 "x",
		 &wide_class,
		 {{IOBUS_MMIO, UINT64_C(1) << 32, 4}},
		 .gsi = MACHINE_GSI_NONE},
		{"wide0", "x", &wide_class, {{IOBUS_PIO, 0x700, 256}}, .gsi = MACHINE_GSI_NONE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct diag diag = {0};
		void *ret = &diag;
		size_t len = 1;
		uint64_t gpa = 2;

		assert_int_equal(
			machine_resolve(&arch_platform,
					&(struct machine_spec){.mem_bytes = MACHINE_MEM_MIN,
							       .cpus = 1,
							       .extra = &bad[i],
							       .nr_extra = 1},
					&machine, &diag),
			0);
		assert_int_equal(
			machine_acpi_render(&machine, LAYOUT_ACPI_GPA, &ret, &len, &gpa, &diag),
			-EINVAL);
		assert_diag(&diag, -EINVAL, "acpi-range");
		assert_non_null(strstr(diag.what, bad[i].name));
		assert_ptr_equal(ret, &diag);
		assert_int_equal(len, 1);
		assert_int_equal(gpa, 2);
	}
}

static void tables_end_before_the_end_or_are_refused(void **state)
{
	struct diag diag = {0};
	uint64_t last;
	void *ret = &diag;
	size_t len = 1;

	(void)state;
	render_default(arch_platform.cpus_max);
	last = (LAYOUT_ACPI_END - bytes_len) & ~UINT64_C(63);
	assert_int_equal(machine_acpi_render(&machine, last + 64, &ret, &len, &rsdp_gpa, &diag),
			 -ENOSPC);
	assert_int_equal(diag.err, -ENOSPC);
	assert_ptr_equal(ret, &diag);
	assert_int_equal(
		machine_acpi_render(&machine, LAYOUT_ACPI_END - 64, &ret, &len, &rsdp_gpa, NULL),
		-ENOSPC);
	assert_int_equal(machine_acpi_render(&machine, last, &ret, &len, &rsdp_gpa, &diag), 0);
	assert_int_equal(rsdp_gpa, last);
	assert_int_equal(len, bytes_len);
	/* Every address in them moved along. */
	assert_int_equal(le((const uint8_t *)ret + 24, 8) - last,
			 le(bytes + 24, 8) - LAYOUT_ACPI_GPA);
	free(ret);
}

static void the_same_machine_gives_the_same_bytes(void **state)
{
	size_t len;
	void *ret;

	(void)state;
	render_default(3);
	assert_int_equal(
		machine_acpi_render(&machine, LAYOUT_ACPI_GPA, &ret, &len, &rsdp_gpa, NULL), 0);
	assert_int_equal(len, bytes_len);
	assert_memory_equal(ret, bytes, len);
	free(ret);
}

static void next_walks_all_tables_in_order(void **state)
{
	static const char *const names[] = {"RSDP", "FACS", "DSDT", "FACP", "APIC", "XSDT"};
	struct arch_acpi_table t = {0};
	size_t end = 0;

	(void)state;
	render_default(4);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_true(arch_acpi_next(bytes, bytes_len, &t));
		assert_string_equal(t.name, names[i]);
		assert_true(t.offset >= end && t.offset < end + 64);
		if (strcmp(t.name, "FACS") != 0)
			assert_int_equal(byte_sum(bytes + t.offset, t.len), 0);
		end = t.offset + t.len;
	}
	assert_int_equal(end, bytes_len);
	assert_false(arch_acpi_next(bytes, bytes_len, &t));
	assert_string_equal(t.name, "XSDT");
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rsdp_is_first_and_sums_to_zero_twice),
		TEST(fadt_tells_what_is_not_to_be_probed),
		TEST(fadt_registers_are_the_machines_ports),
		TEST(facs_is_aligned_and_empty),
		TEST(both_dsdt_pointers_agree),
		TEST(madt_lists_every_cpu_once),
		TEST(madt_uses_x2apic_structures_from_id_255_up),
		TEST(dsdt_has_the_devices_with_a_hid),
		TEST(dsdt_tells_of_chips_that_linux_has_drivers_for),
		TEST(as_many_devices_as_a_machine_holds_fit),
		TEST(what_the_descriptors_cannot_tell_is_refused),
		TEST(tables_end_before_the_end_or_are_refused),
		TEST(the_same_machine_gives_the_same_bytes),
		TEST(next_walks_all_tables_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
