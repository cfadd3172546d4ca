#include "kvm/coalesced.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

int coalesced_init(struct coalesced *co, const struct kvm *kvm, void *mapping, struct iobus *pio,
		   struct iobus *mmio)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t at = (size_t)kvm_cap(kvm, KVM_CAP_COALESCED_MMIO) * page;
	int r;

	*co = (struct coalesced){.kvm = kvm};
	pthread_mutex_init(&co->lock, NULL);
	if (at == 0 || at + page > kvm->run_bytes)
		return 0;
	r = iobus_reader_create(pio, &co->pio);
	if (r == 0)
		r = iobus_reader_create(mmio, &co->mmio);
	if (r < 0)
		return r;
	co->ring = (char *)mapping + at;
	co->capacity = (unsigned)((page - sizeof(struct kvm_coalesced_mmio_ring)) /
				  sizeof(struct kvm_coalesced_mmio));
	return 0;
}

void coalesced_fini(struct coalesced *co)
{
	if (!co->kvm)
		return;
	co->mmio = iobus_reader_destroy(co->mmio);
	co->pio = iobus_reader_destroy(co->pio);
	pthread_mutex_destroy(&co->lock);
	co->kvm = NULL;
	co->ring = NULL;
}

static int zone_ioctl(const struct coalesced *co, unsigned long request, enum iobus_space space,
		      uint64_t first, uint32_t len)
{
	struct kvm_coalesced_mmio_zone zone = {
		.addr = first, .size = len, .pio = space == IOBUS_PIO};

	if (!co->ring || (space == IOBUS_PIO && kvm_cap(co->kvm, KVM_CAP_COALESCED_PIO) == 0))
		return -ENOTSUP;
	return ioctl(co->kvm->vm_fd, request, &zone) < 0 ? -errno : 0;
}

int coalesced_add(struct coalesced *co, enum iobus_space space, uint64_t first, uint32_t len)
{
	return zone_ioctl(co, KVM_REGISTER_COALESCED_MMIO, space, first, len);
}

/* Without memory for it KVM drops all its devices in that space, zones too: then nothing is collected either. */
void coalesced_remove(struct coalesced *co, enum iobus_space space, uint64_t first, uint32_t len)
{
	zone_ioctl(co, KVM_UNREGISTER_COALESCED_MMIO, space, first, len);
}

bool coalesced_pending(const struct coalesced *co)
{
	const struct kvm_coalesced_mmio_ring *ring = co->ring;

	return ring && __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE) !=
			       __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE);
}

void coalesced_drain(struct coalesced *co)
{
	struct kvm_coalesced_mmio_ring *ring = co->ring;
	uint32_t first, last;
	uint64_t n = 0;

	if (!ring)
		return;
	pthread_mutex_lock(&co->lock);
	/* The page is mapped by us alone, but an index outside it would be read as an address. */
	first = __atomic_load_n(&ring->first, __ATOMIC_RELAXED) % co->capacity;
	last = __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) % co->capacity;
	for (; first != last; n++) {
		const struct kvm_coalesced_mmio *e = &ring->coalesced_mmio[first];

		iobus_write(e->pio ? co->pio : co->mmio, e->phys_addr, e->len <= 8 ? e->len : 8,
			    e->data);
		first = (first + 1) % co->capacity;
		__atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
	}
	atomic_fetch_add_explicit(&co->drained, n, memory_order_relaxed);
	pthread_mutex_unlock(&co->lock);
}
