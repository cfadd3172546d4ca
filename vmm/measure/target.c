#include "measure/target.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "measure/hammer.h"

enum {
	FILES_BUT_IOEVENTFDS = 600, /* 255 vCPUs, devices, and room */
	RANGE_STEP = 8,             /* bytes from one extra range to the next; each has 4 */
};
#define PIO_RANGES_FIRST UINT64_C(0x1000)

/* As little as a device can be, so that what is measured is the way to it. */
static uint64_t target_read(struct device *dev, struct io_at at)
{
	(void)dev;
	(void)at;
	return 0;
}

static void target_write(struct device *dev, struct io_at at, uint64_t val)
{
	(void)dev;
	(void)at;
	(void)val;
}

static const struct device_class target_class = {
	.name = "hammer target",
	.state_size = sizeof(struct device),
	.self_locked = true,
	.read = target_read,
	.write = target_write,
};

int target_create(struct device **ret, struct diag *diag)
{
	const int r = device_create(&target_class, &(struct device_env){0}, ret);

	return r < 0 ? diag_set(diag, r, "hammer-target", "hammer target") : 0;
}

int target_add(struct iobus *bus, enum iobus_space space, struct device *target, uint64_t addr,
	       unsigned width, unsigned more, struct diag *diag)
{
	AUTO_FREE struct iobus_range *range = calloc(more + 1, sizeof(*range));
	uint64_t first = space == IOBUS_PIO ? PIO_RANGES_FIRST : arch_platform.mmio_end;

	if (!range)
		return diag_set(diag, -ENOMEM, "hammer-ranges-memory", "%u ranges", more);
	range[0] =
		(struct iobus_range){.first = addr, .len = width, .dev = target, .owner = "hammer"};
	for (unsigned i = 1; i <= more; i++, first += RANGE_STEP) {
		/* The extra ranges go around what is hammered. */
		if (first <= addr + 2 * HAMMER_OTHER_OFFSET && addr < first + RANGE_STEP)
			first = (addr + 3 * HAMMER_OTHER_OFFSET) & ~(uint64_t)(RANGE_STEP - 1);
		range[i] = (struct iobus_range){
			.first = first, .len = 4, .dev = target, .owner = "extra range"};
	}
	return iobus_add_many(bus, range, more + 1, diag);
}

uint64_t target_range_port(unsigned i)
{
	return PIO_RANGES_FIRST + (uint64_t)i * RANGE_STEP;
}

/* Each ioeventfd is an open file; the soft limit is ours to raise. */
int target_raise_open_files(unsigned ioeventfds, struct diag *diag)
{
	const rlim_t need = (rlim_t)ioeventfds + FILES_BUT_IOEVENTFDS;
	struct rlimit lim;

	if (ioeventfds == 0 || getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur >= need)
		return 0;
	if (lim.rlim_max != RLIM_INFINITY && lim.rlim_max < need) {
		diag_set(diag, -EINVAL, "open-files-limit",
			 "--ioeventfds %u: only %llu files may be open", ioeventfds,
			 (unsigned long long)lim.rlim_max);
		diag_remedy(diag, "raise the hard limit of open files to %llu (ulimit -Hn)",
			    (unsigned long long)need);
		return -EINVAL;
	}
	lim.rlim_cur = need;
	return setrlimit(RLIMIT_NOFILE, &lim) < 0
		       ? diag_set(diag, -errno, "open-files-raise", "raise open files")
		       : 0;
}

int ioeventfd_set_init(struct ioeventfd_set *set, unsigned n, const struct ioeventfd *first,
		       uint64_t step, const struct kvm *kvm, struct diag *diag)
{
	set->io = calloc(n ? n : 1, sizeof(*set->io));
	if (!set->io)
		return diag_set(diag, -ENOMEM, "ioeventfds-memory", "%u ioeventfds", n);
	for (unsigned i = 0; i < n; i++) {
		struct ioeventfd *io = &set->io[i];
		int r;

		*io = *first;
		io->addr += i * step;
		io->data += i;
		r = ioeventfd_init(io, diag);
		set->nr = i + 1;
		if (r == 0)
			r = ioeventfd_register(io, kvm, diag);
		if (r < 0) {
			diag_remedy(diag, "%u of %u ioeventfds were taken", i, n);
			return r;
		}
	}
	return 0;
}

void ioeventfd_set_fini(struct ioeventfd_set *set, const struct kvm *kvm)
{
	for (unsigned i = 0; i < set->nr; i++)
		ioeventfd_fini(&set->io[i], kvm);
	free(set->io);
}

uint64_t ioeventfd_set_read(const struct ioeventfd_set *set)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < set->nr; i++)
		sum += ioeventfd_read(&set->io[i]);
	return sum;
}
