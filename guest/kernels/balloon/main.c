/*
 * balloon - drives a virtio memory balloon, and then sleeps, so that the VMM's memory can be looked at.
 *
 *   mib=N            touches N MiB of memory first (64)
 *   how=keep         does nothing more
 *   how=inflate      gives all of it to the balloon, with page numbers of no memory in between
 *   how=deflate      the same, takes it out again, finds it zeroed and touches it
 *   how=report       reports it as free
 *   how=follow       gives up what the host asks for, of these, and takes it back, whenever it asks;
 *                    "balloon: at N MiB" is printed each time
 *
 * "balloon: HOW" is printed once that is done, or is about to begin.
 */
#include "access.h"
#include "boot.h"
#include "cmdline.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "print.h"
#include "virtio.h"

enum {
	INFLATE,
	DEFLATE,
	REPORTING, /* without statistics it is the third */
	QUEUES,

	CONFIG_ACTUAL = VIRTIO_CONFIG + 4,

	PAGE_BYTES = 4096,
	PAGES_A_MIB = 256,
	LIST_PAGES = 256, /* as Linux has them in a request */
};
#define FIRST_GPA   (UINT64_C(32) << 20)
#define BEYOND_PFN  UINT32_C(0xd8000) /* no memory, and no device */
#define F_REPORTING (UINT64_C(1) << 5)
#define MARK        UINT64_C(0x5a5a5a5a5a5a5a5a)

static struct virtio_device dev;
static struct virtio_queue queue[QUEUES];
static uint32_t list[2 * LIST_PAGES];
static unsigned waiting; /* the queue */
static unsigned config_seen;

static volatile uint64_t *page_at(uint64_t page)
{
	return (volatile uint64_t *)(uintptr_t)(FIRST_GPA + page * PAGE_BYTES);
}

static void touch(uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++)
		*page_at(i) = MARK;
}

static bool used_came(void)
{
	return __atomic_load_n(&queue[waiting].used.idx, __ATOMIC_SEQ_CST) !=
	       queue[waiting].used_seen;
}

/* One buffer; returns when the device has used it. */
static void give(unsigned index, uint64_t gpa, uint32_t len, uint16_t flags)
{
	uint32_t written;

	queue[index].desc[0] = (struct virtio_desc){.addr = gpa, .len = len, .flags = flags};
	virtio_offer(&queue[index], 0);
	virtio_kick(&dev, index);
	waiting = index;
	if (!lapic_wait(used_came, LAPIC_HANG_MS) || !virtio_used(&queue[index], &written))
		guest_panic("balloon: queue %u does not answer", index);
}

/* The pages from first up to end. Every other number is of no memory. */
static void give_pages(unsigned index, uint64_t first, uint64_t end)
{
	while (first < end) {
		const uint64_t left = end - first, n = left < LIST_PAGES ? left : LIST_PAGES;

		for (size_t i = 0; i < n; i++) {
			list[2 * i] = (uint32_t)(FIRST_GPA / PAGE_BYTES + first + i);
			list[2 * i + 1] = (uint32_t)(BEYOND_PFN + i);
		}
		give(index, (uintptr_t)list, (uint32_t)(2 * n * sizeof(list[0])), 0);
		first += n;
	}
}

static void expect_zeroed(uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++)
		if (*page_at(i) != 0)
			guest_panic("balloon: page %lu came back as it went", i);
}

static void take_back(uint64_t first, uint64_t end)
{
	give_pages(DEFLATE, first, end);
	expect_zeroed(first, end);
	touch(first, end);
}

static bool config_changed(void)
{
	return virtio_interrupts()->config != config_seen;
}

/* The target, and what of it is reached, are the first two words of the configuration (5.5.4). */
static void follow(uint64_t pages)
{
	uint64_t actual = 0;

	for (;;) {
		uint64_t target;

		config_seen = virtio_interrupts()->config;
		target = virtio_read(&dev, VIRTIO_CONFIG);
		if (target > pages)
			target = pages;
		if (target == actual) {
			lapic_wait(config_changed, LAPIC_HANG_MS);
			continue;
		}
		if (target > actual)
			give_pages(INFLATE, actual, target);
		else
			take_back(target, actual);
		actual = target;
		virtio_write(&dev, (enum virtio_reg)CONFIG_ACTUAL, (uint32_t)actual);
		print("balloon: at %lu MiB\n", actual / PAGES_A_MIB);
	}
}

void kernel_main(void)
{
	static const char *const how[] = {"keep", "inflate", "deflate", "report", "follow", NULL};
	const unsigned choice = cmdline_choice("how", how);
	const uint64_t pages = cmdline_u64("mib", 64, 1024) * PAGES_A_MIB;

	lapic_init();
	if (!devtree_init() || !virtio_find(VIRTIO_TYPE_BALLOON, &dev))
		guest_usage("balloon: no balloon (tollgate run --balloon 0)");
	if (!virtio_negotiate(&dev, VIRTIO_F_VERSION_1 | F_REPORTING))
		guest_panic("balloon: the device refuses its features");
	for (unsigned i = 0; i < QUEUES; i++)
		if (!virtio_queue_start(&dev, i, &queue[i]))
			guest_panic("balloon: no queue %u", i);
	virtio_start(&dev);
	touch(0, pages);
	if (choice == 1 || choice == 2)
		give_pages(INFLATE, 0, pages);
	if (choice == 2)
		take_back(0, pages);
	if (choice == 3)
		give(REPORTING, FIRST_GPA, (uint32_t)(pages * PAGE_BYTES), VIRTIO_DESC_WRITE);
	print("balloon: %s\n", how[choice]);
	if (choice == 4)
		follow(pages);
	for (;;)
		lapic_wait(used_came, LAPIC_HANG_MS);
}
