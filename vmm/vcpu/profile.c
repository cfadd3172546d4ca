#include "vcpu/profile.h"

#include <linux/kvm.h>
#include <stdlib.h>

#include "arch/arch.h"

enum { PROBES_MAX = 16 };

/* Irregular, because a driver's exits are regular: from half to one and a half of the average. */
static void count_anew(struct vcpu_profile *profile)
{
	uint32_t r = profile->random; /* Marsaglia's xorshift32 */

	r ^= r << 13;
	r ^= r >> 17;
	r ^= r << 5;
	profile->random = r;
	profile->left = VCPU_PROFILE_EVERY / 2 + r % VCPU_PROFILE_EVERY;
}

struct vcpu_profile *vcpu_profile_create(bool sync_regs)
{
	struct vcpu_profile *profile = calloc(1, sizeof(*profile));

	if (!profile)
		return NULL;
	profile->sync_regs = sync_regs;
	profile->random = 0x9e3779b9;
	count_anew(profile);
	return profile;
}

void vcpu_profile_begin(const struct vcpu_profile *profile, struct kvm_run *run)
{
	if (profile->sync_regs)
		arch_sample_ask(run);
}

static struct vcpu_profile_note note_of(const struct kvm_run *run, uint64_t pc)
{
	struct vcpu_profile_note note = {.pc = pc, .reason = run->exit_reason};

	if (run->exit_reason == KVM_EXIT_IO) {
		note.addr = run->io.port;
		note.is_write = run->io.direction == KVM_EXIT_IO_OUT;
	} else if (run->exit_reason == KVM_EXIT_MMIO) {
		note.addr = run->mmio.phys_addr;
		note.is_write = run->mmio.is_write;
	}
	return note;
}

static bool is_same_note(const struct vcpu_profile_note *a, const struct vcpu_profile_note *b)
{
	return a->pc == b->pc && a->addr == b->addr && a->reason == b->reason &&
	       a->is_write == b->is_write;
}

static void note_add(struct vcpu_profile *profile, const struct vcpu_profile_note *note)
{
	const uint64_t hash =
		(note->pc ^ note->addr << 20 ^ note->reason) * UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned i = 0; i < PROBES_MAX; i++) {
		struct vcpu_profile_note *at =
			&profile->note[((hash >> 40) + i) % VCPU_PROFILE_ROOM];

		if (at->count == 0)
			*at = *note;
		if (is_same_note(at, note)) {
			at->count++;
			return;
		}
	}
	profile->no_room++;
}

void vcpu_profile_end(struct vcpu_profile *profile, int vcpu_fd, struct kvm_run *run, int r)
{
	struct vcpu_profile_note note;
	uint64_t pc;

	if (r < 0) {
		profile->left = 1;
		return;
	}
	count_anew(profile);
	pc = arch_sample_pc(profile->sync_regs ? run : NULL, vcpu_fd);
	if (profile->sync_regs)
		arch_sample_done(run);
	note = note_of(run, pc);
	profile->noted++;
	note_add(profile, &note);
}
