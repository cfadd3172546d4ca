/* file.h - whole input files. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

struct file_map {
	uint8_t *data; /* read-only private mapping; NULL when not mapped */
	size_t len;    /* bytes, not 0 while mapped */
};

/*
 * Maps the regular file at path. what is its noun for messages ("kernel"). Refuses directories,
 * devices and empty files with -EINVAL; other failures as open(2) and mmap(2). *ret is untouched then.
 */
int file_map_open(struct file_map *ret, const char *what, const char *path, struct diag *diag);
void file_map_close(struct file_map *map); /* takes a zeroed map too */

#endif
