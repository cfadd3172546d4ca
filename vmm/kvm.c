#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void remedy_open(int err, struct diag *diag)
{
	struct stat st;

	switch (-err) {
	case ENOENT:
		diag_remedy(
			diag,
			"load the module (modprobe kvm_intel or kvm_amd), enable virtualization in "
			"the firmware, or pass /dev/kvm into the container; see `tollgate doctor`");
		break;
	case EACCES:
	case EPERM:
		if (stat(KVM_DEVICE_PATH, &st) == 0 && st.st_gid != 0 && (st.st_mode & S_IRGRP))
			diag_remedy(diag, "join the group that owns it (sudo usermod -aG kvm "
					  "$USER, then log in "
					  "again); see `tollgate doctor`");
		else
			diag_remedy(diag,
				    "run as root, or give your user access to it (a udev rule with "
				    "GROUP=\"kvm\", MODE=\"0660\"); see `tollgate doctor`");
		break;
	default: diag_remedy(diag, "see `tollgate doctor`"); break;
	}
}

int kvm_open(struct kvm *kvm, struct diag *diag)
{
	int version, bytes;

	*kvm = (struct kvm){.fd = -1, .vm_fd = -1};
	kvm->fd = open(KVM_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (kvm->fd < 0) {
		int err = -errno;

		diag_set(diag, err, "kvm-open", "open %s", KVM_DEVICE_PATH);
		remedy_open(err, diag);
		return err;
	}
	version = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		int err = version < 0 ? -errno : -EPROTO;

		diag_set(diag, err, "kvm-api-version",
			 "%s speaks KVM API version %d, and %d is needed", KVM_DEVICE_PATH, version,
			 KVM_API_VERSION);
		diag_remedy(diag, "check that %s is the KVM device", KVM_DEVICE_PATH);
		kvm_close(kvm);
		return err;
	}
	bytes = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (bytes < (int)sizeof(struct kvm_run)) {
		int err = bytes < 0 ? -errno : -EPROTO;

		diag_set(diag, err, "kvm-mmap-size", "KVM_GET_VCPU_MMAP_SIZE");
		kvm_close(kvm);
		return err;
	}
	kvm->run_bytes = (size_t)bytes;
	return 0;
}

void kvm_vm_close(struct kvm *kvm)
{
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	kvm->vm_fd = -1;
}

void kvm_close(struct kvm *kvm)
{
	kvm_vm_close(kvm);
	if (kvm->fd >= 0)
		close(kvm->fd);
	kvm->fd = -1;
}

int kvm_cap(const struct kvm *kvm, int cap)
{
	int r = ioctl(kvm->vm_fd >= 0 ? kvm->vm_fd : kvm->fd, KVM_CHECK_EXTENSION, cap);

	return r < 0 ? 0 : r;
}

int kvm_vm_create(struct kvm *kvm, struct diag *diag)
{
	kvm->nr_slots = 0;
	do
		kvm->vm_fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);
	while (kvm->vm_fd < 0 &&
	       errno == EINTR); /* a signal during the allocation of page tables */
	if (kvm->vm_fd < 0) {
		int err = -errno;

		diag_set(diag, err, "kvm-vm-create", "KVM_CREATE_VM");
		diag_remedy(diag, "another hypervisor may hold VMX or SVM; see `tollgate doctor`");
		return err;
	}
	return 0;
}

unsigned kvm_mem_slot_new(struct kvm *kvm)
{
	return kvm->nr_slots++;
}

int kvm_mem_slot_set(const struct kvm *kvm, unsigned slot, uint64_t gpa, uint64_t len, void *host,
		     bool readonly)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

bool kvm_has_readonly_mem(const struct kvm *kvm)
{
	return kvm_cap(kvm, KVM_CAP_READONLY_MEM) > 0;
}

int kvm_mem_slots_set(struct kvm *kvm, const struct guest_mem *mem, struct diag *diag)
{
	for (unsigned i = 0; i < mem->nr_regions; i++) {
		const struct guest_region *r = &mem->region[i];
		const unsigned slot = kvm_mem_slot_new(kvm);
		int err = kvm_mem_slot_set(kvm, slot, r->gpa, r->len, r->host, false);

		if (err < 0)
			return diag_set(diag, err, "memory-slot-set",
					"memory slot %u at %#llx, %#llx bytes", slot,
					(unsigned long long)r->gpa, (unsigned long long)r->len);
	}
	return 0;
}
