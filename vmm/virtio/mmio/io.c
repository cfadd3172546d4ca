#include <assert.h>
#include <string.h>

#include "virtio/mmio/internal.h"

enum { REQUEST_STEPS = 16 };

/* How long InterruptStatus may say that buffers were used after the driver has heard it. */
#define ACK_LATE_NS (10 * NS_PER_MS)

/* Any thread, also without the lock. The bit is there before the edge is. */
static void interrupt(struct virtio_mmio *m, uint32_t bit)
{
	__atomic_fetch_or(reg_at(m, VIRTIO_MMIO_INTERRUPT_STATUS), htole32(bit), __ATOMIC_SEQ_CST);
	m->env.irq->pulse(m->env.irq);
}

/* The guest's writes to the configuration space become the device's. Under the lock. */
static unsigned take_config(struct virtio_mmio *m, unsigned *ret_first)
{
	const unsigned first = m->dirty_first, len = m->dirty_end - first;

	for (unsigned i = first; i < m->dirty_end; i++) {
		uint32_t word =
			__atomic_load_n(reg_at(m, VIRTIO_MMIO_CONFIG + i), __ATOMIC_RELAXED);

		m->transport.vd->config[i] = ((const uint8_t *)&word)[i % sizeof(word)];
	}
	*ret_first = first;
	return len;
}

/* Under the lock, which is given up meanwhile. */
static void run_stop(struct virtio_mmio *m)
{
	if (m->running && m->transport.vd->cls->stop) {
		pthread_mutex_unlock(&m->transport.dev.lock);
		m->transport.vd->cls->stop(m->transport.vd);
		pthread_mutex_lock(&m->transport.dev.lock);
	}
	m->running = false;
}

/* Under the lock, which is given up meanwhile: until the reset is done, the guest can write nothing. */
static void run_reset(struct virtio_mmio *m)
{
	virtio_mmio_forget_writes(m);
	run_stop(m);
	if (m->transport.vd->cls->reset) {
		pthread_mutex_unlock(&m->transport.dev.lock);
		m->transport.vd->cls->reset(m->transport.vd);
		pthread_mutex_lock(&m->transport.dev.lock);
	}
	virtio_mmio_reset_registers(m);
}

static void run_start(struct virtio_mmio *m)
{
	struct virtio_device *vd = m->transport.vd;

	m->start_wanted = false;
	m->running = true;
	vd->acked = m->driver_features;
	vd->broken = false;
	pthread_mutex_unlock(&m->transport.dev.lock);
	if (vd->cls->start)
		vd->cls->start(vd);
	for (unsigned i = 0; i < vd->nr_queues; i++)
		if (virtq_live(&vd->queue[i]) && !vd->broken)
			vd->cls->kick(vd, i);
	pthread_mutex_lock(&m->transport.dev.lock);
}

static void run_config_written(struct virtio_mmio *m)
{
	unsigned first, len = take_config(m, &first);

	m->dirty_first = m->dirty_end = 0;
	pthread_mutex_unlock(&m->transport.dev.lock);
	m->transport.vd->cls->config_written(m->transport.vd, first, len);
	pthread_mutex_lock(&m->transport.dev.lock);
}

/*
 * Does all that vCPUs requested; true when the device runs then. They may leave more meanwhile, without end: they
 * ring for it, so what is left after REQUEST_STEPS is done then.
 */
static bool run_requests(struct virtio_mmio *m)
{
	bool running;

	pthread_mutex_lock(&m->transport.dev.lock);
	for (unsigned i = 0; i < REQUEST_STEPS; i++) {
		if (m->reset_wanted)
			run_reset(m);
		else if (m->dirty_first < m->dirty_end)
			run_config_written(m);
		else if (m->start_wanted)
			run_start(m);
		else
			break;
	}
	running = m->running;
	pthread_mutex_unlock(&m->transport.dev.lock);
	return running;
}

/*
 * Acknowledgements that KVM only counts (env.writes: those of used buffers alone). The bit is cleared
 * late, when the device has been quiet for a while, so that it costs an interrupt no wake-up of this
 * thread. Meanwhile a handler may find the bit set for an interrupt that came for something else, and
 * looks at its rings once more. It must not find the bit clear for an interrupt that came for a ring:
 * what is counted before a buffer is published may be for an earlier one, and is forgotten here. One
 * counted later comes from a handler that will look at the rings after it, or has.
 */
static void transport_interrupt(struct virtio_device *vd)
{
	struct virtio_mmio *m = virtio_mmio_of(vd->dev);

	if (m->env.writes)
		m->env.writes->take(m->env.writes);
	interrupt(m, VIRTIO_MMIO_INT_VRING);
	if (m->env.writes && !m->ack_awaited) {
		m->ack_awaited = true;
		m->env.timer->arm(m->env.timer,
				  m->env.clock->monotonic_ns(m->env.clock) + ACK_LATE_NS);
	}
}

/* True when the last interrupt for a ring has been acknowledged. */
static bool take_ack(struct virtio_mmio *m)
{
	if (m->env.writes->take(m->env.writes) == 0)
		return false;
	__atomic_fetch_and(reg_at(m, VIRTIO_MMIO_INTERRUPT_STATUS),
			   htole32(~(uint32_t)VIRTIO_MMIO_INT_VRING), __ATOMIC_SEQ_CST);
	m->ack_awaited = false;
	return true;
}

/* A driver that takes long is waited for without a timer. */
void virtio_mmio_expire(struct device *dev)
{
	struct virtio_mmio *m = virtio_mmio_of(dev);

	if (!take_ack(m))
		m->env.writes->watch(m->env.writes, true);
}

static void io_counted(struct device *dev)
{
	struct virtio_mmio *m = virtio_mmio_of(dev);

	if (take_ack(m))
		m->env.writes->watch(m->env.writes, false);
}

/*
 * Counts the generation up before and after. A driver that reads it in between twice, and part of what
 * changes, does not notice; it then reads again upon the interrupt.
 */
static void transport_config_set(struct virtio_device *vd, unsigned off, const void *bytes,
				 unsigned len)
{
	struct virtio_mmio *m = virtio_mmio_of(vd->dev);
	bool notify;
	unsigned first;

	assert(off <= vd->config_len && len <= vd->config_len - off);
	pthread_mutex_lock(&m->transport.dev.lock);
	take_config(m, &first); /* else the next lines would undo what the driver wrote */
	memcpy(&vd->config[off], bytes, len);
	reg_set(m, VIRTIO_MMIO_CONFIG_GENERATION, reg_get(m, VIRTIO_MMIO_CONFIG_GENERATION) + 1);
	virtio_mmio_put_config(m, off, len);
	reg_set(m, VIRTIO_MMIO_CONFIG_GENERATION, reg_get(m, VIRTIO_MMIO_CONFIG_GENERATION) + 1);
	notify = status_get(m) & VIRTIO_CONFIG_S_DRIVER_OK && !m->reset_wanted;
	pthread_mutex_unlock(&m->transport.dev.lock);
	if (notify)
		interrupt(m, VIRTIO_MMIO_INT_CONFIG);
}

static void transport_needs_reset(struct virtio_device *vd, const char *why)
{
	struct virtio_mmio *m = virtio_mmio_of(vd->dev);

	(void)why; /* virtio.c keeps it */
	pthread_mutex_lock(&m->transport.dev.lock);
	reg_set(m, VIRTIO_MMIO_STATUS, status_get(m) | VIRTIO_CONFIG_S_NEEDS_RESET);
	pthread_mutex_unlock(&m->transport.dev.lock);
	interrupt(m, VIRTIO_MMIO_INT_CONFIG);
}

const struct virtio_transport_ops virtio_mmio_transport = {
	.interrupt = transport_interrupt,
	.config_set = transport_config_set,
	.needs_reset = transport_needs_reset,
};

static void io_kick(struct device *dev, unsigned queue)
{
	struct virtio_mmio *m = virtio_mmio_of(dev);
	struct virtio_device *vd = m->transport.vd;

	if (!run_requests(m) || queue >= vd->nr_queues || vd->broken ||
	    !virtq_live(&vd->queue[queue]))
		return;
	__atomic_store_n(&vd->kicks[queue], vd->kicks[queue] + 1, __ATOMIC_RELAXED);
	vd->cls->kick(vd, queue);
}

static void io_control(struct device *dev)
{
	struct virtio_mmio *m = virtio_mmio_of(dev);

	run_requests(m);
	if (m->transport.vd->cls->control)
		m->transport.vd->cls->control(m->transport.vd);
}

/* The VM is over, and the registers stay as they are. */
static void io_end(struct device *dev)
{
	struct virtio_mmio *m = virtio_mmio_of(dev);

	pthread_mutex_lock(&dev->lock);
	run_stop(m);
	pthread_mutex_unlock(&dev->lock);
	if (m->transport.vd->cls->end)
		m->transport.vd->cls->end(m->transport.vd);
}

static unsigned io_nr_queues(struct device *dev)
{
	return virtio_mmio_of(dev)->transport.vd->nr_queues;
}

const struct device_io_ops virtio_mmio_io = {
	.kick = io_kick,
	.control = io_control,
	.counted = io_counted,
	.end = io_end,
	.nr_queues = io_nr_queues,
	.doorbell_off = VIRTIO_MMIO_QUEUE_NOTIFY,
	.counted_off = VIRTIO_MMIO_INTERRUPT_ACK,
	.counted_value = VIRTIO_MMIO_INT_VRING,
};
