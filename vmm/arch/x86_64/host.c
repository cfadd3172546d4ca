/* This host: KVM's capabilities, and the hardware that it uses. */
#include <dirent.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/macros.h"

const struct kvm_cap_row arch_cap_rows[] = {
	{KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP", true, "PIC, IOAPIC and APICs in the kernel", NULL},
	{KVM_CAP_PIT2, "KVM_CAP_PIT2", true, "the timer chip in the kernel", NULL},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", true, "CPUID of the guest", NULL},
	{KVM_CAP_TSC_DEADLINE_TIMER, "KVM_CAP_TSC_DEADLINE_TIMER", false,
	 "timers that need no calibration", "the guest calibrates its APIC timer"},
	{KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK", false, "kvmclock",
	 "the guest uses the TSC or the PIT"},
};
const unsigned arch_nr_cap_rows = ARRAY_SIZE(arch_cap_rows);

const char arch_backing_none[] = "neither VMX nor SVM", arch_backing_any[] = "VMX or SVM";

int arch_host_check(const struct kvm *kvm, unsigned cpus, struct diag *diag)
{
	int max = kvm_cap(kvm, KVM_CAP_MAX_VCPUS);
	int r = kvm_caps_check(kvm, arch_cap_rows, arch_nr_cap_rows, diag);

	if (r < 0)
		return r;
	if (max <= 0)
		max = kvm_cap(kvm, KVM_CAP_NR_VCPUS);
	if (max > 0 && cpus > (unsigned)max) {
		diag_set(diag, -EINVAL, "cpus-of-host",
			 "--cpus %u: this host's KVM takes at most %d", cpus, max);
		diag_remedy(diag, "ask for fewer; see `tollgate doctor`");
		return -EINVAL;
	}
	return 0;
}

const char *arch_backing_name(void)
{
	char module[32];

	arch_backing_module(module, sizeof(module));
	if (strcmp(module, "kvm_intel") == 0)
		return "VMX";
	return strcmp(module, "kvm_amd") == 0 ? "SVM" : NULL;
}

const char *arch_backing_module(char *buf, size_t len)
{
	static const char prefix[] = "kvm_";
	DIR *dir = opendir("/sys/module");
	const struct dirent *e;

	buf[0] = '\0';
	if (!dir)
		return buf;
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, prefix, sizeof(prefix) - 1) != 0)
			continue;
		snprintf(buf, len, "%s", e->d_name);
		/* A known back end wins over helpers such as kvm_hv. */
		if (strcmp(buf, "kvm_intel") == 0 || strcmp(buf, "kvm_amd") == 0)
			break;
	}
	closedir(dir);
	return buf;
}
