#include "backend/disk/fault.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/iov.h"
#include "base/macros.h"

/* A request that is delayed. */
struct held_request {
	struct disk_request *rq;
	int64_t due_ns;
	uint64_t order; /* of those that are due at once, the first goes first */
	int fault;      /* enum fault_kind, or NO_FAULT */
	uint64_t random;
};

enum { NO_FAULT = -1 };

struct disk_fault {
	struct disk disk;
	struct disk *inner;
	struct fault_rules rules;
	struct event_timer timer;
	void (*batch_done)(void *arg);
	void *batch_done_arg;
	struct held_request held[DISK_REQUESTS_MAX];
	unsigned nr_held;
	uint64_t order;
	bool draining; /* nothing is delayed now */
};

static void count_fault(struct disk_fault *fault, enum fault_kind kind)
{
	if (fault->disk.faulted)
		fault->disk.faulted(fault->disk.faulted_arg, kind);
}

static void fault_io_done(struct disk_io *io, ssize_t res)
{
	struct disk_request *rq = container_of(io, struct disk_request, raw.io);

	rq->done(rq, (int)res);
}

/* Ends the request without the disk below, which has not seen it. */
static void end_with(struct disk_fault *fault, struct disk_request *rq, int err)
{
	rq->raw = (struct disk_transfer){.disk = &fault->disk, .io = {.done = fault_io_done}};
	disk_engine_post(fault->disk.engine, &rq->raw.io, err);
}

static void tear(struct disk_fault *fault, struct disk_request *rq, uint64_t random)
{
	rq->len = random % (rq->len / DISK_SECTOR_BYTES) * DISK_SECTOR_BYTES;
	if (rq->op == DISK_WRITE)
		rq->nr_iov = iov_slice(rq->iov, rq->nr_iov, 0, rq->len, rq->iov);
	if (rq->len == 0)
		end_with(fault, rq, 0);
	else
		disk_submit(fault->inner, rq);
}

static void fault_start(struct disk_fault *fault, struct disk_request *rq, int kind,
			uint64_t random)
{
	switch (kind) {
	case FAULT_FAIL: end_with(fault, rq, -EIO); break;
	case FAULT_LOSE: end_with(fault, rq, 0); break;
	case FAULT_TEAR: tear(fault, rq, random); break;
	default: disk_submit(fault->inner, rq); break;
	}
}

static bool is_for(const struct fault_rule *rule, const struct disk_request *rq)
{
	const uint64_t first = rq->off / DISK_SECTOR_BYTES;

	if (!(rule->which >> rq->op & 1))
		return false;
	if (rq->op == DISK_FLUSH)
		return true;
	/* None of its bytes are in a sector, or there is nothing to tear. */
	return rq->len > 0 && first <= rule->last &&
	       first + rq->len / DISK_SECTOR_BYTES - 1 >= rule->first;
}

/* Asks each rule, so that what one does depends on no other one. */
static void decide_request(struct disk_fault *fault, const struct disk_request *rq,
			   struct held_request *ret, int64_t *ret_delay_ns)
{
	*ret_delay_ns = 0;
	for (unsigned i = 0; i < fault->rules.nr; i++) {
		struct fault_rule *rule = &fault->rules.rule[i];

		if (!is_for(rule, rq) || !fault_fires(rule))
			continue;
		if (rule->kind == FAULT_DELAY) {
			*ret_delay_ns += rule->delay_ns;
		} else if (ret->fault == NO_FAULT) {
			ret->fault = (int)rule->kind;
			ret->random = rule->kind == FAULT_TEAR ? fault_random(rule) : 0;
			count_fault(fault, rule->kind);
		}
	}
}

/* The one that is due next; NULL: nothing is held. */
static struct held_request *next_held(struct disk_fault *fault)
{
	struct held_request *next = NULL;

	for (unsigned i = 0; i < fault->nr_held; i++) {
		struct held_request *held = &fault->held[i];

		if (!next || held->due_ns < next->due_ns ||
		    (held->due_ns == next->due_ns && held->order < next->order))
			next = held;
	}
	return next;
}

static void release_held(struct disk_fault *fault, struct held_request *held)
{
	const struct held_request now = *held;

	*held = fault->held[--fault->nr_held];
	fault_start(fault, now.rq, now.fault, now.random);
}

/* Starts those that are due; how many. */
static unsigned release_due(struct disk_fault *fault, int64_t now_ns)
{
	struct held_request *next;
	unsigned n = 0;

	while ((next = next_held(fault)) != NULL && next->due_ns <= now_ns) {
		release_held(fault, next);
		n++;
	}
	event_timer_arm(&fault->timer, next ? next->due_ns : INT64_MAX);
	return n;
}

static void fault_expired(void *arg)
{
	struct disk_fault *fault = arg;

	if (release_due(fault, clock_monotonic_ns()) == 0)
		return;
	disk_engine_commit(fault->disk.engine);
	fault->batch_done(fault->batch_done_arg);
}

static void fault_submit(struct disk *disk, struct disk_request *rq)
{
	struct disk_fault *fault = container_of(disk, struct disk_fault, disk);
	struct held_request what = {.rq = rq, .fault = NO_FAULT};
	int64_t delay_ns;

	decide_request(fault, rq, &what, &delay_ns);
	if (delay_ns)
		count_fault(fault, FAULT_DELAY);
	if (delay_ns == 0 || fault->draining) {
		fault_start(fault, rq, what.fault, what.random);
		return;
	}
	assert(fault->nr_held < DISK_REQUESTS_MAX);
	what.due_ns = clock_monotonic_ns() + delay_ns;
	what.order = fault->order++;
	fault->held[fault->nr_held++] = what;
	event_timer_arm(&fault->timer, next_held(fault)->due_ns);
}

/* A device that is reset, or a VM that ends, does not wait for delays. A done() may submit more. */
static void fault_drain(struct disk *disk)
{
	struct disk_fault *fault = container_of(disk, struct disk_fault, disk);

	fault->draining = true;
	release_due(fault, INT64_MAX);
	disk_drain(fault->inner);
	fault->draining = false;
}

static void fault_close(struct disk *disk)
{
	struct disk_fault *fault = container_of(disk, struct disk_fault, disk);

	event_timer_fini(&fault->timer);
	fault->inner->ops->close(fault->inner);
	free(fault);
}

static const struct disk_ops disk_fault_ops = {
	.submit = fault_submit,
	.close = fault_close,
	.drain = fault_drain,
};

int disk_fault_create(struct disk *inner, const struct fault_rules *rules, struct event_loop *loop,
		      void (*batch_done)(void *arg), void *arg, struct disk **ret)
{
	struct disk_fault *fault = calloc(1, sizeof(*fault));
	int r;

	if (!fault) {
		inner->ops->close(inner);
		return -ENOMEM;
	}
	fault->disk =
		(struct disk){.ops = &disk_fault_ops, .engine = inner->engine, .geo = inner->geo};
	fault->inner = inner;
	fault->rules = *rules;
	fault_rules_begin(&fault->rules);
	fault->batch_done = batch_done;
	fault->batch_done_arg = arg;
	r = event_timer_init(&fault->timer, loop, fault_expired, fault);
	if (r < 0) {
		fault_close(&fault->disk);
		return r;
	}
	*ret = &fault->disk;
	return 0;
}
