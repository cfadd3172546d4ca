#include "config/test_device.h"

#include "arch/arch.h"
#include "config.h"

const struct option_value config_test_device_values[] = {
	{"scratch", MACHINE_TEST_SCRATCH},
	{"pc", MACHINE_TEST_PC},
	{0},
};

/* kvm-unit-tests look for their CPUs in fw_cfg. */
int config_test_device_option(struct config *config, const char *arg, struct diag *diag)
{
	int kind = MACHINE_TEST_SCRATCH;
	int r = arg ? option_choice("--test-device", arg, config_test_device_values, &kind, diag)
		    : 0;

	if (r < 0 || config->test_device[kind])
		return r;
	config->test_device[kind] = true;
	for (unsigned i = 0; r == 0 && i < arch_platform.test[kind].nr_rows; i++)
		r = config_row_add(config, &arch_platform.test[kind].row[i], diag);
	return r == 0 && kind == MACHINE_TEST_PC ? config_fw_cfg_add(config, diag) : r;
}
