/*
 * hvc - drives a virtio console: what comes in goes out again, buffer by buffer.
 *
 *   until=N    echoes what comes in until this byte did (default 4, Ctrl-D; it is echoed too), then prints
 *              how many bytes that were on the serial port
 *   flood=N    instead sends N bytes: byte i is '\n' for i % 64 == 63, else '!' + i % 94
 *   size=N     instead prints the size of the terminal, and again N times when it has changed
 *
 * "hvc: ready" is printed on the serial port once the device works.
 */
#include "boot.h"
#include "cmdline.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "print.h"
#include "virtio.h"

enum {
	RX,
	TX,
	QUEUES,

	BUF_BYTES = 4096,
	LINE_BYTES = 64,
	SYMBOLS = 94, /* '!' to '~' */
	CTRL_D = 4,
};
#define F_SIZE UINT64_C(1)

static struct virtio_device dev;
static struct virtio_queue queue[QUEUES];
static uint8_t buf[VIRTIO_QUEUE_SIZE][BUF_BYTES];
static unsigned size_changes;

static bool used_came(unsigned index)
{
	return __atomic_load_n(&queue[index].used.idx, __ATOMIC_SEQ_CST) != queue[index].used_seen;
}

static bool rx_came(void)
{
	return used_came(RX);
}

static bool tx_came(void)
{
	return used_came(TX);
}

static bool size_came(void)
{
	return virtio_interrupts()->config > size_changes;
}

/* Waits without a limit: for a person, or a slow reader. */
static void wait_for(bool (*come)(void))
{
	while (!lapic_wait(come, LAPIC_HANG_MS))
		;
}

static void listen(unsigned i)
{
	queue[RX].desc[i] = (struct virtio_desc){
		.addr = (uintptr_t)buf[i], .len = BUF_BYTES, .flags = VIRTIO_DESC_WRITE};
	virtio_offer(&queue[RX], (uint16_t)i);
}

/* Returns when the device has used it. */
static void send(const uint8_t *bytes, uint32_t len)
{
	uint32_t written;

	queue[TX].desc[0] = (struct virtio_desc){.addr = (uintptr_t)bytes, .len = len};
	virtio_offer(&queue[TX], 0);
	virtio_kick(&dev, TX);
	wait_for(tx_came);
	if (!virtio_used(&queue[TX], &written) || written != 0)
		guest_panic("hvc: the device wrote to a buffer that it was to read");
}

/* The device uses buffers in the order in which they were offered. */
static void echo(uint8_t until)
{
	uint64_t total = 0;
	bool ended = false;

	for (unsigned i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		listen(i);
	virtio_kick(&dev, RX);
	for (unsigned i = 0; !ended; i = (i + 1) % VIRTIO_QUEUE_SIZE) {
		uint32_t len;

		wait_for(rx_came);
		if (!virtio_used(&queue[RX], &len) || len == 0 || len > BUF_BYTES)
			guest_panic("hvc: a receive buffer came back with nothing in it");
		for (uint32_t k = 0; k < len && !ended; k++) {
			ended = buf[i][k] == until;
			total++;
		}
		send(buf[i], len);
		listen(i);
		virtio_kick(&dev, RX);
	}
	print("hvc: %lu bytes\n", total);
}

static void flood(uint64_t total)
{
	unsigned column = 0, symbol = 0;

	while (total > 0) {
		uint32_t n = 0;

		for (; n < BUF_BYTES && n < total; n++) {
			buf[0][n] = column == LINE_BYTES - 1 ? '\n' : (uint8_t)('!' + symbol);
			column = (column + 1) % LINE_BYTES;
			symbol = (symbol + 1) % SYMBOLS;
		}
		send(buf[0], n);
		total -= n;
	}
}

static void tell_size(void)
{
	const uint32_t size = virtio_read(&dev, VIRTIO_CONFIG);

	print("hvc: %u columns, %u rows\n", size & 0xffff, size >> 16);
}

static void watch_size(unsigned changes)
{
	tell_size();
	for (; size_changes < changes; size_changes++) {
		wait_for(size_came);
		tell_size();
	}
}

void kernel_main(void)
{
	uint64_t bytes, changes;

	lapic_init();
	if (!devtree_init() || !virtio_find(VIRTIO_TYPE_CONSOLE, &dev))
		guest_usage("hvc: no virtio console (tollgate run --console both)");
	bytes = cmdline_u64("flood", 0, UINT32_MAX);
	changes = cmdline_u64("size", 0, UINT8_MAX);
	if (!virtio_negotiate(&dev, VIRTIO_F_VERSION_1 | (virtio_features(&dev) & F_SIZE)) ||
	    !virtio_queue_start(&dev, RX, &queue[RX]) || !virtio_queue_start(&dev, TX, &queue[TX]))
		guest_panic("hvc: the device does not start");
	virtio_start(&dev);
	print("hvc: ready\n");
	if (bytes)
		flood(bytes);
	else if (changes)
		watch_size((unsigned)changes);
	else
		echo((uint8_t)cmdline_u64("until", CTRL_D, UINT8_MAX));
}
