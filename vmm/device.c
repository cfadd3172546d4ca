#include "device.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

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

void device_reset(struct device *dev)
{
	if (!dev->cls->reset)
		return;
	device_lock(dev);
	dev->cls->reset(dev);
	device_unlock(dev);
}

void device_expire(void *arg)
{
	struct device *dev = arg;

	device_lock(dev);
	dev->cls->expire(dev);
	device_unlock(dev);
}

static bool char_listens(struct char_client *client)
{
	const struct device_char *chr = container_of(client, struct device_char, client);
	bool listens;

	device_lock(chr->dev);
	listens = !chr->ops->listens || chr->ops->listens(chr->dev);
	device_unlock(chr->dev);
	return listens;
}

static size_t char_input(struct char_client *client, const uint8_t *buf, size_t n)
{
	const struct device_char *chr = container_of(client, struct device_char, client);
	size_t room;

	device_lock(chr->dev);
	room = chr->ops->rx_room(chr->dev);
	if (n > room)
		n = room;
	if (n)
		chr->ops->rx(chr->dev, buf, n);
	device_unlock(chr->dev);
	return n;
}

static bool char_line_break(struct char_client *client, const uint8_t *buf, size_t n)
{
	const struct device_char *chr = container_of(client, struct device_char, client);
	bool taken;

	if (!chr->ops->rx_break)
		return false;
	device_lock(chr->dev);
	taken = chr->ops->rx_room(chr->dev) > n;
	if (taken)
		chr->ops->rx_break(chr->dev);
	if (taken && n)
		chr->ops->rx(chr->dev, buf, n);
	device_unlock(chr->dev);
	return taken;
}

static void char_output_room(struct char_client *client)
{
	const struct device_char *chr = container_of(client, struct device_char, client);

	device_lock(chr->dev);
	chr->ops->tx_room(chr->dev);
	device_unlock(chr->dev);
}

static void char_resized(struct char_client *client)
{
	const struct device_char *chr = container_of(client, struct device_char, client);

	if (!chr->ops->resized)
		return;
	device_lock(chr->dev);
	chr->ops->resized(chr->dev);
	device_unlock(chr->dev);
}

void device_char_init(struct device_char *chr, struct device *dev, const struct char_ops *ops)
{
	*chr = (struct device_char){
		.client =
			{
				.listens = char_listens,
				.input = char_input,
				.line_break = char_line_break,
				.output_room = char_output_room,
				.resized = char_resized,
			},
		.dev = dev,
		.ops = ops,
	};
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
