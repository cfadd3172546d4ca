/*
 * ioeventfd.h - writes that KVM turns into a signal on an eventfd, without an exit (KVM_IOEVENTFD,
 * api.rst 4.59).
 */
#ifndef VMM_IOEVENTFD_H
#define VMM_IOEVENTFD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "iobus.h"
#include "kvm.h"

struct ioeventfd {
	enum iobus_space space;
	uint64_t addr;
	uint32_t len;  /* bytes of the write: 1, 2, 4 or 8; 0: of any length, without a match */
	bool has_data; /* only writes of data (datamatch) */
	uint64_t data;
	int fd;              /* the eventfd, non-blocking; -1 when there is none */
	bool registered;     /* with KVM */
	bool was_registered; /* at some time */
};

/* Whether this host has them at all, and those of length 0. */
bool ioeventfd_supported(const struct kvm *kvm);
bool ioeventfd_takes_any_length(const struct kvm *kvm);

/* Makes the eventfd, counting from 0; the other members are filled in. -errno with diag. */
int ioeventfd_init(struct ioeventfd *io, struct diag *diag);
/* Unregisters and closes; nothing for one that was not made or whose fd is -1. */
void ioeventfd_fini(struct ioeventfd *io, const struct kvm *kvm);

/* -errno with diag: -EEXIST for an equal one, -ENOSPC past KVM's limit. */
int ioeventfd_register(struct ioeventfd *io, const struct kvm *kvm, struct diag *diag);

/* Registers one that was registered before; nothing for another. Errors as ioeventfd_register(). */
int ioeventfd_register_again(struct ioeventfd *io, const struct kvm *kvm, struct diag *diag);

/* Once this returned no write signals the eventfd any more; what it has counted stays. */
void ioeventfd_unregister(struct ioeventfd *io, const struct kvm *kvm);

/* How often the guest has hit it since the last call. */
uint64_t ioeventfd_read(const struct ioeventfd *io);

#endif
