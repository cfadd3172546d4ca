#include "vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/thread.h"
#include "vcpu/gate.h"

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
	vcpu->power = power;
	vcpu->run_bytes = kvm->run_bytes;
	vcpu->fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		return diag_set(diag, -errno, "KVM_CREATE_VCPU %u", index);
	vcpu->run = mmap(NULL, kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return diag_set(diag, -errno, "map struct kvm_run of vCPU %u", index);
	}
	r = iobus_reader_create(pio, &vcpu->pio);
	if (r == 0)
		r = iobus_reader_create(mmio, &vcpu->mmio);
	if (r < 0)
		return diag_set(diag, r, "bus readers of vCPU %u", index);
	return 0;
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

	own_vcpu = vcpu;
	if (vcpu->loop)
		vcpu->loop(vcpu, vcpu->loop_arg);
	else
		vcpu_loop(vcpu);
	complete_io(vcpu);
	return NULL;
}

int vcpu_start(struct vcpu *vcpu, struct diag *diag)
{
	char name[16];
	int r;

	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	r = thread_start(&vcpu->thread, THREAD_VCPU, name, vcpu_thread, vcpu);
	if (r < 0)
		return diag_set(diag, r, "thread of vCPU %u", vcpu->index);
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

int vcpu_run_once(struct vcpu *vcpu)
{
	int r;

	vcpu->in_run = true;
	atomic_signal_fence(memory_order_seq_cst);
	r = ioctl(vcpu->fd, KVM_RUN, 0);
	atomic_signal_fence(memory_order_seq_cst);
	vcpu->in_run = false;
	return r < 0 ? -errno : (int)vcpu->run->exit_reason;
}

/* One writer, so no read-modify-write instruction is needed. */
static void count_exit(struct vcpu *vcpu, uint32_t reason)
{
	atomic_uint_fast64_t *n =
		&vcpu->exits[reason < VCPU_EXIT_REASONS ? reason : VCPU_EXIT_REASONS - 1];

	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static struct vcpu_history_entry *history_add(struct vcpu *vcpu, uint32_t reason)
{
	struct vcpu_history_entry *h = &vcpu->history[vcpu->nr_history++ % VCPU_HISTORY];

	h->reason = reason;
	return h;
}

/* A data field of at most 8 bytes; what lies past size is not the guest's. */
static uint64_t fetch(const void *data, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, data, size <= sizeof(v) ? size : sizeof(v));
	return v;
}

static void dispatch_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	void *data = (char *)run + run->io.data_offset;
	struct vcpu_history_entry *h = history_add(vcpu, KVM_EXIT_IO);

	if (__builtin_expect(run->io.count == 1, 1)) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			iobus_write(vcpu->pio, run->io.port, run->io.size, data);
		else
			iobus_read(vcpu->pio, run->io.port, run->io.size, data);
	} else {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			iobus_write_string(vcpu->pio, run->io.port, run->io.size, run->io.count,
					   data);
		else
			iobus_read_string(vcpu->pio, run->io.port, run->io.size, run->io.count,
					  data);
	}
	h->addr = run->io.port;
	h->size = run->io.size;
	h->count = run->io.count;
	h->is_write = run->io.direction == KVM_EXIT_IO_OUT;
	h->data = fetch(data, run->io.size);
}

static void dispatch_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vcpu_history_entry *h = history_add(vcpu, KVM_EXIT_MMIO);

	if (run->mmio.is_write)
		iobus_write(vcpu->mmio, run->mmio.phys_addr, run->mmio.len, run->mmio.data);
	else
		iobus_read(vcpu->mmio, run->mmio.phys_addr, run->mmio.len, run->mmio.data);
	h->addr = run->mmio.phys_addr;
	h->size = (uint8_t)run->mmio.len;
	h->count = 1;
	h->is_write = run->mmio.is_write;
	h->data = fetch(run->mmio.data, run->mmio.len);
}

static bool end_vm(struct vcpu *vcpu, enum vm_end_kind kind, const char *by)
{
	vcpu->power->end(vcpu->power, (struct vm_end){.kind = kind, .by = by});
	return false;
}

static bool dispatch_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return end_vm(vcpu, VM_END_POWEROFF, "KVM_SYSTEM_EVENT_SHUTDOWN");
	case KVM_SYSTEM_EVENT_RESET: return end_vm(vcpu, VM_END_RESET, "KVM_SYSTEM_EVENT_RESET");
	case KVM_SYSTEM_EVENT_CRASH: return end_vm(vcpu, VM_END_PANIC, "KVM_SYSTEM_EVENT_CRASH");
	default: return end_vm(vcpu, VM_END_KVM_ERROR, "a system event of unknown type");
	}
}

static bool vcpu_fail(struct vcpu *vcpu, const char *by)
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
	return end_vm(vcpu, VM_END_KVM_ERROR, by);
}

static bool dispatch_rare(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_HLT: /* interrupts are in the kernel: it comes back when woken */
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR: return true;
	case KVM_EXIT_SHUTDOWN: return end_vm(vcpu, VM_END_TRIPLE_FAULT, "KVM_EXIT_SHUTDOWN");
	case KVM_EXIT_SYSTEM_EVENT: return dispatch_system_event(vcpu);
	case KVM_EXIT_INTERNAL_ERROR: return vcpu_fail(vcpu, "KVM_EXIT_INTERNAL_ERROR");
	case KVM_EXIT_FAIL_ENTRY: return vcpu_fail(vcpu, "KVM_EXIT_FAIL_ENTRY");
	case KVM_EXIT_DEBUG: return vcpu_fail(vcpu, "KVM_EXIT_DEBUG without a debugger");
	case KVM_EXIT_EXCEPTION: return vcpu_fail(vcpu, "KVM_EXIT_EXCEPTION");
	default: return vcpu_fail(vcpu, "an exit that Tollgate does not know");
	}
}

bool vcpu_dispatch(struct vcpu *vcpu)
{
	uint32_t reason = vcpu->run->exit_reason;

	count_exit(vcpu, reason);
	if (vcpu->coalesced && coalesced_pending(vcpu->coalesced))
		coalesced_drain(vcpu->coalesced);
	if (__builtin_expect(reason == KVM_EXIT_IO, 1)) {
		dispatch_io(vcpu);
		return true;
	}
	if (reason == KVM_EXIT_MMIO) {
		dispatch_mmio(vcpu);
		return true;
	}
	history_add(vcpu, reason)->count = 0;
	return dispatch_rare(vcpu);
}

/* immediate_exit first: a thread that sets it after that has stored why, and it is seen here or at the next exit. */
static bool take_failed_memory(struct vcpu *vcpu)
{
	uintptr_t host;

	if (!atomic_load(&vcpu->stop))
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
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
	count_exit(vcpu, KVM_EXIT_INTR);
	if (vcpu->gate && __atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST))
		vcpu_gate_wait(vcpu->gate, vcpu);
	/* After the gate, which clears immediate_exit. */
	if (atomic_load(&vcpu->failed_memory) || atomic_load(&vcpu->failed_elsewhere))
		return take_failed_memory(vcpu);
	return true;
}

void vcpu_loop(struct vcpu *vcpu)
{
	while (!atomic_load_explicit(&vcpu->stop, memory_order_relaxed)) {
		int r = vcpu_run_once(vcpu);

		if (r >= 0) {
			if (!vcpu_dispatch(vcpu))
				return;
		} else if (r == -EINTR || r == -EAGAIN || atomic_load(&vcpu->failed_memory)) {
			if (!vcpu_interrupted(vcpu))
				return;
		} else {
			vcpu->error = (struct vcpu_error){.set = true, .run_errno = -r};
			end_vm(vcpu, VM_END_KVM_ERROR, "KVM_RUN failed");
			return;
		}
	}
}

bool vcpu_run_bare(struct vcpu *vcpu, unsigned n, uint64_t *count)
{
	while (n > 0) {
		int r = vcpu_run_once(vcpu);

		if (__builtin_expect(r == KVM_EXIT_IO || r == KVM_EXIT_MMIO, 1)) {
			n--;
			++*count;
		} else if (r >= 0) {
			if (!vcpu_dispatch(vcpu))
				return false;
		} else if (atomic_load(&vcpu->stop) || (r != -EINTR && r != -EAGAIN)) {
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
