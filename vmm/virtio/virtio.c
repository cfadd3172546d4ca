#include "virtio/virtio.h"

#include <string.h>

#include "virtio/transport.h"

void virtio_publish(struct virtio_device *vd, unsigned queue)
{
	if (virtq_publish(&vd->queue[queue]))
		vd->transport->interrupt(vd);
}

void virtio_config_set(struct virtio_device *vd, unsigned off, const void *bytes, unsigned len)
{
	vd->transport->config_set(vd, off, bytes, len);
}

void virtio_needs_reset(struct virtio_device *vd, const char *why)
{
	if (vd->broken)
		return;
	vd->broken = true;
	__atomic_store_n(&vd->reset_why, why, __ATOMIC_RELAXED);
	__atomic_store_n(&vd->resets_needed, vd->resets_needed + 1, __ATOMIC_RELAXED);
	vd->transport->needs_reset(vd, why);
}

bool virtio_pop(struct virtio_device *vd, unsigned queue, struct iovec *iov, unsigned iov_max,
		struct virtq_chain *ret)
{
	struct virtq *vq = &vd->queue[queue];
	int r;

	if (vd->broken)
		return false;
	r = virtq_pop(vq, iov, iov_max, ret);
	if (r < 0)
		virtio_needs_reset(vd, virtq_fault_name(vq->fault));
	return r > 0;
}
