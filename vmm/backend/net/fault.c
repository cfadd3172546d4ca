/*
 * fault.c - a network with faults on purpose: a back end before another one, and a client after that. Frames that wait
 * are copies, so a reset of the device leaves no guest memory in use.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/net.h"
#include "base/clock.h"
#include "base/iov.h"
#include "base/macros.h"

enum {
	FRAMES_MAX = 256,    /* that wait, in both directions; a frame that finds no room is lost */
	PASSES_MAX = 64,     /* frames that one receive() looks at */
	REORDER_MAX_MS = 20, /* a frame waits so long for the next one */
	BITS = 8,
};

struct waiting_frame {
	struct waiting_frame *next;
	int64_t due_ns;
	unsigned direction, pair;
	bool is_overtaken; /* by the next frame, which makes it due */
	size_t len;        /* with its header */
	uint8_t bytes[NET_HDR_BYTES + NET_FRAME_BYTES_MAX];
};

/* The faults that one frame has. */
struct frame_faults {
	unsigned kinds; /* a bit for each */
	int64_t delay_ns;
	uint64_t random;
};

struct net_fault {
	struct net_backend be;
	struct net_backend *inner;
	struct net_client client; /* inner's */
	struct event_timer timer;
	struct fault_rules rules;
	struct waiting_frame *frames, *free;
	struct waiting_frame *waiting; /* in the order that they are due */
	bool rx_want[NET_PAIRS_MAX];
	/* send() had no room for a frame, and comes again with the same one. */
	bool sends_again[NET_PAIRS_MAX];
	struct frame_faults again[NET_PAIRS_MAX];
	uint8_t copy[NET_HDR_BYTES + NET_FRAME_BYTES_MAX]; /* of a frame that is changed */
};

static struct net_fault *net_fault_of(struct net_backend *be)
{
	return container_of(be, struct net_fault, be);
}

static bool has(const struct frame_faults *faults, enum fault_kind kind)
{
	return faults->kinds >> kind & 1;
}

static void count_fault_of(struct net_fault *nf, enum fault_kind kind)
{
	nf->be.client->faulted(nf->be.client, kind);
}

/* Asks each rule, so that what one does depends on no other one. */
static struct frame_faults decide_frame(struct net_fault *nf, unsigned direction)
{
	struct frame_faults ret = {0};

	for (unsigned i = 0; i < nf->rules.nr; i++) {
		struct fault_rule *rule = &nf->rules.rule[i];

		if (!(rule->which & direction) || !fault_fires(rule))
			continue;
		ret.kinds |= 1U << rule->kind;
		if (rule->kind == FAULT_DELAY)
			ret.delay_ns += rule->delay_ns;
		if (rule->kind == FAULT_CORRUPT)
			ret.random = fault_random(rule);
	}
	return ret;
}

static void count_faults(struct net_fault *nf, const struct frame_faults *faults)
{
	if (has(faults, FAULT_LOSE)) {
		count_fault_of(nf, FAULT_LOSE);
		return;
	}
	for (unsigned kind = 0; kind < FAULT_KINDS; kind++)
		if (has(faults, (enum fault_kind)kind))
			count_fault_of(nf, (enum fault_kind)kind);
}

/* Another bit of the frame; the header no longer says that its checksum is right. */
static void corrupt(uint8_t *bytes, size_t len, uint64_t random)
{
	const size_t frame = len - NET_HDR_BYTES;

	if (frame == 0)
		return;
	bytes[NET_HDR_BYTES + random / BITS % frame] ^= (uint8_t)(1 << random % BITS);
	bytes[offsetof(struct virtio_net_hdr_v1, flags)] = 0;
}

/*
 * Frames that wait.
 */

static void arm(struct net_fault *nf)
{
	event_timer_arm(&nf->timer, nf->waiting ? nf->waiting->due_ns : INT64_MAX);
}

static void insert(struct net_fault *nf, struct waiting_frame *frame)
{
	struct waiting_frame **at = &nf->waiting;

	while (*at && (*at)->due_ns <= frame->due_ns)
		at = &(*at)->next;
	frame->next = *at;
	*at = frame;
	arm(nf);
}

/* A copy of the frame waits for so long; false: there is no room. */
static bool wait_frame(struct net_fault *nf, unsigned direction, unsigned pair,
		       const struct iovec *iov, unsigned nr, size_t len, int64_t ns,
		       bool is_overtaken)
{
	struct waiting_frame *frame = nf->free;

	if (!frame || len > sizeof(frame->bytes))
		return false;
	nf->free = frame->next;
	frame->due_ns = clock_monotonic_ns() + ns;
	frame->direction = direction;
	frame->pair = pair;
	frame->is_overtaken = is_overtaken;
	frame->len = iov_read(iov, nr, 0, frame->bytes, len);
	insert(nf, frame);
	return true;
}

/* The first one of a direction and a pair that is due, or of any pair; NULL: none. The caller gives it back. */
static struct waiting_frame *take_due(struct net_fault *nf, unsigned direction, unsigned pair,
				      bool any)
{
	const int64_t now_ns = clock_monotonic_ns();

	for (struct waiting_frame **at = &nf->waiting; *at; at = &(*at)->next) {
		struct waiting_frame *frame = *at;

		if (frame->due_ns > now_ns)
			return NULL;
		if (frame->direction != direction || (!any && frame->pair != pair))
			continue;
		*at = frame->next;
		return frame;
	}
	return NULL;
}

static void give_back(struct net_fault *nf, struct waiting_frame *frame)
{
	frame->next = nf->free;
	nf->free = frame;
}

/* A frame has passed: those that it was to overtake follow, in their order. */
static void passed(struct net_fault *nf, unsigned direction, unsigned pair)
{
	struct waiting_frame **at = &nf->waiting, *first = NULL, **last = &first;

	while (*at) {
		struct waiting_frame *frame = *at;

		if (!frame->is_overtaken || frame->direction != direction || frame->pair != pair) {
			at = &frame->next;
			continue;
		}
		*at = frame->next;
		frame->is_overtaken = false;
		frame->due_ns = 0;
		*last = frame;
		last = &frame->next;
	}
	*last = nf->waiting; /* nothing else is due before them */
	nf->waiting = first;
	arm(nf);
}

/*
 * From the guest.
 */

/* One without room below is lost, as in a full queue of a network. So is one that nobody takes, but not by a fault. */
static void send_due(struct net_fault *nf)
{
	struct waiting_frame *frame;
	bool any = false;

	while ((frame = take_due(nf, NET_FAULT_TX, 0, true)) != NULL) {
		const struct iovec iov[] = {
			{frame->bytes, NET_HDR_BYTES},
			{frame->bytes + NET_HDR_BYTES, frame->len - NET_HDR_BYTES},
		};

		if (nf->inner->ops->send(nf->inner, frame->pair, iov, ARRAY_SIZE(iov)) == -EAGAIN)
			count_fault_of(nf, FAULT_LOSE);
		give_back(nf, frame);
		any = true;
	}
	if (any && nf->inner->ops->sent)
		nf->inner->ops->sent(nf->inner);
}

static int send_now(struct net_fault *nf, unsigned pair, const struct iovec *iov, unsigned nr,
		    const struct frame_faults *faults)
{
	const size_t len = iov_bytes(iov, nr);
	const struct iovec copy[] = {
		{nf->copy, NET_HDR_BYTES},
		{nf->copy + NET_HDR_BYTES, len - NET_HDR_BYTES},
	};
	const bool waits = has(faults, FAULT_DELAY) || has(faults, FAULT_REORDER);
	int r = 0;

	if (has(faults, FAULT_CORRUPT)) {
		iov_read(iov, nr, 0, nf->copy, len);
		corrupt(nf->copy, len, faults->random);
		iov = copy;
		nr = ARRAY_SIZE(copy);
	}
	for (unsigned i = has(faults, FAULT_DUPLICATE) ? 2 : 1; i > 0 && r == 0; i--) {
		if (!waits)
			r = nf->inner->ops->send(nf->inner, pair, iov, nr);
		else if (!wait_frame(nf, NET_FAULT_TX, pair, iov, nr, len,
				     faults->delay_ns ? faults->delay_ns
						      : REORDER_MAX_MS * NS_PER_MS,
				     !faults->delay_ns))
			count_fault_of(nf, FAULT_LOSE);
	}
	return r;
}

static int fault_send(struct net_backend *be, unsigned pair, const struct iovec *iov, unsigned nr)
{
	struct net_fault *nf = net_fault_of(be);
	const bool again = nf->sends_again[pair];
	struct frame_faults faults = again ? nf->again[pair] : decide_frame(nf, NET_FAULT_TX);
	int r;

	nf->sends_again[pair] = false;
	if (!again)
		count_faults(nf, &faults);
	if (has(&faults, FAULT_LOSE))
		return 0;
	r = send_now(nf, pair, iov, nr, &faults);
	if (r == -EAGAIN) {
		nf->sends_again[pair] = true;
		nf->again[pair] = faults;
	} else if (!has(&faults, FAULT_DELAY) && !has(&faults, FAULT_REORDER)) {
		passed(nf, NET_FAULT_TX, pair);
		send_due(nf);
	}
	return r;
}

static void fault_sent(struct net_backend *be)
{
	struct net_fault *nf = net_fault_of(be);

	if (nf->inner->ops->sent)
		nf->inner->ops->sent(nf->inner);
}

/*
 * To the guest.
 */

static bool fault_rx_frame(struct net_fault *nf, unsigned pair, const struct iovec *iov,
			   unsigned nr, size_t len)
{
	const struct frame_faults faults = decide_frame(nf, NET_FAULT_RX);
	const bool waits = has(&faults, FAULT_DELAY) || has(&faults, FAULT_REORDER);

	count_faults(nf, &faults);
	if (has(&faults, FAULT_LOSE))
		return false;
	if (has(&faults, FAULT_CORRUPT)) {
		iov_read(iov, nr, 0, nf->copy, len);
		corrupt(nf->copy, len, faults.random);
		iov_write(iov, nr, 0, nf->copy, len);
	}
	for (unsigned i = waits + has(&faults, FAULT_DUPLICATE); i > 0; i--)
		if (!wait_frame(nf, NET_FAULT_RX, pair, iov, nr, len,
				faults.delay_ns ? faults.delay_ns
				: waits         ? REORDER_MAX_MS * NS_PER_MS
						: 0,
				waits && !faults.delay_ns))
			count_fault_of(nf, FAULT_LOSE);
	if (!waits)
		passed(nf, NET_FAULT_RX, pair);
	return !waits;
}

static ssize_t fault_receive(struct net_backend *be, unsigned pair, const struct iovec *iov,
			     unsigned nr)
{
	struct net_fault *nf = net_fault_of(be);
	struct waiting_frame *frame = take_due(nf, NET_FAULT_RX, pair, false);
	ssize_t n = -EAGAIN;

	if (frame) {
		n = (ssize_t)iov_write(iov, nr, 0, frame->bytes, frame->len);
		give_back(nf, frame);
		return n;
	}
	/* The back end below says again that it has frames, when more than that are left. */
	for (unsigned i = 0; i < PASSES_MAX; i++) {
		n = nf->inner->ops->receive(nf->inner, pair, iov, nr);
		if (n < NET_HDR_BYTES || fault_rx_frame(nf, pair, iov, nr, (size_t)n))
			return n;
	}
	return -EAGAIN;
}

static void fault_rx_want(struct net_backend *be, unsigned pair, bool want)
{
	struct net_fault *nf = net_fault_of(be);

	nf->rx_want[pair] = want;
	nf->inner->ops->rx_want(nf->inner, pair, want);
	arm(nf); /* for frames that were due while nobody wanted them */
}

static void frames_due(void *arg)
{
	struct net_fault *nf = arg;
	const int64_t now_ns = clock_monotonic_ns();
	int64_t next_ns = INT64_MAX;
	bool ready[NET_PAIRS_MAX] = {false};

	send_due(nf);
	for (struct waiting_frame *frame = nf->waiting; frame; frame = frame->next) {
		if (frame->due_ns > now_ns && frame->due_ns < next_ns)
			next_ns = frame->due_ns;
		else if (frame->due_ns <= now_ns)
			ready[frame->pair] = true;
	}
	/* Not for those that nobody wants: rx_want() arms it again. */
	event_timer_arm(&nf->timer, next_ns);
	for (unsigned i = 0; i < nf->be.pairs; i++)
		if (ready[i] && nf->rx_want[i])
			nf->be.client->rx_ready(nf->be.client, i);
}

static void fault_rx_offloads_set(struct net_backend *be, unsigned offloads)
{
	(void)be;
	(void)offloads; /* there are none */
}

static int fault_pairs_set(struct net_backend *be, unsigned pairs)
{
	struct net_fault *nf = net_fault_of(be);

	/* After a reset of the device other frames come. */
	memset(nf->sends_again, 0, sizeof(nf->sends_again));
	return nf->inner->ops->pairs_set(nf->inner, pairs);
}

static int fault_forward(struct net_backend *be, bool add, const struct net_slirp_forward *fwd,
			 struct diag *diag)
{
	struct net_backend *inner = net_fault_of(be)->inner;

	return inner->ops->forward(inner, add, fwd, diag);
}

static int fault_forwards(struct net_backend *be,
			  struct net_slirp_forward ret[NET_SLIRP_FORWARDS_MAX])
{
	struct net_backend *inner = net_fault_of(be)->inner;

	return inner->ops->forwards ? inner->ops->forwards(inner, ret) : -ENOTSUP;
}

static void fault_destroy(struct net_backend *be)
{
	struct net_fault *nf = net_fault_of(be);

	net_backend_destroy(nf->inner);
	event_timer_fini(&nf->timer);
	free(nf->frames);
	free(nf);
}

static const struct net_backend_ops net_fault_ops = {
	.send = fault_send,
	.sent = fault_sent,
	.receive = fault_receive,
	.rx_want = fault_rx_want,
	.rx_offloads_set = fault_rx_offloads_set,
	.pairs_set = fault_pairs_set,
	.forward = fault_forward,
	.forwards = fault_forwards,
	.destroy = fault_destroy,
};

/*
 * The client of the back end below.
 */

static struct net_client *outer(struct net_client *client)
{
	return container_of(client, struct net_fault, client)->be.client;
}

static void pass_rx_ready(struct net_client *client, unsigned pair)
{
	outer(client)->rx_ready(outer(client), pair);
}

static void pass_tx_ready(struct net_client *client, unsigned pair)
{
	outer(client)->tx_ready(outer(client), pair);
}

static void pass_rx_dropped(struct net_client *client)
{
	outer(client)->rx_dropped(outer(client));
}

static void pass_link_changed(struct net_client *client)
{
	struct net_fault *nf = container_of(client, struct net_fault, client);

	atomic_store(&nf->be.link_up, atomic_load(&nf->inner->link_up));
	outer(client)->link_changed(outer(client));
}

static int fault_init(struct net_fault *nf, const struct net_fault_opts *opts,
		      const struct net_backend_env *env, struct diag *diag)
{
	struct net_backend_env inner = *env;
	int r = event_timer_init(&nf->timer, env->loop, frames_due, nf);

	nf->frames = r < 0 ? NULL : calloc(FRAMES_MAX, sizeof(*nf->frames));
	if (!nf->frames)
		return diag_set(diag, r < 0 ? r : -ENOMEM, "net-fault", "faults of a network");
	for (unsigned i = 0; i < FRAMES_MAX; i++)
		give_back(nf, &nf->frames[i]);
	nf->client = (struct net_client){
		.rx_ready = pass_rx_ready,
		.tx_ready = pass_tx_ready,
		.rx_dropped = pass_rx_dropped,
		.link_changed = pass_link_changed,
	};
	inner.client = &nf->client;
	/* The link may change before the caller has the back end: not before it is open. */
	return opts->open(opts->opts, &inner, &nf->inner, diag);
}

int net_fault_open(const void *opts, const struct net_backend_env *env, struct net_backend **ret,
		   struct diag *diag)
{
	const struct net_fault_opts *o = opts;
	struct net_fault *nf = calloc(1, sizeof(*nf));
	int r;

	if (!nf)
		return diag_set(diag, -ENOMEM, "net-fault", "faults of a network");
	nf->rules = o->rules;
	fault_rules_begin(&nf->rules);
	r = fault_init(nf, o, env, diag);
	if (r < 0) {
		fault_destroy(&nf->be);
		return r;
	}
	nf->be = (struct net_backend){
		.ops = &net_fault_ops,
		.client = env->client,
		.pairs = nf->inner->pairs,
		.mtu = nf->inner->mtu,
		.link_up = atomic_load(&nf->inner->link_up),
	};
	memcpy(nf->be.name, nf->inner->name, sizeof(nf->be.name));
	*ret = &nf->be;
	return 0;
}
