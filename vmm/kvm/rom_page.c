#include "kvm/rom_page.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int kvm_page_create(const struct kvm *kvm, unsigned slot, uint64_t gpa, uint8_t **ret_page)
{
	void *page;
	int r;

	assert(gpa % KVM_PAGE_BYTES == 0);
	if (!kvm_has_readonly_mem(kvm))
		return -ENOTSUP;
	page = mmap(NULL, KVM_PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (page == MAP_FAILED)
		return -errno;
	memset(page, UINT8_MAX, KVM_PAGE_BYTES); /* beyond the registers nothing is there */
	r = kvm_mem_slot_set(kvm, slot, gpa, KVM_PAGE_BYTES, page, true);
	if (r < 0) {
		munmap(page, KVM_PAGE_BYTES);
		return r;
	}
	*ret_page = page;
	return 0;
}

int kvm_page_remove(const struct kvm *kvm, unsigned slot, uint64_t gpa, uint8_t *page)
{
	return kvm_mem_slot_set(kvm, slot, gpa, 0, page, true);
}

int kvm_page_put_back(const struct kvm *kvm, unsigned slot, uint64_t gpa, uint8_t *page)
{
	return kvm_mem_slot_set(kvm, slot, gpa, KVM_PAGE_BYTES, page, true);
}

void kvm_page_destroy(uint8_t *page)
{
	if (page)
		munmap(page, KVM_PAGE_BYTES);
}
