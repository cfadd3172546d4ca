/*
 * hostile - does to every device what no driver would, for a while; the VMM must neither end nor
 * hang nor lose its senses. Random accesses of every width, aligned or not: all ports, the edges of
 * every range the device tree names, device registers in memory, ROM holes, and long string I/O.
 *
 *   count=N   accesses in each of the five parts (default 2000)
 *   seed=N    of the random numbers (default 1); the same seed makes the same accesses
 *
 * Left out is only what rightly ends the VM (targets.c), and what the interrupt controllers make of
 * junk: those are KVM's.
 */
#include "access.h"
#include "boot.h"
#include "check.h"
#include "cmdline.h"
#include "devtree.h"
#include "pc.h"
#include "print.h"
#include "random.h"
#include "serial.h"
#include "string_io.h"
#include "targets.h"

enum {
	STRING_ELEMENTS_MAX = 300,
	ROM_FIRST = 0xa0000, /* VGA, option ROMs, firmware */
	ROM_END = 0x100000,
	UNCLAIMED_PORT = 0x0e00,
};

#define HOLE_FIRST UINT64_C(0xc0000000)
#define HOLE_END   UINT64_C(0xfec00000) /* from here on: interrupt controllers, KVM's own pages */

static struct {
	uint64_t state;
	uint64_t count;
} hostile;

static uint8_t string_buffer[4 * STRING_ELEMENTS_MAX];

/* One access to ports, unless it would end the VM. */
static void hit_port(uint16_t port)
{
	const unsigned width = 1u << random_below(&hostile.state, 3);
	const uint64_t val = port_value_tamed(port, width, random_next(&hostile.state));

	if (random_below(&hostile.state, 2))
		port_read(port, width);
	else if (!port_write_ends_vm(port, width, val))
		port_write(port, width, val);
}

static void hit_all_ports(void)
{
	for (uint64_t i = 0; i < hostile.count; i++)
		hit_port((uint16_t)random_below(&hostile.state, 0x10000));
}

/* From three ports before a range to its last. */
static void hit_device_ports(void)
{
	for (uint64_t i = 0; i < hostile.count; i++) {
		const struct port_range range =
			port_range_get(random_below(&hostile.state, port_ranges()));

		hit_port((uint16_t)(range.first - 3 + random_below(&hostile.state, range.len + 3)));
	}
}

static void hit_strings(void)
{
	for (uint64_t done = 0; done < hostile.count;) {
		const struct port_range range =
			port_range_get(random_below(&hostile.state, port_ranges()));
		const uint16_t port =
			(uint16_t)(range.first + random_below(&hostile.state, range.len));
		const unsigned width = 1u << random_below(&hostile.state, 3);
		const size_t n = random_below(&hostile.state, STRING_ELEMENTS_MAX + 1);
		const bool down = random_below(&hostile.state, 2);

		if (random_below(&hostile.state, 2)) {
			string_in(port, width, string_buffer, n, down);
		} else {
			/* The same element all over, so that one look shows whether it is safe. */
			const uint64_t val =
				port_value_tamed(port, width, random_next(&hostile.state));

			if (port_write_ends_vm(port, width, val))
				continue;
			for (size_t k = 0; k < n * width; k++)
				string_buffer[k] = (uint8_t)(val >> 8 * (k % width));
			string_out(port, width, string_buffer, n, down);
		}
		done += n + 1;
	}
}

static void hit_memory(uint64_t gpa)
{
	const unsigned width = 1u << random_below(&hostile.state, 4);

	if (random_below(&hostile.state, 2))
		mmio_read(gpa, width);
	else
		mmio_write(gpa, width, random_next(&hostile.state));
}

/* Half of it where devices are, from seven bytes before to the last; half anywhere in the hole. */
static void hit_mmio(void)
{
	const size_t n = devtree_nr_devices();

	for (uint64_t i = 0; i < hostile.count; i++) {
		const struct devtree_device *dev =
			n ? devtree_device(random_below(&hostile.state, n)) : NULL;
		uint64_t gpa = HOLE_FIRST + random_below(&hostile.state, HOLE_END - HOLE_FIRST - 8);

		if (dev && dev->nr_regs && !dev->reg[0].is_port &&
		    dev->reg[0].first >= HOLE_FIRST && dev->reg[0].first < HOLE_END &&
		    random_below(&hostile.state, 2))
			gpa = dev->reg[0].first - 7 +
			      random_below(&hostile.state, dev->reg[0].len + 7);
		hit_memory(gpa);
	}
}

static void hit_rom(void)
{
	for (uint64_t i = 0; i < hostile.count; i++)
		hit_memory(ROM_FIRST + random_below(&hostile.state, ROM_END - ROM_FIRST - 8));
}

/* Checks that must still pass, whatever happened. Prints only once the UART is put right. */
static void check_senses(const char *after)
{
	bool post;

	serial_init();
	print("\n"); /* after the dots */
	out8(PC_POST_PORT, 0x3c);
	post = in8(PC_POST_PORT) == 0x3c;
	out8(PC_COM1_PORT + UART_SCR, 0x69);
	if (in32(UNCLAIMED_PORT) != UINT32_MAX)
		check_fail(after, "an unclaimed port does not read ones any more");
	else if (!post)
		check_fail(after, "port 0x80 does not read back any more");
	else if (in8(PC_COM1_PORT + UART_SCR) != 0x69)
		check_fail(after, "the UART's scratch register does not read back any more");
	else if (in8(PC_DEBUGCON_PORT) != DEBUGCON_SIGNATURE)
		check_fail(after, "the debug console does not read 0xe9 any more");
	else
		check_ok(after);
}

void kernel_main(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{"hostile-ports", hit_all_ports}, {"hostile-devices", hit_device_ports},
		{"hostile-strings", hit_strings}, {"hostile-mmio", hit_mmio},
		{"hostile-rom", hit_rom},
	};

	devtree_init();
	port_ranges_init();
	hostile.count = cmdline_u64("count", 2000, UINT32_MAX);
	hostile.state = cmdline_u64("seed", 1, UINT64_MAX);
	if (hostile.state == 0)
		hostile.state = 1; /* the generator's one fixed point is 0 */
	serial_flush();
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		parts[i].run();
		check_senses(parts[i].name);
	}
	check_finish();
}
