/* file.h - whole input files. */
#ifndef VMM_BASE_FILE_H
#define VMM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/diag.h"

enum { FILE_MAPS_MAX = 32 }; /* at once */

struct file_map {
	uint8_t *data;              /* read-only private mapping; NULL when not mapped */
	size_t len;                 /* bytes, not 0 while mapped */
	int fd;                     /* of the file, while mapped */
	unsigned slot;              /* in the table of those that are guarded */
	struct timespec written_at; /* st_mtim when it was mapped */
};

/*
 * Maps the regular file at path. what is its noun for messages ("kernel"). Refuses directories,
 * devices and empty files with -EINVAL; other failures as open(2) and mmap(2); -EMFILE with
 * FILE_MAPS_MAX mapped. *ret is untouched then.
 *
 * Bytes that another process cuts off the file read as zeros: while any file is mapped, SIGBUS has a handler
 * for that, which leaves any other SIGBUS to the default. file_map_check() says whether it happened.
 * Threads: one at a time maps, checks and closes; any may read.
 */
int file_map_open(struct file_map *ret, const char *what, const char *path, struct diag *diag);

/*
 * After the last read: -EBUSY with diag when the file was cut off or written to
 * since it was mapped, so that what was read may be of no one version.
 */
int file_map_check(const struct file_map *map, const char *what, const char *path,
		   struct diag *diag);

void file_map_close(struct file_map *map); /* takes a zeroed map too */

/* Whether any file is mapped, and SIGBUS so has that handler. The thread that maps. */
bool file_maps_guarded(void);

#endif
