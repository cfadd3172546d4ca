/*
 * kernel_image.c - where a Linux kernel is (Documentation/arch/x86/x86_64/mm.rst): its image is mapped somewhere in the
 * GiB that ends the address space but for modules. KASLR moves it there by multiples of 2 MiB.
 */
#include "arch/arch.h"
#include "mem.h"

#define KERNEL_MAP   UINT64_C(0xffffffff80000000) /* __START_KERNEL_map */
#define KERNEL_PAGE  (UINT64_C(2) << 20)          /* the least CONFIG_PHYSICAL_ALIGN */
#define KERNEL_PAGES 512

const struct arch_kernel_move arch_kernel_move = {.bytes = KERNEL_PAGE, .nr = KERNEL_PAGES};

/* The longest run of pages that are mapped, and adjacent in RAM. */
bool arch_kernel_image(int vcpu_fd, const struct guest_mem *mem, struct arch_image *ret)
{
	struct arch_image run = {0}, longest = {0};

	for (unsigned i = 0; i < KERNEL_PAGES; i++) {
		const uint64_t linear = KERNEL_MAP + i * KERNEL_PAGE;
		uint64_t gpa;

		if (!arch_translate(vcpu_fd, linear, &gpa) ||
		    !guest_mem_ptr(mem, gpa, KERNEL_PAGE)) {
			run.len = 0;
			continue;
		}
		if (run.len == 0 || gpa != run.gpa + run.len ||
		    !guest_mem_ptr(mem, run.gpa, run.len + KERNEL_PAGE))
			run = (struct arch_image){.gpa = gpa, .linear = linear};
		run.len += KERNEL_PAGE;
		if (run.len > longest.len)
			longest = run;
	}
	*ret = longest;
	return longest.len > 0;
}
