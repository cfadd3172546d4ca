/* fault.h - fault=KIND[:KEY=VALUE]... of --disk and --net: a rule of faults on purpose. */
#ifndef VMM_CONFIG_FAULT_H
#define VMM_CONFIG_FAULT_H

#include "backend/fault.h"
#include "base/diag.h"

enum { CONFIG_FAULT_BYTES = 160 }; /* of a rule and its key, with the NUL */

struct config_fault_device;
extern const struct config_fault_device config_fault_disk, config_fault_net;

/* Adds the rule that text describes. option is for messages. -EINVAL with diag. */
int config_fault_add(const char *option, const char *text, const struct config_fault_device *device,
		     struct fault_rules *rules, struct diag *diag);

#endif
