/*
 * pvpanic (QEMU, docs/specs/pvpanic): one port by which a guest says that it panicked, that its
 * crash kernel took over, or that it shut down.
 * Modelled: all three events; reads report which are understood. Range 0: one byte (0x505 by custom).
 * An event of several bits counts for each, but a panic ends the VM as a panic whatever else is set.
 * Bits that the specification does not name are ignored, as it asks, and counted as a guest error.
 * Not modelled: the PCI variant.
 * Environment: power. Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

enum {
	PANICKED = 1 << 0,     /* and the guest will not go on */
	CRASH_LOADED = 1 << 1, /* panicked, but the guest deals with it: kdump */
	SHUTDOWN = 1 << 2,     /* an orderly one */
	EVENTS = PANICKED | CRASH_LOADED | SHUTDOWN,
};

struct pvpanic {
	struct device dev;
	struct power *power; /* borrowed */
	uint64_t crash_loaded;
};

static uint64_t pvpanic_read(struct device *dev, struct io_at at)
{
	(void)dev;
	(void)at;
	return EVENTS;
}

static void pvpanic_end(struct pvpanic *pv, enum vm_end_kind kind)
{
	pv->power->end(pv->power, (struct vm_end){.kind = kind, .by = "pvpanic"});
}

static void pvpanic_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct pvpanic *pv = container_of(dev, struct pvpanic, dev);

	if (val & ~(uint64_t)EVENTS)
		device_guest_error(dev, at);
	if (val & CRASH_LOADED)
		pv->crash_loaded++;
	if (val & PANICKED)
		pvpanic_end(pv, VM_END_PANIC);
	else if (val & SHUTDOWN)
		pvpanic_end(pv, VM_END_POWEROFF);
}

static int pvpanic_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct pvpanic, dev)->power = env->power;
	return 0;
}

static uint64_t pvpanic_counter(struct device *dev)
{
	return container_of(dev, struct pvpanic, dev)->crash_loaded;
}

const struct device_class pvpanic_class = {
	.name = "pvpanic",
	.fdt_compatible = "qemu,pvpanic-mmio", /* Linux: ports do as well */
	.acpi_hid = "QEMU0001",
	.state_size = sizeof(struct pvpanic),
	.max_access = 1,
	.init = pvpanic_init,
	.read = pvpanic_read,
	.write = pvpanic_write,
	.counter_name = "crash_kernels",
	.counter = pvpanic_counter,
};
