/*
 * log.h - a boot's whole console in a file: a line of the guest's a line, behind the host's clock since
 * the boot began and the guest's own, as its kernel printed it.
 *
 * A guest that prints for ever fills no disk: past the limit, lines are counted and not written.
 */
#ifndef SMOKE_LOG_H
#define SMOKE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/diag.h"
#include "smoke/judge.h"
#include "smoke/tail.h"

struct smoke_log {
	FILE *f; /* NULL: not open */
	uint64_t limit_bytes, written_bytes, left_out;
	int64_t start_ns; /* 0 until the first line */
};

/*
 * Whether smoke_log_open() is going to succeed, as far as can be known before: 0, or -errno with diag. Leaves
 * nothing behind.
 */
int smoke_log_check(const char *dir, const char *name, struct diag *diag);

/*
 * Creates DIR/NAME.log anew, where NAME's bytes that file names do not like become '_'. A link there is
 * not followed. -errno with diag.
 */
int smoke_log_open(struct smoke_log *log, const char *dir, const char *name, uint64_t limit_bytes,
		   struct diag *diag);

void smoke_log_line(struct smoke_log *log, const struct smoke_line *line, int64_t start_ns);

/*
 * Says what was left out, with the lines that the report shows; -errno with diag when not all could be
 * written. Takes a log that is not open.
 */
int smoke_log_close(struct smoke_log *log, const char *name, const struct smoke_tail *tail,
		    struct diag *diag);

/* Whether both names make the same file, which one boot would take from the other. */
bool smoke_log_same(const char *name, const char *other);

/* DIR/NAME.log */
int smoke_log_path(const char *dir, const char *name, char *buf, size_t cap);

#endif
