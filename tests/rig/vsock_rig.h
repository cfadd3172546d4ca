/*
 * vsock_rig.h - a socket device with a driver that sends and takes packets, on real Unix sockets. For the unit test
 * and the fuzz target. The device's event loop runs when the test says so, until nothing is left to do.
 */
#ifndef TESTS_RIG_VSOCK_RIG_H
#define TESTS_RIG_VSOCK_RIG_H

#include <endian.h>
#include <linux/virtio_vsock.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unix_socket.h"
#include "virtio/classes.h"
#include "virtio_rig.h"

enum {
	VSOCK_RIG_RX,
	VSOCK_RIG_TX,
	VSOCK_RIG_EVENT,
	VSOCK_RIG_QUEUES,

	VSOCK_RIG_SIZE = 64,
	VSOCK_RIG_CID = 5,
	VSOCK_RIG_HDR = sizeof(struct virtio_vsock_hdr),
	VSOCK_RIG_QUEUE_BYTES = 0x2000,
	VSOCK_RIG_RX_GPA = 0x40000, /* a buffer for each descriptor */
	VSOCK_RIG_RX_BYTES = 4096,
	VSOCK_RIG_HDR_GPA = 0x80000, /* a header for each descriptor */
	VSOCK_RIG_DATA_GPA = 0x90000,
	VSOCK_RIG_DATA_BYTES = 0x40000,
};

struct vsock_rig {
	struct virtio_rig rig; /* first */
	struct virtq_driver drv[VSOCK_RIG_QUEUES];
	struct virtio_vsock_conf conf;
};

/* A packet as either side sees it. */
struct vsock_packet {
	struct virtio_vsock_hdr hdr;
	const uint8_t *data;
	size_t len;
};

/* path is borrowed. 0 or -errno, what the device's init said. */
static inline int vsock_rig_init(struct vsock_rig *v, const char *path)
{
	int r;

	v->conf = (struct virtio_vsock_conf){.path = path, .cid = VSOCK_RIG_CID};
	r = virtio_rig_prepare(&v->rig, &virtio_vsock_class, &v->conf);
	return r < 0 ? r : virtio_rig_create(&v->rig);
}

static inline bool vsock_rig_start(struct vsock_rig *v, uint64_t features)
{
	if (!virtio_rig_negotiate(&v->rig, features))
		return false;
	for (unsigned i = 0; i < VSOCK_RIG_QUEUES; i++) {
		virtq_driver_init(&v->drv[i], &v->rig.mem,
				  VIRTIO_RIG_QUEUE_GPA + (uint64_t)i * VSOCK_RIG_QUEUE_BYTES,
				  VSOCK_RIG_SIZE);
		v->drv[i].event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
		if (!virtio_rig_queue(&v->rig, i, &v->drv[i]))
			return false;
	}
	virtio_rig_driver_ok(&v->rig);
	return true;
}

/* Runs the device's loop until nothing is ready; how many events there were, of 10,000 at most. */
static inline unsigned vsock_rig_pump(struct vsock_rig *v)
{
	struct epoll_event ev;
	unsigned n = 0;

	while (n < 10000 && epoll_wait(v->rig.loop.epoll_fd, &ev, 1, 0) == 1) {
		struct event_source *src = ev.data.ptr;

		n++;
		if (src->added && src->events)
			src->ready(src, ev.events);
	}
	return n;
}

/* Gives the device n buffers of len bytes, and kicks. */
static inline void vsock_rig_post(struct vsock_rig *v, unsigned n, uint32_t len)
{
	struct virtq_driver *rx = &v->drv[VSOCK_RIG_RX];

	while (n-- > 0) {
		const uint32_t at = rx->next_free % VSOCK_RIG_SIZE;

		virtq_driver_add(
			rx,
			&(struct virtq_buf){VSOCK_RIG_RX_GPA + (uint64_t)at * VSOCK_RIG_RX_BYTES,
					    len, true},
			1);
	}
	virtio_rig_kick(&v->rig, VSOCK_RIG_RX);
}

/* The next packet that the device sent; false: none. Its data stays until the buffer is given back. */
static inline bool vsock_rig_next(struct vsock_rig *v, struct vsock_packet *ret)
{
	const uint8_t *buf;
	uint32_t id, len;

	if (!virtq_driver_used(&v->drv[VSOCK_RIG_RX], &id, &len))
		return false;
	buf = guest_mem_ptr(&v->rig.mem, v->drv[VSOCK_RIG_RX].desc[id].addr, len);
	assert(buf && len >= VSOCK_RIG_HDR);
	memcpy(&ret->hdr, buf, VSOCK_RIG_HDR);
	ret->data = buf + VSOCK_RIG_HDR;
	ret->len = len - VSOCK_RIG_HDR;
	assert(le32toh(ret->hdr.len) == ret->len);
	return true;
}

/* Between those ports; the driver's buffer of 256 KiB, of which it took nothing. */
static inline struct virtio_vsock_hdr vsock_rig_hdr(unsigned op, uint32_t host_port,
						    uint32_t guest_port)
{
	return (struct virtio_vsock_hdr){
		.src_cid = htole64(VSOCK_RIG_CID),
		.dst_cid = htole64(2),
		.src_port = htole32(guest_port),
		.dst_port = htole32(host_port),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16((uint16_t)op),
		.buf_alloc = htole32(1 << 18),
	};
}

/* Sends a header, and after it len bytes that lie at VSOCK_RIG_DATA_GPA. */
static inline void vsock_rig_put(struct vsock_rig *v, const struct virtio_vsock_hdr *hdr,
				 uint32_t len)
{
	struct virtq_driver *tx = &v->drv[VSOCK_RIG_TX];
	const uint64_t gpa = VSOCK_RIG_HDR_GPA + tx->next_free % VSOCK_RIG_SIZE * 64ULL;
	const struct virtq_buf buf[] = {{gpa, VSOCK_RIG_HDR, false},
					{VSOCK_RIG_DATA_GPA, len, false}};

	guest_mem_write(&v->rig.mem, gpa, hdr, sizeof(*hdr));
	virtq_driver_add(tx, buf, len ? 2 : 1);
	virtio_rig_kick(&v->rig, VSOCK_RIG_TX);
}

static inline void vsock_rig_send(struct vsock_rig *v, unsigned op, uint32_t host_port,
				  uint32_t guest_port, uint32_t len)
{
	struct virtio_vsock_hdr hdr = vsock_rig_hdr(op, host_port, guest_port);

	hdr.len = htole32(len);
	vsock_rig_put(v, &hdr, len);
}

/* A client of the host at path, non-blocking; -1: nobody listens. */
static inline int vsock_rig_dial(const char *path)
{
	struct sockaddr_un addr;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert(unix_address(path, &addr) == 0);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A listener of the host for a port of it: path is the device's path with "_PORT". */
static inline int vsock_rig_listen(const char *path)
{
	struct sockaddr_un addr;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert(unix_address(path, &addr) == 0);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 512) == 0)
		return fd;
	close(fd);
	return -1;
}

#endif
