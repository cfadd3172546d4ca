/*
 * QEMU's pc-testdev (hw/misc/pc-testdev.c), which kvm-unit-tests try a KVM with. There only with --test-device=pc.
 *   pc_testdev_ports_class   range 0: four ports that read as they were written, 0xe0 by custom; range 1: four ports,
 *                            where writing the address of a page has KVM map that page anew, 0xe4 by custom
 *   pc_testdev_irqs_class    range 0: a port per GSI, which sets its level: 0 is low. 24 ports at 0x2000 by custom
 *   pc_testdev_memory_class  range 0: 64 KiB that read as they were written, 0xff000000 by custom
 * Modelled: all of that, with accesses that QEMU refuses as guest errors. Reset lowers the lines, and keeps the bytes.
 * Not modelled: the second view of the first four ports, at 0xe8, where the debug console is.
 * Environment: mem (ports), irqs (interrupts). Threads: any vCPU; iobus holds the device's lock around each op.
 */
#include <assert.h>
#include <string.h>

#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"
#include "mem.h"

enum { RANGE_DATA = 0, RANGE_FLUSH = 1 };
enum { DATA_BYTES = 4, FLUSH_BYTES = 4, MEMORY_BYTES = 0x10000 };

struct pc_ports {
	struct device dev;
	const struct guest_mem *mem; /* borrowed */
	uint8_t data[DATA_BYTES];
};

struct pc_irqs {
	struct device dev;
	struct irq_bank *bank; /* borrowed */
	uint32_t high;         /* a bit for each line */
};

struct pc_memory {
	struct device dev;
	uint8_t byte[MEMORY_BYTES];
};

static int pc_ports_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct pc_ports, dev)->mem = env->mem;
	return 0;
}

static uint64_t pc_ports_read(struct device *dev, struct io_at at)
{
	uint64_t val = 0;

	if (at.range != RANGE_DATA)
		return device_guest_error(dev, at);
	assert(at.off + at.size <= DATA_BYTES);
	memcpy(&val, &container_of(dev, struct pc_ports, dev)->data[at.off], at.size);
	return val;
}

static void pc_ports_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct pc_ports *ports = container_of(dev, struct pc_ports, dev);

	if (at.range == RANGE_DATA) {
		assert(at.off + at.size <= DATA_BYTES);
		memcpy(&ports->data[at.off], &val, at.size);
	} else if (at.size != FLUSH_BYTES || !guest_mem_remap_page(ports->mem, val)) {
		device_guest_error(dev, at);
	}
}

const struct device_class pc_testdev_ports_class = {
	.name = "pc-testdev ports",
	.state_size = sizeof(struct pc_ports),
	.max_access = 4,
	.init = pc_ports_init,
	.read = pc_ports_read,
	.write = pc_ports_write,
};

static int pc_irqs_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct pc_irqs, dev)->bank = env->irqs;
	return 0;
}

static void pc_irqs_set(struct pc_irqs *irqs, unsigned gsi, bool level)
{
	const uint32_t bit = UINT32_C(1) << gsi;

	if (level == ((irqs->high & bit) != 0))
		return;
	irqs->high ^= bit;
	irqs->bank->set(irqs->bank, gsi, level);
}

static uint64_t pc_irqs_read(struct device *dev, struct io_at at)
{
	return device_guest_error(dev, at);
}

static void pc_irqs_write(struct device *dev, struct io_at at, uint64_t val)
{
	if (at.size != 1) {
		device_guest_error(dev, at);
		return;
	}
	assert(at.off < PC_TESTDEV_IRQS);
	pc_irqs_set(container_of(dev, struct pc_irqs, dev), (unsigned)at.off, (uint8_t)val != 0);
}

static void pc_irqs_reset(struct device *dev)
{
	for (unsigned gsi = 0; gsi < PC_TESTDEV_IRQS; gsi++)
		pc_irqs_set(container_of(dev, struct pc_irqs, dev), gsi, false);
}

const struct device_class pc_testdev_irqs_class = {
	.name = "pc-testdev interrupts",
	.state_size = sizeof(struct pc_irqs),
	.max_access = 4, /* none is split, as two levels are not one access */
	.init = pc_irqs_init,
	.reset = pc_irqs_reset,
	.read = pc_irqs_read,
	.write = pc_irqs_write,
};

static uint8_t *pc_memory_at(struct device *dev, struct io_at at)
{
	assert(at.off + at.size <= MEMORY_BYTES);
	return &container_of(dev, struct pc_memory, dev)->byte[at.off];
}

static uint64_t pc_memory_read(struct device *dev, struct io_at at)
{
	uint64_t val = 0;

	memcpy(&val, pc_memory_at(dev, at), at.size);
	return val;
}

static void pc_memory_write(struct device *dev, struct io_at at, uint64_t val)
{
	memcpy(pc_memory_at(dev, at), &val, at.size);
}

const struct device_class pc_testdev_memory_class = {
	.name = "pc-testdev memory",
	.state_size = sizeof(struct pc_memory),
	.max_access = 8,
	.read = pc_memory_read,
	.write = pc_memory_write,
};
