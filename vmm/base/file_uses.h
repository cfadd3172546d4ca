/*
 * file_uses.h - all files that a command names, so that no output overwrites an input or another output.
 * Files are distinguished by device and inode, and those that are not there yet by directory and name.
 */
#ifndef VMM_BASE_FILE_USES_H
#define VMM_BASE_FILE_USES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/diag.h"

enum { FILE_USE_DISK = 1 }; /* disks lock each other out themselves */

struct file_use {
	const char *option; /* that names it, for messages: "--disk"; static */
	char *path;
	bool writes;
	unsigned group; /* not 0: uses of one group are not compared */
	bool known;     /* there is a file, or a directory for it, which has: */
	dev_t dev;
	ino_t ino;
	const char *name; /* in that directory, of a file that is not there; else NULL */
};

/* Zeroed is empty. */
struct file_uses {
	struct file_use *use;
	size_t nr, room;
};

/*
 * Adds a file; path is copied, NULL and "-" are left out. Terminals, pipes and other character devices may
 * be named by any number. -ENOMEM.
 */
int file_uses_add(struct file_uses *uses, const char *option, const char *path, bool writes,
		  unsigned group);

/* -EINVAL with diag when one file is written by one of them and used by another. */
int file_uses_check(const struct file_uses *uses, struct diag *diag);

void file_uses_fini(struct file_uses *uses);

#endif
