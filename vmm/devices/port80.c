/*
 * POST code port 0x80 (IBM AT Technical Reference, "manufacturing port"): a latch that shows how far
 * firmware or an early kernel came. Linux also writes here to wait about a microsecond.
 * Modelled: the latch; reads give the last byte back. Range 0: one byte.
 * Not modelled: the DMA page register that shares the address on an AT.
 * Environment: nothing. Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

struct port80 {
	struct device dev;
	uint8_t last;
};

static uint64_t port80_read(struct device *dev, struct io_at at)
{
	(void)at;
	return container_of(dev, struct port80, dev)->last;
}

static void port80_write(struct device *dev, struct io_at at, uint64_t val)
{
	(void)at;
	container_of(dev, struct port80, dev)->last = (uint8_t)val;
}

static void port80_reset(struct device *dev)
{
	container_of(dev, struct port80, dev)->last = 0;
}

static uint64_t port80_counter(struct device *dev)
{
	return container_of(dev, struct port80, dev)->last;
}

const struct device_class port80_class = {
	.name = "POST code port",
	.fdt_compatible = "tollgate,post-port",
	.state_size = sizeof(struct port80),
	.max_access = 1,
	.coalesce_len = 1,
	.reset = port80_reset,
	.read = port80_read,
	.write = port80_write,
	.counter_name = "last_post_code",
	.counter = port80_counter,
};
