#include "vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/run.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/thread.h"
#include "vcpu/gate.h"
#include "vcpu/internal.h"
#include "vcpu/latency.h"
#include "vcpu/profile.h"

static const struct kvm_coalesced_mmio_ring empty_ring;
static _Thread_local struct vcpu *own_vcpu; /* of a vCPU's thread; for signal handlers */

static void kick_handler(int sig)
{
	(void)sig; /* its arrival is the point: KVM_RUN returns EINTR */
}

int vcpu_signal_setup(void)
{
	struct sigaction sa = {.sa_handler = kick_handler}; /* no SA_RESTART */

	return sigaction(thread_kick_signal(), &sa, NULL) < 0 ? -errno : 0;
}

int vcpu_init(struct vcpu *vcpu, const struct kvm *kvm, unsigned index, struct iobus *pio,
	      struct iobus *mmio, struct power *power, struct diag *diag)
{
	int r;

	vcpu->index = index;
	vcpu->ring = &empty_ring;
	vcpu->power = power;
	vcpu->run_bytes = kvm->run_bytes;
	vcpu->fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		return diag_set(diag, -errno, "vcpu-create", "KVM_CREATE_VCPU %u", index);
	vcpu->run = mmap(NULL, kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return diag_set(diag, -errno, "vcpu-map", "map struct kvm_run of vCPU %u", index);
	}
	r = iobus_reader_create(pio, &vcpu->pio);
	if (r == 0)
		r = iobus_reader_create(mmio, &vcpu->mmio);
	if (r < 0)
		return diag_set(diag, r, "vcpu-readers", "bus readers of vCPU %u", index);
	return 0;
}

void vcpu_set_coalesced(struct vcpu *vcpu, struct coalesced *coalesced)
{
	vcpu->coalesced = coalesced;
	vcpu->ring = coalesced && coalesced->ring ? coalesced->ring : &empty_ring;
}

void vcpu_fini(struct vcpu *vcpu)
{
	vcpu->mmio = iobus_reader_destroy(vcpu->mmio);
	vcpu->pio = iobus_reader_destroy(vcpu->pio);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_bytes);
	if (vcpu->fd > 0)
		close(vcpu->fd);
	vcpu->run = NULL;
	vcpu->fd = -1;
}

/*
 * Lets KVM finish the access of the last exit, so that registers show the instruction after it. On
 * the vCPU's thread: older kernels wait for an RCU grace period when KVM_RUN changes threads.
 */
static void complete_io(struct vcpu *vcpu)
{
	if (vcpu->run->exit_reason != KVM_EXIT_IO && vcpu->run->exit_reason != KVM_EXIT_MMIO)
		return;
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	ioctl(vcpu->fd, KVM_RUN, 0); /* EINTR, once the access is complete */
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	bool own_files = vcpu->files && thread_own_files(vcpu->files, vcpu->nr_files) == 0;

	own_vcpu = vcpu;
	if (vcpu->loop)
		vcpu->loop(vcpu, vcpu->loop_arg);
	else
		vcpu_loop(vcpu);
	complete_io(vcpu);
	if (own_files) /* before it can be joined: nothing stays open after that */
		thread_close_own_files();
	return NULL;
}

int vcpu_start(struct vcpu *vcpu, struct diag *diag)
{
	char name[16];
	int r;

	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	r = thread_start(&vcpu->thread, THREAD_VCPU, name, vcpu_thread, vcpu);
	if (r < 0)
		return diag_set(diag, r, "vcpu-thread", "thread of vCPU %u", vcpu->index);
	vcpu->has_thread = true;
	return 0;
}

static void interrupt_run(struct vcpu *vcpu)
{
	/* Before the signal: a vCPU that is about to enter KVM_RUN sees it there. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (vcpu->has_thread)
		pthread_kill(vcpu->thread, thread_kick_signal());
}

void vcpu_stop(struct vcpu *vcpu)
{
	atomic_store(&vcpu->stop, true);
	interrupt_run(vcpu);
}

void vcpu_call(struct vcpu *vcpu)
{
	interrupt_run(vcpu);
}

void vcpu_join(struct vcpu *vcpu)
{
	if (!vcpu->has_thread)
		return;
	pthread_join(vcpu->thread, NULL);
	vcpu->has_thread = false;
}

struct vcpu *vcpu_of_thread(void)
{
	return own_vcpu;
}

bool vcpu_note_failed_memory(uintptr_t host)
{
	struct vcpu *vcpu = own_vcpu;

	if (!vcpu || !vcpu->in_run || vcpu->loop)
		return false;
	atomic_store(&vcpu->failed_memory, host);
	return true;
}

void vcpu_note_failed_elsewhere(struct vcpu *vcpu)
{
	atomic_store(&vcpu->failed_elsewhere, true);
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, thread_kick_signal());
}

/* One KVM_RUN. Returns 0 or -errno; -EINTR is a signal or immediate_exit. */
__attribute__((always_inline)) static inline int run_guest(struct vcpu *vcpu)
{
	int r;

	vcpu->in_run = true;
	atomic_signal_fence(memory_order_seq_cst);
	r = arch_kvm_run(vcpu->fd);
	atomic_signal_fence(memory_order_seq_cst);
	vcpu->in_run = false;
	return r;
}

static void dispatch_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vcpu_history_entry *h = history_add_reason(vcpu, KVM_EXIT_MMIO);

	if (run->mmio.is_write)
		iobus_write(vcpu->mmio, run->mmio.phys_addr, run->mmio.len, run->mmio.data);
	else
		iobus_read(vcpu->mmio, run->mmio.phys_addr, run->mmio.len, run->mmio.data);
	h->gpa = run->mmio.phys_addr;
	h->mmio_len = (uint8_t)run->mmio.len;
	h->mmio_is_write = run->mmio.is_write;
	memcpy(&h->data, run->mmio.data, sizeof(h->data));
}

static bool end_vm(struct vcpu *vcpu, enum vm_end_kind kind, const char *by)
{
	vcpu->power->end(vcpu->power, (struct vm_end){.kind = kind, .by = by});
	return false;
}

/* A VM that reboots does not end: this vCPU is held then, and goes to the gate by the next KVM_RUN. */
static bool reset_vm(struct vcpu *vcpu, enum vm_end_kind kind, const char *by)
{
	end_vm(vcpu, kind, by);
	return vcpu->gate && vcpu_gate_holds(vcpu->gate, vcpu, VCPU_HELD_BY_RESET);
}

static bool dispatch_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return end_vm(vcpu, VM_END_POWEROFF, "KVM_SYSTEM_EVENT_SHUTDOWN");
	case KVM_SYSTEM_EVENT_RESET: return reset_vm(vcpu, VM_END_RESET, "KVM_SYSTEM_EVENT_RESET");
	case KVM_SYSTEM_EVENT_CRASH: return end_vm(vcpu, VM_END_PANIC, "KVM_SYSTEM_EVENT_CRASH");
	default: return end_vm(vcpu, VM_END_KVM_ERROR, "a system event of unknown type");
	}
}

static void note_error(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vcpu_error *e = &vcpu->error;

	e->set = true;
	e->reason = run->exit_reason;
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY) {
		e->hardware = run->fail_entry.hardware_entry_failure_reason;
	} else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
		e->suberror = run->internal.suberror;
		e->nr_data = run->internal.ndata;
		if (e->nr_data > ARRAY_SIZE(e->data))
			e->nr_data = ARRAY_SIZE(e->data);
		memcpy(e->data, run->internal.data, e->nr_data * sizeof(e->data[0]));
	} else if (run->exit_reason == KVM_EXIT_UNKNOWN) {
		e->hardware = run->hw.hardware_exit_reason;
	}
}

static bool vcpu_fail(struct vcpu *vcpu, const char *by)
{
	note_error(vcpu);
	return end_vm(vcpu, VM_END_KVM_ERROR, by);
}

/* A debugger's breakpoint may be what KVM could not emulate: then it says whether this is an error. */
static bool dispatch_internal_error(struct vcpu *vcpu)
{
	if (!vcpu->debugged || !arch_debug_failed(vcpu->fd, vcpu->run, &vcpu->debug_exit))
		return vcpu_fail(vcpu, "KVM_EXIT_INTERNAL_ERROR");
	note_error(vcpu);
	vcpu->debugged(vcpu, vcpu->debugged_arg);
	return true;
}

static bool dispatch_debug(struct vcpu *vcpu)
{
	if (!vcpu->debugged)
		return vcpu_fail(vcpu, "KVM_EXIT_DEBUG without a debugger");
	vcpu->debug_exit = arch_debug_exit_of(vcpu->run);
	vcpu->debugged(vcpu, vcpu->debugged_arg);
	return true;
}

static bool dispatch_rare(struct vcpu *vcpu)
{
	history_add_reason(vcpu, vcpu->run->exit_reason);
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_HLT: /* interrupts are in the kernel: it comes back when woken */
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR: return true;
	case KVM_EXIT_SHUTDOWN: return reset_vm(vcpu, VM_END_TRIPLE_FAULT, "KVM_EXIT_SHUTDOWN");
	case KVM_EXIT_SYSTEM_EVENT: return dispatch_system_event(vcpu);
	case KVM_EXIT_INTERNAL_ERROR: return dispatch_internal_error(vcpu);
	case KVM_EXIT_FAIL_ENTRY: return vcpu_fail(vcpu, "KVM_EXIT_FAIL_ENTRY");
	case KVM_EXIT_DEBUG: return dispatch_debug(vcpu);
	case KVM_EXIT_EXCEPTION: return vcpu_fail(vcpu, "KVM_EXIT_EXCEPTION");
	default: return vcpu_fail(vcpu, "an exit that Tollgate does not know");
	}
}

static inline bool ring_pending(const struct kvm_coalesced_mmio_ring *ring)
{
	return __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE) !=
	       __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE);
}

/* False when the vCPU must not run on. */
__attribute__((always_inline)) static inline bool
dispatch_exit(struct vcpu *vcpu, struct kvm_run *run, const struct kvm_coalesced_mmio_ring *ring)
{
	if (__builtin_expect(ring_pending(ring), 0))
		coalesced_drain(vcpu->coalesced);
	if (__builtin_expect(run->exit_reason == KVM_EXIT_IO, 1)) {
		dispatch_io(vcpu, run);
		return true;
	}
	if (run->exit_reason == KVM_EXIT_MMIO) {
		dispatch_mmio(vcpu);
		return true;
	}
	return dispatch_rare(vcpu);
}

bool vcpu_dispatch(struct vcpu *vcpu)
{
	return dispatch_exit(vcpu, vcpu->run, vcpu->ring);
}

/* immediate_exit first: a thread that sets it after that has stored why, and it is seen here or at the next exit. */
static bool take_failed_memory(struct vcpu *vcpu)
{
	uintptr_t host;

	/* A stop that comes now must find immediate_exit set, whichever of the two is first. */
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (atomic_load(&vcpu->stop))
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	host = atomic_exchange(&vcpu->failed_memory, 0);
	if (host && !vcpu->memory_failed(vcpu, host, vcpu->memory_failed_arg))
		return false;
	if (atomic_exchange(&vcpu->failed_elsewhere, false))
		return vcpu->memory_failed(vcpu, 0, vcpu->memory_failed_arg);
	return true;
}

/* A signal; stop says whether it is for good. False when the vCPU must not run on. */
static bool vcpu_interrupted(struct vcpu *vcpu)
{
	exits_add(&vcpu->interrupted, 1);
	if (vcpu->gate && __atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST))
		vcpu_gate_wait(vcpu->gate, vcpu);
	/* After the gate, which clears immediate_exit. */
	if (atomic_load(&vcpu->failed_memory) || atomic_load(&vcpu->failed_elsewhere))
		return take_failed_memory(vcpu);
	return true;
}

/* KVM_RUN returned -errno instead of an exit. False when the vCPU must not run on. */
__attribute__((noinline)) static bool vcpu_run_failed(struct vcpu *vcpu, int r)
{
	if (atomic_load(&vcpu->stop))
		return false;
	if (r == -EINTR || r == -EAGAIN || atomic_load(&vcpu->failed_memory))
		return vcpu_interrupted(vcpu);
	vcpu->error = (struct vcpu_error){.set = true, .run_errno = -r};
	return end_vm(vcpu, VM_END_KVM_ERROR, "KVM_RUN failed");
}

/* KVM_RUN, and a note of its exit when that is one to be noted. As run_guest(). */
static int run_guest_profiled(struct vcpu *vcpu)
{
	struct kvm_run *const run = vcpu->run;
	const bool wanted = vcpu_profile_wants(vcpu->profile);
	int r;

	if (__builtin_expect(wanted, 0))
		vcpu_profile_begin(vcpu->profile, run);
	r = run_guest(vcpu);
	if (__builtin_expect(wanted, 0))
		vcpu_profile_end(vcpu->profile, vcpu->fd, run, r);
	return r;
}

/* Dispatches what KVM_RUN returned. False when the vCPU must not run on. */
static bool take_exit(struct vcpu *vcpu, int r)
{
	return __builtin_expect(r < 0, 0) ? vcpu_run_failed(vcpu, r)
					  : dispatch_exit(vcpu, vcpu->run, vcpu->ring);
}

/* Apart from the loop of a VM that measures nothing, which pays nothing for it. */
static void measured_loop(struct vcpu *vcpu)
{
	int64_t start_ns = 0;

	for (;;) {
		const int r = vcpu->profile ? run_guest_profiled(vcpu) : run_guest(vcpu);

		if (vcpu->latency)
			start_ns = clock_monotonic_ns();
		if (!take_exit(vcpu, r))
			return;
		if (vcpu->latency)
			vcpu_latency_add(vcpu->latency, vcpu->run, r,
					 clock_monotonic_ns() - start_ns);
	}
}

/*
 * stop comes with immediate_exit, so it is looked at only where KVM_RUN was interrupted. Constant values are in
 * registers.
 */
void vcpu_loop(struct vcpu *vcpu)
{
	const struct kvm_coalesced_mmio_ring *const ring = vcpu->ring;
	struct kvm_run *const run = vcpu->run;
	int r;

	if (vcpu->profile || vcpu->latency) {
		measured_loop(vcpu);
		return;
	}
	for (;;) {
		r = run_guest(vcpu);
		if (__builtin_expect(r < 0, 0) ? !vcpu_run_failed(vcpu, r)
					       : !dispatch_exit(vcpu, run, ring))
			return;
	}
}

bool vcpu_run_dispatched(struct vcpu *vcpu, const atomic_bool *stop, unsigned n)
{
	const struct kvm_coalesced_mmio_ring *const ring = vcpu->ring;
	struct kvm_run *const run = vcpu->run;

	while (n > 0) {
		int r = run_guest(vcpu);

		if (__builtin_expect(r == 0, 1)) {
			if (!dispatch_exit(vcpu, run, ring))
				return false;
			n--;
		} else if (atomic_load(stop) || (r != -EINTR && r != -EAGAIN)) {
			return false;
		}
	}
	return true;
}

bool vcpu_run_timed(struct vcpu *vcpu, const atomic_bool *stop, bool dispatch, unsigned n,
		    int64_t *ns)
{
	while (n > 0) {
		int r = run_guest(vcpu);

		if (r == 0) {
			const int64_t start_ns = clock_monotonic_ns();

			if (dispatch && !dispatch_exit(vcpu, vcpu->run, vcpu->ring))
				return false;
			*ns++ = clock_monotonic_ns() - start_ns;
			n--;
		} else if (atomic_load(stop) || (r != -EINTR && r != -EAGAIN)) {
			return false;
		}
	}
	return true;
}

bool vcpu_run_bare(struct vcpu *vcpu, const atomic_bool *stop, unsigned n, uint64_t *count)
{
	struct kvm_run *const run = vcpu->run;

	while (n > 0) {
		int r = run_guest(vcpu);

		if (__builtin_expect(r == 0, 1)) {
			if (run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO) {
				n--;
				++*count;
			} else if (!vcpu_dispatch(vcpu)) {
				return false;
			}
		} else if (atomic_load(stop) || (r != -EINTR && r != -EAGAIN)) {
			return false;
		}
	}
	return true;
}

bool vcpu_exit_is_at(const struct vcpu *vcpu, enum iobus_space space, uint64_t addr)
{
	const struct kvm_run *run = vcpu->run;

	if (space == IOBUS_PIO)
		return run->exit_reason == KVM_EXIT_IO && run->io.port == addr;
	return run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == addr;
}

unsigned vcpu_exit_accesses(const struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	return run->exit_reason == KVM_EXIT_IO ? run->io.count : 1;
}

bool vcpu_exit_is_access(uint32_t reason, enum iobus_space *ret)
{
	if (reason != KVM_EXIT_IO && reason != KVM_EXIT_MMIO)
		return false;
	*ret = reason == KVM_EXIT_IO ? IOBUS_PIO : IOBUS_MMIO;
	return true;
}
