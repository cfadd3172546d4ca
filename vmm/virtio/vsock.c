/*
 * The socket device (virtio 1.2, 5.10): connections between programs of the guest and of the host, without a network.
 *
 * The host's side is Unix sockets (vsock/host.c), the guest's packets in queues. Offered: stream sockets, which need
 * no feature bit, and IN_ORDER. Not offered: SEQPACKET, because a stream of the host has no records.
 *
 * The event queue is never used: TRANSPORT_RESET is for a guest that was moved or restored (5.10.6.7), and a
 * connection that this device gives up ends by a RST.
 *
 * Flow control. A packet of the guest is answered at once or changes a connection; refusals of packets without a
 * connection are queued, and while there is no room for another one the transmit queue waits (5.10.6.1 allows that).
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <sys/mman.h>

#include "base/iov.h"
#include "virtio/vsock/internal.h"

static const char *const counter_names[VSOCK_COUNTERS + 1] = {
	[VSOCK_COUNT_FROM_HOST] = "from_host",   [VSOCK_COUNT_FROM_GUEST] = "from_guest",
	[VSOCK_COUNT_REFUSED] = "refused",       [VSOCK_COUNT_LIMIT] = "over_limit",
	[VSOCK_COUNT_TO_HOST] = "to_host_bytes", [VSOCK_COUNT_TO_GUEST] = "to_guest_bytes",
	[VSOCK_COUNT_MALFORMED] = "malformed",   [VSOCK_COUNT_STRAY] = "stray",
	[VSOCK_COUNT_VIOLATIONS] = "violations",
};

/* The receive queue. */

static int fill_refusal(struct vsock *vs, struct virtio_vsock_hdr *hdr)
{
	const struct vsock_ports ports = vs->rst[vs->rst_first];

	vs->rst_first = (vs->rst_first + 1) % VSOCK_RSTS_MAX;
	vs->nr_rsts--;
	*hdr = (struct virtio_vsock_hdr){
		.src_port = htole32(ports.host),
		.dst_port = htole32(ports.guest),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};
	return 0;
}

static struct vsock_conn *take_ready(struct vsock *vs)
{
	struct vsock_conn *conn = vs->ready;

	vs->ready = conn->next;
	if (!vs->ready)
		vs->ready_end = &vs->ready;
	conn->queued = false;
	return conn;
}

/* The next packet, into a chain of pieces. Its data's length, or -EAGAIN when there is none after all. */
static int fill_packet(struct vsock *vs, struct virtio_vsock_hdr *hdr, const struct iovec *piece,
		       unsigned nr, size_t bytes)
{
	struct iovec data[VSOCK_PIECES_MAX];
	struct vsock_conn *conn;
	int r;

	if (vs->nr_rsts > 0)
		return fill_refusal(vs, hdr);
	conn = take_ready(vs);
	r = vsock_conn_fill(conn, hdr, data,
			    iov_slice(piece, nr, sizeof(*hdr), bytes - sizeof(*hdr), data));
	/* The others come first. */
	if (conn->state != VSOCK_FREE)
		vsock_conn_say(conn, 0);
	return r;
}

static bool rx_wanted(const struct vsock *vs)
{
	return vs->nr_rsts > 0 || vs->ready;
}

/* Uses a chain for one packet, if there is one after all; false when there is no chain. */
static bool rx_packet(struct vsock *vs)
{
	struct virtio_device *vd = &vs->vd;
	struct iovec piece[VSOCK_PIECES_MAX];
	struct virtio_vsock_hdr hdr;
	struct virtq_chain chain;
	int len;

	if (!virtio_pop(vd, VSOCK_RX, piece, VSOCK_PIECES_MAX, &chain))
		return false;
	if (chain.nr_out || chain.in_bytes <= sizeof(hdr)) {
		virtio_needs_reset(vd, "receive buffer without room for data");
		return false;
	}
	len = fill_packet(vs, &hdr, chain.in, chain.nr_in, chain.in_bytes);
	if (len < 0) {
		virtq_unpop(&vd->queue[VSOCK_RX], 1);
		return true;
	}
	hdr.src_cid = htole64(VSOCK_HOST_CID);
	hdr.dst_cid = htole64(vs->conf->cid);
	hdr.type = htole16(VIRTIO_VSOCK_TYPE_STREAM);
	iov_write(chain.in, chain.nr_in, 0, &hdr, sizeof(hdr));
	virtq_push(&vd->queue[VSOCK_RX], chain.head, (uint32_t)(sizeof(hdr) + (size_t)len));
	return true;
}

void vsock_rx_run(struct vsock *vs)
{
	struct virtio_device *vd = &vs->vd;
	struct virtq *vq = &vd->queue[VSOCK_RX];
	struct doorbell *bell = vd->env->doorbell;
	unsigned budget = VSOCK_BURST;

	if (!vs->started || vd->broken || !virtq_live(vq))
		return;
	virtq_kicks_suppress(vq);
	for (; budget > 0 && rx_wanted(vs); budget--)
		if (!rx_packet(vs) && (vd->broken || !virtq_kicks_allow(vq)))
			break;
	virtio_publish(vd, VSOCK_RX);
	if (budget == 0)
		bell->ring(bell, VSOCK_RX);
	if (vs->tx_waits && vs->nr_rsts < VSOCK_RSTS_MAX) {
		vs->tx_waits = false;
		bell->ring(bell, VSOCK_TX);
	}
}

/* The transmit queue. */

static void tx_packet(struct vsock *vs, const struct virtq_chain *chain)
{
	struct iovec data[VSOCK_PIECES_MAX];
	struct virtio_vsock_hdr hdr = {0};
	enum vsock_verdict verdict;

	iov_read(chain->out, chain->nr_out, 0, &hdr, sizeof(hdr));
	verdict = vsock_packet_check(&hdr, chain->out_bytes, vs->conf->cid);
	if (verdict == VSOCK_PACKET_MALFORMED) {
		virtio_count(&vs->vd, VSOCK_COUNT_MALFORMED, 1);
	} else if (verdict == VSOCK_PACKET_FOREIGN) {
		virtio_count(&vs->vd, VSOCK_COUNT_STRAY, 1);
		if (le16toh(hdr.op) != VIRTIO_VSOCK_OP_RST)
			vsock_refuse(vs, le32toh(hdr.dst_port), le32toh(hdr.src_port));
	} else {
		vsock_conn_packet(vs, &hdr, data,
				  iov_slice(chain->out, chain->nr_out, sizeof(hdr),
					    chain->out_bytes - sizeof(hdr), data));
	}
}

/* False when there is none, or the driver has to take refusals first. */
static bool vsock_tx_next(struct vsock *vs)
{
	struct virtio_device *vd = &vs->vd;
	struct iovec piece[VSOCK_PIECES_MAX];
	struct virtq_chain chain;

	if (vs->nr_rsts == VSOCK_RSTS_MAX) {
		vs->tx_waits = true;
		return false;
	}
	if (!virtio_pop(vd, VSOCK_TX, piece, VSOCK_PIECES_MAX, &chain))
		return false;
	if (chain.nr_in) {
		virtio_needs_reset(vd, "device-writable buffer in the transmit queue");
		return false;
	}
	tx_packet(vs, &chain);
	virtq_push(&vd->queue[VSOCK_TX], chain.head, 0);
	return true;
}

static void vsock_tx_run(struct vsock *vs)
{
	struct virtio_device *vd = &vs->vd;
	struct virtq *vq = &vd->queue[VSOCK_TX];
	unsigned budget = VSOCK_BURST;

	virtq_kicks_suppress(vq);
	for (; budget > 0; budget--)
		if (!vsock_tx_next(vs) && (vs->tx_waits || vd->broken || !virtq_kicks_allow(vq)))
			break;
	virtio_publish(vd, VSOCK_TX);
	if (budget == 0)
		vd->env->doorbell->ring(vd->env->doorbell, VSOCK_TX);
	vsock_rx_run(vs);
}

/* The device. */

static void vsock_kick(struct virtio_device *vd, unsigned queue)
{
	if (queue == VSOCK_TX)
		vsock_tx_run(vsock_of(vd));
	else if (queue == VSOCK_RX)
		vsock_rx_run(vsock_of(vd));
	else
		virtq_kicks_suppress(&vd->queue[queue]);
}

static void vsock_start(struct virtio_device *vd)
{
	vsock_of(vd)->started = true;
}

/* Neither side hears of the other again: the guest has forgotten its connections, and the host sees their end. */
static void vsock_stop(struct virtio_device *vd)
{
	struct vsock *vs = vsock_of(vd);

	vs->started = false;
	for (unsigned i = 0; i < VIRTIO_VSOCK_CONNS_MAX; i++)
		if (vs->conn[i].state != VSOCK_FREE)
			vsock_conn_close(&vs->conn[i]);
	vs->rst_first = vs->nr_rsts = 0;
	vs->tx_waits = false;
}

static int vsock_init(struct virtio_device *vd, const void *conf, struct diag *diag)
{
	struct vsock *vs = vsock_of(vd);
	void *buf =
		mmap(NULL, (size_t)VIRTIO_VSOCK_CONNS_MAX * VSOCK_BUF_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t cid;

	vs->conf = conf;
	vs->listener.fd = -1;
	vs->ready_end = &vs->ready;
	vs->next_port = VSOCK_PORT_FIRST - 1;
	if (buf == MAP_FAILED)
		return diag_set(diag, -errno, "vsock-memory", "buffers of %s", vd->name);
	vs->buf = buf;
	vd->host_name = vs->conf->path;
	vd->features = UINT64_C(1) << VIRTIO_F_IN_ORDER;
	vd->nr_queues = VSOCK_QUEUES;
	for (unsigned i = 0; i < VSOCK_QUEUES; i++)
		vd->queue_size[i] = VSOCK_QUEUE_SIZE;
	cid = htole64(vs->conf->cid);
	vd->config_len = sizeof(cid);
	memcpy(vd->config, &cid, sizeof(cid));
	return vsock_host_open(vs, vs->conf->path, diag);
}

/* At the VM's end the socket goes, though its thread may have to wait for others. */
static void vsock_end(struct virtio_device *vd)
{
	vsock_host_close(vsock_of(vd));
}

static void vsock_fini(struct virtio_device *vd)
{
	struct vsock *vs = vsock_of(vd);

	vsock_host_close(vs);
	if (vs->buf)
		munmap(vs->buf, (size_t)VIRTIO_VSOCK_CONNS_MAX * VSOCK_BUF_BYTES);
}

const struct virtio_class virtio_vsock_class = {
	.name = "socket",
	.counter_names = counter_names,
	.device_id = VIRTIO_ID_VSOCK,
	.io_role = THREAD_IO_VSOCK,
	.state_size = sizeof(struct vsock),
	.init = vsock_init,
	.fini = vsock_fini,
	.start = vsock_start,
	.stop = vsock_stop,
	.end = vsock_end,
	.kick = vsock_kick,
};
