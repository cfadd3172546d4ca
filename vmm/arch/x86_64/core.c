/*
 * core.c - a vCPU's registers as notes of a core file: as Linux writes them for a process (<sys/procfs.h>), which gdb,
 * crash and drgn read; and as QEMU does (target/i386/arch_dump.c, version 1), for the control registers by which crash
 * finds a kernel that has moved itself.
 */
#include <elf.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "arch/x86_64/internal.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "core.h"

const uint16_t arch_elf_machine = EM_X86_64;

enum { QEMU_NOTE_VERSION = 1 };

struct qemu_segment {
	uint32_t selector, limit, flags, pad; /* flags: the descriptor's upper word */
	uint64_t base;
};

struct qemu_cpu {
	uint32_t version, size;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
	struct qemu_segment cs, ds, es, fs, gs, ss;
	struct qemu_segment ldt, tr, gdt, idt;
	uint64_t cr[5];
	uint64_t kernel_gs_base;
};
_Static_assert(sizeof(struct qemu_cpu) == 440, "as QEMU has it");

/* Of one vCPU. */
struct core_registers {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	uint64_t kernel_gs_base;
};

static int core_registers_read(int vcpu_fd, struct core_registers *ret)
{
	if (ioctl(vcpu_fd, KVM_GET_REGS, &ret->regs) < 0 ||
	    ioctl(vcpu_fd, KVM_GET_SREGS, &ret->sregs) < 0 ||
	    ioctl(vcpu_fd, KVM_GET_FPU, &ret->fpu) < 0)
		return -errno;
	ret->kernel_gs_base = x86_kernel_gs_base(vcpu_fd);
	return 0;
}

static void put_prstatus(FILE *out, const struct core_registers *r, unsigned index)
{
	const struct user_regs_struct user = {
		.rax = r->regs.rax,
		.rbx = r->regs.rbx,
		.rcx = r->regs.rcx,
		.rdx = r->regs.rdx,
		.rsi = r->regs.rsi,
		.rdi = r->regs.rdi,
		.rbp = r->regs.rbp,
		.rsp = r->regs.rsp,
		.r8 = r->regs.r8,
		.r9 = r->regs.r9,
		.r10 = r->regs.r10,
		.r11 = r->regs.r11,
		.r12 = r->regs.r12,
		.r13 = r->regs.r13,
		.r14 = r->regs.r14,
		.r15 = r->regs.r15,
		.orig_rax = UINT64_MAX, /* in no system call */
		.rip = r->regs.rip,
		.eflags = r->regs.rflags,
		.cs = r->sregs.cs.selector,
		.ss = r->sregs.ss.selector,
		.ds = r->sregs.ds.selector,
		.es = r->sregs.es.selector,
		.fs = r->sregs.fs.selector,
		.gs = r->sregs.gs.selector,
		.fs_base = r->sregs.fs.base,
		.gs_base = r->sregs.gs.base,
	};
	struct elf_prstatus status = {.pr_pid = (pid_t)index + 1, .pr_fpvalid = 1};

	_Static_assert(sizeof(user) == sizeof(status.pr_reg), "one layout");
	memcpy(&status.pr_reg, &user, sizeof(user));
	core_note_put(out, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

/* As FXSAVE stores it (Intel SDM, Vol. 1, 10.5.1). */
static void put_fpregset(FILE *out, const struct kvm_fpu *fpu)
{
	struct user_fpregs_struct user = {
		.cwd = fpu->fcw,
		.swd = fpu->fsw,
		.ftw = fpu->ftwx,
		.fop = fpu->last_opcode,
		.rip = fpu->last_ip,
		.rdp = fpu->last_dp,
		.mxcsr = fpu->mxcsr,
	};

	memcpy(user.st_space, fpu->fpr, sizeof(user.st_space));
	memcpy(user.xmm_space, fpu->xmm, sizeof(user.xmm_space));
	core_note_put(out, "CORE", NT_FPREGSET, &user, sizeof(user));
}

static struct qemu_segment segment_of(const struct kvm_segment *seg)
{
	return (struct qemu_segment){
		.selector = seg->selector,
		.limit = seg->limit,
		.flags = (uint32_t)(seg->type << 8 | seg->s << 12 | seg->dpl << 13 |
				    seg->present << 15 | seg->avl << 20 | seg->l << 21 |
				    seg->db << 22 | seg->g << 23),
		.base = seg->base,
	};
}

static struct qemu_segment table_of(const struct kvm_dtable *table)
{
	return (struct qemu_segment){.limit = table->limit, .base = table->base};
}

static void put_qemu(FILE *out, const struct core_registers *r)
{
	const struct kvm_regs *regs = &r->regs;
	const struct kvm_sregs *sregs = &r->sregs;
	const struct qemu_cpu cpu = {
		.version = QEMU_NOTE_VERSION,
		.size = sizeof(cpu),
		.rax = regs->rax,
		.rbx = regs->rbx,
		.rcx = regs->rcx,
		.rdx = regs->rdx,
		.rsi = regs->rsi,
		.rdi = regs->rdi,
		.rsp = regs->rsp,
		.rbp = regs->rbp,
		.r8 = regs->r8,
		.r9 = regs->r9,
		.r10 = regs->r10,
		.r11 = regs->r11,
		.r12 = regs->r12,
		.r13 = regs->r13,
		.r14 = regs->r14,
		.r15 = regs->r15,
		.rip = regs->rip,
		.rflags = regs->rflags,
		.cs = segment_of(&sregs->cs),
		.ds = segment_of(&sregs->ds),
		.es = segment_of(&sregs->es),
		.fs = segment_of(&sregs->fs),
		.gs = segment_of(&sregs->gs),
		.ss = segment_of(&sregs->ss),
		.ldt = segment_of(&sregs->ldt),
		.tr = segment_of(&sregs->tr),
		.gdt = table_of(&sregs->gdt),
		.idt = table_of(&sregs->idt),
		.cr = {sregs->cr0, 0, sregs->cr2, sregs->cr3, sregs->cr4},
		.kernel_gs_base = r->kernel_gs_base,
	};

	core_note_put(out, "QEMU", 0, &cpu, sizeof(cpu));
}

int arch_core_notes(FILE *out, const int *vcpu_fd, unsigned nr)
{
	struct core_registers registers;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < nr; i++) {
		r = core_registers_read(vcpu_fd[i], &registers);
		if (r < 0)
			return r;
		put_prstatus(out, &registers, i);
		put_fpregset(out, &registers.fpu);
	}
	for (unsigned i = 0; r == 0 && i < nr; i++) {
		r = core_registers_read(vcpu_fd[i], &registers);
		if (r == 0)
			put_qemu(out, &registers);
	}
	return r;
}

/*
 * Where Linux maps itself (Documentation/arch/x86/x86_64/mm.rst, "kernel text mapping"): physical address phys_base is
 * at this address, and its image within so many bytes from there.
 */
#define KERNEL_MAP_VIRT UINT64_C(0xffffffff80000000)
#define KERNEL_MAP_MAX  (UINT64_C(1) << 30)
#define IN_PAGE         UINT64_C(0xfff)

/* The value of a line "KEY=VALUE" of text; false when there is none, or it is not a number of that base. */
static bool vmcoreinfo_value(const char *text, const char *key, int base, uint64_t *ret)
{
	const char *at = strstr(text, key);
	char *end;

	if (!at || (at != text && at[-1] != '\n'))
		return false;
	at += strlen(key);
	*ret = (uint64_t)strtoll(at, &end, base);
	if (base == 16)
		*ret = strtoull(at, &end, base);
	return end != at && *end == '\n';
}

/* phys_base is negative where the kernel is loaded lower than where it is mapped: arithmetic is modulo 2^64. */
struct core_mapping arch_core_kernel(const char *vmcoreinfo, size_t len)
{
	AUTO_FREE char *text = strndup(vmcoreinfo, len);
	uint64_t stext, phys_base, size = KERNEL_MAP_MAX;

	if (!text || !vmcoreinfo_value(text, "SYMBOL(_stext)=", 16, &stext) ||
	    !vmcoreinfo_value(text, "NUMBER(phys_base)=", 10, &phys_base))
		return (struct core_mapping){0};
	stext &= ~IN_PAGE;
	if (phys_base & IN_PAGE || stext < KERNEL_MAP_VIRT || stext - KERNEL_MAP_VIRT >= size)
		return (struct core_mapping){0};
	return (struct core_mapping){
		.virt = stext,
		.gpa = stext - KERNEL_MAP_VIRT + phys_base,
		.len = size - (stext - KERNEL_MAP_VIRT),
	};
}
