/*
 * Output port: bytes from a guest program to the host, with flow control, for what must not be lost and
 * must not mix with a console: the standard output of a command (guest/init).
 * Range 0: 8 bytes. Offset 0, writes of 1, 2 or 4 bytes: that many bytes of output, the lowest first.
 * Offset 4, read: how many bytes are taken now; what is written beyond them is dropped and counted.
 * When nobody reads on the host this stays 0, and the guest waits, not the VMM. The room is at most
 * OUTPUT_PORT_ROOM_MAX, and it is that again when all that was written has left.
 * Writes may be collected by KVM; reading the room is an exit, and drains them first.
 * Environment: chr. Threads: any vCPU, under the device's lock.
 */

#include "base/macros.h"
#include "device.h"
#include "devices/classes.h"

enum {
	REG_DATA = 0,
	REG_ROOM = 4,
	REG_BYTES = 4, /* each */
};

struct output_port {
	struct device dev;
	struct char_backend *chr; /* borrowed */
	uint64_t dropped;
};

static uint32_t room(const struct output_port *port)
{
	const size_t n = port->chr->room(port->chr);

	return n < OUTPUT_PORT_ROOM_MAX ? (uint32_t)n : OUTPUT_PORT_ROOM_MAX;
}

static uint64_t output_port_read(struct device *dev, struct io_at at)
{
	const struct output_port *port = container_of(dev, struct output_port, dev);

	if (at.off < REG_ROOM)
		return device_guest_error(dev, at);
	return room(port) >> 8 * (at.off - REG_ROOM);
}

static void output_port_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct output_port *port = container_of(dev, struct output_port, dev);

	if (at.off != REG_DATA) {
		device_guest_error(dev, at);
		return;
	}
	for (unsigned i = 0; i < at.size; i++)
		if (!char_backend_put(port->chr, (uint8_t)(val >> 8 * i)))
			port->dropped++;
}

static int output_port_init(struct device *dev, const struct device_env *env)
{
	container_of(dev, struct output_port, dev)->chr = env->chr;
	return 0;
}

static uint64_t output_port_counter(struct device *dev)
{
	return container_of(dev, struct output_port, dev)->dropped;
}

const struct device_class output_port_class = {
	.name = "output port",
	.fdt_compatible = "tollgate,output-port",
	.state_size = sizeof(struct output_port),
	.max_access = 4,
	.coalesce_len = REG_BYTES,
	.init = output_port_init,
	.read = output_port_read,
	.write = output_port_write,
	.chr = &char_ops_output,
	.counter_name = "dropped_bytes",
	.counter = output_port_counter,
};
