#include "ioeventfd.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool ioeventfd_supported(const struct kvm *kvm)
{
	return kvm_cap(kvm, KVM_CAP_IOEVENTFD) > 0;
}

bool ioeventfd_takes_any_length(const struct kvm *kvm)
{
	return kvm_cap(kvm, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
}

int ioeventfd_init(struct ioeventfd *io, struct diag *diag)
{
	io->registered = io->was_registered = false;
	io->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (io->fd >= 0)
		return 0;
	return diag_set(diag, -errno, "ioeventfd-create", "eventfd for an ioeventfd");
}

void ioeventfd_fini(struct ioeventfd *io, const struct kvm *kvm)
{
	ioeventfd_unregister(io, kvm);
	if (io->fd >= 0)
		close(io->fd);
	io->fd = -1;
}

static int ioeventfd_ioctl(const struct ioeventfd *io, const struct kvm *kvm, uint32_t flags)
{
	struct kvm_ioeventfd arg = {
		.addr = io->addr,
		.len = io->len,
		.fd = io->fd,
		.flags = flags,
	};

	if (io->space == IOBUS_PIO)
		arg.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (io->has_data) {
		arg.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
		arg.datamatch = io->data;
	}
	return ioctl(kvm->vm_fd, KVM_IOEVENTFD, &arg) < 0 ? -errno : 0;
}

int ioeventfd_register(struct ioeventfd *io, const struct kvm *kvm, struct diag *diag)
{
	int r = ioeventfd_ioctl(io, kvm, 0);

	if (r < 0)
		return diag_set(diag, r, "ioeventfd-register", "KVM_IOEVENTFD at %#llx",
				(unsigned long long)io->addr);
	io->registered = io->was_registered = true;
	return 0;
}

int ioeventfd_register_again(struct ioeventfd *io, const struct kvm *kvm, struct diag *diag)
{
	return io->was_registered ? ioeventfd_register(io, kvm, diag) : 0;
}

void ioeventfd_unregister(struct ioeventfd *io, const struct kvm *kvm)
{
	if (!io->registered)
		return;
	io->registered = false;
	ioeventfd_ioctl(io, kvm, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

uint64_t ioeventfd_read(const struct ioeventfd *io)
{
	uint64_t n;

	return read(io->fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}
