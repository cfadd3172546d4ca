/*
 * Intel's reset control register, port 0xcf9, and the PCI configuration ports around it (82371SB PIIX3
 * and every ICH since: "Reset Control"; PCI Local Bus Specification 3.0, 3.2.2.3.2 "Configuration
 * Mechanism #1").
 *
 * A reset happens when RST_CPU goes from 0 to 1; SYS_RST and FULL_RST choose between kinds of reset
 * that all end a VM, so they are only stored. ACPI's FADT may name this register as RESET_REG.
 *
 * Range 0 is the eight bytes from 0xcf8: CONFIG_ADDRESS, with the reset register in its second byte,
 * and CONFIG_DATA. Hardware distinguishes the two by the width of the access. Were the range one byte
 * long, the bus would split that dword, and asking for PCI function 4 to 7 (bit 10 of the address)
 * would reset the machine.
 *
 * Modelled: byte accesses to 0xcf9; a CONFIG_ADDRESS that reads back, which is how a guest finds the
 * mechanism; a bus that is empty: CONFIG_DATA reads all ones, writes are dropped. Other widths at
 * CONFIG_ADDRESS float.
 * Environment: power. Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

enum {
	RC_SYS_RST = 1 << 1,  /* hard instead of soft reset */
	RC_RST_CPU = 1 << 2,  /* rising edge: reset */
	RC_FULL_RST = 1 << 3, /* power cycle */
	RC_STORED = RC_SYS_RST | RC_RST_CPU | RC_FULL_RST,
};

#define CONFIG_ADDRESS_STORED UINT32_C(0x80fffffc) /* enable, bus, device, function, register */

struct reset_cf9 {
	struct device dev;
	struct power *power; /* borrowed */
	uint8_t rc;
	uint32_t config_address;
};

static bool is_reset_control(struct io_at at)
{
	return at.off == RESET_CF9_OFF && at.size == 1;
}

static bool is_config_address(struct io_at at)
{
	return at.off == 0 && at.size == 4;
}

static uint64_t reset_cf9_read(struct device *dev, struct io_at at)
{
	const struct reset_cf9 *r = container_of(dev, struct reset_cf9, dev);

	if (is_reset_control(at))
		return r->rc;
	if (is_config_address(at))
		return r->config_address;
	return UINT64_MAX >> (64 - 8 * at.size);
}

static void reset_cf9_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct reset_cf9 *r = container_of(dev, struct reset_cf9, dev);
	const uint8_t before = r->rc;

	if (is_config_address(at))
		r->config_address = (uint32_t)val & CONFIG_ADDRESS_STORED;
	if (!is_reset_control(at))
		return;
	r->rc = (uint8_t)(val & RC_STORED);
	if (!(before & RC_RST_CPU) && (r->rc & RC_RST_CPU))
		r->power->end(r->power, (struct vm_end){
						.kind = VM_END_RESET,
						.by = "reset register 0xcf9",
					});
}

static void reset_cf9_reset(struct device *dev)
{
	struct reset_cf9 *r = container_of(dev, struct reset_cf9, dev);

	r->rc = 0;
	r->config_address = 0;
}

static int reset_cf9_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct reset_cf9, dev)->power = env->power;
	return 0;
}

const struct device_class reset_cf9_class = {
	.name = "reset control register",
	.fdt_compatible = "tollgate,reset-cf9",
	.state_size = sizeof(struct reset_cf9),
	.max_access = 4,
	.init = reset_cf9_init,
	.reset = reset_cf9_reset,
	.read = reset_cf9_read,
	.write = reset_cf9_write,
};
