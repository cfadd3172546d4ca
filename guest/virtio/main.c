/*
 * virtio - drives a virtio entropy device: registers, negotiation, requests with and without
 * interrupts, reset, and each way to break a ring, after which the device must ask for a reset and
 * work again.
 *
 * Words: requests=N (64) for the counted tests, which then say how long one took. doorbells=N: rings so
 * often, with nothing to do, and says the same; so do acks=N, of interrupt acknowledgements, and
 * status=N, of looks at the interrupt's status.
 */
#include <string.h>

#include "access.h"
#include "boot.h"
#include "check.h"
#include "cmdline.h"
#include "cpu.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "print.h"
#include "virtio.h"
#include "virtio_test.h"

enum {
	WAIT_MS = 3000,
	BYTES = 32,
	REQUESTS = 64,
	REQUESTS_MAX = 1000000,
	MAGIC = 0x74726976,
};

struct virtio_test test;

static uint8_t data[2][BYTES];

static bool used_came(void)
{
	return __atomic_load_n(&test.q.used.idx, __ATOMIC_SEQ_CST) != test.q.used_seen;
}

/* An interrupt for it, too. */
static bool interrupt_came(void)
{
	return used_came() && virtio_interrupts()->used >= test.interrupts_wanted;
}

bool virtio_test_start(uint64_t features)
{
	if (!virtio_negotiate(&test.dev, VIRTIO_F_VERSION_1 | features) ||
	    !virtio_queue_start(&test.dev, 0, &test.q))
		return false;
	virtio_start(&test.dev);
	return true;
}

/* One request; false when the answer is none, or the interrupt does not come. */
static bool request(uint8_t *buf)
{
	uint32_t len = 0;

	test.q.desc[0] = (struct virtio_desc){
		.addr = (uintptr_t)buf, .len = BYTES, .flags = VIRTIO_DESC_WRITE};
	test.q.avail.used_event = test.q.used_seen; /* looked at with EVENT_IDX only */
	test.interrupts_wanted = virtio_interrupts()->used + 1;
	virtio_offer(&test.q, 0);
	virtio_kick(&test.dev, 0);
	return lapic_wait(interrupt_came, WAIT_MS) && virtio_used(&test.q, &len) && len == BYTES;
}

bool virtio_test_request(void)
{
	return request(data[0]);
}

static void test_registers(void)
{
	const struct virtio_device *dev = &test.dev;

	check("virtio-identity",
	      virtio_read(dev, VIRTIO_MAGIC) == MAGIC && virtio_read(dev, VIRTIO_VERSION) == 2,
	      "magic %x, version %u", virtio_read(dev, VIRTIO_MAGIC),
	      virtio_read(dev, VIRTIO_VERSION));
	check("virtio-shared-memory", virtio_read(dev, VIRTIO_SHM_LEN_LOW) == UINT32_MAX,
	      "a region of %u bytes", virtio_read(dev, VIRTIO_SHM_LEN_LOW));
	/* What is no register, and what lies behind the configuration, of which there is none. */
	check("virtio-config", mmio_read32(dev->base + VIRTIO_CONFIG) == UINT32_MAX,
	      "configuration reads %x", mmio_read32(dev->base + VIRTIO_CONFIG));
	virtio_write(dev, VIRTIO_QUEUE_SEL, 1);
	check("virtio-one-queue", virtio_read(dev, VIRTIO_QUEUE_NUM_MAX) == 0, "a second queue");
}

static void test_negotiation(void)
{
	const uint64_t offered = virtio_features(&test.dev);
	uint64_t unknown = 1;

	check("virtio-features",
	      (offered & (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX)) ==
		      (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX),
	      "%lx offered", offered);
	check("virtio-legacy-refused", !virtio_negotiate(&test.dev, 0), "without VERSION_1");
	while (offered & unknown)
		unknown <<= 1;
	check("virtio-unknown-refused", !virtio_negotiate(&test.dev, VIRTIO_F_VERSION_1 | unknown),
	      "feature bit %lx, which was not offered", unknown);
}

/*
 * An interrupt for each at least: where KVM itself is emulated, one edge has been seen to be delivered
 * twice. How many the device sent is in the VMM's statistics.
 */
static void test_requests(const char *name, uint64_t features)
{
	unsigned done = 0;
	uint64_t begin;
	size_t len;

	memset(data, 0, sizeof(data));
	if (!virtio_test_start(features)) {
		check_fail(name, "the device does not start");
		return;
	}
	begin = rdtsc();
	while (done < test.requests && request(data[done % 2]))
		done++;
	if (done > 0 && cmdline_value("requests", &len))
		print("virtio: %u requests, %lu cycles each\n", done, (rdtsc() - begin) / done);
	check(name,
	      done == test.requests && virtio_interrupts()->used >= done &&
		      virtio_interrupts()->config == 0 && memcmp(data[0], data[1], BYTES) != 0,
	      "%u of %u requests, %u interrupts, %u for configuration", done, test.requests,
	      virtio_interrupts()->used, virtio_interrupts()->config);
}

/* With interrupts off in the ring; the flag, or an event far ahead. */
static void test_suppressed(const char *name, uint64_t features)
{
	unsigned done = 0;
	bool came = true;

	if (!virtio_test_start(features)) {
		check_fail(name, "the device does not start");
		return;
	}
	if (features & VIRTIO_F_EVENT_IDX)
		test.q.avail.used_event = 0x8000;
	else
		test.q.avail.flags = VIRTIO_AVAIL_NO_INTERRUPT;
	test.q.desc[0] = (struct virtio_desc){
		.addr = (uintptr_t)data, .len = BYTES, .flags = VIRTIO_DESC_WRITE};
	for (done = 0; came && done < VIRTIO_QUEUE_SIZE; done++) {
		uint32_t len;

		virtio_offer(&test.q, 0);
		virtio_kick(&test.dev, 0);
		/* No interrupt ends the sleep. */
		for (unsigned ms = 0; ms < WAIT_MS && !lapic_wait(used_came, 1); ms++)
			;
		came = virtio_used(&test.q, &len);
	}
	lapic_wait(interrupt_came, 1); /* lets in one that is pending */
	check(name, came && virtio_interrupts()->used == 0, "%u used, %u interrupts", done,
	      virtio_interrupts()->used);
}

static void test_reset(void)
{
	bool ok = virtio_test_start(0);

	for (unsigned i = 0; ok && i < 16; i++) {
		virtio_offer(&test.q, 0); /* descriptor 0 is empty or stale: so be it */
		virtio_kick(&test.dev, 0);
		ok = virtio_reset(&test.dev);
	}
	check("virtio-reset-under-load", ok && virtio_test_start(0) && request(data[0]),
	      "status %x", virtio_read(&test.dev, VIRTIO_STATUS));
}

/* What a step costs, in cycles of the time stamp counter. */
static void measure(const char *word, enum virtio_reg reg, bool is_write)
{
	const uint64_t n = cmdline_u64(word, 0, UINT32_MAX);
	uint64_t begin;

	if (n == 0)
		return;
	if (!virtio_test_start(0))
		guest_panic("virtio: the device does not start");
	begin = rdtsc();
	for (uint64_t i = 0; i < n; i++) {
		if (is_write)
			virtio_write(&test.dev, reg, reg == VIRTIO_INTERRUPT_ACK);
		else
			virtio_read(&test.dev, reg);
	}
	print("virtio: %lu %s, %lu cycles each\n", n, word, (rdtsc() - begin) / n);
}

void kernel_main(void)
{
	lapic_init();
	if (!devtree_init() || !virtio_find(VIRTIO_TYPE_RNG, &test.dev))
		guest_usage("virtio: no entropy device (tollgate run --rng)");
	test.requests = (unsigned)cmdline_u64("requests", REQUESTS, REQUESTS_MAX);
	test_registers();
	test_negotiation();
	test_requests("virtio-requests", 0);
	test_requests("virtio-event-idx", VIRTIO_F_EVENT_IDX);
	test_suppressed("virtio-suppressed", 0);
	test_suppressed("virtio-suppressed-event-idx", VIRTIO_F_EVENT_IDX);
	test_reset();
	virtio_test_hostile();
	measure("doorbells", VIRTIO_QUEUE_NOTIFY, true);
	measure("acks", VIRTIO_INTERRUPT_ACK, true);
	measure("status", VIRTIO_INTERRUPT_STATUS, false);
	check_finish();
}
