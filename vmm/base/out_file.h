/* out_file.h - files that are written. */
#ifndef VMM_BASE_OUT_FILE_H
#define VMM_BASE_OUT_FILE_H

#include <stdbool.h>

struct out_file_opts {
	bool append; /* every write goes to the end, and what is there stays; else it is emptied */
	bool nonblock;  /* the descriptor has O_NONBLOCK, where it is not shared */
	bool no_follow; /* a symbolic link is refused */
};

/*
 * Creates or opens path for writing, and returns a descriptor with O_CLOEXEC or -errno. "-" is standard
 * output. A file that is this process's standard output or error already, by whatever name
 * (/dev/stdout), is neither emptied nor opened anew: the descriptor shares its position. Does not wait for
 * the reader of a FIFO: -ENXIO without one.
 */
int out_file_open(const char *path, const struct out_file_opts *opts);

#endif
