/*
 * conf.h - what this /init is to do: the file CONF_PATH of its initramfs, written by
 * vmm/initramfs/initramfs.c. Records "KEY=VALUE", each ended by a NUL, in any order:
 *
 *   out, err, log, exit   port numbers: output ports for the command's standard output and error and
 *                         for our log (docs/reference/devices/output_port.md), and the exit port
 *   hostname              of the guest
 *   env                   NAME=VALUE for the command; any number
 *   module, need          a module's file to load, in this order; one of need must not fail
 *   missing               drivers that the kernel does not have
 *   busybox               a busybox to install links to
 *   share, share-ro       tag of a shared directory to mount at /mnt/TAG; any number
 *   root                  block device that becomes the root directory
 *   run                   the command; without it the root's own init takes over
 */
#ifndef INIT_CONF_H
#define INIT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_PATH "/tollgate/init.conf"

struct conf_module {
	const char *path;
	bool needed;
};

struct conf_share {
	const char *tag;
	bool read_only;
};

struct conf {
	uint16_t out, err, log, exit;
	const char *hostname, *busybox, *missing, *root, *run; /* NULL: none */
	struct conf_module *module;
	size_t nr_modules;
	struct conf_share *share;
	size_t nr_shares;
	char **env; /* ended by NULL; a later one of a name has replaced the earlier */
	size_t nr_env;
};

/* Reads the file. Its strings stay forever. 0 or -errno; -EINVAL for what we did not write. */
int conf_read(struct conf *conf);

#endif
