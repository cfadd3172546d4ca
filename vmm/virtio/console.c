/*
 * The console device (virtio 1.2, 5.3): one port, which Linux calls hvc0.
 *
 * Offered: F_SIZE, where there is a terminal on the host, and IN_ORDER. Not offered: F_MULTIPORT (one
 * port is all there is) and F_EMERG_WRITE (Linux's driver does not use it; for what is said early there
 * is the serial port).
 *
 * Linux's driver waits for each buffer of output in a loop, with interrupts off, until the device has
 * used it. Output that the back end has no room for therefore waits for STUCK_NS at most: when nothing
 * was read on the host for so long, it is dropped, and counted, until something is.
 *
 * Threads: all on the device's I/O thread but char_ops, which the event thread calls, without a lock.
 * Input comes over in a ring of its own, everything else as a ring of the doorbell.
 */
#include <assert.h>
#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/iov.h"
#include "base/macros.h"
#include "virtio/classes.h"
#include "virtio/transport.h"

enum {
	QUEUE_RX,
	QUEUE_TX,
	QUEUES,

	QUEUE_SIZE = 64,
	PIECES_MAX = 2 * QUEUE_SIZE, /* one direct chain, each buffer across the memory hole */
	INPUT_BYTES = 1 << 14,       /* a power of two */
};
#define STUCK_NS (5 * NS_PER_S)

enum { COUNTER_DROPPED };
static const char *const counter_names[] = {[COUNTER_DROPPED] = "dropped_bytes", NULL};

struct console {
	struct virtio_device vd;  /* first */
	struct char_backend *chr; /* borrowed */
	struct doorbell *bell;    /* borrowed */

	/* Event thread to I/O thread. */
	uint8_t input[INPUT_BYTES];
	atomic_uint input_head, input_tail; /* free-running */
	atomic_bool listens;                /* between start and stop */
	atomic_bool resized, room_made;

	/* The chain that is being sent. */
	struct virtq_chain tx;
	struct iovec tx_iov[PIECES_MAX];
	unsigned tx_piece; /* of tx.out */
	size_t tx_off;     /* in that piece */
	bool tx_busy;

	struct event_timer stuck_timer;
	bool stuck;       /* nothing was read on the host for STUCK_NS */
	bool timer_armed; /* since output had to wait */
};

static struct console *console_of(struct virtio_device *vd)
{
	return container_of(vd, struct console, vd);
}

static unsigned console_input_used(const struct console *con)
{
	return atomic_load(&con->input_head) - atomic_load(&con->input_tail);
}

/* Input: the receiveq. */

/* Fills one chain; false when there is none, or the driver has no business with it (5.3.6.1). */
static bool rx_chain(struct console *con)
{
	struct virtio_device *vd = &con->vd;
	const unsigned tail = atomic_load(&con->input_tail), at = tail % INPUT_BYTES;
	struct iovec iov[PIECES_MAX];
	struct virtq_chain chain;
	size_t used = console_input_used(con), n, till_end = INPUT_BYTES - at;

	if (!virtio_pop(vd, QUEUE_RX, iov, PIECES_MAX, &chain))
		return false;
	if (chain.nr_out) {
		virtio_needs_reset(vd, "device-readable buffer in the receiveq");
		return false;
	}
	n = iov_write(chain.in, chain.nr_in, 0, con->input + at, used < till_end ? used : till_end);
	if (n == till_end)
		n += iov_write(chain.in, chain.nr_in, n, con->input, used - n);
	atomic_store(&con->input_tail, tail + (unsigned)n);
	virtq_push(&vd->queue[QUEUE_RX], chain.head, (uint32_t)n);
	return true;
}

static void rx_run(struct console *con)
{
	struct virtio_device *vd = &con->vd;
	struct virtq *vq = &vd->queue[QUEUE_RX];
	unsigned budget = QUEUE_SIZE;

	virtq_kicks_suppress(vq);
	/* Without input nothing is to be done for a kick; it is asked for when there is. */
	for (; budget > 0 && console_input_used(con); budget--)
		if (!rx_chain(con) && (vd->broken || !virtq_kicks_allow(vq)))
			break;
	virtio_publish(vd, QUEUE_RX);
	if (budget == 0)
		con->bell->ring(con->bell, QUEUE_RX);
	else
		con->chr->input_wanted(con->chr);
}

/* Output: the transmitq. */

static void arm_timer(struct console *con)
{
	con->timer_armed = true;
	event_timer_arm_in(&con->stuck_timer, STUCK_NS);
}

static void disarm_timer(struct console *con)
{
	con->timer_armed = false;
	event_timer_arm(&con->stuck_timer, INT64_MAX);
}

/* Sends what is left of the chain; false when the back end has no room for all of it. */
static bool tx_send(struct console *con)
{
	while (con->tx_piece < con->tx.nr_out) {
		const struct iovec *piece = &con->tx.out[con->tx_piece];
		const size_t left = piece->iov_len - con->tx_off;
		size_t n = con->chr->write(con->chr, (const uint8_t *)piece->iov_base + con->tx_off,
					   left);

		if (n < left && con->stuck) {
			virtio_count(&con->vd, COUNTER_DROPPED, left - n);
			n = left;
		}
		con->tx_off += n;
		if (n < left)
			return false;
		con->tx_piece++;
		con->tx_off = 0;
	}
	return true;
}

/* Takes the next chain; false when there is none, or the driver has no business with it (5.3.6.1). */
static bool tx_next(struct console *con)
{
	struct virtio_device *vd = &con->vd;

	if (!virtio_pop(vd, QUEUE_TX, con->tx_iov, PIECES_MAX, &con->tx))
		return false;
	if (con->tx.nr_in) {
		virtio_needs_reset(vd, "device-writable buffer in the transmitq");
		return false;
	}
	con->tx_piece = 0;
	con->tx_off = 0;
	con->tx_busy = true;
	return true;
}

/* Sends one chain or goes on with it; false when there is none, or no room. */
static bool tx_chain(struct console *con)
{
	if (!con->tx_busy && !tx_next(con))
		return false;
	if (!tx_send(con)) {
		if (!con->timer_armed)
			arm_timer(con);
		return false;
	}
	con->tx_busy = false;
	virtq_push(&con->vd.queue[QUEUE_TX], con->tx.head, 0);
	return true;
}

static void tx_run(struct console *con)
{
	struct virtio_device *vd = &con->vd;
	struct virtq *vq = &vd->queue[QUEUE_TX];
	unsigned budget = QUEUE_SIZE;

	virtq_kicks_suppress(vq);
	for (; budget > 0; budget--)
		if (!tx_chain(con) && (con->tx_busy || vd->broken || !virtq_kicks_allow(vq)))
			break;
	virtio_publish(vd, QUEUE_TX);
	if (budget == 0)
		con->bell->ring(con->bell, QUEUE_TX);
}

static void stuck_expired(void *arg)
{
	struct console *con = arg;

	con->timer_armed = false;
	con->stuck = true;
	tx_run(con);
}

/* The size of the terminal. */

static bool size_read(const struct console *con, struct virtio_console_config *ret)
{
	uint16_t cols, rows;

	if (!con->chr->size(con->chr, &cols, &rows))
		return false;
	ret->cols = htole16(cols);
	ret->rows = htole16(rows);
	return true;
}

static void size_update(struct console *con)
{
	const unsigned len = offsetof(struct virtio_console_config, max_nr_ports);
	struct virtio_console_config config = {0};

	atomic_store(&con->resized, false);
	if (con->vd.features & UINT64_C(1) << VIRTIO_CONSOLE_F_SIZE && size_read(con, &config) &&
	    memcmp(con->vd.config, &config, len) != 0)
		virtio_config_set(&con->vd, 0, &config, len);
}

/* The device. */

static void console_kick(struct virtio_device *vd, unsigned queue)
{
	struct console *con = console_of(vd);

	if (atomic_load(&con->resized))
		size_update(con);
	if (queue == QUEUE_RX) {
		rx_run(con);
		return;
	}
	if (atomic_load(&con->room_made)) {
		atomic_store(&con->room_made, false);
		con->stuck = false;
		if (con->timer_armed)
			disarm_timer(con);
	}
	tx_run(con);
}

static void console_start(struct virtio_device *vd)
{
	struct console *con = console_of(vd);

	size_update(con);
	atomic_store(&con->listens, virtq_live(&vd->queue[QUEUE_RX]));
	con->chr->input_wanted(con->chr);
}

/* Bytes of a chain that were sent stay sent; input that the driver did not take waits for the next one. */
static void console_stop(struct virtio_device *vd)
{
	struct console *con = console_of(vd);

	atomic_store(&con->listens, false);
	con->tx_busy = false;
	if (con->timer_armed)
		disarm_timer(con);
}

static int console_init(struct virtio_device *vd, const void *conf, struct diag *diag)
{
	struct console *con = console_of(vd);
	struct virtio_console_config config = {0};
	int r;

	(void)conf;
	con->chr = vd->env->chr;
	con->bell = vd->env->doorbell;
	vd->features = UINT64_C(1) << VIRTIO_F_IN_ORDER;
	if (size_read(con, &config))
		vd->features |= UINT64_C(1) << VIRTIO_CONSOLE_F_SIZE;
	vd->nr_queues = QUEUES;
	vd->queue_size[QUEUE_RX] = vd->queue_size[QUEUE_TX] = QUEUE_SIZE;
	vd->config_len = sizeof(config);
	memcpy(vd->config, &config, sizeof(config));
	r = event_timer_init(&con->stuck_timer, vd->loop, stuck_expired, con);
	return r < 0 ? diag_set(diag, r, "virtio-console-timer", "timer of %s", vd->name) : 0;
}

static void console_fini(struct virtio_device *vd)
{
	struct console *con = console_of(vd);

	event_timer_fini(&con->stuck_timer);
}

/* Functions that the event thread calls. */

static struct console *console_of_device(struct device *dev)
{
	return console_of(virtio_device_of(dev));
}

static bool console_listens(struct device *dev)
{
	return atomic_load(&console_of_device(dev)->listens);
}

static size_t console_rx_room(struct device *dev)
{
	return INPUT_BYTES - console_input_used(console_of_device(dev));
}

static void console_rx(struct device *dev, const uint8_t *buf, size_t n)
{
	struct console *con = console_of_device(dev);
	const unsigned head = atomic_load(&con->input_head);

	assert(n <= INPUT_BYTES - console_input_used(con));
	for (size_t i = 0; i < n; i++)
		con->input[(head + i) % INPUT_BYTES] = buf[i];
	atomic_store(&con->input_head, head + (unsigned)n);
	con->bell->ring(con->bell, QUEUE_RX);
}

static void console_tx_room(struct device *dev)
{
	struct console *con = console_of_device(dev);

	atomic_store(&con->room_made, true);
	con->bell->ring(con->bell, QUEUE_TX);
}

static void console_resized(struct device *dev)
{
	struct console *con = console_of_device(dev);

	atomic_store(&con->resized, true);
	con->bell->ring(con->bell, QUEUE_RX);
}

static const struct char_ops console_char_ops = {
	.listens = console_listens,
	.rx_room = console_rx_room,
	.rx = console_rx,
	.tx_room = console_tx_room,
	.resized = console_resized,
};

const struct virtio_class virtio_console_class = {
	.name = "console",
	.counter_names = counter_names,
	.device_id = VIRTIO_ID_CONSOLE,
	.state_size = sizeof(struct console),
	.init = console_init,
	.fini = console_fini,
	.start = console_start,
	.stop = console_stop,
	.kick = console_kick,
	.chr = &console_char_ops,
};
