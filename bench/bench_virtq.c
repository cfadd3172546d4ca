/*
 * bench_virtq.c - what a virtqueue costs the device: taking a chain, handing it back and publishing it,
 * one at a time and in batches. A line a case: NAME NS; nanoseconds a chain, the median of rounds. The
 * driver's part is not in it, and all of the ring is in the cache: see docs/design/virtio.md for what that says.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/macros.h"
#include "virtio/queue.h"
#include "virtq_driver.h"

enum {
	RAM_BYTES = 4 << 20,
	QUEUE_GPA = 0x10000,
	TABLES_GPA = 0x100000,
	DATA_GPA = 0x200000,
	SIZE = 256,
	BUFS_MAX = 8,
	ROUNDS = 101,
	CHAINS = 16384, /* a round */
};

static const struct bench_case {
	const char *name;
	unsigned bufs, batch; /* chains that are published together */
	bool indirect;
} cases[] = {
	{"1-buffer", 1, 1, false},          {"1-buffer-batch-32", 1, 32, false},
	{"3-buffers", 3, 1, false},         {"3-buffers-batch-32", 3, 32, false},
	{"3-buffers-indirect", 3, 1, true}, {"3-buffers-indirect-batch-32", 3, 32, true},
	{"8-buffers-indirect", 8, 1, true},
};

static struct guest_mem mem;
static struct virtq vq;
static struct virtq_driver drv;

static void add(const struct bench_case *c, unsigned i)
{
	struct virtq_buf buf[BUFS_MAX];

	for (unsigned k = 0; k < c->bufs; k++)
		buf[k] = (struct virtq_buf){DATA_GPA + 4096 * k, 512, k > 0};
	if (c->indirect)
		virtq_driver_offer(
			&drv, virtq_driver_indirect(&drv, TABLES_GPA + 4096 * i, buf, c->bufs));
	else
		virtq_driver_add(&drv, buf, c->bufs);
}

/* Device's part of one batch, in nanoseconds. */
static int64_t use(const struct bench_case *c)
{
	struct iovec iov[BUFS_MAX];
	struct virtq_chain chain;
	const int64_t begin_ns = clock_monotonic_ns();
	int r;

	for (unsigned i = 0; i < c->batch; i++) {
		r = virtq_pop(&vq, iov, BUFS_MAX, &chain);
		assert(r == 1);
		virtq_push(&vq, chain.head, chain.in_bytes);
	}
	virtq_publish(&vq);
	(void)r;
	return clock_monotonic_ns() - begin_ns;
}

static int64_t clock_cost_ns(void)
{
	const int64_t begin_ns = clock_monotonic_ns();

	for (unsigned i = 0; i < CHAINS; i++)
		clock_monotonic_ns();
	return (clock_monotonic_ns() - begin_ns) / CHAINS;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double run(const struct bench_case *c, int64_t clock_ns)
{
	const uint64_t features =
		UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;
	double round[ROUNDS];
	int r;

	for (unsigned i = 0; i < ROUNDS; i++) {
		int64_t ns = 0;

		virtq_init(&vq, &mem, SIZE);
		r = virtq_driver_start(&drv, &vq, QUEUE_GPA, SIZE, features);
		assert(r == 0);
		for (unsigned n = 0; n < CHAINS; n += c->batch) {
			for (unsigned k = 0; k < c->batch; k++)
				add(c, k);
			ns += use(c) - clock_ns;
		}
		round[i] = (double)ns / (double)CHAINS;
	}
	(void)r;
	qsort(round, ROUNDS, sizeof(round[0]), compare);
	return round[ROUNDS / 2];
}

int main(void)
{
	static const struct guest_region region = {.gpa = 0, .len = RAM_BYTES};
	const int64_t clock_ns = clock_cost_ns();

	if (guest_mem_init(&mem, &region, 1, &(struct guest_mem_opts){0}, NULL) < 0)
		return EXIT_FAILURE;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		printf("%-28s %6.1f\n", cases[i].name, run(&cases[i], clock_ns));
	guest_mem_fini(&mem);
	return EXIT_SUCCESS;
}
