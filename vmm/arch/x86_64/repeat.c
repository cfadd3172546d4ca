/* repeat.c - string instructions with REP: Intel SDM volume 2, "REP/REPE/REPZ/REPNE/REPNZ". */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/arch.h"

enum {
	INSN_BYTES = 15,
	OP_OUTS = 0x6e, /* of bytes; each is followed by that of words */
	OP_MOVS = 0xa4,
	OP_STOS = 0xaa,
	REX_FIRST = 0x40,
	REX_LAST = 0x4f,
	OPERAND_MAX = 8,
	PAGE_MASK = 0xfff,
};
#define RFLAGS_DF (UINT64_C(1) << 10)

static bool is_prefix(uint8_t byte, bool is_long)
{
	switch (byte) {
	case 0x26: /* ES, CS, SS, DS, FS, GS */
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66: /* operand size, address size */
	case 0x67:
	case 0xf0: /* LOCK, REPNE, REP */
	case 0xf2:
	case 0xf3: return true;
	default: return is_long && byte >= REX_FIRST && byte <= REX_LAST;
	}
}

/* The opcode of bytes for an instruction with REP that writes; 0: something else. */
static unsigned repeated_opcode(const uint8_t *code, size_t len, bool is_long)
{
	bool repeats = false;
	size_t i = 0;
	unsigned op;

	for (; i < len && is_prefix(code[i], is_long); i++)
		repeats |= code[i] == 0xf2 || code[i] == 0xf3;
	if (!repeats || i == len)
		return 0;
	op = code[i] & ~1U;
	return op == OP_OUTS || op == OP_MOVS || op == OP_STOS ? op : 0;
}

/* RDI has gone past the latest element. Its offset in a page is the same in linear and in physical addresses. */
static bool was_written(const struct kvm_regs *r, const struct kvm_sregs *s, uint64_t addr)
{
	const uint64_t linear = r->rdi + (s->cs.l ? 0 : s->es.base);

	if (r->rflags & RFLAGS_DF)
		return ((addr - linear) & PAGE_MASK) - 1 < 2 * OPERAND_MAX - 1;
	return ((linear - addr) & PAGE_MASK) - 1 < OPERAND_MAX;
}

bool arch_repeats_write(int vcpu_fd, const struct guest_mem *mem, uint64_t addr)
{
	uint8_t code[INSN_BYTES];
	struct kvm_regs r;
	struct kvm_sregs s;
	unsigned op;
	size_t len;

	if (ioctl(vcpu_fd, KVM_GET_REGS, &r) < 0 || ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0)
		return false;
	len = arch_linear_read(vcpu_fd, mem, s.cs.l ? r.rip : s.cs.base + r.rip, code,
			       sizeof(code));
	op = repeated_opcode(code, len, s.cs.l);
	if (op == OP_OUTS)
		return (uint16_t)r.rdx == addr;
	return op && was_written(&r, &s, addr);
}
