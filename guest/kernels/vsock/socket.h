/*
 * socket.h - packets of a virtio socket device (virtio 1.2, 5.10), and one connection at a time with its credit.
 * Numbers are the specification's.
 */
#ifndef GUEST_VSOCK_SOCKET_H
#define GUEST_VSOCK_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SOCKET_REQUEST = 1,
	SOCKET_RESPONSE = 2,
	SOCKET_RST = 3,
	SOCKET_SHUTDOWN = 4,
	SOCKET_RW = 5,
	SOCKET_CREDIT_UPDATE = 6,
	SOCKET_CREDIT_REQUEST = 7,

	SOCKET_SHUTDOWN_RCV = 1,
	SOCKET_SHUTDOWN_SEND = 2,
};

/* One from the host. Data of our connection waits in its buffer: socket_take(). */
struct socket_packet {
	unsigned op;
	uint32_t host_port, guest_port, flags, buf_alloc, fwd_cnt;
};

enum { SOCKET_ROOM_MAX = 1 << 16 };

bool socket_find(void);

/* Resets the device and starts it; room: bytes that the host may send before we have taken them, SOCKET_ROOM_MAX at most. */
void socket_start(uint32_t room);

/* The connection that the next functions are for. It has sent and taken nothing yet. */
void socket_open(uint32_t host_port, uint32_t guest_port);

/* Sends a packet of it: at most 4 KiB of data, and no more than socket_room(). */
void socket_send(unsigned op, uint32_t flags, const void *data, uint32_t len);

/* How much the host has room for, up to a packet's data. */
uint32_t socket_room(void);

/* The next packet from the host, which may be for another connection; false when none came for a long time. */
bool socket_next(struct socket_packet *ret);
/* Believes what it says of the host's room. */
void socket_believe(const struct socket_packet *p);

/* Takes up to max bytes that came, maybe fewer; 0: there are none. The host learns of it when it may think that half of our room is used. */
uint32_t socket_take(uint8_t *buf, uint32_t max);

#endif
