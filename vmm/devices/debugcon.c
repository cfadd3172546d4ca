/*
 * Debug console, port 0xe9 (Bochs; QEMU's isa-debugcon): each byte written is a byte of output.
 * Modelled: output; reads give 0xe9, by which a guest detects the port. Range 0: one
 * byte. Nothing else exists. The port has no flow control, so a byte that the back end
 * has no room for is dropped and counted; the guest never waits.
 * Environment: chr. Threads: any vCPU, under the device's lock.
 */

#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

enum { DEBUGCON_PRESENT = 0xe9 };

struct debugcon {
	struct device dev;
	struct char_backend *chr; /* borrowed */
	uint64_t dropped;
};

static uint64_t debugcon_read(struct device *dev, struct io_at at)
{
	(void)dev;
	(void)at;
	return DEBUGCON_PRESENT;
}

static void debugcon_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct debugcon *con = container_of(dev, struct debugcon, dev);

	(void)at;
	if (!char_backend_put(con->chr, (uint8_t)val))
		con->dropped++;
}

static int debugcon_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct debugcon, dev)->chr = env->chr;
	return 0;
}

static uint64_t debugcon_counter(struct device *dev)
{
	return container_of(dev, struct debugcon, dev)->dropped;
}

const struct device_class debugcon_class = {
	.name = "debug console",
	.fdt_compatible = "tollgate,debugcon",
	.state_size = sizeof(struct debugcon),
	.max_access = 1,
	.coalesce_len = 1,
	.init = debugcon_init,
	.read = debugcon_read,
	.write = debugcon_write,
	.chr = &char_ops_output,
	.counter_name = "dropped_bytes",
	.counter = debugcon_counter,
};
