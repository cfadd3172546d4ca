/* target.c - the device under test, and one request that it answers well. */
#include <string.h>

#include "boot.h"
#include "cmdline.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "virtio_test.h"

enum {
	NET_HDR_BYTES = 12,
	FRAME_BYTES = 60,
	SOCKET_HDR_BYTES = 44,
	BLK_T_IN = 0,
	SECTOR_BYTES = 512,
};

struct virtio_test test;

static uint32_t make_rng(struct virtio_desc *desc)
{
	static unsigned made;

	desc[0] = (struct virtio_desc){.addr = (uintptr_t)test.random[made++ % 2],
				       .len = sizeof(test.random[0]),
				       .flags = VIRTIO_DESC_WRITE};
	return sizeof(test.random[0]);
}

static uint32_t make_block(struct virtio_desc *desc)
{
	static const struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = {.type = BLK_T_IN};
	static uint8_t sector[SECTOR_BYTES], status;

	desc[0] = (struct virtio_desc){(uintptr_t)&header, sizeof(header), VIRTIO_DESC_NEXT, 1};
	desc[1] = (struct virtio_desc){(uintptr_t)sector, sizeof(sector),
				       VIRTIO_DESC_WRITE | VIRTIO_DESC_NEXT, 2};
	desc[2] = (struct virtio_desc){(uintptr_t)&status, sizeof(status), VIRTIO_DESC_WRITE, 0};
	return sizeof(sector) + sizeof(status);
}

/* To nobody, and of no protocol. */
static uint32_t make_net(struct virtio_desc *desc)
{
	static const uint8_t frame[NET_HDR_BYTES + FRAME_BYTES];

	desc[0] = (struct virtio_desc){.addr = (uintptr_t)frame, .len = sizeof(frame)};
	return 0;
}

static uint32_t make_console(struct virtio_desc *desc)
{
	static const char out = '.';

	desc[0] = (struct virtio_desc){.addr = (uintptr_t)&out, .len = sizeof(out)};
	return 0;
}

/* A page that is none, which costs nothing. */
static uint32_t make_balloon(struct virtio_desc *desc)
{
	static const uint32_t pfn = (uint32_t)(VIRTIO_TEST_NOWHERE >> 12);

	desc[0] = (struct virtio_desc){.addr = (uintptr_t)&pfn, .len = sizeof(pfn)};
	return 0;
}

/* Half a header: the device answers that with nothing, and looks at no file. */
static uint32_t make_fs(struct virtio_desc *desc)
{
	static const uint8_t half[20];

	desc[0] = (struct virtio_desc){.addr = (uintptr_t)half, .len = sizeof(half)};
	return 0;
}

/* Of no connection, and not even from this guest: dropped. */
static uint32_t make_socket(struct virtio_desc *desc)
{
	static const uint8_t packet[SOCKET_HDR_BYTES];

	desc[0] = (struct virtio_desc){.addr = (uintptr_t)packet, .len = sizeof(packet)};
	return 0;
}

static const struct target {
	uint32_t type;
	unsigned queue;
	uint32_t (*make)(struct virtio_desc *desc);
} targets[] = {
	{VIRTIO_TYPE_RNG, 0, make_rng},         {VIRTIO_TYPE_BLOCK, 0, make_block},
	{VIRTIO_TYPE_NET, 1, make_net},         {VIRTIO_TYPE_CONSOLE, 1, make_console},
	{VIRTIO_TYPE_BALLOON, 0, make_balloon}, {VIRTIO_TYPE_SOCKET, 1, make_socket},
	{VIRTIO_TYPE_FS, 1, make_fs},
};
static const char *const target_names[] = {"rng",     "block",  "net", "console",
					   "balloon", "socket", "fs",  NULL};
static const struct target *target;

bool virtio_test_find(void)
{
	const unsigned i = cmdline_choice("device", target_names);

	target = &targets[i];
	test.index = target->queue;
	if (!devtree_init() || !virtio_find(target->type, &test.dev))
		guest_usage("virtio: no %s device", target_names[i]);
	return target->type == VIRTIO_TYPE_RNG;
}

bool virtio_test_start(uint64_t features)
{
	if (!virtio_negotiate(&test.dev, VIRTIO_F_VERSION_1 | features) ||
	    !virtio_queue_start(&test.dev, test.index, &test.q))
		return false;
	virtio_start(&test.dev);
	return true;
}

uint32_t virtio_test_make(struct virtio_desc *desc)
{
	return target->make(desc);
}

bool virtio_test_used(void)
{
	return __atomic_load_n(&test.q.used.idx, __ATOMIC_SEQ_CST) != test.q.used_seen;
}

bool virtio_test_interrupt(void)
{
	return virtio_test_used() && virtio_interrupts()->used >= test.interrupts_wanted;
}

bool virtio_test_request(void)
{
	const uint32_t wanted = virtio_test_make(test.q.desc);
	uint32_t len = 0;

	test.q.avail.used_event = test.q.used_seen; /* looked at with EVENT_IDX only */
	test.interrupts_wanted = virtio_interrupts()->used + 1;
	virtio_offer(&test.q, 0);
	virtio_kick(&test.dev, test.index);
	return lapic_wait(virtio_test_interrupt, LAPIC_HANG_MS) && virtio_used(&test.q, &len) &&
	       len == wanted;
}

uint64_t virtio_test_ram_end(uint64_t below_gpa, uint64_t *ret_bytes)
{
	const struct boot_info *info = boot_info();
	uint64_t end = 0;

	for (size_t i = 0; i < info->nr_memmap; i++) {
		const struct hvm_memmap_table_entry *e = &info->memmap[i];

		if (e->type != MEMMAP_RAM || e->addr >= below_gpa || e->addr + e->size <= end)
			continue;
		end = e->addr + e->size;
		*ret_bytes = e->size;
	}
	return end;
}
