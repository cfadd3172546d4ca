/*
 * vm/internal.h - the steps in which ../vm.c makes a VM.
 *
 * A make that fails sets diag, returns -errno and leaves nothing of its own. An unmake undoes all that its
 * make did, but for the caller's signal mask, and runs when every later step has been unmade and no thread but
 * the caller's runs.
 */
#ifndef VMM_VM_INTERNAL_H
#define VMM_VM_INTERNAL_H

#include <stdint.h>

#include "base/diag.h"

struct vm;
struct vm_opts;

typedef int vm_make_fn(struct vm *vm, const struct vm_opts *opts, struct diag *diag);
typedef void vm_unmake_fn(struct vm *vm);

struct vm_step {
	const char *name;
	vm_make_fn *make;
	vm_unmake_fn *unmake; /* NULL: what it did goes with an earlier step */
};

/* In the order in which they are made; struct vm's nr_made counts them. For tests, too. */
extern const struct vm_step vm_steps[];
extern const unsigned vm_nr_steps;

/* devices.c: pages of registers, which outlive the VM that shows them; slots; devices; their ranges. */
vm_make_fn vm_pages_make, vm_slots_make, vm_devices_make, vm_ports_make, vm_mmio_make;
vm_unmake_fn vm_pages_unmake, vm_devices_unmake, vm_ports_unmake, vm_mmio_unmake;

/* sources.c: what the event thread waits for besides the devices. */
vm_make_fn vm_signals_make, vm_timeout_make, vm_coalesced_make;
vm_unmake_fn vm_signals_unmake, vm_timeout_unmake, vm_coalesced_unmake;

/* profile.c: room for the notes of each vCPU. */
vm_make_fn vm_profile_make;
vm_unmake_fn vm_profile_unmake;

/* latency.c: room for the histograms of each vCPU. */
vm_make_fn vm_latency_make;
vm_unmake_fn vm_latency_unmake;

/* pause.c: room for what stands still. */
vm_make_fn vm_pause_make;
vm_unmake_fn vm_pause_unmake;

/* reset.c: a copy of what the guest starts with, where a reset is to be possible. */
vm_make_fn vm_start_make;
vm_unmake_fn vm_start_unmake;

/* symbols.c: those that are given, and those of a small kernel. */
vm_make_fn vm_symbols_make;
vm_unmake_fn vm_symbols_unmake;

/* sources.c: --timeout stands still. stop: what was left of it; start: it goes on with that. */
/* How long a pause or a reset waits; a host that answers does so much sooner. */
#define VM_PAUSE_WAIT_NS (3 * NS_PER_S)

/* diag: the host keeps the I/O thread of device[device]. The remedy is the caller's. */
void vm_pause_say_stuck(const struct vm *vm, unsigned device, struct diag *diag);

int64_t vm_timeout_stop(struct vm *vm);
void vm_timeout_start(struct vm *vm, int64_t left_ns);

/* The event thread drains coalesced writes from now on, where there are any. */
void vm_coalesced_start(struct vm *vm);

#endif
