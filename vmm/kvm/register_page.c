#include "kvm/register_page.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

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
#define SILENCE_NS     (250 * NS_PER_MS)
#define CONCEAL_MAX_NS (2 * NS_PER_S)

static struct shadow_page *shadow_of(struct device *dev)
{
	return container_of(dev, struct shadow_page, dev);
}

static int64_t clock_now_ns(const struct shadow_page *sp)
{
	return sp->theirs.clock->monotonic_ns(sp->theirs.clock);
}

/* len 0: no slot. It takes 20 us on some hosts and 10 ms on others, so it is measured. */
static int set_slot(const struct shadow_page *sp, uint64_t len, int64_t *ret_ns)
{
	const int64_t begin_ns = clock_now_ns(sp);
	int r = kvm_mem_slot_set(sp->kvm, sp->slot, sp->gpa, len, sp->page, true);

	*ret_ns = clock_now_ns(sp) - begin_ns;
	return r;
}

static void forget_polls(struct shadow_page *sp)
{
	sp->polls = 0;
	sp->polled_ns = 0;
}

static void hide(struct shadow_page *sp)
{
	int64_t shown_ns;

	forget_polls(sp);
	if (!sp->shown)
		return;
	shown_ns = clock_now_ns(sp) - sp->shown_at_ns;
	if (set_slot(sp, 0, &sp->hide_ns) < 0) {
		/* The guest would go on seeing what is no longer so. */
		const struct vm_end end = {.kind = VM_END_KVM_ERROR,
					   .by = "KVM does not take back a memory slot"};

		sp->theirs.power->end(sp->theirs.power, end);
		return;
	}
	sp->shown = false;
	sp->counts.hides++;
	if (shown_ns >= SOON_NS)
		sp->polls_needed = POLLS_MIN;
	else if (sp->polls_needed < POLLS_MAX)
		sp->polls_needed *= 2;
}

static void watch_input(struct shadow_page *sp, int64_t now_ns)
{
	sp->writes_then = sp->writes;
	sp->theirs.timer->arm(sp->theirs.timer, now_ns + SILENCE_NS);
}

/* From here on the device does not see whether the guest polls for the input that waits. */
static void conceal(struct shadow_page *sp)
{
	const int64_t now_ns = clock_now_ns(sp);

	sp->conceal_until_ns = now_ns + CONCEAL_MAX_NS;
	watch_input(sp, now_ns);
}

static void page_show(struct shadow_page *sp)
{
	if (set_slot(sp, KVM_PAGE_BYTES, &sp->show_ns) < 0) {
		sp->barred = true;
		return;
	}
	sp->shown = true;
	sp->shown_at_ns = clock_now_ns(sp);
	sp->counts.shows++;
	if (sp->input_waits)
		conceal(sp);
}

/* Whoever pays for a thing bit by bit is wise to buy it once he has paid its price. */
static bool is_worth_showing(const struct shadow_page *sp)
{
	return !sp->barred && sp->polls >= sp->polls_needed &&
	       sp->polled_ns >= sp->show_ns + sp->hide_ns;
}

/* The guest may read it meanwhile, byte by byte. */
static void page_fill(struct shadow_page *sp, const uint8_t *bytes)
{
	for (size_t i = 0; i < sp->len; i++)
		__atomic_store_n(&sp->page[i], bytes[i], __ATOMIC_RELAXED);
}

/* The page shows what the device has, or goes; true for the former. */
static bool follow(struct shadow_page *sp)
{
	uint8_t bytes[SHADOW_PAGE_REGISTERS_MAX];

	if (!sp->inner->cls->shadow(sp->inner, sp->range, sp->late, bytes)) {
		hide(sp);
		return false;
	}
	page_fill(sp, bytes);
	return true;
}

/* After every op. */
static void update(struct shadow_page *sp)
{
	if (follow(sp) && !sp->shown && is_worth_showing(sp))
		page_show(sp);
}

static void count_poll(struct shadow_page *sp)
{
	const int64_t now_ns = clock_now_ns(sp), gap_ns = now_ns - sp->polled_at_ns;

	sp->polls++;
	if (gap_ns < POLL_GAP_MAX_NS)
		sp->polled_ns += gap_ns;
	sp->polled_at_ns = now_ns;
}

static uint64_t shadow_read(struct device *dev, struct io_at at)
{
	struct shadow_page *sp = shadow_of(dev);
	uint64_t val = sp->inner->cls->read(sp->inner, at);

	if (!sp->shown)
		count_poll(sp);
	update(sp);
	return val;
}

static void shadow_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct shadow_page *sp = shadow_of(dev);

	sp->inner->cls->write(sp->inner, at, val);
	sp->writes++;
	update(sp);
}

static size_t shadow_rx_room(struct device *dev)
{
	struct shadow_page *sp = shadow_of(dev);
	size_t room = sp->inner->cls->chr->rx_room(sp->inner);

	if (room == 0 && !sp->input_waits) {
		sp->input_waits = true;
		if (sp->shown)
			conceal(sp);
	}
	return room;
}

static void shadow_rx(struct device *dev, const uint8_t *buf, size_t n)
{
	struct shadow_page *sp = shadow_of(dev);

	sp->input_waits = false;
	sp->inner->cls->chr->rx(sp->inner, buf, n);
	update(sp);
}

static void shadow_tx_room(struct device *dev)
{
	struct shadow_page *sp = shadow_of(dev);

	sp->inner->cls->chr->tx_room(sp->inner);
	update(sp);
}

/* watch_input()'s time is up: the device is to see whether the guest polls. */
static void shadow_expire(struct device *dev)
{
	struct shadow_page *sp = shadow_of(dev);
	const int64_t now_ns = clock_now_ns(sp);

	if (!sp->input_waits || !sp->shown)
		return;
	if (sp->writes == sp->writes_then || now_ns >= sp->conceal_until_ns)
		hide(sp);
	else
		watch_input(sp, now_ns);
}

static void shadow_irq_set(struct irq_line *irq, bool level)
{
	struct shadow_page *sp = container_of(irq, struct shadow_page, irq);

	if (sp->inner)
		follow(sp); /* in the middle of an op, after which it is asked again */
	sp->theirs.irq->set(sp->theirs.irq, level);
}

static const struct char_ops shadow_char_ops = {
	.rx_room = shadow_rx_room,
	.rx = shadow_rx,
	.tx_room = shadow_tx_room,
};

int shadow_page_init(struct shadow_page *sp, const struct kvm *kvm, unsigned slot, uint64_t gpa)
{
	int r = kvm_page_create(kvm, slot, gpa, &sp->page);

	if (r < 0)
		return r;
	sp->kvm = kvm;
	sp->slot = slot;
	sp->gpa = gpa;
	sp->shown = true;
	return 0;
}

void shadow_page_fini(struct shadow_page *sp)
{
	if (!sp->page)
		return;
	if (sp->inner)
		pthread_mutex_destroy(&sp->dev.lock);
	kvm_page_destroy(sp->page);
	memset(sp, 0, sizeof(*sp));
}

void shadow_page_env(struct shadow_page *sp, struct device_env *env)
{
	assert(env->timer && env->clock && env->power);
	sp->theirs = *env;
	if (env->irq) {
		sp->irq.set = shadow_irq_set;
		env->irq = &sp->irq;
	}
}

struct device *shadow_page_attach(struct shadow_page *sp, struct device *inner, uint8_t range,
				  uint8_t len, size_t late)
{
	const struct device_class *cls = inner->cls;

	assert(sp->page && !sp->inner && sp->theirs.clock);
	assert(cls->shadow && !cls->expire && !cls->io && !cls->self_locked);
	assert(!cls->chr || (!cls->chr->listens && !cls->chr->resized));
	assert(len <= SHADOW_PAGE_REGISTERS_MAX);
	sp->cls = (struct device_class){
		.name = cls->name,
		.max_access = cls->max_access,
		.coalesce_len = cls->coalesce_len,
		.read = shadow_read,
		.write = shadow_write,
		.expire = shadow_expire,
		.chr = cls->chr ? &shadow_char_ops : NULL,
	};
	sp->dev.cls = &sp->cls;
	pthread_mutex_init(&sp->dev.lock, NULL); /* fails only for attributes */
	sp->inner = inner;
	sp->range = range;
	sp->len = len;
	sp->late = late;
	sp->polls_needed = POLLS_MIN;
	sp->shown_at_ns = clock_now_ns(sp);
	update(sp);
	return &sp->dev;
}

struct shadow_page_counts shadow_page_counts(struct shadow_page *sp)
{
	struct shadow_page_counts counts;

	device_lock(&sp->dev);
	counts = sp->counts;
	device_unlock(&sp->dev);
	return counts;
}
