#include "virtio/mmio.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/macros.h"
#include "virtio/mmio/internal.h"

enum {
	MAGIC = 0x74726976,  /* "virt" */
	VENDOR = 0x4c4c4f54, /* "TOLL"; any value will do */
	VERSION = 2,
	PAGE_BYTES = 4096,

	STATUS_DRIVER_BITS = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			     VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK |
			     VIRTIO_CONFIG_S_FAILED,
};

/* 4.2.2.1: what the registers of a shared memory region read that is none. */
#define NO_SHM UINT32_MAX

/* Every device has these: the queue's and the transport's part. */
#define FEATURES_OURS                                                                              \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |          \
	 UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* Work that a register access leaves until the lock is released. */
struct after {
	bool ring; /* the doorbell, of: */
	unsigned queue;
	bool control; /* the I/O thread has something else to do */
	bool wait_reset;
};

static uint64_t features_offered(const struct virtio_mmio *m)
{
	return m->transport.vd->features | FEATURES_OURS;
}

static struct virtq *selected_queue(struct virtio_mmio *m)
{
	return m->queue_sel < m->transport.vd->nr_queues ? &m->transport.vd->queue[m->queue_sel]
							 : NULL;
}

/* Bytes beyond the configuration space read as ones, as unclaimed ones do. */
void virtio_mmio_put_config(struct virtio_mmio *m, unsigned off, unsigned len)
{
	for (unsigned word = off & ~3U; word < off + len; word += sizeof(uint32_t)) {
		uint8_t bytes[sizeof(uint32_t)];
		uint32_t val;

		memset(bytes, UINT8_MAX, sizeof(bytes));
		for (unsigned i = 0; i < sizeof(bytes) && word + i < m->transport.vd->config_len;
		     i++)
			bytes[i] = m->transport.vd->config[word + i];
		memcpy(&val, bytes, sizeof(val));
		__atomic_store_n(reg_at(m, VIRTIO_MMIO_CONFIG + word), val, __ATOMIC_SEQ_CST);
	}
}

void virtio_mmio_forget_writes(struct virtio_mmio *m)
{
	if (m->dirty_first < m->dirty_end)
		virtio_mmio_put_config(m, m->dirty_first, m->dirty_end - m->dirty_first);
	m->dirty_first = m->dirty_end = 0;
}

void virtio_mmio_reset_registers(struct virtio_mmio *m)
{
	virtio_mmio_forget_writes(m);
	m->config_changed = false;
	for (unsigned i = 0; i < m->transport.vd->nr_queues; i++)
		virtq_reset(&m->transport.vd->queue[i]);
	m->device_features_sel = m->driver_features_sel = m->queue_sel = 0;
	m->driver_features = 0;
	m->start_wanted = m->reset_wanted = false;
	reg_set(m, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	reg_set(m, VIRTIO_MMIO_STATUS, 0);
	pthread_cond_broadcast(&m->reset_done);
}

static uint64_t guest_error(struct virtio_mmio *m, struct io_at at)
{
	return device_guest_error(&m->transport.dev, at);
}

static uint64_t read_register(struct virtio_mmio *m, struct io_at at)
{
	const struct virtq *vq = selected_queue(m);

	switch (at.off) {
	case VIRTIO_MMIO_MAGIC_VALUE: return MAGIC;
	case VIRTIO_MMIO_VERSION: return VERSION;
	case VIRTIO_MMIO_DEVICE_ID: return m->transport.vd->cls->device_id;
	case VIRTIO_MMIO_VENDOR_ID: return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		/* Bits above 63 are there to be asked for, and none of them is offered. */
		return m->device_features_sel > 1
			       ? 0
			       : (uint32_t)(features_offered(m) >> (32 * m->device_features_sel));
	case VIRTIO_MMIO_QUEUE_NUM_MAX: return vq ? vq->size_max : 0;
	case VIRTIO_MMIO_QUEUE_READY: return vq && virtq_live(vq);
	default: return guest_error(m, at);
	}
}

/* Reads the page, at any width: the guest gets the same where it reads the page itself. */
static uint64_t read_register_page(struct virtio_mmio *m, struct io_at at)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < at.size; i++) {
		const uint64_t off = at.off + i;
		const uint32_t word = reg_get(m, (uint32_t)off);

		val |= (uint64_t)(word >> (8 * (off % 4)) & UINT8_MAX) << (8 * i);
	}
	if (at.off < VIRTIO_MMIO_CONFIG && (at.size != sizeof(uint32_t) || at.off % 4 != 0))
		guest_error(m, at);
	return val;
}

static uint64_t mmio_read(struct device *dev, struct io_at at)
{
	struct virtio_mmio *m = virtio_mmio_of(dev);
	uint64_t val;

	pthread_mutex_lock(&dev->lock);
	if (at.off >= VIRTIO_MMIO_PAGE_FROM)
		val = read_register_page(m, at);
	else if (at.size != sizeof(uint32_t) || at.off % 4 != 0)
		val = guest_error(m, at); /* 4.2.2.2: 32 bits wide and aligned only */
	else
		val = read_register(m, at);
	pthread_mutex_unlock(&dev->lock);
	return val;
}

/* 3.1.1: features are the driver's to say after DRIVER and before FEATURES_OK. */
static void write_driver_features(struct virtio_mmio *m, struct io_at at, uint32_t val)
{
	const unsigned shift = 32 * m->driver_features_sel;

	if ((status_get(m) & (VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)) !=
		    VIRTIO_CONFIG_S_DRIVER ||
	    (m->driver_features_sel > 1 && val != 0)) {
		guest_error(m, at);
		return;
	}
	if (m->driver_features_sel > 1)
		return;
	m->driver_features &= ~((uint64_t)UINT32_MAX << shift);
	m->driver_features |= (uint64_t)val << shift;
}

/* Half of an address. */
static void set_half(uint64_t *gpa, bool high, uint32_t val)
{
	const unsigned shift = high ? 32 : 0;

	*gpa = (*gpa & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)val << shift;
}

static void write_queue_ready(struct virtio_mmio *m, struct virtq *vq, struct io_at at,
			      uint32_t val)
{
	if (val == 0)
		virtq_stop(vq);
	else if (val != 1 || virtq_live(vq) || virtq_start(vq, m->driver_features) < 0)
		guest_error(m, at); /* reads 0 still if the areas are not such as 2.7 asks for */
}

/*
 * Queues are set up between FEATURES_OK and DRIVER_OK (3.1.1), and one that is ready is left alone
 * (4.2.3.2). None stops while the device runs: there is no VIRTIO_F_RING_RESET.
 */
static void write_queue(struct virtio_mmio *m, struct io_at at, uint32_t val)
{
	const uint32_t phase =
		status_get(m) & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	struct virtq *vq = selected_queue(m);
	/* Linux says so after a reset, of queues that are not ready then anyway. */
	const bool stops = at.off == VIRTIO_MMIO_QUEUE_READY && val == 0;

	if (stops && (!vq || !virtq_live(vq)))
		return;
	if (!vq || phase != VIRTIO_CONFIG_S_FEATURES_OK ||
	    (at.off != VIRTIO_MMIO_QUEUE_READY && virtq_live(vq))) {
		guest_error(m, at);
		return;
	}
	switch (at.off) {
	case VIRTIO_MMIO_QUEUE_NUM: vq->size = val; break; /* checked when it becomes ready */
	case VIRTIO_MMIO_QUEUE_READY: write_queue_ready(m, vq, at, val); break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW: set_half(&vq->desc_gpa, false, val); break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH: set_half(&vq->desc_gpa, true, val); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW: set_half(&vq->driver_gpa, false, val); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH: set_half(&vq->driver_gpa, true, val); break;
	case VIRTIO_MMIO_QUEUE_USED_LOW: set_half(&vq->device_gpa, false, val); break;
	default: set_half(&vq->device_gpa, true, val); break;
	}
}

static void write_notify(struct virtio_mmio *m, struct io_at at, uint32_t val, struct after *after)
{
	if (val >= m->transport.vd->nr_queues || !(status_get(m) & VIRTIO_CONFIG_S_DRIVER_OK)) {
		guest_error(m, at);
		return;
	}
	after->ring = true;
	after->queue = val;
}

/* An interrupt that was sent since the driver looked has an edge of its own, so nothing is lost. */
static void write_interrupt_ack(struct virtio_mmio *m, struct io_at at, uint32_t val)
{
	__atomic_fetch_and(reg_at(m, VIRTIO_MMIO_INTERRUPT_STATUS), htole32(~val),
			   __ATOMIC_SEQ_CST);
	if (val & ~(uint32_t)(VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG))
		guest_error(m, at);
}

/* Where the I/O thread has nothing to do with the device there is nothing to wait for. */
static void want_reset(struct virtio_mmio *m, struct after *after)
{
	if (!m->running && !m->start_wanted &&
	    !(m->config_changed && m->transport.vd->cls->reset)) {
		virtio_mmio_reset_registers(m);
		return;
	}
	m->reset_wanted = true;
	after->wait_reset = true;
	after->control = true;
}

static bool features_acceptable(const struct virtio_mmio *m)
{
	return m->driver_features >> VIRTIO_F_VERSION_1 & 1 &&
	       (m->driver_features & ~features_offered(m)) == 0;
}

/*
 * 2.1.1: bits are set one after the other and never cleared but by a reset. FEATURES_OK stays clear when
 * the features are not ours, and DRIVER_OK without FEATURES_OK.
 */
static void write_status(struct virtio_mmio *m, struct io_at at, uint32_t val, struct after *after)
{
	const uint32_t old = status_get(m);
	uint32_t now = old;

	if (val == 0) {
		want_reset(m, after);
		return;
	}
	if (old & STATUS_DRIVER_BITS & ~val ||
	    val & ~(uint32_t)(STATUS_DRIVER_BITS | VIRTIO_CONFIG_S_NEEDS_RESET)) {
		guest_error(m, at);
		return;
	}
	now |= val & STATUS_DRIVER_BITS;
	if (!(now & VIRTIO_CONFIG_S_DRIVER) || !features_acceptable(m))
		now &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(now & VIRTIO_CONFIG_S_FEATURES_OK))
		now &= ~(uint32_t)VIRTIO_CONFIG_S_DRIVER_OK;
	if ((now | VIRTIO_CONFIG_S_NEEDS_RESET) != (val | VIRTIO_CONFIG_S_NEEDS_RESET))
		guest_error(m, at);
	reg_set(m, VIRTIO_MMIO_STATUS, now);
	if (now & ~old & VIRTIO_CONFIG_S_DRIVER_OK) {
		m->start_wanted = true;
		after->control = true;
	}
}

static void write_register(struct virtio_mmio *m, struct io_at at, uint32_t val,
			   struct after *after)
{
	switch (at.off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL: m->device_features_sel = val; break;
	case VIRTIO_MMIO_DRIVER_FEATURES: write_driver_features(m, at, val); break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL: m->driver_features_sel = val; break;
	case VIRTIO_MMIO_QUEUE_SEL: m->queue_sel = val; break;
	case VIRTIO_MMIO_QUEUE_NUM:
	case VIRTIO_MMIO_QUEUE_READY:
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH: write_queue(m, at, val); break;
	case VIRTIO_MMIO_QUEUE_NOTIFY: write_notify(m, at, val, after); break;
	case VIRTIO_MMIO_INTERRUPT_ACK: write_interrupt_ack(m, at, val); break;
	case VIRTIO_MMIO_STATUS: write_status(m, at, val, after); break;
	case VIRTIO_MMIO_SHM_SEL: break; /* there is no region, whichever is chosen */
	default: guest_error(m, at); break;
	}
}

static void write_config(struct virtio_mmio *m, struct io_at at, uint64_t val, struct after *after)
{
	const unsigned off = (unsigned)at.off - VIRTIO_MMIO_CONFIG;

	if (!m->transport.vd->cls->config_written || at.off % at.size != 0 ||
	    !u64_range_within(off, at.size, m->transport.vd->config_len)) {
		guest_error(m, at);
		return;
	}
	for (unsigned i = 0; i < at.size; i++) {
		const unsigned shift = 8 * ((off + i) % 4);
		uint32_t *at_word = reg_at(m, VIRTIO_MMIO_CONFIG + off + i);
		const uint32_t word = le32toh(__atomic_load_n(at_word, __ATOMIC_RELAXED)) &
				      ~(UINT32_C(0xff) << shift);

		__atomic_store_n(at_word,
				 htole32(word | (uint32_t)(val >> (8 * i) & UINT8_MAX) << shift),
				 __ATOMIC_RELAXED);
	}
	if (m->dirty_first == m->dirty_end || off < m->dirty_first)
		m->dirty_first = off;
	if (off + at.size > m->dirty_end)
		m->dirty_end = off + at.size;
	m->config_changed = true;
	after->control = true;
}

/* Under the lock, which the wait gives up. */
static void wait_for_reset(struct virtio_mmio *m)
{
	const struct timespec until =
		clock_timespec(clock_monotonic_ns() + VIRTIO_MMIO_RESET_WAIT_NS);

	while (m->reset_wanted)
		if (pthread_cond_timedwait(&m->reset_done, &m->transport.dev.lock, &until) != 0)
			return; /* the guest sees from the status that it goes on */
}

static void mmio_write(struct device *dev, struct io_at at, uint64_t val)
{
	struct virtio_mmio *m = virtio_mmio_of(dev);
	/* 4.2.2.2: 32 bits wide and aligned only, but for the configuration. */
	const bool odd =
		at.off < VIRTIO_MMIO_CONFIG && (at.size != sizeof(uint32_t) || at.off % 4 != 0);
	struct after after = {0};
	bool resetting;

	pthread_mutex_lock(&dev->lock);
	/* 2.4.2: the driver waits until the status reads 0; asking once more is not a mistake. */
	resetting = m->reset_wanted && (at.off != VIRTIO_MMIO_STATUS || val != 0);
	if (odd || resetting)
		guest_error(m, at);
	else if (at.off >= VIRTIO_MMIO_CONFIG)
		write_config(m, at, val, &after);
	else
		write_register(m, at, (uint32_t)val, &after);
	pthread_mutex_unlock(&dev->lock);
	if (after.ring)
		m->env.doorbell->ring(m->env.doorbell, after.queue);
	if (after.control)
		m->env.doorbell->control(m->env.doorbell);
	if (after.wait_reset) {
		pthread_mutex_lock(&dev->lock);
		wait_for_reset(m);
		pthread_mutex_unlock(&dev->lock);
	}
}

bool virtio_mmio_is_reset(struct device *dev)
{
	const struct virtio_mmio *m = virtio_mmio_of(dev);
	bool is_reset;

	pthread_mutex_lock(&dev->lock);
	is_reset = !m->reset_wanted && status_get(m) == 0;
	pthread_mutex_unlock(&dev->lock);
	return is_reset;
}

bool virtio_mmio_reset(struct device *dev)
{
	mmio_write(dev, (struct io_at){.off = VIRTIO_MMIO_STATUS, .size = sizeof(uint32_t)}, 0);
	return virtio_mmio_is_reset(dev);
}

/*
 * Making and unmaking.
 */

static void init_register_page(struct virtio_mmio *m)
{
	static const uint32_t no_shm[] = {VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_SHM_LEN_HIGH,
					  VIRTIO_MMIO_SHM_BASE_LOW, VIRTIO_MMIO_SHM_BASE_HIGH};

	m->regs = m->own_regs;
	if (m->env.register_page) {
		memset(m->env.register_page, UINT8_MAX, PAGE_BYTES);
		m->regs = (uint32_t *)(void *)m->env.register_page;
	}
	memset(m->regs, 0, VIRTIO_MMIO_CONFIG - VIRTIO_MMIO_PAGE_FROM);
	for (unsigned i = 0; i < ARRAY_SIZE(no_shm); i++)
		reg_set(m, no_shm[i], NO_SHM);
	virtio_mmio_put_config(m, 0, VIRTIO_CONFIG_BYTES_MAX);
}

static int init_reset_done(struct virtio_mmio *m)
{
	pthread_condattr_t attr;
	int r = -pthread_condattr_init(&attr);

	if (r < 0)
		return r;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = -pthread_cond_init(&m->reset_done, &attr);
	pthread_condattr_destroy(&attr);
	return r;
}

static int mmio_init(struct device *dev, const struct device_env *env)
{
	const struct virtio_conf *conf = env->conf;
	struct virtio_mmio *m = virtio_mmio_of(dev);
	struct virtio_device *vd = calloc(1, conf->cls->state_size);
	int r;

	if (!vd)
		return -ENOMEM;
	m->env = *env;
	m->env.diag = NULL;
	m->transport.vd = vd;
	vd->cls = conf->cls;
	vd->transport = &virtio_mmio_transport;
	vd->dev = dev;
	vd->env = &m->env;
	vd->loop = env->loop;
	vd->name = conf->name;
	r = conf->cls->init(vd, conf->conf, env->diag);
	if (r == 0)
		r = init_reset_done(m);
	if (r < 0) {
		if (conf->cls->fini)
			conf->cls->fini(vd);
		free(vd);
		return r;
	}
	assert(vd->nr_queues <= VIRTIO_QUEUES_MAX && vd->config_len <= VIRTIO_CONFIG_BYTES_MAX);
	for (unsigned i = 0; i < vd->nr_queues; i++)
		virtq_init(&vd->queue[i], env->mem, vd->queue_size[i]);
	init_register_page(m);
	return 0;
}

/* No thread runs the device any more. */
static void mmio_fini(struct device *dev)
{
	struct virtio_mmio *m = virtio_mmio_of(dev);
	const struct virtio_class *cls = m->transport.vd->cls;

	if (m->running && cls->stop)
		cls->stop(m->transport.vd);
	if (cls->fini)
		cls->fini(m->transport.vd);
	pthread_cond_destroy(&m->reset_done);
	free(m->transport.vd);
}

const struct device_class virtio_mmio_class = {
	.name = "virtio over MMIO",
	.fdt_compatible = "virtio,mmio",
	.acpi_hid = "LNRO0005",
	.state_size = sizeof(struct virtio_mmio),
	.max_access = 4,
	.self_locked = true,
	.register_page_from = VIRTIO_MMIO_PAGE_FROM,
	.init = mmio_init,
	.fini = mmio_fini,
	.read = mmio_read,
	.write = mmio_write,
	.io = &virtio_mmio_io,
	.expire = virtio_mmio_expire,
};
