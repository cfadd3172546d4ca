/*
 * Exit port, compatible with QEMU's isa-debug-exit: a write ends the VM with the value as its code.
 * QEMU's process then ends with 2 * code + 1; ours with vm_end_status(), so that 0 means success.
 * Modelled: writes of 1, 2 and 4 bytes anywhere in the range; reads give 0. The range is 4 bytes at
 * 0xf4 or 2 bytes at 0x501, whichever the machine has. Nothing else exists.
 * Environment: power. Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

struct exit_port {
	struct device dev;
	struct power *power; /* borrowed */
};

static uint64_t exit_port_read(struct device *dev, struct io_at at)
{
	(void)dev;
	(void)at;
	return 0;
}

static void exit_port_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct exit_port *port = container_of(dev, struct exit_port, dev);
	const uint64_t mask = UINT64_MAX >> (64 - 8 * at.size);

	port->power->end(port->power, (struct vm_end){
					      .kind = VM_END_EXIT_CODE,
					      .code = (uint32_t)(val & mask),
					      .by = "exit port",
				      });
}

static int exit_port_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct exit_port, dev)->power = env->power;
	return 0;
}

const struct device_class exit_port_class = {
	.name = "exit port",
	.fdt_compatible = "tollgate,exit-port",
	.state_size = sizeof(struct exit_port),
	.max_access = 4,
	.init = exit_port_init,
	.read = exit_port_read,
	.write = exit_port_write,
};
