/*
 * internal.h - for ../vcpu.c alone: an exit is noted, and a port access takes its way. Inline, so that most exits cost
 * no call but the device's; bench/instructions counts them.
 */
#ifndef VMM_VCPU_INTERNAL_H
#define VMM_VCPU_INTERNAL_H

#include <linux/kvm.h>
#include <string.h>

#include "iobus/last.h"
#include "vcpu.h"

/* One writer, so no read-modify-write instruction is needed. */
__attribute__((always_inline)) static inline uint64_t exits_add(atomic_uint_fast64_t *count,
								uint64_t n)
{
	const uint64_t was = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, was + n, memory_order_relaxed);
	return was;
}

/* Its place in bytes, which one addition keeps and one bit mask finds, costs less than its number. */
__attribute__((always_inline)) static inline struct vcpu_history_entry *
history_add(struct vcpu *vcpu)
{
	const uint64_t at = exits_add(&vcpu->history_bytes, sizeof(vcpu->history[0]));

	return (void *)((char *)vcpu->history + at % sizeof(vcpu->history));
}

static inline struct vcpu_history_entry *history_add_reason(struct vcpu *vcpu, uint32_t reason)
{
	struct vcpu_history_entry *h = history_add(vcpu);

	exits_add(&vcpu->exits[reason < VCPU_EXIT_REASONS ? reason : VCPU_EXIT_REASONS - 1], 1);
	h->io.size = 0;
	h->reason = reason;
	return h;
}

/* Any port access but those that dispatch_io() makes itself. */
__attribute__((noinline)) static void dispatch_io_any(struct vcpu *vcpu,
						      struct vcpu_history_entry *h)
{
	struct kvm_run *run = vcpu->run;
	void *data = (char *)run + run->io.data_offset;

	if (run->io.direction == KVM_EXIT_IO_OUT)
		iobus_write_string(vcpu->pio, run->io.port, run->io.size, run->io.count, data);
	else
		iobus_read_string(vcpu->pio, run->io.port, run->io.size, run->io.count, data);
	memcpy(&h->data, data, sizeof(h->data)); /* of a page: more than an access is there */
}

/* A little-endian number of size bytes, a constant. */
__attribute__((always_inline)) static inline uint64_t data_get(const void *data, unsigned size)
{
	uint32_t v4;
	uint16_t v2;

	switch (size) {
	case 1: return *(const uint8_t *)data;
	case 2: memcpy(&v2, data, sizeof(v2)); return v2;
	default: memcpy(&v4, data, sizeof(v4)); return v4;
	}
}

/* False as iobus_write_last(); size is a constant. */
__attribute__((always_inline)) static inline bool write_last(const struct vcpu *vcpu,
							     const struct kvm_run *run, void *data,
							     unsigned size,
							     struct vcpu_history_entry *h)
{
	h->data = data_get(data, size);
	return iobus_write_last(vcpu->pio, run->io.port, size, h->data);
}

__attribute__((always_inline)) static inline bool read_last(const struct vcpu *vcpu,
							    const struct kvm_run *run, void *data,
							    unsigned size,
							    struct vcpu_history_entry *h)
{
	uint64_t val;

	if (!iobus_read_last(vcpu->pio, run->io.port, size, &val))
		return false;
	memcpy(data, &val, size);
	h->data = val;
	return true;
}

#define IO_KIND(direction, size) ((direction) | (unsigned)(size) << 8)

/* Handles the most frequent exits without a call but the device's; all else is dispatch_io_any(). */
__attribute__((always_inline)) static inline void dispatch_io(struct vcpu *vcpu,
							      struct kvm_run *run)
{
	struct vcpu_history_entry *h = history_add(vcpu);
	void *data = (char *)run + run->io.data_offset;
	const unsigned kind = IO_KIND(run->io.direction, run->io.size);
	bool done = false;

	memcpy(&h->io, &run->io, sizeof(h->io));
	if (__builtin_expect(run->io.count == 1, 1)) {
		if (__builtin_expect(kind == IO_KIND(KVM_EXIT_IO_OUT, 1), 1))
			done = write_last(vcpu, run, data, 1, h);
		else if (kind == IO_KIND(KVM_EXIT_IO_IN, 1))
			done = read_last(vcpu, run, data, 1, h);
		else if (kind == IO_KIND(KVM_EXIT_IO_OUT, 2))
			done = write_last(vcpu, run, data, 2, h);
		else if (kind == IO_KIND(KVM_EXIT_IO_IN, 2))
			done = read_last(vcpu, run, data, 2, h);
		else if (kind == IO_KIND(KVM_EXIT_IO_OUT, 4))
			done = write_last(vcpu, run, data, 4, h);
		else if (kind == IO_KIND(KVM_EXIT_IO_IN, 4))
			done = read_last(vcpu, run, data, 4, h);
	}
	if (__builtin_expect(!done, 0))
		dispatch_io_any(vcpu, h);
}

#endif
