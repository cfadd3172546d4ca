/*
 * Test device, no real part: bytes that read as they were written, for kernels that try a VMM's bus
 * (guest/lib/scratch.h is the guest's side). There only with --test-device.
 *   scratch_class        memory: ranges 0 and 1, 64 bytes each, accesses up to 8 bytes
 *   scratch_ports_class  ports: range 0, up to 64 ports, accesses up to 4 bytes
 * Alignment does not matter. All bytes are 0 at first.
 * Environment: nothing. Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include <assert.h>
#include <string.h>

#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

enum { SCRATCH_RANGES = 2, SCRATCH_RANGE_BYTES = 64 };

struct scratch {
	struct device dev;
	uint8_t byte[SCRATCH_RANGES][SCRATCH_RANGE_BYTES];
};

/* The machine's rows say which ranges there are, not the guest. */
static uint8_t *scratch_at(struct device *dev, struct io_at at)
{
	assert(at.range < SCRATCH_RANGES && at.off + at.size <= SCRATCH_RANGE_BYTES);
	return &container_of(dev, struct scratch, dev)->byte[at.range][at.off];
}

static uint64_t scratch_read(struct device *dev, struct io_at at)
{
	uint64_t val = 0;

	memcpy(&val, scratch_at(dev, at),
	       at.size); /* every host that KVM runs here: little-endian */
	return val;
}

static void scratch_write(struct device *dev, struct io_at at, uint64_t val)
{
	memcpy(scratch_at(dev, at), &val, at.size);
}

static void scratch_reset(struct device *dev)
{
	struct scratch *scratch = container_of(dev, struct scratch, dev);

	memset(scratch->byte, 0, sizeof(scratch->byte));
}

const struct device_class scratch_class = {
	.name = "scratch memory",
	.fdt_compatible = "tollgate,scratch",
	.state_size = sizeof(struct scratch),
	.max_access = 8,
	.reset = scratch_reset,
	.read = scratch_read,
	.write = scratch_write,
};

const struct device_class scratch_ports_class = {
	.name = "scratch ports",
	.fdt_compatible = "tollgate,scratch-ports",
	.state_size = sizeof(struct scratch),
	.max_access = 4,
	.reset = scratch_reset,
	.read = scratch_read,
	.write = scratch_write,
};
