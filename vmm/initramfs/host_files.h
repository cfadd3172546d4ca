/* host_files.h - files of the host, for an archive. */
#ifndef VMM_INITRAMFS_HOST_FILES_H
#define VMM_INITRAMFS_HOST_FILES_H

#include <stdint.h>

#include "base/diag.h"
#include "initramfs/cpio.h"

/*
 * A whole regular file, malloc'ed and the caller's; NULL and 0 for an empty one. what is its noun for
 * messages. *budget_bytes is how much may still be read, and less by so much afterwards; -EFBIG with
 * diag when it is too little, -errno.
 */
int host_file_read(const char *what, const char *file, uint64_t *budget_bytes, void **ret,
		   size_t *ret_len, struct diag *diag);

/*
 * Adds the file, or the directory with all that is in it, as path; "/" for a directory's content.
 * A symbolic link in file itself is followed, those below are copied as links. Permissions are kept,
 * owners are not; sockets are left out. Budget and errors as of host_file_read().
 */
int host_files_add(struct cpio *cpio, const char *what, const char *file, const char *path,
		   uint64_t *budget_bytes, struct diag *diag);

#endif
