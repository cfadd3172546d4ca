/*
 * initramfs.h - the initramfs that Tollgate makes itself: files of the host, and with a command to run
 * our own /init (guest/init), the kernel's modules and a shell. The same input gives the same bytes.
 */
#ifndef VMM_INITRAMFS_INITRAMFS_H
#define VMM_INITRAMFS_INITRAMFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum {
	INITRAMFS_COPIES_MAX = 64,
	INITRAMFS_OVERLAYS_MAX = 16,
	INITRAMFS_NAMES_MAX = 64, /* of modules, and of environment variables */
	INITRAMFS_SHARES_MAX = 16,
};

struct initramfs_copy {
	const char *file; /* of the host: a file or a directory */
	const char *path; /* in the guest */
};

/* A shared directory that is mounted before the command runs. */
struct initramfs_share {
	const char *tag;
	bool read_only;
	const char *path; /* in the guest; NULL: /mnt/TAG */
};

/* The host's root directory as the guest's, and a command in it. */
struct initramfs_host_root {
	const char *tag;            /* of the share; NULL: another root directory */
	const char *const *command; /* ended by NULL */
	const char *cwd, *hostname;
	uint32_t uid, gid;
	const char *groups; /* "4,24,27" */
	bool terminal;      /* hvc0 is the command's terminal; else its input comes by it, framed */
	bool terminal_stderr; /* and its standard error */
};

enum initramfs_busybox {
	INITRAMFS_BUSYBOX_AUTO, /* a static one of the host's, if there is one and no overlay has sh */
	INITRAMFS_BUSYBOX_FILE, /* busybox_file; NULL: a static one of the host's */
	INITRAMFS_BUSYBOX_NONE,
};

/* All strings are borrowed. */
struct initramfs_opts {
	/* Our /init is in it when one of these is set. */
	const char *run;  /* a command; NULL: the root's own init */
	const char *root; /* a block device of the guest to become its root directory, or NULL */
	struct initramfs_host_root host_root;

	struct initramfs_copy copy[INITRAMFS_COPIES_MAX];
	unsigned nr_copies;
	const char *overlay[INITRAMFS_OVERLAYS_MAX]; /* directories; the later wins */
	unsigned nr_overlays;

	/* With our /init only. */
	const char *modules;                     /* the kernel's modules directory; NULL: none */
	bool sockets;                            /* the machine has a socket device */
	const char *module[INITRAMFS_NAMES_MAX]; /* besides the virtio ones, and that of shares */
	unsigned nr_modules;
	struct initramfs_share share[INITRAMFS_SHARES_MAX];
	unsigned nr_shares;
	enum initramfs_busybox busybox;
	const char *busybox_file;
	const char *env[INITRAMFS_NAMES_MAX]; /* "NAME=VALUE", besides PATH, HOME and TERM */
	unsigned nr_env;

	const void *init; /* the program */
	size_t init_len;
	uint16_t out_port, err_port, log_port, exit_port; /* 0: the machine has none */

	uint64_t max_bytes; /* of files in it: the guest's memory */
};

struct initramfs {
	uint8_t *data; /* a cpio archive */
	size_t len;
};

/*
 * Reads what opts names and makes the archive; initramfs_fini() frees it. -errno with diag, *ret is
 * untouched then: files that cannot be read, a busybox that is not static, what modules_read() refuses,
 * a file below another, more than max_bytes.
 */
int initramfs_build(const struct initramfs_opts *opts, struct initramfs *ret, struct diag *diag);

void initramfs_fini(struct initramfs *initramfs); /* takes a zeroed one too */

#endif
