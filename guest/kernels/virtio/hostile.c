/*
 * Each way to break a ring (virtio 1.2, 2.7). The device must set DEVICE_NEEDS_RESET, interrupt for it
 * (2.1.2), do nothing more, and work again after a reset.
 */
#include "check.h"
#include "lapic.h"
#include "virtio_test.h"

enum { BYTES = 32, MANY = 1024 /* pieces: more than any device takes in one request */ };

static uint8_t data[BYTES];
static _Alignas(16) struct virtio_desc table[2];

static struct virtio_desc buffer(uint16_t flags)
{
	return (struct virtio_desc){
		.addr = (uintptr_t)data, .len = BYTES, .flags = VIRTIO_DESC_WRITE | flags};
}

static struct virtio_desc table_ref(uint32_t len, uint16_t flags)
{
	return (struct virtio_desc){
		.addr = (uintptr_t)table, .len = len, .flags = VIRTIO_DESC_INDIRECT | flags};
}

static void make_head(struct virtio_queue *q)
{
	virtio_offer(q, VIRTIO_QUEUE_SIZE);
}

static void make_next(struct virtio_queue *q)
{
	q->desc[0] = buffer(VIRTIO_DESC_NEXT);
	q->desc[0].next = VIRTIO_QUEUE_SIZE;
	virtio_offer(q, 0);
}

static void make_loop(struct virtio_queue *q)
{
	q->desc[0] = buffer(VIRTIO_DESC_NEXT); /* to itself */
	virtio_offer(q, 0);
}

static void make_avail_idx(struct virtio_queue *q)
{
	q->avail.idx = VIRTIO_QUEUE_SIZE + 1;
}

static void make_address(struct virtio_queue *q)
{
	q->desc[0] = buffer(0);
	q->desc[0].addr = VIRTIO_TEST_NOWHERE;
	virtio_offer(q, 0);
}

static void make_address_wrap(struct virtio_queue *q)
{
	q->desc[0] = buffer(0);
	q->desc[0].addr = UINT64_MAX - BYTES / 2;
	virtio_offer(q, 0);
}

static void make_length(struct virtio_queue *q)
{
	q->desc[0] = buffer(0);
	q->desc[0].len = UINT32_MAX; /* past the end of memory */
	virtio_offer(q, 0);
}

static void make_empty(struct virtio_queue *q)
{
	q->desc[0] = buffer(0);
	q->desc[0].len = 0;
	virtio_offer(q, 0);
}

static void make_order(struct virtio_queue *q)
{
	q->desc[0] = buffer(VIRTIO_DESC_NEXT);
	q->desc[0].next = 1;
	q->desc[1] = buffer(0);
	q->desc[1].flags = 0;
	virtio_offer(q, 0);
}

/* After one that was answered: 65,535 more seem to be there. */
static void make_avail_back(struct virtio_queue *q)
{
	if (virtio_test_request())
		q->avail.idx = 0;
}

/* Of the last byte of RAM, and the one after it. */
static void make_top(struct virtio_queue *q)
{
	uint64_t bytes;

	q->desc[0] = buffer(0);
	q->desc[0].addr = virtio_test_ram_end(UINT64_MAX, &bytes) - 1;
	q->desc[0].len = 2;
	virtio_offer(q, 0);
}

/* The device's own registers, some of which are memory to the guest. */
static void make_registers(struct virtio_queue *q)
{
	q->desc[0] = buffer(0);
	q->desc[0].addr = test.dev.base + VIRTIO_INTERRUPT_STATUS;
	virtio_offer(q, 0);
}

/* The pieces from table[0] on, n of them. */
static void offer_pieces(struct virtio_queue *q, struct virtio_desc *pieces, uint32_t n)
{
	for (unsigned i = 0; i < n; i++) {
		pieces[i].flags = VIRTIO_DESC_WRITE | (i + 1 < n ? VIRTIO_DESC_NEXT : 0);
		pieces[i].next = (uint16_t)(i + 1);
	}
	q->desc[0] = table_ref(n * (uint32_t)sizeof(*pieces), 0);
	q->desc[0].addr = (uintptr_t)pieces;
	virtio_offer(q, 0);
}

static _Alignas(16) struct virtio_desc many[MANY];

static void make_segments(struct virtio_queue *q)
{
	for (unsigned i = 0; i < MANY; i++)
		many[i] = buffer(0);
	offer_pieces(q, many, MANY);
}

/* Each piece lies in RAM; together they are more bytes than a chain may have. */
static void make_4_gib(struct virtio_queue *q)
{
	uint64_t bytes = 0, sum = 0;
	const uint64_t end = virtio_test_ram_end(UINT64_C(1) << 32, &bytes);
	unsigned n = 0;

	for (; n < MANY && sum <= UINT32_MAX; n++, sum += bytes)
		many[n] = (struct virtio_desc){.addr = end - bytes, .len = (uint32_t)bytes};
	offer_pieces(q, many, n);
}

static void make_indirect_next(struct virtio_queue *q)
{
	table[0] = buffer(0);
	q->desc[0] = table_ref(sizeof(table[0]), VIRTIO_DESC_NEXT);
	q->desc[0].next = 1;
	q->desc[1] = buffer(0);
	virtio_offer(q, 0);
}

static void make_indirect_nested(struct virtio_queue *q)
{
	table[0] = table_ref(sizeof(table[0]), 0);
	q->desc[0] = table_ref(sizeof(table[0]), 0);
	virtio_offer(q, 0);
}

static void make_indirect_length(struct virtio_queue *q)
{
	table[0] = buffer(0);
	q->desc[0] = table_ref(sizeof(table[0]) + 1, 0);
	virtio_offer(q, 0);
}

static void make_indirect_empty(struct virtio_queue *q)
{
	q->desc[0] = table_ref(0, 0);
	virtio_offer(q, 0);
}

static void make_indirect_address(struct virtio_queue *q)
{
	q->desc[0] = table_ref(sizeof(table[0]), 0);
	q->desc[0].addr = VIRTIO_TEST_NOWHERE;
	virtio_offer(q, 0);
}

static void make_indirect_loop(struct virtio_queue *q)
{
	table[0] = buffer(VIRTIO_DESC_NEXT);
	table[0].next = 0;
	q->desc[0] = table_ref(sizeof(table[0]), 0);
	virtio_offer(q, 0);
}

static void make_indirect_unasked(struct virtio_queue *q)
{
	table[0] = buffer(0);
	q->desc[0] = table_ref(sizeof(table[0]), 0);
	virtio_offer(q, 0);
}

static const struct shape {
	const char *name;
	void (*make)(struct virtio_queue *q);
	uint64_t features;
} shapes[] = {
	{"hostile-head", make_head, 0},
	{"hostile-next", make_next, 0},
	{"hostile-loop", make_loop, 0},
	{"hostile-avail-idx", make_avail_idx, 0},
	{"hostile-avail-back", make_avail_back, 0},
	{"hostile-address", make_address, 0},
	{"hostile-top", make_top, 0},
	{"hostile-registers", make_registers, 0},
	{"hostile-address-wrap", make_address_wrap, 0},
	{"hostile-length", make_length, 0},
	{"hostile-empty", make_empty, 0},
	{"hostile-order", make_order, 0},
	{"hostile-segments", make_segments, VIRTIO_F_INDIRECT},
	{"hostile-4-gib", make_4_gib, VIRTIO_F_INDIRECT},
	{"hostile-indirect-next", make_indirect_next, VIRTIO_F_INDIRECT},
	{"hostile-indirect-nested", make_indirect_nested, VIRTIO_F_INDIRECT},
	{"hostile-indirect-length", make_indirect_length, VIRTIO_F_INDIRECT},
	{"hostile-indirect-empty", make_indirect_empty, VIRTIO_F_INDIRECT},
	{"hostile-indirect-address", make_indirect_address, VIRTIO_F_INDIRECT},
	{"hostile-indirect-loop", make_indirect_loop, VIRTIO_F_INDIRECT},
	{"hostile-indirect-unasked", make_indirect_unasked, 0},
};

static bool reset_asked_for(void)
{
	return virtio_interrupts()->config > 0;
}

static void try_shape(const struct shape *shape)
{
	uint32_t status, len;

	if (!virtio_test_start(shape->features)) {
		check_fail(shape->name, "the device does not start");
		return;
	}
	shape->make(&test.q);
	virtio_kick(&test.dev, test.index);
	if (!lapic_wait(reset_asked_for, LAPIC_HANG_MS)) {
		check_fail(shape->name, "no interrupt, status %x",
			   virtio_read(&test.dev, VIRTIO_STATUS));
		return;
	}
	status = virtio_read(&test.dev, VIRTIO_STATUS);
	virtio_kick(&test.dev, test.index); /* says nothing to a device that waits for a reset */
	if (!(status & VIRTIO_S_NEEDS_RESET) || virtio_used(&test.q, &len))
		check_fail(shape->name, "status %x, used index %u", status, test.q.used.idx);
	else
		check(shape->name, virtio_test_start(0) && virtio_test_request(),
		      "does not work after the reset");
}

void virtio_test_hostile(void)
{
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		try_shape(&shapes[i]);
}
