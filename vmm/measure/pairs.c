/*
 * Rates, measured by the vCPU's own thread in turns: exits through the dispatch of `tollgate run`, of a bare KVM_RUN
 * loop in the same VM, and of one in a VM that has nothing else.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "measure/internal.h"

enum {
	WARM_UP = 512,        /* exits of each CPU before the first pair */
	CHUNKS_MAX = 1 << 20, /* per pair; hours, on any host */
};

static int compare_ns(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* From the median chunk: one that was preempted says something of the host, not of the exits. */
static double rate_of(int64_t *chunk_ns, uint64_t chunks)
{
	const uint64_t middle = chunks / 2;

	qsort(chunk_ns, chunks, sizeof(*chunk_ns), compare_ns);
	return (double)HAMMER_CHUNK * NS_PER_S / (double)chunk_ns[middle];
}

/* The loops that take turns. */
enum way { DISPATCHED, BARE, FLOOR, WAYS };

static bool run_chunk(struct hammer *h, struct vcpu *vcpu, struct hammer_vcpu *hv, enum way way)
{
	struct vcpu *floor = &h->floor.bare.vcpu[vcpu->index];

	switch (way) {
	case DISPATCHED: return vcpu_run_dispatched(vcpu, &vcpu->stop, HAMMER_CHUNK);
	case BARE: return vcpu_run_bare(vcpu, &vcpu->stop, HAMMER_CHUNK, &hv->bare);
	default: return vcpu_run_bare(floor, &vcpu->stop, HAMMER_CHUNK, &hv->in_floor);
	}
}

/* scratch: WAYS * chunks times, of one way after the other. */
static bool measure_pair(struct hammer *h, struct vcpu *vcpu, uint64_t chunks, int64_t *scratch)
{
	struct hammer_vcpu *hv = &h->vcpu[vcpu->index];

	for (uint64_t i = 0; i < chunks; i++) {
		for (unsigned k = 0; k < WAYS; k++) {
			const enum way way = (i + k) % WAYS; /* each is first in its turn */
			int64_t start_ns = clock_monotonic_ns();
			bool go_on = run_chunk(h, vcpu, hv, way);

			scratch[way * chunks + i] = clock_monotonic_ns() - start_ns;
			if (!go_on)
				return false;
		}
	}
	hv->rate[hv->nr_pairs] = rate_of(scratch, chunks);
	hv->rate_other[hv->nr_pairs] = rate_of(scratch + BARE * chunks, chunks);
	hv->rate_floor[hv->nr_pairs] = rate_of(scratch + FLOOR * chunks, chunks);
	hv->nr_pairs++;
	return true;
}

/* Dispatches until the kernel has started to hammer on this vCPU; false when it never does. */
static bool boot_until_hammering(struct hammer *h, struct vcpu *vcpu)
{
	do {
		if (!vcpu_run_dispatched(vcpu, &vcpu->stop, 1))
			return false;
	} while (!vcpu_exit_is_at(vcpu, h->opts->space, h->opts->addr));
	return true;
}

/* How many chunks of each kind make a pair; what is left of the count comes after the pairs. */
static uint64_t chunks_a_pair(const struct hammer *h, int64_t warm_up_ns)
{
	/* The floor's accesses are not of the guest's count, but take time. */
	const uint64_t chunk_pairs =
		(h->opts->count ? UINT64_C(2) : WAYS) * HAMMER_CHUNK * HAMMER_PAIRS;
	double chunks;

	if (h->opts->count == 0) {
		chunks = (double)h->opts->duration_ns / (double)warm_up_ns * (double)WARM_UP /
			 (double)chunk_pairs;
		if (chunks < 1)
			chunks = 1;
	} else if (h->opts->count > WARM_UP + HAMMER_CHUNK) {
		/* Less the warm-up and a chunk, so that pairs end before the guest. */
		chunks = (double)(h->opts->count - WARM_UP - HAMMER_CHUNK) / (double)chunk_pairs;
	} else {
		chunks = 0;
	}
	return chunks < (double)CHUNKS_MAX ? (uint64_t)chunks : CHUNKS_MAX;
}

static void hammer_measure(struct hammer *h, struct vcpu *vcpu)
{
	AUTO_FREE int64_t *scratch = NULL;
	int64_t start_ns;
	uint64_t chunks;

	if (!boot_until_hammering(h, vcpu))
		return;
	start_ns = clock_monotonic_ns();
	if (!vcpu_run_dispatched(vcpu, &vcpu->stop, WARM_UP - 1))
		return;
	chunks = chunks_a_pair(h, clock_monotonic_ns() - start_ns);
	if (chunks)
		scratch = calloc(chunks, WAYS * sizeof(*scratch));
	if (!hammer_floor_enter(h, vcpu))
		return;
	for (unsigned i = 0; scratch && i < HAMMER_PAIRS; i++)
		if (!measure_pair(h, vcpu, chunks, scratch))
			return;
	/* The last one through signals to the guest that it was enough. */
	if (atomic_fetch_add(&h->measured, 1) + 1 == h->vm.nr_vcpus && h->opts->count == 0)
		__atomic_store_n(&h->ctl->stop, 1, __ATOMIC_RELEASE);
}

void hammer_vcpu_loop(struct vcpu *vcpu, void *arg)
{
	struct hammer *h = arg;

	if (h->opts->count == 0 || h->opts->count > WARM_UP)
		hammer_measure(h, vcpu);
	vcpu_loop(vcpu);
}
