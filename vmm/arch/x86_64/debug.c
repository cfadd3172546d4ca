/*
 * debug.c - breakpoints and watchpoints by KVM_SET_GUEST_DEBUG, and why a vCPU stopped (Documentation/virt/kvm/api.rst;
 * SDM volume 3, 18.2 "Debug Registers"). While a debugger uses the debug registers, the guest's own do nothing.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"

enum {
	INSN_BYTES_MAX = 15,
	VECTOR_BP = 3,
	DR6_POINTS = 0xf,
	DR6_STEP = 1 << 14,
	DR7_EXACT = 0x700, /* LE, GE and the bit that reads as 1 */
};

const uint8_t arch_breakpoint[] = {0xcc}; /* INT3 */
const size_t arch_breakpoint_bytes = sizeof(arch_breakpoint);

/* DR7's four bits of a point: R/W, then LEN. */
static uint64_t point_bits(const struct arch_debug_point *point)
{
	const unsigned rw = point->kind == ARCH_DEBUG_WRITE    ? 1
			    : point->kind == ARCH_DEBUG_ACCESS ? 3
							       : 0;
	const unsigned len = point->len == 8 ? 2 : point->len - 1U; /* 1, 2, 4: 0, 1, 3 */

	return rw | len << 2;
}

int arch_vcpu_debug(int vcpu_fd, const struct arch_debug *debug)
{
	struct kvm_guest_debug set = {0};
	uint64_t dr7 = DR7_EXACT;

	if (debug->breakpoints || debug->is_guests)
		set.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
	if (debug->is_guests)
		set.control |= KVM_GUESTDBG_INJECT_BP;
	if (debug->step)
		set.control |=
			KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ;
	for (unsigned i = 0; i < ARCH_DEBUG_POINTS; i++) {
		const struct arch_debug_point *point = &debug->point[i];

		if (point->kind == ARCH_DEBUG_NONE)
			continue;
		set.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
		set.arch.debugreg[i] = point->addr;
		dr7 |= UINT64_C(2) << (2 * i) | point_bits(point) << (16 + 4 * i);
	}
	set.arch.debugreg[7] = dr7;
	if (ioctl(vcpu_fd, KVM_SET_GUEST_DEBUG, &set) == 0)
		return 0;
	if (errno != EINVAL || !debug->step)
		return -errno;
	set.control &= ~(
		uint32_t)KVM_GUESTDBG_BLOCKIRQ; /* Linux before 5.16: a step may enter a handler */
	return ioctl(vcpu_fd, KVM_SET_GUEST_DEBUG, &set) < 0 ? -errno : 0;
}

struct arch_debug_exit arch_debug_exit_of(const struct kvm_run *run)
{
	const struct kvm_debug_exit_arch *arch = &run->debug.arch;
	const unsigned points = arch->dr6 & DR6_POINTS;

	return (struct arch_debug_exit){
		.linear = arch->pc,
		.is_breakpoint = arch->exception == VECTOR_BP,
		.is_step = arch->exception != VECTOR_BP && (arch->dr6 & DR6_STEP),
		.point = arch->exception != VECTOR_BP && points ? __builtin_ctz(points) : -1,
	};
}

/* struct emulation_failure of <linux/kvm.h>: data[0] flags, then length and instruction bytes. */
bool arch_debug_failed(int vcpu_fd, const struct kvm_run *run, struct arch_debug_exit *ret)
{
	const uint8_t *bytes = (const uint8_t *)&run->internal.data[1];
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || run->internal.ndata < 3 ||
	    !(run->internal.data[0] & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) ||
	    bytes[0] == 0 || bytes[0] > INSN_BYTES_MAX || bytes[1] != arch_breakpoint[0] ||
	    ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return false;
	*ret = (struct arch_debug_exit){
		.linear = sregs.cs.l ? regs.rip : sregs.cs.base + regs.rip,
		.is_breakpoint = true,
		.failed = true,
		.point = -1,
	};
	return true;
}
