/*
 * register_page.h - a device's registers as memory, for as long as reading them has no effect.
 *
 * A guest that polls a status register exits once a look. While the device says that its registers
 * are as good as memory (device_class.register_page), KVM has a read-only memory slot with their bytes
 * (KVM_MEM_READONLY, api.rst 4.35): reads cost no exit; writes are MMIO exits, or go to the ring of
 * kvm/coalesced.h, as they do without it. When the device no longer says so the slot goes, and the range
 * is plain MMIO. It comes back once the guest has polled for as long as a slot takes to come and go.
 *
 * The register page is itself a device, which stands in the other one's place towards bus, event loop
 * and back end: its lock is held around every op of the other, whose own lock is not used. The guest
 * sees nothing that hardware would not show:
 * - an access changes the device, then the page, and then its vCPU goes on; another CPU that reads the
 *   old bytes meanwhile has read before that access;
 * - an interrupt is raised once the slot is gone or has the bytes that go with it, so no handler finds
 *   those from before it;
 * - the device does not see the guest poll. When input waits for which it has no room, as it may not
 *   know that the guest is polling for it, the slot goes once the guest has written nothing for a
 *   while, and from time to time in any case.
 *
 * Threads: as ops of a device. A slot changes by a system call that waits for other vCPUs to leave a
 * critical section inside KVM; they never wait there for us.
 */
#ifndef VMM_KVM_REGISTER_PAGE_H
#define VMM_KVM_REGISTER_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device.h"
#include "kvm.h"

enum { REGISTER_PAGE_LEN_MAX = 16 }; /* bytes */

struct register_page {
	struct device dev; /* its lock guards everything below, and inner */
	struct device_class cls;
	struct device *inner;  /* borrowed; NULL before register_page_attach() */
	const struct kvm *kvm; /* borrowed */
	unsigned slot;
	uint64_t gpa;
	uint8_t *page;      /* NULL: this register page is not in use */
	uint8_t range, len; /* of inner; the bytes of its registers */
	size_t late;        /* writes that KVM may have collected */

	struct irq_line irq;      /* handed to inner; passes on to theirs.irq */
	struct device_env theirs; /* what inner would have without us */

	bool mapped;
	bool barred;   /* the host refused the slot once */
	bool withheld; /* register_page_withhold() */
	/* Whether a read need not be seen here: it cannot bring the page back. Stored under the lock; read without. */
	_Atomic bool ignores_reads;
	unsigned polls, polls_needed;
	int64_t mapped_at_ns;
	int64_t polled_ns, polled_at_ns; /* what they took; when the last one was */
	int64_t map_ns, unmap_ns;        /* what the last change of the slot took */

	bool input_waits;       /* rx_room said 0 and nothing was received since */
	int64_t watch_until_ns; /* while input waits */
	uint64_t writes, writes_then;

	struct register_page_counts {
		uint64_t maps, unmaps; /* without the first map */
	} counts;
};

/*
 * Puts a page that reads as all ones at gpa; rp must be zeroed. When to call it, what it returns: as
 * kvm_page_create().
 */
int register_page_init(struct register_page *rp, const struct kvm *kvm, unsigned slot,
		       uint64_t gpa);
void register_page_fini(
	struct register_page *rp); /* takes a zeroed one too; after the VM is closed */

/* Before inner is made: changes what it is handed so that rp hears of it. Needs timer and clock. */
void register_page_env(struct register_page *rp, struct device_env *env);

/*
 * Takes inner's place: what is returned, &rp->dev, goes on the bus and to the back end, under inner's
 * range ids. inner's class has register_page and no expire; range is the one that begins at gpa and has len
 * bytes of registers; late: as for device_class.register_page. inner is borrowed until register_page_fini().
 */
struct device *register_page_attach(struct register_page *rp, struct device *inner, uint8_t range,
				    uint8_t len, size_t late);

/*
 * While on, there is no page: it is taken back first, and each access is an op or, when dev is off the bus,
 * unclaimed. Takes the lock; any thread.
 */
void register_page_withhold(struct register_page *rp, bool on);

/* For statistics; takes the lock. Any thread. */
struct register_page_counts register_page_counts(struct register_page *rp);

#endif
