/*
 * blk - drives a virtio block device: reads, writes, flushes, discards, zeroes, asks for its name, asks
 * for what is not there, and counts interrupts one request at a time and many at a time.
 *
 * The image holds lines of 16 bytes, each with its number in 15 digits, so that a sector shows which
 * one it is; the host compares what the image became.
 *
 * Words: sectors=N, what the device must say it has; block=BYTES (512), the same; id=NAME; readonly: writes must be
 * refused; full=SECTOR: writes from there on must fail, and nothing else; requests=N (256) for the counted tests;
 * op=read|write and depth=both|1|32 for them; keep: nothing else is done. records: writes numbered sectors, and prints
 * the number of each once a flush after it has ended, until somebody ends it or there is no room.
 */
#include <string.h>

#include "access.h"
#include "boot.h"
#include "check.h"
#include "cmdline.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "print.h"
#include "virtio.h"

enum {
	SECTOR = 512,
	LINE = 16,
	DATA = 4096,
	DEPTH = 32,
	REQUESTS = 256,
	REQUESTS_MAX = 1000000,

	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13,

	S_OK = 0,
	S_IOERR = 1,
	S_UNSUPP = 2,
	S_NONE = 0xff, /* not a status: the device wrote none */

	UNMAP = 1,
	ID_BYTES = 20,

	/* Configuration space. */
	CONFIG_CAPACITY = 0x00,
	CONFIG_BLK_SIZE = 0x14,

	/* Sectors that the tests write to; the counted writes go to those from COUNTED on. */
	WRITTEN = 16, /* 8 sectors of 'w' */
	ZEROED = 32,  /* 4 and then 4 sectors */
	DISCARDED = 64,
	COUNTED = 128,
	COUNTED_SECTORS = 4096,
};

#define F_RO           (UINT64_C(1) << 5)
#define F_FLUSH        (UINT64_C(1) << 9)
#define F_DISCARD      (UINT64_C(1) << 13)
#define F_WRITE_ZEROES (UINT64_C(1) << 14)
#define F_ALL          (F_RO | F_FLUSH | F_DISCARD | F_WRITE_ZEROES)

struct range {
	uint64_t sector;
	uint32_t nr, flags;
};

/* A request as the device sees it: one descriptor in the ring, the rest in a table of its own. */
struct request {
	_Alignas(16) struct virtio_desc table[3];
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	uint8_t status;
	_Alignas(16) uint8_t data[DATA];
};

static struct {
	struct virtio_device dev;
	struct virtio_queue q;
	struct request request[DEPTH];
	unsigned free[DEPTH], nr_free; /* requests, while they are counted */
	unsigned failed;
	uint64_t features;
	uint64_t sectors;
	unsigned interrupts_wanted;
	bool read_only;
} blk;

static uint64_t config64(unsigned off)
{
	return mmio_read32(blk.dev.base + VIRTIO_CONFIG + off) |
	       (uint64_t)mmio_read32(blk.dev.base + VIRTIO_CONFIG + off + 4) << 32;
}

static bool used_came(void)
{
	return __atomic_load_n(&blk.q.used.idx, __ATOMIC_SEQ_CST) != blk.q.used_seen;
}

static bool interrupt_came(void)
{
	return used_came() && virtio_interrupts()->used >= blk.interrupts_wanted;
}

/* Offers request i; len bytes of its data take part. */
static void offer(unsigned i, uint32_t type, uint64_t sector, uint32_t len)
{
	const bool from_device = type == T_IN || type == T_GET_ID;
	struct request *rq = &blk.request[i];
	unsigned n = 0;

	rq->header.type = type;
	rq->header.sector = sector;
	rq->status = S_NONE;
	rq->table[n++] = (struct virtio_desc){(uintptr_t)&rq->header, sizeof(rq->header),
					      VIRTIO_DESC_NEXT, 1};
	if (len)
		rq->table[n++] = (struct virtio_desc){
			(uintptr_t)rq->data, len,
			(uint16_t)(VIRTIO_DESC_NEXT | (from_device ? VIRTIO_DESC_WRITE : 0)), 2};
	rq->table[n++] = (struct virtio_desc){(uintptr_t)&rq->status, 1, VIRTIO_DESC_WRITE, 0};
	blk.q.desc[i] = (struct virtio_desc){
		(uintptr_t)rq->table, n * (uint32_t)sizeof(rq->table[0]), VIRTIO_DESC_INDIRECT, 0};
	virtio_offer(&blk.q, (uint16_t)i);
}

/* Kicks unless the device said that it looks anyway (2.7.10). */
static void kick(uint16_t old)
{
	const uint16_t event = __atomic_load_n(&blk.q.used.avail_event, __ATOMIC_SEQ_CST);

	if ((uint16_t)(blk.q.avail.idx - event - 1) < (uint16_t)(blk.q.avail.idx - old))
		virtio_kick(&blk.dev, 0);
}

/* A request that ended; true when there was one. */
static bool take_used(void)
{
	const uint32_t id = blk.q.used.ring[blk.q.used_seen % VIRTIO_QUEUE_SIZE].id;
	uint32_t len;

	if (!virtio_used(&blk.q, &len))
		return false;
	blk.failed += blk.request[id].status != S_OK;
	if (blk.nr_free < DEPTH)
		blk.free[blk.nr_free++] = id;
	return true;
}

/* Waits for an interrupt; how many requests ended since. */
static unsigned harvest(void)
{
	unsigned n = 0;

	blk.interrupts_wanted = virtio_interrupts()->used + 1;
	if (!used_came() && !lapic_wait(interrupt_came, LAPIC_HANG_MS))
		return 0;
	do {
		while (take_used())
			n++;
		__atomic_store_n(&blk.q.avail.used_event, blk.q.used_seen, __ATOMIC_SEQ_CST);
	} while (used_came());
	return n;
}

/* One request with request 0's data; its status. */
static unsigned run(uint32_t type, uint64_t sector, uint32_t len)
{
	const uint16_t old = blk.q.avail.idx;

	offer(0, type, sector, len);
	kick(old);
	return harvest() == 1 ? blk.request[0].status : S_NONE;
}

static uint64_t line_number(const uint8_t *line)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LINE - 1; i++)
		n = n * 10 + line[i] - '0';
	return n;
}

/* Whether data holds that sector and those after it as the host made them. */
static bool sectors_are_there(uint64_t sector, uint32_t bytes)
{
	for (uint32_t off = 0; off < bytes; off += SECTOR)
		if (line_number(&blk.request[0].data[off]) != (sector * SECTOR + off) / LINE)
			return false;
	return true;
}

static bool data_is(uint8_t byte, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		if (blk.request[0].data[i] != byte)
			return false;
	return true;
}

static void start(void)
{
	blk.features = virtio_features(&blk.dev);
	if (!virtio_negotiate(&blk.dev, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT |
						VIRTIO_F_EVENT_IDX | (blk.features & F_ALL)) ||
	    !virtio_queue_start(&blk.dev, 0, &blk.q)) {
		check_fail("blk-start", "status %x", virtio_read(&blk.dev, VIRTIO_STATUS));
		check_finish();
	}
	virtio_start(&blk.dev);
	blk.sectors = config64(CONFIG_CAPACITY);
}

static void test_config(void)
{
	const uint64_t sectors = cmdline_u64("sectors", blk.sectors, UINT64_MAX);
	const uint32_t block = mmio_read32(blk.dev.base + VIRTIO_CONFIG + CONFIG_BLK_SIZE);

	check("blk-capacity", blk.sectors == sectors, "%lu sectors, not %lu", blk.sectors, sectors);
	check("blk-block-size", block == cmdline_u64("block", SECTOR, UINT32_MAX), "%u", block);
	check("blk-read-only", !(blk.features & F_RO) == !blk.read_only, "features %lx",
	      blk.features);
}

static void test_id(void)
{
	size_t len = 5;
	const char *id = cmdline_value("id", &len);
	const char *data = (const char *)blk.request[0].data;
	unsigned status;

	memset(blk.request[0].data, 'x', ID_BYTES + 1);
	status = run(T_GET_ID, 0, ID_BYTES);
	if (!id)
		id = "disk0";
	check("blk-id",
	      status == S_OK && memcmp(data, id, len) == 0 &&
		      (len == ID_BYTES || data[len] == '\0') && data[ID_BYTES] == 'x',
	      "status %u, '%.20s'", status, data);
}

static void test_read(const char *name, uint64_t sector, uint32_t bytes)
{
	const unsigned status = run(T_IN, sector, bytes);

	check(name, status == S_OK && sectors_are_there(sector, bytes),
	      "sector %lu, %u bytes: status %u, line %lu", sector, bytes, status,
	      line_number(blk.request[0].data));
}

static void expect(const char *name, unsigned status, unsigned wanted)
{
	check(name, status == wanted, "status %u, not %u", status, wanted);
}

static void test_reads(void)
{
	test_read("blk-read-first", 0, SECTOR);
	test_read("blk-read-last", blk.sectors - 1, SECTOR);
	test_read("blk-read-many", 8, DATA);
	expect("blk-read-past-end", run(T_IN, blk.sectors, SECTOR), S_IOERR);
	expect("blk-read-across-end", run(T_IN, blk.sectors - 1, 2 * SECTOR), S_IOERR);
	expect("blk-read-wrapped", run(T_IN, UINT64_MAX, 2 * SECTOR), S_IOERR);
	expect("blk-read-part-of-a-sector", run(T_IN, 0, SECTOR + 1), S_IOERR);
	expect("blk-unknown-type", run(77, 0, SECTOR), S_UNSUPP);
	expect("blk-flush", run(T_FLUSH, 0, 0), S_OK);
}

static unsigned write_sectors(uint64_t sector, uint8_t byte, uint32_t bytes)
{
	memset(blk.request[0].data, byte, bytes);
	return run(T_OUT, sector, bytes);
}

/* Reads back, so that what was read is not what was there before. */
static bool reads_as(uint64_t sector, uint8_t byte, uint32_t bytes)
{
	memset(blk.request[0].data, byte + 1, bytes);
	return run(T_IN, sector, bytes) == S_OK && data_is(byte, bytes);
}

static unsigned run_range(uint32_t type, struct range range)
{
	memcpy(blk.request[0].data, &range, sizeof(range));
	return run(type, 0, sizeof(range));
}

static void test_writes(void)
{
	expect("blk-write", write_sectors(WRITTEN, 'w', DATA), S_OK);
	check("blk-written", reads_as(WRITTEN, 'w', DATA), "other bytes");
	/* A part of what a host's block is, and next to something. */
	expect("blk-write-sector", write_sectors(WRITTEN + 3, 'v', SECTOR), S_OK);
	check("blk-written-sector",
	      reads_as(WRITTEN + 3, 'v', SECTOR) && reads_as(WRITTEN + 4, 'w', SECTOR) &&
		      reads_as(WRITTEN + 2, 'w', SECTOR),
	      "other bytes");
	expect("blk-write-past-end", write_sectors(blk.sectors, 'x', SECTOR), S_IOERR);
	expect("blk-flush-writes", run(T_FLUSH, 0, 0), S_OK);
	expect("blk-zero", run_range(T_WRITE_ZEROES, (struct range){ZEROED, 4, 0}), S_OK);
	expect("blk-zero-unmap", run_range(T_WRITE_ZEROES, (struct range){ZEROED + 4, 4, UNMAP}),
	       S_OK);
	check("blk-zeroed", reads_as(ZEROED, 0, DATA), "other bytes");
	if (blk.features & F_DISCARD) {
		expect("blk-discard", run_range(T_DISCARD, (struct range){DISCARDED, 8, 0}), S_OK);
		expect("blk-discard-past-end",
		       run_range(T_DISCARD, (struct range){blk.sectors, 1, 0}), S_IOERR);
	}
	expect("blk-write-nothing", run(T_OUT, WRITTEN, 0), S_OK);
	expect("blk-zero-nothing", run_range(T_WRITE_ZEROES, (struct range){WRITTEN, 0, 0}), S_OK);
	check("blk-nothing-changed", reads_as(WRITTEN, 'w', SECTOR), "other bytes");
	expect("blk-zero-wrong-flag", run_range(T_WRITE_ZEROES, (struct range){0, 1, 2}), S_UNSUPP);
}

static void test_refused_writes(void)
{
	expect("blk-write-refused", write_sectors(WRITTEN, 'w', SECTOR), S_IOERR);
	expect("blk-zero-refused", run_range(T_WRITE_ZEROES, (struct range){ZEROED, 4, 0}),
	       S_UNSUPP);
	test_read("blk-read-after-refusal", WRITTEN, SECTOR);
}

/* The host has no room for that; what has room goes on. */
static void test_full(uint64_t full)
{
	expect("blk-full", write_sectors(full, 'f', SECTOR), S_IOERR);
	expect("blk-full-elsewhere", write_sectors(0, 'e', SECTOR), S_OK);
	check("blk-full-read", reads_as(0, 'e', SECTOR), "other bytes");
	expect("blk-full-again", write_sectors(full, 'f', SECTOR), S_IOERR);
	expect("blk-full-flush", run(T_FLUSH, 0, 0), S_OK);
}

/* Keeps depth requests under way; how many ended. */
static unsigned keep_busy(unsigned depth, unsigned requests, uint32_t type)
{
	unsigned offered = 0, done = 0, n = 1;

	for (blk.nr_free = 0; blk.nr_free < depth; blk.nr_free++)
		blk.free[blk.nr_free] = blk.nr_free;
	while (done < requests && n > 0) {
		const uint16_t old = blk.q.avail.idx;

		while (offered < requests && blk.nr_free > 0) {
			const uint64_t place = offered * UINT64_C(5) % (COUNTED_SECTORS / 8);

			offer(blk.free[--blk.nr_free], type, COUNTED + place * 8, DATA);
			offered++;
		}
		kick(old);
		n = harvest();
		done += n;
	}
	return done;
}

static bool never(void)
{
	return false;
}

/* How many interrupts requests share depends on how soon they end: what is right is for who knows the disk. */
static void test_counted(const char *name, unsigned depth)
{
	static const char *const choices[] = {"read", "write", NULL};
	const unsigned requests = (unsigned)cmdline_u64("requests", REQUESTS, REQUESTS_MAX);
	const uint32_t type = cmdline_choice("op", choices) ? T_OUT : T_IN;
	unsigned before, done, interrupts;

	for (unsigned i = 0; i < DEPTH; i++)
		memset(blk.request[i].data, 'c', DATA);
	blk.failed = 0;
	lapic_wait(never, 1); /* lets in what came for requests before */
	before = virtio_interrupts()->used;
	done = keep_busy(depth, requests, type);
	interrupts = virtio_interrupts()->used - before;
	check(name, done == requests && blk.failed == 0 && interrupts <= requests,
	      "%u of %u requests, %u failed, %u interrupts", done, requests, blk.failed,
	      interrupts);
	print("blk: depth %u, %u requests, %u interrupts\n", depth, done, interrupts);
}

/* A sector of lines with that number. */
static void fill_record(unsigned number)
{
	uint8_t *data = blk.request[0].data;

	for (unsigned line = 0; line < SECTOR; line += LINE) {
		unsigned rest = number;

		data[line + LINE - 1] = '\n';
		for (unsigned digit = LINE - 1; digit-- > 0; rest /= 10)
			data[line + digit] = (uint8_t)('0' + rest % 10);
	}
}

static void keep_records(void)
{
	for (unsigned i = 0; i < blk.sectors; i++) {
		fill_record(i);
		if (run(T_OUT, i, SECTOR) != S_OK || run(T_FLUSH, 0, 0) != S_OK) {
			check_fail("blk-record", "%u", i);
			return;
		}
		print("kept %u\n", i);
	}
}

void kernel_main(void)
{
	static const char *const depths[] = {"both", "1", "32", NULL};
	const unsigned depth = cmdline_choice("depth", depths);
	uint64_t full;

	lapic_init();
	if (!devtree_init() || !virtio_find(VIRTIO_TYPE_BLOCK, &blk.dev))
		guest_usage("blk: no block device (tollgate run --disk FILE)");
	blk.read_only = cmdline_has("readonly");
	full = cmdline_u64("full", UINT64_MAX, UINT64_MAX);
	start();
	if (cmdline_has("records")) {
		keep_records();
		check_finish();
	}
	test_config();
	test_id();
	if (!cmdline_has("keep"))
		test_reads();
	if (full != UINT64_MAX)
		test_full(full);
	else if (blk.read_only)
		test_refused_writes();
	else if (!cmdline_has("keep"))
		test_writes();
	if (depth != 2)
		test_counted("blk-depth-1", 1);
	if (depth != 1)
		test_counted("blk-depth-32", DEPTH);
	check_finish();
}
