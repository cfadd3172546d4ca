#include "config/initramfs.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "boot/kernel_version.h"
#include "config/builtin.h"

static const struct option_value modules_values[] = {{"auto", 0}, {0}};
static const struct option_value busybox_values[] = {{"none", 0}, {0}};
static const struct option_row rows[] = {
	{"run", CONFIG_OPT_RUN, "CMD", .help = "run CMD in the guest; its exit status is ours",
	 .common = true},
	{"env", CONFIG_OPT_ENV, "NAME=VALUE", .help = "a variable in CMD's environment"},
	{"copy", CONFIG_OPT_COPY, "FILE:PATH",
	 .help = "put a file or directory of this host into the guest", .common = true},
	{"overlay", CONFIG_OPT_OVERLAY, "DIR",
	 .help = "put all that is in DIR into the guest's root directory"},
	{"modules", CONFIG_OPT_MODULES, "DIR",
	 .help = "the kernel's modules (/lib/modules/VERSION; auto: find it)\n"
		 "the virtio ones and those of --module are loaded before CMD",
	 modules_values, true},
	{"module", CONFIG_OPT_MODULE, "NAME",
	 .help = "one more module; may be given several times"},
	{"busybox", CONFIG_OPT_BUSYBOX, "[=FILE]",
	 .help = "a shell for CMD (default: this host's, if static); none: not", busybox_values},
	{"root", CONFIG_OPT_ROOT, "DEVICE",
	 .help = "a disk of the guest, such as /dev/vda, is its root directory"},
	{0},
};
const struct option_group config_initramfs_group = {"A command in the guest", rows};

static int list_add(const char **list, unsigned *nr, unsigned max, const char *option,
		    const char *arg, struct diag *diag)
{
	if (*nr == max)
		return diag_set(diag, -EINVAL, "initramfs-count", "more than %u times %s", max,
				option);
	list[(*nr)++] = arg;
	return 0;
}

/* The colon between FILE and an absolute PATH: the last of "FILE:/PATH". */
static const char *copy_colon(const char *arg)
{
	const char *found = NULL;

	for (const char *at = arg; (at = strstr(at, ":/")); at++)
		found = at;
	return found;
}

size_t config_initramfs_copy_len(const char *copy)
{
	return (size_t)(copy_colon(copy) - copy);
}

static int add_copy(struct config_initramfs *config, const char *arg, struct diag *diag)
{
	const char *colon = copy_colon(arg);

	if (!colon || colon == arg) {
		diag_set(diag, -EINVAL, "copy-form", "--copy '%s' is not FILE:PATH", arg);
		diag_remedy(diag, "PATH is absolute, as in --copy ./test:/bin/test");
		return -EINVAL;
	}
	return list_add(config->copy, &config->nr_copies, INITRAMFS_COPIES_MAX, "--copy", arg,
			diag);
}

static int add_env(struct config_initramfs *config, const char *arg, struct diag *diag)
{
	const char *equals = strchr(arg, '=');

	if (!equals || equals == arg) {
		diag_set(diag, -EINVAL, "env-form", "--env '%s' is not NAME=VALUE", arg);
		return -EINVAL;
	}
	return list_add(config->env, &config->nr_env, INITRAMFS_NAMES_MAX, "--env", arg, diag);
}

static int set_run(struct config_initramfs *config, const char *arg, struct diag *diag)
{
	if (config->run) {
		diag_set(diag, -EINVAL, "run-twice", "--run twice");
		diag_remedy(diag, "one command with both: --run 'a && b'");
		return -EINVAL;
	}
	config->run = arg;
	return 0;
}

static void set_busybox(struct config_initramfs *config, const char *arg)
{
	config->busybox_file = NULL;
	config->busybox = INITRAMFS_BUSYBOX_FILE;
	if (arg && strcmp(arg, "none") == 0)
		config->busybox = INITRAMFS_BUSYBOX_NONE;
	else
		config->busybox_file = arg;
}

int config_initramfs_option(struct config_initramfs *config, int opt, const char *arg,
			    struct diag *diag)
{
	switch (opt) {
	case CONFIG_OPT_RUN: return set_run(config, arg, diag);
	case CONFIG_OPT_ENV: return add_env(config, arg, diag);
	case CONFIG_OPT_COPY: return add_copy(config, arg, diag);
	case CONFIG_OPT_OVERLAY:
		return list_add(config->overlay, &config->nr_overlays, INITRAMFS_OVERLAYS_MAX,
				"--overlay", arg, diag);
	case CONFIG_OPT_MODULES: config->modules = arg; return 0;
	case CONFIG_OPT_MODULE:
		return list_add(config->module, &config->nr_modules, INITRAMFS_NAMES_MAX,
				"--module", arg, diag);
	case CONFIG_OPT_BUSYBOX: set_busybox(config, arg); return 0;
	case CONFIG_OPT_ROOT: config->root = arg; return 0;
	default: return 1;
	}
}

bool config_initramfs_has_init(const struct config_initramfs *config)
{
	return config->run || config->root || config->rootfs || config->host_root.tag;
}

bool config_initramfs_wanted(const struct config_initramfs *config)
{
	return config_initramfs_has_init(config) || config->nr_copies || config->nr_overlays;
}

int config_initramfs_check(const struct config_initramfs *config, struct diag *diag)
{
	const char *for_init = config->modules      ? "--modules"
			       : config->nr_modules ? "--module"
			       : config->busybox    ? "--busybox"
			       : config->nr_env     ? "--env"
						    : NULL;

	if (for_init && !config_initramfs_has_init(config)) {
		diag_set(diag, -EINVAL, "init-without-run", "%s without --run", for_init);
		diag_remedy(diag, "it is for the /init that --run, --root and --rootfs bring; an "
				  "--initrd has its own");
		return -EINVAL;
	}
	if (config->root && config->rootfs) {
		diag_set(diag, -EINVAL, "rootfs-with-root", "--rootfs and --root %s", config->root);
		diag_remedy(diag,
			    "these are two root directories; --disk adds a disk that is not one");
		return -EINVAL;
	}
	if (config->nr_modules && !config->modules) {
		diag_set(diag, -EINVAL, "module-without-modules", "--module %s without --modules",
			 config->module[0]);
		diag_remedy(diag, "add --modules DIR, or --modules auto");
		return -EINVAL;
	}
	return 0;
}

/*
 * Modules are where this host has them, or, for a tree that a kernel's package was unpacked to, in
 * lib/modules next to the directory of the kernel's file.
 */
static int find_modules(const char *version, const char *kernel, char *buf, size_t size,
			struct diag *diag)
{
	AUTO_FREE char *file = strdup(kernel);
	AUTO_FREE char *dir = NULL;
	const char *root[] = {NULL, "/usr", ""};

	if (!file || asprintf(&dir, "%s/..", dirname(file)) < 0) {
		dir = NULL;
		return diag_set(diag, -ENOMEM, "modules-memory", "modules of kernel '%s'", kernel);
	}
	root[0] = dir;
	for (size_t i = 0; i < ARRAY_SIZE(root); i++) {
		const int n = snprintf(buf, size, "%s/lib/modules/%s", root[i], version);

		if (n > 0 && (size_t)n < size && access(buf, R_OK | X_OK) == 0)
			return 0;
	}
	diag_set(diag, -ENOENT, "modules-of-kernel", "modules of kernel '%s', /lib/modules/%s",
		 kernel, version);
	diag_remedy(diag, "name the directory: --modules DIR");
	return -ENOENT;
}

static int auto_modules(const struct boot_file *kernel, char *buf, size_t size, struct diag *diag)
{
	char version[KERNEL_VERSION_MAX];

	if (!kernel_version_find(kernel->data, kernel->len, version)) {
		diag_set(diag, -EINVAL, "modules-kernel-version",
			 "--modules auto: kernel '%s' does not contain its version", kernel->name);
		diag_remedy(diag, "name the directory: --modules DIR");
		return -EINVAL;
	}
	return find_modules(version, kernel->name, buf, size, diag);
}

static uint16_t port_of(const struct machine *machine, const char *device)
{
	const struct machine_device *dev = machine_find(machine, device);

	return dev ? (uint16_t)dev->range[0].first : 0;
}

/* FILE and PATH of each --copy; *ret_files holds the FILEs and is the caller's to free. */
static int split_copies(const struct config_initramfs *config, struct initramfs_opts *opts,
			char **ret_files, struct diag *diag)
{
	size_t bytes = 1, at = 0;
	char *files;

	for (unsigned i = 0; i < config->nr_copies; i++)
		bytes += strlen(config->copy[i]) + 1;
	files = malloc(bytes);
	if (!files)
		return diag_set(diag, -ENOMEM, "copy-memory", "--copy");
	for (unsigned i = 0; i < config->nr_copies; i++) {
		const char *colon = copy_colon(config->copy[i]);
		const size_t n = (size_t)(colon - config->copy[i]);

		memcpy(files + at, config->copy[i], n);
		files[at + n] = '\0';
		opts->copy[i] = (struct initramfs_copy){.file = files + at, .path = colon + 1};
		at += n + 1;
	}
	opts->nr_copies = config->nr_copies;
	*ret_files = files;
	return 0;
}

/* The modules directory in *ret, where it is not the user's: in dir, of PATH_MAX bytes. */
static int choose_modules(const struct config_initramfs *config, const struct boot_file *kernel,
			  char *dir, const char **ret, struct diag *diag)
{
	if (config->modules && strcmp(config->modules, "auto") == 0) {
		*ret = dir;
		return auto_modules(kernel, dir, PATH_MAX, diag);
	}
	/* A kernel without modules has all that it takes, or our init names what is missing. */
	if (!config->modules && config->host_root.tag &&
	    auto_modules(kernel, dir, PATH_MAX, NULL) == 0)
		*ret = dir;
	return 0;
}

int config_initramfs_make(const struct config_initramfs *config, const struct machine *machine,
			  const struct boot_file *kernel, struct initramfs *ret, struct diag *diag)
{
	const struct boot_file init = builtin_init();
	struct initramfs_opts opts = {
		.run = config->run,
		.root = config->root,
		.host_root = config->host_root,
		.nr_overlays = config->nr_overlays,
		.modules = config->modules,
		.sockets = machine_find(machine, "vsock0") != NULL,
		.nr_modules = config->nr_modules,
		.nr_shares = config->nr_shares,
		.nr_env = config->nr_env,
		.busybox = config->busybox,
		.busybox_file = config->busybox_file,
		.init = init.data,
		.init_len = init.len,
		.out_port = port_of(machine, MACHINE_COMMAND_OUT),
		.err_port = port_of(machine, MACHINE_COMMAND_ERR),
		.log_port = port_of(machine, MACHINE_INIT_LOG),
		.exit_port = port_of(machine, "exit0"),
		.max_bytes = machine->mem_bytes,
	};
	AUTO_FREE char *files = NULL;
	char modules[PATH_MAX], rootfs[] = "/dev/vd?";
	int r = split_copies(config, &opts, &files, diag);

	if (config->rootfs) {
		rootfs[sizeof(rootfs) - 2] = (char)('a' + config->rootfs - 1);
		opts.root = rootfs;
	}
	memcpy(opts.overlay, config->overlay, sizeof(opts.overlay));
	memcpy(opts.share, config->share, sizeof(opts.share));
	memcpy(opts.env, config->env, sizeof(opts.env));
	memcpy(opts.module, config->module, sizeof(opts.module));
	if (r == 0)
		r = choose_modules(config, kernel, modules, &opts.modules, diag);
	return r < 0 ? r : initramfs_build(&opts, ret, diag);
}
