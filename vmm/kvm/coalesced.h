/*
 * kvm/coalesced.h - writes that KVM collects in a ring instead of exiting (KVM_REGISTER_COALESCED_MMIO
 * and KVM_CAP_COALESCED_PIO, api.rst 4.116).
 *
 * The ring belongs to the VM. A thread that handles an exit drains it first, so a device sees every write
 * in the order in which its vCPU made it; the event thread drains it from time to time, so that
 * nothing waits for an exit that never comes. Entries are dispatched under one lock and leave the
 * ring afterwards: a vCPU that finds it empty knows that its own writes have arrived.
 */
#ifndef VMM_KVM_COALESCED_H
#define VMM_KVM_COALESCED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "iobus.h"
#include "kvm.h"

struct coalesced {
	const struct kvm *kvm;           /* borrowed */
	struct iobus_reader *pio, *mmio; /* under the lock; what they counted made no exit */
	void *ring;        /* struct kvm_coalesced_mmio_ring, in vCPU 0's mapping; NULL: unused */
	unsigned capacity; /* entries */
	pthread_mutex_t lock;
	atomic_uint_fast64_t drained; /* entries so far */
};

/*
 * mapping: of vCPU 0, kvm->run_bytes long. Where the host lacks it the ring stays unused. Returns 0 or
 * -ENOMEM; co is safe for coalesced_fini() either way.
 */
int coalesced_init(struct coalesced *co, const struct kvm *kvm, void *mapping, struct iobus *pio,
		   struct iobus *mmio);
void coalesced_fini(struct coalesced *co); /* takes a zeroed one too */

/* Lets KVM collect writes to [first, first + len). -errno; -ENOTSUP where the host lacks it. */
int coalesced_add(struct coalesced *co, enum iobus_space space, uint64_t first, uint32_t len);

/*
 * Ends that for a zone of coalesced_add(). Once this returned no write there is collected any more; what was is in
 * the ring. Does nothing where the host lacks it.
 */
void coalesced_remove(struct coalesced *co, enum iobus_space space, uint64_t first, uint32_t len);

/* Whether entries wait. */
bool coalesced_pending(const struct coalesced *co);

/* Dispatches what waits. Any thread, no device lock held. */
void coalesced_drain(struct coalesced *co);

#endif
