#include "vm.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/signals.h"
#include "vm/failed_memory.h"

static int64_t host_realtime_ns(const struct clock_src *clk)
{
	(void)clk;
	return clock_ns(CLOCK_REALTIME);
}

static int64_t host_monotonic_ns(const struct clock_src *clk)
{
	(void)clk;
	return clock_monotonic_ns();
}

static const struct clock_src host_clock = {
	.realtime_ns = host_realtime_ns,
	.monotonic_ns = host_monotonic_ns,
};

void vm_end(struct vm *vm, struct vm_end end)
{
	pthread_mutex_lock(&vm->end_lock);
	if (vm->end.kind == VM_END_NONE) {
		vm->end = end;
		for (unsigned i = 0; i < vm->nr_vcpus; i++)
			vcpu_stop(&vm->vcpu[i]);
		vm_halted_release(vm);
		event_loop_stop(&vm->loop);
	}
	pthread_mutex_unlock(&vm->end_lock);
}

static void power_end(struct power *power, struct vm_end end)
{
	vm_end(container_of(power, struct vm, power), end);
}

static void loop_woken(void *arg)
{
	struct vm *vm = arg;

	vm_chars_woken(&vm->chars);
	vm_halted_woken(vm);
}

/* The index of the range that a register page serves; -1: none. */
static int memory_range(const struct machine_device *row)
{
	for (unsigned k = 0; row->cls->register_page && k < row->nr_ranges + row->nr_unadvertised;
	     k++)
		if (row->range[k].space == IOBUS_MMIO)
			return (int)k;
	return -1;
}

/* A host that lacks read-only slots makes an exit of each read, which is slower and no error. */
static void build_register_pages(struct vm *vm)
{
	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const struct machine_device *row = &vm->machine.device[i];
		const int k = memory_range(row);

		if (k >= 0)
			register_page_init(&vm->register_page[i], &vm->kvm,
					   kvm_mem_slot_new(&vm->kvm), row->range[k].first);
	}
}

struct device *vm_bus_device(struct vm *vm, unsigned i)
{
	return vm->register_page[i].inner ? &vm->register_page[i].dev : vm->device[i];
}

static int build_ram(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	struct guest_region regions[MACHINE_RAM_MAX] = {0};
	struct machine_span ram[MACHINE_RAM_MAX];
	unsigned nr = 0;
	int r = machine_ram(&arch_platform, opts->machine.mem_bytes, ram, &nr, diag);

	for (unsigned i = 0; i < nr; i++)
		regions[i] = (struct guest_region){.gpa = ram[i].gpa, .len = ram[i].len};
	return r < 0 ? r : guest_mem_init(&vm->mem, regions, nr, &opts->mem, diag);
}

/* The kernel first: what a machine tells it depends on what it can find. */
static int build_machine(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	const struct arch_boot_opts boot = {
		.boot = opts->boot,
		.kernel = &opts->kernel,
		.initrd = opts->initrd,
		.nr_initrds = opts->nr_initrds,
	};
	struct machine_spec spec = opts->machine;
	int r = arch_boot_create(&boot, &vm->mem, &vm->boot, &vm->kernel, diag);

	if (r < 0)
		return r;
	spec.advertise_ports = !vm->kernel.finds_register_pages;
	return machine_resolve(&arch_platform, &spec, &vm->machine, diag);
}

/* What the files gave is in guest memory then; the files are the caller's again. */
static int build_boot(struct vm *vm, struct diag *diag)
{
	int r = arch_boot_load(vm->boot, &vm->machine, vm->vcpu[0].fd, diag);

	vm->boot = arch_boot_destroy(vm->boot);
	return r;
}

static int build_memory_slots(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	int r = kvm_mem_slots_set(&vm->kvm, &vm->mem, diag);

	if (r < 0)
		return r;
	build_register_pages(vm);
	return vm_virtio_build_pages(vm, &opts->virtio, diag);
}

static int build_vcpus(struct vm *vm, enum arch_cpu_template cpu, struct diag *diag)
{
	int r = arch_cpu_model_create(&vm->kvm, vm->machine.cpus, cpu, &vm->cpu_model, diag);

	if (r < 0)
		return r;
	vm->vcpu = aligned_alloc(_Alignof(struct vcpu), vm->machine.cpus * sizeof(*vm->vcpu));
	if (!vm->vcpu)
		return diag_set(diag, -ENOMEM, "%u vCPUs", vm->machine.cpus);
	memset(vm->vcpu, 0, vm->machine.cpus * sizeof(*vm->vcpu));
	for (unsigned i = 0; i < vm->machine.cpus; i++) {
		vm->nr_vcpus = i + 1;
		r = vcpu_init(&vm->vcpu[i], &vm->kvm, i, vm->pio, vm->mmio, &vm->power, diag);
		if (r == 0)
			r = arch_vcpu_init(vm->vcpu[i].fd, vm->cpu_model, i, diag);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What machine.device[i] is handed. */
static int build_device_env(struct vm *vm, unsigned i, struct device_env *env, struct diag *diag)
{
	const struct machine_device *row = &vm->machine.device[i];

	*env = (struct device_env){
		.clock = &host_clock,
		.mem = &vm->mem,
		.power = &vm->power,
		.conf = row->conf,
		.diag = diag,
	};
	if (row->gsi >= 0) {
		kvm_irq_line_init(&vm->irq[i], &vm->kvm, (unsigned)row->gsi);
		env->irq = &vm->irq[i].line;
	}
	if ((row->cls->expire && !vm->virtio[i]) || vm->register_page[i].page) {
		int r = event_timer_init(&vm->timer[i], &vm->loop, device_expire, NULL);

		if (r < 0)
			return diag_set(diag, r, "timer of device '%s'", row->name);
		env->timer = &vm->timer[i].line;
	}
	return 0;
}

/* A host that lacks it makes an exit of each write, which is slower and no error. */
static void coalesce_writes(struct vm *vm, const struct machine_device *row)
{
	if (row->cls->coalesce_len == 0 || !vm->coalesced.ring)
		return;
	for (unsigned k = 0; k < row->nr_ranges + row->nr_unadvertised; k++)
		coalesced_add(&vm->coalesced, row->range[k].space, row->range[k].first,
			      row->cls->coalesce_len);
}

/* As the back end sees it: a register page has char_ops of its own. */
static void connect_char(struct vm *vm, unsigned i, struct char_port *port)
{
	struct device *dev = vm_bus_device(vm, i);
	const struct char_ops *ops = dev->cls->chr;

	if (!ops)
		ops = vm_virtio_char_ops(&vm->machine.device[i]);
	device_char_init(&vm->chr[i], dev, ops);
	char_port_connect(port, &vm->chr[i].client);
}

static int build_device(struct vm *vm, unsigned i, const struct vm_opts *opts, struct diag *diag)
{
	const struct machine_device *row = &vm->machine.device[i];
	struct register_page *page = &vm->register_page[i];
	struct char_port *port = NULL;
	struct device_env env;
	int r = build_device_env(vm, i, &env, diag);

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
		return diag_set(diag, r, "create device '%s'", row->name);
	coalesce_writes(vm, row);
	if (page->page)
		register_page_attach(page, vm->device[i], (uint8_t)memory_range(row),
				     (uint8_t)row->range[0].len, vm->coalesced.capacity);
	vm->timer[i].arg = vm_bus_device(vm, i);
	if (port)
		connect_char(vm, i, port);
	return vm_virtio_build_doorbells(vm, i, &opts->virtio, diag);
}

/* All ranges of one space in one step: one sort and one publication. */
static int build_ranges(struct vm *vm, enum iobus_space space, struct diag *diag)
{
	struct iobus_range range[MACHINE_DEVICES_MAX * MACHINE_RANGES_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < vm->machine.nr_devices; i++) {
		const struct machine_device *row = &vm->machine.device[i];

		for (unsigned k = 0; k < row->nr_ranges + row->nr_unadvertised; k++) {
			if (row->range[k].space != space)
				continue;
			range[n++] = (struct iobus_range){
				.first = row->range[k].first,
				.len = row->range[k].len,
				.dev = vm_bus_device(vm, i),
				.owner = row->name,
				.region = (uint8_t)k,
			};
		}
	}
	return n ? iobus_add_many(space == IOBUS_PIO ? vm->pio : vm->mmio, range, n, diag) : 0;
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
	case SIGINT: vm_end(vm, (struct vm_end){.kind = VM_END_KILLED, .by = "SIGINT"}); return;
	case SIGHUP: vm_end(vm, (struct vm_end){.kind = VM_END_KILLED, .by = "SIGHUP"}); return;
	default: vm_end(vm, (struct vm_end){.kind = VM_END_KILLED, .by = "SIGTERM"}); return;
	}
}

static void timeout_ready(struct event_source *src, uint32_t epoll_events)
{
	struct vm *vm = container_of(src, struct vm, timeout);

	(void)epoll_events;
	vm_end(vm, (struct vm_end){.kind = VM_END_TIMEOUT, .by = "--timeout"});
}

/*
 * The event thread takes signals as events; vCPU threads inherit the mask. One that was ignored when we
 * were started (nohup, a shell's `&`) stays so: once blocked, a signalfd would deliver it all the same.
 */
static int build_signals(struct vm *vm, struct diag *diag)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t set;
	int r;

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
	vm->signals = (struct event_source){
		.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = vm_signals_ready,
	};
	if (r == 0)
		r = vm->signals.fd < 0 ? -errno : event_loop_add(&vm->loop, &vm->signals);
	if (r < 0)
		diag_set(diag, r, "take signals");
	return r;
}

static int build_timeout(struct vm *vm, int64_t deadline_ns, struct diag *diag)
{
	const struct itimerspec spec = {.it_value = clock_timespec(deadline_ns)};
	int r;

	if (deadline_ns == 0)
		return 0;
	vm->timeout = (struct event_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = timeout_ready,
	};
	r = vm->timeout.fd < 0 ? -errno : event_loop_add(&vm->loop, &vm->timeout);
	if (r == 0 && timerfd_settime(vm->timeout.fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
		r = -errno;
	if (r < 0)
		diag_set(diag, r, "arm the --timeout timer");
	return r;
}

static int build_buses(struct vm *vm, bool time_exits, struct diag *diag)
{
	int r = iobus_create(IOBUS_PIO, &vm->pio);

	if (r == 0)
		r = iobus_create(IOBUS_MMIO, &vm->mmio);
	if (r < 0)
		return diag_set(diag, r, "create the buses");
	iobus_set_timing(vm->pio, time_exits);
	iobus_set_timing(vm->mmio, time_exits);
	return 0;
}

/*
 * A guest that sends a byte and halts until the UART interrupts waits for the drain, all the longer
 * while it was idle. Drivers that probe for the interrupt give it 100 ms and more.
 */
enum { DRAIN_MIN_MS = 10, DRAIN_MAX_MS = 40 };

static void arm_drain(const struct vm *vm)
{
	const struct itimerspec spec = {.it_value = clock_timespec(vm->drain_ns)};

	timerfd_settime(vm->drain.fd, 0, &spec, NULL);
}

/* Less and less often while nothing is found, so that an idle guest costs next to nothing. */
static void drain_ready(struct event_source *src, uint32_t epoll_events)
{
	struct vm *vm = container_of(src, struct vm, drain);
	uint64_t n;

	(void)epoll_events;
	if (read(src->fd, &n, sizeof(n)) != sizeof(n))
		return;
	if (coalesced_pending(&vm->coalesced)) {
		coalesced_drain(&vm->coalesced);
		vm->drain_ns = DRAIN_MIN_MS * NS_PER_MS;
	} else if (vm->drain_ns < DRAIN_MAX_MS * NS_PER_MS) {
		vm->drain_ns *= 2;
	}
	arm_drain(vm);
}

/* Before the devices, which register their zones. */
static int build_coalesced(struct vm *vm, bool no_coalesce, struct diag *diag)
{
	int r;

	if (no_coalesce)
		return 0;
	r = coalesced_init(&vm->coalesced, &vm->kvm, vm->vcpu[0].run, vm->pio, vm->mmio);
	if (r < 0)
		return diag_set(diag, r, "bus readers for collected writes");
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vm->vcpu[i].coalesced = &vm->coalesced;
	vm->drain_ns = DRAIN_MIN_MS * NS_PER_MS;
	vm->drain = (struct event_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.events = EPOLLIN,
		.ready = drain_ready,
	};
	r = vm->drain.fd < 0 ? -errno : event_loop_add(&vm->loop, &vm->drain);
	return r < 0 ? diag_set(diag, r, "timer of coalesced writes") : 0;
}

/* The order matters: see docs/architecture.md, "Build order". */
static int vm_build(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	const struct vm_chars_opts chars = {
		.input = opts->input,
		.to_stdout = opts->to_stdout,
		.output = opts->output,
		.nr_outputs = opts->nr_outputs,
	};
	int r = kvm_open(&vm->kvm, diag);

	if (r == 0)
		r = arch_host_check(&vm->kvm, opts->machine.cpus, diag);
	if (r == 0)
		r = build_ram(vm, opts, diag);
	if (r == 0)
		r = build_machine(vm, opts, diag);
	if (r == 0)
		r = kvm_vm_create(&vm->kvm, diag);
	if (r == 0)
		r = build_memory_slots(vm, opts, diag);
	if (r == 0)
		r = arch_irqchip_create(&vm->kvm, diag);
	if (r == 0)
		r = build_buses(vm, opts->time_exits, diag);
	if (r == 0)
		r = build_vcpus(vm, opts->cpu, diag);
	if (r == 0) {
		r = event_loop_init(&vm->loop, loop_woken, vm);
		if (r < 0)
			diag_set(diag, r, "create the event loop");
	}
	if (r == 0)
		r = vm_halted_build(vm, diag);
	/*
	 * What takes long is done by now, and nothing that others see was made. From here on signals and
	 * the timeout wait for the event loop; before, they act as the caller has arranged.
	 */
	if (r == 0)
		r = build_boot(vm, diag);
	if (r == 0)
		r = build_signals(vm, diag);
	if (r == 0)
		r = build_timeout(vm, opts->deadline_ns, diag);
	vm_chars_init(&vm->chars, &chars, &vm->loop, &vm->power);
	if (r == 0)
		r = build_coalesced(vm, opts->no_coalesce, diag);
	for (unsigned i = 0; r == 0 && i < vm->machine.nr_devices; i++)
		r = build_device(vm, i, opts, diag);
	if (r == 0)
		r = build_ranges(vm, IOBUS_PIO, diag);
	if (r == 0)
		r = build_ranges(vm, IOBUS_MMIO, diag);
	return r;
}

int vm_init(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	memset(vm, 0, sizeof(*vm));
	vm->kvm.fd = vm->kvm.vm_fd = -1;
	vm->time_exits = opts->time_exits;
	vm->power.end = power_end;
	pthread_mutex_init(&vm->end_lock, NULL);
	return vm_build(vm, opts, diag);
}

/*
 * A kernel without a driver for pvpanic resets after a panic (we ask it to, by panic=-1), or makes a triple
 * fault where it was told reboot=t, or halts where its user took panic=-1 away: the words on its console are all that tells that from a reset.
 */
static void note_panic(struct vm *vm)
{
	if ((vm->end.kind == VM_END_RESET || vm->end.kind == VM_END_TRIPLE_FAULT ||
	     vm->end.kind == VM_END_HALTED) &&
	    vm_chars_saw_panic(&vm->chars))
		vm->end = (struct vm_end){.kind = VM_END_PANIC, .by = "the kernel's console"};
}

int vm_run(struct vm *vm, struct vm_end *ret_end, struct diag *diag)
{
	int r;

	if (vm->coalesced.ring)
		arm_drain(vm);
	r = vm_failed_memory_watch(vm);
	if (r < 0)
		return diag_set(diag, r, "take SIGBUS");
	r = vm_virtio_start(vm, diag);
	/*
	 * The boot processor last: no guest code runs before every thread is there. Under the lock,
	 * because a guest that ends at once looks at what vcpu_start() writes after the thread runs.
	 */
	pthread_mutex_lock(&vm->end_lock);
	for (unsigned i = vm->nr_vcpus; r == 0 && i-- > 0;)
		r = vcpu_start(&vm->vcpu[i], diag);
	pthread_mutex_unlock(&vm->end_lock);
	if (r < 0)
		vm_end(vm, (struct vm_end){.kind = VM_END_KVM_ERROR, .by = "a thread is missing"});
	else
		vm_halted_start(vm);
	if (r == 0)
		event_loop_run(&vm->loop);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_join(&vm->vcpu[i]);
	/* What the guest wrote before its end; a port that ended it was an exit and came last. */
	coalesced_drain(&vm->coalesced);
	vm->stuck = !vm_virtio_stop(vm);
	if (!vm->stuck)
		vm_failed_memory_unwatch();
	note_panic(vm);
	*ret_end = vm->end;
	return r;
}

void vm_console_close(struct vm *vm)
{
	vm_chars_fini(&vm->chars);
}

bool vm_fini(struct vm *vm)
{
	if (!vm->power.end)
		return true;  /* zeroed: its descriptors are not ours to close */
	vm_console_close(vm); /* a console's thread waits for nothing: see char_backend */
	if (vm->stuck)
		return false;
	for (unsigned i = 0; i < MACHINE_DEVICES_MAX; i++)
		event_timer_fini(&vm->timer[i]);
	coalesced_fini(&vm->coalesced);
	vm_halted_fini(vm);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_fini(&vm->vcpu[i]);
	free(vm->vcpu);
	vm->vcpu = NULL;
	vm->nr_vcpus = 0;
	vm_virtio_disconnect(vm);
	vm->mmio = iobus_destroy(vm->mmio);
	vm->pio = iobus_destroy(vm->pio);
	for (unsigned i = 0; i < MACHINE_DEVICES_MAX; i++)
		vm->device[i] = device_destroy(vm->device[i]);
	if (vm->signals.fd > 0)
		close(vm->signals.fd);
	if (vm->timeout.fd > 0)
		close(vm->timeout.fd);
	if (vm->drain.fd > 0)
		close(vm->drain.fd);
	event_loop_fini(&vm->loop);
	vm->cpu_model = arch_cpu_model_destroy(vm->cpu_model);
	kvm_close(&vm->kvm);
	for (unsigned i = 0; i < MACHINE_DEVICES_MAX; i++)
		register_page_fini(&vm->register_page[i]);
	vm_virtio_fini(vm);
	vm->boot = arch_boot_destroy(vm->boot);
	guest_mem_fini(&vm->mem);
	pthread_mutex_destroy(&vm->end_lock);
	return true;
}
