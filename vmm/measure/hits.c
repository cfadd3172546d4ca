/* Pairs of rates where the guest hits an ioeventfd: nothing exits that a vCPU's thread could measure. */
#include <pthread.h>
#include <time.h>

#include "base/thread.h"
#include "measure/internal.h"

#define SLICE_NS INT64_C(10000000)

/* The ioeventfd that the guest hits, or NULL. */
static struct ioeventfd *hit_ioeventfd(const struct hammer *h)
{
	switch (h->opts->hit) {
	case HAMMER_HIT_NONE: return NULL;
	case HAMMER_HIT_FIRST: return &h->ioeventfds.io[0];
	case HAMMER_HIT_MIDDLE: return &h->ioeventfds.io[h->ioeventfds.nr / 2];
	case HAMMER_HIT_LAST: return &h->ioeventfds.io[h->ioeventfds.nr - 1];
	}
	return NULL;
}

/* In short slices, so that a VM that ends meanwhile is not waited for. */
static void sleep_ns(const struct hammer *h, int64_t ns)
{
	const int64_t until_ns = clock_monotonic_ns() + ns;
	const struct timespec slice = {.tv_nsec = SLICE_NS};

	while (clock_monotonic_ns() + SLICE_NS < until_ns && !atomic_load(&h->vm.vcpu[0].stop))
		nanosleep(&slice, NULL);
	ns = until_ns - clock_monotonic_ns();
	if (ns > 0 && ns <= SLICE_NS)
		nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static uint64_t take_hits(struct hammer *h)
{
	uint64_t n = ioeventfd_read(hit_ioeventfd(h));

	h->result->hits += n;
	return n;
}

/*
 * Registers the ioeventfd that the guest hits where it was. KVM puts one after all that have its address
 * (kvm_io_bus_register_dev() in virt/kvm/kvm_main.c), so those that came after it follow in their order.
 */
static int put_hit_back(struct hammer *h)
{
	int r = 0;

	for (struct ioeventfd *io = hit_ioeventfd(h);
	     r == 0 && io < h->ioeventfds.io + h->ioeventfds.nr; io++) {
		ioeventfd_unregister(io, &h->vm.kvm);
		r = ioeventfd_register(io, &h->vm.kvm, NULL);
	}
	return r;
}

/*
 * Hits for half a pair, the same write as an exit for the other half. A half in which the guest got
 * no time at all says nothing, and neither does its pair.
 */
static bool measure_hit_pair(struct hammer *h, int64_t half_ns)
{
	struct hammer_result *res = h->result;
	int64_t start_ns = clock_monotonic_ns();
	uint64_t hits, exits;

	take_hits(h);
	sleep_ns(h, half_ns);
	hits = take_hits(h);
	res->rate[res->nr_pairs] =
		(double)hits * NS_PER_S / (double)(clock_monotonic_ns() - start_ns);
	ioeventfd_unregister(hit_ioeventfd(h), &h->vm.kvm);
	take_hits(h);
	exits = hammer_count_dispatched(h);
	start_ns = clock_monotonic_ns();
	sleep_ns(h, half_ns);
	exits = hammer_count_dispatched(h) - exits;
	res->rate_other[res->nr_pairs] =
		(double)exits * NS_PER_S / (double)(clock_monotonic_ns() - start_ns);
	if (hits && exits)
		res->nr_pairs++;
	return put_hit_back(h) == 0;
}

/* Concurrently with the vCPUs: only with hit, where nothing exits that a vCPU thread could measure. */
static void *control_thread(void *arg)
{
	struct hammer *h = arg;
	const int64_t half_ns = h->opts->duration_ns / INT64_C(2) / HAMMER_PAIRS;

	while (__atomic_load_n(&h->ctl->ready, __ATOMIC_ACQUIRE) < h->vm.nr_vcpus &&
	       !atomic_load(&h->vm.vcpu[0].stop))
		sleep_ns(h, SLICE_NS);
	for (unsigned i = 0; i < HAMMER_PAIRS && !atomic_load(&h->vm.vcpu[0].stop); i++)
		if (!measure_hit_pair(h, half_ns))
			break;
	__atomic_store_n(&h->ctl->stop, 1, __ATOMIC_RELEASE);
	return NULL;
}

int hammer_control_start(struct hammer *h, struct diag *diag)
{
	int r;

	if (h->opts->hit == HAMMER_HIT_NONE || h->opts->count)
		return 0;
	r = thread_start(&h->control, THREAD_MEASURE, NULL, control_thread, h);
	if (r < 0)
		return diag_set(diag, r, "hammer-thread", "thread of the hammer");
	h->has_control = true;
	return 0;
}
