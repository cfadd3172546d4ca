/*
 * device.h - the device interface: what a chip offers (struct device_class) and what it is handed
 * (struct device_env). A device knows no guest address, no KVM, no file descriptor and no other
 * device, so a unit test hands it fakes.
 *
 * Threads: iobus calls read and write on any vCPU thread, the event thread calls expire, rx and
 * tx_room. Each of these runs with the device's lock held (device_lock()), unless the class sets
 * self_locked; a device's op therefore never takes that lock itself. struct device_io_ops run without the
 * lock, on the device's I/O thread.
 * Everything in device_env may be called from any op.
 */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/diag.h"
#include "device/lines.h"

struct device;
struct event_loop;
struct guest_mem;

/*
 * Work for a device's I/O thread. Both return at once, and an operation of device_io_ops runs there soon
 * after, once for one or more calls: kick for ring, control for control. A doorbell that KVM answers
 * itself (KVM_IOEVENTFD) ends in the same place as ring. Any thread.
 */
struct doorbell {
	void (*ring)(struct doorbell *bell, unsigned queue);
	void (*control)(struct doorbell *bell);
};

/*
 * Writes of the guest that KVM takes without an exit and only counts (KVM_IOEVENTFD); which ones, the
 * class says. The device's I/O thread only.
 */
struct write_counter {
	uint64_t (*take)(struct write_counter *counter); /* how many since the last time */
	/* While on, device_io_ops.counted runs for as long as there are any to take. */
	void (*watch)(struct write_counter *counter, bool on);
};

/* Operations of a character device for its back end; the event thread calls them under the lock. */
struct char_ops {
	/* Whether input is for this device at all, now; NULL: always. */
	bool (*listens)(struct device *dev);
	size_t (*rx_room)(struct device *dev); /* bytes that rx takes now without loss */
	void (*rx)(struct device *dev, const uint8_t *buf, size_t n); /* n <= rx_room */
	/* A break on the line, which takes the room of a byte; NULL: the device knows none. */
	void (*rx_break)(struct device *dev);
	void (*tx_room)(struct device *dev); /* write took less; there is room again */
	void (*resized)(struct device *dev); /* size may have changed; may be NULL */
};

/* Of one that has no input, and does not send again what was refused. */
extern const struct char_ops char_ops_output;

/* Where in a device an access lands. */
struct io_at {
	uint64_t off; /* from the first byte of the range */
	uint8_t size; /* bytes: 1, 2, 4 or 8, and at most max_access; off + size is inside the range */
	uint8_t range; /* region id given at registration */
};

/* All borrowed; each outlives the device. A class uses only what its header comment names. */
struct device_env {
	const struct clock_src *clock;
	struct guest_mem *mem;
	struct irq_line *irq;
	struct irq_bank *irqs;
	struct timer_line *timer;
	struct char_backend *chr;
	struct power *power;
	struct doorbell *doorbell;
	struct write_counter *writes; /* NULL: every write is an op */
	struct event_loop
		*loop; /* of the device's own I/O thread, which does not run yet in init */
	/*
	 * For a class with register_page_from: the page that the guest reads there, which the device keeps true;
	 * no op sees those reads. NULL: none, they are ops like any other.
	 */
	uint8_t *register_page;
	struct diag *diag; /* for init: why it fails; NULL afterwards */
	const void *conf;  /* class-specific; see the class's declaration in devices/classes.h */
};

/* Operations of a device on its I/O thread, and the guest's writes that are its doorbells. */
struct device_io_ops {
	/* Doorbell queue was rung. */
	void (*kick)(struct device *dev, unsigned queue);
	/* doorbell.control was called: another thread left work for this one. */
	void (*control)(struct device *dev);
	/* write_counter.watch is on, and there is something to take. NULL: no write is counted. */
	void (*counted)(struct device *dev);
	/* The thread's last operation. Nothing that the device began is under way when it returns. */
	void (*end)(struct device *dev);
	unsigned (*nr_queues)(struct device *dev); /* doorbells; constant, at least 1 */
	uint32_t
		doorbell_off; /* a write of a queue's number there, 32 bits wide, rings its doorbell */
	uint32_t counted_off; /* a write of counted_value there, 32 bits wide, may be counted */
	uint32_t counted_value;
};

struct device_class {
	const char *name;           /* the part: "16550A" */
	const char *fdt_compatible; /* separated by single blanks; NULL: not in the device tree */
	const char *acpi_hid;       /* "PNP0501"; NULL: not in the DSDT */
	size_t state_size;
	uint8_t max_access; /* bytes; the bus splits wider accesses. 0 means 8. */
	/*
	 * Writes to the first so many bytes of each range may come late, though before any other access
	 * of the same vCPU that exits: KVM may collect them.
	 */
	uint8_t coalesce_len;
	bool self_locked; /* ops need no lock: the device synchronises itself */
	int (*init)(struct device *dev, const struct device_env *env); /* may be NULL */
	void (*fini)(struct device *dev);                              /* may be NULL */
	/*
	 * The machine is reset: what the part's reset input does, and its interrupt line goes low. Data of the host
	 * (counters for statistics, bytes that were output) stays. NULL: no state that a reset changes. A virtio
	 * device is reset by its transport (virtio/transport.h).
	 */
	void (*reset)(struct device *dev);
	uint64_t (*read)(struct device *dev, struct io_at at);
	void (*write)(struct device *dev, struct io_at at, uint64_t val);
	/*
	 * For registers that guests poll: true with the value, when a read there would have no effect at all, as the
	 * one before it had none. It takes no lock and changes nothing, and runs while other ops do; what it loads is
	 * atomic. False: read() follows. NULL: no such register.
	 */
	bool (*read_quick)(struct device *dev, struct io_at at, uint64_t *ret_val);
	/*
	 * The range as a register page: true, with all its bytes in ret, when until the next op the guest can notice
	 * no difference between reading the device and reading these bytes: reads have no effect that
	 * shows. The guest may then be given a page with them, where reading costs no exit. late: so many
	 * writes may have been collected (coalesce_len) from a guest that saw nothing but this page;
	 * false unless all of them can be taken. May be NULL; changes nothing.
	 *
	 * The device does not see such reads. One that lets input in once the guest polls for it may say
	 * true all the same: the owner of the page sees to it that the guest is looked at again.
	 */
	bool (*register_page)(struct device *dev, uint8_t range, size_t late, uint8_t *ret);
	/*
	 * From this offset on, up to 4 KiB, reads have no effect and may be served from env.register_page without
	 * the device: that offset then is where a page begins. 0: no such part.
	 */
	uint32_t register_page_from;
	const struct device_io_ops *io;     /* NULL: the device has no I/O thread */
	void (*expire)(struct device *dev); /* the timer_line's deadline passed */
	const struct char_ops *chr;         /* NULL unless a character device */
	/*
	 * A number of the device's own for statistics, and its key there ("dropped_bytes"); both may be
	 * NULL. Changes nothing.
	 */
	const char *counter_name;
	uint64_t (*counter)(struct device *dev);
};

/* First member of every device's state. */
struct device {
	const struct device_class *cls;
	pthread_mutex_t lock;
	uint64_t guest_errors; /* accesses that hardware does not define; under the lock */
};

/* Allocates state_size zeroed bytes and runs init. The caller owns *ret. Returns 0 or -errno. */
int device_create(const struct device_class *cls, const struct device_env *env,
		  struct device **ret);

/* Takes NULL. The device must be off every bus and its timer disarmed. Returns NULL. */
struct device *device_destroy(struct device *dev);

/* The lock around ops; both do nothing for a self_locked class. */
static inline void device_lock(struct device *dev)
{
	if (!dev->cls->self_locked)
		pthread_mutex_lock(&dev->lock);
}

static inline void device_unlock(struct device *dev)
{
	if (!dev->cls->self_locked)
		pthread_mutex_unlock(&dev->lock);
}

/* Runs reset, under the lock, if the class has it. While no vCPU runs. */
void device_reset(struct device *dev);

/* Runs expire, under the lock. arg is a struct device: this is a timer's callback. */
void device_expire(void *arg);

/* A character device's char_ops as its back end calls them, under the lock. */
struct device_char {
	struct char_client client;
	struct device *dev;         /* borrowed */
	const struct char_ops *ops; /* not NULL */
};
void device_char_init(struct device_char *chr, struct device *dev, const struct char_ops *ops);

/* Counts an access that the device does not define; returns 0, the value such a read gets. */
uint64_t device_guest_error(struct device *dev, struct io_at at);

#endif
