/*
 * ACPI sleep control and status registers (ACPI 6.3, 4.8.3.7), what a hardware-reduced machine has
 * in place of the PM1 block. The guest powers off by writing SLP_EN with the type that the DSDT's
 * \_S5 names.
 *
 * Range 0, two ports: 0 SLEEP_CONTROL_REG, 1 SLEEP_STATUS_REG.
 * Modelled: soft-off. Not modelled: sleep with a way back; \_S1 to \_S4 do not exist, so SLP_EN with
 * another type is a guest error, and WAK_STS, which such a wake would set, always reads 0. A guest
 * that polls it after SLP_EN does so until the VM has stopped.
 * Environment: power. Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include "device.h"
#include "devices/classes.h"

enum {
	CONTROL = 0,

	SLP_TYP_SHIFT = 2,
	SLP_TYP = 7 << SLP_TYP_SHIFT,
	SLP_EN = 1 << 5, /* write-only */
};

struct acpi_sleep {
	struct device dev;
	struct power *power; /* borrowed */
	uint8_t slp_typ;     /* in place */
};

static uint64_t acpi_sleep_read(struct device *dev, struct io_at at)
{
	return at.off == CONTROL ? container_of(dev, struct acpi_sleep, dev)->slp_typ : 0;
}

static void acpi_sleep_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct acpi_sleep *sleep = container_of(dev, struct acpi_sleep, dev);

	if (at.off != CONTROL)
		return; /* clears WAK_STS, which is clear */
	sleep->slp_typ = (uint8_t)(val & SLP_TYP);
	if (!(val & SLP_EN))
		return;
	if (sleep->slp_typ != ACPI_SLEEP_TYPE_S5 << SLP_TYP_SHIFT) {
		device_guest_error(dev, at);
		return;
	}
	sleep->power->end(sleep->power, (struct vm_end){.kind = VM_END_POWEROFF, .by = "ACPI S5"});
}

static void acpi_sleep_reset(struct device *dev)
{
	container_of(dev, struct acpi_sleep, dev)->slp_typ = 0;
}

static int acpi_sleep_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct acpi_sleep, dev)->power = env->power;
	return 0;
}

const struct device_class acpi_sleep_class = {
	.name = "ACPI sleep registers",
	.fdt_compatible = "tollgate,acpi-sleep",
	.state_size = sizeof(struct acpi_sleep),
	.max_access = 1,
	.init = acpi_sleep_init,
	.reset = acpi_sleep_reset,
	.read = acpi_sleep_read,
	.write = acpi_sleep_write,
};
