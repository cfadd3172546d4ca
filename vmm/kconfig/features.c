/* features.c - the one table of what each feature needs of a kernel's configuration. */
#include <stdio.h>
#include <string.h>

#include "kconfig.h"

const struct kconfig_feature kconfig_features[] = {
	{.name = "serial console",
	 .every_run = true,
	 .need = {{.option = "TTY", .use = "terminals", .built_in = true},
		  {.option = "PRINTK", .use = "the kernel's messages", .built_in = true},
		  {.option = "SERIAL_8250", .use = "drives the serial port", .built_in = true},
		  {.option = "SERIAL_8250_CONSOLE",
		   .use = "prints messages there",
		   .built_in = true}}},
	{.name = "serial port in memory",
	 .need = {{.option = "ACPI", .use = "finds it", .built_in = true},
		  {.option = "PNP",
		   .use = "hands it to its driver; its status then costs no exit",
		   .built_in = true}}},
	{.name = "PVH entry",
	 .need = {{.option = "PVH",
		   .use = "the host decompresses the kernel; else the guest does",
		   .built_in = true}}},
	{.name = "power off",
	 .need = {{.option = "ACPI",
		   .use = "without it a guest that powers off halts, exit status 122",
		   .built_in = true}}},
	{.name = "kvmclock",
	 .need = {{.option = "HYPERVISOR_GUEST",
		   .use = "the menu of the next two",
		   .built_in = true},
		  {.option = "PARAVIRT", .use = "hooks for hypervisors", .built_in = true},
		  {.option = "KVM_GUEST",
		   .use = "takes the time from KVM, also after a pause",
		   .built_in = true}}},
	{.name = "panic notice",
	 .need = {{.option = "ACPI", .use = "finds pvpanic", .built_in = true},
		  {.option = "PVPANIC", .use = "the menu of the next one"},
		  {.option = "PVPANIC_MMIO",
		   .use = "reports a panic with a quiet console, too",
		   .before = "PVPANIC"}}},
	{.name = "several CPUs",
	 .used_by = "--cpus",
	 .need = {{.option = "SMP", .use = "more than one CPU", .built_in = true},
		  {.option = "ACPI|X86_MPPARSE", .use = "finds them", .built_in = true}}},
	{.name = "initramfs",
	 .used_by = "--initrd",
	 .need = {{.option = "BLK_DEV_INITRD",
		   .use = "takes an archive as its root directory",
		   .built_in = true}}},
	{.name = "a command in the guest",
	 .used_by = "--run",
	 .after = {"initramfs"},
	 .need = {{.option = "64BIT",
		   .use = "the /init of --run is a 64-bit program",
		   .built_in = true},
		  {.option = "BINFMT_ELF", .use = "starts programs", .built_in = true},
		  {.option = "X86_IOPL_IOPERM",
		   .use = "ports for the output and the exit status",
		   .built_in = true,
		   .always_before = true},
		  {.option = "SIGNALFD", .use = "the /init waits by it", .built_in = true},
		  {.option = "PROC_FS", .use = "/proc", .built_in = true},
		  {.option = "SYSFS", .use = "/sys", .built_in = true},
		  {.option = "DEVTMPFS", .use = "/dev", .built_in = true},
		  {.option = "TMPFS", .use = "/tmp, /run", .built_in = true},
		  {.option = "UNIX98_PTYS", .use = "/dev/pts", .built_in = true}}},
	{.name = "modules",
	 .used_by = "--modules",
	 .after = {"a command in the guest"},
	 .need = {{.option = "MODULES", .use = "loads what is m below", .built_in = true}}},
	{.name = "virtio devices",
	 .need = {{.option = "VIRTIO_MENU",
		   .use = "the menu of virtio",
		   .built_in = true,
		   .always_before = true},
		  {.option = "VIRTIO_MMIO", .use = "the transport of all virtio devices"},
		  {.option = "ACPI|OF|VIRTIO_MMIO_CMDLINE_DEVICES",
		   .use = "finds them: tables, a device tree, or virtio_mmio.device= of --append",
		   .built_in = true}}},
	{.name = "disks",
	 .used_by = "--disk",
	 .after = {"virtio devices"},
	 .need = {{.option = "BLK_DEV", .use = "the menu of the next one", .built_in = true},
		  {.option = "VIRTIO_BLK", .use = "/dev/vda"}}},
	{.name = "networks",
	 .used_by = "--net",
	 .after = {"virtio devices"},
	 .need = {{.option = "NET", .use = "networking", .built_in = true},
		  {.option = "INET", .use = "IPv4, also for DHCP", .built_in = true},
		  {.option = "NETDEVICES", .use = "the menu of the next one", .built_in = true},
		  {.option = "VIRTIO_NET", .use = "eth0"}}},
	{.name = "virtio consoles",
	 .used_by = "--virtio-console",
	 .after = {"virtio devices"},
	 .need = {{.option = "VIRTIO_CONSOLE",
		   .use = "/dev/hvc0; as a console of the kernel it has to be y"}}},
	{.name = "random numbers",
	 .used_by = "--rng",
	 .after = {"virtio devices"},
	 .need = {{.option = "HW_RANDOM", .use = "the menu of the next one"},
		  {.option = "HW_RANDOM_VIRTIO", .use = "/dev/hwrng"}}},
	{.name = "balloon",
	 .used_by = "--balloon",
	 .after = {"virtio devices"},
	 .need = {{.option = "VIRTIO_BALLOON", .use = "returns memory to the host"}}},
	{.name = "directories of the host",
	 .used_by = "--share",
	 .after = {"virtio devices"},
	 .need = {{.option = "FUSE_FS", .use = "the protocol"},
		  {.option = "VIRTIO_FS", .use = "mounts them"}}},
	{.name = "the host's root directory",
	 .used_by = "--root-of-host",
	 .after = {"directories of the host", "a command in the guest", "virtio consoles"},
	 .need = {{.option = "OVERLAY_FS", .use = "keeps what the guest changes"}}},
	{.name = "sockets between host and guest",
	 .used_by = "--vsock",
	 .after = {"virtio devices"},
	 .need = {{.option = "NET", .use = "sockets", .built_in = true},
		  {.option = "VSOCKETS", .use = "the family AF_VSOCK"},
		  {.option = "VIRTIO_VSOCKETS", .use = "its transport"}}},
	{.name = "SysRq from outside",
	 .used_by = "control sysrq",
	 .need = {{.option = "MAGIC_SYSRQ", .use = "SysRq", .built_in = true},
		  {.option = "MAGIC_SYSRQ_SERIAL",
		   .use = "a break and a key on the serial port",
		   .built_in = true,
		   .always_before = true}}},
	{.name = "names in reports",
	 .need = {{.option = "KALLSYMS",
		   .use = "the kernel's functions by name; else --symbols",
		   .built_in = true}}},
	{.name = "exact stacks",
	 .used_by = "control stack",
	 .need = {{.option = "FRAME_POINTER",
		   .use = "the chain of callers",
		   .built_in = true,
		   .set_by = "UNWINDER_FRAME_POINTER"}}},
	{.name = "core files",
	 .used_by = "--core",
	 .need = {{.option = "VMCORE_INFO|CRASH_CORE",
		   .use = "crash and drgn find the kernel by it",
		   .built_in = true,
		   .set_by = "KEXEC"},
		  {.option = "DEBUG_INFO",
		   .use = "types and lines, in vmlinux",
		   .built_in = true,
		   .set_by = "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT"}}},
	{0},
};

const struct kconfig_feature *kconfig_feature_find(const char *name)
{
	for (const struct kconfig_feature *f = kconfig_features; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

enum kconfig_value kconfig_need_value(const struct kconfig *config, const struct kconfig_need *need,
				      char ret_option[KCONFIG_OPTION_MAX])
{
	enum kconfig_value best = KCONFIG_UNKNOWN, value;
	const char *at = need->option;
	char option[KCONFIG_OPTION_MAX];

	for (bool first = true; *at; first = false) {
		const size_t n = strcspn(at, "|");

		snprintf(option, sizeof(option), "%.*s", (int)n, at);
		at += n + (at[n] == '|');
		value = kconfig_get(config, option);
		if (first || value > best) {
			best = value;
			memcpy(ret_option, option, sizeof(option));
		}
	}
	if (best == KCONFIG_UNKNOWN && need->before) {
		best = kconfig_get(config, need->before);
		if (best != KCONFIG_UNKNOWN)
			snprintf(ret_option, KCONFIG_OPTION_MAX, "%s", need->before);
	}
	if (best == KCONFIG_UNKNOWN && need->always_before)
		best = KCONFIG_YES;
	return best;
}

void kconfig_need_set_by(const struct kconfig_need *need, char ret_option[KCONFIG_OPTION_MAX])
{
	const char *option = need->set_by ? need->set_by : need->option;

	snprintf(ret_option, KCONFIG_OPTION_MAX, "%.*s", (int)strcspn(option, "|"), option);
}

bool kconfig_need_is_met(const struct kconfig_need *need, enum kconfig_value value)
{
	return value == KCONFIG_YES || (value == KCONFIG_MODULE && !need->built_in);
}

enum kconfig_value kconfig_feature_value(const struct kconfig *config,
					 const struct kconfig_feature *feature)
{
	enum kconfig_value least = KCONFIG_YES, value;
	char option[KCONFIG_OPTION_MAX];

	for (unsigned i = 0; i < KCONFIG_AFTER_MAX && feature->after[i]; i++) {
		value = kconfig_feature_value(config, kconfig_feature_find(feature->after[i]));
		if (value < least)
			least = value;
	}
	for (const struct kconfig_need *need = feature->need; need->option; need++) {
		value = kconfig_need_value(config, need, option);
		if (!kconfig_need_is_met(need, value))
			return KCONFIG_NO;
		if (value < least)
			least = value;
	}
	return least;
}
