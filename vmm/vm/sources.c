#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/signals.h"
#include "vm.h"
#include "vm/internal.h"

/* fd < 0: it could not be made, and errno says why. */
static int source_open(struct vm *vm, struct event_source *src, int fd,
		       void (*ready)(struct event_source *src, uint32_t epoll_events))
{
	const int r = fd < 0 ? -errno : 0;

	*src = (struct event_source){.fd = fd, .events = EPOLLIN, .ready = ready};
	return r < 0 ? r : event_loop_add(&vm->loop, src);
}

/* Takes one that was not made. */
static void source_close(struct vm *vm, struct event_source *src)
{
	if (src->fd <= 0)
		return;
	event_loop_remove(&vm->loop, src);
	close(src->fd);
	src->fd = -1;
}

static void vm_signals_ready(struct event_source *src, uint32_t epoll_events)
{
	struct vm *vm = container_of(src, struct vm, signals);
	struct signalfd_siginfo si;

	(void)epoll_events;
	if (read(src->fd, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGALRM: return;
	case SIGCONT: vm_chars_resume(&vm->chars); return;
	case SIGWINCH: vm_chars_resized(&vm->chars); return;
	case SIGINT:
		if (!vm_chars_interrupt(&vm->chars))
			vm_end(vm, (struct vm_end){.kind = VM_END_KILLED, .by = "SIGINT"});
		return;
	case SIGHUP: vm_end(vm, (struct vm_end){.kind = VM_END_KILLED, .by = "SIGHUP"}); return;
	default: vm_end(vm, (struct vm_end){.kind = VM_END_KILLED, .by = "SIGTERM"}); return;
	}
}

/*
 * The event thread takes signals as events; vCPU threads inherit the mask. One that was ignored when we
 * were started (nohup, a shell's `&`) stays so: once blocked, a signalfd would deliver it all the same.
 */
int vm_signals_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t set;
	int r;

	(void)opts;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (!signal_is_ignored(ends[i]))
			sigaddset(&set, ends[i]);
	if (signal_is_handled(SIGALRM)) /* the caller's deadline of the set-up, which ends here */
		sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGCONT);
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN); /* a write to a closed pipe says EPIPE */
	r = vcpu_signal_setup();
	if (r == 0)
		r = source_open(vm, &vm->signals, signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
				vm_signals_ready);
	if (r == 0)
		return 0;
	vm_signals_unmake(vm);
	return diag_set(diag, r, "signals-take", "take signals");
}

void vm_signals_unmake(struct vm *vm)
{
	source_close(vm, &vm->signals);
}

static void timeout_expired(void *arg)
{
	struct vm *vm = arg;

	vm_end(vm, (struct vm_end){.kind = VM_END_TIMEOUT, .by = "--timeout"});
}

int vm_timeout_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	int r;

	if (opts->deadline_ns == 0)
		return 0;
	r = event_timer_init(&vm->timeout, &vm->loop, timeout_expired, vm);
	if (r < 0)
		return diag_set(diag, r, "timeout-timer", "arm the --timeout timer");
	event_timer_arm(&vm->timeout, opts->deadline_ns);
	return 0;
}

void vm_timeout_unmake(struct vm *vm)
{
	event_timer_fini(&vm->timeout);
}

int64_t vm_timeout_stop(struct vm *vm)
{
	int64_t left_ns;

	if (!vm->timeout.loop)
		return 0;
	left_ns = event_timer_left_ns(&vm->timeout);
	event_timer_arm(&vm->timeout, INT64_MAX);
	return left_ns;
}

/* One that had passed, with its event still to come, has nothing left, and comes at once. */
void vm_timeout_start(struct vm *vm, int64_t left_ns)
{
	if (vm->timeout.loop)
		event_timer_arm_in(&vm->timeout, left_ns);
}

/*
 * A guest that sends a byte and halts until the UART interrupts waits for the drain, all the longer
 * while it was idle. Drivers that probe for the interrupt give it 100 ms and more.
 */
enum { DRAIN_MIN_MS = 10, DRAIN_MAX_MS = 40 };

/* Less and less often while nothing is found, so that an idle guest costs next to nothing. */
static void drain_expired(void *arg)
{
	struct vm *vm = arg;

	if (coalesced_pending(&vm->coalesced)) {
		coalesced_drain(&vm->coalesced);
		vm->drain_ns = DRAIN_MIN_MS * NS_PER_MS;
	} else if (vm->drain_ns < DRAIN_MAX_MS * NS_PER_MS) {
		vm->drain_ns *= 2;
	}
	event_timer_arm_in(&vm->drain, vm->drain_ns);
}

void vm_coalesced_start(struct vm *vm)
{
	if (vm->coalesced.ring)
		event_timer_arm_in(&vm->drain, vm->drain_ns);
}

/* Before the devices, which register their zones. */
int vm_coalesced_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	int r;

	if (opts->no_coalesce)
		return 0;
	r = coalesced_init(&vm->coalesced, &vm->kvm, vm->vcpu[0].run, vm->pio, vm->mmio);
	if (r < 0) {
		vm_coalesced_unmake(vm);
		return diag_set(diag, r, "coalesced-readers", "bus readers for collected writes");
	}
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_set_coalesced(&vm->vcpu[i], &vm->coalesced);
	vm->drain_ns = DRAIN_MIN_MS * NS_PER_MS;
	r = event_timer_init(&vm->drain, &vm->loop, drain_expired, vm);
	if (r == 0)
		return 0;
	vm_coalesced_unmake(vm);
	return diag_set(diag, r, "coalesced-timer", "timer of coalesced writes");
}

void vm_coalesced_unmake(struct vm *vm)
{
	event_timer_fini(&vm->drain);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_set_coalesced(&vm->vcpu[i], NULL);
	coalesced_fini(&vm->coalesced);
}
