/* classes.h - every device class, and what each takes from its device_env beside what its file says. */
#ifndef DEVICES_CLASSES_H
#define DEVICES_CLASSES_H

#include "device.h"

extern const struct device_class serial_16550_class; /* irq, chr */
extern const struct device_class rtc_mc146818_class; /* clock, irq, timer */
extern const struct device_class i8042_class;        /* power; range 0: 0x60, range 1: 0x64 */
extern const struct device_class port80_class;       /* nothing */
extern const struct device_class debugcon_class;     /* chr */
extern const struct device_class exit_port_class;    /* power */
extern const struct device_class pvpanic_class;      /* power */
extern const struct device_class reset_cf9_class;    /* power */

#endif
