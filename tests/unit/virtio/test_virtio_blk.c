/* Unit tests of the virtio block device: every shape of a request, what is refused and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/macros.h"
#include "blk_rig.h"
#include "virtio_counter.h"

#define ALL_FEATURES UINT64_MAX

static struct virtq_driver *const drv = &blk_rig.drv[0];

static int setup(void **state)
{
	(void)state;
	blk_rig_init();
	blk_rig_start(ALL_FEATURES);
	return 0;
}

static int setup_read_only(void **state)
{
	blk_rig.conf.disk.read_only = true;
	return setup(state);
}

static int setup_four_queues(void **state)
{
	blk_rig.conf.queues = 4;
	return setup(state);
}

static int teardown(void **state)
{
	(void)state;
	blk_rig_fini();
	return 0;
}

/* The next used chain's length; there is one. */
static uint32_t used_len(void)
{
	uint32_t id, len = 0;

	assert_true(virtq_driver_used(drv, &id, &len));
	virtq_driver_used_event(drv, drv->used_idx); /* an interrupt for the next one too */
	return len;
}

static void nothing_used(void)
{
	uint32_t id, len;

	assert_false(virtq_driver_used(drv, &id, &len));
}

/* One request from kick to status. */
static uint8_t run(uint32_t type, uint64_t sector, uint64_t data_gpa, uint32_t len,
		   uint32_t *ret_used)
{
	blk_rig_request(0, 0, type, sector, data_gpa, len);
	blk_rig_kick(0);
	*ret_used = used_len();
	return blk_rig_status(0);
}

static bool offers(unsigned feature)
{
	return blk_rig.vd->features >> feature & 1;
}

static void the_configuration_describes_the_disk(void **state)
{
	struct virtio_blk_config config;

	(void)state;
	memcpy(&config, blk_rig.vd->config, blk_rig.vd->config_len);
	assert_int_equal(le64toh(config.capacity), BLK_RIG_SECTORS);
	assert_int_equal(le32toh(config.blk_size), 512);
	assert_int_equal(config.physical_block_exp, 3);
	assert_int_equal(le32toh(config.seg_max), VIRTIO_BLK_SEGS_MAX);
	assert_int_equal(le16toh(config.num_queues), 1);
	assert_int_equal(config.wce, 1);
	assert_int_equal(le32toh(config.discard_sector_alignment), 8);
	assert_int_equal(config.write_zeroes_may_unmap, 1);
	assert_true(offers(VIRTIO_BLK_F_FLUSH) && offers(VIRTIO_BLK_F_SEG_MAX));
	assert_true(offers(VIRTIO_BLK_F_BLK_SIZE) && offers(VIRTIO_BLK_F_TOPOLOGY));
	assert_true(offers(VIRTIO_BLK_F_DISCARD) && offers(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_true(offers(VIRTIO_BLK_F_CONFIG_WCE));
	assert_false(offers(VIRTIO_BLK_F_RO) || offers(VIRTIO_BLK_F_MQ));
}

static void a_read_only_disk_says_so_and_refuses(void **state)
{
	uint32_t used;

	(void)state;
	assert_true(offers(VIRTIO_BLK_F_RO));
	assert_false(offers(VIRTIO_BLK_F_DISCARD) || offers(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, BLK_RIG_DATA_GPA, 512, &used),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(run(VIRTIO_BLK_T_DISCARD, 0, BLK_RIG_DATA_GPA, 16, &used),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_rig.disk->submits, 0);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, BLK_RIG_DATA_GPA, 512, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used), VIRTIO_BLK_S_OK);
}

static void sectors_are_read_and_written(void **state)
{
	uint8_t *data = blk_rig_ram(BLK_RIG_DATA_GPA, 4096);
	uint32_t used;

	(void)state;
	assert_int_equal(run(VIRTIO_BLK_T_IN, 3, BLK_RIG_DATA_GPA, 1024, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 1025);
	assert_memory_equal(data, &blk_rig.disk->bytes[1536], 1024);
	memset(data, 0x77, 4096);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, BLK_RIG_SECTORS - 8, BLK_RIG_DATA_GPA, 4096, &used),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(used, 1);
	assert_memory_equal(data, &blk_rig.disk->bytes[sizeof(blk_rig.disk->bytes) - 4096], 4096);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_rig.disk->last.op, DISK_FLUSH);
	assert_int_equal(used, 1);
	assert_int_equal(blk_rig.interrupts, 3);
	/* Nothing to do is done. */
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 0, 0, &used), VIRTIO_BLK_S_OK);
}

/* 2.7.4: how a request is cut into descriptors means nothing. */
static void headers_data_and_status_may_be_cut_anywhere(void **state)
{
	const struct virtq_buf read[] = {
		{BLK_RIG_HEADER_GPA, 1, false},     {BLK_RIG_HEADER_GPA + 1, 7, false},
		{BLK_RIG_HEADER_GPA + 8, 8, false}, {BLK_RIG_DATA_GPA, 1, true},
		{BLK_RIG_DATA_GPA + 1, 1000, true}, {BLK_RIG_DATA_GPA + 1001, 24, true},
	};
	const struct virtq_buf write[] = {
		{BLK_RIG_DATA_GPA + 8192, 16 + 100, false}, /* the header, and data at once */
		{BLK_RIG_DATA_GPA + 10000, 412, false},
		{BLK_RIG_STATUS_GPA, 1, true},
	};
	const struct virtio_blk_outhdr hdr = {.type = htole32(VIRTIO_BLK_T_OUT),
					      .sector = htole64(5)};
	uint8_t *data = blk_rig_ram(BLK_RIG_DATA_GPA, 16384);

	(void)state;
	blk_rig_header(0, VIRTIO_BLK_T_IN, 2);
	virtq_driver_add(drv, read, ARRAY_SIZE(read));
	blk_rig_kick(0);
	assert_int_equal(used_len(), 1025);
	assert_memory_equal(data, &blk_rig.disk->bytes[1024], 1024);
	assert_int_equal(data[1024], VIRTIO_BLK_S_OK);

	memcpy(data + 8192, &hdr, sizeof(hdr));
	memset(data + 8192 + 16, 'a', 100);
	memset(data + 10000, 'b', 412);
	virtq_driver_add(drv, write, ARRAY_SIZE(write));
	blk_rig_kick(0);
	assert_int_equal(used_len(), 1);
	assert_int_equal(blk_rig.disk->bytes[5 * 512 + 99], 'a');
	assert_int_equal(blk_rig.disk->bytes[5 * 512 + 100], 'b');
	assert_int_equal(blk_rig.disk->bytes[5 * 512 + 511], 'b');
}

static void what_is_not_on_the_disk_is_an_error_and_not_tried(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{BLK_RIG_SECTORS, 512},
		{BLK_RIG_SECTORS - 1, 1024},
		{UINT64_MAX, 512},
		{UINT64_MAX / 512, 512},
		{UINT64_MAX / 512 + 1, 512}, /* times 512 it is 0 */
		{UINT64_C(1) << 63, 1024},
		{0, 511},
		{0, 513},
		{0, 1},
	};
	uint32_t used;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(
			run(VIRTIO_BLK_T_IN, bad[i].sector, BLK_RIG_DATA_GPA, bad[i].len, &used),
			VIRTIO_BLK_S_IOERR);
		assert_int_equal(used, 0); /* the data before the status was not written */
		assert_int_equal(
			run(VIRTIO_BLK_T_OUT, bad[i].sector, BLK_RIG_DATA_GPA, bad[i].len, &used),
			VIRTIO_BLK_S_IOERR);
		assert_int_equal(used, 1);
	}
	assert_int_equal(blk_rig.disk->submits, 0);
	assert_int_equal(blk_rig.needs_resets, 0);
}

static void unknown_types_are_unsupported(void **state)
{
	static const uint32_t types[] = {2, 3, 5, 6, 7, 9, 10, 12, 14, 16, 24, 100, UINT32_MAX};
	uint32_t used;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(run(types[i], 0, BLK_RIG_DATA_GPA, 512, &used),
				 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_rig.disk->submits, 0);
}

static void what_was_not_negotiated_is_unsupported(void **state)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_DISCARD,
					 VIRTIO_BLK_T_WRITE_ZEROES};
	uint32_t used;

	(void)state;
	blk_rig.vd->cls->stop(blk_rig.vd);
	blk_rig_start(0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(run(types[i], 0, BLK_RIG_DATA_GPA, 16, &used),
				 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_rig.disk->submits, 0);
}

static void the_id_is_20_bytes_padded_with_zeros(void **state)
{
	uint8_t *data = blk_rig_ram(BLK_RIG_DATA_GPA, 32);
	uint32_t used;

	(void)state;
	memset(data, 0xff, 32);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, BLK_RIG_DATA_GPA, 20, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 21);
	assert_memory_equal(data, "disk0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff", 21);
	memset(data, 0xff, 32);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, BLK_RIG_DATA_GPA, 3, &used), VIRTIO_BLK_S_OK);
	assert_memory_equal(data, "dis\xff", 4);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, BLK_RIG_DATA_GPA, 32, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 20);
}

/* There is no place for an answer, so the device asks for a reset, and works again after it. */
static void a_request_that_cannot_be_answered_asks_for_a_reset(void **state)
{
	const struct virtq_buf no_status[] = {{BLK_RIG_HEADER_GPA, 16, false},
					      {BLK_RIG_DATA_GPA, 512, false}};
	const struct virtq_buf short_header[] = {{BLK_RIG_HEADER_GPA, 15, false},
						 {BLK_RIG_STATUS_GPA, 1, true}};
	const struct virtq_buf no_header[] = {{BLK_RIG_STATUS_GPA, 1, true}};
	const struct {
		const struct virtq_buf *buf;
		unsigned n;
	} bad[] = {{no_status, 2}, {short_header, 2}, {no_header, 1}};
	uint32_t used;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		blk_rig_header(0, VIRTIO_BLK_T_OUT, 0);
		virtq_driver_add(drv, bad[i].buf, bad[i].n);
		blk_rig_request(0, 1, VIRTIO_BLK_T_IN, 0, BLK_RIG_DATA_GPA, 512);
		blk_rig_kick(0);
		nothing_used();
		assert_int_equal(blk_rig.needs_resets, i + 1);
		assert_int_equal(blk_rig.disk->submits, i);
		blk_rig.vd->cls->stop(blk_rig.vd);
		blk_rig_start(ALL_FEATURES);
		assert_int_equal(run(VIRTIO_BLK_T_IN, 0, BLK_RIG_DATA_GPA, 512, &used),
				 VIRTIO_BLK_S_OK);
	}
}

static void put_range(unsigned i, uint64_t sector, uint32_t nr, uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = {
		.sector = htole64(sector), .num_sectors = htole32(nr), .flags = htole32(flags)};

	memcpy(blk_rig_ram(BLK_RIG_DATA_GPA + 16 * i, 16), &range, sizeof(range));
}

static void ranges_are_zeroed_and_discarded_one_after_the_other(void **state)
{
	uint32_t used;

	(void)state;
	put_range(0, 1, 2, 0);
	put_range(1, 0, 0, 0); /* empty */
	put_range(2, 10, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	assert_int_equal(run(VIRTIO_BLK_T_WRITE_ZEROES, 0, BLK_RIG_DATA_GPA, 48, &used),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(blk_rig.disk->submits, 3);
	assert_true(blk_rig.disk->last.may_unmap);
	for (size_t i = 0; i < 12; i++) {
		const bool zero = i == 1 || i == 2 || i == 10;

		assert_int_equal(blk_rig.disk->bytes[i * 512 + 3] == 0, zero);
	}
	put_range(0, BLK_RIG_SECTORS - 1, 1, 0);
	assert_int_equal(run(VIRTIO_BLK_T_DISCARD, 0, BLK_RIG_DATA_GPA, 16, &used),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(blk_rig.disk->last.op, DISK_DISCARD);
	assert_int_equal(blk_rig.disk->last.off, (BLK_RIG_SECTORS - 1) * 512);
	assert_int_equal(blk_rig.disk->last.len, 512);
	blk_rig.disk->err = -EIO; /* the rest is not tried */
	blk_rig.disk->submits = 0;
	put_range(1, 0, 1, 0);
	assert_int_equal(run(VIRTIO_BLK_T_DISCARD, 0, BLK_RIG_DATA_GPA, 32, &used),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_rig.disk->submits, 1);
}

static void a_wrong_range_is_refused_with_all_beside_it(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t nr, flags;
		uint8_t status;
	} bad[] = {
		{VIRTIO_BLK_T_DISCARD, BLK_RIG_SECTORS, 1, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, BLK_RIG_SECTORS - 1, 2, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, UINT64_MAX, 1, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
		 VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_DISCARD, 0, 1, 2, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, UINT32_MAX, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, UINT64_MAX - 1, 2, 0, VIRTIO_BLK_S_IOERR},
	};
	static const uint32_t lengths[] = {0, 1, 15, 17, 16 * (VIRTIO_BLK_RANGES_MAX + 1)};
	uint32_t used;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_range(0, 0, 1, 0);
		put_range(1, bad[i].sector, bad[i].nr, bad[i].flags);
		assert_int_equal(run(bad[i].type, 0, BLK_RIG_DATA_GPA, 32, &used), bad[i].status);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		assert_int_equal(run(VIRTIO_BLK_T_DISCARD, 0, BLK_RIG_DATA_GPA, lengths[i], &used),
				 VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_rig.disk->submits, 0);
}

/* As the configuration says, and not a sector more; on a disk that would have them. */
static void a_range_has_a_limit(void **state)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct virtio_blk_config config;
	uint32_t used;

	(void)state;
	memcpy(&config, blk_rig.vd->config, sizeof(config));
	blk_rig.disk->disk.geo.bytes = UINT64_C(1) << 40;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const uint32_t max = le32toh(i == 0 ? config.max_discard_sectors
						    : config.max_write_zeroes_sectors);

		blk_rig.disk->hold = true;
		put_range(0, 0, max, 0);
		blk_rig_request(0, 0, types[i], 0, BLK_RIG_DATA_GPA, 16);
		blk_rig_kick(0);
		assert_int_equal(blk_rig.disk->nr_held, 1);
		assert_int_equal(blk_rig.disk->last.len, max * UINT64_C(512));
		put_range(0, 0, max + 1, 0);
		assert_int_equal(run(types[i], 0, BLK_RIG_DATA_GPA, 16, &used), VIRTIO_BLK_S_IOERR);
		assert_int_equal(blk_rig.disk->nr_held, 1);
		blk_rig.disk->held[0]->op = DISK_FLUSH; /* the disk is not so large */
		blk_rig_release(1);
		disk_commit(&blk_rig.disk->disk);
	}
}

static void the_hosts_errors_are_told(void **state)
{
	uint32_t used;

	(void)state;
	blk_rig.disk->err = -ENOSPC;
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, BLK_RIG_DATA_GPA, 512, &used),
			 VIRTIO_BLK_S_IOERR);
	blk_rig.disk->err = -EIO;
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, BLK_RIG_DATA_GPA, 512, &used), VIRTIO_BLK_S_IOERR);
	assert_int_equal(used, 0);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used), VIRTIO_BLK_S_IOERR);
	assert_int_equal(used, 1);
	assert_int_equal(virtio_counter(blk_rig.vd, "host_errors"), 3);
	blk_rig.disk->err = 0;
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, BLK_RIG_DATA_GPA, 512, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(virtio_counter(blk_rig.vd, "read_bytes"), 512);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, BLK_RIG_DATA_GPA, 1024, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(virtio_counter(blk_rig.vd, "written_bytes"), 1024);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(virtio_counter(blk_rig.vd, "flushes"), 1);
	assert_int_equal(virtio_counter(blk_rig.vd, "host_errors"), 3);
}

static void what_comes_at_once_is_shown_with_one_interrupt(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 32; i++)
		blk_rig_request(0, i, VIRTIO_BLK_T_IN, i, BLK_RIG_DATA_GPA + 512 * i, 512);
	blk_rig_kick(0);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(used_len(), 513);
		assert_int_equal(blk_rig_status(i), VIRTIO_BLK_S_OK);
	}
	nothing_used();
	assert_int_equal(blk_rig.interrupts, 1);
}

/* The loop runs as if the engine's eventfd had been signalled. */
static void settle(void)
{
	disk_commit(&blk_rig.disk->disk);
	blk_rig_kick(0);
}

static void what_finds_no_room_waits_in_the_ring(void **state)
{
	enum { OFFERED = 250 };
	const struct virtq_buf whole = {BLK_RIG_HEADER_GPA, 16, false};

	(void)state;
	blk_rig.disk->hold = true;
	blk_rig_header(0, VIRTIO_BLK_T_IN, 0);
	for (unsigned i = 0; i < OFFERED; i++) {
		const struct virtq_buf buf[] = {whole, {BLK_RIG_DATA_GPA, 513, true}};

		virtq_driver_offer(drv, virtq_driver_indirect(drv, 0x180000 + 64 * i, buf, 2));
	}
	blk_rig_kick(0);
	assert_int_equal(blk_rig.disk->submits, DISK_REQUESTS_MAX);
	blk_rig_kick(0);
	assert_int_equal(blk_rig.disk->submits, DISK_REQUESTS_MAX);
	assert_int_equal(blk_rig.rings, 0); /* it does not spin meanwhile */
	blk_rig_release(10);
	settle();
	assert_int_equal(blk_rig.disk->submits, DISK_REQUESTS_MAX + 10);
	blk_rig.disk->hold = false;
	blk_rig_release(DISK_REQUESTS_MAX);
	settle();
	assert_int_equal(blk_rig.disk->submits, OFFERED);
	for (unsigned i = 0; i < OFFERED; i++)
		assert_int_equal(used_len(), 513);
	nothing_used();
}

/* Each request taken makes the driver offer another one. */
static void offer_another(void *arg)
{
	(void)arg;
	blk_rig_request(0, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
}

static void a_driver_that_never_stops_does_not_keep_the_thread(void **state)
{
	unsigned before;

	(void)state;
	blk_rig.disk->submitted = offer_another;
	blk_rig_request(0, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	blk_rig_kick(0);
	assert_int_equal(blk_rig.rings, 1);
	before = blk_rig.disk->submits;
	assert_true(before >= 512 && before < 1024);
	blk_rig_kick(0);
	assert_int_equal(blk_rig.rings, 2);
	assert_true(blk_rig.disk->submits > before);
	blk_rig.disk->submitted = NULL;
	blk_rig_kick(0);
	assert_int_equal(blk_rig.rings, 2);
}

static void no_queue_starves_beside_a_busy_one(void **state)
{
	(void)state;
	assert_int_equal(blk_rig.vd->nr_queues, 4);
	assert_true(offers(VIRTIO_BLK_F_MQ));
	blk_rig.disk->submitted = offer_another; /* on queue 0 */
	blk_rig_request(0, 0, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	blk_rig_kick(0);
	blk_rig_request(3, 1, VIRTIO_BLK_T_IN, 1, BLK_RIG_DATA_GPA, 512);
	blk_rig_kick(3);
	assert_int_equal(blk_rig_status(1), VIRTIO_BLK_S_OK);
	blk_rig.disk->submitted = NULL;
	blk_rig_kick(0);
}

/* It waits for room when the driver leaves, and the next driver has no such queue. */
static void a_queue_that_waits_is_forgotten_at_the_end(void **state)
{
	const struct virtq_buf buf[] = {{BLK_RIG_HEADER_GPA, 16, false},
					{BLK_RIG_DATA_GPA, 513, true}};
	struct virtio_device *vd = blk_rig.vd;

	(void)state;
	blk_rig.disk->hold = true;
	blk_rig_header(0, VIRTIO_BLK_T_IN, 0);
	for (unsigned i = 0; i < DISK_REQUESTS_MAX; i++)
		virtq_driver_offer(drv, virtq_driver_indirect(drv, 0x180000 + 64 * i, buf, 2));
	blk_rig_kick(0);
	blk_rig_request(3, 1, VIRTIO_BLK_T_IN, 1, BLK_RIG_DATA_GPA, 512);
	blk_rig_kick(3);
	assert_int_equal(blk_rig.disk->submits, DISK_REQUESTS_MAX);
	blk_rig.disk->hold = false;
	blk_rig_release(DISK_REQUESTS_MAX);
	vd->cls->stop(vd);
	for (unsigned i = 0; i < vd->nr_queues; i++)
		virtq_reset(&vd->queue[i]);
	assert_int_equal(virtq_driver_start(drv, &vd->queue[0], 0x10000, 256, vd->acked), 0);
	blk_rig_request(0, 2, VIRTIO_BLK_T_IN, 2, BLK_RIG_DATA_GPA, 512);
	blk_rig_kick(0);
	assert_int_equal(blk_rig_status(2), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_rig_status(1), 0xee);
}

static void as_many_queues_as_vcpus_unless_told(void **state)
{
	static const struct {
		unsigned cpus, said, queues;
	} cases[] = {{1, 0, 1}, {3, 0, 3}, {4, 0, 4}, {64, 0, 4}, {2, 4, 4}, {1, 16, 16}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		blk_rig.cpus = cases[i].cpus;
		blk_rig.conf.queues = cases[i].said;
		blk_rig_init();
		assert_int_equal(blk_rig.vd->nr_queues, cases[i].queues);
		assert_int_equal(offers(VIRTIO_BLK_F_MQ), cases[i].queues > 1);
		blk_rig_fini();
	}
}

static void write_wce(uint8_t val)
{
	const unsigned off = offsetof(struct virtio_blk_config, wce);

	blk_rig.vd->config[off] = val;
	blk_rig.vd->cls->config_written(blk_rig.vd, off, 1);
}

/* Writing, and if the driver has that, writing zeroes. */
static bool write_is_stable(void)
{
	uint32_t used;
	bool stable;

	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, BLK_RIG_DATA_GPA, 512, &used), VIRTIO_BLK_S_OK);
	stable = blk_rig.disk->last.stable;
	if (virtio_has(blk_rig.vd, VIRTIO_BLK_F_WRITE_ZEROES)) {
		put_range(0, 0, 1, 0);
		assert_int_equal(run(VIRTIO_BLK_T_WRITE_ZEROES, 0, BLK_RIG_DATA_GPA, 16, &used),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(blk_rig.disk->last.stable, stable);
	}
	return stable;
}

static void writes_reach_the_disk_as_the_driver_chose(void **state)
{
	const uint64_t flush = UINT64_C(1) << VIRTIO_BLK_F_FLUSH;
	const uint64_t wce = UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE;

	(void)state;
	assert_false(write_is_stable());
	write_wce(0);
	assert_true(write_is_stable());
	write_wce(1);
	assert_false(write_is_stable());
	write_wce(0);
	blk_rig.vd->cls->stop(blk_rig.vd);
	blk_rig.vd->cls->reset(blk_rig.vd); /* which brings the cache back */
	assert_int_equal(blk_rig.vd->config[offsetof(struct virtio_blk_config, wce)], 1);
	blk_rig_start(flush | wce);
	assert_false(write_is_stable());
	blk_rig.vd->cls->stop(blk_rig.vd);
	blk_rig_start(flush);
	assert_false(write_is_stable());
	blk_rig.vd->cls->stop(blk_rig.vd);
	blk_rig_start(0); /* it cannot flush, so it need not */
	assert_true(write_is_stable());
}

static void the_driver_cannot_change_the_disks_size(void **state)
{
	struct virtio_blk_config before;

	(void)state;
	memcpy(&before, blk_rig.vd->config, blk_rig.vd->config_len);
	memset(blk_rig.vd->config, 0xff, blk_rig.vd->config_len);
	blk_rig.vd->cls->config_written(blk_rig.vd, 0, blk_rig.vd->config_len);
	assert_int_equal(blk_rig.config_sets, 1);
	assert_memory_equal(blk_rig.vd->config, &before, blk_rig.vd->config_len);
}

/* On a file: a flush takes its time in a thread, and stop() waits for it. */
static void stop_waits_for_what_is_under_way(void **state)
{
	char path[] = "/tmp/tollgate-blk-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	blk_rig.conf.open = disk_open;
	blk_rig.conf.disk.path = path;
	blk_rig_init();
	blk_rig_start(ALL_FEATURES);
	for (unsigned i = 0; i < 16; i++) {
		blk_rig_request(0, 2 * i, VIRTIO_BLK_T_OUT, UINT64_C(8) * i, BLK_RIG_DATA_GPA,
				4096);
		blk_rig_request(0, 2 * i + 1, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	}
	blk_rig_kick(0);
	blk_rig.vd->cls->stop(blk_rig.vd);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(blk_rig_status(i), VIRTIO_BLK_S_OK);
	blk_rig_fini();
	unlink(path);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_configuration_describes_the_disk),
		cmocka_unit_test_setup_teardown(a_read_only_disk_says_so_and_refuses,
						setup_read_only, teardown),
		TEST(sectors_are_read_and_written),
		TEST(headers_data_and_status_may_be_cut_anywhere),
		TEST(what_is_not_on_the_disk_is_an_error_and_not_tried),
		TEST(unknown_types_are_unsupported),
		TEST(what_was_not_negotiated_is_unsupported),
		TEST(the_id_is_20_bytes_padded_with_zeros),
		TEST(a_request_that_cannot_be_answered_asks_for_a_reset),
		TEST(ranges_are_zeroed_and_discarded_one_after_the_other),
		TEST(a_wrong_range_is_refused_with_all_beside_it),
		TEST(a_range_has_a_limit),
		TEST(the_hosts_errors_are_told),
		TEST(what_comes_at_once_is_shown_with_one_interrupt),
		TEST(what_finds_no_room_waits_in_the_ring),
		TEST(a_driver_that_never_stops_does_not_keep_the_thread),
		cmocka_unit_test_setup_teardown(no_queue_starves_beside_a_busy_one,
						setup_four_queues, teardown),
		cmocka_unit_test_setup_teardown(a_queue_that_waits_is_forgotten_at_the_end,
						setup_four_queues, teardown),
		cmocka_unit_test(as_many_queues_as_vcpus_unless_told),
		TEST(writes_reach_the_disk_as_the_driver_chose),
		TEST(the_driver_cannot_change_the_disks_size),
		cmocka_unit_test(stop_waits_for_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
