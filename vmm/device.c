#include "device.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int device_create(const struct device_class *cls, const struct device_env *env, struct device **ret)
{
	struct device *dev = calloc(1, cls->state_size);
	int r;

	if (!dev)
		return -ENOMEM;
	dev->cls = cls;
	r = -pthread_mutex_init(&dev->lock, NULL);
	if (r < 0) {
		free(dev);
		return r;
	}
	if (cls->init) {
		r = cls->init(dev, env);
		if (r < 0) {
			pthread_mutex_destroy(&dev->lock);
			free(dev);
			return r;
		}
	}
	*ret = dev;
	return 0;
}

struct device *device_destroy(struct device *dev)
{
	if (!dev)
		return NULL;
	if (dev->cls->fini)
		dev->cls->fini(dev);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
	return NULL;
}

static bool output_listens(struct device *dev)
{
	(void)dev;
	return false;
}

static size_t output_rx_room(struct device *dev)
{
	(void)dev;
	return 0;
}

static void output_rx(struct device *dev, const uint8_t *buf, size_t n)
{
	(void)dev;
	(void)buf;
	assert(n == 0); /* never more than output_rx_room() */
}

static void output_tx_room(struct device *dev)
{
	(void)dev;
}

const struct char_ops char_ops_output = {
	.listens = output_listens,
	.rx_room = output_rx_room,
	.rx = output_rx,
	.tx_room = output_tx_room,
};

uint64_t device_guest_error(struct device *dev, struct io_at at)
{
	(void)at;
	dev->guest_errors++;
	return 0;
}
