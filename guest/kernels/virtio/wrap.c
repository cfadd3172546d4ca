/* wrap.c - more requests than an index counts, 32 at a time, with one interrupt for each 32. */
#include "check.h"
#include "lapic.h"
#include "virtio_test.h"

enum { BATCHES = 65536 / VIRTIO_QUEUE_SIZE + 32 };

static bool all_used(void)
{
	return __atomic_load_n(&test.q.used.idx, __ATOMIC_SEQ_CST) == test.q.avail.idx &&
	       virtio_interrupts()->used >= test.interrupts_wanted;
}

/* Whether the device asked for a kick between these (2.7.10). */
static bool kick_wanted(uint16_t old, uint16_t now)
{
	const uint16_t event = __atomic_load_n(&test.q.used.avail_event, __ATOMIC_SEQ_CST);

	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static bool run_batch(uint32_t wanted)
{
	const uint16_t old = test.q.avail.idx;
	uint32_t len;
	bool ok;

	test.q.avail.used_event = (uint16_t)(old + VIRTIO_QUEUE_SIZE - 1); /* the last one */
	test.interrupts_wanted = virtio_interrupts()->used + 1;
	for (unsigned i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		virtio_offer(&test.q, 0);
	if (kick_wanted(old, test.q.avail.idx))
		virtio_kick(&test.dev, test.index);
	ok = lapic_wait(all_used, LAPIC_HANG_MS);
	for (unsigned i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		ok = ok && virtio_used(&test.q, &len) && len == wanted;
	return ok;
}

void virtio_test_wrap(void)
{
	unsigned done = 0;
	uint32_t wanted;

	if (!virtio_test_start(VIRTIO_F_EVENT_IDX)) {
		check_fail("wrap", "the device does not start");
		return;
	}
	wanted = virtio_test_make(test.q.desc);
	while (done < BATCHES && run_batch(wanted))
		done++;
	check("wrap", done == BATCHES && virtio_interrupts()->config == 0,
	      "%u of %u batches, used index %u, %u interrupts", done, BATCHES, test.q.used.idx,
	      virtio_interrupts()->used);
}
