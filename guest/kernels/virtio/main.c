/*
 * virtio - drives a virtio device, by one queue: what no driver may do to its registers, where queues may
 * lie, resets under load, and each way to break a ring, after which the device must ask for a reset and
 * work again. Of an entropy device also negotiation, and requests with and without interrupts.
 *
 * Words: device=rng|block|net|console|balloon|socket|fs. With features, which ones are offered, and with wrap, more
 * requests than an index counts; nothing else then. requests=N (64) for the counted tests, which then say
 * how long one took. doorbells=N: rings so often, with nothing to do, and says the same; so do acks=N, of
 * interrupt acknowledgements, and status=N, of looks at the interrupt's status.
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
	REQUESTS = 64,
	REQUESTS_MAX = 1000000,
	MAGIC = 0x74726976,
};

static void test_registers(void)
{
	const struct virtio_device *dev = &test.dev;

	check("virtio-identity",
	      virtio_read(dev, VIRTIO_MAGIC) == MAGIC && virtio_read(dev, VIRTIO_VERSION) == 2,
	      "magic %x, version %u", virtio_read(dev, VIRTIO_MAGIC),
	      virtio_read(dev, VIRTIO_VERSION));
	check("virtio-shared-memory", virtio_read(dev, VIRTIO_SHM_LEN_LOW) == UINT32_MAX,
	      "a region of %u bytes", virtio_read(dev, VIRTIO_SHM_LEN_LOW));
	/* Undefined registers, and offsets past the configuration, which is empty. */
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

	memset(test.random, 0, sizeof(test.random));
	if (!virtio_test_start(features)) {
		check_fail(name, "the device does not start");
		return;
	}
	begin = rdtsc();
	while (done < test.requests && virtio_test_request())
		done++;
	if (done > 0 && cmdline_value("requests", &len))
		print("virtio: %u requests, %lu cycles each\n", done, (rdtsc() - begin) / done);
	check(name,
	      done == test.requests && virtio_interrupts()->used >= done &&
		      virtio_interrupts()->config == 0 &&
		      memcmp(test.random[0], test.random[1], sizeof(test.random[0])) != 0,
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
	virtio_test_make(test.q.desc);
	for (done = 0; came && done < VIRTIO_QUEUE_SIZE; done++) {
		uint32_t len;

		virtio_offer(&test.q, 0);
		virtio_kick(&test.dev, test.index);
		/* No interrupt ends the sleep. */
		for (unsigned ms = 0; ms < LAPIC_HANG_MS && !lapic_wait(virtio_test_used, 1); ms++)
			;
		came = virtio_used(&test.q, &len);
	}
	lapic_wait(virtio_test_interrupt, 1); /* lets in one that is pending */
	check(name, came && virtio_interrupts()->used == 0, "%u used, %u interrupts", done,
	      virtio_interrupts()->used);
}

static bool never(void)
{
	return false;
}

/* Resets with requests under way: once the status reads 0, the device writes nothing to memory any more. */
static void test_reset(void)
{
	uint16_t idx = 0, later = 0;
	bool ok = true;

	for (unsigned i = 0; ok && idx == later && i < 16; i++) {
		ok = virtio_test_start(0);
		test.q.avail.flags = VIRTIO_AVAIL_NO_INTERRUPT; /* how many is chance */
		virtio_test_make(test.q.desc);
		for (unsigned k = 0; k < VIRTIO_QUEUE_SIZE; k++)
			virtio_offer(&test.q, 0);
		virtio_kick(&test.dev, test.index);
		ok = ok && virtio_reset(&test.dev);
		idx = __atomic_load_n(&test.q.used.idx, __ATOMIC_SEQ_CST);
		lapic_wait(never, 1);
		later = __atomic_load_n(&test.q.used.idx, __ATOMIC_SEQ_CST);
	}
	check("virtio-reset-under-load",
	      ok && idx == later && virtio_test_start(0) && virtio_test_request(),
	      "status %x, used index %u, and later %u", virtio_read(&test.dev, VIRTIO_STATUS), idx,
	      later);
}

static bool all_used(void)
{
	return __atomic_load_n(&test.q.used.idx, __ATOMIC_SEQ_CST) == test.q.avail.idx;
}

/* Two rounds through the descriptor table, which come back as they went (2.7.9); of one descriptor each. */
static void test_in_order(void)
{
	unsigned ordered = 0;

	if (!(virtio_features(&test.dev) & VIRTIO_F_IN_ORDER))
		return;
	if (!virtio_test_start(VIRTIO_F_IN_ORDER)) {
		check_fail("virtio-in-order", "the device does not start");
		return;
	}
	test.q.avail.flags = VIRTIO_AVAIL_NO_INTERRUPT; /* how many is chance */
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < VIRTIO_QUEUE_SIZE; i++) {
			virtio_test_make(&test.q.desc[i]);
			virtio_offer(&test.q, (uint16_t)i);
		}
		virtio_kick(&test.dev, test.index);
		for (unsigned ms = 0; ms < LAPIC_HANG_MS && !lapic_wait(all_used, 1); ms++)
			;
		for (unsigned i = 0; all_used() && i < VIRTIO_QUEUE_SIZE; i++)
			ordered += test.q.used.ring[i].id == i;
	}
	check("virtio-in-order", ordered == 2 * VIRTIO_QUEUE_SIZE, "%u of %u, used index %u",
	      ordered, 2 * VIRTIO_QUEUE_SIZE, test.q.used.idx);
}

/* Prints the cost of a step, in cycles of the time stamp counter. */
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

/* Tests that rely on the registers and the answers of an entropy device. */
static void test_entropy(void)
{
	test_registers();
	test_negotiation();
	test_requests("virtio-requests", 0);
	test_requests("virtio-event-idx", VIRTIO_F_EVENT_IDX);
	test_suppressed("virtio-suppressed", 0);
	test_suppressed("virtio-suppressed-event-idx", VIRTIO_F_EVENT_IDX);
}

void kernel_main(void)
{
	bool is_rng;

	lapic_init();
	test.requests = (unsigned)cmdline_u64("requests", REQUESTS, REQUESTS_MAX);
	is_rng = virtio_test_find();
	if (cmdline_has("features")) {
		print("virtio: offers %lx\n", virtio_features(&test.dev));
		guest_exit(GUEST_EXIT_OK);
	}
	if (cmdline_has("wrap")) {
		virtio_test_wrap();
		check_finish();
	}
	if (is_rng)
		test_entropy();
	test_in_order();
	test_reset();
	virtio_test_registers();
	virtio_test_places();
	virtio_test_hostile();
	measure("doorbells", VIRTIO_QUEUE_NOTIFY, true);
	measure("acks", VIRTIO_INTERRUPT_ACK, true);
	measure("status", VIRTIO_INTERRUPT_STATUS, false);
	check_finish();
}
