/*
 * profile.h - which guest code makes exits: one in some exits is noted, with its reason, its address and the guest's
 * instruction pointer. Room for the notes is made before the vCPU runs; equal ones are counted.
 *
 * Threads: the vCPU's own writes; others read while it is held or joined.
 */
#ifndef VMM_VCPU_PROFILE_H
#define VMM_VCPU_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_run;

enum {
	VCPU_PROFILE_EVERY = 64,  /* exits per note on average */
	VCPU_PROFILE_ROOM = 4096, /* different notes; a power of two */
};

struct vcpu_profile_note {
	uint64_t pc;   /* linear */
	uint64_t addr; /* port or guest physical address of KVM_EXIT_IO and KVM_EXIT_MMIO; else 0 */
	uint64_t count; /* 0: free */
	uint32_t reason;
	bool is_write;
};

struct vcpu_profile {
	bool sync_regs; /* KVM_CAP_SYNC_REGS; else an ioctl for each note */
	uint32_t left;  /* exits until the next note */
	uint32_t random;
	uint64_t noted, no_room; /* exits; of those, in no note */
	struct vcpu_profile_note note[VCPU_PROFILE_ROOM];
};

/* NULL: no memory. To be freed. */
struct vcpu_profile *vcpu_profile_create(bool sync_regs);

/* On the vCPU's thread, around KVM_RUN: whether its exit is to be noted, and the note. */
static inline bool vcpu_profile_wants(struct vcpu_profile *profile)
{
	return --profile->left == 0;
}
void vcpu_profile_begin(const struct vcpu_profile *profile, struct kvm_run *run);
/* r: of KVM_RUN. An interruption does not count: the next exit is noted. */
void vcpu_profile_end(struct vcpu_profile *profile, int vcpu_fd, struct kvm_run *run, int r);

#endif
