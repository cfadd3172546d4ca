#include "vcpu/latency.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

/* All others end the VM. Those that may be a reset do not where it then starts again. */
static const uint32_t latency_reasons[] = {
	KVM_EXIT_INTR,         KVM_EXIT_HLT,   KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_SHUTDOWN,
	KVM_EXIT_SYSTEM_EVENT, KVM_EXIT_DEBUG, KVM_EXIT_INTERNAL_ERROR,
};
_Static_assert(ARRAY_SIZE(latency_reasons) == VCPU_LATENCY_REASONS, "a row for each");

struct vcpu_latency *vcpu_latency_create(const struct vcpu_latency_map *map)
{
	const size_t bytes = sizeof(struct vcpu_latency) + map->nr_rows * sizeof(struct histogram);
	const size_t lines =
		(bytes + 63) / 64 * 64; /* of its own: each vCPU's thread writes there */
	struct vcpu_latency *latency = aligned_alloc(64, lines);

	if (!latency)
		return NULL;
	memset(latency, 0, lines); /* and so the pages are there before an exit needs them */
	latency->map = map;
	return latency;
}

uint32_t vcpu_latency_reason(unsigned row)
{
	return latency_reasons[row];
}

uint32_t vcpu_latency_access_reason(enum iobus_space space)
{
	return space == IOBUS_PIO ? KVM_EXIT_IO : KVM_EXIT_MMIO;
}

/* The row of the plugged range that has addr, by bsearch; or `unclaimed`. */
static unsigned latency_row_at(const struct vcpu_latency_map *map, enum iobus_space space,
			       uint64_t addr, unsigned unclaimed)
{
	const struct vcpu_latency_range *r = map->range[space];

	if (map->nr_ranges[space] == 0)
		return unclaimed;
	for (size_t n = map->nr_ranges[space]; n > 1;) {
		const size_t half = n / 2;

		r = r[half].first <= addr ? r + half : r;
		n -= half;
	}
	return addr - r->first < r->len && atomic_load_explicit(&r->plugged, memory_order_relaxed)
		       ? r->row
		       : unclaimed;
}

/* The row of an exit; SIZE_MAX: it has none. */
static size_t latency_row_of(const struct vcpu_latency_map *map, const struct kvm_run *run, int r)
{
	const uint32_t reason = r < 0 ? KVM_EXIT_INTR : run->exit_reason;

	if (reason == KVM_EXIT_IO)
		return latency_row_at(map, IOBUS_PIO, run->io.port, VCPU_LATENCY_UNCLAIMED_PIO) +
		       (run->io.direction == KVM_EXIT_IO_OUT);
	if (reason == KVM_EXIT_MMIO)
		return latency_row_at(map, IOBUS_MMIO, run->mmio.phys_addr,
				      VCPU_LATENCY_UNCLAIMED_MMIO) +
		       (run->mmio.is_write != 0);
	for (size_t i = 0; i < ARRAY_SIZE(latency_reasons); i++)
		if (latency_reasons[i] == reason)
			return i;
	return SIZE_MAX;
}

void vcpu_latency_add(struct vcpu_latency *latency, const struct kvm_run *run, int r, int64_t ns)
{
	const size_t row = latency_row_of(latency->map, run, r);

	if (row != SIZE_MAX)
		histogram_add(&latency->row[row], ns > 0 ? (uint64_t)ns : 0);
}
