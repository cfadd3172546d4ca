/*
 * live.h - a line a running boot at the foot of a terminal: name, seconds, phase, last line of its
 * console. Results scroll by above them.
 */
#ifndef VMM_SMOKE_LIVE_H
#define VMM_SMOKE_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "smoke/judge.h"
#include "smoke/result.h"
#include "smoke/suite.h"

enum { SMOKE_LIVE_ROWS_MAX = 32, SMOKE_LIVE_TEXT_MAX = 256 };

/* One boot that runs. */
struct smoke_live_row {
	unsigned i;
	int64_t start_ns;
	char text[SMOKE_LIVE_TEXT_MAX]; /* printable ASCII: a byte is a column */
};

struct smoke_live {
	FILE *out; /* a terminal */
	const struct smoke_suite *suite;
	const struct smoke_result *results; /* of the suite, while they become */
	struct smoke_live_row row[SMOKE_LIVE_ROWS_MAX];
	unsigned nr, nr_more;  /* more: that run and have no row */
	unsigned name_columns; /* of the rows that are drawn */
	unsigned shown;        /* rows that are on the terminal */
};

/* Whether out is a terminal that knows how to move up. */
bool smoke_live_can(FILE *out);

/* All is borrowed. */
void smoke_live_init(struct smoke_live *live, FILE *out, const struct smoke_suite *suite,
		     const struct smoke_result *results);
void smoke_live_start(struct smoke_live *live, unsigned i, int64_t now_ns);
void smoke_live_line(struct smoke_live *live, unsigned i, const struct smoke_line *line);
void smoke_live_stop(struct smoke_live *live, unsigned i);

/* Takes the rows off the terminal, so that something else can be printed; draws them anew. */
void smoke_live_clear(struct smoke_live *live);
void smoke_live_draw(struct smoke_live *live, int64_t now_ns);

#endif
