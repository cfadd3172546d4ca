/*
 * file_writer.h - writes a file by a thread of its own: where the file's system does not answer (frozen, a
 * server that is gone), open() and write() do not return, and no O_NONBLOCK changes that for a file.
 *
 * A pipe is before it: what it holds, usually 64 KiB, is all that waits, and it polls as a slow reader's
 * does. Bytes written to it after the file has failed are dropped.
 */
#ifndef VMM_BACKEND_FILE_WRITER_H
#define VMM_BACKEND_FILE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/out_file.h"

struct file_writer;

/*
 * Takes over fd, which blocks or not. Returns 0, *ret, *ret_pipe to write to, which does not block, and
 * *ret_failed, an eventfd that is readable once the file took no more; both are the writer's. Or -errno, and
 * fd stays the caller's.
 */
int file_writer_start(int fd, struct file_writer **ret, int *ret_pipe, int *ret_failed);

/*
 * The same for a file that the thread opens by its name, as out_file_open() does. path is copied. A file that
 * cannot be opened is one that takes no more.
 */
int file_writer_open(const char *path, const struct out_file_opts *opts, struct file_writer **ret,
		     int *ret_pipe, int *ret_failed);

/* Why the file took no more, a negative errno; 0 while it takes what comes. */
int file_writer_error(const struct file_writer *fw);

/*
 * Nothing more is to come but rest, len bytes that the writer frees; NULL: none. The pipe is closed. Once at
 * most; does not wait.
 */
void file_writer_finish(struct file_writer *fw, char *rest, size_t len);

/* Whether file_writer_stop() returns at once. */
bool file_writer_is_done(const struct file_writer *fw);

/*
 * Ends it once all is written, or at until_ns of CLOCK_MONOTONIC. 0, or -errno when something was lost:
 * -ETIMEDOUT when the file does not answer; its thread is then left to the end of the process.
 */
int file_writer_stop(struct file_writer *fw, int64_t until_ns);

#endif
