/* A vCPU's registers for a person who must find out what went wrong. */
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/x86_64/disasm.h"
#include "arch/x86_64/internal.h"
#include "arch/x86_64/lapic.h"

enum {
	INSN_BYTES = 16,
	VECTORS = 256,
};

static const char *mode_name(const struct kvm_sregs *s)
{
	enum { CR0_PE = 1, EFER_LMA = 1 << 10 };

	if (!(s->cr0 & CR0_PE))
		return "real mode";
	if (!(s->efer & EFER_LMA))
		return s->cs.db ? "32-bit protected mode" : "16-bit protected mode";
	return s->cs.l ? "long mode" : "compatibility mode";
}

static void print_segment(FILE *out, const char *indent, const char *name,
			  const struct kvm_segment *s)
{
	fprintf(out, "%s%s %04x base %016llx limit %08x type %x dpl %u%s%s%s\n", indent, name,
		s->selector, s->base, s->limit, s->type, s->dpl, s->db ? " 32-bit" : "",
		s->l ? " 64-bit" : "", s->present ? "" : " not present");
}

static void print_code(FILE *out, const struct arch_view *view, uint64_t linear, unsigned bits)
{
	const char *indent = view->indent;
	char text[96];
	uint8_t code[INSN_BYTES];
	size_t n = arch_linear_read(view->vcpu_fd, view->mem, linear, code, sizeof(code));

	fprintf(out, "%sinstruction bytes at %#" PRIx64 ":", indent, linear);
	for (size_t i = 0; i < n; i++)
		fprintf(out, " %02x", code[i]);
	fprintf(out, n ? "\n" : " not in guest RAM\n");
	if (n && disasm_insn(code, n, linear, bits, text, sizeof(text)))
		fprintf(out, "%sinstruction: %s\n", indent, text);
}

static void print_vectors(FILE *out, const char *what, const struct kvm_lapic_state *lapic,
			  unsigned reg)
{
	bool any = false;

	fprintf(out, "%s", what);
	for (unsigned v = 0; v < VECTORS; v++) {
		if (lapic_get(lapic, reg + v / 32 * 16) >> v % 32 & 1) {
			fprintf(out, " %02x", v);
			any = true;
		}
	}
	if (!any)
		fprintf(out, " none");
}

/* An interrupt in service that its handler has not ended holds back all of its class and below. */
static void print_interrupts(FILE *out, int vcpu_fd, const char *indent)
{
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;

	if (ioctl(vcpu_fd, KVM_GET_MP_STATE, &mp) == 0 && mp.mp_state == KVM_MP_STATE_HALTED)
		fprintf(out, "%shalted: waits for an interrupt\n", indent);
	if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return;
	fprintf(out, "%sinterrupt vectors", indent);
	print_vectors(out, " in service:", &lapic, LAPIC_ISR);
	print_vectors(out, ", requested:", &lapic, LAPIC_IRR);
	fprintf(out, "\n");
}

static void print_symbol(FILE *out, const struct arch_view *view, uint64_t linear)
{
	char text[SYMBOL_TEXT_MAX];

	if (symbols_format(view->symbols, linear, text)[0])
		fprintf(out, "%sat %s\n", view->indent, text);
}

void arch_vcpu_print(FILE *out, const struct arch_view *view)
{
	const char *indent = view->indent;
	struct kvm_regs r;
	struct kvm_sregs s;

	if (ioctl(view->vcpu_fd, KVM_GET_REGS, &r) < 0 ||
	    ioctl(view->vcpu_fd, KVM_GET_SREGS, &s) < 0) {
		fprintf(out, "%sregisters cannot be read\n", indent);
		return;
	}
	fprintf(out, "%s%s\n", indent, mode_name(&s));
	if (r.rip == 0xfff0 && s.cs.base == 0xffff0000)
		fprintf(out,
			"%sthese are the values after INIT: this host's KVM resets the vCPU when "
			"it "
			"triple-faults\n",
			indent);
	fprintf(out, "%srip %016llx rflags %08llx\n", indent, r.rip, r.rflags);
	no_bios_print(out, indent, view->mem, &r, &s);
	print_symbol(out, view, s.cs.l ? r.rip : s.cs.base + r.rip);
	fprintf(out, "%srax %016llx rbx %016llx rcx %016llx rdx %016llx\n", indent, r.rax, r.rbx,
		r.rcx, r.rdx);
	fprintf(out, "%srsi %016llx rdi %016llx rbp %016llx rsp %016llx\n", indent, r.rsi, r.rdi,
		r.rbp, r.rsp);
	fprintf(out, "%sr8  %016llx r9  %016llx r10 %016llx r11 %016llx\n", indent, r.r8, r.r9,
		r.r10, r.r11);
	fprintf(out, "%sr12 %016llx r13 %016llx r14 %016llx r15 %016llx\n", indent, r.r12, r.r13,
		r.r14, r.r15);
	fprintf(out, "%scr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx efer %llx\n", indent, s.cr0,
		s.cr2, s.cr3, s.cr4, s.efer);
	print_segment(out, indent, "cs", &s.cs);
	print_segment(out, indent, "ss", &s.ss);
	print_segment(out, indent, "ds", &s.ds);
	print_segment(out, indent, "tr", &s.tr);
	fprintf(out, "%sgdt base %016llx limit %04x  idt base %016llx limit %04x\n", indent,
		s.gdt.base, s.gdt.limit, s.idt.base, s.idt.limit);
	print_interrupts(out, view->vcpu_fd, indent);
	print_code(out, view, s.cs.l ? r.rip : s.cs.base + r.rip, s.cs.l ? 64 : s.cs.db ? 32 : 16);
}
