#include "vm/plug.h"

#include <errno.h>

#include "virtio/transport.h"
#include "vm.h"
#include "vm/latency.h"

unsigned vm_device_ranges(struct vm *vm, unsigned i, enum iobus_space space,
			  struct iobus_range ret[MACHINE_RANGES_MAX])
{
	const struct machine_device *row = &vm->machine.device[i];
	unsigned n = 0;

	for (unsigned k = 0; k < machine_device_nr_ranges(row); k++) {
		if (row->range[k].space != space)
			continue;
		ret[n++] = (struct iobus_range){
			.first = row->range[k].first,
			.len = row->range[k].len,
			.dev = vm_bus_device(vm, i),
			.owner = row->name,
			.region = (uint8_t)k,
		};
	}
	return n;
}

void vm_device_collect(struct vm *vm, unsigned i)
{
	const struct machine_device *row = &vm->machine.device[i];

	if (row->cls->coalesce_len == 0)
		return;
	for (unsigned k = 0; k < machine_device_nr_ranges(row); k++)
		coalesced_add(&vm->coalesced, row->range[k].space, row->range[k].first,
			      row->cls->coalesce_len);
}

/* Writes that were collected before that still reach the device. */
static void device_stop_collecting(struct vm *vm, unsigned i)
{
	const struct machine_device *row = &vm->machine.device[i];

	if (row->cls->coalesce_len == 0)
		return;
	for (unsigned k = 0; k < machine_device_nr_ranges(row); k++)
		coalesced_remove(&vm->coalesced, row->range[k].space, row->range[k].first,
				 row->cls->coalesce_len);
	coalesced_drain(&vm->coalesced);
}

static void device_cut_irq(struct vm *vm, unsigned i, bool cut)
{
	struct device *on_bus = vm_bus_device(vm, i);

	/* A virtio device raises no interrupt before its driver has started it. */
	if (vm->virtio[i] || vm->machine.device[i].gsi < 0)
		return;
	device_lock(on_bus);
	kvm_irq_line_cut(&vm->irq[i], cut);
	device_unlock(on_bus);
}

void vm_device_ranges_remove(struct vm *vm, unsigned i, enum iobus_space space)
{
	struct iobus_range range[MACHINE_RANGES_MAX];
	const unsigned n = vm_device_ranges(vm, i, space, range);

	for (unsigned k = 0; k < n; k++)
		iobus_remove(space == IOBUS_PIO ? vm->pio : vm->mmio, range[k].first, NULL);
}

static int bus_add(struct vm *vm, unsigned i, struct diag *diag)
{
	struct iobus_range pio[MACHINE_RANGES_MAX], mmio[MACHINE_RANGES_MAX];
	const unsigned nr_pio = vm_device_ranges(vm, i, IOBUS_PIO, pio);
	const unsigned nr_mmio = vm_device_ranges(vm, i, IOBUS_MMIO, mmio);
	int r = iobus_add_many(vm->pio, pio, nr_pio, diag);

	if (r < 0)
		return r;
	r = iobus_add_many(vm->mmio, mmio, nr_mmio, diag);
	if (r < 0)
		vm_device_ranges_remove(vm, i, IOBUS_PIO);
	return r;
}

int vm_unplug(struct vm *vm, unsigned i, struct diag *diag)
{
	const char *name = vm->machine.device[i].name;
	int r;

	if (vm->unplugged[i]) {
		diag_set(diag, -EINVAL, "unplugged-already", "'%s' is unplugged already", name);
		diag_remedy(diag, "plug %s puts it back", name);
		return -EALREADY;
	}
	if (vm->virtio[i]) {
		r = vm_virtio_hide(vm, i, diag);
		if (r < 0)
			return r;
	}
	if (vm->register_page[i].inner)
		register_page_withhold(&vm->register_page[i], true);
	device_stop_collecting(vm, i);
	vm_device_ranges_remove(vm, i, IOBUS_PIO);
	vm_device_ranges_remove(vm, i, IOBUS_MMIO);
	vm_latency_plug(vm, i, false);
	device_cut_irq(vm, i, true);
	vm->unplugged[i] = true;
	if (!vm->virtio[i] || virtio_reset(vm->device[i]))
		return 0;
	diag_set(diag, -EINVAL, "unplug-host-stuck",
		 "'%s' is off the bus, but the host does not answer what it asked for: it may "
		 "still use the guest's memory",
		 name);
	diag_remedy(diag, "plug %s puts it back once the host has answered", name);
	return -ETIMEDOUT;
}

int vm_plug(struct vm *vm, unsigned i, struct diag *diag)
{
	const char *name = vm->machine.device[i].name;
	int r;

	if (!vm->unplugged[i]) {
		diag_set(diag, -EINVAL, "unplugged-not", "'%s' is not unplugged", name);
		diag_remedy(diag, "unplug %s takes it off the bus", name);
		return -EALREADY;
	}
	if (vm->virtio[i] && !virtio_is_reset(vm->device[i])) {
		diag_set(diag, -EINVAL, "plug-host-stuck",
			 "the host has not answered yet what '%s' asked for", name);
		diag_remedy(diag, "try again later");
		return -EBUSY;
	}
	r = bus_add(vm, i, diag);
	if (r < 0)
		return r;
	if (vm->virtio[i]) {
		r = vm_virtio_show(vm, i, diag);
		if (r < 0) {
			vm_device_ranges_remove(vm, i, IOBUS_MMIO);
			return r;
		}
	}
	vm_latency_plug(vm, i, true);
	vm_device_collect(vm, i);
	if (vm->register_page[i].inner)
		register_page_withhold(&vm->register_page[i], false);
	device_cut_irq(vm, i, false);
	vm->unplugged[i] = false;
	return 0;
}
