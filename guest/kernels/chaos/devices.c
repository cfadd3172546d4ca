/*
 * devices.c - virtio devices whose queues are rewritten while they run. Each has a part of the arena: its rings, tables
 * of descriptors, and buffers. Descriptors may point to any of that, the rings included, so that a device writes to
 * what it reads. They never point to where this kernel is, or the guest would end by its own doing.
 *
 * A balloon takes away the pages whose numbers it reads. So its part holds such numbers only, is the first one, and is
 * never written to at random: all that devices write lies after what they were given.
 */
#include "boot.h"
#include "chaos.h"
#include "cpu.h"
#include "devtree.h"
#include "ioapic.h"
#include "lapic.h"
#include "power.h"
#include "random.h"
#include "trap.h"
#include "virtio.h"

enum {
	DEVICES_MAX = 16,
	QUEUES = 4,
	PART_BYTES = 1 << 20,
	QUEUE_BYTES = 0x10000, /* of a part: descriptors, then */
	AVAIL = 0x2000,
	USED = 0x4000,
	TABLES = 0x6000,
	BUFFERS = QUEUES * QUEUE_BYTES,
	BUFFERS_BYTES = (PART_BYTES - BUFFERS) / 2, /* where buffers begin */
	PFN_BYTES = 16384,                          /* of numbers of pages, likewise */
	PFN_LEN_MAX = 4096,
	SIZE_MAX_LOG2 = 8,
	KICKS = 64,
	CHAINS = 8, /* at most, for one doorbell */
	REWRITES = 16,
	FIRST_ADDRESS = VIRTIO_QUEUE_DESC, /* registers that say where queues are */
	END_ADDRESS = VIRTIO_QUEUE_DEVICE + 8,
	REGISTERS = 0x200,
	FLAGS = 7,
};

#define ARENA       UINT64_C(0x2000000) /* 32 MiB: after all that a VMM loads for this kernel */
#define ARENA_BYTES ((uint64_t)DEVICES_MAX * PART_BYTES)
#define RAM_WANTED  UINT64_C(0x4000000)
#define NOWHERE     UINT64_C(0xd8000000)

struct chaos_device {
	struct virtio_device dev;
	uint32_t type;
	uint64_t features;
	uint64_t part;
};

static struct {
	struct chaos_device device[DEVICES_MAX];
	unsigned nr;
	uint64_t ram_end;
} chaos;

static bool is_balloon(const struct chaos_device *d)
{
	return d->type == VIRTIO_TYPE_BALLOON;
}

static uint64_t queue_part(const struct chaos_device *d, unsigned queue)
{
	return d->part + (uint64_t)queue * QUEUE_BYTES;
}

static uint64_t pick(uint64_t *random, const uint64_t *values, unsigned n)
{
	return values[random_below(random, n)];
}

static uint64_t random_buffer(const struct chaos_device *d, uint64_t *random)
{
	return d->part + BUFFERS + random_below(random, is_balloon(d) ? PFN_BYTES : BUFFERS_BYTES);
}

static uint64_t random_address(const struct chaos_device *d, uint64_t *random)
{
	const uint64_t bad[] = {NOWHERE, UINT64_MAX - random_below(random, 64), d->dev.base,
				UINT64_C(1) << 52};

	switch (random_below(random, 16)) {
	case 0: return pick(random, bad, 4);
	case 1:
		if (!is_balloon(d))
			return chaos.ram_end - random_below(random, 64);
		break;
	case 2:
	case 3:
		if (!is_balloon(d))
			return d->part + random_below(random, BUFFERS);
		break;
	default: break;
	}
	return random_buffer(d, random);
}

static uint32_t random_len(const struct chaos_device *d, uint64_t *random)
{
	static const uint64_t usual[] = {UINT32_MAX, 1,   2,    4,           12,   16,   17,
					 64,         512, 1514, PFN_LEN_MAX, 8192, 32768};
	const unsigned n = sizeof(usual) / sizeof(usual[0]);

	if (is_balloon(d))
		return (uint32_t)pick(random, usual, n - 2);
	if (random_below(random, 16) == 0)
		return (uint32_t)random_next(random);
	return (uint32_t)pick(random, usual, n);
}

static void random_desc(const struct chaos_device *d, uint64_t *random, uint64_t table, unsigned i)
{
	struct virtio_desc *desc = phys_ptr(table + i * sizeof(*desc));

	desc->addr = random_address(d, random);
	desc->len = random_len(d, random);
	desc->flags = (uint16_t)random_below(random, FLAGS + 1);
	desc->next = (uint16_t)random_below(random, 1 << SIZE_MAX_LOG2);
}

/* Mostly pieces that a device can take, device-readable ones first. */
static void good_chain(const struct chaos_device *d, uint64_t *random, uint64_t table,
		       unsigned head)
{
	const unsigned n = 1 + (unsigned)random_below(random, 5);
	const unsigned out = (unsigned)random_below(random, n + 1);
	const bool is_sane = random_below(random, 8) > 0;

	for (unsigned i = 0; i < n; i++) {
		struct virtio_desc *desc =
			phys_ptr(table + (head + i) % (1 << SIZE_MAX_LOG2) * sizeof(*desc));

		random_desc(d, random, table, (head + i) % (1 << SIZE_MAX_LOG2));
		if (is_sane) {
			desc->addr = random_buffer(d, random);
			desc->len = 1 + (uint32_t)random_below(random, 2048);
		}
		desc->flags = (uint16_t)((i + 1 < n ? VIRTIO_DESC_NEXT : 0) |
					 (i >= out ? VIRTIO_DESC_WRITE : 0));
		desc->next = (uint16_t)((head + i + 1) % (1 << SIZE_MAX_LOG2));
	}
}

/* A request of a disk from about head on; where it begins. Sectors exist on any that is large enough (virtio 1.2, 5.2.6). */
static void disk_request(const struct chaos_device *d, uint64_t *random, uint64_t table,
			 unsigned head)
{
	static const uint64_t types[] = {0, 0, 1, 1, 4, 8, 11, 13};
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} *header = phys_ptr(d->part + BUFFERS);
	struct virtio_desc *desc = phys_ptr(table);
	const uint32_t type = (uint32_t)pick(random, types, 8);

	header->type = type;
	header->sector = random_below(random, 1024);
	desc[head] = (struct virtio_desc){d->part + BUFFERS, sizeof(*header), VIRTIO_DESC_NEXT,
					  (uint16_t)(head + 1)};
	desc[head + 1] = (struct virtio_desc){
		d->part + BUFFERS + 4096, 512 * (1 + (uint32_t)random_below(random, 64)),
		(uint16_t)(VIRTIO_DESC_NEXT | (type == 1 ? 0 : VIRTIO_DESC_WRITE)),
		(uint16_t)(head + 2)};
	desc[head + 2] = (struct virtio_desc){d->part + BUFFERS + 64, 1, VIRTIO_DESC_WRITE, 0};
}

static void offer_chain(const struct chaos_device *d, uint64_t *random, unsigned queue)
{
	const uint64_t at = queue_part(d, queue);
	/* Fits most sizes that place() gives. */
	const unsigned head =
		1 + (unsigned)random_below(random, random_below(random, 8) ? 12 : 250);
	volatile uint16_t *avail = phys_ptr(at + AVAIL);
	const uint16_t idx = avail[1];

	if (d->type == VIRTIO_TYPE_BLOCK && random_below(random, 8) > 0)
		disk_request(d, random, at, head);
	else if (random_below(random, 8) > 0)
		good_chain(d, random, at, head);
	else
		random_desc(d, random, at, head);
	/* Where the entry is depends on the size that the device was given last. */
	for (unsigned log2 = 0; log2 <= SIZE_MAX_LOG2; log2++)
		avail[2 + idx % (1u << log2)] = (uint16_t)head;
	avail[1] = (uint16_t)(idx + 1);
}

static void offer_chains(const struct chaos_device *d, uint64_t *random, unsigned queue)
{
	for (uint64_t n = 1 + random_below(random, CHAINS); n > 0; n--)
		offer_chain(d, random, queue);
	virtio_write(&d->dev, VIRTIO_QUEUE_NOTIFY, queue);
}

static void indirect(const struct chaos_device *d, uint64_t *random, unsigned queue)
{
	const uint64_t at = queue_part(d, queue);
	const unsigned n = 1 + (unsigned)random_below(random, 8);
	struct virtio_desc *desc = phys_ptr(at);

	good_chain(d, random, at + TABLES, 0);
	desc[random_below(random, 1 << SIZE_MAX_LOG2)] =
		(struct virtio_desc){at + TABLES, n * (uint32_t)sizeof(*desc), 4, 0};
}

static void rewrite(const struct chaos_device *d, uint64_t *random, unsigned queue)
{
	const uint64_t at = queue_part(d, queue) + (random_below(random, 2) ? TABLES : 0);

	for (unsigned i = 0; i < REWRITES; i++)
		random_desc(d, random, at, (unsigned)random_below(random, 1 << SIZE_MAX_LOG2));
}

static void scribble(const struct chaos_device *d, uint64_t *random, unsigned queue)
{
	const uint64_t at = queue_part(d, queue) + random_below(random, QUEUE_BYTES / 8) * 8;

	if (!is_balloon(d))
		mmio_write64(at, random_next(random));
}

static void jump(const struct chaos_device *d, uint64_t *random, unsigned queue)
{
	volatile uint16_t *avail = phys_ptr(queue_part(d, queue) + AVAIL);

	avail[0] = (uint16_t)random_below(random, 2);
	avail[1] = (uint16_t)(random_below(random, 2) ? random_next(random)
						      : avail[1] + random_below(random, 9));
	virtio_write(&d->dev, VIRTIO_QUEUE_NOTIFY, queue);
}

static void storm(const struct chaos_device *d, uint64_t *random)
{
	for (unsigned i = 0; i < KICKS; i++)
		virtio_write(&d->dev, VIRTIO_QUEUE_NOTIFY,
			     (uint32_t)random_below(random, QUEUES + 2));
}

static void place(const struct chaos_device *d, uint64_t *random, unsigned queue)
{
	const uint64_t at = queue_part(d, queue);
	const struct virtio_areas areas = {
		.size = random_below(random, 16) ? 16u << random_below(random, 3)
						 : (uint32_t)random_next(random),
		.desc_gpa = at,
		.driver_gpa = at + AVAIL,
		.device_gpa = at + USED,
	};

	/* A queue begins empty, or with more than it holds. */
	if (random_below(random, 16))
		*(volatile uint32_t *)phys_ptr(at + AVAIL) = 0;
	virtio_queue_place(&d->dev, queue, &areas);
}

/* A reset in the middle of everything; then mostly as a driver does it, with a choice of the features. */
static void restart(const struct chaos_device *d, uint64_t *random)
{
	const uint64_t features = d->features & (random_next(random) | VIRTIO_F_VERSION_1);
	uint32_t status = VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER;

	virtio_write(&d->dev, VIRTIO_STATUS, 0);
	virtio_write(&d->dev, VIRTIO_STATUS, status);
	virtio_write(&d->dev, VIRTIO_DRIVER_FEATURES_SEL, 0);
	virtio_write(&d->dev, VIRTIO_DRIVER_FEATURES, (uint32_t)features);
	virtio_write(&d->dev, VIRTIO_DRIVER_FEATURES_SEL, 1);
	virtio_write(&d->dev, VIRTIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	status |= VIRTIO_S_FEATURES_OK;
	virtio_write(&d->dev, VIRTIO_STATUS, status);
	for (unsigned queue = 0; queue < QUEUES; queue++)
		if (random_below(random, 8))
			place(d, random, queue);
	virtio_write(&d->dev, VIRTIO_STATUS, status | VIRTIO_S_DRIVER_OK);
}

/*
 * Rings over each other inside the part, some of them misaligned, or far away. All three addresses each time: the one
 * of before a reset is 0. A balloon would take other bytes for numbers of pages.
 */
static void move_queue(const struct chaos_device *d, uint64_t *random, unsigned queue)
{
	static const uint32_t reg[] = {VIRTIO_QUEUE_DESC, VIRTIO_QUEUE_DRIVER, VIRTIO_QUEUE_DEVICE};

	if (is_balloon(d))
		return;
	virtio_write(&d->dev, VIRTIO_QUEUE_SEL, queue);
	for (unsigned i = 0; i < 3; i++) {
		virtio_write(&d->dev, (enum virtio_reg)reg[i],
			     (uint32_t)(d->part + random_below(random, BUFFERS)));
		virtio_write(&d->dev, (enum virtio_reg)(reg[i] + 4),
			     random_below(random, 16) ? 0 : (uint32_t)random_next(random));
	}
	virtio_write(&d->dev, VIRTIO_QUEUE_READY, (uint32_t)random_below(random, 2));
}

static void config(const struct chaos_device *d, uint64_t *random)
{
	const uint64_t at = d->dev.base + VIRTIO_CONFIG + random_below(random, 128);

	if (random_below(random, 2))
		mmio_write8(at, (uint8_t)random_next(random));
	else
		mmio_read32(at & ~UINT64_C(3));
}

static void acknowledge(const struct chaos_device *d, uint64_t *random)
{
	virtio_read(&d->dev, VIRTIO_INTERRUPT_STATUS);
	virtio_write(&d->dev, VIRTIO_INTERRUPT_ACK, (uint32_t)random_below(random, 8));
}

void chaos_device_op(uint64_t *random)
{
	const struct chaos_device *d = &chaos.device[random_below(random, chaos.nr)];
	const unsigned queue = (unsigned)random_below(random, QUEUES);

	switch (random_below(random, 64)) {
	case 0: virtio_write(&d->dev, VIRTIO_STATUS, 0); break;
	case 1: virtio_write(&d->dev, VIRTIO_STATUS, (uint32_t)random_next(random)); break;
	case 2: storm(d, random); break;
	case 3: move_queue(d, random, queue); break;
	case 4: config(d, random); break;
	case 5: acknowledge(d, random); break;
	case 6: jump(d, random, queue); break;
	case 7: place(d, random, queue); break;
	case 8: scribble(d, random, queue); break;
	case 9:
	case 10: indirect(d, random, queue); break;
	case 11:
	case 12: rewrite(d, random, queue); break;
	case 13:
	case 14:
	case 15:
	case 16:
	case 17: restart(d, random); break;
	default: offer_chains(d, random, (unsigned)random_below(random, 3)); break;
	}
}

bool chaos_may_write(uint64_t gpa, unsigned width)
{
	for (unsigned i = 0; i < chaos.nr; i++) {
		const uint64_t base = chaos.device[i].dev.base;
		const uint64_t ready = base + VIRTIO_QUEUE_READY;

		if (gpa + width > base + FIRST_ADDRESS && gpa < base + END_ADDRESS)
			return false;
		if (gpa + width > ready && gpa < ready + 4)
			return false;
	}
	return true;
}

uint64_t chaos_register(uint64_t *random)
{
	if (chaos.nr == 0)
		return 0;
	return chaos.device[random_below(random, chaos.nr)].dev.base +
	       random_below(random, REGISTERS);
}

bool chaos_devices_rest(void)
{
	bool all = true;

	for (unsigned i = 0; i < chaos.nr; i++) {
		const struct virtio_device *dev = &chaos.device[i].dev;

		ioapic_mask(dev->gsi);
		all = virtio_reset(dev) &&
		      virtio_read(dev, VIRTIO_DEVICE_ID) == chaos.device[i].type && all;
	}
	return all;
}

/* Numbers of pages in the parts of the others, and of none. */
static void fill_balloon(const struct chaos_device *d)
{
	uint32_t *pfn = phys_ptr(d->part + BUFFERS);
	const uint32_t first = (uint32_t)((ARENA + PART_BYTES) >> 12);
	const uint32_t pages = (uint32_t)((ARENA_BYTES - PART_BYTES) >> 12);

	for (uint32_t i = 0; i < (PFN_BYTES + PFN_LEN_MAX) / sizeof(*pfn); i++)
		pfn[i] = i % 16 ? first + i * 7 % pages : UINT32_MAX - i;
}

static void interrupt(void)
{
}

static void add(const struct devtree_device *node)
{
	struct chaos_device *d = &chaos.device[chaos.nr];

	*d = (struct chaos_device){.dev = {.base = node->reg[0].first, .gsi = (unsigned)node->gsi}};
	d->type = virtio_read(&d->dev, VIRTIO_DEVICE_ID);
	d->features = virtio_features(&d->dev);
	ioapic_route(d->dev.gsi, VECTOR_VIRTIO, lapic_id());
	chaos.nr++;
}

/* The balloon gets the first one. */
static void give_parts(void)
{
	uint64_t next = ARENA + PART_BYTES;

	for (unsigned i = 0; i < chaos.nr; i++) {
		struct chaos_device *d = &chaos.device[i];

		if (is_balloon(d)) {
			d->part = ARENA;
			fill_balloon(d);
			continue;
		}
		d->part = next;
		next += PART_BYTES;
	}
}

unsigned chaos_devices_init(void)
{
	const struct boot_info *boot = boot_info();

	for (size_t i = 0; i < boot->nr_memmap; i++) {
		const struct hvm_memmap_table_entry *e = &boot->memmap[i];

		if (e->type == MEMMAP_RAM && e->addr <= ARENA)
			chaos.ram_end = e->addr + e->size;
	}
	if (chaos.ram_end < RAM_WANTED)
		guest_usage("chaos: less than 64 MiB of RAM (tollgate run --mem 64M)");
	trap_set_handler(VECTOR_VIRTIO, interrupt);
	for (size_t i = 0; i < devtree_nr_devices() && chaos.nr + 1 < DEVICES_MAX; i++) {
		const struct devtree_device *node = devtree_device(i);

		if (devtree_is(node, "virtio,mmio") && node->nr_regs == 1 && node->gsi >= 0)
			add(node);
	}
	give_parts();
	return chaos.nr;
}
