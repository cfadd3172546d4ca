/* The state in which the boot processor enters a kernel, one function a protocol. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"
#include "arch/x86_64/layout.h"
#include "mem.h"

#define CR0_PE           UINT64_C(0x1)
#define CR0_ET           UINT64_C(0x10)
#define CR0_PG           UINT64_C(0x80000000)
#define CR4_PAE          UINT64_C(0x20)
#define EFER_LME         UINT64_C(0x100)
#define EFER_LMA         UINT64_C(0x400)
#define MULTIBOOT_MAGIC  0x2badb002
#define MULTIBOOT2_MAGIC 0x36d76289

enum {
	RFLAGS_RESERVED = 1 << 1,
	SEG_CODE = 0xb, /* execute/read, accessed */
	SEG_DATA = 0x3, /* read/write, accessed */
	SEG_TSS = 0xb,  /* busy, 32 or 64 bits */
	/* Selectors as Linux's boot.rst wants them for the 64-bit entry; the others take any. */
	SEL_CODE = 0x10,
	SEL_DATA = 0x18,
	SEL_TSS = 0x20,
	GDT_ENTRIES = 6, /* a 64-bit TSS takes two */
	PTE_PRESENT_WRITE = 0x3,
	PTE_HUGE = 0x80,
	PAGE_BYTES = 4096,
	IDENTITY_GIB = 4,
	BIOS_FIRST_DISK = 0x80, /* DL, as a BIOS enters a boot sector */
};

struct cpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool long_mode)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.db = !long_mode,
		.l = long_mode,
		.g = 1,
	};
}

/* The descriptor-table entry of such a segment, for kernels that reload a selector. */
static uint64_t segment_descriptor(const struct kvm_segment *s)
{
	const uint64_t access = UINT64_C(0x80) | (uint64_t)s->s << 4 | s->type;
	const uint64_t flags = (uint64_t)s->g << 3 | (uint64_t)s->db << 2 | (uint64_t)s->l << 1;

	return UINT64_C(0xffff) | access << 40 | (flags << 4 | 0xf) << 48;
}

static int gdt_write(struct cpu_state *cpu, struct guest_mem *mem, struct diag *diag)
{
	uint64_t gdt[GDT_ENTRIES] = {0};
	int r;

	gdt[SEL_CODE / 8] = segment_descriptor(&cpu->sregs.cs);
	gdt[SEL_DATA / 8] = segment_descriptor(&cpu->sregs.ds);
	r = guest_mem_write(mem, LAYOUT_GDT_GPA, gdt, sizeof(gdt));
	if (r < 0)
		return diag_set(diag, r, "gdt-write", "write the GDT");
	cpu->sregs.gdt.base = LAYOUT_GDT_GPA;
	cpu->sregs.gdt.limit = sizeof(gdt) - 1;
	return 0;
}

static void enter_flat_segments(struct cpu_state *cpu, bool long_mode)
{
	struct kvm_sregs *s = &cpu->sregs;
	struct kvm_segment data = flat_segment(SEL_DATA, SEG_DATA, false);

	s->cs = flat_segment(SEL_CODE, SEG_CODE, long_mode);
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = (struct kvm_segment){
		.limit = 0x67, .selector = SEL_TSS, .type = SEG_TSS, .present = 1};
	s->cr0 = CR0_PE | CR0_ET;
	s->cr3 = s->cr4 = s->efer = 0;
}

/* PVH and both Multiboots: a GDT is for the kernel to bring, so none takes memory that it may load to. */
static int enter_bare(struct cpu_state *cpu)
{
	enter_flat_segments(cpu, false);
	cpu->sregs.gdt.base = 0;
	cpu->sregs.gdt.limit = 0;
	return 0;
}

/* EBX, EBP and EDI are 0 already, interrupts off (boot.rst, "32-bit Boot Protocol"). */
static int enter_linux32(struct cpu_state *cpu, struct guest_mem *mem, struct diag *diag)
{
	enter_flat_segments(cpu, false);
	return gdt_write(cpu, mem, diag);
}

/* The first 4 GiB 1:1 in 2 MiB pages: every x86-64 has those. */
static int page_tables_write(struct guest_mem *mem, struct diag *diag)
{
	const uint64_t pdpt_gpa = LAYOUT_PAGE_TABLES_GPA + PAGE_BYTES;
	const uint64_t pd_gpa = pdpt_gpa + PAGE_BYTES;
	uint64_t table[PAGE_BYTES / 8] = {pdpt_gpa | PTE_PRESENT_WRITE};
	int r = guest_mem_write(mem, LAYOUT_PAGE_TABLES_GPA, table, sizeof(table));

	for (uint64_t i = 0; i < IDENTITY_GIB; i++)
		table[i] = (pd_gpa + i * PAGE_BYTES) | PTE_PRESENT_WRITE;
	if (r == 0)
		r = guest_mem_write(mem, pdpt_gpa, table, sizeof(table));
	for (uint64_t pd = 0; r == 0 && pd < IDENTITY_GIB; pd++) {
		for (uint64_t i = 0; i < PAGE_BYTES / 8; i++)
			table[i] = (pd << 30) | (i << 21) | PTE_HUGE | PTE_PRESENT_WRITE;
		r = guest_mem_write(mem, pd_gpa + pd * PAGE_BYTES, table, sizeof(table));
	}
	if (r < 0)
		return diag_set(diag, r, "page-tables-write", "write the page tables");
	return 0;
}

static int enter_long_mode(struct cpu_state *cpu, struct guest_mem *mem, struct diag *diag)
{
	int r;

	enter_flat_segments(cpu, true);
	r = gdt_write(cpu, mem, diag);
	if (r == 0)
		r = page_tables_write(mem, diag);
	cpu->sregs.cr3 = LAYOUT_PAGE_TABLES_GPA;
	cpu->sregs.cr4 = CR4_PAE;
	cpu->sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
	cpu->sregs.efer = EFER_LME | EFER_LMA;
	return r;
}

static void enter_real_mode(struct cpu_state *cpu, uint64_t entry_gpa)
{
	/* A boot sector is linked for segment 0, with its stack below it. */
	const bool as_bios = entry_gpa == BOOT_SECTOR_GPA;
	const uint64_t gpa = as_bios ? 0 : entry_gpa;
	struct kvm_segment *const segs[] = {&cpu->sregs.ds, &cpu->sregs.es, &cpu->sregs.ss,
					    &cpu->sregs.fs, &cpu->sregs.gs, &cpu->sregs.cs};

	for (size_t i = 0; i < sizeof(segs) / sizeof(segs[0]); i++) {
		segs[i]->base = gpa;
		segs[i]->selector = (uint16_t)(gpa >> 4);
	}
	cpu->regs.rip = entry_gpa - gpa;
	if (as_bios) {
		cpu->regs.rsp = BOOT_SECTOR_GPA;
		cpu->regs.rdx = BIOS_FIRST_DISK;
	}
}

static int cpu_enter(struct cpu_state *cpu, struct guest_mem *mem, const struct arch_entry *entry,
		     struct diag *diag)
{
	cpu->regs = (struct kvm_regs){.rip = entry->entry_gpa, .rflags = RFLAGS_RESERVED};
	switch (entry->protocol) {
	case BOOT_PVH: cpu->regs.rbx = entry->info_gpa; return enter_bare(cpu);
	case BOOT_MULTIBOOT:
	case BOOT_MULTIBOOT2:
		cpu->regs.rax =
			entry->protocol == BOOT_MULTIBOOT ? MULTIBOOT_MAGIC : MULTIBOOT2_MAGIC;
		cpu->regs.rbx = entry->info_gpa;
		return enter_bare(cpu);
	case BOOT_LINUX32: cpu->regs.rsi = entry->info_gpa; return enter_linux32(cpu, mem, diag);
	case BOOT_LINUX64:
	case BOOT_FLAT_LONG:
		cpu->regs.rsi = entry->info_gpa;
		return enter_long_mode(cpu, mem, diag);
	case BOOT_FLAT_REAL: enter_real_mode(cpu, entry->entry_gpa); return 0;
	}
	return diag_set(diag, -EINVAL, "boot-protocol-unknown", "boot protocol %d is unknown",
			(int)entry->protocol);
}

#define PROTECTED_MODE "32-bit protected mode, no paging, interrupts off, flat segments"
#define LONG_MODE      "64-bit mode, the first 4 GiB mapped 1:1, interrupts off, flat segments"

const char *arch_entry_state(enum boot_protocol protocol, uint64_t entry_gpa)
{
	switch (protocol) {
	case BOOT_PVH: return PROTECTED_MODE " without a GDT; EBX: hvm_start_info";
	case BOOT_MULTIBOOT:
		return PROTECTED_MODE " without a GDT; EAX: 0x2badb002, EBX: Multiboot information";
	case BOOT_MULTIBOOT2:
		return PROTECTED_MODE
			" without a GDT; EAX: 0x36d76289, EBX: Multiboot 2 information";
	case BOOT_LINUX32: return PROTECTED_MODE " of a GDT; ESI: boot_params";
	case BOOT_LINUX64: return LONG_MODE " of a GDT; RSI: boot_params";
	case BOOT_FLAT_LONG: return LONG_MODE " of a GDT; RSP: 0";
	case BOOT_FLAT_REAL:
		return entry_gpa == BOOT_SECTOR_GPA
			       ? "real mode, segments 0, interrupts off; SP: 0x7c00, DL: 0x80"
			       : "real mode, segments at the entry, interrupts off; SP: 0";
	}
	return "";
}

int arch_vcpu_enter(int vcpu_fd, struct guest_mem *mem, const struct arch_entry *entry,
		    struct diag *diag)
{
	struct cpu_state cpu;
	int r;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &cpu.sregs) < 0)
		return diag_set(diag, -errno, "sregs-read", "KVM_GET_SREGS");
	/* Protected mode: an exception before the kernel has an IDT is a triple fault. */
	if (entry->protocol != BOOT_FLAT_REAL)
		cpu.sregs.idt.limit = 0;
	r = cpu_enter(&cpu, mem, entry, diag);
	if (r < 0)
		return r;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &cpu.sregs) < 0)
		return diag_set(diag, -errno, "sregs-write", "KVM_SET_SREGS");
	if (ioctl(vcpu_fd, KVM_SET_REGS, &cpu.regs) < 0)
		return diag_set(diag, -errno, "regs-write", "KVM_SET_REGS");
	return 0;
}

int arch_vcpu_copy(int from_fd, int to_fd, struct diag *diag)
{
	struct kvm_mp_state state;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(from_fd, KVM_GET_MP_STATE, &state) < 0 ||
	    ioctl(from_fd, KVM_GET_SREGS, &sregs) < 0 || ioctl(from_fd, KVM_GET_REGS, &regs) < 0)
		return diag_set(diag, -errno, "vcpu-registers-read",
				"read the registers of a vCPU");
	if (ioctl(to_fd, KVM_SET_MP_STATE, &state) < 0 || ioctl(to_fd, KVM_SET_SREGS, &sregs) < 0 ||
	    ioctl(to_fd, KVM_SET_REGS, &regs) < 0)
		return diag_set(diag, -errno, "vcpu-registers-copy",
				"copy the registers of a vCPU");
	return 0;
}
