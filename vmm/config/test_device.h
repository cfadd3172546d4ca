/* test_device.h - --test-device: devices that test a VMM or a KVM. */
#ifndef VMM_CONFIG_TEST_DEVICE_H
#define VMM_CONFIG_TEST_DEVICE_H

#include "base/diag.h"
#include "base/option.h"

struct config;

extern const struct option_value config_test_device_values[];

/* --test-device[=KIND]: the devices of that kind, once however often they are asked for. -EINVAL with diag. */
int config_test_device_option(struct config *config, const char *arg, struct diag *diag);

#endif
