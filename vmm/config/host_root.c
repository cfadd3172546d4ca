#include "config/host_root.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "config.h"

#define ROOT_TAG "tollgate-root"

static int rw_take(void *target, const char *arg, struct diag *diag)
{
	struct config_host_root *root = &((struct config *)target)->host_root;

	if (root->nr_rw == CONFIG_RW_MAX)
		return diag_set(diag, -EINVAL, "rw-count", "more than %d times --rw",
				CONFIG_RW_MAX);
	root->rw[root->nr_rw++] = arg;
	return 0;
}

static int host_root_take(void *target, const char *arg, struct diag *diag)
{
	struct config *config = target;

	(void)arg;
	(void)diag;
	config->host_root.wanted = true;
	return 0;
}

static const struct option_row host_root_rows[] = {
	{"root-of-host", CONFIG_OPT_ROOT_OF_HOST, NULL,
	 .help = "run CMD, after --, in this host's root directory (virtio-fs)\n"
		 "by this user, in this directory; what the guest changes stays in its\n"
		 "memory; without CMD: the user's shell",
	 .common = true, .take = host_root_take},
	{"rw", CONFIG_OPT_RW, "DIR",
	 .help = "with --root-of-host: a directory that the guest does write; repeatable",
	 .take = rw_take},
	{0},
};
const struct option_group config_host_root_group = {"A command in the guest", host_root_rows};

int config_host_root_take_command(struct config *config, int argc, char *argv[])
{
	bool wanted = false;

	for (int i = 1; i < argc; i++) {
		/* getopt_long() takes the beginning of a name, too. */
		wanted |= strncmp(argv[i], "--root-o", 8) == 0;
		if (strcmp(argv[i], "--") != 0)
			continue;
		if (!wanted)
			break;
		if (i + 1 < argc)
			config->host_root.command = argv + i + 1;
		return i;
	}
	return argc;
}

/* A string that lives as long as config. */
static const char *host_root_keep(struct config *config, const char *text, struct diag *diag)
{
	const size_t bytes = strlen(text) + 1;
	char *copy = config_alloc(config, bytes, diag);

	return copy ? memcpy(copy, text, bytes) : NULL;
}

/* NAME=VALUE of this process, unless --env has that name. */
static int pass_variable(struct config *config, const char *variable, struct diag *diag)
{
	struct config_initramfs *initramfs = &config->initramfs;
	const size_t len = strcspn(variable, "=") + 1;

	for (unsigned i = 0; i < initramfs->nr_env; i++)
		if (strncmp(initramfs->env[i], variable, len) == 0)
			return 0;
	return config_initramfs_option(initramfs, CONFIG_OPT_ENV, variable, diag);
}

/* Settings that make a program do the same there as here, and no addresses of services that a guest does not reach. */
static int pass_environment(struct config *config, struct diag *diag)
{
	static const char *const names[] = {
		"PATH=",   "HOME=",  "USER=",     "LOGNAME=", "SHELL=",
		"LANG=",   "LC_",    "LANGUAGE=", "TERM=",    "COLORTERM=",
		"EDITOR=", "PAGER=", "TZ=",       "TMPDIR=",  "MAKEFLAGS="};
	int r = 0;

	for (char **at = environ; *at && r == 0; at++)
		for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0; i++)
			if (strncmp(*at, names[i], strlen(names[i])) == 0)
				r = pass_variable(config, *at, diag);
	return r;
}

static int pass_user(struct config *config, struct initramfs_host_root *root, struct diag *diag)
{
	gid_t group[NGROUPS_MAX];
	const int nr = getgroups(ARRAY_SIZE(group), group);
	char *groups = config_alloc(config, nr > 0 ? (size_t)nr * 11 + 1 : 1, diag);
	size_t at = 0;

	if (!groups)
		return -ENOMEM;
	for (int i = 0; i < nr; i++)
		at += (size_t)sprintf(groups + at, "%s%u", i ? "," : "", group[i]);
	root->uid = geteuid();
	root->gid = getegid();
	root->groups = groups;
	return 0;
}

static int pass_place(struct config *config, struct initramfs_host_root *root, struct diag *diag)
{
	char cwd[PATH_MAX], host[HOST_NAME_MAX + 1] = "";

	if (!getcwd(cwd, sizeof(cwd)) || cwd[0] != '/')
		return diag_set(diag, -errno, "host-root-directory", "the current directory");
	gethostname(host, sizeof(host) - 1);
	root->cwd = host_root_keep(config, cwd, diag);
	root->hostname = host_root_keep(config, host, diag);
	return root->cwd && root->hostname ? 0 : -ENOMEM;
}

/* Commas of a name are doubled in an option. Returns the end. */
static char *escape_commas(const char *path, char *to)
{
	for (; *path; path++) {
		if (*path == ',')
			*to++ = ',';
		*to++ = *path;
	}
	*to = '\0';
	return to;
}

/* A share that is mounted at path; the file system shows the ids that files have. */
static int share(struct config *config, const char *path, const char *how, struct diag *diag)
{
	AUTO_FREE char *arg = malloc(2 * strlen(path) + strlen(how) + 1);
	int r;

	if (!arg)
		return diag_set(diag, -ENOMEM, "host-root-memory", "share '%s'", path);
	memcpy(escape_commas(path, arg), how, strlen(how) + 1);
	r = config_share_add(config, arg, diag);
	if (r == 0)
		config->share[config->nr_shares - 1]->conf.fs.ids = FS_IDS_SAME;
	return r;
}

static int share_root(struct config *config, struct initramfs_host_root *root, struct diag *diag)
{
	int r = share(config, "/", ",ro,tag=" ROOT_TAG, diag);

	if (r == 0) {
		root->tag = ROOT_TAG;
		config->initramfs.nr_shares--; /* it is mounted before the others, as no other is */
	}
	return r;
}

static int share_rw(struct config *config, const char *dir, unsigned nr, struct diag *diag)
{
	AUTO_FREE char *path = realpath(dir, NULL);
	char how[32];
	int r;

	if (!path)
		return diag_set(diag, -errno, "rw-directory", "--rw '%s'", dir);
	if (strcmp(path, "/") == 0) {
		diag_set(diag, -EINVAL, "rw-root", "--rw %s is the whole root directory", dir);
		diag_remedy(diag, "name the directories that the command is to write");
		return -EINVAL;
	}
	snprintf(how, sizeof(how), ",tag=tollgate-rw%u", nr);
	r = share(config, path, how, diag);
	if (r < 0)
		return r;
	config->initramfs.share[config->initramfs.nr_shares - 1].path =
		host_root_keep(config, path, diag);
	return config->initramfs.share[config->initramfs.nr_shares - 1].path ? 0 : -ENOMEM;
}

/* Options that have another root directory, another command, or another use of what the command's input takes. */
static int refuse_others(const struct config *config, struct diag *diag)
{
	const struct config_initramfs *initramfs = &config->initramfs;
	const char *other = initramfs->run           ? "--run"
			    : initramfs->root        ? "--root"
			    : initramfs->rootfs      ? "--rootfs"
			    : config->consoles.added ? "a virtio console"
			    : initramfs->busybox     ? "--busybox"
						     : NULL;

	if (!other)
		return 0;
	diag_set(diag, -EINVAL, "host-root-combined", "--root-of-host with %s", other);
	if (config->consoles.added)
		diag_remedy(diag, "the command's input takes that console");
	return -EINVAL;
}

static int refuse_rw(const struct config *config, struct diag *diag)
{
	if (config->host_root.nr_rw == 0)
		return 0;
	diag_set(diag, -EINVAL, "rw-without-root", "--rw without --root-of-host");
	diag_remedy(diag, "--share %s shares a directory alone", config->host_root.rw[0]);
	return -EINVAL;
}

static int set_command(struct config *config, struct initramfs_host_root *root, struct diag *diag)
{
	const char **shell;

	root->command = (const char *const *)config->host_root.command;
	if (root->command)
		return 0;
	shell = config_alloc(config, 2 * sizeof(*shell), diag);
	if (!shell)
		return -ENOMEM;
	shell[0] = getenv("SHELL");
	if (!shell[0] || !shell[0][0])
		shell[0] = "/bin/sh";
	root->command = shell;
	return 0;
}

int config_host_root_apply(struct config *config, struct diag *diag)
{
	struct initramfs_host_root *root = &config->initramfs.host_root;
	int r;

	if (!config->host_root.wanted)
		return refuse_rw(config, diag);
	r = refuse_others(config, diag);
	if (r == 0)
		r = set_command(config, root, diag);
	if (r == 0)
		r = pass_environment(config, diag);
	if (r == 0)
		r = pass_user(config, root, diag);
	if (r == 0)
		r = pass_place(config, root, diag);
	if (r == 0)
		r = share_root(config, root, diag);
	for (unsigned i = 0; r == 0 && i < config->host_root.nr_rw; i++)
		r = share_rw(config, config->host_root.rw[i], i, diag);
	if (r < 0)
		return r;
	root->terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
	root->terminal_stderr = root->terminal && isatty(STDERR_FILENO) == 1;
	return config_console_add_command(config, diag);
}
