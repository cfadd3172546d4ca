/*
 * config.h - command line -> struct config, validated whole before anything is opened.
 *
 * Every subcommand that makes a VM parses with these, so that a word means the same everywhere.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/option_table.h"
#include "boot/boot.h"
#include "config/balloon.h"
#include "config/console.h"
#include "config/core.h"
#include "config/debugger.h"
#include "config/disk.h"
#include "config/fw_cfg.h"
#include "config/host_root.h"
#include "config/initramfs.h"
#include "config/net.h"
#include "config/rng.h"
#include "config/share.h"
#include "config/vsock.h"
#include "machine.h"
#include "mem.h"
#include "virtio/transport.h"
#include "vm.h"

enum {
	CONFIG_INITRDS_MAX = BOOT_INITRDS_MAX - 1, /* one place is for the one we make */
	CONFIG_ROWS_MAX =
		40, /* devices that options ask for; machine_resolve() knows how many fit */
	CONFIG_VIRTIO_MAX = 32, /* of them, virtio */
	CONFIG_DISKS_MAX = 20,  /* of these, disks */
	CONFIG_APPEND_BYTES = 4096,
};

enum config_exit_code {
	CONFIG_EXIT_CODE_GUEST, /* the guest's code is our exit status */
	CONFIG_EXIT_CODE_QEMU,  /* (code << 1) | 1, as isa-debug-exit makes QEMU end */
};

/* A virtio device that an option asked for. */
struct config_virtio {
	char name[16]; /* "rng0" */
	char part[24]; /* "virtio entropy" */
	struct virtio_conf conf;
};

/* Points into itself: it stays where it is, and lives as long as what was made from it; then config_fini(). */
struct config {
	/*
	 * The VM, but for kernel and initrd, which config_make_vm() fills in. Without output[], a command of
	 * --run has standard output and error for itself, and the console goes to standard error.
	 */
	struct vm_opts vm;
	char *append; /* vm.machine.cmdline when it was given in pieces */
	struct machine_row row[CONFIG_ROWS_MAX]; /* vm.machine.extra, once there are any */
	struct config_virtio virtio[CONFIG_VIRTIO_MAX];
	unsigned nr_virtio;
	struct config_net *net[CONFIG_NETS_MAX];
	unsigned nr_nets;
	bool test_device[MACHINE_TEST_DEVICES];
	struct config_disk *disk[CONFIG_DISKS_MAX];
	unsigned nr_disks;
	struct config_share *share[CONFIG_SHARES_MAX];
	unsigned nr_shares;
	bool has_boot, has_flat; /* --boot and --flat were given: both set vm.boot.mode */
	const char *kernel;      /* NULL: the built-in test kernel */
	const char *initrd[CONFIG_INITRDS_MAX];
	unsigned nr_initrds;
	const char *symbols; /* NULL: none */
	struct config_initramfs initramfs;
	struct config_host_root host_root;
	struct config_consoles consoles;
	struct config_balloon balloon;
	struct config_fw_cfg fw_cfg;
	struct config_vsock vsock;
	struct config_gdb gdb;
	struct config_core core;
	int64_t timeout_ns; /* 0: none; the caller sets vm.deadline_ns */
	bool stats;
	const char *stats_json; /* file name, NULL: none */
	const char *profile;    /* the same */
	const char *control;    /* path of the control socket, NULL: none */
	bool no_sandbox;
	enum config_exit_code exit_code;
	struct config_memory *memory; /* of config_alloc() */
};
/* `tollgate smoke` has one for each boot, and the others have one on the stack. */
_Static_assert(sizeof(struct config) < 16384, "what is large belongs into config_alloc()");

/* The defaults: what a config holds before any option. */
void config_init(struct config *config);

/*
 * Frees what the options allocated, after the VM that was made from it is gone. Takes a zeroed config, and one whose
 * options were refused.
 */
void config_fini(struct config *config);

/* Zeroed bytes that config owns until config_fini(). NULL with -ENOMEM in diag. */
void *config_alloc(struct config *config, size_t bytes, struct diag *diag);

/* Adds a device to the machine. The data that row points to is borrowed. -EINVAL with diag. */
int config_row_add(struct config *config, const struct machine_row *row, struct diag *diag);

/*
 * Adds a virtio device, called kind and a number: "disk0", "disk1". conf is the class's own, borrowed.
 * -EINVAL with diag.
 */
int config_virtio_add(struct config *config, const char *kind, const struct virtio_class *cls,
		      const void *conf, struct diag *diag);

/*
 * Options that describe the machine, shared by run, smoke, hammer and machine: their tables have all these groups, and
 * hand what is none of their own to config_machine_option().
 */
extern const struct option_group config_machine_group;
/* A device's options are rows of its own file in config/. */
#define CONFIG_DEVICE_GROUPS                                                                       \
	&config_disk_group, &config_share_group, &config_net_group, &config_rng_group,             \
		&config_console_group, &config_balloon_group, &config_fw_cfg_group,                \
		&config_vsock_group
enum {
	CONFIG_OPT_HUGEPAGES = 0x100,
	CONFIG_OPT_PREALLOC,
	CONFIG_OPT_CPU,
	CONFIG_OPT_TEST_DEVICE,
	CONFIG_OPT_EXITS,
	CONFIG_OPT_DISK,
	CONFIG_OPT_RNG,
	CONFIG_OPT_SHARE,
	CONFIG_OPT_ROOT_OF_HOST,
	CONFIG_OPT_RW,
	CONFIG_OPT_NET,
	CONFIG_OPT_CONSOLE,
	CONFIG_OPT_BALLOON,
	CONFIG_OPT_FW_CFG,
	CONFIG_OPT_VSOCK,
	CONFIG_OPT_SERIAL,
	CONFIG_OPT_VIRTIO_CONSOLE,
	CONFIG_OPT_QUICK,
	CONFIG_OPT_BOOT,
	CONFIG_OPT_FLAT,
	CONFIG_OPT_ROOTFS,
	CONFIG_OPT_SYMBOLS,
	CONFIG_OPT_END_ON_UNCLAIMED,
	CONFIG_OPT_NO_SANDBOX,
	CONFIG_OPT_OWN, /* a subcommand's own values start here */
};
/* Takes one such option; 1 when opt is none of them, else 0 or -EINVAL with diag. */
int config_machine_option(struct config *config, int opt, const char *arg, struct diag *diag);

/* Options that say what is booted, and how; shared by run, smoke and machine, and those of faults by run and smoke. */
extern const struct option_group config_kernel_group, config_fault_group, config_sandbox_group;
int config_kernel_option(struct config *config, int opt, const char *arg, struct diag *diag);

/* The operands that are left: a kernel, which config borrows, or none. -EINVAL with diag. */
int config_take_kernel(struct config *config, int argc, char *argv[], struct diag *diag);

/* Checks all options of kernel and initramfs together: -EINVAL with diag. */
int config_check_kernel(const struct config *config, struct diag *diag);

/* The options of `tollgate run`. */
extern const struct option_table config_run_table;

/*
 * `tollgate run`: argv[0] is "run"; config borrows argv. Returns 0, -EINVAL with diag, or OPTION_HELP or
 * OPTION_HELP_ALL when that was asked for and nothing else is to be done.
 */
int config_parse_run(struct config *config, int argc, char *argv[], struct diag *diag);

#endif
