/*
 * machine.h - THE machine description: an architecture's rows and the options' -> resolved addresses
 * and interrupts.
 *
 * The bus, interrupt routing, device tree, ACPI and MP tables, memory map and command line all read a
 * struct machine; no address, port or GSI of a device is written down anywhere else.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "device.h"
#include "iobus.h"

enum {
	MACHINE_RAM_MAX = 2,
	MACHINE_MAP_MAX = 8,
	MACHINE_DEVICES_MAX = 64,
	MACHINE_RANGES_MAX = 3, /* of one device */
	MACHINE_CHIPS_MAX = 8,
	MACHINE_GSIS_MAX = 1024, /* room; machine_platform.nr_gsis says how many there are */
	MACHINE_DEFAULT_CPUS = 1,
};

#define MACHINE_MEM_MIN           (UINT64_C(64) << 20) /* bytes */
#define MACHINE_DEFAULT_MEM_BYTES (UINT64_C(512) << 20)

/* AUTO, in a row only: machine_resolve() chooses. */
#define MACHINE_FIRST_AUTO UINT64_MAX
enum {
	MACHINE_GSI_NONE = -1,
	MACHINE_GSI_AUTO = -2,
};

struct machine_span {
	uint64_t gpa, len; /* bytes */
};

enum machine_map_type {
	MACHINE_MAP_RAM = 1, /* the numbers of E820 and of hvm_memmap_table_entry */
	MACHINE_MAP_RESERVED = 2,
	MACHINE_MAP_ACPI = 3,
};

struct machine_map_entry {
	uint64_t gpa, len;
	enum machine_map_type type;
};

struct machine;

struct machine_range {
	enum iobus_space space;
	uint64_t first, len; /* bytes, or ports */
};

/*
 * One line of the table: what is wanted. MACHINE_FIRST_AUTO is for MMIO alone and gives a range
 * whole pages of its own from machine_platform.mmio_gpa up, and a page begins where its class says
 * (register_page_from); MACHINE_GSI_AUTO gives the lowest free GSI from machine_platform.gsi_auto_first.
 */
struct machine_row {
	const char *name;               /* unique: "serial0" */
	const char *fdt_name;           /* generic node name, Devicetree Specification 2.2.2 */
	const struct device_class *cls; /* its name and its compatible strings are used here */
	struct machine_range range[MACHINE_RANGES_MAX]; /* all of one space; len 0 ends the list */
	int gsi;          /* from 0, MACHINE_GSI_NONE or MACHINE_GSI_AUTO */
	const void *conf; /* for the device (device_env.conf), borrowed; NULL: none */
	const char *part; /* to be printed; NULL: the class's name */
};

/*
 * Devices of machine_spec.command_ports, for guest/init: standard output and error of the command that
 * it runs, and its own log, a line a step.
 */
#define MACHINE_COMMAND_OUT "command-out"
#define MACHINE_COMMAND_ERR "command-err"
#define MACHINE_INIT_LOG    "init-log"

/* A device, made from a row. Every interrupt is edge-triggered and active high (the SCI is never raised). */
struct machine_device {
	const char *name; /* as in its row */
	const char *part; /* "16550A" */
	const char *fdt_name;
	const struct device_class *cls;                 /* NULL for a chip that KVM emulates */
	const void *conf;                               /* as in its row */
	struct machine_range range[MACHINE_RANGES_MAX]; /* region id is the index */
	unsigned nr_ranges; /* those that are advertised to the guest; they come first in range[] */
	unsigned nr_unadvertised; /* those after them: on the bus, in no table */
	int gsi;                  /* MACHINE_GSI_NONE: no interrupt */
};

/* All ranges of a device that are on the bus. */
static inline unsigned machine_device_nr_ranges(const struct machine_device *dev)
{
	return dev->nr_ranges + dev->nr_unadvertised;
}

/* The kinds of --test-device. */
enum machine_test_device {
	MACHINE_TEST_SCRATCH, /* docs/reference/devices/scratch.md */
	MACHINE_TEST_PC,      /* docs/reference/devices/pc_testdev.md */
	MACHINE_TEST_DEVICES,
};

struct machine_fdt_platform;

/* A kernel parameter that the platform adds to every command line. */
struct machine_kernel_param {
	const char *param;  /* "pci=conf1,noearly" */
	const char *unless; /* left out when the user gave this, as params_have() takes it */
};

/*
 * An architecture's part in all of its machines: static and constant. arch/arch.h declares the
 * one of this build. Nothing in machine.c or machine/ knows an address of its own.
 */
struct machine_platform {
	const char *name;              /* "x86-64" */
	const char *cpu_id_name;       /* of the number by which a guest knows a CPU: "APIC ID" */
	const struct machine_row *row; /* devices that every machine has */
	const struct machine_row *command_row; /* those of machine_spec.command_ports */
	const struct machine_row *fw_cfg_row;  /* that of --fw-cfg; NULL: there is none */
	struct {
		const struct machine_row *row;
		unsigned nr_rows;
	} test[MACHINE_TEST_DEVICES];      /* those of --test-device */
	const struct machine_device *chip; /* what KVM emulates itself */
	unsigned nr_rows, nr_command_rows, nr_chips;
	uint64_t nr_ports;           /* size of the port space; 0: there is none */
	uint64_t gpa_end;            /* first address past all addresses */
	uint64_t mmio_gpa, mmio_end; /* where MACHINE_FIRST_AUTO chooses */
	uint64_t mem_max;            /* bytes of RAM */
	unsigned cpus_max;
	int nr_gsis, gsi_auto_first; /* those below are for drivers that know theirs by number */
	/* Fills ram[] with mem_bytes of RAM, ascending; returns the number of spans. */
	unsigned (*place_ram)(uint64_t mem_bytes, struct machine_span ram[MACHINE_RAM_MAX]);
	/* Fills m->map by machine_map_add(), ascending. m has its RAM, and no device. */
	void (*describe_memory)(struct machine *m);
	const struct machine_fdt_platform *fdt; /* machine/fdt.h */
	const struct machine_kernel_param *param;
	unsigned nr_params;
	size_t cmdline_max; /* bytes of a kernel command line, with the closing NUL */
};

struct machine_spec {
	uint64_t mem_bytes;
	unsigned cpus;
	const char *cmdline; /* of the user, may be NULL; borrowed */
	bool quiet;          /* the kernel's messages below errors are not for the console */
	bool sysrq;          /* the kernel obeys SysRq */
	bool quick; /* the kernel may leave out tests of itself that a boot can do without */
	bool hvc;   /* they are for hvc0, and for the serial port until that is there */
	bool command_ports; /* what a command's output needs: MACHINE_COMMAND_OUT and the others */
	/*
	 * A device whose registers can be as good as memory (device_class.register_page) gets a range in memory, for a
	 * register page. That is advertised to the kernel, and not its ports, which stay. Not done when cmdline names a
	 * console of its own or turns off ACPI, without which Linux finds no such device once it has drivers.
	 */
	bool register_pages;
	/* The ports are advertised, and the ranges in memory stay: the kernel would not find those. */
	bool advertise_ports;
	/*
	 * Rows added to the platform's, borrowed. Bus ranges that are not advertised to the guest (the
	 * thousands that `tollgate hammer` adds) need no row: they go straight to the bus.
	 */
	const struct machine_row *extra;
	unsigned nr_extra;
};

struct machine {
	const struct machine_platform *platform;
	uint64_t mem_bytes;
	unsigned cpus;
	const char *cmdline_user;                 /* borrowed from the spec */
	bool quiet, sysrq, hvc, quick;            /* as in the spec */
	struct machine_span ram[MACHINE_RAM_MAX]; /* what is backed by memory slots, ascending */
	unsigned nr_ram;
	struct machine_map_entry map[MACHINE_MAP_MAX]; /* advertised to the kernel, ascending */
	unsigned nr_map;
	struct machine_device device[MACHINE_DEVICES_MAX]; /* what goes on our buses */
	unsigned nr_devices;
	const struct machine_device *chip; /* what KVM emulates itself; static */
	unsigned nr_chips;
};

/*
 * Resolves a spec. -EINVAL with diag for memory below 64 MiB, not a multiple of 4 KiB or more than the
 * platform addresses (what this host's CPU can address is KVM's to say), no CPUs or
 * over the platform's most; for rows that have no range, one that leaves its space, or ranges in both spaces; for
 * two rows of one name; for ranges or interrupts that are taken (both owners named); for more rows,
 * MMIO pages or interrupts than there are. *ret is untouched on failure. The machine holds only
 * borrowed pointers; there is nothing to free.
 */
int machine_resolve(const struct machine_platform *platform, const struct machine_spec *spec,
		    struct machine *ret, struct diag *diag);

/*
 * Where a machine of mem_bytes has its RAM, before the rest of it is resolved: *ret_nr spans, ascending.
 * -EINVAL with diag as machine_resolve(); the outputs are untouched then.
 */
int machine_ram(const struct machine_platform *platform, uint64_t mem_bytes,
		struct machine_span ret_ram[MACHINE_RAM_MAX], unsigned *ret_nr, struct diag *diag);

/* For machine_platform.describe_memory: [first, end) is of that type. */
void machine_map_add(struct machine *m, uint64_t first, uint64_t end, enum machine_map_type type);

/* The device or chip of that name, or NULL. */
const struct machine_device *machine_find(const struct machine *m, const char *name);

#endif
