#include "targets.h"

#include "devtree.h"
#include "pc.h"
#include "power.h"

enum {
	RANGES_MAX = 64,
	EXIT_PORTS = 4,
	EXIT_PORT2 = 0x501,
	EXIT_PORTS2 = 2,
	I8042_CMD_WRITE_OUTPUT = 0xd1, /* bit 0 of the byte that follows resets */
	I8042_CMD_PULSE_FIRST = 0xf0,  /* so does bit 0 of these */
	ACPI_PM1_CNT_HIGH = 5,         /* the byte of the PM1 block that has SLP_EN */
	ACPI_SLP_EN = 0x20,
};

static const struct port_range pc_ranges[] = {
	{PC_I8042_DATA, 1},    {PC_I8042_COMMAND, 1},      {PC_RTC_PORT, 2},  {PC_POST_PORT, 1},
	{PC_DEBUGCON_PORT, 1}, {PC_EXIT_PORT, EXIT_PORTS}, {PC_COM1_PORT, 8}, {EXIT_PORT2, 2},
	{PC_PVPANIC_PORT, 1},  {PC_RESET_PORT - 1, 4},
};

static struct {
	struct port_range range[RANGES_MAX];
	size_t nr;
	uint16_t acpi_pm1_cnt_high; /* 0: the machine has none */
} targets;

static void add(struct port_range range)
{
	if (targets.nr == RANGES_MAX)
		guest_panic("targets: more than %d port ranges", RANGES_MAX);
	targets.range[targets.nr++] = range;
}

void port_ranges_init(void)
{
	const struct devtree_device *pm1 = devtree_find("tollgate,acpi-pm1");

	if (pm1 && pm1->nr_regs)
		targets.acpi_pm1_cnt_high = (uint16_t)(pm1->reg[0].first + ACPI_PM1_CNT_HIGH);
	for (size_t i = 0; i < sizeof(pc_ranges) / sizeof(pc_ranges[0]); i++)
		add(pc_ranges[i]);
	for (size_t i = 0; i < devtree_nr_devices(); i++) {
		const struct devtree_device *dev = devtree_device(i);

		for (unsigned k = 0; k < dev->nr_regs; k++) {
			if (dev->reg[k].is_port)
				add((struct port_range){(uint16_t)dev->reg[k].first,
							(uint16_t)dev->reg[k].len});
		}
	}
}

size_t port_ranges(void)
{
	return targets.nr;
}

struct port_range port_range_get(size_t i)
{
	return targets.range[i];
}

static bool byte_ends_vm(uint16_t port, uint8_t byte)
{
	if (port >= PC_EXIT_PORT && port < PC_EXIT_PORT + EXIT_PORTS)
		return true;
	if (port >= EXIT_PORT2 && port < EXIT_PORT2 + EXIT_PORTS2)
		return true;
	switch (port) {
	case PC_PVPANIC_PORT: return byte & (PVPANIC_PANICKED | PVPANIC_SHUTDOWN);
	case PC_RESET_PORT: return byte & RESET_CF9_NOW;
	case PC_I8042_COMMAND:
		return byte == I8042_CMD_WRITE_OUTPUT || byte >= I8042_CMD_PULSE_FIRST;
	default:
		return targets.acpi_pm1_cnt_high && port == targets.acpi_pm1_cnt_high &&
		       (byte & ACPI_SLP_EN);
	}
}

bool port_write_ends_vm(uint16_t port, unsigned width, uint64_t val)
{
	for (unsigned i = 0; i < width; i++) {
		if (byte_ends_vm((uint16_t)(port + i), (uint8_t)(val >> 8 * i)))
			return true;
	}
	return false;
}

uint64_t port_value_tamed(uint16_t port, unsigned width, uint64_t val)
{
	for (unsigned i = 0; i < width; i++) {
		const uint16_t at = (uint16_t)(port + i);

		if (at == PC_COM1_PORT || at == PC_DEBUGCON_PORT) {
			val &= ~(UINT64_C(0xff) << 8 * i);
			val |= (uint64_t)'.' << 8 * i;
		}
	}
	return val;
}
