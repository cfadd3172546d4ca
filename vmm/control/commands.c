#include "control/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/option.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "control/internal.h"
#include "virtio/classes.h"
#include "virtio/transport.h"
#include "vm/pause.h"
#include "vm/plug.h"

/* A command of a VM. */
struct command {
	const char *name, *args;
	unsigned args_min, args_max;
	command_fn *run;
	const char *help;
};

/* The next virtio device of that class, from device[*at] on, which is past it then; NULL: no more. */
static struct virtio_device *next_device(const struct vm *vm, const struct virtio_class *cls,
					 unsigned *at)
{
	while (*at < vm->machine.nr_devices) {
		const unsigned i = (*at)++;
		struct virtio_device *vd = vm->virtio[i] ? virtio_device_of(vm->device[i]) : NULL;

		if (vd && vd->cls == cls)
			return vd;
	}
	return NULL;
}

static const char *link_state(struct virtio_net_link link)
{
	return !link.plugged ? "down control" : link.interface_up ? "up" : "down interface";
}

static void print_links(const struct vm *vm, FILE *out)
{
	struct virtio_device *vd;

	for (unsigned at = 0; (vd = next_device(vm, &virtio_net_class, &at));)
		fprintf(out, "link %s %s\n", vd->name, link_state(virtio_net_link(vd)));
}

static int run_status(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		      struct diag *diag)
{
	const int64_t ms = (clock_monotonic_ns() - ctl->since_ns) / NS_PER_MS;
	const struct virtio_device *vd;

	(void)arg;
	(void)nr;
	(void)diag;
	fprintf(out, "state %s\n", vm_is_paused(ctl->vm) ? "paused" : vm_end_name(VM_END_NONE));
	fprintf(out, "uptime_s %" PRId64 ".%03" PRId64 "\n", ms / 1000, ms % 1000);
	fprintf(out, "pid %ld\n", (long)getpid());
	for (unsigned at = 0; (vd = next_device(ctl->vm, &virtio_balloon_class, &at));)
		fprintf(out, "balloon %s\n", vd->name);
	print_links(ctl->vm, out);
	for (unsigned i = 0; i < ctl->vm->machine.nr_devices; i++)
		if (ctl->vm->unplugged[i])
			fprintf(out, "unplugged %s\n", ctl->vm->machine.device[i].name);
	return 0;
}

static int run_stats(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		     struct diag *diag)
{
	(void)arg;
	(void)nr;
	return stats_print_json(out, ctl->vm, &ctl->kvm, diag);
}

static int set_balloon(struct virtio_device *vd, const char *arg, uint64_t mem_bytes,
		       struct diag *diag)
{
	uint64_t bytes = 0;
	char has[24];

	if (strcmp(arg, "0") != 0 && parse_size_bytes(arg, &bytes) < 0) {
		diag_set(diag, -EINVAL, "balloon-size", "balloon '%s' is not a size", arg);
		diag_remedy(diag, "a number with M or G, as in balloon 256M; or 0");
		return -EINVAL;
	}
	if (bytes && bytes < VIRTIO_BALLOON_TARGET_MIN_BYTES) {
		diag_set(diag, -EINVAL, "balloon-size-min", "balloon %s is less than 1M", arg);
		option_size_remedy("balloon", arg, VIRTIO_BALLOON_TARGET_MIN_BYTES, diag);
		return -EINVAL;
	}
	if (bytes >= mem_bytes) {
		diag_set(diag, -EINVAL, "balloon-size-max",
			 "balloon %s is all of the guest's memory, or more", arg);
		diag_remedy(diag, "less than %s", format_size(mem_bytes, has));
		return -EINVAL;
	}
	virtio_balloon_retarget(vd, bytes);
	return 0;
}

static int run_balloon(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		       struct diag *diag)
{
	struct virtio_device *vd = next_device(ctl->vm, &virtio_balloon_class, &(unsigned){0});
	struct virtio_balloon_size size;

	if (!vd) {
		diag_set(diag, -EINVAL, "balloon-none", "this VM has no balloon");
		diag_remedy(diag, "start it with --balloon 0, or with a SIZE");
		return -EINVAL;
	}
	if (nr > 0)
		return set_balloon(vd, arg[0], ctl->vm->machine.mem_bytes, diag);
	size = virtio_balloon_size(vd);
	fprintf(out, "target_bytes %" PRIu64 "\nactual_bytes %" PRIu64 "\n", size.target_bytes,
		size.actual_bytes);
	return 0;
}

static int say_no_network(const struct vm *vm, const char *name, struct diag *diag)
{
	const struct virtio_device *vd;
	char names[256] = "";
	size_t len = 0;

	for (unsigned at = 0; (vd = next_device(vm, &virtio_net_class, &at));)
		if (len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len, " %s", vd->name);
	diag_set(diag, -EINVAL, "network-none", "this VM has no network '%s'", name);
	if (len > 0)
		diag_remedy(diag, "it has:%s", names);
	else
		diag_remedy(diag, "start it with --net user or --net tap");
	return -EINVAL;
}

static int run_link(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		    struct diag *diag)
{
	const bool up = strcmp(arg[1], "up") == 0;
	struct virtio_device *vd;

	(void)nr;
	(void)out;
	if (!up && strcmp(arg[1], "down") != 0) {
		diag_set(diag, -EINVAL, "link-state", "link %s '%s' is neither up nor down", arg[0],
			 arg[1]);
		diag_remedy(diag, "link NAME up, or link NAME down");
		return -EINVAL;
	}
	for (unsigned at = 0; (vd = next_device(ctl->vm, &virtio_net_class, &at));) {
		if (strcmp(vd->name, arg[0]) == 0) {
			virtio_net_plug(vd, up);
			return 0;
		}
	}
	return say_no_network(ctl->vm, arg[0], diag);
}

/* KVM's own chips are not on our buses. */
static int refuse_device(const struct vm *vm, const char *name, struct diag *diag)
{
	const struct machine *m = &vm->machine;
	struct suggest suggest;
	char names[320] = "";
	size_t len = 0;

	if (machine_find(m, name)) {
		diag_set(diag, -EINVAL, "device-in-kvm",
			 "'%s' is emulated by KVM, which cannot take it off", name);
	} else {
		diag_set(diag, -EINVAL, "device-none", "this VM has no device '%s'", name);
		suggest_init(&suggest, name, strlen(name));
		for (unsigned i = 0; i < m->nr_devices; i++)
			suggest_offer(&suggest, m->device[i].name);
		if (suggest.best)
			diag_remedy(diag, "did you mean '%s'?", suggest.best);
	}
	for (unsigned i = 0; i < m->nr_devices && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, " %s", m->device[i].name);
	diag_remedy(diag, "it has:%s", names);
	return -EINVAL;
}

/* A virtio device's own thread takes part. */
static int plug_device(struct vm *vm, const char *name,
		       int (*change)(struct vm *vm, unsigned i, struct diag *diag),
		       struct diag *diag)
{
	if (vm_is_paused(vm)) {
		diag_set(diag, -EINVAL, "plug-paused",
			 "'%s' cannot come or go while the VM is paused", name);
		diag_remedy(diag, "resume it first");
		return -EBUSY;
	}
	for (unsigned i = 0; i < vm->machine.nr_devices; i++)
		if (strcmp(vm->machine.device[i].name, name) == 0)
			return change(vm, i, diag);
	return refuse_device(vm, name, diag);
}

static int run_unplug(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		      struct diag *diag)
{
	(void)nr;
	(void)out;
	return plug_device(ctl->vm, arg[0], vm_unplug, diag);
}

static int run_plug(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		    struct diag *diag)
{
	(void)nr;
	(void)out;
	return plug_device(ctl->vm, arg[0], vm_plug, diag);
}

static int run_pause(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		     struct diag *diag)
{
	(void)arg;
	(void)nr;
	(void)out;
	return vm_pause(ctl->vm, VM_PAUSED_BY_USER, diag);
}

/* The reply is sent when the guest is at its first instruction again. */
static int commands_run_reset(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
			      struct diag *diag)
{
	(void)arg;
	(void)nr;
	(void)out;
	return vm_reset(ctl->vm, diag);
}

static int run_resume(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		      struct diag *diag)
{
	(void)arg;
	(void)nr;
	(void)out;
	return vm_resume(ctl->vm, VM_PAUSED_BY_USER, diag);
}

/* The reply is sent before the loop looks whether it is to stop. */
static int commands_run_stop(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
			     struct diag *diag)
{
	(void)arg;
	(void)nr;
	(void)out;
	(void)diag;
	vm_end(ctl->vm, (struct vm_end){.kind = VM_END_KILLED, .by = "control socket"});
	return 0;
}

static int run_help(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		    struct diag *diag);

static const struct command command[] = {
	{"help", "", 0, 0, run_help, "this list"},
	{"status", "", 0, 0, run_status, "how long it runs, in which process, what can be changed"},
	{"stats", "", 0, 0, run_stats, "the statistics so far, as --stats=json writes them"},
	{"balloon", "[SIZE]", 0, 1, run_balloon,
	 "what the guest is to give up, and has; or a new SIZE"},
	{"link", "NAME up|down", 2, 2, run_link, "plugs a network's cable in, or pulls it out"},
	{"hostfwd", "list|add|remove", 1, 3, command_hostfwd,
	 "the host's ports that user networks forward; one more, or less"},
	{"unplug", "NAME", 1, 1, run_unplug, "takes a device off the bus: it reads as all ones"},
	{"plug", "NAME", 1, 1, run_plug, "puts it back; a virtio device has been reset"},
	{"pause", "", 0, 0, run_pause, "stops the VM; its clocks and --timeout stand still"},
	{"resume", "", 0, 0, run_resume, "lets it go on as if no time had passed"},
	{"reset", "", 0, 0, commands_run_reset, "starts the machine again, with --reboot or --gdb"},
	{"regs", "[CPU]", 0, 1, command_regs, "the registers of each vCPU, or of one"},
	{"stack", "[CPU]", 0, 1, command_stack, "where each is, and its callers"},
	{"sym", "ADDR", 1, 1, command_sym, "the symbol of an address, which is hexadecimal"},
	{"profile", "", 0, 0, command_profile, "which code makes which exits, with --profile"},
	{"nmi", "[CPU]", 0, 1, command_nmi, "a non-maskable interrupt for vCPU 0, or another"},
	{"sysrq", "KEY", 1, 1, command_sysrq, "a serial break and KEY: Linux's SysRq"},
	{"core", "FILE", 1, 1, command_core, "its memory and registers, for gdb, crash and drgn"},
	{"stop", "", 0, 0, commands_run_stop, "ends the VM, as SIGTERM does"},
};

static int run_help(struct vm_control *ctl, char *const arg[], unsigned nr, FILE *out,
		    struct diag *diag)
{
	(void)ctl;
	(void)arg;
	(void)nr;
	(void)diag;
	for (size_t i = 0; i < ARRAY_SIZE(command); i++)
		fprintf(out, "%-8s%-17s%s\n", command[i].name, command[i].args, command[i].help);
	return 0;
}

const char *vm_control_command(unsigned i)
{
	return i < ARRAY_SIZE(command) ? command[i].name : NULL;
}

static int commands_run(struct control_commands *commands, char *const argv[], unsigned nr,
			FILE *out, struct diag *diag)
{
	struct vm_control *ctl = container_of(commands, struct vm_control, commands);

	for (size_t i = 0; i < ARRAY_SIZE(command); i++) {
		const struct command *c = &command[i];

		if (strcmp(argv[0], c->name) != 0)
			continue;
		if (nr - 1 >= c->args_min && nr - 1 <= c->args_max)
			return c->run(ctl, argv + 1, nr - 1, out, diag);
		if (c->args[0])
			diag_set(diag, -EINVAL, "command-arguments", "'%s' is to be followed by %s",
				 c->name, c->args);
		else
			diag_set(diag, -EINVAL, "command-no-arguments", "'%s' takes no arguments",
				 c->name);
		diag_remedy(diag, "`help` lists the arguments of each command");
		return -EINVAL;
	}
	diag_set(diag, -EINVAL, "control-command-unknown", "unknown command '%s'", argv[0]);
	diag_remedy(diag, "`help` lists the commands");
	return -EINVAL;
}

int vm_control_open(struct vm_control *ctl, const char *path, struct vm *vm, struct diag *diag)
{
	int r;

	*ctl = (struct vm_control){
		.commands.run = commands_run,
		.vm = vm,
		.since_ns = clock_monotonic_ns(),
	};
	r = path ? control_open(path, &vm->loop, &ctl->commands, &ctl->socket, diag) : 0;
	if (r == 0)
		stats_kvm_open(&ctl->kvm, vm);
	return r;
}

void vm_control_close(struct vm_control *ctl)
{
	ctl->socket = control_close(ctl->socket);
	stats_kvm_close(&ctl->kvm);
}
