/*
 * balloon - drives a virtio memory balloon, and then sleeps, so that the VMM's memory can be looked at.
 *
 *   mib=N            touches N MiB of memory first (64)
 *   how=keep         does nothing more
 *   how=inflate      gives all of it to the balloon, with page numbers of no memory in between
 *   how=deflate      the same, takes it out again, finds it zeroed and touches it
 *   how=report       reports it as free
 *
 * "balloon: HOW" is printed once that is done.
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

	PAGE_BYTES = 4096,
	PAGES_A_MIB = 256,
	LIST_PAGES = 256, /* as Linux has them in a request */
	WAIT_MS = 60000,
};
#define FIRST_GPA   (UINT64_C(32) << 20)
#define BEYOND_PFN  UINT32_C(0xd8000) /* no memory, and no device */
#define F_REPORTING (UINT64_C(1) << 5)
#define MARK        UINT64_C(0x5a5a5a5a5a5a5a5a)

static struct virtio_device dev;
static struct virtio_queue queue[QUEUES];
static uint32_t list[2 * LIST_PAGES];
static unsigned waiting; /* the queue */

static volatile uint64_t *page_at(uint64_t page)
{
	return (volatile uint64_t *)(uintptr_t)(FIRST_GPA + page * PAGE_BYTES);
}

static void touch(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
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
	if (!lapic_wait(used_came, WAIT_MS) || !virtio_used(&queue[index], &written))
		guest_panic("balloon: queue %u does not answer", index);
}

/* Every other number is of no memory. */
static void give_pages(unsigned index, uint64_t pages)
{
	for (uint64_t done = 0; done < pages; done += LIST_PAGES) {
		for (size_t i = 0; i < LIST_PAGES; i++) {
			list[2 * i] = (uint32_t)(FIRST_GPA / PAGE_BYTES + done + i);
			list[2 * i + 1] = (uint32_t)(BEYOND_PFN + i);
		}
		give(index, (uintptr_t)list, sizeof(list), 0);
	}
}

static void expect_zeroed(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		if (*page_at(i) != 0)
			guest_panic("balloon: page %lu came back as it went", i);
}

void kernel_main(void)
{
	static const char *const how[] = {"keep", "inflate", "deflate", "report", NULL};
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
	touch(pages);
	if (choice == 1 || choice == 2)
		give_pages(INFLATE, pages);
	if (choice == 2) {
		give_pages(DEFLATE, pages);
		expect_zeroed(pages);
		touch(pages);
	}
	if (choice == 3)
		give(REPORTING, FIRST_GPA, (uint32_t)(pages * PAGE_BYTES), VIRTIO_DESC_WRITE);
	print("balloon: %s\n", how[choice]);
	for (;;)
		lapic_wait(used_came, WAIT_MS);
}
