#include "vm/io_devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/rom_page.h"
#include "virtio/transport.h"
#include "vm.h"

/* For a thread that is about to call the host, which may have to write a page first. */
#define HOLD_WAIT_NS (2 * NS_PER_S)

/* Shorter than a smoke run waits for a VM that was asked to end. */
#define STOP_WAIT_NS (3 * NS_PER_S)

static bool has_io_thread(const struct machine_device *row)
{
	return row->cls->io;
}

static uint64_t register_page_gpa(const struct machine_device *row)
{
	return row->range[0].first + row->cls->register_page_from;
}

int vm_virtio_alloc(struct vm *vm, struct diag *diag)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const struct machine_device *row = &vm->machine.device[i];

		if (!has_io_thread(row))
			continue;
		vm->virtio[i] = calloc(1, sizeof(*vm->virtio[i]));
		if (!vm->virtio[i])
			return diag_set(diag, -ENOMEM, "virtio-thread-memory", "I/O thread of '%s'",
					row->name);
	}
	return 0;
}

void vm_virtio_show_pages(struct vm *vm, const struct vm_virtio_opts *opts)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const struct machine_device *row = &vm->machine.device[i];

		/* The range is placed so that a page begins there. Without one: slower, and no error. */
		if (!vm->virtio[i] || !row->cls->register_page_from || opts->no_register_pages)
			continue;
		vm->virtio[i]->slot = kvm_mem_slot_new(&vm->kvm);
		vm->virtio[i]->in_memory =
			kvm_page_create(&vm->kvm, vm->virtio[i]->slot, register_page_gpa(row),
					&vm->virtio[i]->register_page) == 0;
	}
}

int vm_virtio_build_env(struct vm *vm, unsigned i, const struct vm_virtio_opts *opts,
			struct device_env *env, struct diag *diag)
{
	const struct machine_device *row = &vm->machine.device[i];
	struct vm_virtio *virtio = vm->virtio[i];
	int r;

	if (!virtio)
		return 0;
	r = io_thread_init(&virtio->io, diag);
	if (r == 0 && row->gsi >= 0 && !opts->no_irqfd && irq_eventfd_supported(&vm->kvm)) {
		r = irq_eventfd_init(&virtio->irq, &vm->kvm, (unsigned)row->gsi, diag);
		env->irq = &virtio->irq.by_ioctl.line;
	}
	if (r == 0) {
		r = guest_timer_init(&virtio->timer, &virtio->io.loop, &vm->clock, device_expire,
				     NULL);
		if (r < 0)
			diag_set(diag, r, "virtio-timer", "timer of device '%s'", row->name);
	}
	if (r == 0 && !opts->no_ioeventfd && row->cls->io->counted &&
	    io_thread_count(&virtio->io, &vm->kvm, row->range[0].first + row->cls->io->counted_off,
			    row->cls->io->counted_value))
		env->writes = &virtio->io.writes.counter;
	env->timer = &virtio->timer.line;
	env->loop = &virtio->io.loop;
	env->doorbell = &virtio->io.bell;
	env->register_page = virtio->register_page;
	return r;
}

int vm_virtio_build_doorbells(struct vm *vm, unsigned i, const struct vm_virtio_opts *opts,
			      struct diag *diag)
{
	const struct machine_device *row = &vm->machine.device[i];
	struct vm_virtio *virtio = vm->virtio[i];
	int r;

	if (!virtio)
		return 0;
	virtio->timer.arg = vm->device[i];
	r = io_thread_attach(&virtio->io, vm->device[i], diag);
	if (r < 0 || opts->no_ioeventfd)
		return r;
	return io_thread_listen(&virtio->io, &vm->kvm,
				row->range[0].first + row->cls->io->doorbell_off, diag);
}

const struct char_ops *vm_virtio_char_ops(const struct machine_device *row)
{
	return virtio_char_ops(row->cls, row->conf);
}

int vm_virtio_start(struct vm *vm, struct diag *diag)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < vm->machine.nr_devices; i++) {
		const struct machine_device *row = &vm->machine.device[i];

		if (vm->virtio[i])
			r = io_thread_start(&vm->virtio[i]->io, virtio_io_role(row->cls, row->conf),
					    row->name, diag);
	}
	return r;
}

int vm_virtio_hold(struct vm *vm, unsigned i, struct diag *diag)
{
	struct io_thread *io = &vm->virtio[i]->io;

	if (vm_is_paused(vm))
		return 0;
	io_thread_park(io);
	if (io_thread_await_parked(io, clock_monotonic_ns() + HOLD_WAIT_NS))
		return 0;
	io_thread_unpark(io);
	diag_set(diag, -ETIMEDOUT, "device-busy", "'%s' waits for the host",
		 vm->machine.device[i].name);
	diag_remedy(diag, "try again when the host has answered it");
	return -ETIMEDOUT;
}

void vm_virtio_let_go(struct vm *vm, unsigned i)
{
	if (!vm_is_paused(vm))
		io_thread_unpark(&vm->virtio[i]->io);
}

bool vm_virtio_park(struct vm *vm, int64_t until_ns, unsigned *ret_stuck)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		if (vm->virtio[i])
			io_thread_park(&vm->virtio[i]->io);
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		if (vm->virtio[i] && !io_thread_await_parked(&vm->virtio[i]->io, until_ns)) {
			*ret_stuck = i;
			return false;
		}
	}
	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		if (vm->virtio[i])
			irq_eventfd_flush(&vm->virtio[i]->irq);
	return true;
}

void vm_virtio_unpark(struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		if (vm->virtio[i])
			io_thread_unpark(&vm->virtio[i]->io);
}

/*
 * A host that answers does so sooner, and what it has not answered the guest has not been promised. One that
 * does not (a network file system whose server is gone) may keep a thread forever.
 */
bool vm_virtio_stop(struct vm *vm)
{
	const int64_t until_ns = clock_monotonic_ns() + STOP_WAIT_NS;
	bool all_ended = true;

	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		if (vm->virtio[i])
			io_thread_stop(&vm->virtio[i]->io);
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		if (!vm->virtio[i])
			continue;
		vm->virtio[i]->stuck = !io_thread_join(&vm->virtio[i]->io, until_ns);
		all_ended &= !vm->virtio[i]->stuck;
	}
	return all_ended;
}

int vm_virtio_hide(struct vm *vm, unsigned i, struct diag *diag)
{
	const struct machine_device *row = &vm->machine.device[i];
	struct vm_virtio *virtio = vm->virtio[i];
	int r = 0;

	if (virtio->in_memory)
		r = kvm_page_remove(&vm->kvm, virtio->slot, register_page_gpa(row),
				    virtio->register_page);
	if (r < 0)
		return diag_set(diag, r, "virtio-hide",
				"take the registers of '%s' out of guest memory", row->name);
	virtio->in_memory = false;
	io_thread_deafen(&virtio->io, &vm->kvm);
	return 0;
}

int vm_virtio_show(struct vm *vm, unsigned i, struct diag *diag)
{
	struct vm_virtio *virtio = vm->virtio[i];
	int r = io_thread_hear(&virtio->io, &vm->kvm, diag);

	if (r == 0 && virtio->register_page)
		virtio->in_memory = kvm_page_put_back(&vm->kvm, virtio->slot,
						      register_page_gpa(&vm->machine.device[i]),
						      virtio->register_page) == 0;
	return r;
}

void vm_virtio_disconnect(struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		if (!vm->virtio[i])
			continue;
		io_thread_deafen(&vm->virtio[i]->io, &vm->kvm);
		irq_eventfd_fini(&vm->virtio[i]->irq);
	}
}

void vm_virtio_fini(struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		if (!vm->virtio[i])
			continue;
		guest_timer_fini(&vm->virtio[i]->timer);
		io_thread_fini(&vm->virtio[i]->io, &vm->kvm);
	}
}

void vm_virtio_free(struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		if (!vm->virtio[i])
			continue;
		kvm_page_destroy(vm->virtio[i]->register_page);
		free(vm->virtio[i]);
		vm->virtio[i] = NULL;
	}
}
