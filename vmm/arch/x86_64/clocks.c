/*
 * clocks.c - stops a guest's clocks while its vCPUs are held, and lets them go on from there.
 *
 * - kvmclock: set to what it showed (KVM_SET_CLOCK), and KVM reports the stop to the guest (KVM_KVMCLOCK_CTRL), so that
 *   its watchdogs do not take the pause for a lockup.
 * - TSC: its offset is made less by what was counted meanwhile (KVM_VCPU_TSC_OFFSET, since Linux 5.16). A write of
 *   MSR_IA32_TSC would not do: KVM takes a value that is within a second of another vCPU's for the same value. It and
 *   kvmclock stand still for the same time: Linux calls a TSC unstable that differs from kvmclock by half a millisecond.
 * - Local APIC timer: the deadline, or the count that is left, is taken out and put back. Kernels before Linux 5.9
 *   begin a count anew. A count goes by way of all registers (KVM_SET_LAPIC): an interrupt that arrives meanwhile is
 *   lost, so the caller stops what raises interrupts first.
 * - PIT: channel 0 gets a mode that runs no timer, and its own back: a period begins anew. Its one-shots go on in the
 *   host's time: KVM reports neither what they have left nor whether they have expired, and a new count would expire
 *   again. Channels 1 and 2 get a new count along with channel 0: one-shots get the ticks that they had left.
 *
 * Sources: Documentation/virt/kvm/api.rst and devices/vcpu.rst; SDM volume 3, 11.5.4 "APIC Timer"; Intel 8254
 * datasheet (231164-005), "Mode Definitions".
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "arch/x86_64/internal.h"
#include "arch/x86_64/lapic.h"
#include "arch/x86_64/msr.h"
#include "base/clock.h"
#include "base/macros.h"

enum {
	MSR_TSC = 0x10,
	MSR_TSC_DEADLINE = 0x6e0,
	LVT_TIMER_MODE = 3 << 17,
	LVT_TIMER_DEADLINE = 2 << 17,
	PIT_MODE_NO_TIMER = 5, /* a strobe by a gate that a PC's channel 0 has not */
	PIT_HZ = 1193182,
	INSTANT_TRIES = 8,
};

/* The first vCPU's TSC and kvmclock, as they are at one time. */
struct instant {
	uint64_t tsc, clock_ns;
};

struct vcpu_clocks {
	int fd;
	bool has_deadline, has_count;
	uint64_t deadline;
	bool has_start_offset;
	uint64_t start_offset;  /* of the TSC */
	uint32_t initial, left; /* of the local APIC's timer */
};

struct arch_clocks {
	const struct kvm *kvm; /* borrowed */
	bool has_instant, has_pit;
	struct instant stopped;
	struct kvm_pit_state2 pit;
	unsigned nr_vcpus;
	struct vcpu_clocks vcpu[];
};

/* With a count of 0 there is no timer. */
static void lapic_count_set(int fd, uint32_t initial, uint32_t left)
{
	struct kvm_lapic_state lapic;

	if (ioctl(fd, KVM_GET_LAPIC, &lapic) < 0)
		return;
	lapic_set(&lapic, LAPIC_TIMER_INITIAL, initial);
	lapic_set(&lapic, LAPIC_TIMER_CURRENT, left);
	ioctl(fd, KVM_SET_LAPIC, &lapic);
}

/* A one-shot that has expired counts no more, and would expire again. */
static void lapic_timer_stop(struct vcpu_clocks *vcpu)
{
	struct kvm_lapic_state lapic;
	uint32_t mode;

	vcpu->has_deadline = vcpu->has_count = false;
	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) < 0)
		return;
	mode = lapic_get(&lapic, LAPIC_LVT_TIMER) & LVT_TIMER_MODE;
	if (mode == LVT_TIMER_DEADLINE) {
		vcpu->has_deadline =
			msr_get(vcpu->fd, MSR_TSC_DEADLINE, &vcpu->deadline) && vcpu->deadline;
		if (vcpu->has_deadline)
			msr_set(vcpu->fd, MSR_TSC_DEADLINE, 0);
		return;
	}
	vcpu->initial = lapic_get(&lapic, LAPIC_TIMER_INITIAL);
	vcpu->left = lapic_get(&lapic, LAPIC_TIMER_CURRENT);
	vcpu->has_count = vcpu->initial && vcpu->left;
	if (vcpu->has_count)
		lapic_count_set(vcpu->fd, 0, 0);
}

static void lapic_timer_start(const struct vcpu_clocks *vcpu)
{
	if (vcpu->has_deadline)
		msr_set(vcpu->fd, MSR_TSC_DEADLINE, vcpu->deadline);
	if (vcpu->has_count)
		lapic_count_set(vcpu->fd, vcpu->initial, vcpu->left);
}

static bool tsc_offset(int fd, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(fd, request, &attr) == 0;
}

static void tsc_set_back(int fd, uint64_t ticks)
{
	uint64_t offset;

	if (!tsc_offset(fd, KVM_GET_DEVICE_ATTR, &offset))
		return; /* an older kernel: the TSC has gone on */
	offset -= ticks;
	tsc_offset(fd, KVM_SET_DEVICE_ATTR, &offset);
}

/* Of several tries the one that took the least time: on a busy host this thread may wait between two of the calls. */
static bool instant_now(const struct arch_clocks *clocks, struct instant *ret)
{
	const int fd = clocks->vcpu[0].fd;
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < INSTANT_TRIES; i++) {
		struct kvm_clock_data clock = {0};
		uint64_t before, after;

		if (!msr_get(fd, MSR_TSC, &before) ||
		    ioctl(clocks->kvm->vm_fd, KVM_GET_CLOCK, &clock) < 0 ||
		    !msr_get(fd, MSR_TSC, &after))
			return false;
		if (after - before >= least)
			continue;
		least = after - before;
		*ret = (struct instant){.tsc = before + least / 2, .clock_ns = clock.clock};
	}
	return true;
}

static uint64_t tsc_ticks(int vcpu_fd, uint64_t ns)
{
	const int khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0UL);

	if (khz <= 0)
		return 0;
	return ns / 1000000 * (unsigned)khz + ns % 1000000 * (unsigned)khz / 1000000;
}

/* By as much as kvmclock, which goes on already. All by as much, so that those that were the same still are. */
static void tsc_start(const struct arch_clocks *clocks)
{
	const struct instant *stopped = &clocks->stopped;
	struct instant now;
	uint64_t tsc;

	if (!instant_now(clocks, &now))
		return;
	tsc = stopped->tsc + tsc_ticks(clocks->vcpu[0].fd, now.clock_ns - stopped->clock_ns);
	for (unsigned i = 0; i < clocks->nr_vcpus; i++)
		tsc_set_back(clocks->vcpu[i].fd, now.tsc - tsc);
}

static bool pit_is_periodic(const struct kvm_pit_channel_state *channel)
{
	return channel->mode == 2 || channel->mode == 3;
}

/* A mode's count of 0 stands for 65,536 (8254 datasheet, "Operation Common to All Modes"). */
static uint32_t pit_ticks(const struct kvm_pit_channel_state *channel)
{
	return channel->count ? channel->count : 0x10000;
}

/*
 * The ticks that a one-shot has left; 1 when it has expired, so that it soon is again. Not for channel 0, whose
 * count_load_time KVM never sets. It is of CLOCK_MONOTONIC. All ticks that there can be are 55 ms.
 */
static uint32_t pit_left(const struct kvm_pit_channel_state *channel)
{
	const int64_t ns = clock_monotonic_ns() - channel->count_load_time;
	int64_t left;

	if (ns > NS_PER_S)
		return 1; /* also months later, when the product below would overflow */
	left = pit_ticks(channel) - ns / 1000 * PIT_HZ / 1000000;
	return left > 1 ? (uint32_t)left : 1;
}

static void pit_stop(struct arch_clocks *clocks)
{
	struct kvm_pit_channel_state *channel = clocks->pit.channels;
	struct kvm_pit_state2 still;

	clocks->has_pit = ioctl(clocks->kvm->vm_fd, KVM_GET_PIT2, &clocks->pit) == 0 &&
			  pit_is_periodic(&channel[0]);
	if (!clocks->has_pit)
		return;
	for (unsigned i = 1; i < ARRAY_SIZE(clocks->pit.channels); i++)
		if (!pit_is_periodic(&channel[i]) && channel[i].count_load_time)
			channel[i].count = pit_left(&channel[i]);
	still = clocks->pit;
	still.channels[0].mode = PIT_MODE_NO_TIMER;
	ioctl(clocks->kvm->vm_fd, KVM_SET_PIT2, &still);
}

int arch_clocks_create(const struct kvm *kvm, const int *vcpu_fd, unsigned nr_vcpus,
		       struct arch_clocks **ret, struct diag *diag)
{
	struct arch_clocks *clocks =
		calloc(1, sizeof(*clocks) + nr_vcpus * sizeof(clocks->vcpu[0]));

	if (!clocks)
		return diag_set(diag, -ENOMEM, "clocks-memory", "clocks of %u vCPUs", nr_vcpus);
	clocks->kvm = kvm;
	clocks->nr_vcpus = nr_vcpus;
	for (unsigned i = 0; i < nr_vcpus; i++)
		clocks->vcpu[i].fd = vcpu_fd[i];
	*ret = clocks;
	return 0;
}

void arch_clocks_stop(struct arch_clocks *clocks)
{
	pit_stop(clocks);
	for (unsigned i = 0; i < clocks->nr_vcpus; i++)
		lapic_timer_stop(&clocks->vcpu[i]);
	clocks->has_instant = instant_now(clocks, &clocks->stopped);
}

/* Deadlines are TSC values: that goes first. KVM gives the guest both clocks anew when a vCPU runs again. */
void arch_clocks_start(const struct arch_clocks *clocks)
{
	struct kvm_clock_data clock = {.clock = clocks->stopped.clock_ns};
	struct kvm_pit_state2 pit = clocks->pit;

	if (clocks->has_instant) {
		ioctl(clocks->kvm->vm_fd, KVM_SET_CLOCK, &clock);
		tsc_start(clocks);
	}
	for (unsigned i = 0; i < clocks->nr_vcpus; i++) {
		lapic_timer_start(&clocks->vcpu[i]);
		ioctl(clocks->vcpu[i].fd, KVM_KVMCLOCK_CTRL, 0); /* EINVAL: the guest uses none */
	}
	if (clocks->has_pit)
		ioctl(clocks->kvm->vm_fd, KVM_SET_PIT2, &pit);
}

void arch_clocks_note_start(struct arch_clocks *clocks)
{
	for (unsigned i = 0; i < clocks->nr_vcpus; i++) {
		struct vcpu_clocks *vcpu = &clocks->vcpu[i];

		vcpu->has_start_offset =
			tsc_offset(vcpu->fd, KVM_GET_DEVICE_ATTR, &vcpu->start_offset);
	}
}

/* Each by its first offset, whatever the guest has written since: tsc_start() then sets all back by as much. */
void arch_clocks_rewind(struct arch_clocks *clocks)
{
	for (unsigned i = 0; i < clocks->nr_vcpus; i++) {
		struct vcpu_clocks *vcpu = &clocks->vcpu[i];

		vcpu->has_deadline = vcpu->has_count = false;
		if (vcpu->has_start_offset)
			tsc_offset(vcpu->fd, KVM_SET_DEVICE_ATTR, &vcpu->start_offset);
	}
	clocks->stopped = (struct instant){0};
	clocks->has_pit = false;
}

struct arch_clocks *arch_clocks_destroy(struct arch_clocks *clocks)
{
	free(clocks);
	return NULL;
}
