/* classes.h - every device class, and what each takes from its device_env besides what its file says. */
#ifndef VMM_DEVICES_CLASSES_H
#define VMM_DEVICES_CLASSES_H

#include "device.h"

extern const struct device_class serial_16550_class; /* irq, chr */
extern const struct device_class rtc_mc146818_class; /* clock, irq, timer */
extern const struct device_class i8042_class;        /* power; range 0: 0x60, range 1: 0x64 */
extern const struct device_class port80_class;       /* nothing */
extern const struct device_class debugcon_class;     /* chr */
extern const struct device_class output_port_class;  /* chr */
extern const struct device_class exit_port_class;    /* power */
extern const struct device_class pvpanic_class;      /* power */
extern const struct device_class reset_cf9_class;    /* power; range 0: 8 bytes from 0xcf8 */
extern const struct device_class acpi_pm1_class;     /* power; range 0: PM1_STS, _EN, _CNT */
extern const struct device_class fw_cfg_class;       /* conf: struct fw_cfg_conf; range 0: 0x510 */
extern const struct device_class pc_testdev_ports_class;  /* mem; range 0: 0xe0, range 1: 0xe4 */
extern const struct device_class pc_testdev_irqs_class;   /* irqs; range 0: PC_TESTDEV_IRQS ports */
extern const struct device_class pc_testdev_memory_class; /* nothing; range 0: 64 KiB */
extern const struct device_class scratch_class;       /* nothing; ranges 0 and 1: 64 bytes each */
extern const struct device_class scratch_ports_class; /* nothing; range 0: up to 64 ports */

enum { PC_TESTDEV_IRQS = 24 };

enum {
	FW_CFG_FILES_MAX = 16,
	FW_CFG_NAME_MAX = 55, /* bytes, as the file directory has them, without the NUL */
};

struct fw_cfg_file {
	const char *name; /* at most FW_CFG_NAME_MAX */
	const uint8_t *data;
	uint32_t len; /* bytes */
};

/* device_env.conf of fw_cfg_class. Everything is borrowed, and outlives the device. */
struct fw_cfg_conf {
	uint64_t mem_bytes;
	uint16_t cpus;
	unsigned nr_files;
	struct fw_cfg_file file[FW_CFG_FILES_MAX]; /* selectors 0x20 and up */
};

/* For the machine's tables: where each register is, and what to write there. */
enum {
	OUTPUT_PORT_ROOM_MAX =
		1 << 16,             /* bytes, as the room register of output_port_class reports */
	RESET_CF9_OFF = 1,           /* of the register in range 0 of reset_cf9_class */
	RESET_CF9_HARD = 0x06,       /* SYS_RST and RST_CPU */
	ACPI_PM1_S5_TYPE = 5,        /* SLP_TYP of \_S5 in PM1_CNT of acpi_pm1_class */
	RTC_MC146818_CENTURY = 0x32, /* index in the CMOS of rtc_mc146818_class */
};

#endif
