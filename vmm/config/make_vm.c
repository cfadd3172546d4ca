#include "config/make_vm.h"

#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/file.h"
#include "base/macros.h"
#include "boot/kernel_version.h"
#include "config/builtin.h"
#include "config/exits.h"
#include "sandbox.h"

/* The files a VM is made from; they are gone from our memory before the guest runs. */
struct vm_files {
	struct file_map kernel;
	struct file_map initrd[CONFIG_INITRDS_MAX];
	struct file_map symbols;
};

static void files_close(struct vm_files *files)
{
	file_map_close(&files->kernel);
	file_map_close(&files->symbols);
	for (unsigned i = 0; i < CONFIG_INITRDS_MAX; i++)
		file_map_close(&files->initrd[i]);
}

static int open_symbols(struct vm_files *files, const struct config *config, struct vm_opts *opts,
			struct diag *diag)
{
	int r;

	if (!config->symbols)
		return 0;
	r = file_map_open(&files->symbols, "symbols", config->symbols, diag);
	if (r == 0)
		opts->symbols = (struct boot_file){
			.name = config->symbols,
			.data = files->symbols.data,
			.len = files->symbols.len,
			.fd = files->symbols.fd,
		};
	return r;
}

static int open_initrds(struct vm_files *files, const struct config *config, struct vm_opts *opts,
			struct diag *diag)
{
	for (unsigned i = 0; i < config->nr_initrds; i++) {
		int r = file_map_open(&files->initrd[i], "initrd", config->initrd[i], diag);

		if (r < 0)
			return r;
		opts->initrd[i] = (struct boot_file){
			.name = config->initrd[i],
			.data = files->initrd[i].data,
			.len = files->initrd[i].len,
		};
	}
	opts->nr_initrds = config->nr_initrds;
	return 0;
}

static int open_files(struct vm_files *files, const struct config *config, struct vm_opts *opts,
		      struct diag *diag)
{
	int r;

	if (!config->kernel) {
		opts->kernel = builtin_selftest();
		return 0;
	}
	r = file_map_open(&files->kernel, "kernel", config->kernel, diag);
	if (r < 0)
		return r;
	opts->kernel = (struct boot_file){
		.name = config->kernel,
		.data = files->kernel.data,
		.len = files->kernel.len,
		.fd = files->kernel.fd,
	};
	r = open_symbols(files, config, opts, diag);
	return r < 0 ? r : open_initrds(files, config, opts, diag);
}

/* A file that another process wrote meanwhile is a mixture: the message reports this, and not what came of it. */
static int vm_check_files(const struct vm_files *files, const struct config *config,
			  struct diag *diag)
{
	struct diag changed = {0};
	int r = 0;

	if (files->kernel.data)
		r = file_map_check(&files->kernel, "kernel", config->kernel, &changed);
	if (r == 0 && files->symbols.data)
		r = file_map_check(&files->symbols, "symbols", config->symbols, &changed);
	for (unsigned i = 0; r == 0 && i < config->nr_initrds && files->initrd[i].data; i++)
		r = file_map_check(&files->initrd[i], "initrd", config->initrd[i], &changed);
	if (r < 0 && diag)
		*diag = changed;
	return r;
}

/* Without a command its ports are idle, and what our init says to programs is for nobody here. */
static void connect_nothing(struct vm_opts *opts)
{
	static const char *const device[] = {MACHINE_COMMAND_OUT, MACHINE_COMMAND_ERR,
					     MACHINE_INIT_LOG};

	for (size_t i = 0; i < ARRAY_SIZE(device); i++)
		opts->output[opts->nr_outputs++] =
			(struct vm_output){.device = device[i], .fd = VM_OUTPUT_NONE};
}

/*
 * A command has standard output for itself. Keys are its own when it has a terminal; else they have no meaning, and what
 * Ctrl-C does is the host's.
 */
static void connect_command(struct vm_opts *opts, bool terminal)
{
	static const struct vm_output output[] = {
		{.device = MACHINE_COMMAND_ERR, .fd = STDERR_FILENO},
		{.device = "serial0", .fd = STDERR_FILENO},
		{.device = "debugcon0", .fd = STDERR_FILENO},
		{.device = MACHINE_INIT_LOG, .fd = VM_OUTPUT_NONE},
	};

	memcpy(opts->output, output, sizeof(output));
	opts->nr_outputs = ARRAY_SIZE(output);
	opts->input = terminal;
	opts->input_at_stdout = terminal;
	opts->machine.quiet = true;
}

static int add_initramfs(const struct config *config, const struct machine *machine,
			 struct vm_opts *opts, struct initramfs *initramfs, struct diag *diag)
{
	int r = config_initramfs_make(&config->initramfs, machine, &opts->kernel, initramfs, diag);

	if (r < 0)
		return r;
	/* The last one: of two files with one name, the kernel keeps the later. */
	opts->initrd[opts->nr_initrds++] = (struct boot_file){
		.name = "made by Tollgate",
		.data = initramfs->data,
		.len = initramfs->len,
	};
	return 0;
}

/* The doctor says what that means; a user who did not ask it learns it before the boot. */
static bool emulates_linux(const struct boot_file *kernel)
{
	char version[KERNEL_VERSION_MAX];

	return !arch_backing_name() && kernel_version_find(kernel->data, kernel->len, version);
}

/* The files' contents are in the guest's memory now. */
static void forget_files(struct vm_opts *opts)
{
	opts->kernel = opts->symbols = (struct boot_file){0};
	memset(opts->initrd, 0, sizeof(opts->initrd));
	opts->nr_initrds = 0;
}

static int open_all(struct vm_files *files, struct initramfs *initramfs, struct config *config,
		    struct diag *diag)
{
	const bool has_command = config_initramfs_has_init(&config->initramfs);
	struct vm_opts *opts = &config->vm;
	struct machine machine;
	int r = open_files(files, config, opts, diag);

	opts->machine.command_ports = has_command;
	if (opts->nr_outputs == 0 && (config->initramfs.run || config->initramfs.host_root.tag))
		connect_command(opts, config->initramfs.host_root.terminal);
	else if (opts->nr_outputs == 0 && has_command)
		connect_nothing(opts);
	config_console_connect(config, opts->output, &opts->nr_outputs);
	/* Options that make no machine are refused before KVM is opened, or memory is taken. */
	if (r == 0)
		r = machine_resolve(&arch_platform, &opts->machine, &machine, diag);
	if (r == 0)
		r = config_fw_cfg_load(config, diag);
	if (r == 0 && config_initramfs_wanted(&config->initramfs))
		r = add_initramfs(config, &machine, opts, initramfs, diag);
	return r;
}

static int close_all(struct vm_files *files, struct initramfs *initramfs, struct config *config,
		     struct diag *diag)
{
	int r;

	forget_files(&config->vm);
	initramfs_fini(initramfs);
	r = vm_check_files(files, config, diag);
	files_close(files);
	return r;
}

int config_confine(const struct config *config, struct diag *diag)
{
	struct sandbox_dir dir[CONFIG_SHARES_MAX];
	struct sandbox_opts opts = {
		.dir = dir,
		.nr_dirs = config->nr_shares,
		.remaps_pages = config->test_device[MACHINE_TEST_PC],
	};

	if (config->no_sandbox || !sandbox_is_built())
		return 0;
	for (unsigned i = 0; i < config->nr_shares; i++)
		dir[i] = (struct sandbox_dir){config->share[i]->path,
					      config->share[i]->conf.fs.read_only};
	for (unsigned i = 0; i < config->nr_nets; i++)
		if (config_net_has_sockets(config->net[i]))
			opts.sockets = true;
	return sandbox_begin(&opts, diag);
}

int config_make_vm(struct config *config, struct vm *vm, struct diag *diag)
{
	struct vm_files files = {0};
	struct initramfs initramfs = {0};
	int r = open_all(&files, &initramfs, config, diag), changed;

	if (r == 0)
		r = vm_init(vm, &config->vm, diag);
	if (r == 0)
		vm->emulates_linux = emulates_linux(&config->vm.kernel);
	changed = close_all(&files, &initramfs, config, diag);
	return changed < 0 ? changed : r;
}

int config_preview(struct config *config, struct machine *ret, struct arch_kernel *ret_kernel,
		   struct diag *diag)
{
	struct vm_files files = {0};
	struct initramfs initramfs = {0};
	int r = open_all(&files, &initramfs, config, diag), changed;

	if (r == 0)
		r = vm_preview(&config->vm, ret, ret_kernel, diag);
	changed = close_all(&files, &initramfs, config, diag);
	return changed < 0 ? changed : r;
}
