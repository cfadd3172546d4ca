/* linear.c - guest memory by linear address, as a vCPU sees it. */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"
#include "mem.h"

enum { PAGE_BYTES = 4096 };

bool arch_translate(int vcpu_fd, uint64_t linear, uint64_t *ret_gpa)
{
	struct kvm_translation tr = {.linear_address = linear};

	if (ioctl(vcpu_fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid)
		return false;
	*ret_gpa = tr.physical_address;
	return true;
}

/* The bytes of len at linear that are in its page. */
static size_t in_page(uint64_t linear, size_t len)
{
	const size_t n = PAGE_BYTES - (size_t)(linear % PAGE_BYTES);

	return n < len ? n : len;
}

size_t arch_linear_read(int vcpu_fd, const struct guest_mem *mem, uint64_t linear, void *buf,
			size_t len)
{
	size_t done = 0;
	uint64_t gpa;

	while (done < len) {
		const size_t n = in_page(linear + done, len - done);

		if (!arch_translate(vcpu_fd, linear + done, &gpa) ||
		    guest_mem_read(mem, gpa, (char *)buf + done, n) < 0)
			break;
		done += n;
	}
	return done;
}

size_t arch_linear_write(int vcpu_fd, const struct guest_mem *mem, uint64_t linear, const void *buf,
			 size_t len)
{
	size_t done = 0;
	uint64_t gpa;

	while (done < len) {
		const size_t n = in_page(linear + done, len - done);

		if (!arch_translate(vcpu_fd, linear + done, &gpa) ||
		    guest_mem_write(mem, gpa, (const char *)buf + done, n) < 0)
			break;
		done += n;
	}
	return done;
}
