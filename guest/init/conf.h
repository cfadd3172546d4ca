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
 *   share-at              where the last of these is mounted instead
 *   host-root             tag of the share that becomes the root directory, with what changes in memory
 *   cwd, uid, gid, groups of the command: directory, user and groups, as "4,24"
 *   input                 frames: its input comes by hvc0 (input.h); terminal: hvc0 is its terminal
 *   stderr                terminal: hvc0 is its standard error, too
 *   arg                   a word of the command, which no shell reads; any number
 *   root                  block device that becomes the root directory
 *   agent                 a vsock port, for commands and copies from the host (agent.h)
 *   run                   a command for a shell; without run and arg the root's own init takes over
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
	const char *tag, *path; /* path NULL: /mnt/TAG */
	bool read_only;
};

/* Strings, ended by NULL. */
struct conf_list {
	char **item;
	size_t nr;
};

enum conf_input {
	CONF_INPUT_NONE,
	CONF_INPUT_FRAMES,
	CONF_INPUT_TERMINAL,
};

struct conf {
	uint16_t out, err, log, exit;
	uint32_t agent;                                        /* 0: none */
	const char *hostname, *busybox, *missing, *root, *run; /* NULL: none */
	struct conf_module *module;
	size_t nr_modules;
	struct conf_share *share;
	size_t nr_shares;
	struct conf_list env;                 /* a later one of a name has replaced the earlier */
	struct conf_list arg;                 /* nr 0: conf.run is the command, or there is none */
	const char *host_root, *cwd, *groups; /* NULL: none */
	uint32_t uid, gid;
	enum conf_input input;
	bool stderr_is_terminal;
};

/* Reads the file. Its strings stay forever. 0 or -errno; -EINVAL for what we did not write. */
int conf_read(struct conf *conf);

#endif
