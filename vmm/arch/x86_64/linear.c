/* linear.c - guest memory by linear address, as a vCPU sees it. */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"
#include "mem.h"

enum { PAGE_BYTES = 4096 };

size_t linear_read(int vcpu_fd, const struct guest_mem *mem, uint64_t linear, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct kvm_translation tr = {.linear_address = linear + done};
		size_t n = PAGE_BYTES - (size_t)(tr.linear_address % PAGE_BYTES);

		if (n > len - done)
			n = len - done;
		if (ioctl(vcpu_fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid ||
		    guest_mem_read(mem, tr.physical_address, (char *)buf + done, n) < 0)
			break;
		done += n;
	}
	return done;
}
