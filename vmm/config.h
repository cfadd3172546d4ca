/*
 * config.h - command line -> struct config, validated whole before anything is opened.
 *
 * Every subcommand that makes a VM parses with these, so that a word means the same everywhere.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "boot/boot.h"
#include "config_balloon.h"
#include "config_console.h"
#include "config_disk.h"
#include "config_initramfs.h"
#include "config_net.h"
#include "machine.h"
#include "mem.h"
#include "virtio/mmio.h"
#include "vm.h"

enum {
	CONFIG_INITRDS_MAX = VM_INITRDS_MAX - 1, /* one place is for the one we make */
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
	struct virtio_mmio_conf mmio;
};

/* Points into itself: it stays where it is, and lives as long as what was made from it. */
struct config {
	struct machine_spec machine;
	char append[CONFIG_APPEND_BYTES];        /* machine.cmdline when it was given in pieces */
	struct machine_row row[CONFIG_ROWS_MAX]; /* machine.extra, once there are any */
	struct config_virtio virtio[CONFIG_VIRTIO_MAX];
	unsigned nr_virtio;
	struct config_net net[CONFIG_NETS_MAX];
	unsigned nr_nets;
	bool test_device;
	struct config_disk disk[CONFIG_DISKS_MAX];
	unsigned nr_disks;
	struct guest_mem_opts mem;
	struct boot_opts boot;
	enum arch_cpu_template cpu;
	const char *kernel; /* NULL: the built-in test kernel */
	const char *initrd[CONFIG_INITRDS_MAX];
	unsigned nr_initrds;
	struct config_initramfs initramfs;
	/*
	 * Where devices write that do not write to standard output. Without any, a command of --run has
	 * standard output and error for itself, and the console goes to standard error.
	 */
	struct vm_output output[VM_OUTPUTS_MAX];
	unsigned nr_outputs;
	struct config_consoles consoles;
	struct config_balloon balloon;
	int64_t timeout_ns; /* 0: none */
	bool stats;
	const char *stats_json; /* file name, NULL: none */
	const char *control;    /* path of the control socket, NULL: none */
	bool time_exits;
	bool no_coalesce;
	bool no_ioeventfd, no_irqfd;
	enum config_exit_code exit_code;
};

/* The defaults: what a config holds before any option. */
void config_init(struct config *config);

/* Adds a device to the machine. What row points to is borrowed. -EINVAL with diag. */
int config_row_add(struct config *config, const struct machine_row *row, struct diag *diag);

/*
 * Adds a virtio device, called kind and a number: "disk0", "disk1". conf is the class's own, borrowed.
 * -EINVAL with diag.
 */
int config_virtio_add(struct config *config, const char *kind, const struct virtio_class *cls,
		      const void *conf, struct diag *diag);

/*
 * Options that describe the machine, shared by run, smoke, hammer and machine: those of
 * CONFIG_MACHINE_HELP. Put CONFIG_MACHINE_LONG into the table of long options and CONFIG_MACHINE_SHORT
 * into the short ones.
 */
enum {
	CONFIG_OPT_HUGEPAGES = 0x100,
	CONFIG_OPT_PREALLOC,
	CONFIG_OPT_CPU,
	CONFIG_OPT_TEST_DEVICE,
	CONFIG_OPT_NO_SHADOW,
	CONFIG_OPT_DISK,
	CONFIG_OPT_RNG,
	CONFIG_OPT_NET,
	CONFIG_OPT_CONSOLE,
	CONFIG_OPT_BALLOON,
	CONFIG_OPT_BOOT,
	CONFIG_OPT_FLAT,
	CONFIG_OPT_ROOTFS,
	CONFIG_OPT_OWN, /* a subcommand's own values start here */
};
/* clang-format off */
#define CONFIG_MACHINE_LONG                                                                        \
	{"mem", required_argument, NULL, 'm'},                                                     \
	{"cpus", required_argument, NULL, 'c'},                                                    \
	{"append", required_argument, NULL, 'p'},                                                  \
	{"hugepages", no_argument, NULL, CONFIG_OPT_HUGEPAGES},                                    \
	{"prealloc", no_argument, NULL, CONFIG_OPT_PREALLOC},                                      \
	{"cpu", required_argument, NULL, CONFIG_OPT_CPU},                                          \
	{"console", required_argument, NULL, CONFIG_OPT_CONSOLE},                                  \
	{"balloon", required_argument, NULL, CONFIG_OPT_BALLOON},                                  \
	{"test-device", no_argument, NULL, CONFIG_OPT_TEST_DEVICE},                                \
	{"no-shadow", no_argument, NULL, CONFIG_OPT_NO_SHADOW},                                    \
	{"disk", required_argument, NULL, CONFIG_OPT_DISK},                                        \
	{"rng", no_argument, NULL, CONFIG_OPT_RNG},                                                \
	{"net", required_argument, NULL, CONFIG_OPT_NET}
/* clang-format on */
#define CONFIG_MACHINE_SHORT "m:c:p:"
#define CONFIG_MACHINE_HELP                                                                        \
	"  -m, --mem SIZE          guest memory, 64M to 64G (default 512M)\n"                      \
	"  -c, --cpus N            virtual CPUs, 1 to 255 as the host allows (default 1)\n"        \
	"  -p, --append WORDS      words for the kernel command line, after ours; repeatable\n"    \
	"      --hugepages         back guest memory with huge pages\n"                            \
	"      --prealloc          touch all guest memory before the guest runs\n"                 \
	"      --cpu MODEL         host: all features (default); baseline: x86-64-v1 everywhere\n" \
	"      --disk FILE[,HOW]   a block device (virtio) on an image or a device of the host;\n" \
	"                          HOW: ro, cow (writes end with the guest), direct (O_DIRECT),\n" \
	"                          id=NAME, queues=N; repeatable; ,, is a comma of the name\n"     \
	"      --console WHICH     serial (default); virtio: hvc0, the serial port only for "      \
	"what\n"                                                                                   \
	"                          is said early; both: serial, and hvc0 for programs\n"           \
	"      --balloon SIZE[,stats=SECONDS]  the guest gives SIZE back (0: only what is free)\n" \
	"      --rng               an entropy device (virtio), with the host's random numbers\n"   \
	"      --net user[,hostfwd=tcp::8080-:80][,dns=ADDR][,restrict][,mac=MAC]\n"               \
	"                          a network without privileges: DHCP, DNS, forwarded ports\n"     \
	"      --net tap[,ifname=NAME][,queues=N][,mac=MAC]\n"                                     \
	"                          a network behind a tap interface of the host's\n"               \
	"      --test-device       a device for testing MMIO and port I/O, for guest/ kernels\n"   \
	"      --no-shadow         an exit for every read: the console at its ports\n"

/* Takes one such option; 1 when opt is none of them, else 0 or -EINVAL with diag. */
int config_machine_option(struct config *config, int opt, const char *arg, struct diag *diag);

/*
 * Options that say what is booted, and how: -i/--initrd, --boot, --flat, --rootfs. Shared by run and smoke, as
 * those above are.
 */
/* clang-format off */
#define CONFIG_KERNEL_LONG                                                                         \
	{"initrd", required_argument, NULL, 'i'},                                                  \
	{"boot", required_argument, NULL, CONFIG_OPT_BOOT},                                        \
	{"flat", required_argument, NULL, CONFIG_OPT_FLAT},                                        \
	{"rootfs", required_argument, NULL, CONFIG_OPT_ROOTFS}
/* clang-format on */
#define CONFIG_KERNEL_SHORT "i:"
#define CONFIG_KERNEL_HELP                                                                         \
	"  -i, --initrd FILE       initial RAM disk; may be given several times\n"                 \
	"      --boot MODE         auto, pvh, linux64, bzimage or multiboot (default auto)\n"      \
	"      --flat ADDR[,MODE]  load KERNEL as it is at ADDR; MODE real or long (default "      \
	"long)\n"                                                                                  \
	"      --rootfs FILE[,HOW] a disk, as --disk makes it, that is the root directory\n"

int config_kernel_option(struct config *config, int opt, const char *arg, struct diag *diag);

/* What only all of the options of kernel and initramfs show: -EINVAL with diag. */
int config_check_kernel(const struct config *config, struct diag *diag);

/*
 * `tollgate run`: argv[0] is "run". Returns 0, -EINVAL with diag, or 1 when --help was asked for and
 * nothing else is to be done.
 */
int config_parse_run(struct config *config, int argc, char *argv[], struct diag *diag);

/* The text of `tollgate run --help`. */
extern const char *const config_run_help[]; /* pieces, up to a NULL */

#endif
