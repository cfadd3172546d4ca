/*
 * initramfs.h - the options that make an initramfs: --run, --env, --copy, --overlay, --modules,
 * --module, --busybox. Shared by run and smoke, as those of config.h are.
 */
#ifndef VMM_CONFIG_INITRAMFS_H
#define VMM_CONFIG_INITRAMFS_H

#include "base/diag.h"
#include "base/option_table.h"
#include "initramfs/initramfs.h"
#include "machine.h"
#include "vm.h"

struct config_initramfs {
	const char *run;     /* a command, or NULL */
	const char *modules; /* a directory, "auto", or NULL */
	const char *module[INITRAMFS_NAMES_MAX];
	unsigned nr_modules;
	const char *copy[INITRAMFS_COPIES_MAX]; /* FILE:PATH */
	unsigned nr_copies;
	const char *overlay[INITRAMFS_OVERLAYS_MAX];
	unsigned nr_overlays;
	const char *env[INITRAMFS_NAMES_MAX]; /* NAME=VALUE */
	unsigned nr_env;
	struct initramfs_share share[INITRAMFS_SHARES_MAX]; /* of --share */
	unsigned nr_shares;
	enum initramfs_busybox busybox;
	const char *busybox_file;
	const char *root; /* a disk of the guest to become its root directory, or NULL */
	struct initramfs_host_root host_root;
	unsigned rootfs; /* of --rootfs: the number of the virtio disk, from 1; 0: none */
};

enum {
	CONFIG_OPT_RUN = 0x400, /* past all those of config.h */
	CONFIG_OPT_ENV,
	CONFIG_OPT_COPY,
	CONFIG_OPT_OVERLAY,
	CONFIG_OPT_MODULES,
	CONFIG_OPT_MODULE,
	CONFIG_OPT_BUSYBOX,
	CONFIG_OPT_ROOT,
};
extern const struct option_group config_initramfs_group;

/* Takes one such option; 1 when opt is none of them, else 0 or -EINVAL with diag. arg is borrowed. */
int config_initramfs_option(struct config_initramfs *config, int opt, const char *arg,
			    struct diag *diag);

/* Checks that need the whole command line: -EINVAL with diag. */
int config_initramfs_check(const struct config_initramfs *config, struct diag *diag);

/* How long FILE is in a --copy that was taken. */
size_t config_initramfs_copy_len(const char *copy);

/* Whether there is one to be made, and whether our own /init is in it. */
bool config_initramfs_wanted(const struct config_initramfs *config);
bool config_initramfs_has_init(const struct config_initramfs *config);

/*
 * Makes it, for a kernel on a machine that was resolved with command_ports if it has our init;
 * initramfs_fini() frees it. Errors as of initramfs_build(), and for modules that are not found.
 */
int config_initramfs_make(const struct config_initramfs *config, const struct machine *machine,
			  const struct boot_file *kernel, struct initramfs *ret, struct diag *diag);

#endif
