/* internal.h - what the files of x86-64 share. */
#ifndef VMM_ARCH_X86_64_INTERNAL_H
#define VMM_ARCH_X86_64_INTERNAL_H

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "boot/handoff.h"
#include "boot/initrd.h"

extern const struct machine_fdt_platform x86_fdt;

struct kvm_cpuid2;
struct kvm_regs;
struct kvm_sregs;
struct kvm_msrs;
struct kvm_msr_entry;

struct arch_cpu_model {
	struct kvm_cpuid2 *cpuid; /* KVM_GET_SUPPORTED_CPUID with our topology; APIC ids still 0 */
	struct kvm_msrs *msrs;    /* the MSRs to set, of those that KVM lists */
	unsigned cpus;
	uint64_t mcg_cap; /* IA32_MCG_CAP; 0: this KVM injects no machine checks */
	bool is_intel;
};

/* Chooses the machine checks that the guest can be sent; after cpuid is there (mce.c). */
void mce_choose(struct arch_cpu_model *model, const struct kvm *kvm);
int mce_setup(int vcpu_fd, const struct arch_cpu_model *model); /* 0 or -errno */

/* MSR_KERNEL_GS_BASE; 0 where KVM has none (registers.c). */
uint64_t x86_kernel_gs_base(int vcpu_fd);

/* Judges the clock by consecutive readings of a vCPU's MSR_IA32_TSC in one ioctl (guest_tsc.c). */
enum arch_guest_clock guest_tsc_judge(const struct kvm_msr_entry *readings, unsigned nr);

/* Before the kernel is placed, for code that starts in real mode (no_bios.c). -EFAULT. */
int no_bios_write(struct guest_mem *mem);
/* A line, if the vCPU has called into the BIOS that there is not. */
void no_bios_print(FILE *out, const char *indent, const struct guest_mem *mem,
		   const struct kvm_regs *r, const struct kvm_sregs *s);

/* Where a chip that every machine has is (acpi.c); below 4 GiB, where 32-bit kernels see it. */
uint32_t chip_gpa(const struct machine *m, const char *name);

/* Where the boot structures of the chosen protocol lie. */
struct arch_entry {
	enum boot_protocol protocol;
	uint64_t entry_gpa;
	uint64_t info_gpa; /* hvm_start_info, zero page or information of either Multiboot */
};

/*
 * Registers of the boot processor, as the protocol's specification wants them (see enum
 * boot_protocol). Writes the GDT and page tables that they refer to, if any, into guest memory.
 */
int arch_vcpu_enter(int vcpu_fd, struct guest_mem *mem, const struct arch_entry *entry,
		    struct diag *diag);

enum {
	INFO_BYTES_MAX = LAYOUT_ZERO_PAGE_GPA - LAYOUT_PVH_START_INFO_GPA,
	RSDP_BYTES = 36, /* ACPI 6.5, 5.2.5.3 */
};

/* One boot: filled by load.c, and by boot_info.c what is for the kernel to read. */
struct arch_boot {
	struct guest_mem *mem;
	struct arch_boot_opts opts;
	struct boot_plan plan;
	const struct machine *machine; /* in arch_boot_load() */
	struct boot_initrd initrd;
	struct boot_segment initrd_segment[BOOT_INITRDS_MAX];
	struct boot_span ram[MACHINE_MAP_MAX], taken[8];
	unsigned nr_ram, nr_taken;
	struct boot_map_entry map[MACHINE_MAP_MAX];
	uint64_t rsdp_gpa;
	uint8_t rsdp[RSDP_BYTES];
	char *cmdline; /* NULL: the kernel gets no information */
	void *fdt;
	size_t fdt_len;
	uint64_t info_gpa; /* what the entry's register points to */
};

/* A flat binary gets no information, so its machine is bare but for what its mode of entry needs. */
bool arch_boot_has_info(const struct arch_boot *b);
bool arch_boot_is_linux(const struct arch_boot *b); /* by its own protocol */
bool arch_boot_has_device_tree(const struct arch_boot *b);

/* Sets b->cmdline. -EINVAL with diag when the kernel would not read all of it, -ENOMEM. */
int arch_boot_render_cmdline(struct arch_boot *b, struct diag *diag);

/* After the initrds are placed: puts all that the kernel reads into guest memory, and sets b->info_gpa. */
int arch_boot_write_info(struct arch_boot *b, struct diag *diag);

#endif
