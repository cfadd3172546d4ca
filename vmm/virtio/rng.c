/*
 * The entropy device (virtio 1.2, 5.4): random bytes of the host's, from getrandom().
 *
 * Each chain gets at most CHAIN_BYTES_MAX, which the device may choose (5.4.6), and a kick is worked on for
 * CHAINS_A_KICK chains; then whatever else waits for the I/O thread, such as a reset, is serviced.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <sys/random.h>

#include "virtio/classes.h"

enum {
	QUEUE_SIZE = 64,
	PIECES_MAX = 16,
	CHAIN_BYTES_MAX = 64 << 10,
	CHAINS_A_KICK = QUEUE_SIZE,
};

struct rng {
	struct virtio_device vd;
};

static int rng_init(struct virtio_device *vd, const void *conf, struct diag *diag)
{
	(void)conf;
	(void)diag;
	vd->features = UINT64_C(1) << VIRTIO_F_IN_ORDER;
	vd->nr_queues = 1;
	vd->queue_size[0] = QUEUE_SIZE;
	return 0;
}

/* How many of len bytes became random: fewer when a signal came, or the host has none to give. */
static size_t rng_fill(void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = getrandom((char *)buf + done, len - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static uint32_t fill_chain(const struct virtq_chain *chain)
{
	size_t done = 0;

	for (unsigned i = 0; i < chain->nr_in && done < CHAIN_BYTES_MAX; i++) {
		size_t len = chain->in[i].iov_len, n;

		if (len > CHAIN_BYTES_MAX - done)
			len = CHAIN_BYTES_MAX - done;
		n = rng_fill(chain->in[i].iov_base, len);
		done += n;
		if (n < len)
			break;
	}
	return (uint32_t)done;
}

/* A driver may put no device-readable buffers here (5.4.6.1); those that are there are not read. */
static bool rng_chain(struct virtio_device *vd, unsigned queue)
{
	struct iovec iov[PIECES_MAX];
	struct virtq_chain chain;

	if (!virtio_pop(vd, queue, iov, PIECES_MAX, &chain))
		return false;
	virtq_push(&vd->queue[queue], chain.head, fill_chain(&chain));
	virtio_publish(vd, queue);
	return true;
}

static void rng_kick(struct virtio_device *vd, unsigned queue)
{
	struct virtq *vq = &vd->queue[queue];

	virtq_kicks_suppress(vq);
	for (unsigned i = 0; i < CHAINS_A_KICK; i++)
		if (!rng_chain(vd, queue) && !virtq_kicks_allow(vq))
			return;
	vd->env->doorbell->ring(vd->env->doorbell, queue);
}

const struct virtio_class virtio_rng_class = {
	.name = "entropy",
	.device_id = VIRTIO_ID_RNG,
	.state_size = sizeof(struct rng),
	.init = rng_init,
	.kick = rng_kick,
};
