/*
 * Intel's reset control register, port 0xcf9 (82371SB PIIX3 and every ICH since: "Reset Control").
 * A reset happens when RST_CPU goes from 0 to 1; SYS_RST and FULL_RST choose between kinds of reset
 * that all end a VM, so they are only stored. ACPI's FADT may name this register as RESET_REG.
 *
 * Range 0 is the four bytes from 0xcf8, the register being the one at offset 1, for the sake of a
 * guest that looks for PCI: the dword at 0xcf8 is CONFIG_ADDRESS, and hardware tells the two apart
 * by the width of the access. Were the range one byte long, the bus would split that dword, and
 * asking for PCI function 4 to 7 (bit 10 of the address) would reset the machine.
 *
 * Modelled: byte accesses to 0xcf9. Not modelled: PCI, so all other accesses float: reads are all
 * ones, writes are dropped.
 * Environment: power. Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include "device.h"
#include "devices/classes.h"

enum {
	RC_SYS_RST = 1 << 1,  /* hard instead of soft reset */
	RC_RST_CPU = 1 << 2,  /* rising edge: reset */
	RC_FULL_RST = 1 << 3, /* power cycle */
	RC_STORED = RC_SYS_RST | RC_RST_CPU | RC_FULL_RST,
};

struct reset_cf9 {
	struct device dev;
	struct power *power; /* borrowed */
	uint8_t rc;
};

static bool is_reset_control(struct io_at at)
{
	return at.off == RESET_CF9_OFF && at.size == 1;
}

static uint64_t reset_cf9_read(struct device *dev, struct io_at at)
{
	if (!is_reset_control(at))
		return UINT64_MAX >> (64 - 8 * at.size);
	return container_of(dev, struct reset_cf9, dev)->rc;
}

static void reset_cf9_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct reset_cf9 *r = container_of(dev, struct reset_cf9, dev);
	const uint8_t before = r->rc;

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
	container_of(dev, struct reset_cf9, dev)->rc = 0;
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
