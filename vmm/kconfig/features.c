/* features.c - the one table of what each feature needs of a kernel's configuration. */
#include <stdio.h>
#include <string.h>

#include "kconfig.h"

const struct kconfig_feature kconfig_features[] = {
	{.name = "serial console",
	 .every_run = true,
	 .need = {{"TTY", "terminals", .built_in = true},
		  {"PRINTK", "the kernel's messages", .built_in = true},
		  {"SERIAL_8250", "drives the serial port", .built_in = true},
		  {"SERIAL_8250_CONSOLE", "prints messages there", .built_in = true}}},
	{.name = "serial port in memory",
	 .need = {{"ACPI", "finds it", .built_in = true},
		  {"PNP", "hands it to its driver; its status then costs no exit",
		   .built_in = true}}},
	{.name = "PVH entry",
	 .need = {{"PVH", "the host decompresses the kernel; else the guest does",
		   .built_in = true}}},
	{.name = "power off",
	 .need = {{"ACPI", "without it a guest that powers off halts, exit status 122",
		   .built_in = true}}},
	{.name = "kvmclock",
	 .need = {{"HYPERVISOR_GUEST", "the menu of the next two", .built_in = true},
		  {"PARAVIRT", "hooks for hypervisors", .built_in = true},
		  {"KVM_GUEST", "takes the time from KVM, also after a pause", .built_in = true}}},
	{.name = "panic notice",
	 .need = {{"ACPI", "finds pvpanic", .built_in = true},
		  {"PVPANIC", "the menu of the next one"},
		  {"PVPANIC_MMIO", "reports a panic with a quiet console, too",
		   .before = "PVPANIC"}}},
	{.name = "several CPUs",
	 .used_by = "--cpus",
	 .need = {{"SMP", "more than one CPU", .built_in = true},
		  {"ACPI|X86_MPPARSE", "finds them", .built_in = true}}},
	{.name = "initramfs",
	 .used_by = "--initrd",
	 .need = {{"BLK_DEV_INITRD", "takes an archive as its root directory", .built_in = true}}},
	{.name = "a command in the guest",
	 .used_by = "--run",
	 .after = {"initramfs"},
	 .need = {{"64BIT", "the /init of --run is a 64-bit program", .built_in = true},
		  {"BINFMT_ELF", "starts programs", .built_in = true},
		  {"X86_IOPL_IOPERM", "ports for the output and the exit status", .built_in = true,
		   .always_before = true},
		  {"SIGNALFD", "the /init waits by it", .built_in = true},
		  {"PROC_FS", "/proc", .built_in = true},
		  {"SYSFS", "/sys", .built_in = true},
		  {"DEVTMPFS", "/dev", .built_in = true},
		  {"TMPFS", "/tmp, /run", .built_in = true},
		  {"UNIX98_PTYS", "/dev/pts", .built_in = true}}},
	{.name = "modules",
	 .used_by = "--modules",
	 .after = {"a command in the guest"},
	 .need = {{"MODULES", "loads what is m below", .built_in = true}}},
	{.name = "virtio devices",
	 .need = {{"VIRTIO_MENU", "the menu of virtio", .built_in = true, .always_before = true},
		  {"VIRTIO_MMIO", "the transport of all virtio devices"},
		  {"ACPI|OF|VIRTIO_MMIO_CMDLINE_DEVICES",
		   "finds them: tables, a device tree, or virtio_mmio.device= of --append",
		   .built_in = true}}},
	{.name = "disks",
	 .used_by = "--disk",
	 .after = {"virtio devices"},
	 .need = {{"BLK_DEV", "the menu of the next one", .built_in = true},
		  {"VIRTIO_BLK", "/dev/vda"}}},
	{.name = "networks",
	 .used_by = "--net",
	 .after = {"virtio devices"},
	 .need = {{"NET", "networking", .built_in = true},
		  {"INET", "IPv4, also for DHCP", .built_in = true},
		  {"NETDEVICES", "the menu of the next one", .built_in = true},
		  {"VIRTIO_NET", "eth0"}}},
	{.name = "virtio consoles",
	 .used_by = "--virtio-console",
	 .after = {"virtio devices"},
	 .need = {{"VIRTIO_CONSOLE", "/dev/hvc0; as a console of the kernel it has to be y"}}},
	{.name = "random numbers",
	 .used_by = "--rng",
	 .after = {"virtio devices"},
	 .need = {{"HW_RANDOM", "the menu of the next one"}, {"HW_RANDOM_VIRTIO", "/dev/hwrng"}}},
	{.name = "balloon",
	 .used_by = "--balloon",
	 .after = {"virtio devices"},
	 .need = {{"VIRTIO_BALLOON", "returns memory to the host"}}},
	{.name = "directories of the host",
	 .used_by = "--share",
	 .after = {"virtio devices"},
	 .need = {{"FUSE_FS", "the protocol"}, {"VIRTIO_FS", "mounts them"}}},
	{.name = "the host's root directory",
	 .used_by = "--root-of-host",
	 .after = {"directories of the host", "a command in the guest", "virtio consoles"},
	 .need = {{"OVERLAY_FS", "keeps what the guest changes"}}},
	{.name = "sockets between host and guest",
	 .used_by = "vsock",
	 .after = {"virtio devices"},
	 .need = {{"NET", "sockets", .built_in = true},
		  {"VSOCKETS", "the family AF_VSOCK"},
		  {"VIRTIO_VSOCKETS", "its transport"}}},
	{.name = "SysRq from outside",
	 .used_by = "control sysrq",
	 .need = {{"MAGIC_SYSRQ", "SysRq", .built_in = true},
		  {"MAGIC_SYSRQ_SERIAL", "a break and a key on the serial port", .built_in = true,
		   .always_before = true}}},
	{.name = "names in reports",
	 .need = {{"KALLSYMS", "the kernel's functions by name; else --symbols",
		   .built_in = true}}},
	{.name = "exact stacks",
	 .used_by = "control stack",
	 .need = {{"FRAME_POINTER", "the chain of callers", .built_in = true,
		   .set_by = "UNWINDER_FRAME_POINTER"}}},
	{.name = "core files",
	 .used_by = "--core",
	 .need = {{"VMCORE_INFO|CRASH_CORE", "crash and drgn find the kernel by it",
		   .built_in = true, .set_by = "KEXEC"},
		  {"DEBUG_INFO", "types and lines, in vmlinux", .built_in = true,
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
