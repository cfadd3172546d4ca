/*
 * binary_stats.h - KVM's own counters through KVM_GET_STATS_FD (api.rst 4.133), a binary format that
 * describes itself.
 */
#ifndef VMM_KVM_BINARY_STATS_H
#define VMM_KVM_BINARY_STATS_H

#include <stddef.h>
#include <stdint.h>

enum { KVM_STATS_NAME_MAX = 48 };

struct kvm_stat {
	char name[KVM_STATS_NAME_MAX];
	uint64_t value; /* for a histogram: the sum of its buckets */
};

/*
 * A descriptor that is good for reading the counters of a VM or a vCPU at any time; the caller closes it.
 * -errno: -ENOTTY and the like where the host lacks it. For a vCPU that is in KVM_RUN this call waits until
 * it has left it.
 */
int kvm_stats_open(int vm_or_vcpu_fd);

/*
 * The counters of such a descriptor, or the error that there is instead of one. *ret (n of them) is the
 * caller's to free. Returns n or -errno: -EPROTO for a format we cannot read.
 */
int kvm_stats_read(int stats_fd, struct kvm_stat **ret);

#endif
