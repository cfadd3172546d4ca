#include "kvm/register_page.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "kvm/rom_page.h"

enum {
	POLLS_MIN = 64, /* fewer are set-up code, which does something else next */
	POLLS_MAX = 1 << 16,
};

/*
 * KVM drops all of a VM's page tables with a slot, which costs the guest page faults that nobody counts
 * here. So a page that had to go this soon takes twice the polls to come again: a guest that polls for a
 * line at a time, with interrupts on in between, would lose more than it saves.
 */
#define SOON_NS (10 * NS_PER_MS)

/* A guest that looks this rarely does other work between its looks, which the page would not save. */
#define POLL_GAP_MAX_NS NS_PER_MS

/* With input waiting the page stays so long after the guest's last write, and so long at most. */
#define SILENCE_NS   (250 * NS_PER_MS)
#define WATCH_MAX_NS (2 * NS_PER_S)

static struct register_page *register_page_of(struct device *dev)
{
	return container_of(dev, struct register_page, dev);
}

static int64_t clock_now_ns(const struct register_page *rp)
{
	return rp->theirs.clock->monotonic_ns(rp->theirs.clock);
}

/* len 0: no slot. It takes 20 us on some hosts and 10 ms on others, so it is measured. */
static int set_slot(const struct register_page *rp, uint64_t len, int64_t *ret_ns)
{
	const int64_t begin_ns = clock_now_ns(rp);
	int r = kvm_mem_slot_set(rp->kvm, rp->slot, rp->gpa, len, rp->page, true);

	*ret_ns = clock_now_ns(rp) - begin_ns;
	return r;
}

static void forget_polls(struct register_page *rp)
{
	rp->polls = 0;
	rp->polled_ns = 0;
}

static void page_unmap(struct register_page *rp)
{
	int64_t mapped_ns;

	forget_polls(rp);
	if (!rp->mapped)
		return;
	mapped_ns = clock_now_ns(rp) - rp->mapped_at_ns;
	if (set_slot(rp, 0, &rp->unmap_ns) < 0) {
		/* The guest would go on seeing what is no longer so. */
		const struct vm_end end = {.kind = VM_END_KVM_ERROR,
					   .by = "KVM does not take back a memory slot"};

		rp->theirs.power->end(rp->theirs.power, end);
		return;
	}
	rp->mapped = false;
	rp->counts.unmaps++;
	if (mapped_ns >= SOON_NS)
		rp->polls_needed = POLLS_MIN;
	else if (rp->polls_needed < POLLS_MAX)
		rp->polls_needed *= 2;
}

static void watch_input(struct register_page *rp, int64_t now_ns)
{
	rp->writes_then = rp->writes;
	rp->theirs.timer->arm(rp->theirs.timer, now_ns + SILENCE_NS);
}

/* From here on the device does not see whether the guest polls for the input that waits. */
static void watch_begin(struct register_page *rp)
{
	const int64_t now_ns = clock_now_ns(rp);

	rp->watch_until_ns = now_ns + WATCH_MAX_NS;
	watch_input(rp, now_ns);
}

static void page_map(struct register_page *rp)
{
	if (set_slot(rp, KVM_PAGE_BYTES, &rp->map_ns) < 0) {
		rp->barred = true;
		return;
	}
	rp->mapped = true;
	rp->mapped_at_ns = clock_now_ns(rp);
	rp->counts.maps++;
	if (rp->input_waits)
		watch_begin(rp);
}

/* The change of the slot is worth its time once polling has cost as much. */
static bool is_worth_mapping(const struct register_page *rp)
{
	return !rp->barred && !rp->withheld && rp->polls >= rp->polls_needed &&
	       rp->polled_ns >= rp->map_ns + rp->unmap_ns;
}

/* The guest may read it meanwhile, byte by byte. Mostly nothing has changed. */
static void page_fill(struct register_page *rp, const uint8_t *bytes)
{
	if (memcmp(rp->page, bytes, rp->len) == 0)
		return;
	for (size_t i = 0; i < rp->len; i++)
		__atomic_store_n(&rp->page[i], bytes[i], __ATOMIC_RELAXED);
}

/* Updates the page with what the device holds, or unmaps it; true for the former. */
static bool follow(struct register_page *rp)
{
	uint8_t bytes[REGISTER_PAGE_LEN_MAX];

	if (!rp->inner->cls->register_page(rp->inner, rp->range, rp->late, bytes)) {
		page_unmap(rp);
		return false;
	}
	page_fill(rp, bytes);
	return true;
}

/* Reads are counted only while they can bring the page back. shows: what follow() said. */
static void note_reads(struct register_page *rp, bool shows)
{
	const bool ignores = rp->mapped || !shows || rp->barred || rp->withheld;

	atomic_store_explicit(&rp->ignores_reads, ignores, memory_order_release);
}

/* After every op. */
static void update(struct register_page *rp)
{
	const bool shows = follow(rp);

	if (shows && !rp->mapped && is_worth_mapping(rp))
		page_map(rp);
	note_reads(rp, shows);
}

static void count_poll(struct register_page *rp)
{
	const int64_t now_ns = clock_now_ns(rp), gap_ns = now_ns - rp->polled_at_ns;

	rp->polls++;
	if (gap_ns < POLL_GAP_MAX_NS)
		rp->polled_ns += gap_ns;
	rp->polled_at_ns = now_ns;
}

static uint64_t page_read(struct device *dev, struct io_at at)
{
	struct register_page *rp = register_page_of(dev);
	uint64_t val = rp->inner->cls->read(rp->inner, at);

	if (!atomic_load_explicit(&rp->ignores_reads, memory_order_relaxed))
		count_poll(rp);
	update(rp);
	return val;
}

static bool page_read_quick(struct device *dev, struct io_at at, uint64_t *ret_val)
{
	const struct register_page *rp = register_page_of(dev);

	return atomic_load_explicit(&rp->ignores_reads, memory_order_acquire) &&
	       rp->inner->cls->read_quick(rp->inner, at, ret_val);
}

static void page_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct register_page *rp = register_page_of(dev);

	rp->inner->cls->write(rp->inner, at, val);
	rp->writes++;
	update(rp);
}

/* The next driver is a new one, and what the last one's polls showed does not hold for it. */
static void page_reset(struct device *dev)
{
	struct register_page *rp = register_page_of(dev);

	rp->inner->cls->reset(rp->inner);
	rp->input_waits = false;
	rp->polls_needed = POLLS_MIN;
	forget_polls(rp);
	update(rp);
}

static size_t page_rx_room(struct device *dev)
{
	struct register_page *rp = register_page_of(dev);
	size_t room = rp->inner->cls->chr->rx_room(rp->inner);

	if (room == 0 && !rp->input_waits) {
		rp->input_waits = true;
		if (rp->mapped)
			watch_begin(rp);
	}
	return room;
}

static void page_rx(struct device *dev, const uint8_t *buf, size_t n)
{
	struct register_page *rp = register_page_of(dev);

	rp->input_waits = false;
	rp->inner->cls->chr->rx(rp->inner, buf, n);
	update(rp);
}

static void page_rx_break(struct device *dev)
{
	struct register_page *rp = register_page_of(dev);

	rp->input_waits = false;
	rp->inner->cls->chr->rx_break(rp->inner);
	update(rp);
}

static void page_tx_room(struct device *dev)
{
	struct register_page *rp = register_page_of(dev);

	rp->inner->cls->chr->tx_room(rp->inner);
	update(rp);
}

/* watch_input()'s time is up: the device is to see whether the guest polls. */
static void page_expire(struct device *dev)
{
	struct register_page *rp = register_page_of(dev);
	const int64_t now_ns = clock_now_ns(rp);

	if (!rp->input_waits || !rp->mapped)
		return;
	if (rp->writes == rp->writes_then || now_ns >= rp->watch_until_ns) {
		page_unmap(rp);
		note_reads(rp, true);
	} else {
		watch_input(rp, now_ns);
	}
}

static void page_irq_set(struct irq_line *irq, bool level)
{
	struct register_page *rp = container_of(irq, struct register_page, irq);

	if (rp->inner)
		follow(rp); /* in the middle of an op, after which it is asked again */
	rp->theirs.irq->set(rp->theirs.irq, level);
}

static const struct char_ops page_char_ops = {
	.rx_room = page_rx_room,
	.rx = page_rx,
	.rx_break = page_rx_break,
	.tx_room = page_tx_room,
};

int register_page_init(struct register_page *rp, const struct kvm *kvm, unsigned slot, uint64_t gpa)
{
	int r = kvm_page_create(kvm, slot, gpa, &rp->page);

	if (r < 0)
		return r;
	rp->kvm = kvm;
	rp->slot = slot;
	rp->gpa = gpa;
	rp->mapped = true;
	return 0;
}

void register_page_fini(struct register_page *rp)
{
	if (!rp->page)
		return;
	if (rp->inner)
		pthread_mutex_destroy(&rp->dev.lock);
	kvm_page_destroy(rp->page);
	memset(rp, 0, sizeof(*rp));
}

void register_page_env(struct register_page *rp, struct device_env *env)
{
	assert(env->timer && env->clock && env->power);
	rp->theirs = *env;
	if (env->irq) {
		rp->irq.set = page_irq_set;
		env->irq = &rp->irq;
	}
}

struct device *register_page_attach(struct register_page *rp, struct device *inner, uint8_t range,
				    uint8_t len, size_t late)
{
	const struct device_class *cls = inner->cls;

	assert(rp->page && !rp->inner && rp->theirs.clock);
	assert(cls->register_page && !cls->expire && !cls->io && !cls->self_locked);
	assert(!cls->chr || (!cls->chr->listens && !cls->chr->resized && cls->chr->rx_break));
	assert(len <= REGISTER_PAGE_LEN_MAX);
	rp->cls = (struct device_class){
		.name = cls->name,
		.max_access = cls->max_access,
		.coalesce_len = cls->coalesce_len,
		.reset = cls->reset ? page_reset : NULL,
		.read = page_read,
		.write = page_write,
		.read_quick = cls->read_quick ? page_read_quick : NULL,
		.expire = page_expire,
		.chr = cls->chr ? &page_char_ops : NULL,
	};
	rp->dev.cls = &rp->cls;
	pthread_mutex_init(&rp->dev.lock, NULL); /* fails only for attributes */
	rp->inner = inner;
	rp->range = range;
	rp->len = len;
	rp->late = late;
	rp->polls_needed = POLLS_MIN;
	rp->mapped_at_ns = clock_now_ns(rp);
	update(rp);
	return &rp->dev;
}

void register_page_withhold(struct register_page *rp, bool on)
{
	device_lock(&rp->dev);
	rp->withheld = on;
	if (on)
		page_unmap(rp);
	note_reads(rp, true);
	device_unlock(&rp->dev);
}

struct register_page_counts register_page_counts(struct register_page *rp)
{
	struct register_page_counts counts;

	device_lock(&rp->dev);
	counts = rp->counts;
	device_unlock(&rp->dev);
	return counts;
}
