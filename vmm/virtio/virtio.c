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

/* The next stretch of a scatter list, off bytes from here and at most max long; false at its end. */
static bool next_stretch(const struct iovec **iov, unsigned *nr, size_t *off, size_t max,
			 struct iovec *ret)
{
	while (*nr > 0 && *off >= (*iov)->iov_len) {
		*off -= (*iov)->iov_len;
		(*iov)++;
		(*nr)--;
	}
	if (*nr == 0)
		return false;
	ret->iov_base = (char *)(*iov)->iov_base + *off;
	ret->iov_len = (*iov)->iov_len - *off;
	if (ret->iov_len > max)
		ret->iov_len = max;
	*off += ret->iov_len;
	return true;
}

size_t virtio_iov_read(const struct iovec *iov, unsigned nr, size_t off, void *buf, size_t len)
{
	struct iovec at;
	size_t done = 0;

	while (done < len && next_stretch(&iov, &nr, &off, len - done, &at)) {
		memcpy((char *)buf + done, at.iov_base, at.iov_len);
		done += at.iov_len;
	}
	return done;
}

size_t virtio_iov_write(const struct iovec *iov, unsigned nr, size_t off, const void *buf,
			size_t len)
{
	struct iovec at;
	size_t done = 0;

	while (done < len && next_stretch(&iov, &nr, &off, len - done, &at)) {
		memcpy(at.iov_base, (const char *)buf + done, at.iov_len);
		done += at.iov_len;
	}
	return done;
}
