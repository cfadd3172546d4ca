#include "gdb/internal.h"
#include "vm/pause.h"
#include "vm/reset.h"

/* On the vCPU's thread. It waits at the gate from here on, whatever the event thread is about to do with that. */
void gdb_vcpu_stopped(struct vcpu *vcpu, void *arg)
{
	struct gdb *gdb = arg;

	vcpu_gate_hold(vcpu->gate, vcpu, VCPU_HELD_BY_DEBUGGER);
	atomic_store(&gdb->vcpu[vcpu->index].has_stopped, true);
	event_loop_wake(&gdb->vm->loop);
}

/* Marks its stop as handled: its breakpoint may be gone by the time that others stop. */
static void forget_stop(struct gdb *gdb, unsigned i)
{
	struct vcpu *vcpu = &gdb->vm->vcpu[i];

	if (atomic_exchange(&gdb->vcpu[i].has_stopped, false) && vcpu->debug_exit.failed)
		vcpu->error.set = false; /* KVM failed at a breakpoint, which was no error */
}

static void release(struct gdb *gdb, unsigned i)
{
	vcpu_gate_release(gdb->vm->vcpu[i].gate, &gdb->vm->vcpu[i], VCPU_HELD_BY_DEBUGGER);
}

/* Sets in KVM, while the vCPU is held, how it is to run. */
static void apply(struct gdb *gdb, unsigned i, bool is_guests)
{
	struct arch_debug debug = {
		.breakpoints = gdb->nr_breakpoints > 0,
		.step = gdb->vcpu[i].action == GDB_STEPS,
		.is_guests = is_guests,
	};

	for (unsigned k = 0; k < ARCH_DEBUG_POINTS; k++)
		debug.point[k] = gdb->point[k];
	arch_vcpu_debug(gdb->vm->vcpu[i].fd, &debug);
}

/* A breakpoint before an instruction stops again when it is come to again; what came after one does not. */
static bool would_be_lost(const struct gdb *gdb, const struct arch_debug_exit *debug_exit)
{
	if (debug_exit->is_breakpoint)
		return false;
	return debug_exit->point < 0 || gdb->point[debug_exit->point].kind != ARCH_DEBUG_BREAK;
}

int gdb_stop(struct gdb *gdb, struct diag *diag)
{
	int r;

	if (gdb->is_stopped)
		return 0;
	r = vm_pause(gdb->vm, VM_PAUSED_BY_DEBUGGER, diag);
	if (r < 0)
		return r;
	gdb->is_stopped = true;
	for (unsigned i = 0; i < gdb->vm->nr_vcpus; i++)
		gdb->vcpu[i].unreported = atomic_load(&gdb->vcpu[i].has_stopped) &&
					  would_be_lost(gdb, &gdb->vm->vcpu[i].debug_exit);
	return 0;
}

void gdb_set_actions(struct gdb *gdb, enum gdb_action action)
{
	for (unsigned i = 0; i < gdb->vm->nr_vcpus; i++)
		gdb->vcpu[i].action = action;
}

/* "watch" and so on, as the protocol names the reason; "" for a step or a stop that was asked for. */
static void print_reason(const struct gdb *gdb, const struct arch_debug_exit *debug_exit, char *buf,
			 size_t len)
{
	const struct arch_debug_point *point;

	buf[0] = '\0';
	if (debug_exit->is_breakpoint) {
		snprintf(buf, len, "swbreak:;");
		return;
	}
	if (debug_exit->point < 0)
		return;
	point = &gdb->point[debug_exit->point];
	if (point->kind == ARCH_DEBUG_BREAK)
		snprintf(buf, len, "hwbreak:;");
	else if (point->kind != ARCH_DEBUG_NONE)
		snprintf(buf, len, "%s:%llx;", point->kind == ARCH_DEBUG_WRITE ? "watch" : "awatch",
			 (unsigned long long)point->addr);
}

void gdb_report(struct gdb *gdb, unsigned vcpu, unsigned signal)
{
	char reason[48] = "";

	if (signal == GDB_SIGTRAP)
		print_reason(gdb, &gdb->vm->vcpu[vcpu].debug_exit, reason, sizeof(reason));
	gdb->current = vcpu;
	gdb->vcpu[vcpu].unreported = false;
	gdb_replyf(gdb, "T%02xthread:%x;%s", signal, vcpu + 1, reason);
}

void gdb_go_on(struct gdb *gdb)
{
	for (unsigned i = 0; i < gdb->vm->nr_vcpus; i++) {
		if (gdb->vcpu[i].unreported) {
			gdb_report(gdb, i, GDB_SIGTRAP);
			return;
		}
	}
	for (unsigned i = 0; i < gdb->vm->nr_vcpus; i++) {
		forget_stop(gdb, i);
		apply(gdb, i, false);
		if (gdb->vcpu[i].action == GDB_STAYS)
			vcpu_gate_hold(gdb->vm->vcpu[i].gate, &gdb->vm->vcpu[i],
				       VCPU_HELD_BY_DEBUGGER);
		else
			release(gdb, i);
	}
	gdb->is_stopped = false;
	vm_resume(gdb->vm, VM_PAUSED_BY_DEBUGGER, NULL);
}

void gdb_kill(struct gdb *gdb)
{
	if (gdb->is_extended) {
		gdb_clear_all(gdb);
		gdb->is_killed = true;
		return;
	}
	vm_end_finally(gdb->vm, (struct vm_end){.kind = VM_END_KILLED, .by = "debugger"});
}

bool gdb_restart(struct gdb *gdb)
{
	struct diag diag = {0};

	gdb_clear_all(gdb);
	if (vm_reset(gdb->vm, &diag) < 0)
		return false;
	gdb->is_killed = false;
	gdb->current = 0;
	return true;
}

/* The stops of vCPUs are those of the guest before the reset. */
void gdb_vm_reset(void *arg)
{
	struct gdb *gdb = arg;

	for (unsigned i = 0; i < gdb->vm->nr_vcpus; i++) {
		struct vcpu *vcpu = &gdb->vm->vcpu[i];

		forget_stop(gdb, i);
		gdb->vcpu[i].unreported = false;
		vcpu->debug_exit = (struct arch_debug_exit){.point = -1};
		if (!gdb->is_stopped && gdb->vcpu[i].action != GDB_STAYS)
			release(gdb, i);
	}
	gdb_set_again(gdb);
}

void gdb_let_go(struct gdb *gdb)
{
	struct diag diag = {0};

	if (gdb->is_killed) {
		vm_end_finally(gdb->vm, (struct vm_end){.kind = VM_END_KILLED, .by = "debugger"});
		return;
	}
	if (gdb_stop(gdb, &diag) < 0 && !gdb->is_stopped)
		return; /* the VM is about to end */
	gdb_clear_all(gdb);
	gdb_set_actions(gdb, GDB_CONTINUES);
	for (unsigned i = 0; i < gdb->vm->nr_vcpus; i++)
		gdb->vcpu[i].unreported = false;
	gdb_go_on(gdb);
}

/* The guest's own breakpoint is the guest's: it goes on there, and nothing else was stopped. */
static bool is_guests_own(struct gdb *gdb, unsigned i)
{
	const struct arch_debug_exit *debug_exit = &gdb->vm->vcpu[i].debug_exit;

	if (!debug_exit->is_breakpoint)
		return false;
	if (gdb_is_breakpoint(gdb, i, debug_exit->linear))
		return false;
	if (debug_exit->failed) { /* vcpu.error has what is reported */
		vm_end(gdb->vm,
		       (struct vm_end){.kind = VM_END_KVM_ERROR, .by = "KVM_EXIT_INTERNAL_ERROR"});
		return true;
	}
	forget_stop(gdb, i);
	apply(gdb, i, true);
	release(gdb, i);
	return true;
}

void gdb_woken(void *arg)
{
	struct gdb *gdb = arg;
	unsigned first = gdb->vm->nr_vcpus;
	struct diag diag = {0};

	for (unsigned i = gdb->vm->nr_vcpus; !gdb->is_stopped && i-- > 0;)
		if (atomic_load(&gdb->vcpu[i].has_stopped) && !is_guests_own(gdb, i))
			first = i;
	if (first == gdb->vm->nr_vcpus || gdb_stop(gdb, &diag) < 0)
		return;
	gdb_report(gdb, first, GDB_SIGTRAP);
}
