/*
 * net - drives a virtio network device: ARP and pings to a peer, buffers that must be merged, control
 * commands, headers that no driver would send, buffers that no frame fits, an index set back, resets under
 * load. After each a ping must be answered still.
 *
 * Words: ip=N (0x0a00020f) and peer=N (0x0a000202), IPv4 addresses; pings=N (16); mtu=N, what the device
 * must say; offloads: it must have checksum offload, and is then used that way, too.
 */
#include <string.h>

#include "access.h"
#include "boot.h"
#include "check.h"
#include "cmdline.h"
#include "devtree.h"
#include "frames.h"
#include "lapic.h"
#include "power.h"
#include "print.h"
#include "virtio.h"

enum {
	RX_BYTES = 512, /* so that longer frames need several buffers */
	HDR_BYTES = 12,
	LONG_PING_BYTES = 1400,
	RESETS = 10,

	QUEUE_RX = 0,
	QUEUE_TX = 1,
	QUEUE_CTRL = 2,

	CONFIG_STATUS = VIRTIO_CONFIG + 6,
	CONFIG_MTU = VIRTIO_CONFIG + 10,
	LINK_UP = 1,

	HDR_NEEDS_CSUM = 1,
	GSO_TCPV4 = 1,

	CTRL_MAC = 1,
	CTRL_MAC_ADDR_SET = 1,
	CTRL_OK = 0,
	CTRL_ERR = 1,
	CTRL_NONE = 0xff, /* no answer */
};

#define F_CSUM          (UINT64_C(1) << 0)
#define F_GUEST_CSUM    (UINT64_C(1) << 1)
#define F_MTU           (UINT64_C(1) << 3)
#define F_MAC           (UINT64_C(1) << 5)
#define F_GUEST_TSO4    (UINT64_C(1) << 7)
#define F_HOST_TSO4     (UINT64_C(1) << 11)
#define F_MRG_RXBUF     (UINT64_C(1) << 15)
#define F_STATUS        (UINT64_C(1) << 16)
#define F_CTRL_VQ       (UINT64_C(1) << 17)
#define F_CTRL_MAC_ADDR (UINT64_C(1) << 23)

/* Virtio 1.2, 5.1.6 */
struct net_hdr {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

static struct {
	struct virtio_device dev;
	struct virtio_queue rx, tx, ctrl;
	uint8_t buffer[VIRTIO_QUEUE_SIZE][RX_BYTES];
	struct {
		struct net_hdr hdr;
		uint8_t frame[FRAME_BYTES_MAX];
	} out;
	struct frame_ends ends;
	uint64_t offered;
	unsigned seq;
	unsigned merged; /* buffers that the last frame came in */
	size_t data_bytes;
	uint8_t frame[VIRTIO_QUEUE_SIZE * RX_BYTES]; /* the last one */
	size_t frame_bytes;
} net;

static void offer_buffer(unsigned i, uint32_t bytes)
{
	net.rx.desc[i] = (struct virtio_desc){
		.addr = (uintptr_t)net.buffer[i], .len = bytes, .flags = VIRTIO_DESC_WRITE};
	virtio_offer(&net.rx, (uint16_t)i);
}

static bool start(uint64_t features)
{
	if (!virtio_negotiate(&net.dev, VIRTIO_F_VERSION_1 | features) ||
	    !virtio_queue_start(&net.dev, QUEUE_RX, &net.rx) ||
	    !virtio_queue_start(&net.dev, QUEUE_TX, &net.tx) ||
	    !virtio_queue_start(&net.dev, QUEUE_CTRL, &net.ctrl))
		return false;
	net.tx.avail.flags = VIRTIO_AVAIL_NO_INTERRUPT;
	virtio_start(&net.dev);
	for (unsigned i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		offer_buffer(i, RX_BYTES);
	virtio_kick(&net.dev, QUEUE_RX);
	return true;
}

static uint64_t usual_features(void)
{
	return net.offered & (F_MAC | F_STATUS | F_MRG_RXBUF | F_CTRL_VQ | F_CTRL_MAC_ADDR | F_MTU |
			      F_CSUM | F_HOST_TSO4);
}

static bool any_used(const struct virtio_queue *q)
{
	return __atomic_load_n(&q->used.idx, __ATOMIC_SEQ_CST) != q->used_seen;
}

static bool tx_done(void)
{
	return any_used(&net.tx);
}

/* Sends the frame in net.out, after that header. Waits until the device has taken it. */
static bool send(const struct net_hdr *hdr, size_t frame_bytes)
{
	uint32_t len;

	net.out.hdr = *hdr;
	net.tx.desc[0] = (struct virtio_desc){.addr = (uintptr_t)&net.out,
					      .len = (uint32_t)(HDR_BYTES + frame_bytes)};
	net.tx.avail.flags = 0; /* the interrupt ends the wait */
	virtio_offer(&net.tx, 0);
	virtio_kick(&net.dev, QUEUE_TX);
	return lapic_wait(tx_done, LAPIC_HANG_MS) && virtio_used(&net.tx, &len);
}

/* Takes the next frame, if one is there, into net.frame; its buffers go back. */
static bool receive(void)
{
	unsigned left = 1;

	if (!any_used(&net.rx))
		return false;
	net.frame_bytes = net.merged = 0;
	for (; left > 0 && any_used(&net.rx); left--) {
		const unsigned i = net.rx.used.ring[net.rx.used_seen % VIRTIO_QUEUE_SIZE].id;
		const size_t skip = net.merged == 0 ? HDR_BYTES : 0;
		uint32_t len = 0;

		virtio_used(&net.rx, &len);
		if (i >= VIRTIO_QUEUE_SIZE || len < skip || len > RX_BYTES)
			guest_panic("net: buffer %u with %u bytes", i, len);
		if (net.merged == 0)
			left = ((const struct net_hdr *)(const void *)net.buffer[i])->num_buffers;
		memcpy(net.frame + net.frame_bytes, net.buffer[i] + skip, len - skip);
		net.frame_bytes += len - skip;
		net.merged++;
		offer_buffer(i, RX_BYTES);
	}
	virtio_kick(&net.dev, QUEUE_RX);
	return true;
}

static bool arp_answered(void)
{
	while (receive())
		if (frame_is_arp_reply(&net.ends, net.frame, net.frame_bytes, net.ends.peer_mac))
			return true;
	return false;
}

static bool pong_came(void)
{
	while (receive())
		if (frame_is_pong(&net.ends, net.frame, net.frame_bytes, net.seq, net.data_bytes))
			return true;
	return false;
}

static bool resolve(void)
{
	const struct net_hdr hdr = {0};

	return send(&hdr, frame_arp_request(&net.ends, net.out.frame)) &&
	       lapic_wait(arp_answered, LAPIC_HANG_MS);
}

static bool ping(size_t data_bytes)
{
	const struct net_hdr hdr = {0};

	net.seq++;
	net.data_bytes = data_bytes;
	return send(&hdr, frame_ping(&net.ends, net.seq, data_bytes, true, net.out.frame)) &&
	       lapic_wait(pong_came, LAPIC_HANG_MS);
}

/* The checksum is the host's to finish. */
static bool ping_unsummed(void)
{
	const struct net_hdr hdr = {
		.flags = HDR_NEEDS_CSUM, .csum_start = FRAME_ICMP, .csum_offset = 2};

	net.seq++;
	net.data_bytes = 32;
	return send(&hdr, frame_ping(&net.ends, net.seq, 32, false, net.out.frame)) &&
	       lapic_wait(pong_came, LAPIC_HANG_MS);
}

static void test_config(void)
{
	const uint64_t mtu = cmdline_u64("mtu", 0, UINT16_MAX);
	const uint64_t base = net.dev.base;

	for (unsigned i = 0; i < FRAME_MAC_BYTES; i++)
		net.ends.mac[i] = mmio_read8(base + VIRTIO_CONFIG + i);
	check("net-mac", net.offered & F_MAC && (net.ends.mac[0] & 3) == 2, "first byte %x",
	      net.ends.mac[0]);
	check("net-link",
	      net.offered & F_STATUS && mmio_read16(base + (uint64_t)CONFIG_STATUS) & LINK_UP,
	      "status %x", mmio_read16(base + (uint64_t)CONFIG_STATUS));
	check("net-mtu",
	      mtu == 0 ? !(net.offered & F_MTU) : mmio_read16(base + (uint64_t)CONFIG_MTU) == mtu,
	      "%u instead of %lu", mmio_read16(base + (uint64_t)CONFIG_MTU), mtu);
}

static void test_pings(void)
{
	const unsigned pings = (unsigned)cmdline_u64("pings", 16, 1000000);
	unsigned answered = 0;

	check("net-arp", resolve(), "no answer in %d ms", LAPIC_HANG_MS);
	while (answered < pings && ping(32))
		answered++;
	check("net-ping", answered == pings, "%u of %u answered", answered, pings);
	check("net-merged-buffers", ping(LONG_PING_BYTES) && net.merged == 3, "%u buffers",
	      net.merged);
	if (cmdline_has("offloads"))
		check("net-checksum-offload", net.offered & F_CSUM && ping_unsummed(),
		      "features %lx", net.offered);
}

static bool ctrl_done(void)
{
	return any_used(&net.ctrl);
}

/* The device's answer. */
static uint8_t command(uint8_t class, uint8_t cmd, const void *data, uint32_t bytes)
{
	static uint8_t out[64], ack;
	uint32_t len;

	out[0] = class;
	out[1] = cmd;
	memcpy(out + 2, data, bytes);
	ack = CTRL_NONE;
	net.ctrl.desc[0] = (struct virtio_desc){
		.addr = (uintptr_t)out, .len = 2 + bytes, .flags = VIRTIO_DESC_NEXT, .next = 1};
	net.ctrl.desc[1] =
		(struct virtio_desc){.addr = (uintptr_t)&ack, .len = 1, .flags = VIRTIO_DESC_WRITE};
	virtio_offer(&net.ctrl, 0);
	virtio_kick(&net.dev, QUEUE_CTRL);
	if (!lapic_wait(ctrl_done, LAPIC_HANG_MS) || !virtio_used(&net.ctrl, &len))
		return CTRL_NONE;
	return *(volatile uint8_t *)&ack;
}

static void test_control(void)
{
	static const uint8_t mac[] = {0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee},
			     group[] = {1, 0, 0, 0, 0, 0};
	uint8_t got[FRAME_MAC_BYTES], acks[3];

	acks[0] = command(CTRL_MAC, CTRL_MAC_ADDR_SET, mac, sizeof(mac));
	acks[1] = command(CTRL_MAC, CTRL_MAC_ADDR_SET, group, sizeof(group));
	acks[2] = command(0x55, 0x55, mac, 1);
	for (unsigned i = 0; i < FRAME_MAC_BYTES; i++)
		got[i] = mmio_read8(net.dev.base + VIRTIO_CONFIG + i);
	check("net-control",
	      acks[0] == CTRL_OK && acks[1] == CTRL_ERR && acks[2] == CTRL_ERR &&
		      memcmp(got, mac, sizeof(mac)) == 0,
	      "answers %x %x %x", acks[0], acks[1], acks[2]);
}

/* None of these is sent, and none does harm: the next ping is answered. */
static void test_hostile_headers(void)
{
	static const struct net_hdr hdrs[] = {
		{.flags = HDR_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff},
		{.flags = HDR_NEEDS_CSUM, .csum_start = 1513, .csum_offset = 0},
		{.flags = HDR_NEEDS_CSUM, .csum_start = 0, .csum_offset = 0},
		{.gso_type = GSO_TCPV4, .gso_size = 1},
		{.flags = HDR_NEEDS_CSUM,
		 .gso_type = GSO_TCPV4,
		 .gso_size = 1,
		 .csum_start = FRAME_ICMP,
		 .csum_offset = 16},
		{.flags = HDR_NEEDS_CSUM,
		 .gso_type = GSO_TCPV4,
		 .hdr_len = 0xffff,
		 .csum_start = FRAME_ICMP,
		 .csum_offset = 16},
		{.flags = 0xff, .gso_type = 0xff, .hdr_len = 0xffff, .gso_size = 0xffff},
	};
	unsigned alive = 0;

	for (unsigned i = 0; i < sizeof(hdrs) / sizeof(hdrs[0]); i++) {
		const size_t bytes = frame_ping(&net.ends, 0, LONG_PING_BYTES, true, net.out.frame);

		if (send(&hdrs[i], bytes) && ping(32))
			alive++;
	}
	check("net-hostile-headers", alive == sizeof(hdrs) / sizeof(hdrs[0]), "after %u of %lu",
	      alive, sizeof(hdrs) / sizeof(hdrs[0]));
}

static void test_runts(void)
{
	const struct net_hdr hdr = {0};
	unsigned sent = 0;

	for (size_t bytes = 0; bytes < 14; bytes++)
		sent += send(&hdr, bytes);
	check("net-runts", sent == 14 && ping(32), "%u of 14 taken", sent);
}

static bool wants_reset(void)
{
	return virtio_read(&net.dev, VIRTIO_STATUS) & VIRTIO_S_NEEDS_RESET;
}

static void test_buffer_too_small(void)
{
	bool asked;

	if (!virtio_negotiate(&net.dev, VIRTIO_F_VERSION_1 | usual_features()) ||
	    !virtio_queue_start(&net.dev, QUEUE_RX, &net.rx)) {
		check_fail("net-small-buffer", "the device does not start");
		return;
	}
	virtio_start(&net.dev);
	offer_buffer(0, HDR_BYTES - 1);
	virtio_kick(&net.dev, QUEUE_RX);
	asked = lapic_wait(wants_reset, LAPIC_HANG_MS);
	check("net-small-buffer", asked && start(usual_features()) && ping(32), "%s a reset",
	      asked ? "no ping after" : "it does not ask for");
}

static bool rx_done(void)
{
	return any_used(&net.rx);
}

/* The peer answers with a frame of several such buffers. */
static void offer_arp_request(void)
{
	net.out.hdr = (struct net_hdr){0};
	net.tx.desc[0] = (struct virtio_desc){
		.addr = (uintptr_t)&net.out,
		.len = (uint32_t)(HDR_BYTES + frame_arp_request(&net.ends, net.out.frame)),
	};
	virtio_offer(&net.tx, 0);
	virtio_kick(&net.dev, QUEUE_TX);
}

/*
 * All buffers are with the device, each as long as a header, and the driver sets its index back: as if it
 * offered 65,535 more. The device must not take them: the next frame would go to wherever they led it.
 */
static void test_index_back(void)
{
	const uint64_t features = usual_features() | (net.offered & (F_GUEST_CSUM | F_GUEST_TSO4));
	bool asked;

	if (!virtio_negotiate(&net.dev, VIRTIO_F_VERSION_1 | features) ||
	    !virtio_queue_start(&net.dev, QUEUE_RX, &net.rx) ||
	    !virtio_queue_start(&net.dev, QUEUE_TX, &net.tx)) {
		check_fail("net-index-back", "the device does not start");
		return;
	}
	virtio_start(&net.dev);
	for (unsigned i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		offer_buffer(i, HDR_BYTES);
	virtio_kick(&net.dev, QUEUE_RX);
	offer_arp_request();
	lapic_wait(rx_done, LAPIC_HANG_MS); /* then it has taken them */
	__atomic_store_n(&net.rx.avail.idx, VIRTIO_QUEUE_SIZE - 1, __ATOMIC_SEQ_CST);
	virtio_kick(&net.dev, QUEUE_RX);
	offer_arp_request();
	asked = lapic_wait(wants_reset, LAPIC_HANG_MS);
	check("net-index-back", asked && start(usual_features()) && ping(32), "%s a reset",
	      asked ? "no ping after" : "it does not ask for");
}

static void test_resets(void)
{
	unsigned done = 0;

	while (done < RESETS) {
		const struct net_hdr hdr = {0};

		/* Its answer is under way, or in a buffer by now. */
		if (!send(&hdr, frame_ping(&net.ends, 0, 32, true, net.out.frame)) ||
		    !start(usual_features()) || !ping(32))
			break;
		done++;
	}
	check("net-resets", done == RESETS, "%u of %d", done, RESETS);
}

void kernel_main(void)
{
	lapic_init();
	if (!devtree_init() || !virtio_find(VIRTIO_TYPE_NET, &net.dev))
		guest_usage("net: no network device (tollgate run --net user)");
	net.ends.ip = (uint32_t)cmdline_u64("ip", 0x0a00020f, UINT32_MAX);
	net.ends.peer_ip = (uint32_t)cmdline_u64("peer", 0x0a000202, UINT32_MAX);
	net.offered = virtio_features(&net.dev);
	test_config();
	if (check("net-start", start(usual_features()), "status %x",
		  virtio_read(&net.dev, VIRTIO_STATUS))) {
		test_pings();
		test_hostile_headers();
		test_runts();
		test_buffer_too_small();
		test_index_back();
		test_resets();
		test_control();
	}
	check_finish();
}
