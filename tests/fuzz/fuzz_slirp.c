/*
 * Fuzz target: a guest's frames into the user network, libslirp included. The network is a restricted one,
 * so that nothing leaves this process.
 *
 * Input: operations until it ends: one byte for which frame, two for its parameters, one for how many bytes of
 * it are changed, then three for each change, and one that says what is done about sums and time.
 * Invariants, besides not crashing: whatever comes back is a frame, and the queue of them is bounded.
 */
#include <assert.h>

#include "base/macros.h"
#include "fuzz.h"

#include "backend/net.h"
#include "backend/net/slirp_frame.h"
#include "net_frames.h"

enum { FIFO_FRAMES_MAX = 512, TIME_STEP_NS = 1000000 };

#define GUEST   UINT32_C(0x0a00020f)
#define GATEWAY UINT32_C(0x0a000202)

struct rig {
	struct clock_src clock;
	int64_t now_ns;
	struct event_loop loop;
	struct net_client client;
	struct net_backend *be;
};

static int64_t monotonic_ns(const struct clock_src *clk)
{
	return ((const struct rig *)(const void *)clk)->now_ns;
}

static void rx_ready(struct net_client *client, unsigned pair)
{
	(void)client; /* drained after each frame */
	(void)pair;
}

static void woken(void *arg)
{
	event_loop_stop(arg);
}

static void make_tcp(struct frame *f, unsigned a, unsigned b)
{
	frame_ip(f, 6, GUEST, GATEWAY, 20 + (a & 63));
	frame_put16(f->b + FRAME_L4, a);
	frame_put16(f->b + FRAME_L4 + 2, b);
	f->b[FRAME_L4 + 12] = 5 << 4;
	f->b[FRAME_L4 + 13] = (uint8_t)b;
}

static void make_dhcp(struct frame *f, unsigned a, unsigned b)
{
	uint8_t bootp[400] = {1, 1, 6, 0};
	const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1,          (uint8_t)a,
				   50,   4,    10,   0,    2,  (uint8_t)b, 255};

	memcpy(bootp + 28, frame_guest_mac, 6);
	memcpy(bootp + 236, options, sizeof(options));
	frame_udp(f, 0, 68, UINT32_MAX, 67, bootp, 240 + a + b / 8 < sizeof(bootp) ? 260 : 300);
}

static void make(struct frame *f, uint8_t kind, unsigned a, unsigned b)
{
	static const uint8_t tftp[] = "\0\1file\0octet\0blksize\0001000";

	switch (kind % 6) {
	case 0: frame_arp_request(f, GUEST + a, GATEWAY + b); break;
	case 1: frame_ping(f, GUEST, GATEWAY + (a & 1), a, b); break;
	case 2: make_tcp(f, a, b); break;
	case 3: make_dhcp(f, a, b); break;
	case 4: frame_udp(f, GUEST, a, GATEWAY, 69, tftp, sizeof(tftp)); break;
	default: frame_udp(f, GUEST + a, a, GATEWAY, b, "data", 4); break;
	}
}

static void change(struct frame *f, struct fuzz_input *in)
{
	for (unsigned n = fuzz_u8(in) % 16; n > 0; n--) {
		const uint64_t at = fuzz_uint(in, 2);

		f->b[at % f->len] = fuzz_u8(in);
	}
}

/* Makes the checksums right: code that checks them first would drop most frames. */
static void sum_up(struct frame *f)
{
	static const uint8_t sum_at[256] = {[1] = 2, [6] = 16, [17] = 6};
	uint8_t *ip = f->b + FRAME_IP;

	if (f->len < FRAME_L4 + 20 || frame_get16(f->b + 12) != 0x0800)
		return;
	frame_put16(ip + 10, 0);
	frame_put16(ip + 10, ~frame_sum(ip, 20, 0) & 0xffff);
	frame_ip_finish(f, sum_at[ip[9]] ? sum_at[ip[9]] : 2U);
}

static void send_frame(struct rig *rig, const struct frame *f)
{
	uint8_t header[NET_HDR_BYTES] = {0}, bytes[FRAME_MAX];
	const struct iovec iov[] = {{header, sizeof(header)}, {bytes, f->len}};

	memcpy(bytes, f->b, f->len);
	rig->be->ops->send(rig->be, 0, iov, ARRAY_SIZE(iov));
	rig->be->ops->sent(rig->be);
}

static void drain(struct rig *rig)
{
	uint8_t header[NET_HDR_BYTES], bytes[FRAME_MAX];
	const struct iovec iov[] = {{header, sizeof(header)}, {bytes, sizeof(bytes)}};
	unsigned frames = 0;
	ssize_t n;

	while ((n = rig->be->ops->receive(rig->be, 0, iov, ARRAY_SIZE(iov))) >= 0) {
		assert(n >= NET_HDR_BYTES + 14 && n <= NET_HDR_BYTES + SLIRP_FRAME_BYTES_MAX);
		frames++;
		assert(frames <= FIFO_FRAMES_MAX);
	}
}

static void run_one(struct rig *rig, struct fuzz_input *in)
{
	const uint8_t kind = fuzz_u8(in);
	const unsigned a = fuzz_u8(in), b = fuzz_u8(in);
	struct frame f = {0};
	uint8_t after;

	make(&f, kind, a, b);
	change(&f, in);
	after = fuzz_u8(in);
	if (after & 1)
		sum_up(&f);
	send_frame(rig, &f);
	rig->now_ns += (int64_t)(after >> 4) * TIME_STEP_NS << (after >> 1 & 7);
	if (after & 0x80) {
		event_loop_wake(&rig->loop);
		atomic_store(&rig->loop.stop, false);
		event_loop_run(&rig->loop);
	}
	if (after & 2)
		drain(rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct net_slirp_opts opts = {.restricted = true};
	struct fuzz_input in = {.data = data, .left = size};
	struct rig rig = {.clock.monotonic_ns = monotonic_ns, .client.rx_ready = rx_ready};
	const struct net_backend_env env = {
		.loop = &rig.loop, .clock = &rig.clock, .client = &rig.client};
	int r = event_loop_init(&rig.loop, woken, &rig.loop);

	assert(r == 0);
	r = net_slirp_open(&opts, &env, &rig.be, NULL);
	assert(r == 0);
	(void)r;
	while (in.left > 0)
		run_one(&rig, &in);
	drain(&rig);
	net_backend_destroy(rig.be);
	event_loop_fini(&rig.loop);
	return 0;
}
