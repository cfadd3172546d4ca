/*
 * arch.h - what x86-64 adds to KVM's common part: interrupt chips, CPUID, MSRs, the state in which a
 * vCPU enters a kernel, and registers for reports.
 */
#ifndef VMM_ARCH_ARCH_H
#define VMM_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"
#include "boot/boot.h"
#include "kvm.h"
#include "machine.h"

struct kvm_cpuid2;
struct kvm_msrs;

/* The machine of this architecture, for machine_resolve(). */
extern const struct machine_platform arch_platform;

/*
 * Whether this host's KVM has what every VM needs and takes that many vCPUs; -EINVAL with diag that
 * names what is missing. Before the VM is created.
 */
int arch_host_check(const struct kvm *kvm, unsigned cpus, struct diag *diag);

/* How KVM counts a guest's TSC; guest_tsc.c says why it could stand still. */
enum arch_guest_tsc {
	ARCH_GUEST_TSC_COUNTS,
	ARCH_GUEST_TSC_STANDS,  /* timers of guests are late by the host's uptime */
	ARCH_GUEST_TSC_UNKNOWN, /* KVM did not give two readings that can be compared */
};

/* Of two readings of a vCPU's MSR_IA32_TSC, one after the other. */
enum arch_guest_tsc arch_guest_tsc_judge(uint64_t first, uint64_t second);

/* Reads that MSR of a vCPU that never runs, in a VM of its own. kvm is open; takes 12 to 24 ms. */
enum arch_guest_tsc arch_guest_tsc_examine(const struct kvm *kvm);

/*
 * KVM_SET_IDENTITY_MAP_ADDR and KVM_SET_TSS_ADDR (Intel hosts need both below 4 GiB), then the
 * in-kernel PIC, IOAPIC and local APICs, then the PIT. After the memory slots, before vCPUs.
 */
int arch_irqchip_create(const struct kvm *kvm, struct diag *diag);

/* Which CPUID features the guest sees; docs/reference/cpu-templates.md. */
enum arch_cpu_template {
	ARCH_CPU_HOST,     /* all that KVM supports here */
	ARCH_CPU_BASELINE, /* x86-64-v1 and what a KVM guest needs: the same on every host */
};

/* What all vCPUs of a VM share; made once. */
struct arch_cpu_model {
	struct kvm_cpuid2 *cpuid; /* KVM_GET_SUPPORTED_CPUID with our topology; APIC ids still 0 */
	struct kvm_msrs *msrs;    /* the MSRs to set, of those that KVM lists */
	unsigned cpus;
	uint64_t mcg_cap; /* IA32_MCG_CAP; 0: this KVM injects no machine checks */
	bool is_intel;
};

int arch_cpu_model_init(struct arch_cpu_model *model, const struct kvm *kvm, unsigned cpus,
			enum arch_cpu_template tpl, struct diag *diag);
void arch_cpu_model_fini(struct arch_cpu_model *model); /* takes a zeroed model too */

/* CPUID, then MSRs, then the local APIC's LINT pins of a new vCPU; apic_id is its index. */
int arch_vcpu_init(int vcpu_fd, const struct arch_cpu_model *model, unsigned apic_id,
		   struct diag *diag);

/* What machine checks the guest can be sent, after cpuid is there (mce.c). */
void arch_mce_choose(struct arch_cpu_model *model, const struct kvm *kvm);
int arch_vcpu_mce_setup(int vcpu_fd, const struct arch_cpu_model *model); /* 0 or -errno */

/*
 * Sends a vCPU a machine check: the memory at gpa that it accessed is lost, and what it runs cannot go on without
 * it (action required). 0; -ENOTSUP when the guest takes no machine checks, or KVM injects none; -errno. Not while
 * the vCPU is in KVM_RUN, as the next.
 */
int arch_vcpu_memory_error(int vcpu_fd, const struct arch_cpu_model *model, uint64_t gpa);

/* Whether all other CPUs take a machine check of that kind too, as Intel's do. */
bool arch_memory_error_is_broadcast(const struct arch_cpu_model *model);

/* Sends it to one of those. Does nothing when that takes no machine checks, such as before it is started. */
void arch_vcpu_memory_error_elsewhere(int vcpu_fd, const struct arch_cpu_model *model);

struct arch_boot_opts {
	struct boot_opts boot;
	const struct boot_file *kernel, *initrd;
	unsigned nr_initrds; /* at most BOOT_INITRDS_MAX */
};

/* By which of its entries a kernel is started, and what the machine has to know of it. */
struct arch_kernel {
	const char *name; /* as in arch_boot_opts, borrowed; NULL before there is one */
	char kind[96];    /* "bzImage, lz4: ELF64 with PVH note" */
	enum boot_protocol protocol;
	uint64_t entry_gpa;
	bool finds_windows; /* where the machine tells of some (machine_spec.windows) */
};

/* A kernel on its way into guest memory. */
struct arch_boot;

/*
 * Identifies the kernel, and decompresses it into mem if need be: mem is new, and nothing else may be
 * put there before arch_boot_load(). Needs no KVM and no machine, since the machine depends on what the
 * kernel is. opts and what it points to are borrowed until arch_boot_destroy(), mem too. -errno with diag
 * as boot_plan_init().
 */
int arch_boot_create(const struct arch_boot_opts *opts, struct guest_mem *mem,
		     struct arch_boot **ret, struct arch_kernel *ret_kernel, struct diag *diag);

/*
 * Puts the kernel, its initrds, command line, tables and boot information into guest memory, and sets
 * the boot processor's registers. Once; -errno with diag, after which guest memory is undefined.
 */
int arch_boot_load(struct arch_boot *boot, const struct machine *m, int vcpu_fd, struct diag *diag);

/* Takes NULL. Returns NULL. */
struct arch_boot *arch_boot_destroy(struct arch_boot *boot);

/*
 * For reports: general, segment and control registers, the mode, and the instruction bytes at RIP.
 * Each line starts with indent. Says so when a register set cannot be read.
 */
void arch_vcpu_print(FILE *out, int vcpu_fd, const struct guest_mem *mem, const char *indent);

/* Whether a vCPU whose thread is not in KVM_RUN would go on there. */
enum arch_halted {
	ARCH_CAN_RUN,       /* or may be woken by what is not another CPU */
	ARCH_WAITS_FOR_CPU, /* for INIT or SIPI, which only a running CPU sends */
	ARCH_HALTED,        /* HLT with interrupts off: for NMI, SMI or INIT of a running CPU */
};
enum arch_halted arch_vcpu_halted(int vcpu_fd);

/* Whether an interrupt chip may send what a CPU with interrupts off takes. */
bool arch_irqchip_wakes(const struct kvm *kvm);

#endif
