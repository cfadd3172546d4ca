/*
 * registers.c - a vCPU's registers in the order in which gdb receives them (gdb's manual, "i386 Features"): its core,
 * SSE and segment features, and one of our own with what a kernel's author looks for.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"
#include "arch/x86_64/msr.h"
#include "base/macros.h"

#define MSR_KERNEL_GS_BASE 0xc0000102

enum { TAG_EMPTY = 3, STACK_REGISTERS = 8 };

/* Rows point into this. */
struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	uint16_t tags; /* two bits per register, where KVM has one */
	uint64_t kernel_gs_base;
	uint32_t zero; /* segments of x87 instructions, which 64-bit code does not save */
};

struct row {
	const char *name, *type;
	uint16_t off;         /* in struct state */
	uint8_t bytes, field; /* for gdb, and there */
	bool read_only;
	const char *feature; /* begins with this row */
};

#define ROW(name_, type_, bytes_, member)                                                          \
	.name = (name_), .type = (type_), .bytes = (bytes_),                                       \
	.off = offsetof(struct state, member), .field = sizeof(((struct state *)0)->member)
#define GENERAL(name)                                                                              \
	{                                                                                          \
		ROW(#name, "int64", 8, regs.name)                                                  \
	}
#define SELECTOR(name)                                                                             \
	{                                                                                          \
		ROW(#name, "int32", 4, sregs.name.selector)                                        \
	}
#define STACK(n)                                                                                   \
	{                                                                                          \
		ROW("st" #n, "i387_ext", 10, fpu.fpr[n])                                           \
	}
#define XMM(n)                                                                                     \
	{                                                                                          \
		ROW("xmm" #n, "vec128", 16, fpu.xmm[n])                                            \
	}
#define SYSTEM(name)                                                                               \
	{                                                                                          \
		ROW(#name, "int64", 8, sregs.name)                                                 \
	}

static const struct row rows[] = {
	{ROW("rax", "int64", 8, regs.rax), .feature = "org.gnu.gdb.i386.core"},
	GENERAL(rbx),
	GENERAL(rcx),
	GENERAL(rdx),
	GENERAL(rsi),
	GENERAL(rdi),
	{ROW("rbp", "data_ptr", 8, regs.rbp)},
	{ROW("rsp", "data_ptr", 8, regs.rsp)},
	GENERAL(r8),
	GENERAL(r9),
	GENERAL(r10),
	GENERAL(r11),
	GENERAL(r12),
	GENERAL(r13),
	GENERAL(r14),
	GENERAL(r15),
	{ROW("rip", "code_ptr", 8, regs.rip)},
	{ROW("eflags", "int32", 4, regs.rflags)},
	SELECTOR(cs),
	SELECTOR(ss),
	SELECTOR(ds),
	SELECTOR(es),
	SELECTOR(fs),
	SELECTOR(gs),
	STACK(0),
	STACK(1),
	STACK(2),
	STACK(3),
	STACK(4),
	STACK(5),
	STACK(6),
	STACK(7),
	{ROW("fctrl", "int", 4, fpu.fcw)},
	{ROW("fstat", "int", 4, fpu.fsw)},
	{ROW("ftag", "int", 4, tags)},
	{ROW("fiseg", "int", 4, zero), .read_only = true},
	{ROW("fioff", "int", 4, fpu.last_ip)},
	{ROW("foseg", "int", 4, zero), .read_only = true},
	{ROW("fooff", "int", 4, fpu.last_dp)},
	{ROW("fop", "int", 4, fpu.last_opcode)},
	{ROW("xmm0", "vec128", 16, fpu.xmm[0]), .feature = "org.gnu.gdb.i386.sse"},
	XMM(1),
	XMM(2),
	XMM(3),
	XMM(4),
	XMM(5),
	XMM(6),
	XMM(7),
	XMM(8),
	XMM(9),
	XMM(10),
	XMM(11),
	XMM(12),
	XMM(13),
	XMM(14),
	XMM(15),
	{ROW("mxcsr", "int", 4, fpu.mxcsr)},
	{ROW("fs_base", "int64", 8, sregs.fs.base), .feature = "org.gnu.gdb.i386.segments"},
	{ROW("gs_base", "int64", 8, sregs.gs.base)},
	{ROW("cr0", "int64", 8, sregs.cr0), .feature = "org.tollgate.x86.system"},
	SYSTEM(cr2),
	SYSTEM(cr3),
	SYSTEM(cr4),
	SYSTEM(cr8),
	SYSTEM(efer),
	{ROW("k_gs_base", "int64", 8, kernel_gs_base)},
	{ROW("cs_base", "int64", 8, sregs.cs.base)},
	{ROW("ss_base", "int64", 8, sregs.ss.base)},
	{ROW("ds_base", "int64", 8, sregs.ds.base)},
	{ROW("es_base", "int64", 8, sregs.es.base)},
	{ROW("tr_base", "int64", 8, sregs.tr.base)},
	{ROW("gdt_base", "int64", 8, sregs.gdt.base)},
	{ROW("idt_base", "int64", 8, sregs.idt.base)},
};

uint64_t x86_kernel_gs_base(int vcpu_fd)
{
	uint64_t val = 0;

	msr_get(vcpu_fd, MSR_KERNEL_GS_BASE, &val);
	return val;
}

static int state_read(int vcpu_fd, struct state *s)
{
	memset(s, 0, sizeof(*s));
	if (ioctl(vcpu_fd, KVM_GET_REGS, &s->regs) < 0 ||
	    ioctl(vcpu_fd, KVM_GET_SREGS, &s->sregs) < 0 ||
	    ioctl(vcpu_fd, KVM_GET_FPU, &s->fpu) < 0)
		return -errno;
	s->kernel_gs_base = x86_kernel_gs_base(vcpu_fd);
	for (unsigned i = 0; i < STACK_REGISTERS; i++)
		if (!(s->fpu.ftwx >> i & 1))
			s->tags |= (uint16_t)(TAG_EMPTY << (2 * i));
	return 0;
}

static int state_write(int vcpu_fd, const struct state *old, struct state *s)
{
	s->fpu.ftwx = 0;
	for (unsigned i = 0; i < STACK_REGISTERS; i++)
		if ((s->tags >> (2 * i) & TAG_EMPTY) != TAG_EMPTY)
			s->fpu.ftwx |= (uint8_t)(1 << i);
	/* Only what changed: KVM refuses, and takes time for, system registers that a user did not touch. */
	if (memcmp(&old->sregs, &s->sregs, sizeof(s->sregs)) != 0 &&
	    ioctl(vcpu_fd, KVM_SET_SREGS, &s->sregs) < 0)
		return -errno;
	if (memcmp(&old->fpu, &s->fpu, sizeof(s->fpu)) != 0 &&
	    ioctl(vcpu_fd, KVM_SET_FPU, &s->fpu) < 0)
		return -errno;
	if (old->kernel_gs_base != s->kernel_gs_base &&
	    !msr_set(vcpu_fd, MSR_KERNEL_GS_BASE, s->kernel_gs_base))
		return -EINVAL;
	return ioctl(vcpu_fd, KVM_SET_REGS, &s->regs) < 0 ? -errno : 0;
}

static size_t field_bytes(const struct row *row)
{
	return row->field < row->bytes ? row->field : row->bytes;
}

int arch_registers_read(int vcpu_fd, uint8_t *buf)
{
	struct state s;
	int r = state_read(vcpu_fd, &s);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(buf, 0, rows[i].bytes);
		memcpy(buf, (const char *)&s + rows[i].off, field_bytes(&rows[i]));
		buf += rows[i].bytes;
	}
	return 0;
}

int arch_registers_write(int vcpu_fd, const uint8_t *buf)
{
	struct state old, s;
	int r = state_read(vcpu_fd, &old);

	if (r < 0)
		return r;
	s = old;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].read_only)
			memcpy((char *)&s + rows[i].off, buf, field_bytes(&rows[i]));
		buf += rows[i].bytes;
	}
	return state_write(vcpu_fd, &old, &s);
}

size_t arch_registers_bytes(void)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		n += rows[i].bytes;
	return n;
}

bool arch_register_place(unsigned n, size_t *ret_off, size_t *ret_len)
{
	size_t off = 0;

	if (n >= ARRAY_SIZE(rows))
		return false;
	for (unsigned i = 0; i < n; i++)
		off += rows[i].bytes;
	*ret_off = off;
	*ret_len = rows[n].bytes;
	return true;
}

static void print_register(FILE *out, const struct row *row)
{
	fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>\n", row->name, row->bytes * 8U,
		row->type);
}

void arch_print_target(FILE *out)
{
	fputs("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
	      "<architecture>i386:x86-64</architecture>\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].feature)
			fprintf(out, "%s<feature name=\"%s\">\n", i ? "</feature>\n" : "",
				rows[i].feature);
		if (rows[i].feature && strcmp(rows[i].type, "vec128") == 0)
			fputs("<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
			      "<vector id=\"v2i\" type=\"int64\" count=\"2\"/>\n"
			      "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
			      "<field name=\"v2_int64\" type=\"v2i\"/>"
			      "<field name=\"uint128\" type=\"uint128\"/></union>\n",
			      out);
		print_register(out, &rows[i]);
	}
	fputs("</feature>\n</target>\n", out);
}
