#include "socket.h"

#include <string.h>

#include "lapic.h"
#include "power.h"
#include "virtio.h"

enum {
	RX,
	TX,
	EVENT,
	QUEUES,

	DATA_BYTES = 4096,
	HOST_CID = 2,
	TYPE_STREAM = 1,
	RING_NO_NOTIFY = 1,
	LOOKS_MAX = 1 << 30,
};

struct __attribute__((packed)) packet_hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
};

struct buffer {
	struct packet_hdr hdr;
	uint8_t data[DATA_BYTES];
};

static struct virtio_device dev;
static struct virtio_queue queue[QUEUES];
static struct buffer rx[VIRTIO_QUEUE_SIZE], tx[VIRTIO_QUEUE_SIZE];
static uint64_t cid;
static unsigned tx_next; /* the next slot; those before it may be under way */

/* The connection; counters wrap, as the device's do. */
static struct {
	uint32_t host_port, guest_port;
	uint32_t room, taken, taken_said, received; /* ours */
	uint32_t sent, host_room, host_taken;       /* the host's */
	uint8_t buf[SOCKET_ROOM_MAX];               /* a ring: bytes from taken to received */
} conn;

bool socket_find(void)
{
	return virtio_find(VIRTIO_TYPE_SOCKET, &dev);
}

static void listen_in(unsigned slot)
{
	queue[RX].desc[slot] = (struct virtio_desc){
		.addr = (uintptr_t)&rx[slot], .len = sizeof(rx[slot]), .flags = VIRTIO_DESC_WRITE};
	virtio_offer(&queue[RX], (uint16_t)slot);
}

static void kick_if_wanted(unsigned index)
{
	if (!(__atomic_load_n(&queue[index].used.flags, __ATOMIC_SEQ_CST) & RING_NO_NOTIFY))
		virtio_kick(&dev, index);
}

void socket_start(uint32_t room)
{
	if (!virtio_negotiate(&dev, VIRTIO_F_VERSION_1))
		guest_panic("vsock: the device refuses");
	for (unsigned i = 0; i < QUEUES; i++)
		if (!virtio_queue_start(&dev, i, &queue[i]))
			guest_panic("vsock: queue %u does not start", i);
	queue[TX].avail.flags = VIRTIO_AVAIL_NO_INTERRUPT;
	cid = virtio_read(&dev, VIRTIO_CONFIG);
	tx_next = 0;
	conn.room = room;
	for (unsigned i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		listen_in(i);
	virtio_start(&dev);
	virtio_kick(&dev, RX);
}

void socket_open(uint32_t host_port, uint32_t guest_port)
{
	conn.host_port = host_port;
	conn.guest_port = guest_port;
	conn.taken = conn.taken_said = conn.received = 0;
	conn.sent = conn.host_room = conn.host_taken = 0;
}

uint32_t socket_room(void)
{
	const uint32_t room = conn.host_room - (conn.sent - conn.host_taken);

	return room < DATA_BYTES ? room : DATA_BYTES;
}

/* A slot is free once the device has used as many as were sent before it. */
static void wait_for_slot(void)
{
	uint32_t len;

	if (tx_next < VIRTIO_QUEUE_SIZE)
		return;
	for (unsigned i = 0; !virtio_used(&queue[TX], &len); i++)
		if (i == LOOKS_MAX)
			guest_panic("vsock: a packet is never taken");
}

void socket_send(unsigned op, uint32_t flags, const void *data, uint32_t len)
{
	const unsigned slot = tx_next % VIRTIO_QUEUE_SIZE;

	wait_for_slot();
	tx_next++;
	tx[slot].hdr = (struct packet_hdr){
		.src_cid = cid,
		.dst_cid = HOST_CID,
		.src_port = conn.guest_port,
		.dst_port = conn.host_port,
		.len = len,
		.type = TYPE_STREAM,
		.op = (uint16_t)op,
		.flags = flags,
		.buf_alloc = conn.room,
		.fwd_cnt = conn.taken,
	};
	if (len)
		memcpy(tx[slot].data, data, len);
	conn.sent += len;
	conn.taken_said = conn.taken;
	queue[TX].desc[slot] = (struct virtio_desc){
		.addr = (uintptr_t)&tx[slot], .len = (uint32_t)sizeof(struct packet_hdr) + len};
	virtio_offer(&queue[TX], (uint16_t)slot);
	kick_if_wanted(TX);
}

static bool rx_came(void)
{
	return __atomic_load_n(&queue[RX].used.idx, __ATOMIC_SEQ_CST) != queue[RX].used_seen;
}

void socket_believe(const struct socket_packet *p)
{
	conn.host_room = p->buf_alloc;
	conn.host_taken = p->fwd_cnt;
}

/* A packet of our connection. */
static void take_in(const struct packet_hdr *hdr, const uint8_t *data)
{
	const uint32_t at = conn.received % SOCKET_ROOM_MAX;
	uint32_t till_end;

	if (conn.received + hdr->len - conn.taken > conn.room)
		guest_panic("vsock: the host sends more than we have room for");
	till_end = SOCKET_ROOM_MAX - at;
	memcpy(conn.buf + at, data, hdr->len < till_end ? hdr->len : till_end);
	if (hdr->len > till_end)
		memcpy(conn.buf, data + till_end, hdr->len - till_end);
	conn.received += hdr->len;
	if (hdr->op == SOCKET_CREDIT_REQUEST)
		socket_send(SOCKET_CREDIT_UPDATE, 0, NULL, 0);
}

bool socket_next(struct socket_packet *ret)
{
	const struct packet_hdr *hdr;
	uint32_t len, id;

	if (!lapic_wait(rx_came, LAPIC_HANG_MS))
		return false;
	id = queue[RX].used.ring[queue[RX].used_seen % VIRTIO_QUEUE_SIZE].id % VIRTIO_QUEUE_SIZE;
	hdr = &rx[id].hdr;
	if (!virtio_used(&queue[RX], &len) || len != sizeof(*hdr) + hdr->len ||
	    hdr->src_cid != HOST_CID || hdr->dst_cid != cid || hdr->type != TYPE_STREAM)
		guest_panic("vsock: a packet of %u bytes is wrong", len);
	*ret = (struct socket_packet){
		.op = hdr->op,
		.host_port = hdr->src_port,
		.guest_port = hdr->dst_port,
		.flags = hdr->flags,
		.buf_alloc = hdr->buf_alloc,
		.fwd_cnt = hdr->fwd_cnt,
	};
	if (ret->host_port == conn.host_port && ret->guest_port == conn.guest_port) {
		socket_believe(ret);
		take_in(hdr, rx[id].data);
	}
	listen_in(id);
	kick_if_wanted(RX);
	return true;
}

uint32_t socket_take(uint8_t *buf, uint32_t max)
{
	const uint32_t at = conn.taken % SOCKET_ROOM_MAX, till_end = SOCKET_ROOM_MAX - at;
	uint32_t n = conn.received - conn.taken;

	if (n > max)
		n = max;
	if (n > till_end)
		n = till_end;
	memcpy(buf, conn.buf + at, n);
	conn.taken += n;
	if (conn.taken - conn.taken_said > conn.room / 2)
		socket_send(SOCKET_CREDIT_UPDATE, 0, NULL, 0);
	return n;
}
