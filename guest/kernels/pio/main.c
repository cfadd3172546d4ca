/*
 * pio - port I/O of every width: devices, unclaimed ports, accesses that straddle the two, and
 * string I/O. The bus's rules are those of vmm/iobus.h.
 *
 *   pio=N   scratch ports (lib/scratch.h); without them their check is left out
 */
#include "access.h"
#include "boot.h"
#include "check.h"
#include "devtree.h"
#include "pc.h"
#include "print.h"
#include "scratch.h"
#include "serial.h"

#include "string_tests.h"

/* Whether a read gives want; reports the value when it does not. */
static bool expect(const char *name, uint16_t port, unsigned width, uint64_t want)
{
	const uint64_t seen = port_read(port, width);

	if (seen == want)
		return true;
	check_fail(name, "%u bytes from port 0x%x: 0x%lx, not 0x%lx", width, port, seen, want);
	return false;
}

static bool unclaimed_reads_ones(const char *name)
{
	static const uint16_t ports[] = {0x0e00, 0x1233, 0x8001, 0xfff0, 0xfffc};

	for (unsigned p = 0; p < sizeof(ports) / sizeof(ports[0]); p++) {
		for (unsigned width = 1; width <= 4; width *= 2) {
			port_write(ports[p], width, 0x11223344);
			if (!expect(name, ports[p], width, width_mask(width)))
				return false;
		}
	}
	return true;
}

/* The access begins at the last port and goes past it. */
static bool top_reads_ones(const char *name)
{
	port_write(0xffff, 4, 0);
	return expect(name, 0xffff, 1, 0xff) && expect(name, 0xffff, 2, 0xffff) &&
	       expect(name, 0xfffd, 4, 0xffffffff);
}

/* Two and four bytes on byte-wide registers side by side: MCR, LSR, MSR, SCR. */
static bool wide_access_splits(const char *name)
{
	uint64_t val;

	serial_flush();
	port_write(PC_COM1_PORT + UART_MSR, 2, 0x9c00);
	if (!expect(name, PC_COM1_PORT + UART_SCR, 1, 0x9c))
		return false;
	val = port_read(PC_COM1_PORT + UART_MCR, 4);
	if (val >> 24 != 0x9c || !(val >> 8 & UART_LSR_THRE) ||
	    (val & 0xff) != in8(PC_COM1_PORT + UART_MCR)) {
		check_fail(name, "four bytes from port 0x%x: 0x%lx", PC_COM1_PORT + UART_MCR, val);
		return false;
	}
	port_write(PC_COM1_PORT + UART_MCR, 4, val & 0xff);
	return expect(name, PC_COM1_PORT + UART_SCR, 1, 0);
}

/* One claimed byte among unclaimed ones, at each place in the access. */
static bool edge_reads_mix(const char *name)
{
	out8(PC_POST_PORT, 0x5a);
	return expect(name, PC_POST_PORT, 2, 0xff5a) && expect(name, PC_POST_PORT, 4, 0xffffff5a) &&
	       expect(name, PC_POST_PORT - 1, 2, 0x5aff) &&
	       expect(name, PC_POST_PORT - 1, 4, 0xffff5aff) &&
	       expect(name, PC_POST_PORT - 2, 4, 0xff5affff) &&
	       expect(name, PC_POST_PORT - 3, 4, 0x5affffff) &&
	       expect(name, PC_DEBUGCON_PORT - 1, 2, 0xe9ff);
}

static bool edge_writes_reach_the_claimed_byte(const char *name)
{
	port_write(PC_POST_PORT, 2, 0x1122);
	if (!expect(name, PC_POST_PORT, 1, 0x22))
		return false;
	port_write(PC_POST_PORT - 1, 2, 0x3344);
	if (!expect(name, PC_POST_PORT, 1, 0x33))
		return false;
	for (unsigned before = 0; before < 4; before++) {
		port_write((uint16_t)(PC_POST_PORT - before), 4, 0x88776655);
		if (!expect(name, PC_POST_PORT, 1, 0x88776655u >> 8 * before & 0xff))
			return false;
	}
	return true;
}

/* Every width at every offset, aligned or not, against a model of the bytes. */
static bool scratch_works(const char *name, uint16_t port)
{
	uint8_t model[SCRATCH_PORTS] = {0};
	uint64_t pattern = UINT64_C(0x0123456789abcdef);

	for (unsigned i = 0; i < SCRATCH_PORTS; i++)
		out8((uint16_t)(port + i), 0);
	for (unsigned width = 1; width <= 4; width *= 2) {
		for (unsigned off = 0; off + width <= SCRATCH_PORTS; off++) {
			port_write((uint16_t)(port + off), width, pattern);
			for (unsigned i = 0; i < width; i++)
				model[off + i] = (uint8_t)(pattern >> 8 * i);
			pattern = pattern * 25 + 7;
			for (unsigned i = 0; i < SCRATCH_PORTS; i++) {
				if (!expect(name, (uint16_t)(port + i), 1, model[i]))
					return false;
			}
		}
	}
	return expect(name, (uint16_t)(port + 3), 4,
		      model[3] | (uint64_t)model[4] << 8 | (uint64_t)model[5] << 16 |
			      (uint64_t)model[6] << 24) &&
	       expect(name, (uint16_t)(port - 1), 2, (uint64_t)model[0] << 8 | 0xff) &&
	       expect(name, (uint16_t)(port + SCRATCH_PORTS - 1), 2,
		      0xff00u | model[SCRATCH_PORTS - 1]);
}

static void run(const char *name, bool (*test)(const char *name))
{
	if (test(name))
		check_ok(name);
}

void kernel_main(void)
{
	uint16_t port;

	devtree_init();
	run("pio-unclaimed-ones", unclaimed_reads_ones);
	run("pio-top-ones", top_reads_ones);
	run("pio-wide-splits", wide_access_splits);
	run("pio-edge-read", edge_reads_mix);
	run("pio-edge-write", edge_writes_reach_the_claimed_byte);
	string_tests();
	if (!scratch_find_ports(&port))
		print("pio: no scratch ports\n");
	else if (scratch_works("pio-scratch", port))
		check_ok("pio-scratch");
	check_finish();
}
