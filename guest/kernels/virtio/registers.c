/*
 * registers.c - what a driver must not do to the registers (virtio 1.2, 4.2.2.2 and 4.2.3): accesses of
 * the wrong width or unaligned, of undefined registers, of queues that are live. The device must go on as
 * if nothing had been.
 */
#include "access.h"
#include "check.h"
#include "lapic.h"
#include "virtio_test.h"

enum {
	REGISTERS_END = 0x100,
	IN_MEMORY_FROM = 0x60, /* what reads there hold may be shown as memory, in any width */
	READ_END = 0x180,      /* some of the configuration, too */
	LIVE_STATUS =
		VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_DRIVER_OK | VIRTIO_S_FEATURES_OK,
};

static bool goes_on(void)
{
	virtio_write(&test.dev, VIRTIO_QUEUE_SEL, test.index);
	return virtio_read(&test.dev, VIRTIO_STATUS) == LIVE_STATUS &&
	       virtio_read(&test.dev, VIRTIO_QUEUE_READY) == 1 && virtio_test_request();
}

static void check_goes_on(const char *name)
{
	check(name, goes_on(), "status %x, QueueReady %u", virtio_read(&test.dev, VIRTIO_STATUS),
	      virtio_read(&test.dev, VIRTIO_QUEUE_READY));
}

/* The bytes of aligned 32-bit words, which is what memory would hold. */
static uint64_t bytes_at(unsigned off, unsigned width)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < width; i++) {
		const uint32_t word = mmio_read32(test.dev.base + ((off + i) & ~3U));

		val |= (uint64_t)(word >> 8 * ((off + i) % 4) & 0xff) << 8 * i;
	}
	return val;
}

static bool is_odd(unsigned off, unsigned width)
{
	return width != 4 || off % 4 != 0;
}

static void test_odd_reads(void)
{
	for (unsigned off = 0; off < READ_END; off++) {
		for (unsigned width = 1; width <= 4; width *= 2) {
			const uint64_t wanted = off < IN_MEMORY_FROM ? 0 : bytes_at(off, width);
			const uint64_t got = mmio_read(test.dev.base + off, width);

			if (!is_odd(off, width) || got == wanted)
				continue;
			check_fail("registers-odd-reads", "%u bytes at %x: %lx, not %lx", width,
				   off, got, wanted);
			return;
		}
	}
	check_goes_on("registers-odd-reads");
}

/* Zeros would reset the device, stop its queue, or lose an interrupt. */
static void test_odd_writes(void)
{
	for (unsigned off = 0; off < REGISTERS_END; off++)
		for (unsigned width = 1; width <= 4; width *= 2)
			if (is_odd(off, width)) {
				mmio_write(test.dev.base + off, width, 0);
				mmio_write(test.dev.base + off, width, UINT64_MAX);
			}
	check_goes_on("registers-odd-writes");
}

/* Registers that can be read; all others read as 0. */
static bool is_readable(unsigned off)
{
	switch (off) {
	case VIRTIO_MAGIC:
	case VIRTIO_VERSION:
	case VIRTIO_DEVICE_ID:
	case VIRTIO_VENDOR_ID:
	case VIRTIO_DEVICE_FEATURES:
	case VIRTIO_QUEUE_NUM_MAX:
	case VIRTIO_QUEUE_READY:
	case VIRTIO_INTERRUPT_STATUS:
	case VIRTIO_STATUS:
	case VIRTIO_CONFIG_GENERATION: return true;
	default: return off >= VIRTIO_SHM_LEN_LOW && off <= VIRTIO_SHM_BASE_HIGH;
	}
}

static bool is_writable(unsigned off)
{
	switch (off) {
	case VIRTIO_DEVICE_FEATURES_SEL:
	case VIRTIO_DRIVER_FEATURES_SEL:
	case VIRTIO_QUEUE_SEL:
	case VIRTIO_QUEUE_READY:
	case VIRTIO_QUEUE_NOTIFY:
	case VIRTIO_INTERRUPT_ACK:
	case VIRTIO_STATUS: return true;
	default: return false;
	}
}

/* An acknowledgement is taken some time after it was given. */
static bool is_acknowledged(void)
{
	return virtio_read(&test.dev, VIRTIO_INTERRUPT_STATUS) == 0;
}

static void test_none(void)
{
	/* No interrupt ends the sleep. */
	for (unsigned ms = 0; ms < LAPIC_HANG_MS && !lapic_wait(is_acknowledged, 1); ms++)
		;
	for (unsigned off = 0; off < REGISTERS_END; off += 4) {
		const uint32_t before = mmio_read32(test.dev.base + off);
		uint32_t after;

		if (!is_writable(
			    off)) /* the rest is for when the device does not run, or for reading */
			mmio_write32(test.dev.base + off, UINT32_MAX);
		after = mmio_read32(test.dev.base + off);
		if (before != after || (!is_readable(off) && before != 0)) {
			check_fail("registers-none", "%x reads %x, and after a write %x", off,
				   before, after);
			return;
		}
	}
	check_goes_on("registers-none");
}

/* A queue that runs is not moved, and neither are the features or the status taken back. */
static void test_live(void)
{
	static const enum virtio_reg areas[] = {
		VIRTIO_QUEUE_DESC,       VIRTIO_QUEUE_DESC + 4, VIRTIO_QUEUE_DRIVER,
		VIRTIO_QUEUE_DRIVER + 4, VIRTIO_QUEUE_DEVICE,   VIRTIO_QUEUE_DEVICE + 4,
		VIRTIO_QUEUE_NUM,
	};

	virtio_write(&test.dev, VIRTIO_QUEUE_SEL, test.index);
	for (unsigned i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
		virtio_write(&test.dev, areas[i], (uint32_t)VIRTIO_TEST_NOWHERE);
	check_goes_on("registers-queue-moved");
	virtio_write(&test.dev, VIRTIO_QUEUE_READY, 1);
	check_goes_on("registers-queue-ready-twice");
	virtio_write(&test.dev, VIRTIO_QUEUE_READY, 0);
	check_goes_on("registers-queue-stopped");
	virtio_write(&test.dev, VIRTIO_DRIVER_FEATURES, 0);
	virtio_write(&test.dev, VIRTIO_STATUS, VIRTIO_S_ACKNOWLEDGE);
	check_goes_on("registers-taken-back");
}

/* Of a queue that there is not. */
static void test_no_queue(void)
{
	const struct virtio_areas areas = virtio_areas_of(&test.q);
	const unsigned beyond[] = {64, 65536, UINT32_MAX};
	bool ready = false;

	for (unsigned i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		ready |= virtio_queue_place(&test.dev, beyond[i], &areas) ||
			 virtio_read(&test.dev, VIRTIO_QUEUE_NUM_MAX) != 0;
		virtio_kick(&test.dev, beyond[i]);
	}
	check("registers-no-queue", !ready && goes_on(), "status %x",
	      virtio_read(&test.dev, VIRTIO_STATUS));
}

/* After the configuration's last byte there is nothing that can be changed, in any width. */
static void test_config_end(void)
{
	bool ones = true;

	for (unsigned off = 0xf8; off < 0x100; off++)
		for (unsigned width = 1; width <= 4 && off + width <= 0x100; width *= 2) {
			const uint64_t gpa = test.dev.base + VIRTIO_CONFIG + off;

			mmio_write(gpa, width, 0);
			ones &= mmio_read(gpa, width) == width_mask(width);
		}
	check("registers-config-end", ones && goes_on(), "bytes that are no ones");
}

void virtio_test_registers(void)
{
	if (!virtio_test_start(0)) {
		check_fail("registers", "the device does not start");
		return;
	}
	test_odd_reads();
	test_odd_writes();
	test_none();
	test_live();
	test_no_queue();
	test_config_end();
}
