/*
 * Fuzz target: the socket device, with a driver that sends any packet and breaks any ring, and programs of the host
 * that connect, write, read, half-close and leave as they like.
 *
 * Input: operations until it ends: a byte each for which, and what they take. Invariants, besides not crashing:
 * - a packet to the guest has the device's addresses, a known operation, and no more data than its buffer holds;
 * - a connection gets no more data than the guest said that it has room for;
 * - no more chains are with the device than a queue holds;
 * - a device that asked for a reset works after it, and takes a client.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzz_virtq.h"
#include "vsock_rig.h"

enum {
	CLIENTS = 4,
	PORTS = 4, /* of the host and the guest: few, so that they meet */
	FIRST_PORT = 1 << 30,
	ROOM_BYTES = 3000, /* of a connection in the guest, for its whole life: it takes nothing */
	EVENTS_MAX = 9999,
};

struct run {
	struct vsock_rig v;
	char path[64], listener_path[80];
	int client[CLIENTS]; /* -1: none */
	int listener;
	bool honest; /* the driver does not lie about its room */
};

static uint32_t choose_host_port(struct fuzz_input *in)
{
	const uint8_t choice = fuzz_u8(in);

	return choice & 0x80 ? FIRST_PORT + choice % 16U : choice % (uint32_t)PORTS;
}

static void op_packet(struct run *run, struct fuzz_input *in)
{
	const uint8_t kind = fuzz_u8(in);
	struct virtio_vsock_hdr hdr =
		vsock_rig_hdr(fuzz_u8(in) % 10U, choose_host_port(in), fuzz_u8(in) % PORTS);
	uint32_t len = (uint32_t)(fuzz_scaled(in, 9) % VSOCK_RIG_DATA_BYTES);

	hdr.len = htole32(len);
	hdr.flags = htole32(kind & 3);
	hdr.buf_alloc = htole32(ROOM_BYTES);
	if (!run->honest && kind & 4) {
		hdr.buf_alloc = htole32((uint32_t)fuzz_uint(in, 4));
		hdr.fwd_cnt = htole32((uint32_t)fuzz_uint(in, 4));
	}
	if (kind & 8)
		len = (uint32_t)fuzz_scaled(in, 9) % VSOCK_RIG_DATA_BYTES;
	if (kind >> 4 ==
	    1) /* any byte of it is another one, but for the room of an honest driver */
		((uint8_t *)&hdr)[fuzz_u8(in) % offsetof(struct virtio_vsock_hdr, buf_alloc)] =
			fuzz_u8(in);
	vsock_rig_put(&run->v, &hdr, len);
}

static void op_buffers(struct run *run, struct fuzz_input *in)
{
	const uint8_t choice = fuzz_u8(in);
	const unsigned room = fuzz_virtq_room(&run->v.drv[VSOCK_RIG_RX]), n = choice % 32U;

	vsock_rig_post(&run->v, n < room ? n : room,
		       choice & 0x80 ? 1U + (uint32_t)fuzz_scaled(in, 4) : VSOCK_RIG_RX_BYTES);
}

static void op_poke(struct run *run, struct fuzz_input *in)
{
	const uint64_t at = VIRTIO_RIG_QUEUE_GPA +
			    2 * (fuzz_uint(in, 2) % (VSOCK_RIG_QUEUES * VSOCK_RIG_QUEUE_BYTES / 2));
	const uint16_t val = (uint16_t)fuzz_uint(in, 2);

	guest_mem_write(&run->v.rig.mem, at, &val, sizeof(val));
	virtio_rig_kick(&run->v.rig, fuzz_u8(in) % VSOCK_RIG_QUEUES);
}

static void op_flood(struct run *run, struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % VSOCK_RIG_QUEUES;
	struct virtq_driver *drv = &run->v.drv[queue];
	const struct virtq_buf buf = {VSOCK_RIG_HDR_GPA, 1 + fuzz_u8(in), queue != VSOCK_RIG_TX};

	fuzz_virtq_flood(drv, virtq_driver_chain(drv, &buf, 1));
	virtio_rig_kick(&run->v.rig, queue);
}

static void op_back(struct run *run, struct fuzz_input *in)
{
	const unsigned queue = fuzz_u8(in) % VSOCK_RIG_QUEUES;

	fuzz_virtq_back(&run->v.drv[queue], in);
	virtio_rig_kick(&run->v.rig, queue);
}

static void op_start(struct run *run, struct fuzz_input *in)
{
	const uint64_t features = fuzz_u8(in) & 1 ? UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX : 0;

	assert(vsock_rig_start(&run->v, features));
	assert(!run->v.rig.vd->broken);
}

static void leave(struct run *run, unsigned i)
{
	if (run->client[i] >= 0)
		close(run->client[i]);
	run->client[i] = -1;
}

static void op_dial(struct run *run, struct fuzz_input *in)
{
	const unsigned i = fuzz_u8(in) % CLIENTS;
	char line[32];
	int n;

	leave(run, i);
	run->client[i] = vsock_rig_dial(run->path);
	n = snprintf(line, sizeof(line), "CONNECT %d\n", fuzz_u8(in) % PORTS);
	if (run->client[i] >= 0)
		assert(write(run->client[i], line, (size_t)n) == n);
}

static void op_accept(struct run *run, struct fuzz_input *in)
{
	const unsigned i = fuzz_u8(in) % CLIENTS;
	const int fd = accept4(run->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	leave(run, i);
	run->client[i] = fd;
}

static void op_client(struct run *run, struct fuzz_input *in)
{
	static uint8_t bytes[1 << 16];
	const uint8_t choice = fuzz_u8(in);
	const unsigned i = choice % CLIENTS;
	const int fd = run->client[i];
	size_t n;

	if (fd < 0)
		return;
	switch (choice / CLIENTS % 6) {
	case 0: leave(run, i); break;
	case 1: shutdown(fd, SHUT_WR); break;
	case 2: shutdown(fd, SHUT_RD); break;
	case 3: (void)!read(fd, bytes, sizeof(bytes)); break;
	case 4:
		n = in->left < 8 ? in->left : 8;
		(void)!send(fd, in->data, n, MSG_NOSIGNAL);
		break;
	default: (void)!send(fd, bytes, fuzz_scaled(in, 8), MSG_NOSIGNAL); break;
	}
}

static void op_pump(struct run *run, struct fuzz_input *in)
{
	(void)in;
	assert(vsock_rig_pump(&run->v) < EVENTS_MAX);
}

static void op_take(struct run *run, struct fuzz_input *in)
{
	struct virtq_driver *rx = &run->v.drv[VSOCK_RIG_RX];
	struct virtio_vsock_hdr hdr;
	uint32_t id, len;

	(void)in;
	for (unsigned i = 0; i < VSOCK_RIG_SIZE && virtq_driver_used(rx, &id, &len); i++) {
		/* A descriptor that the driver has changed meanwhile says nothing. */
		if (id >= VSOCK_RIG_SIZE || rx->desc[id].len < len || len < sizeof(hdr) ||
		    !guest_mem_ptr(&run->v.rig.mem, rx->desc[id].addr, len) || !run->honest)
			continue;
		memcpy(&hdr, guest_mem_ptr(&run->v.rig.mem, rx->desc[id].addr, len), sizeof(hdr));
		assert(le64toh(hdr.src_cid) == 2 && le64toh(hdr.dst_cid) == VSOCK_RIG_CID);
		assert(le16toh(hdr.op) >= 1 && le16toh(hdr.op) <= 7);
		assert(le32toh(hdr.len) == len - sizeof(hdr) && le32toh(hdr.len) <= ROOM_BYTES);
	}
}

typedef void op_fn(struct run *run, struct fuzz_input *in);

/* Of an honest driver only those before the first NULL: its buffers are then as it made them. */
static op_fn *const ops[] = {op_packet, op_packet, op_packet, op_buffers, op_dial,
			     op_accept, op_client, op_client, op_pump,    op_take,
			     op_start,  op_poke,   op_flood,  op_back};
enum { HONEST_OPS = 11 };

/* Whatever went before: a driver that starts anew is asked for a client. */
static void must_work(struct run *run, struct fuzz_input *in)
{
	struct vsock_packet p;
	bool taken;
	int fd;

	op_start(run, in);
	op_pump(run, in);
	fd = vsock_rig_dial(run->path);
	assert(fd >= 0 && write(fd, "CONNECT 9\n", 10) == 10);
	op_pump(run, in);
	/* Other clients may come first, but not many. */
	do {
		vsock_rig_post(&run->v, 1, VSOCK_RIG_RX_BYTES);
		taken = vsock_rig_next(&run->v, &p);
		assert(taken);
		assert(le16toh(p.hdr.op) == VIRTIO_VSOCK_OP_REQUEST);
	} while (le32toh(p.hdr.dst_port) != 9);
	close(fd);
}

static void run_all(struct run *run, struct fuzz_input *in)
{
	op_start(run, in);
	while (in->left > 0) {
		const unsigned nr = run->honest ? HONEST_OPS : sizeof(ops) / sizeof(ops[0]);

		ops[fuzz_u8(in) % nr](run, in);
		fuzz_virtq_check(run->v.rig.vd);
	}
	must_work(run, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	static struct run run;

	run.honest = fuzz_u8(&in) & 1;
	snprintf(run.path, sizeof(run.path), "/tmp/tollgate-fuzz-vsock.%d", (int)getpid());
	snprintf(run.listener_path, sizeof(run.listener_path), "%s_1", run.path);
	unlink(run.listener_path);
	run.listener = vsock_rig_listen(run.listener_path);
	for (unsigned i = 0; i < CLIENTS; i++)
		run.client[i] = -1;
	if (run.listener >= 0 && vsock_rig_init(&run.v, run.path) == 0)
		run_all(&run, &in);
	virtio_rig_fini(&run.v.rig);
	for (unsigned i = 0; i < CLIENTS; i++)
		leave(&run, i);
	if (run.listener >= 0)
		close(run.listener);
	unlink(run.listener_path);
	return 0;
}
