/* `tollgate run`: boot one kernel with its console on this terminal. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io_full.h"
#include "base/macros.h"
#include "base/out_file.h"
#include "base/parse.h"
#include "cmd/cmds.h"
#include "cmd/guard.h"
#include "config.h"
#include "config/make_vm.h"
#include "control/commands.h"
#include "core.h"
#include "gdb.h"
#include "vm.h"
#include "vm/dump.h"
#include "vm/profile.h"
#include "vm/report.h"
#include "vm/stats.h"

static int exit_status(const struct config *config, const struct vm_end *end)
{
	return config->exit_code == CONFIG_EXIT_CODE_QEMU ? vm_end_status_qemu(end)
							  : vm_end_status(end);
}

/* Files that are written at the end; -1: not wanted. */
struct run_files {
	int stats, profile;
};

static int run_open_file(const char *path, int *ret_fd, struct diag *diag)
{
	int fd;

	if (!path)
		return 0;
	fd = out_file_open(path, &(struct out_file_opts){0});
	if (fd < 0)
		return diag_set(diag, fd, "run-file-create", "create '%s'", path);
	*ret_fd = fd;
	return 0;
}

/*
 * Before the guest runs, so that a name that cannot be written is reported at once; after all else is set
 * up, so that nothing is left when that fails.
 */
static int run_open_files(const struct config *config, struct run_files *files, struct diag *diag)
{
	const int r = run_open_file(config->stats_json, &files->stats, diag);

	return r < 0 ? r : run_open_file(config->profile, &files->profile, diag);
}

static void run_close_files(const struct run_files *files)
{
	if (files->stats >= 0)
		close(files->stats);
	if (files->profile >= 0)
		close(files->profile);
}

/* The folded stacks. */
static int write_profile(int fd, const char *path, struct vm *vm, struct diag *diag)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int r = out ? vm_profile_write_folded(vm, out) : -ENOMEM;

	if (out && fclose(out) != 0)
		r = -ENOMEM;
	if (r == 0)
		r = io_write_full(fd, text, len, NULL);
	return r < 0 ? diag_set(diag, r, "profile-write", "write '%s'", path) : 0;
}

/* Our messages begin on a line of their own. */
static void close_console(struct vm *vm)
{
	vm_console_close(vm);
	if (vm->chars.line_open)
		fputc('\n', stderr);
}

static void print_left_out(const struct vm_chars *chars)
{
	char limit[24];

	for (unsigned i = 0; i < chars->nr_left_out; i++) {
		const struct vm_chars_left_out *at = &chars->left_out[i];
		struct diag diag = {0};

		diag_set(&diag, -EINVAL, "console-limit-reached",
			 "console's file '%s' reached its limit of %s: %" PRIu64
			 " bytes were left out",
			 at->dest->path, format_size(at->dest->limit_bytes, limit), at->bytes);
		cmd_fail(&diag);
	}
}

/* False when a capture was lost, which is printed; unknown while a thread may still write it. */
static bool print_captures(const struct vm *vm, const struct config *config)
{
	bool ok = true;

	for (unsigned i = 0; !vm->stuck && i < config->nr_nets; i++) {
		const struct net_capture_report *report = &config->net[i]->capture_report;
		struct diag diag = {0};

		if (report->lost.err) {
			cmd_fail(&report->lost);
			ok = false;
		}
		if (report->left_out == 0)
			continue;
		diag_set(&diag, -EINVAL, "capture-slow",
			 "capture '%s' is slower than the network: it has %" PRIu64
			 " frames, and %" PRIu64 " were left out",
			 config->net[i]->capture.path, report->frames, report->left_out);
		cmd_fail(&diag);
	}
	return ok;
}

/* The guest saw a link that went down. So this is a reason, and no failure of the run. */
static void print_lost_networks(const struct vm *vm, const struct config *config)
{
	for (unsigned i = 0; !vm->stuck && i < config->nr_nets; i++)
		if (config->net[i]->lost.err)
			cmd_fail(&config->net[i]->lost);
}

/* False when it could not be written, which is printed. */
static bool write_core(struct vm *vm, const struct config *config, const struct vm_end *end)
{
	struct diag diag = {0};

	if (!config_core_wanted(&config->core, end->kind))
		return true;
	if (vm_core_write_ended(vm, config->core.path, &diag) < 0) {
		cmd_fail(&diag);
		return false;
	}
	fprintf(stderr, "tollgate: the guest's core is in '%s'\n", config->core.path);
	return true;
}

/* The files come before the end line, which has the exit status. */
static int run_finish(struct vm *vm, const struct config *config, const struct vm_end *end,
		      const struct run_files *files)
{
	const int stats_fd = files->stats;
	int status = exit_status(config, end);
	struct stats_kvm kvm = {0};
	struct diag diag = {0};

	close_console(vm);
	print_left_out(&vm->chars);
	if (vm->chars.lost.err) {
		cmd_fail(&vm->chars.lost);
		if (end->kind != VM_END_KILLED) /* which its own status says */
			status = EXIT_OUTPUT;
	}
	print_lost_networks(vm, config);
	if (!print_captures(vm, config) && end->kind != VM_END_KILLED)
		status = EXIT_OUTPUT;
	if (!write_core(vm, config, end))
		status = EXIT_OUTPUT;
	if (config->stats || stats_fd >= 0)
		stats_kvm_open(&kvm, vm);
	if (stats_fd >= 0 &&
	    stats_write_json(stats_fd, config->stats_json, vm, &kvm, end, status, &diag) < 0)
		status = EXIT_OUTPUT;
	if (files->profile >= 0 && write_profile(files->profile, config->profile, vm, &diag) < 0)
		status = EXIT_OUTPUT;
	report_stuck(stderr, vm);
	if (vm->reset.failure.err < 0)
		cmd_fail(&vm->reset.failure);
	report_end(stderr, end, vm->reset.count, status);
	report_faults(stderr, vm);
	if (report_wanted(end))
		report_print(stderr, vm);
	if (report_wanted(end) || config->stats)
		stats_print(stderr, vm);
	if (config->stats)
		stats_print_kvm(stderr, &kvm);
	if (config->profile)
		vm_profile_print_end(vm, stderr);
	if (diag.err < 0)
		cmd_fail(&diag);
	stats_kvm_close(&kvm);
	return status;
}

/* Names that were not the user's to choose. */
static void print_console_names(const struct vm *vm)
{
	static const char *const console[] = {"serial0", "console0"};

	for (size_t i = 0; i < ARRAY_SIZE(console); i++) {
		const char *name = vm_chars_name(&vm->chars, console[i]);

		if (name)
			fprintf(stderr, "tollgate: %s is at %s\n", console[i], name);
	}
}

/* Listeners for clients that inspect or control the VM. */
struct run_listeners {
	struct vm_control control;
	struct gdb *gdb; /* NULL: none */
};

/* The commands are there for gdb's `monitor`, too. */
static int listeners_open(struct run_listeners *on, const struct config *config, struct vm *vm,
			  struct diag *diag)
{
	uint16_t port = 0;
	int r = 0;

	if (config->control || config->gdb.wanted)
		r = vm_control_open(&on->control, config->control, vm, diag);
	if (r < 0 || !config->gdb.wanted)
		return r;
	r = gdb_open(&config->gdb.opts, vm, &on->control.commands, &on->gdb, &port, diag);
	if (r == 0 && port != config->gdb.opts.port)
		fprintf(stderr, "tollgate: gdb's stub is at localhost:%u\n", port);
	return r;
}

static void listeners_close(struct run_listeners *on, int status)
{
	on->gdb = gdb_close(on->gdb, status);
	vm_control_close(&on->control);
}

/* Everything up to the guest's first instruction. */
static int set_up(struct config *config, int64_t started_ns, struct vm *vm,
		  struct run_listeners *on, struct run_files *files, struct diag *diag)
{
	int r;

	if (config->timeout_ns)
		config->vm.deadline_ns = started_ns + config->timeout_ns;
	cmd_guard_begin(config->vm.deadline_ns);
	r = config_confine(config, diag);
	if (r == 0)
		r = config_make_vm(config, vm, diag);
	cmd_guard_end();
	if (r == 0)
		r = listeners_open(on, config, vm, diag);
	if (r == 0 && config->core.path)
		r = core_check(config->core.path, diag);
	if (r == 0)
		r = run_open_files(config, files, diag);
	return r;
}

static void print_warnings(const struct config *config)
{
	for (unsigned i = 0; i < config->nr_disks; i++)
		if (config->disk[i]->warning.what[0])
			cmd_warn(&config->disk[i]->warning);
}

/* Frees config, unless a thread that the host does not let go may still use it. */
static int run_config(struct config *config, int64_t started_ns, struct diag *diag)
{
	AUTO_FREE struct vm *vm = calloc(1, sizeof(*vm));
	struct run_listeners on = {0};
	struct vm_end end = {0};
	struct run_files files = {-1, -1};
	int status = EXIT_SETUP, r;

	if (!vm) {
		diag_set(diag, -ENOMEM, "run-memory", "start");
		cmd_fail(diag);
		return EXIT_SETUP;
	}
	if (config->no_sandbox)
		cmd_warn_unconfined();
	r = set_up(config, started_ns, vm, &on, &files, diag);
	print_warnings(config);
	if (r == 0) {
		print_console_names(vm);
		if (vm->emulates_linux)
			report_emulates_linux(stderr);
		r = vm_run(vm, &end, diag);
	}
	listeners_close(&on, r == 0 ? exit_status(config, &end) : EXIT_SETUP);
	if (r == 0) {
		status = run_finish(vm, config, &end, &files);
	} else {
		close_console(vm);
		cmd_fail(diag);
	}
	run_close_files(&files);
	if (vm_fini(vm))
		config_fini(config);
	else
		(void)STEAL_PTR(vm); /* a thread may use it until this process has ended */
	return status;
}

int cmd_run(int argc, char **argv)
{
	const int64_t started_ns = clock_monotonic_ns();
	static struct config config; /* outlives this function: run_config() */
	struct diag diag = {0};
	int r = config_parse_run(&config, argc, argv, &diag);

	if (r == 0)
		return run_config(&config, started_ns, &diag);
	if (r > 0)
		option_table_print(&config_run_table, r == OPTION_HELP_ALL, stdout);
	else
		cmd_fail(&diag);
	config_fini(&config);
	return r > 0 ? EXIT_OK : EXIT_SETUP;
}
