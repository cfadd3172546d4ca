/* target.h - what the guest accesses: a device that does nothing, the ranges around it, and ioeventfds. */
#ifndef VMM_MEASURE_TARGET_H
#define VMM_MEASURE_TARGET_H

#include <stdint.h>

#include "base/diag.h"
#include "device.h"
#include "iobus.h"
#include "ioeventfd.h"

/* The device, the caller's to destroy. -errno with diag. */
int target_create(struct device **ret, struct diag *diag);

/*
 * Puts the device on the bus at addr, width bytes, and at `more` ranges of 4 bytes that go around it. -errno with diag:
 * -EEXIST when addr is taken, others when there is no room for that many.
 */
int target_add(struct iobus *bus, enum iobus_space space, struct device *target, uint64_t addr,
	       unsigned width, unsigned more, struct diag *diag);

/* Where on the port bus the i-th of them is, when addr is below 0x1000. */
uint64_t target_range_port(unsigned i);

/* n open files and some more: the soft limit is raised. -EINVAL with diag when the hard limit does not allow it. */
int target_raise_open_files(unsigned ioeventfds, struct diag *diag);

struct ioeventfd_set {
	struct ioeventfd *io;
	unsigned nr;
};

/*
 * n of them, registered: the first is as *first, and each has the next datamatch and an address `step` bytes on. After
 * a failure, too, ioeventfd_set_fini() takes it, and it takes a zeroed one. -errno with diag.
 */
int ioeventfd_set_init(struct ioeventfd_set *set, unsigned n, const struct ioeventfd *first,
		       uint64_t step, const struct kvm *kvm, struct diag *diag);
void ioeventfd_set_fini(struct ioeventfd_set *set, const struct kvm *kvm);

/* How often the guest has hit any of them since the last call. */
uint64_t ioeventfd_set_read(const struct ioeventfd_set *set);

#endif
