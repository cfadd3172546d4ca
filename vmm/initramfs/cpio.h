/*
 * cpio.h - archives in cpio's "newc" format, as the kernel unpacks them into its initramfs (Linux,
 * Documentation/driver-api/early-userspace/buffer-format.rst). Pure.
 *
 * Entries are collected and then rendered, ordered by path, parents first: the same entries give the
 * same bytes. Inode numbers count up, times and owners are 0. Of two entries with one path the later
 * counts. Directories that a path needs and nobody added get mode 0755.
 *
 * Paths are from the root, with or without a leading '/'; empty components and "." are left out.
 * Refused with -EINVAL and diag: "..", an empty path, "TRAILER!!!", and what the kernel cannot take:
 * paths and link targets of 4,096 bytes or more.
 */
#ifndef VMM_INITRAMFS_CPIO_H
#define VMM_INITRAMFS_CPIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"

struct cpio_entry;

/* Zeroed is an empty one. */
struct cpio {
	struct cpio_entry *entry;
	size_t nr, cap;
};

/* Permissions are the low 12 bits of perm. Each returns 0 or -errno with diag. */
int cpio_add_dir(struct cpio *cpio, const char *path, mode_t perm, struct diag *diag);

/*
 * A regular file. data is malloc'ed (or NULL with len 0) and belongs to cpio from now on, also when
 * this fails. -EFBIG: 4 GiB or more, which the format's 32-bit size cannot say.
 */
int cpio_add_file(struct cpio *cpio, const char *path, mode_t perm, void *data, size_t len,
		  struct diag *diag);

int cpio_add_symlink(struct cpio *cpio, const char *path, const char *target, struct diag *diag);

/* A device node or a FIFO: mode has S_IFCHR, S_IFBLK or S_IFIFO, and the permissions. */
int cpio_add_node(struct cpio *cpio, const char *path, mode_t mode, dev_t rdev, struct diag *diag);

/*
 * The archive, with its trailer: malloc'ed and the caller's. -ENOTDIR with diag when an entry lies
 * below one that is not a directory; -ENOMEM. *ret and *ret_len are untouched then.
 */
int cpio_render(struct cpio *cpio, uint8_t **ret, size_t *ret_len, struct diag *diag);

/* Whether there is an entry of that path, with cpio's rules for paths. */
bool cpio_has(const struct cpio *cpio, const char *path);

void cpio_fini(struct cpio *cpio);

#endif
