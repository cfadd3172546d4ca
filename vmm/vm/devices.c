#include "vm.h"
#include "vm/internal.h"
#include "vm/plug.h"

/* The index of the range that a register page serves; -1: none. */
static int memory_range(const struct machine_device *row)
{
	for (unsigned k = 0; row->cls->register_page && k < machine_device_nr_ranges(row); k++)
		if (row->range[k].space == IOBUS_MMIO)
			return (int)k;
	return -1;
}

int vm_pages_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	int r = vm_virtio_alloc(vm, diag);

	(void)opts;
	if (r < 0)
		vm_pages_unmake(vm);
	return r;
}

void vm_pages_unmake(struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		register_page_fini(&vm->register_page[i]);
	vm_virtio_free(vm);
}

/* A host that lacks read-only slots makes an exit of each read, which is slower and no error. */
static void show_register_pages(struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const struct machine_device *row = &vm->machine.device[i];
		const int k = memory_range(row);

		if (k >= 0)
			register_page_init(&vm->register_page[i], &vm->kvm,
					   kvm_mem_slot_new(&vm->kvm), row->range[k].first);
	}
}

int vm_slots_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	int r = kvm_mem_slots_set(&vm->kvm, &vm->mem, diag);

	if (r < 0)
		return r;
	show_register_pages(vm);
	vm_virtio_show_pages(vm, &opts->virtio);
	return 0;
}

struct device *vm_bus_device(struct vm *vm, unsigned i)
{
	return vm->register_page[i].inner ? &vm->register_page[i].dev : vm->device[i];
}

/* Makes the environment of machine.device[i]. */
static int device_env_make(struct vm *vm, unsigned i, struct device_env *env, struct diag *diag)
{
	const struct machine_device *row = &vm->machine.device[i];

	*env = (struct device_env){
		.clock = &vm->clock.src,
		.mem = &vm->mem,
		.irqs = &vm->irq_bank.bank,
		.power = &vm->power,
		.conf = row->conf,
		.diag = diag,
	};
	if (row->gsi >= 0) {
		kvm_irq_line_init(&vm->irq[i], &vm->kvm, (unsigned)row->gsi);
		env->irq = &vm->irq[i].line;
	}
	if ((row->cls->expire && !vm->virtio[i]) || vm->register_page[i].page) {
		int r = guest_timer_init(&vm->timer[i], &vm->loop, &vm->clock, device_expire, NULL);

		if (r < 0)
			return diag_set(diag, r, "device-timer", "timer of device '%s'", row->name);
		env->timer = &vm->timer[i].line;
	}
	return 0;
}

/* As the back end sees it: a register page has char_ops of its own. port NULL: it is connected to nothing. */
static void connect_char(struct vm *vm, unsigned i, struct char_port *port)
{
	struct device *dev = vm_bus_device(vm, i);
	const struct char_ops *ops = dev->cls->chr;

	if (!ops)
		ops = vm_virtio_char_ops(&vm->machine.device[i]);
	device_char_init(&vm->chr[i], dev, ops);
	if (port)
		char_port_connect(port, &vm->chr[i].client);
}

static int device_make(struct vm *vm, unsigned i, const struct vm_opts *opts, struct diag *diag)
{
	const struct machine_device *row = &vm->machine.device[i];
	struct register_page *page = &vm->register_page[i];
	struct char_port *port = NULL;
	struct device_env env;
	int r = device_env_make(vm, i, &env, diag);

	if (r == 0)
		r = vm_virtio_build_env(vm, i, &opts->virtio, &env, diag);
	if (r == 0 && vm_virtio_char_ops(row))
		r = vm_chars_backend(&vm->chars, row->name, &env.chr, &port, diag);
	if (r < 0)
		return r;
	if (page->page)
		register_page_env(page, &env);
	r = device_create(row->cls, &env, &vm->device[i]);
	if (r < 0)
		return diag_set(diag, r, "device-create", "create device '%s'", row->name);
	vm_device_collect(vm, i);
	if (page->page)
		register_page_attach(page, vm->device[i], (uint8_t)memory_range(row),
				     (uint8_t)row->range[0].len, vm->coalesced.capacity);
	vm->timer[i].arg = vm_bus_device(vm, i);
	if (vm_virtio_char_ops(row))
		connect_char(vm, i, port);
	return vm_virtio_build_doorbells(vm, i, &opts->virtio, diag);
}

int vm_devices_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	const struct vm_chars_opts chars = {
		.input = opts->input,
		.input_at_stdout = opts->input_at_stdout,
		.to_stdout = opts->to_stdout,
		.output = opts->output,
		.nr_outputs = opts->nr_outputs,
	};
	int r = vm_chars_init(&vm->chars, &chars, &vm->loop, &vm->clock, &vm->power, diag);

	kvm_irq_bank_init(&vm->irq_bank, &vm->kvm);
	for (unsigned i = 0; r == 0 && i < vm->machine.nr_devices; i++)
		r = device_make(vm, i, opts, diag);
	if (r < 0)
		vm_devices_unmake(vm);
	return r;
}

void vm_devices_unmake(struct vm *vm)
{
	vm_chars_fini(&vm->chars); /* whose ports need their devices */
	vm_virtio_disconnect(vm);
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		guest_timer_fini(&vm->timer[i]);
		vm->device[i] = device_destroy(vm->device[i]);
	}
	vm_virtio_fini(vm);
}

/* All ranges of one space in one step: one sort and one publication. */
static int ranges_make(struct vm *vm, enum iobus_space space, struct diag *diag)
{
	struct iobus_range range[MACHINE_DEVICES_MAX * MACHINE_RANGES_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		n += vm_device_ranges(vm, i, space, &range[n]);
	return n ? iobus_add_many(space == IOBUS_PIO ? vm->pio : vm->mmio, range, n, diag) : 0;
}

static void ranges_unmake(struct vm *vm, enum iobus_space space)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		vm_device_ranges_remove(vm, i, space);
}

int vm_ports_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	(void)opts;
	return ranges_make(vm, IOBUS_PIO, diag);
}

void vm_ports_unmake(struct vm *vm)
{
	ranges_unmake(vm, IOBUS_PIO);
}

int vm_mmio_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	(void)opts;
	return ranges_make(vm, IOBUS_MMIO, diag);
}

void vm_mmio_unmake(struct vm *vm)
{
	ranges_unmake(vm, IOBUS_MMIO);
}
