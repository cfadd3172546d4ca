/*
 * kvm_stats.h - KVM's own counters through KVM_GET_STATS_FD (api.rst 4.133), a binary format that
 * describes itself.
 */
#ifndef VMM_KVM_STATS_H
#define VMM_KVM_STATS_H

#include <stddef.h>
#include <stdint.h>

enum { KVM_STATS_NAME_MAX = 48 };

struct kvm_stat {
	char name[KVM_STATS_NAME_MAX];
	uint64_t value; /* for a histogram: the sum of its buckets */
};

/*
 * The counters of a VM or a vCPU. *ret (n of them) is the caller's to free. Returns n or -errno:
 * -ENOTTY and the like where the host lacks it, -EPROTO for a format we cannot read.
 */
int kvm_stats_read(int vm_or_vcpu_fd, struct kvm_stat **ret);

#endif
