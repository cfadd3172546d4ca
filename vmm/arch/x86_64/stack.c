/*
 * stack.c - the callers of what a vCPU runs, by frame pointers: (R)BP points to the caller's (R)BP, after which is the
 * return address (System V ABI, AMD64 supplement, 3.2.2 "The Stack Frame").
 */
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"

enum { FRAMES_MAX = 64 };

struct stack_walk {
	int vcpu_fd;
	const struct guest_mem *mem;
	uint64_t base; /* of the stack's segment */
	size_t width;  /* bytes of a pointer */
};

/* The frame at fp: the caller's frame and the address that it returns to. */
static bool read_frame(const struct stack_walk *walk, uint64_t fp, uint64_t *ret_fp,
		       uint64_t *ret_pc)
{
	uint8_t frame[16];
	uint64_t word[2] = {0};

	if (arch_linear_read(walk->vcpu_fd, walk->mem, walk->base + fp, frame, 2 * walk->width) <
	    2 * walk->width)
		return false;
	memcpy(&word[0], frame, walk->width); /* little endian */
	memcpy(&word[1], frame + walk->width, walk->width);
	*ret_fp = word[0];
	*ret_pc = word[1];
	return true;
}

/* A caller's frame is above that of whom it called; the outermost one's pointer is 0, or its return address is. */
static void print_callers(FILE *out, const char *indent, const struct stack_walk *walk, uint64_t fp)
{
	uint64_t next, pc;

	for (unsigned i = 1; i <= FRAMES_MAX; i++) {
		if (!fp || !read_frame(walk, fp, &next, &pc) || !pc)
			return;
		fprintf(out, "%s#%-2u %016" PRIx64 "\n", indent, i, pc);
		if (next <= fp)
			return;
		fp = next;
	}
	fprintf(out, "%sand more\n", indent);
}

void arch_vcpu_print_stack(FILE *out, int vcpu_fd, const struct guest_mem *mem, const char *indent)
{
	struct kvm_regs r;
	struct kvm_sregs s;
	struct stack_walk walk = {.vcpu_fd = vcpu_fd, .mem = mem};

	if (ioctl(vcpu_fd, KVM_GET_REGS, &r) < 0 || ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0) {
		fprintf(out, "%sregisters cannot be read\n", indent);
		return;
	}
	walk.width = s.cs.l ? 8 : s.cs.db ? 4 : 2;
	walk.base = s.cs.l ? 0 : s.ss.base;
	fprintf(out, "%s#0  %016llx\n", indent, r.rip);
	print_callers(out, indent, &walk,
		      s.cs.l    ? r.rbp
		      : s.cs.db ? (uint32_t)r.rbp
				: (uint16_t)r.rbp);
}
