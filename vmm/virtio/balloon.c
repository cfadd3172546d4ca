/*
 * The memory balloon (virtio 1.2, 5.5): pages that the guest gives up return to the host at once, and
 * so do those that it reports as free; touched again they are there again, zeroed.
 *
 * Offered: STATS_VQ when somebody wants statistics, DEFLATE_ON_OOM, PAGE_REPORTING, IN_ORDER but for the
 * statistics' buffer, which is alone in its queue. Not offered: MUST_TELL_HOST (a page may be used again
 * without a word), FREE_PAGE_HINT (for migration), PAGE_POISON (what comes back is zeroed, so Linux
 * leaves reporting off when it poisons pages).
 *
 * Queues are numbered as the driver does: those of features that it did not take are left out.
 *
 * Threads: all on the device's I/O thread but virtio_balloon_retarget() and virtio_balloon_size(): a new
 * target comes over in a word of its own and a ring of the doorbell.
 */
#include <endian.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "base/iov.h"
#include "base/macros.h"
#include "virtio/classes.h"

enum {
	QUEUE_INFLATE,
	QUEUE_DEFLATE,
	QUEUES_ALWAYS,
	QUEUE_NONE = VIRTIO_QUEUES_MAX,

	QUEUE_SIZE = 128, /* Linux reports up to 32 blocks at once */
	PIECES_MAX = 2 * QUEUE_SIZE,
	CHAIN_PAGES_MAX = 1 << 14, /* of one request; Linux makes them of 256 */
	CHAINS_A_KICK = QUEUE_SIZE,
	PAGES_A_KICK = CHAIN_PAGES_MAX,
	REPORT_PAGES_A_KICK = 1 << 20, /* 4 GiB, a chain's most: the host looks at each page */
	PFNS_AT_ONCE = 512,
	PAGE_BYTES = 1 << VIRTIO_BALLOON_PFN_SHIFT,
	CONFIG_BYTES = offsetof(struct virtio_balloon_config, free_page_hint_cmd_id),
};

enum {
	COUNTER_TARGET,
	COUNTER_ACTUAL,
	COUNTER_INFLATED,
	COUNTER_DEFLATED,
	COUNTER_REPORTED,
	COUNTER_BAD_PAGES,
	COUNTER_GUEST, /* from here on, in the order of the tags (5.5.6.3) */
};
static const char *const counter_names[] = {
	[COUNTER_TARGET] = "target_bytes",
	[COUNTER_ACTUAL] = "actual_bytes",
	[COUNTER_INFLATED] = "inflated_bytes",
	[COUNTER_DEFLATED] = "deflated_bytes",
	[COUNTER_REPORTED] = "reported_bytes",
	[COUNTER_BAD_PAGES] = "bad_pages",
	[COUNTER_GUEST + VIRTIO_BALLOON_S_SWAP_IN] = "guest_swapped_in_bytes",
	[COUNTER_GUEST + VIRTIO_BALLOON_S_SWAP_OUT] = "guest_swapped_out_bytes",
	[COUNTER_GUEST + VIRTIO_BALLOON_S_MAJFLT] = "guest_major_faults",
	[COUNTER_GUEST + VIRTIO_BALLOON_S_MINFLT] = "guest_minor_faults",
	[COUNTER_GUEST + VIRTIO_BALLOON_S_MEMFREE] = "guest_free_bytes",
	[COUNTER_GUEST + VIRTIO_BALLOON_S_MEMTOT] = "guest_total_bytes",
	[COUNTER_GUEST + VIRTIO_BALLOON_S_AVAIL] = "guest_available_bytes",
	[COUNTER_GUEST + VIRTIO_BALLOON_S_CACHES] = "guest_cache_bytes",
	NULL,
};
_Static_assert(sizeof(counter_names) / sizeof(counter_names[0]) - 1 <= VIRTIO_COUNTERS_MAX,
	       "counters of the balloon");

struct balloon {
	struct virtio_device vd;               /* first */
	struct guest_mem *mem;                 /* borrowed */
	struct doorbell *bell;                 /* borrowed */
	_Atomic uint32_t wanted_pages;         /* the target, by any thread */
	uint32_t target_pages;                 /* the one that the driver reads */
	int64_t stats_ns;                      /* 0: nobody wants statistics */
	unsigned stats_queue, reporting_queue; /* QUEUE_NONE: not there */
	bool small_pages;                      /* the host is asked to back RAM with small pages */

	struct event_timer stats_timer;
	bool stats_held; /* the statistics' buffer is ours until the next time */
	uint16_t stats_head;
};

/* Pages that lie side by side, to be discarded with one call. */
struct run {
	uint64_t first_pfn, pages;
};

static struct balloon *balloon_of(struct virtio_device *vd)
{
	return container_of(vd, struct balloon, vd);
}

static void counter_set(struct balloon *bal, unsigned counter, uint64_t val)
{
	__atomic_store_n(&bal->vd.counter[counter], val, __ATOMIC_RELAXED);
}

/* Inflating and deflating. */

/*
 * Pages come in pieces smaller than the host's huge pages, which it would otherwise make anew around
 * what is left of one.
 */
static void use_small_pages(struct balloon *bal, bool small)
{
	if (small != bal->small_pages)
		guest_mem_prefer_small(bal->mem, small);
	bal->small_pages = small;
}

static void run_discard(struct balloon *bal, struct run *run)
{
	const uint64_t bytes = run->pages * PAGE_BYTES;
	void *host = guest_mem_ptr(bal->mem, run->first_pfn * PAGE_BYTES, bytes);

	if (host && guest_mem_discard(bal->mem, host, bytes) == 0)
		virtio_count(&bal->vd, COUNTER_INFLATED, bytes);
	run->pages = 0;
}

/* Adds a page, which is in RAM; Linux's come in either direction. */
static void run_add(struct balloon *bal, struct run *run, uint64_t pfn)
{
	if (run->pages && pfn == run->first_pfn + run->pages) {
		run->pages++;
	} else if (run->pages && pfn + 1 == run->first_pfn) {
		run->first_pfn = pfn;
		run->pages++;
	} else {
		if (run->pages)
			run_discard(bal, run);
		*run = (struct run){.first_pfn = pfn, .pages = 1};
	}
}

/* 5.5.6: page numbers, 32 bits each; those that are not of RAM are counted and left out. */
static void take_pages(struct balloon *bal, const struct virtq_chain *chain, bool inflate)
{
	struct run run = {0};
	uint32_t pfn[PFNS_AT_ONCE];
	size_t n;

	for (size_t off = 0; off < chain->out_bytes; off += n) {
		n = iov_read(chain->out, chain->nr_out, off, pfn, sizeof(pfn));
		for (size_t i = 0; i < n / sizeof(pfn[0]); i++) {
			const uint64_t at = le32toh(pfn[i]);

			if (!guest_mem_ptr(bal->mem, at * PAGE_BYTES, PAGE_BYTES))
				virtio_count(&bal->vd, COUNTER_BAD_PAGES, 1);
			else if (inflate)
				run_add(bal, &run, at);
			else
				virtio_count(&bal->vd, COUNTER_DEFLATED, PAGE_BYTES);
		}
	}
	if (run.pages)
		run_discard(bal, &run);
}

/* Takes one request; false when there is none, or none that is allowed. */
static bool pages_chain(struct balloon *bal, unsigned queue, unsigned *ret_pages)
{
	struct virtio_device *vd = &bal->vd;
	struct iovec iov[PIECES_MAX];
	struct virtq_chain chain;

	if (!virtio_pop(vd, queue, iov, PIECES_MAX, &chain))
		return false;
	if (chain.nr_in || chain.out_bytes % sizeof(uint32_t) != 0 ||
	    chain.out_bytes / sizeof(uint32_t) > CHAIN_PAGES_MAX) {
		virtio_needs_reset(vd, "request that is not a list of page numbers");
		return false;
	}
	if (queue == QUEUE_INFLATE)
		use_small_pages(bal, true);
	take_pages(bal, &chain, queue == QUEUE_INFLATE);
	virtq_push(&vd->queue[queue], chain.head, 0);
	*ret_pages = chain.out_bytes / (unsigned)sizeof(uint32_t);
	return true;
}

/* Free pages that the driver reports (5.5.6.6). */

/* Whole pages of a buffer; how many bytes went. */
static uint64_t report_piece(struct balloon *bal, const struct iovec *piece)
{
	const uintptr_t from = (uintptr_t)piece->iov_base, mask = PAGE_BYTES - 1;
	const uintptr_t first = (from + mask) & ~mask, end = (from + piece->iov_len) & ~mask;

	if (first >= end ||
	    guest_mem_discard(bal->mem, (char *)piece->iov_base + (first - from), end - first) < 0)
		return 0;
	return end - first;
}

static bool report_chain(struct balloon *bal, unsigned queue, unsigned *ret_pages)
{
	struct virtio_device *vd = &bal->vd;
	struct iovec iov[PIECES_MAX];
	struct virtq_chain chain;

	if (!virtio_pop(vd, queue, iov, PIECES_MAX, &chain))
		return false;
	if (chain.nr_out) {
		virtio_needs_reset(vd, "device-readable buffer among the free pages");
		return false;
	}
	for (unsigned i = 0; i < chain.nr_in; i++)
		virtio_count(vd, COUNTER_REPORTED, report_piece(bal, &chain.in[i]));
	virtq_push(&vd->queue[queue], chain.head, 0);
	*ret_pages = chain.in_bytes / PAGE_BYTES;
	return true;
}

/*
 * Services a queue until nothing is there, or for so many pages. Whatever it holds, and each look that finds
 * nothing where the driver says there is, counts as a part of these, so that a turn has an end.
 */
static void queue_run(struct balloon *bal, unsigned queue, unsigned budget,
		      bool (*take_chain)(struct balloon *bal, unsigned queue, unsigned *ret_pages))
{
	struct virtq *vq = &bal->vd.queue[queue];
	const unsigned least = budget / CHAINS_A_KICK;

	virtq_kicks_suppress(vq);
	while (budget > 0) {
		unsigned pages = 0;

		if (!take_chain(bal, queue, &pages) && (bal->vd.broken || !virtq_kicks_allow(vq)))
			break;
		if (pages < least)
			pages = least;
		budget -= pages < budget ? pages : budget;
	}
	virtio_publish(&bal->vd, queue);
	if (budget == 0)
		bal->bell->ring(bal->bell, queue);
}

/* Statistics (5.5.6.3): the driver gives one buffer, and fills it anew whenever it gets it back. */

static void stats_read(struct balloon *bal, const struct virtq_chain *chain)
{
	struct virtio_balloon_stat stat[VIRTIO_BALLOON_S_NR];
	const size_t n = iov_read(chain->out, chain->nr_out, 0, stat, sizeof(stat));

	for (size_t i = 0; i < n / sizeof(stat[0]); i++) {
		const unsigned tag = le16toh(stat[i].tag);

		if (tag <= VIRTIO_BALLOON_S_CACHES)
			counter_set(bal, COUNTER_GUEST + tag, le64toh(stat[i].val));
	}
}

static void stats_run(struct balloon *bal, unsigned queue)
{
	struct iovec iov[PIECES_MAX];
	struct virtq_chain chain;

	if (bal->stats_held || !virtio_pop(&bal->vd, queue, iov, PIECES_MAX, &chain))
		return;
	stats_read(bal, &chain);
	bal->stats_head = chain.head;
	bal->stats_held = true;
}

static void stats_expired(void *arg)
{
	struct balloon *bal = arg;

	if (!bal->stats_held || bal->vd.broken)
		return;
	bal->stats_held = false;
	virtq_push(&bal->vd.queue[bal->stats_queue], bal->stats_head, 0);
	virtio_publish(&bal->vd, bal->stats_queue);
}

/* The device. */

static void balloon_kick(struct virtio_device *vd, unsigned queue)
{
	struct balloon *bal = balloon_of(vd);

	if (queue < QUEUES_ALWAYS)
		queue_run(bal, queue, PAGES_A_KICK, pages_chain);
	else if (queue == bal->stats_queue)
		stats_run(bal, queue);
	else if (queue == bal->reporting_queue)
		queue_run(bal, queue, REPORT_PAGES_A_KICK, report_chain);
}

static void balloon_start(struct virtio_device *vd)
{
	struct balloon *bal = balloon_of(vd);
	unsigned next = QUEUES_ALWAYS;

	bal->stats_queue = virtio_has(vd, VIRTIO_BALLOON_F_STATS_VQ) ? next++ : QUEUE_NONE;
	bal->reporting_queue = virtio_has(vd, VIRTIO_BALLOON_F_REPORTING) ? next : QUEUE_NONE;
}

/* Pages in the balloon stay discarded; a driver that leaves properly has deflated it. */
static void balloon_stop(struct virtio_device *vd)
{
	balloon_of(vd)->stats_held = false;
}

/* The next driver's balloon is empty. */
static void balloon_reset(struct virtio_device *vd)
{
	struct balloon *bal = balloon_of(vd);
	const struct virtio_balloon_config config = {.num_pages = htole32(bal->target_pages)};

	if (memcmp(vd->config, &config, CONFIG_BYTES) != 0)
		virtio_config_set(vd, 0, &config, CONFIG_BYTES);
	counter_set(bal, COUNTER_ACTUAL, 0);
	use_small_pages(bal, false);
}

/* actual is the driver's to write, num_pages is put back. */
static void balloon_config_written(struct virtio_device *vd, unsigned off, unsigned len)
{
	struct balloon *bal = balloon_of(vd);
	const uint32_t target = htole32(bal->target_pages);
	struct virtio_balloon_config config;

	memcpy(&config, vd->config, CONFIG_BYTES);
	if (config.num_pages != target)
		virtio_config_set(vd, 0, &target, sizeof(target));
	if (off + len <= offsetof(struct virtio_balloon_config, actual))
		return;
	counter_set(bal, COUNTER_ACTUAL, (uint64_t)le32toh(config.actual) * PAGE_BYTES);
	if (config.actual == 0)
		use_small_pages(bal, false);
}

static void balloon_control(struct virtio_device *vd)
{
	struct balloon *bal = balloon_of(vd);
	const uint32_t pages = atomic_load(&bal->wanted_pages), target = htole32(pages);

	if (pages == bal->target_pages)
		return;
	bal->target_pages = pages;
	virtio_config_set(vd, offsetof(struct virtio_balloon_config, num_pages), &target,
			  sizeof(target));
	counter_set(bal, COUNTER_TARGET, (uint64_t)pages * PAGE_BYTES);
}

static int stats_timer_init(struct balloon *bal)
{
	int r = event_timer_init(&bal->stats_timer, bal->vd.loop, stats_expired, bal);

	if (r == 0)
		event_timer_arm_every(&bal->stats_timer, bal->stats_ns);
	return r;
}

static int balloon_init(struct virtio_device *vd, const void *conf, struct diag *diag)
{
	const struct virtio_balloon_conf *c = conf;
	struct balloon *bal = balloon_of(vd);
	struct virtio_balloon_config config = {0};
	int r;

	bal->mem = vd->env->mem;
	bal->bell = vd->env->doorbell;
	bal->target_pages = (uint32_t)(c->target_bytes / PAGE_BYTES);
	atomic_init(&bal->wanted_pages, bal->target_pages);
	bal->stats_ns = c->stats_ns;
	vd->features = UINT64_C(1) << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
		       UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING | UINT64_C(1) << VIRTIO_F_IN_ORDER;
	vd->nr_queues = QUEUES_ALWAYS + 1;
	if (c->stats_ns) {
		vd->features |= UINT64_C(1) << VIRTIO_BALLOON_F_STATS_VQ;
		vd->nr_queues++;
	}
	for (unsigned i = 0; i < vd->nr_queues; i++)
		vd->queue_size[i] = QUEUE_SIZE;
	config.num_pages = htole32(bal->target_pages);
	vd->config_len = CONFIG_BYTES;
	memcpy(vd->config, &config, CONFIG_BYTES);
	counter_set(bal, COUNTER_TARGET, (uint64_t)bal->target_pages * PAGE_BYTES);
	r = c->stats_ns ? stats_timer_init(bal) : 0;
	return r < 0 ? diag_set(diag, r, "balloon-timer", "timer of %s", vd->name) : 0;
}

static void balloon_fini(struct virtio_device *vd)
{
	struct balloon *bal = balloon_of(vd);

	event_timer_fini(&bal->stats_timer);
}

const struct virtio_class virtio_balloon_class = {
	.name = "balloon",
	.counter_names = counter_names,
	.device_id = VIRTIO_ID_BALLOON,
	.state_size = sizeof(struct balloon),
	.init = balloon_init,
	.fini = balloon_fini,
	.start = balloon_start,
	.stop = balloon_stop,
	.reset = balloon_reset,
	.kick = balloon_kick,
	.config_written = balloon_config_written,
	.control = balloon_control,
};

void virtio_balloon_retarget(struct virtio_device *vd, uint64_t target_bytes)
{
	struct balloon *bal = balloon_of(vd);

	atomic_store(&bal->wanted_pages, (uint32_t)(target_bytes / PAGE_BYTES));
	bal->bell->control(bal->bell);
}

struct virtio_balloon_size virtio_balloon_size(const struct virtio_device *vd)
{
	const struct balloon *bal = (const struct balloon *)vd;

	return (struct virtio_balloon_size){
		.target_bytes = (uint64_t)atomic_load(&bal->wanted_pages) * PAGE_BYTES,
		.actual_bytes = __atomic_load_n(&vd->counter[COUNTER_ACTUAL], __ATOMIC_RELAXED),
	};
}
