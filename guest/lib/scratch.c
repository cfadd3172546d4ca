#include "scratch.h"

#include "cmdline.h"
#include "devtree.h"

static bool find(const char *option, const char *compatible, uint64_t max, uint64_t *ret)
{
	const struct devtree_device *dev;
	size_t len;

	if (cmdline_value(option, &len)) {
		*ret = cmdline_u64(option, 0, max);
		return true;
	}
	dev = devtree_find(compatible);
	if (!dev || dev->nr_regs == 0)
		return false;
	*ret = dev->reg[0].first;
	return true;
}

bool scratch_find_mmio(uint64_t *ret_gpa)
{
	return find("mmio", "tollgate,scratch", UINT32_MAX - SCRATCH_BYTES, ret_gpa);
}

bool scratch_find_ports(uint16_t *ret_port)
{
	uint64_t port;

	if (!find("pio", "tollgate,scratch-ports", UINT16_MAX - SCRATCH_PORTS, &port))
		return false;
	*ret_port = (uint16_t)port;
	return true;
}
