/*
 * places.c - where a queue and its buffers may lie (virtio 1.2, 2.7): aligned, in RAM as a whole, up to its
 * very last byte and no further. A queue elsewhere does not become ready, and a right one then does.
 */
#include <string.h>

#include "check.h"
#include "lapic.h"
#include "virtio_test.h"

enum {
	DESC_BYTES = 16 * VIRTIO_QUEUE_SIZE,
	AVAIL_BYTES = 4 + 2 * VIRTIO_QUEUE_SIZE,
	USED_BYTES = 4 + 8 * VIRTIO_QUEUE_SIZE,
	EVENT_BYTES = 2,
	QUEUE_SIZE_LIMIT = 32768, /* 2.7: the largest Queue Size; ours are smaller */
};

#define FOUR_GIB (UINT64_C(1) << 32)

/* One queue set-up, which is wrong by one field. */
struct place {
	const char *name;
	struct virtio_areas areas;
};

static bool negotiated(uint64_t features)
{
	return virtio_negotiate(&test.dev, VIRTIO_F_VERSION_1 | features);
}

static void test_refused(void)
{
	const struct virtio_areas good = virtio_areas_of(&test.q);
	uint64_t bytes;
	const uint64_t end = virtio_test_ram_end(FOUR_GIB, &bytes);
	const struct place places[] = {
		{"size-0", {0, good.desc_gpa, good.driver_gpa, good.device_gpa}},
		{"size-3", {3, good.desc_gpa, good.driver_gpa, good.device_gpa}},
		{"size-limit", {QUEUE_SIZE_LIMIT, good.desc_gpa, good.driver_gpa, good.device_gpa}},
		{"size-above",
		 {2 * QUEUE_SIZE_LIMIT, good.desc_gpa, good.driver_gpa, good.device_gpa}},
		{"size-17-bits",
		 {65536 + good.size, good.desc_gpa, good.driver_gpa, good.device_gpa}},
		{"desc-misaligned",
		 {good.size, good.desc_gpa + 8, good.driver_gpa, good.device_gpa}},
		{"avail-misaligned",
		 {good.size, good.desc_gpa, good.driver_gpa + 1, good.device_gpa}},
		{"used-misaligned",
		 {good.size, good.desc_gpa, good.driver_gpa, good.device_gpa + 2}},
		{"desc-nowhere",
		 {good.size, VIRTIO_TEST_NOWHERE, good.driver_gpa, good.device_gpa}},
		{"avail-nowhere", {good.size, good.desc_gpa, VIRTIO_TEST_NOWHERE, good.device_gpa}},
		{"used-nowhere", {good.size, good.desc_gpa, good.driver_gpa, VIRTIO_TEST_NOWHERE}},
		{"used-registers", {good.size, good.desc_gpa, good.driver_gpa, test.dev.base}},
		{"desc-wrap", {good.size, UINT64_MAX - 15, good.driver_gpa, good.device_gpa}},
		{"avail-wrap", {good.size, good.desc_gpa, UINT64_MAX - 1, good.device_gpa}},
		{"used-wrap", {good.size, good.desc_gpa, good.driver_gpa, UINT64_MAX - 3}},
		{"desc-top", {good.size, end - DESC_BYTES + 16, good.driver_gpa, good.device_gpa}},
		{"avail-top", {good.size, good.desc_gpa, end - AVAIL_BYTES + 2, good.device_gpa}},
		{"used-top", {good.size, good.desc_gpa, good.driver_gpa, end - USED_BYTES + 4}},
	};
	const char *taken = NULL;

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!negotiated(0) || virtio_queue_place(&test.dev, test.index, &places[i].areas))
			taken = places[i].name;
	check("places-refused", !taken && virtio_queue_start(&test.dev, test.index, &test.q), "%s",
	      taken ? taken : "then a good queue is refused, too");
	virtio_start(&test.dev);
	check("places-after", virtio_test_request(), "no answer");
}

/* EVENT_IDX makes both rings two bytes longer: what ended at the last byte of RAM now does not. */
static void test_event_words(void)
{
	struct virtio_areas areas = virtio_areas_of(&test.q);
	uint64_t bytes;
	const uint64_t end = virtio_test_ram_end(FOUR_GIB, &bytes);
	bool with, without;

	areas.driver_gpa = end - AVAIL_BYTES;
	without = negotiated(0) && virtio_queue_place(&test.dev, test.index, &areas);
	with = negotiated(VIRTIO_F_EVENT_IDX) && virtio_queue_place(&test.dev, test.index, &areas);
	check("places-event-words", without && !with, "with %u, without %u", with, without);
}

static const uint16_t *used_idx;

static bool used_is_1(void)
{
	return __atomic_load_n(used_idx, __ATOMIC_SEQ_CST) == 1;
}

/*
 * One request, with the three areas where the driver says. The caller restores the VMM's data at
 * the top of memory.
 */
static bool request_at(const struct virtio_areas *areas)
{
	struct virtio_desc *const desc = (struct virtio_desc *)(uintptr_t)areas->desc_gpa;
	uint16_t *const avail = (uint16_t *)(uintptr_t)areas->driver_gpa;
	uint16_t *const used = (uint16_t *)(uintptr_t)areas->device_gpa;

	if (!negotiated(0))
		return false;
	memset(desc, 0, DESC_BYTES);
	memset(avail, 0, AVAIL_BYTES);
	memset(used, 0, USED_BYTES);
	if (!virtio_queue_place(&test.dev, test.index, areas))
		return false;
	virtio_start(&test.dev);
	virtio_test_make(desc);
	__atomic_store_n(&avail[1], 1, __ATOMIC_SEQ_CST);
	virtio_kick(&test.dev, test.index);
	used_idx = &used[1];
	return lapic_wait(used_is_1, LAPIC_HANG_MS) && virtio_reset(&test.dev);
}

static void test_top(void)
{
	static uint8_t saved[DESC_BYTES];
	const struct virtio_areas good = virtio_areas_of(&test.q);
	uint64_t bytes;
	const uint64_t end = virtio_test_ram_end(FOUR_GIB, &bytes);
	void *const top = (void *)(uintptr_t)(end - sizeof(saved));
	struct virtio_areas areas[3] = {good, good, good};
	bool ok[3];

	areas[0].desc_gpa = end - DESC_BYTES;
	areas[1].driver_gpa = end - AVAIL_BYTES;
	areas[2].device_gpa = end - USED_BYTES;
	memcpy(saved, top, sizeof(saved));
	for (unsigned i = 0; i < 3; i++)
		ok[i] = request_at(&areas[i]);
	memcpy(top, saved, sizeof(saved));
	check("places-top", ok[0] && ok[1] && ok[2], "descriptors %u, available %u, used %u", ok[0],
	      ok[1], ok[2]);
}

void virtio_test_places(void)
{
	test_refused();
	test_event_words();
	test_top();
}
