/* exits.h - --exits: for measuring, the exits that KVM could save are made all the same. */
#ifndef VMM_CONFIG_EXITS_H
#define VMM_CONFIG_EXITS_H

#include "base/diag.h"
#include "base/option.h"

struct config;

/* Bits of what the option names. */
enum config_exits {
	CONFIG_EXITS_READS = 1,      /* of registers: no register page; the console at its ports */
	CONFIG_EXITS_WRITES = 2,     /* that KVM could collect */
	CONFIG_EXITS_DOORBELLS = 4,  /* of virtio devices: no ioeventfd */
	CONFIG_EXITS_INTERRUPTS = 8, /* of virtio devices: an ioctl of ours each, no irqfd */
	CONFIG_EXITS_ALL = 15,
	CONFIG_EXITS_TIME = 16,    /* the time in each device is measured */
	CONFIG_EXITS_LATENCY = 32, /* and that of each exit */
};

extern const struct option_value config_exits_values[];

/* --exits LIST, of config_exits_words; given again it adds. -EINVAL with diag. */
int config_exits_option(struct config *config, const char *arg, struct diag *diag);

/* Of all options together, but for smoke, whose report has it: what is measured is printed. -EINVAL with diag. */
int config_exits_check(const struct config *config, struct diag *diag);

#endif
