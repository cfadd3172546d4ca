/* run.h - KVM_RUN by the shortest way: the C library's ioctl() takes 20 instructions more. */
#ifndef VMM_ARCH_RUN_H
#define VMM_ARCH_RUN_H

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* 0 or -errno, as ioctl(vcpu_fd, KVM_RUN, 0); errno is not changed. On the vCPU's thread. */
static inline int arch_kvm_run(int vcpu_fd)
{
#ifdef __x86_64__
	long r = SYS_ioctl;

	__asm__ volatile("syscall"
			 : "+a"(r)
			 : "D"((long)vcpu_fd), "S"(KVM_RUN), "d"(0L)
			 : "rcx", "r11", "cc", "memory");
	return (int)r;
#else
	return ioctl(vcpu_fd, KVM_RUN, 0) < 0 ? -errno : 0;
#endif
}

#endif
