/*
 * log.h - a boot's whole console in a file: each line of the guest after the host's clock since
 * the boot began and the guest's own, as its kernel printed it.
 *
 * A guest that prints forever fills no disk: past the limit, lines are counted and not written.
 *
 * A file that does not answer holds up nobody: a thread writes it (backend/file_writer.h). Bytes that the thread's
 * pipe does not take are pending here. The caller gives no more lines then, so that at most one piece of the guest's
 * output is, or at the end what the boot's pipes held.
 */
#ifndef VMM_SMOKE_LOG_H
#define VMM_SMOKE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/file_writer.h"
#include "base/diag.h"
#include "smoke/judge.h"
#include "smoke/tail.h"

struct smoke_log {
	struct file_writer *writer; /* NULL: not open, and not waited for */
	int pipe;                   /* the writer's */
	bool is_closed;
	int err; /* of ours: a negative errno; 0: none */
	char *pending;
	size_t pending_len, pending_room;
	uint64_t limit_bytes, written_bytes, left_out;
	int64_t start_ns; /* 0 until the first line */
};

/*
 * Whether smoke_log_open() is going to succeed, as far as can be known before: 0, or -errno with diag. Leaves
 * nothing.
 */
int smoke_log_check(const char *dir, const char *name, struct diag *diag);

/*
 * Opens DIR/NAME.log, to append to it, where NAME's bytes that file names do not like become '_'. A link there is
 * not followed. -errno with diag; that the file could not be opened is reported by smoke_log_wait().
 */
int smoke_log_open(struct smoke_log *log, const char *dir, const char *name, uint64_t limit_bytes,
		   struct diag *diag);

/* Takes a log that is not open. */
void smoke_log_line(struct smoke_log *log, const struct smoke_line *line, int64_t start_ns);

/* Whether nothing is pending: more lines may come. */
bool smoke_log_has_room(struct smoke_log *log);

/*
 * The last of it: says what was left out, with the lines that the report shows. Does not wait. Takes a log that is
 * not open.
 */
void smoke_log_close(struct smoke_log *log, const struct smoke_tail *tail);

/* Whether smoke_log_wait() returns at once. */
bool smoke_log_is_done(const struct smoke_log *log);

/*
 * After smoke_log_close(): -errno with diag when not all could be written by until_ns of CLOCK_MONOTONIC. Takes a
 * log that is not open, and one that was waited for.
 */
int smoke_log_wait(struct smoke_log *log, const char *name, int64_t until_ns, struct diag *diag);

/* Whether both names make the same file, which one boot would take from the other. */
bool smoke_log_same(const char *name, const char *other);

#define SMOKE_LOG_SUFFIX ".log"

/* The file of a boot in a directory: DIR/NAME and the suffix. 0 or -ENAMETOOLONG. */
int smoke_file_path(const char *dir, const char *name, const char *suffix, char *buf, size_t cap);

#endif
