/*
 * tail.h - the lines of a boot that a report shows: the last ones, or, once one of them says what went
 * wrong, those around it. Of constant size.
 */
#ifndef VMM_SMOKE_TAIL_H
#define VMM_SMOKE_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smoke/judge.h"

enum {
	SMOKE_TAIL_LINES = 64,
	SMOKE_TAIL_BEFORE = 16, /* kept before the first marked line */
	SMOKE_TAIL_TEXT_MAX = 512,
};

struct smoke_tail_line {
	int64_t at_ns;
	enum smoke_stream stream;
	bool marked, cut;
	char text[SMOKE_TAIL_TEXT_MAX]; /* clean, NUL-terminated */
};

/* Zeroed is empty. */
struct smoke_tail {
	struct smoke_tail_line line[SMOKE_TAIL_LINES];
	unsigned first, nr;     /* a ring */
	uint64_t before, after; /* lines that came and are not here */
};

void smoke_tail_add(struct smoke_tail *tail, const struct smoke_line *line);

/* The i-th line that is kept, i < nr, oldest first. */
const struct smoke_tail_line *smoke_tail_get(const struct smoke_tail *tail, unsigned i);

#endif
