/* devices.c - finds the devices, by the device tree or where a PC has them, and tries each. */
#include "selftest.h"

#include <stddef.h>

#include "check.h"
#include "cpu.h"
#include "devtree.h"
#include "pc.h"

#define VIRTIO_MMIO_MAGIC   0x74726976 /* "virt": VIRTIO 1.2, 4.2.2 */
#define VIRTIO_MMIO_VERSION 2

enum {
	VIRTIO_MAGIC_OFF = 0,
	VIRTIO_VERSION_OFF = 4,
	VIRTIO_DEVICE_ID_OFF = 8,
	I8042_POLLS = 1000,
	I8042_STATUS_OBF = 0x01,
	I8042_CMD_SELF_TEST = 0xaa,
	I8042_SELF_TEST_OK = 0x55,
	RESET_REG_OFF = 1,
	UNCLAIMED = 0xff, /* what floats on a bus without a device */
};

/* One kind of device on ports. */
struct probe {
	const char *name;
	const char *compatible;
	struct place usual; /* where a PC has it, when the device tree does not say */
	void (*test)(const char *name, const struct place *at);
};

static void test_i8042(const char *name, const struct place *at)
{
	uint8_t answer;

	if (in8(at->port2) == UNCLAIMED) {
		check_fail(name, "nothing at port 0x%x", at->port2);
		return;
	}
	for (unsigned i = 0; i < I8042_POLLS && in8(at->port2) & I8042_STATUS_OBF; i++)
		in8(at->port);
	out8(at->port2, I8042_CMD_SELF_TEST);
	for (unsigned i = 0; i < I8042_POLLS && !(in8(at->port2) & I8042_STATUS_OBF); i++)
		cpu_relax();
	answer = in8(at->port);
	if (answer == I8042_SELF_TEST_OK)
		check_pass(name, "at 0x%x and 0x%x, its self-test passes", at->port, at->port2);
	else
		check_fail(name, "its self-test answers 0x%x", answer);
}

static void test_port80(const char *name, const struct place *at)
{
	static const uint8_t codes[] = {0x5a, 0xa5};

	for (size_t i = 0; i < sizeof(codes); i++) {
		uint8_t seen;

		out8(at->port, codes[i]);
		seen = in8(at->port);
		if (seen != codes[i]) {
			check_fail(name, "0x%x was written, 0x%x read back", codes[i], seen);
			return;
		}
	}
	check_pass(name, "at 0x%x, reads back", at->port);
}

static void test_debugcon(const char *name, const struct place *at)
{
	const uint8_t seen = in8(at->port);

	if (seen == DEBUGCON_SIGNATURE)
		check_pass(name, "at 0x%x", at->port);
	else
		check_fail(name, "port 0x%x reads 0x%x instead of 0xe9", at->port, seen);
}

static void test_exit_port(const char *name, const struct place *at)
{
	if (in8(at->port) == UNCLAIMED)
		check_fail(name, "nothing at port 0x%x", at->port);
	else
		check_pass(name, "at 0x%x", at->port);
}

static void test_pvpanic(const char *name, const struct place *at)
{
	const uint8_t events = in8(at->port);

	if (events == UNCLAIMED || !(events & PVPANIC_PANICKED))
		check_fail(name, "port 0x%x reads 0x%x: no panic event", at->port, events);
	else
		check_pass(name, "at 0x%x, takes panic%s%s", at->port,
			   events & PVPANIC_CRASH_LOADED ? ", crash kernel" : "",
			   events & PVPANIC_SHUTDOWN ? ", shutdown" : "");
}

/* The device's first port is PCI's CONFIG_ADDRESS, 0xcf8; the register is the byte after it. */
static void test_reset(const char *name, const struct place *at)
{
	const unsigned port = at->port + RESET_REG_OFF;
	const uint8_t val = in8((uint16_t)port);

	if (val & RESET_CF9_NOW)
		check_fail(name, "port 0x%x reads 0x%x", port, val);
	else
		check_pass(name, "at 0x%x", port);
}

static const struct probe probes[] = {
	{"serial", "ns16550a", {PC_COM1_PORT, 0, PC_COM1_GSI}, test_serial},
	{"rtc", "motorola,mc146818", {PC_RTC_PORT, 0, PC_RTC_GSI}, test_rtc},
	{"i8042", "tollgate,i8042", {PC_I8042_DATA, PC_I8042_COMMAND, -1}, test_i8042},
	{"post-port", "tollgate,post-port", {PC_POST_PORT, 0, -1}, test_port80},
	{"debugcon", "tollgate,debugcon", {PC_DEBUGCON_PORT, 0, -1}, test_debugcon},
	{"exit-port", "tollgate,exit-port", {PC_EXIT_PORT, 0, -1}, test_exit_port},
	{"pvpanic", "qemu,pvpanic-mmio", {PC_PVPANIC_PORT, 0, -1}, test_pvpanic},
	{"reset-port", "tollgate,reset-cf9", {PC_RESET_PORT - RESET_REG_OFF, 0, -1}, test_reset},
};

static struct place find_place(const struct probe *probe)
{
	const struct devtree_device *dev = devtree_find(probe->compatible);

	if (!dev || dev->nr_regs == 0 || !dev->reg[0].is_port)
		return probe->usual;
	return (struct place){
		.port = (uint16_t)dev->reg[0].first,
		.port2 = dev->nr_regs > 1 ? (uint16_t)dev->reg[1].first : 0,
		.gsi = dev->gsi,
	};
}

static const char *virtio_name(uint32_t id)
{
	static const char *const names[] = {
		[0] = "none",    [1] = "net",     [2] = "block",     [3] = "console",
		[4] = "entropy", [5] = "balloon", [8] = "SCSI host", [9] = "9P transport",
		[16] = "GPU",    [18] = "input",  [19] = "socket",   [26] = "file system",
	};

	return id < sizeof(names) / sizeof(names[0]) && names[id] ? names[id] : "other";
}

static void test_virtio(const struct devtree_device *dev)
{
	const uint64_t gpa = dev->reg[0].first;
	const uint32_t magic = mmio_read32(gpa + VIRTIO_MAGIC_OFF);
	const uint32_t version = mmio_read32(gpa + VIRTIO_VERSION_OFF);
	const uint32_t id = mmio_read32(gpa + VIRTIO_DEVICE_ID_OFF);

	if (magic == VIRTIO_MMIO_MAGIC && version == VIRTIO_MMIO_VERSION)
		check_pass("virtio-mmio", "at 0x%lx, GSI %d, type %u (%s)", gpa, dev->gsi, id,
			   virtio_name(id));
	else
		check_fail("virtio-mmio", "at 0x%lx: magic 0x%x, version %u", gpa, magic, version);
}

void test_devices(void)
{
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		const struct place at = find_place(&probes[i]);

		probes[i].test(probes[i].name, &at);
	}
	for (size_t i = 0; i < devtree_nr_devices(); i++) {
		const struct devtree_device *dev = devtree_device(i);

		if (devtree_is(dev, "virtio,mmio") && dev->nr_regs)
			test_virtio(dev);
	}
}
