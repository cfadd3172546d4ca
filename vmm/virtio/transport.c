#include "virtio/transport.h"

#include <assert.h>

#include "base/macros.h"
#include "virtio/mmio.h"

bool virtio_is_transport(const struct device_class *cls)
{
	return cls == &virtio_mmio_class;
}

struct virtio_device *virtio_device_of(struct device *dev)
{
	assert(virtio_is_transport(dev->cls));
	return container_of(dev, struct virtio_transport, dev)->vd;
}

bool virtio_reset(struct device *dev)
{
	assert(virtio_is_transport(dev->cls));
	return virtio_mmio_reset(dev);
}

bool virtio_is_reset(struct device *dev)
{
	assert(virtio_is_transport(dev->cls));
	return virtio_mmio_is_reset(dev);
}

const struct char_ops *virtio_char_ops(const struct device_class *cls, const void *conf)
{
	const struct virtio_conf *virtio = conf;

	return virtio_is_transport(cls) ? virtio->cls->chr : cls->chr;
}

enum thread_role virtio_io_role(const struct device_class *cls, const void *conf)
{
	const struct virtio_conf *virtio = conf;

	return virtio_is_transport(cls) && virtio->cls->io_role ? virtio->cls->io_role : THREAD_IO;
}
