/*
 * arch.h - what the VM asks of an architecture: its machine, its host's capabilities, interrupt chips,
 * vCPUs, the way into a kernel, and words for reports. One folder answers for each architecture.
 *
 * Threads: set-up is on the event thread, what takes a vCPU's descriptor on the vCPU's own thread or
 * while that is not in KVM_RUN; the rest is constant.
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
#include "kvm/caps.h"
#include "machine.h"
#include "symbols.h"

/* The machine of this architecture, for machine_resolve(). */
extern const struct machine_platform arch_platform;

/*
 * Whether this host's KVM has what every VM needs and takes that many vCPUs; -EINVAL with diag that
 * names what is missing. Before the VM is created.
 */
int arch_host_check(const struct kvm *kvm, unsigned cpus, struct diag *diag);

/* The capabilities that this architecture uses besides kvm/caps.c's: for arch_host_check() and the doctor. */
extern const struct kvm_cap_row arch_cap_rows[];
extern const unsigned arch_nr_cap_rows;

/* Whether the clock that guests read goes on; the architecture's file says why it could stand still. */
enum arch_guest_clock {
	ARCH_GUEST_CLOCK_COUNTS,
	ARCH_GUEST_CLOCK_STANDS,  /* timers of guests are late by the host's uptime */
	ARCH_GUEST_CLOCK_UNKNOWN, /* KVM gave no two readings */
};

/* Reads the clock of a vCPU that never runs, in a VM of its own. kvm is open; takes 12 to 24 ms. */
enum arch_guest_clock arch_guest_clock_examine(const struct kvm *kvm);

/*
 * The hardware's virtualization that this host's KVM uses: "VMX". NULL: none, so that KVM runs, and
 * emulates guest kernel code. The two texts are for reports: "neither VMX nor SVM", "VMX or SVM".
 */
const char *arch_backing_name(void);
extern const char arch_backing_none[], arch_backing_any[];

/* The module of KVM that does it, "kvm_intel", in buf; "" when none is known. Returns buf. */
const char *arch_backing_module(char *buf, size_t len);

/*
 * The interrupt chips and timers that KVM emulates, and the memory that it needs for itself. After the
 * memory slots, before vCPUs.
 */
int arch_irqchip_create(const struct kvm *kvm, struct diag *diag);

/* An ioctl that arch_irqchip_create() makes: its name, and -errno with diag. The table ends with an empty row. */
struct arch_vm_call {
	const char *name;
	int (*make)(const struct kvm *kvm, struct diag *diag);
};
extern const struct arch_vm_call arch_irqchip_calls[];

/* The same without the timers. */
int arch_irqchip_create_bare(const struct kvm *kvm, struct diag *diag);

/* Which features of the CPU the guest sees; docs/reference/cpu-templates.md. */
enum arch_cpu_template {
	ARCH_CPU_HOST,     /* all that KVM supports here */
	ARCH_CPU_BASELINE, /* what every host has, and what a KVM guest needs: the same everywhere */
};

extern const char arch_cpu_help[]; /* of --cpu: what the two are on this architecture */

/* The CPU model that all vCPUs of a VM share; made once. */
struct arch_cpu_model;

int arch_cpu_model_create(const struct kvm *kvm, unsigned cpus, enum arch_cpu_template tpl,
			  struct arch_cpu_model **ret, struct diag *diag);
struct arch_cpu_model *
arch_cpu_model_destroy(struct arch_cpu_model *model); /* takes and returns NULL */

/* Registers and features of a new vCPU, before anything else is done with it. */
int arch_vcpu_init(int vcpu_fd, struct arch_cpu_model *model, unsigned index, struct diag *diag);

/* The same, call by call. The table ends with an empty row. */
struct arch_vcpu_call {
	const char *name;
	int (*make)(int vcpu_fd, struct arch_cpu_model *model, unsigned index, struct diag *diag);
};
extern const struct arch_vcpu_call arch_vcpu_calls[];

/*
 * The general and system registers of one vCPU to another, and whether it runs. The other one then continues at the
 * same instruction. It makes the access of the last exit again, or leaves it out. For a guest without floating point.
 * Neither vCPU is in KVM_RUN. -errno with diag.
 */
int arch_vcpu_copy(int from_fd, int to_fd, struct diag *diag);

/* Ticks per second of the counter that a guest reads by one instruction (x86: the TSC). 0: KVM does not report it. */
uint64_t arch_vcpu_tick_hz(int vcpu_fd);

/*
 * Reports to a vCPU that the memory at gpa that it accessed is lost, and that what it runs cannot go on without it.
 * NULL, or why nothing was reported: static text for vm_end.by. Not while the vCPU is in KVM_RUN, as the next.
 */
const char *arch_vcpu_memory_error(int vcpu_fd, const struct arch_cpu_model *model, uint64_t gpa);

/* Whether it is reported to all other CPUs too. */
bool arch_memory_error_is_broadcast(const struct arch_cpu_model *model);

/* Reports it to one of those. Does nothing to one that accepts no machine check, such as before it is started. */
void arch_vcpu_memory_error_elsewhere(int vcpu_fd, const struct arch_cpu_model *model);

struct arch_boot_opts {
	struct boot_opts boot;
	const struct boot_file *kernel, *initrd;
	unsigned nr_initrds; /* at most BOOT_INITRDS_MAX */
};

/* Where a kernel's image is in guest memory, and at which linear address it runs. */
struct arch_image {
	uint64_t gpa, linear, len;
};

/* By which of its entries a kernel is started, and what the machine has to know of it. */
struct arch_kernel {
	const char *name; /* as in arch_boot_opts, borrowed; NULL before there is one */
	char kind[96];    /* "bzImage, lz4: ELF64 with PVH note" */
	enum boot_protocol protocol;
	uint64_t entry_gpa;
	bool has_cmdline;          /* false: it is handed no command line, as a flat binary */
	bool finds_register_pages; /* where the machine has some (machine_spec.register_pages) */
	bool is_linux;
	struct arch_image image; /* as it is loaded, if that is how it runs; len 0: unknown */
	uint8_t build_id[BOOT_BUILD_ID_MAX];
	size_t build_id_len; /* 0: unknown */
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
 * Checks that the machine has room for the kernel and its initrds, and that the kernel reads a command line that long.
 * Places neither. m is borrowed until arch_boot_destroy(). Once; -errno with diag.
 */
int arch_boot_prepare(struct arch_boot *boot, const struct machine *m, struct diag *diag);

/*
 * Does as arch_boot_prepare(); puts the kernel, its initrds, command line, tables and boot information into guest
 * memory, and sets the boot processor's registers. Once; -errno with diag, after which guest memory is undefined.
 */
int arch_boot_load(struct arch_boot *boot, const struct machine *m, int vcpu_fd, struct diag *diag);

/*
 * The boot processor's state at such an entry, for people: its mode and the registers that the kernel may use. A
 * constant text; "" for a protocol that does not exist.
 */
const char *arch_entry_state(enum boot_protocol protocol, uint64_t entry_gpa);

/* Takes NULL. Returns NULL. */
struct arch_boot *arch_boot_destroy(struct arch_boot *boot);

/* For reports: a vCPU, its memory, and names for its addresses (NULL: none). Each line starts with indent. */
struct arch_view {
	int vcpu_fd;
	const struct guest_mem *mem;
	const struct symbols *symbols;
	const char *indent;
};

/*
 * Registers, the mode, the interrupts that are in service or requested, and the bytes of the instruction. Says so when
 * a register set cannot be read.
 */
void arch_vcpu_print(FILE *out, const struct arch_view *view);

/*
 * Where it is, and the return addresses of its callers, one per line: by the chain of frame pointers, with a number.
 * That is right for code that keeps frame pointers, and may be short or wrong for other code. With symbols also each
 * other word on the stack that follows a call in text, with a question mark: some of these are of earlier calls.
 */
void arch_vcpu_print_stack(FILE *out, const struct arch_view *view);

/* How far a Linux kernel may have moved itself from where it was linked: a multiple of bytes, below nr times that. */
struct arch_kernel_move {
	uint64_t bytes;
	unsigned nr;
};
extern const struct arch_kernel_move arch_kernel_move;

/* Where a vCPU's page tables map a Linux kernel; there may be more around it. False: they map none. */
bool arch_kernel_image(int vcpu_fd, const struct guest_mem *mem, struct arch_image *ret);

/* A guest's memory by linear address, as a vCPU sees it. How many of len bytes were read or written. */
size_t arch_linear_read(int vcpu_fd, const struct guest_mem *mem, uint64_t linear, void *buf,
			size_t len);
size_t arch_linear_write(int vcpu_fd, const struct guest_mem *mem, uint64_t linear, const void *buf,
			 size_t len);
bool arch_translate(int vcpu_fd, uint64_t linear, uint64_t *ret_gpa);

/* The instruction that a debugger puts in the place of another one to stop a vCPU there. */
extern const uint8_t arch_breakpoint[];
extern const size_t arch_breakpoint_bytes;

enum { ARCH_DEBUG_POINTS = 4 }; /* that the hardware watches */
enum arch_debug_kind {
	ARCH_DEBUG_NONE,
	ARCH_DEBUG_BREAK,  /* before an instruction there */
	ARCH_DEBUG_WRITE,  /* after a write there */
	ARCH_DEBUG_ACCESS, /* after a read or a write there */
};

/* How a vCPU is debugged; zeroed: not at all, which costs it nothing. */
struct arch_debug {
	bool breakpoints; /* arch_breakpoint stops it */
	bool step;        /* it stops after one instruction, without taking interrupts */
	bool is_guests; /* the arch_breakpoint that stopped it is the guest's own: it gets the exception */
	struct arch_debug_point {
		enum arch_debug_kind kind;
		uint64_t addr;
		uint8_t len; /* 1, 2, 4 or 8, and addr a multiple of it; 1 for ARCH_DEBUG_BREAK */
	} point[ARCH_DEBUG_POINTS];
};

/* Not while it is in KVM_RUN, as the next. 0 or -errno. */
int arch_vcpu_debug(int vcpu_fd, const struct arch_debug *debug);

/* Why a vCPU stopped. */
struct arch_debug_exit {
	uint64_t linear;    /* where it is */
	bool is_breakpoint; /* at arch_breakpoint */
	bool is_step;
	bool failed; /* KVM could not emulate arch_breakpoint, as those do that emulate guest code */
	int point;   /* of arch_debug; -1: none */
};

struct kvm_run;
struct arch_debug_exit arch_debug_exit_of(const struct kvm_run *run); /* of KVM_EXIT_DEBUG */
/* Of KVM_EXIT_INTERNAL_ERROR: whether that was for arch_breakpoint. */
bool arch_debug_failed(int vcpu_fd, const struct kvm_run *run, struct arch_debug_exit *ret);

/*
 * The registers as gdb takes them, in the order of the description that arch_print_target() gives (gdb's manual,
 * "Target Descriptions"): ARCH_REGISTERS_BYTES_MAX are enough. 0 or -errno.
 */
enum { ARCH_REGISTERS_BYTES_MAX = 1024 };
int arch_registers_read(int vcpu_fd, uint8_t *buf);
int arch_registers_write(int vcpu_fd, const uint8_t *buf);
size_t arch_registers_bytes(void);
/* Where the n-th is, and how long; false when there is none. */
bool arch_register_place(unsigned n, size_t *ret_off, size_t *ret_len);
void arch_print_target(FILE *out);

/* The e_machine of this architecture's ELF files. */
extern const uint16_t arch_elf_machine;

struct core_mapping;

/* Where Linux is mapped, by the VMCOREINFO of its memory (core.h): len 0 when that does not say. */
struct core_mapping arch_core_kernel(const char *vmcoreinfo, size_t len);

/*
 * For a core file (core.h): the registers of nr vCPUs as notes, of each the general and floating-point ones as Linux
 * has them for a process with the id of the vCPU's index plus 1; then of each the system registers. 0 or -errno; out's
 * own errors are ferror(3)'s.
 */
int arch_core_notes(FILE *out, const int *vcpu_fd, unsigned nr);

/*
 * Where an exit was, as a linear address, for one exit in many. With KVM_CAP_SYNC_REGS (is_cheap) it is asked for
 * before KVM_RUN and read from run; else run is NULL, and an ioctl is made. done: the next exits are not asked.
 */
bool arch_sample_is_cheap(const struct kvm *kvm);
void arch_sample_ask(struct kvm_run *run);
uint64_t arch_sample_pc(const struct kvm_run *run, int vcpu_fd);
void arch_sample_done(struct kvm_run *run);

/*
 * Whether a vCPU is at an instruction that repeats, and whose latest access was a write to addr (a physical address, or
 * a port). Not while the vCPU is in KVM_RUN.
 */
bool arch_repeats_write(int vcpu_fd, const struct guest_mem *mem, uint64_t addr);

/* A KVM_EXIT_* that only this architecture has, without the prefix; NULL: not one of those. */
const char *arch_exit_name(uint32_t reason);

/* The library that names instructions in reports, "libZydis.so.4.0"; NULL: this build uses none. */
const char *arch_disasm_soname(void);

/* Loads it now, where it is there: a thread that is confined cannot map code. Event thread. */
void arch_disasm_load(void);

/* Whether a vCPU whose thread is not in KVM_RUN would go on there. */
enum arch_halted {
	ARCH_CAN_RUN,       /* or may be woken by what is not another CPU */
	ARCH_WAITS_FOR_CPU, /* to be started by a CPU that runs */
	ARCH_HALTED,        /* with interrupts off: only a CPU that runs can wake it */
};
enum arch_halted arch_vcpu_halted(int vcpu_fd);

/* Sends it an interrupt that cannot be masked. 0 or -errno. */
int arch_vcpu_nmi(int vcpu_fd);

/* Whether an interrupt chip may send what a CPU with interrupts off takes. */
bool arch_irqchip_wakes(const struct kvm *kvm);

/*
 * The clocks and timers that KVM keeps for a guest: they stand still between arch_clocks_stop() and
 * arch_clocks_start(), while no vCPU is in KVM_RUN and nothing raises an interrupt. A clock that the host's KVM
 * cannot stop goes on; docs/guide/control.md names these.
 */
struct arch_clocks;

/* Copies vcpu_fd, nr_vcpus of them; kvm is borrowed until arch_clocks_destroy(). -ENOMEM with diag. */
int arch_clocks_create(const struct kvm *kvm, const int *vcpu_fd, unsigned nr_vcpus,
		       struct arch_clocks **ret, struct diag *diag);
void arch_clocks_stop(struct arch_clocks *clocks);
void arch_clocks_start(const struct arch_clocks *clocks);
struct arch_clocks *arch_clocks_destroy(struct arch_clocks *clocks); /* takes and returns NULL */

/* Before the guest runs: what arch_clocks_rewind() needs to know. */
void arch_clocks_note_start(struct arch_clocks *clocks);
/* Between stop and start: what start lets go on then begins anew, at 0, and no timer is armed. */
void arch_clocks_rewind(struct arch_clocks *clocks);

/* KVM's state of a VM before its first instruction: the registers of its vCPUs, its interrupt chips and timers. */
struct arch_start;

/* Copies it, before the guest runs. kvm is borrowed until arch_start_destroy(). -errno with diag. */
int arch_start_create(const struct kvm *kvm, const int *vcpu_fd, unsigned nr_vcpus,
		      struct arch_start **ret, struct diag *diag);
/*
 * Makes KVM's state that again: also of a vCPU that is in a nested guest, or had a triple fault. No vCPU is in KVM_RUN,
 * their accesses are complete, and no interrupt line is high. The TSC is arch_clocks_rewind()'s. -errno with diag: then
 * the guest must not run on.
 */
int arch_start_restore(const struct arch_start *start, struct diag *diag);
struct arch_start *arch_start_destroy(struct arch_start *start); /* takes and returns NULL */

/*
 * The ACPI tables of a machine, as its kernel finds them: *ret_bytes (*ret_len bytes) is the caller's to
 * free. -ENOTSUP with diag where the architecture has none, -ENOSPC, -ENOMEM; outputs are untouched then.
 */
int arch_acpi_render(const struct machine *m, void **ret_bytes, size_t *ret_len, struct diag *diag);

/* One of those tables. */
struct arch_acpi_table {
	char name[5]; /* its signature: "DSDT"; "RSDP" for the RSDP */
	size_t offset, len;
};

/*
 * The first table after *table in address order, the RSDP for a zeroed *table. False, and nothing
 * written, when there is none. Trusts bytes to be arch_acpi_render()'s.
 */
bool arch_acpi_next(const void *bytes, size_t len, struct arch_acpi_table *table);

/* KVM's requests that a role of thread makes while a guest runs and after; the most frequent one first. */
struct arch_ioctls {
	const uint32_t *request;
	size_t nr;
};
extern const struct arch_ioctls arch_vcpu_ioctls, arch_io_ioctls, arch_event_ioctls;

/* How seccomp(2) calls this architecture: AUDIT_ARCH_X86_64. */
extern const uint32_t arch_audit;

#endif
