/*
 * virtio/queue.c against a model of it that is slow and plain: a driver that is mostly right and now and
 * then hostile does random things, and both must come to the same end. The model follows a chain into
 * a list, notes every rule that the first bad descriptor breaks, and counts in 64 bits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "virtio/queue.h"
#include "virtq_driver.h"

enum {
	RAM_BYTES = 128 << 10,
	QUEUE_GPA = 0x4000,
	TABLES_GPA = 0x8000,
	DATA_GPA = 0x10000,
	SIZE_LOG_MAX = 6,
	PIECES_MAX = 48,
	BUFS_MAX = 6,
	FLIGHT_MAX = 1 << SIZE_LOG_MAX,
	RUNS = 3000,
	STEPS = 150,
};

struct model {
	uint64_t taken, pushed, published,
		seen;    /* elements since the start; seen: of the driver's */
	uint32_t broken; /* faults, a bit each; 0: none */
};

struct model_chain {
	uint16_t head;
	struct virtq_buf buf[PIECES_MAX];
	unsigned n;
};

struct run {
	uint64_t random;
	struct guest_mem mem;
	struct virtq vq;
	struct virtq_driver drv;
	struct model model;
	uint64_t features;
	unsigned iov_max;
	uint16_t flight[FLIGHT_MAX]; /* heads that were taken and not pushed */
	unsigned nr_flight;
	uint64_t faults_seen; /* kinds, a bit each */
};

static uint32_t any(struct run *run, uint32_t below)
{
	return random_below(&run->random, below);
}

static bool has(const struct run *run, unsigned feature)
{
	return run->features >> feature & 1;
}

/*
 * The model.
 */

static uint32_t bit(enum virtq_fault fault)
{
	return UINT32_C(1) << fault;
}

static uint32_t broken_rules(const struct run *run, const struct model_chain *c,
			     const struct vring_desc *d)
{
	const bool write = d->flags & VRING_DESC_F_WRITE;
	uint64_t sum = d->len;
	uint32_t rules = 0;

	for (unsigned i = 0; i < c->n; i++)
		sum += c->buf[i].len;
	if (d->len == 0 || sum >= UINT64_C(1) << 32)
		rules |= bit(VIRTQ_FAULT_LENGTH);
	if (!write && c->n > 0 && c->buf[c->n - 1].write)
		rules |= bit(VIRTQ_FAULT_ORDER);
	if (d->addr >= RAM_BYTES || d->len > RAM_BYTES - d->addr)
		rules |= bit(VIRTQ_FAULT_ADDRESS);
	if (c->n == run->iov_max)
		rules |= bit(VIRTQ_FAULT_SEGMENTS);
	return rules;
}

static struct vring_desc desc_at(const struct run *run, uint64_t table, uint32_t i)
{
	struct vring_desc d;

	assert_int_equal(guest_mem_read(&run->mem, table + i * sizeof(d), &d, sizeof(d)), 0);
	return d;
}

static uint32_t model_walk(const struct run *run, uint64_t table, uint32_t n, uint32_t first,
			   bool nested, struct model_chain *c)
{
	uint32_t i = first;

	for (uint32_t steps = 0; steps < n; steps++) {
		const struct vring_desc d = desc_at(run, table, i);
		uint32_t rules;

		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (nested || !has(run, VIRTIO_RING_F_INDIRECT_DESC) ||
			    d.flags & VRING_DESC_F_NEXT || d.len < 16 || d.len % 16)
				return bit(VIRTQ_FAULT_INDIRECT);
			if (d.addr >= RAM_BYTES || d.len > RAM_BYTES - d.addr)
				return bit(VIRTQ_FAULT_ADDRESS);
			return model_walk(run, d.addr, d.len / 16, 0, true, c);
		}
		rules = broken_rules(run, c, &d);
		if (rules)
			return rules;
		c->buf[c->n++] = (struct virtq_buf){d.addr, d.len, d.flags & VRING_DESC_F_WRITE};
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		if (d.next >= n)
			return bit(VIRTQ_FAULT_NEXT);
		i = d.next;
	}
	return bit(VIRTQ_FAULT_LOOP);
}

/* 1 with a chain, 0, or -1 with model.broken. */
static int model_pop(struct run *run, struct model_chain *c)
{
	struct model *m = &run->model;
	const uint16_t idx = run->drv.avail->idx;

	if (m->broken)
		return -1;
	if (m->seen == m->taken)
		m->seen += (uint16_t)(idx - m->seen);
	if (m->seen == m->taken)
		return 0;
	if (m->seen - m->published > run->drv.size) {
		m->broken = bit(VIRTQ_FAULT_AVAIL_IDX);
		return -1;
	}
	*c = (struct model_chain){.head = run->drv.avail->ring[m->taken % run->drv.size]};
	if (c->head >= run->drv.size)
		m->broken = bit(VIRTQ_FAULT_HEAD);
	else
		m->broken = model_walk(run, run->drv.desc_gpa, run->drv.size, c->head, false, c);
	if (m->broken)
		return -1;
	m->taken++;
	return 1;
}

/* 2.7.7.2: with EVENT_IDX, whether element used_event is among those just published. */
static bool model_publish(struct run *run)
{
	struct model *m = &run->model;
	bool wanted = false;

	if (m->pushed == m->published)
		return false;
	if (has(run, VIRTIO_RING_F_EVENT_IDX)) {
		const uint16_t event = run->drv.avail->ring[run->drv.size];

		for (uint64_t i = m->published; i < m->pushed; i++)
			wanted |= (uint16_t)i == event;
	} else {
		wanted = !(run->drv.avail->flags & VRING_AVAIL_F_NO_INTERRUPT);
	}
	m->published = m->pushed;
	return wanted;
}

/*
 * The steps.
 */

static void step_start(struct run *run)
{
	const uint32_t size = UINT32_C(1) << any(run, SIZE_LOG_MAX + 1);

	virtq_stop(&run->vq);
	run->features = (uint64_t)any(run, 2) << VIRTIO_RING_F_EVENT_IDX |
			(uint64_t)any(run, 2) << VIRTIO_RING_F_INDIRECT_DESC;
	run->iov_max = 1 + any(run, PIECES_MAX);
	run->nr_flight = 0;
	run->model = (struct model){0};
	virtq_init(&run->vq, &run->mem, size);
	assert_int_equal(virtq_driver_start(&run->drv, &run->vq, QUEUE_GPA, size, run->features),
			 0);
}

static void random_bufs(struct run *run, struct virtq_buf *buf, unsigned n)
{
	const unsigned outs = any(run, n + 1);

	for (unsigned i = 0; i < n; i++)
		buf[i] = (struct virtq_buf){DATA_GPA + any(run, 4096), 1 + any(run, 4096),
					    i >= outs};
}

static void step_add(struct run *run)
{
	struct virtq_buf buf[BUFS_MAX];
	unsigned n = 1 + any(run, BUFS_MAX);

	if (run->drv.avail_idx - run->drv.used->idx >= (int)run->drv.size && any(run, 8))
		return;
	random_bufs(run, buf, n);
	if (has(run, VIRTIO_RING_F_INDIRECT_DESC) && any(run, 2)) {
		virtq_driver_offer(
			&run->drv,
			virtq_driver_indirect(&run->drv, TABLES_GPA + any(run, 1024), buf, n));
		return;
	}
	if (n > run->drv.size)
		n = run->drv.size;
	virtq_driver_add(&run->drv, buf, n);
}

/* One field of a descriptor, in the queue's table or in that of an indirect chain, becomes strange. */
static void step_corrupt(struct run *run)
{
	static const uint64_t strange[] = {0,
					   1,
					   15,
					   16,
					   17,
					   0x7fff,
					   0x8000,
					   0xffff,
					   RAM_BYTES - 1,
					   RAM_BYTES,
					   RAM_BYTES + 1,
					   UINT32_MAX,
					   UINT64_C(1) << 32,
					   UINT64_MAX - 15,
					   UINT64_MAX};
	const uint64_t val = strange[any(run, sizeof(strange) / sizeof(strange[0]))];
	void *at =
		&run->drv.desc[any(run, run->drv.size)]; /* an indirect one need not be aligned */
	struct vring_desc d;

	memcpy(&d, at, sizeof(d));
	if (d.flags & VRING_DESC_F_INDIRECT && any(run, 2)) {
		void *in = guest_mem_ptr(&run->mem, d.addr, sizeof(d));

		at = in ? in : at;
		memcpy(&d, at, sizeof(d));
	}
	switch (any(run, 5)) {
	case 0: d.addr = val; break;
	case 1: d.len = (uint32_t)val; break;
	case 2: d.flags = (uint16_t)any(run, 8); break;
	case 3: d.next = (uint16_t)val; break;
	default: d.next = (uint16_t)any(run, run->drv.size); break;
	}
	memcpy(at, &d, sizeof(d));
}

static void step_corrupt_ring(struct run *run)
{
	switch (any(run, 3)) {
	case 0: virtq_driver_offer(&run->drv, (uint16_t)any(run, 2 * run->drv.size)); return;
	case 1: run->drv.avail_idx = (uint16_t)(run->drv.avail_idx + any(run, 65536)); break;
	default: run->drv.avail_idx = (uint16_t)(run->drv.avail_idx - 1 - any(run, 8)); break;
	}
	run->drv.avail->idx = run->drv.avail_idx;
}

static void assert_same_chain(const struct run *run, const struct virtq_chain *chain,
			      const struct model_chain *expected)
{
	uint64_t bytes[2] = {0, 0};

	assert_int_equal(chain->head, expected->head);
	assert_int_equal(chain->nr_out + chain->nr_in, expected->n);
	assert_ptr_equal(chain->in, chain->out + chain->nr_out);
	for (unsigned i = 0; i < expected->n; i++) {
		const struct virtq_buf *buf = &expected->buf[i];

		assert_int_equal(i >= chain->nr_out, buf->write);
		assert_ptr_equal(chain->out[i].iov_base, guest_mem_ptr(&run->mem, buf->gpa, 1));
		assert_int_equal(chain->out[i].iov_len, buf->len);
		bytes[buf->write] += buf->len;
	}
	assert_int_equal(chain->out_bytes, bytes[false]);
	assert_int_equal(chain->in_bytes, bytes[true]);
}

static void step_pop(struct run *run)
{
	struct iovec iov[PIECES_MAX];
	struct model_chain expected = {0};
	struct virtq_chain chain;
	const int r = virtq_pop(&run->vq, iov, run->iov_max, &chain);
	const int wanted = model_pop(run, &expected);

	assert_int_equal(r, wanted < 0 ? -EPROTO : wanted);
	if (r > 0) {
		assert_same_chain(run, &chain, &expected);
		run->flight[run->nr_flight++] = chain.head;
		assert_true(run->nr_flight <= run->drv.size);
	} else if (r < 0) {
		assert_true(run->model.broken >> run->vq.fault & 1);
		run->faults_seen |= bit(run->vq.fault);
	}
}

static void step_unpop(struct run *run)
{
	const unsigned n = any(run, run->nr_flight + 1);

	/* Only the last ones, none of which was pushed: nothing was, if all are still there. */
	if (run->nr_flight != run->model.taken - run->model.pushed || run->model.pushed > 0)
		return;
	virtq_unpop(&run->vq, n);
	run->nr_flight -= n;
	run->model.taken -= n;
}

static void step_push(struct run *run)
{
	unsigned i;

	if (run->nr_flight == 0)
		return;
	i = any(run, run->nr_flight);
	virtq_push(&run->vq, run->flight[i], i);
	run->flight[i] = run->flight[--run->nr_flight];
	run->model.pushed++;
}

static void step_publish(struct run *run)
{
	assert_int_equal(virtq_publish(&run->vq), model_publish(run));
	assert_int_equal(run->drv.used->idx, (uint16_t)run->model.published);
}

static void step_notify(struct run *run)
{
	switch (any(run, 4)) {
	case 0: run->drv.avail->flags = (uint16_t)any(run, 4); break;
	case 1:
		virtq_driver_used_event(&run->drv, (uint16_t)(run->drv.used->idx + any(run, 4)));
		break;
	case 2: virtq_kicks_suppress(&run->vq); break;
	default:
		assert_int_equal(virtq_kicks_allow(&run->vq),
				 !run->model.broken &&
					 run->drv.avail->idx != (uint16_t)run->model.taken);
	}
}

static void step(struct run *run)
{
	const uint32_t dice = any(run, 100);

	if (run->model.broken && dice < 30)
		step_start(run);
	else if (dice < 35)
		step_add(run);
	else if (dice < 65)
		step_pop(run);
	else if (dice < 85)
		step_push(run);
	else if (dice < 92)
		step_publish(run);
	else if (dice < 95)
		step_notify(run);
	else if (dice < 97)
		step_unpop(run);
	else if (dice < 99)
		step_corrupt(run);
	else if (any(run, 4) == 0)
		step_corrupt_ring(run);
}

static void queue_and_model_agree(void **state)
{
	static const struct guest_region region = {.gpa = 0, .len = RAM_BYTES};
	struct run run = {.random = UINT64_C(0x9e3779b97f4a7c15)};
	uint64_t chains = 0;

	(void)state;
	assert_int_equal(guest_mem_init(&run.mem, &region, 1, &(struct guest_mem_opts){0}, NULL),
			 0);
	for (unsigned i = 0; i < RUNS; i++) {
		step_start(&run);
		for (unsigned k = 0; k < STEPS; k++)
			step(&run);
		chains += run.vq.chains;
	}
	guest_mem_fini(&run.mem);
	/* All was met: every kind of fault, and enough that went well. */
	assert_int_equal(run.faults_seen, (UINT64_C(1) << VIRTQ_FAULTS) - 1 - 1);
	assert_true(chains > RUNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queue_and_model_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
