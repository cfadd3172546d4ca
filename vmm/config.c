#include "config.h"

#include <errno.h>
#include <string.h>

#include "arch/arch.h"
#include "base/macros.h"
#include "base/option.h"
#include "base/parse.h"
#include "config/exits.h"
#include "config/files.h"
#include "config/test_device.h"

#define MEM_MAX (UINT64_C(64) << 30)

void config_init(struct config *config)
{
	*config = (struct config){
		.vm = {.machine = {.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
				   .cpus = MACHINE_DEFAULT_CPUS,
				   .register_pages = true},
		       .input = true,
		       .to_stdout = true},
	};
}

static const struct option_value cpu_values[] = {
	{"host", ARCH_CPU_HOST},
	{"baseline", ARCH_CPU_BASELINE},
	{0},
};
static const struct option_row machine_rows[] = {
	{"mem", 'm', "SIZE", .help = "guest memory, 64M to 64G (default 512M)", .common = true},
	{"cpus", 'c', "N", .help = "virtual CPUs, 1 to 255 as the host allows (default 1)",
	 .common = true},
	{"append", 'p', "PARAMS", .help = "kernel parameters, after ours; repeatable",
	 .common = true},
	{"cpu", CONFIG_OPT_CPU, "MODEL", .help = arch_cpu_help, cpu_values},
	{"quick", CONFIG_OPT_QUICK, NULL,
	 .help = "the kernel does not test its ciphers, half of a boot's work"},
	{"hugepages", CONFIG_OPT_HUGEPAGES, NULL, .help = "back guest memory with huge pages"},
	{"prealloc", CONFIG_OPT_PREALLOC, NULL,
	 .help = "touch all guest memory before the guest runs"},
	{"test-device", CONFIG_OPT_TEST_DEVICE, "[=KIND]",
	 .help = "a device for testing MMIO and port I/O: scratch (default), for guest/\n"
		 "kernels; pc, QEMU's pc-testdev, with fw_cfg, for kvm-unit-tests",
	 config_test_device_values, .spaced = true},
	{"exits", CONFIG_OPT_EXITS, "LIST",
	 .help = "make exits that KVM could save: reads, writes, doorbells,\n"
		 "interrupts or all; in statistics (run, smoke), time: the sum in each\n"
		 "device, latency: percentiles for each kind of exit",
	 config_exits_values},
	{0},
};
const struct option_group config_machine_group = {"Machine", machine_rows};

static int parse_mem(struct config *config, const char *arg, struct diag *diag)
{
	uint64_t bytes = 0;
	int r = option_size("--mem", arg, &bytes, diag);

	if (r < 0)
		return r;
	if (bytes < MACHINE_MEM_MIN || bytes > MEM_MAX) {
		diag_set(diag, -EINVAL, "mem-range", "--mem %s is out of range", arg);
		if (bytes < MACHINE_MEM_MIN)
			option_size_remedy("--mem", arg, MACHINE_MEM_MIN, diag);
		diag_remedy(diag, "64M to 64G");
		return -EINVAL;
	}
	config->vm.machine.mem_bytes = bytes;
	return 0;
}

static int parse_cpus(struct config *config, const char *arg, struct diag *diag)
{
	uint64_t n = 0;
	int r = option_u64("--cpus", arg, 1, arch_platform.cpus_max, &n, diag);

	if (r == 0)
		config->vm.machine.cpus = (unsigned)n;
	return r;
}

static int parse_cpu(struct config *config, const char *arg, struct diag *diag)
{
	int cpu = 0;
	int r = option_choice("--cpu", arg, cpu_values, &cpu, diag);

	if (r == 0)
		config->vm.cpu = (unsigned)cpu;
	return r;
}

/* After those given before: of parameters that contradict each other, Linux takes the last. */
static int add_params(struct config *config, const char *arg, struct diag *diag)
{
	const char *before = config->vm.machine.cmdline;
	const size_t used = before ? strlen(before) : 0, len = strlen(arg);

	if (used == 0 || len == 0) {
		config->vm.machine.cmdline = len || !before ? arg : before;
		return 0;
	}
	if (used + 1 + len >= CONFIG_APPEND_BYTES) {
		diag_set(diag, -EINVAL, "append-length",
			 "--append, given several times, has more than %d bytes",
			 CONFIG_APPEND_BYTES - 1);
		diag_remedy(diag, "Linux takes 2,047; for another kernel give all in one");
		return -EINVAL;
	}
	if (!config->append)
		config->append = config_alloc(config, CONFIG_APPEND_BYTES, diag);
	if (!config->append)
		return -ENOMEM;
	if (before != config->append)
		memcpy(config->append, before, used);
	config->append[used] = ' ';
	memcpy(config->append + used + 1, arg, len + 1);
	config->vm.machine.cmdline = config->append;
	return 0;
}

static int device_option(struct config *config, int opt, const char *arg, struct diag *diag)
{
	static const struct option_group *const groups[] = {CONFIG_DEVICE_GROUPS};
	int r = 1;

	for (size_t i = 0; r == 1 && i < ARRAY_SIZE(groups); i++)
		r = option_group_take(groups[i], opt, config, arg, diag);
	return r;
}

int config_machine_option(struct config *config, int opt, const char *arg, struct diag *diag)
{
	switch (opt) {
	case 'm': return parse_mem(config, arg, diag);
	case 'c': return parse_cpus(config, arg, diag);
	case 'p': return add_params(config, arg, diag);
	case CONFIG_OPT_QUICK: config->vm.machine.quick = true; return 0;
	case CONFIG_OPT_HUGEPAGES: config->vm.mem.hugepages = true; return 0;
	case CONFIG_OPT_PREALLOC: config->vm.mem.prealloc = true; return 0;
	case CONFIG_OPT_CPU: return parse_cpu(config, arg, diag);
	case CONFIG_OPT_TEST_DEVICE: return config_test_device_option(config, arg, diag);
	case CONFIG_OPT_EXITS: return config_exits_option(config, arg, diag);
	default: return device_option(config, opt, arg, diag);
	}
}

static const struct option_value boot_values[] = {
	{"auto", BOOT_MODE_AUTO},
	{"pvh", BOOT_MODE_PVH},
	{"linux64", BOOT_MODE_LINUX64},
	{"bzimage", BOOT_MODE_BZIMAGE},
	{"multiboot", BOOT_MODE_MULTIBOOT},
	{"multiboot2", BOOT_MODE_MULTIBOOT2},
	{0},
};
static const struct option_row kernel_rows[] = {
	{"initrd", 'i', "FILE", .help = "initial RAM disk; may be given several times",
	 .common = true},
	{"boot", CONFIG_OPT_BOOT, "MODE",
	 .help = "auto (default), pvh, linux64, bzimage, multiboot or multiboot2", boot_values},
	{"flat", CONFIG_OPT_FLAT, "ADDR[,MODE]",
	 .help = "load KERNEL as it is at ADDR; MODE real or long (default long)"},
	{"rootfs", CONFIG_OPT_ROOTFS, "FILE[,HOW]",
	 .help = "a disk, as --disk makes it, that is the root directory", .common = true},
	{0},
};
const struct option_group config_kernel_group = {"Kernel", kernel_rows};

static const struct option_row fault_rows[] = {
	{"end-on-unclaimed", CONFIG_OPT_END_ON_UNCLAIMED, NULL,
	 .help = "end at the first access that no device claims"},
	{"symbols", CONFIG_OPT_SYMBOLS, "FILE",
	 .help = "KERNEL's vmlinux or System.map: names for addresses in reports"},
	{0},
};
const struct option_group config_fault_group = {"Finding the kernel's faults", fault_rows};

static const struct option_row sandbox_rows[] = {
	{"no-sandbox", CONFIG_OPT_NO_SANDBOX, NULL,
	 .help = "do not confine the VMM; for debugging it, with a guest that you trust"},
	{0},
};
const struct option_group config_sandbox_group = {"Confinement", sandbox_rows};

static int parse_boot(struct config *config, const char *arg, struct diag *diag)
{
	int mode = 0;
	int r = option_choice("--boot", arg, boot_values, &mode, diag);

	config->has_boot = true;
	if (r == 0)
		config->vm.boot.mode = (unsigned)mode;
	else
		diag_remedy(diag, "for a flat binary there is --flat ADDR");
	return r;
}

static int parse_flat(struct config *config, const char *arg, struct diag *diag)
{
	const char *comma = strchr(arg, ',');
	const char *mode = comma ? comma + 1 : "long";
	size_t n = comma ? (size_t)(comma - arg) : strlen(arg);
	char addr[24] = "";

	config->has_flat = true;
	if (n < sizeof(addr))
		memcpy(addr, arg, n);
	config->vm.boot.mode =
		strcmp(mode, "real") == 0 ? BOOT_MODE_FLAT_REAL : BOOT_MODE_FLAT_LONG;
	if (parse_u64(addr, &config->vm.boot.flat_gpa) < 0 ||
	    (config->vm.boot.mode == BOOT_MODE_FLAT_LONG && strcmp(mode, "long") != 0)) {
		diag_set(diag, -EINVAL, "flat-form",
			 "--flat '%s' is not ADDR, ADDR,real or ADDR,long", arg);
		return -EINVAL;
	}
	return 0;
}

static int add_initrd(struct config *config, const char *arg, struct diag *diag)
{
	if (config->nr_initrds == CONFIG_INITRDS_MAX)
		return diag_set(diag, -EINVAL, "initrd-count", "more than %d times --initrd",
				CONFIG_INITRDS_MAX);
	config->initrd[config->nr_initrds++] = arg;
	return 0;
}

/* The kernel names disks in the order in which they were added. */
static int add_rootfs(struct config *config, const char *arg, struct diag *diag)
{
	int r;

	if (config->initramfs.rootfs)
		return diag_set(diag, -EINVAL, "rootfs-twice", "--rootfs twice");
	r = config_disk_add(config, arg, diag);
	if (r < 0)
		return r;
	config->initramfs.rootfs = config->nr_disks;
	config->disk[config->nr_disks - 1]->conf.disk.is_root = true;
	return r;
}

int config_kernel_option(struct config *config, int opt, const char *arg, struct diag *diag)
{
	switch (opt) {
	case 'i': return add_initrd(config, arg, diag);
	case CONFIG_OPT_BOOT: return parse_boot(config, arg, diag);
	case CONFIG_OPT_FLAT: return parse_flat(config, arg, diag);
	case CONFIG_OPT_ROOTFS: return add_rootfs(config, arg, diag);
	case CONFIG_OPT_END_ON_UNCLAIMED: config->vm.end_on_unclaimed = true; return 0;
	case CONFIG_OPT_NO_SANDBOX: config->no_sandbox = true; return 0;
	case CONFIG_OPT_SYMBOLS: config->symbols = arg; return 0;
	default: return 1;
	}
}

static const struct option_value exit_code_values[] = {
	{"guest", CONFIG_EXIT_CODE_GUEST},
	{"qemu", CONFIG_EXIT_CODE_QEMU},
	{0},
};
static const struct option_value stats_values[] = {{"json:", 0}, {0}};

enum {
	OPT_TIMEOUT = CONFIG_OPT_OWN,
	OPT_CONTROL,
	OPT_PAUSED,
	OPT_REBOOT,
	OPT_GDB,
	OPT_CORE,
	OPT_EXIT_CODE,
	OPT_STATS,
	OPT_PROFILE,
};
static const struct option_row end_rows[] = {
	{"timeout", OPT_TIMEOUT, "SECONDS", .help = "end the VM after so long", .common = true},
	{"control", OPT_CONTROL, "PATH",
	 .help = "a socket for `tollgate control`, while the VM runs", .common = true},
	{"paused", OPT_PAUSED, NULL,
	 .help = "do not run the guest before `tollgate control PATH resume`"},
	{"reboot", OPT_REBOOT, NULL,
	 .help = "a guest that resets itself, also by a triple fault, is started again"},
	{"gdb", OPT_GDB, "PLACE",
	 .help = "a stub for gdb: PORT on 127.0.0.1, or unix:PATH; then ,wait: the guest\n"
		 "does not run before gdb lets it"},
	{"core", OPT_CORE, "FILE[,on=ENDS]",
	 .help = "the guest's memory and registers, when it ends badly: for gdb, crash, drgn\n"
		 "ENDS: panic, triple-fault, kvm-error, timeout, halted, unclaimed (these by\n"
		 "default), reset, killed"},
	{"exit-code", OPT_EXIT_CODE, "HOW",
	 .help = "guest: the guest's code is the exit status (default);\n"
		 "qemu: (code << 1) | 1, as isa-debug-exit does",
	 exit_code_values},
	{0},
};
static const struct option_group end_group = {"Control and end", end_rows};

static const struct option_row stats_rows[] = {
	{"stats", OPT_STATS, "[=json:FILE]",
	 .help = "print exits by reason and device at the end; or write them to FILE", stats_values,
	 true},
	{"profile", OPT_PROFILE, "FILE",
	 .help = "which code makes which exits: a table at the end, and folded stacks to FILE"},
	{0},
};
static const struct option_group stats_group = {"Measuring", stats_rows};

static const struct option_group *const run_groups[] = {
	&config_kernel_group,
	&config_fault_group,
	&config_sandbox_group,
	&config_initramfs_group,
	&config_host_root_group,
	&config_machine_group,
	CONFIG_DEVICE_GROUPS,
	&config_console_dest_group,
	&end_group,
	&stats_group,
	&option_help_group,
	NULL,
};
const struct option_table config_run_table = {
	.command = "run",
	.about = "usage: tollgate run [OPTIONS] [KERNEL]\n"
		 "       tollgate run --root-of-host [OPTIONS] KERNEL -- CMD [ARG...]\n"
		 "\n"
		 "Boots KERNEL, or the built-in test kernel, with its serial console on this "
		 "terminal.\n"
		 "Ctrl-a x ends the VM, Ctrl-a c moves the keys to the other console, Ctrl-a b "
		 "sends a\n"
		 "serial break, Ctrl-a h lists the keys, Ctrl-a Ctrl-a sends Ctrl-a.\n",
	.group = run_groups,
	.after = CONFIG_DEST_HELP
	"\n"
	"Exit status: 0 power off or success, the guest's own code when it reports one, 2 set-up\n"
	"error, 109 sandbox, 110 unclaimed access, 112 panic, 113 triple fault, 114 reset, 115 "
	"KVM\n"
	"error, 116 killed, 117 timeout, 122 halted for good; 123 the guest ran, but an output "
	"could\n"
	"not be written.\n",
	.operands = "KERNEL",
};

static int parse_stats(struct config *config, const char *arg, struct diag *diag)
{
	static const char json[] = "json:";

	if (!arg) {
		config->stats = true;
		return 0;
	}
	if (strncmp(arg, json, sizeof(json) - 1) == 0 && arg[sizeof(json) - 1]) {
		config->stats_json = arg + sizeof(json) - 1;
		return 0;
	}
	diag_set(diag, -EINVAL, "stats-form", "--stats='%s' is not json:FILE", arg);
	return -EINVAL;
}

static int parse_exit_code(struct config *config, const char *arg, struct diag *diag)
{
	int how = 0;
	int r = option_choice("--exit-code", arg, exit_code_values, &how, diag);

	if (r == 0)
		config->exit_code = (unsigned)how;
	return r;
}

/* Of the tables that other subcommands have, too. */
static int shared_option(struct config *config, int opt, const char *arg, struct diag *diag)
{
	int r = option_group_take(&config_console_dest_group, opt, config, arg, diag);

	if (r == 1)
		r = option_group_take(&config_host_root_group, opt, config, arg, diag);

	if (r == 1)
		r = config_machine_option(config, opt, arg, diag);
	if (r == 1)
		r = config_kernel_option(config, opt, arg, diag);
	if (r == 1)
		r = config_initramfs_option(&config->initramfs, opt, arg, diag);
	return r;
}

static int run_option(struct config *config, int opt, const char *arg, struct diag *diag)
{
	switch (opt) {
	case OPT_TIMEOUT: return option_seconds("--timeout", arg, false, &config->timeout_ns, diag);
	case OPT_CONTROL: config->control = arg; return 0;
	case OPT_PAUSED: config->vm.paused_by |= VM_PAUSED_BY_USER; return 0;
	case OPT_REBOOT: config->vm.reboots = config->vm.keeps_start = true; return 0;
	case OPT_GDB: return config_gdb_option(config, arg, diag);
	case OPT_CORE: return config_core_option(config, arg, diag);
	case OPT_EXIT_CODE: return parse_exit_code(config, arg, diag);
	case OPT_PROFILE:
		config->profile = arg;
		config->vm.profile = true;
		return 0;
	case OPT_STATS: return parse_stats(config, arg, diag);
	default: return shared_option(config, opt, arg, diag);
	}
}

/* A flat binary is loaded as it is, and handed nothing. */
static int check_flat(const struct config *config, struct diag *diag)
{
	const char *other = config->has_boot             ? "--boot"
			    : config->nr_initrds         ? "--initrd"
			    : config->vm.machine.cmdline ? "--append"
			    : config_initramfs_wanted(&config->initramfs)
				    ? "--run, --copy, --overlay, --root, --rootfs or --root-of-host"
				    : NULL;

	if (!config->has_flat || !other)
		return 0;
	diag_set(diag, -EINVAL, "flat-combined", "--flat with %s", other);
	if (config->has_boot)
		diag_remedy(diag, "leave one out: each sets how the kernel is entered");
	else
		diag_remedy(diag, "a flat binary is handed nothing: leave one out");
	return -EINVAL;
}

int config_check_kernel(const struct config *config, struct diag *diag)
{
	const bool initramfs = config_initramfs_wanted(&config->initramfs);
	const char *about_kernel =
		config->nr_initrds                       ? "--initrd"
		: config->vm.boot.mode != BOOT_MODE_AUTO ? "--boot and --flat"
		: initramfs       ? "--run, --copy, --overlay, --root, --rootfs or --root-of-host"
		: config->symbols ? "--symbols"
				  : NULL;

	if (!config->kernel && about_kernel) {
		diag_set(diag, -EINVAL, "kernel-missing", "%s without a kernel", about_kernel);
		diag_remedy(diag, "name one; the built-in test kernel takes none of these");
		return -EINVAL;
	}
	if (check_flat(config, diag) < 0)
		return -EINVAL;
	return config_initramfs_check(&config->initramfs, diag);
}

static int check_paused(const struct config *config, struct diag *diag)
{
	if (!(config->vm.paused_by & VM_PAUSED_BY_USER) || config->control)
		return 0;
	diag_set(diag, -EINVAL, "paused-without-control",
		 "--paused without --control: nothing could let the guest run");
	diag_remedy(diag, "add --control PATH; `tollgate control PATH resume` lets it run");
	return -EINVAL;
}

static int config_check_run(const struct config *config, struct diag *diag)
{
	if (config_exits_check(config, diag) < 0 || config_console_check(config, diag) < 0 ||
	    config_balloon_check(config, diag) < 0 || config_check_kernel(config, diag) < 0 ||
	    check_paused(config, diag) < 0)
		return -EINVAL;
	return config_files_check(config, diag);
}

int config_take_kernel(struct config *config, int argc, char *argv[], struct diag *diag)
{
	if (optind < argc)
		config->kernel = argv[optind++];
	if (optind == argc)
		return 0;
	diag_set(diag, -EINVAL, "kernel-twice", "'%s': one kernel at a time", argv[optind]);
	diag_remedy(diag, "parameters of the kernel go into --append");
	return -EINVAL;
}

int config_parse_run(struct config *config, int argc, char *argv[], struct diag *diag)
{
	struct option_reader reader;
	const char *arg;
	int opt, r;

	config_init(config);
	argc = config_host_root_take_command(config, argc, argv);
	option_reader_init(&reader, &config_run_table, argc, argv, false);
	while ((r = option_reader_next(&reader, &opt, &arg, diag)) > 0) {
		if (opt == OPTION_HELP || opt == OPTION_HELP_ALL)
			return opt;
		r = run_option(config, opt, arg, diag);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = config_take_kernel(config, argc, argv, diag);
	if (r == 0)
		r = config_host_root_apply(config, diag);
	return r < 0 ? r : config_check_run(config, diag);
}
