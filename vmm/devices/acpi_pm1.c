/*
 * ACPI PM1a event and control blocks (ACPI 6.3, 4.8.3.1 and 4.8.3.2). The guest powers off by writing
 * SLP_EN with the type that the DSDT's \_S5 names.
 *
 * Range 0, six ports: 0 PM1_STS, 2 PM1_EN, 4 PM1_CNT, two bytes each. An access of 16 bits comes as
 * two of 8, which makes no difference: no effect takes bits of both bytes.
 * Modelled: soft-off, and enable bits that read back, because ACPICA checks that they do. SCI_EN is
 * always set: there is no SMI and so no legacy mode to leave. Not modelled: anything that would set a
 * status bit (timer, buttons, wake), so PM1_STS reads 0 and the SCI never fires; \_S1 to \_S4, so
 * SLP_EN with another type is a guest error.
 * Environment: power. Threads: any vCPU, without a lock around its ops: each byte is an atomic of its own.
 */
#include <stdatomic.h>

#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

enum {
	EN = 2,
	CNT = 4,

	/* The low byte of a register, then, marked H, the high one. */
	EN_TMR = 1 << 0,
	EN_GBL = 1 << 5,
	EN_H_PWRBTN = 1 << 0,
	EN_H_SLPBTN = 1 << 1,
	EN_H_RTC = 1 << 2,
	CNT_SCI_EN = 1 << 0,
	CNT_BM_RLD = 1 << 1,
	CNT_H_SLP_TYP_SHIFT = 2,
	CNT_H_SLP_TYP = 7 << CNT_H_SLP_TYP_SHIFT,
	CNT_H_SLP_EN = 1 << 5, /* write-only */

	PM1_BYTES = 6,
};

/* Bits of each byte that are stored and read back. */
static const uint8_t stored[PM1_BYTES] = {
	[EN] = EN_TMR | EN_GBL,
	[EN + 1] = EN_H_PWRBTN | EN_H_SLPBTN | EN_H_RTC,
	[CNT] = CNT_BM_RLD,
	[CNT + 1] = CNT_H_SLP_TYP,
};

struct acpi_pm1 {
	struct device dev;
	struct power *power; /* borrowed */
	_Atomic uint8_t reg[PM1_BYTES];
};

static uint64_t acpi_pm1_read(struct device *dev, struct io_at at)
{
	struct acpi_pm1 *pm1 = container_of(dev, struct acpi_pm1, dev);
	const uint8_t val = atomic_load_explicit(&pm1->reg[at.off], memory_order_relaxed);

	return at.off == CNT ? val | CNT_SCI_EN : val;
}

/* SLP_EN: off, or a guest error. type: SLP_TYP as it was written. */
static void acpi_pm1_sleep(struct acpi_pm1 *pm1, struct io_at at, uint8_t type)
{
	if (type == ACPI_PM1_S5_TYPE << CNT_H_SLP_TYP_SHIFT) {
		pm1->power->end(pm1->power,
				(struct vm_end){.kind = VM_END_POWEROFF, .by = "ACPI S5"});
		return;
	}
	pthread_mutex_lock(&pm1->dev.lock); /* for the count */
	device_guest_error(&pm1->dev, at);
	pthread_mutex_unlock(&pm1->dev.lock);
}

static void acpi_pm1_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct acpi_pm1 *pm1 = container_of(dev, struct acpi_pm1, dev);
	const uint8_t kept = (uint8_t)(val & stored[at.off]);

	atomic_store_explicit(&pm1->reg[at.off], kept, memory_order_relaxed);
	if (at.off == CNT + 1 && (val & CNT_H_SLP_EN))
		acpi_pm1_sleep(pm1, at, kept);
}

static void acpi_pm1_reset(struct device *dev)
{
	struct acpi_pm1 *pm1 = container_of(dev, struct acpi_pm1, dev);

	for (unsigned i = 0; i < PM1_BYTES; i++)
		atomic_store_explicit(&pm1->reg[i], 0, memory_order_relaxed);
}

static int acpi_pm1_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct acpi_pm1, dev)->power = env->power;
	return 0;
}

const struct device_class acpi_pm1_class = {
	.name = "ACPI PM1 block",
	.fdt_compatible = "tollgate,acpi-pm1",
	.state_size = sizeof(struct acpi_pm1),
	.max_access = 1,
	.self_locked = true,
	.init = acpi_pm1_init,
	.reset = acpi_pm1_reset,
	.read = acpi_pm1_read,
	.write = acpi_pm1_write,
};
