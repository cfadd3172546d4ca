/* splat_title.h - how the titles of splats are made, for classes.c and title.c alone. */
#ifndef VMM_SMOKE_JUDGE_SPLAT_TITLE_H
#define VMM_SMOKE_JUDGE_SPLAT_TITLE_H

#include "smoke/judge/splat.h"

/* A title while it is made, in a buffer of SMOKE_SPLAT_TITLE_MAX; it never overflows. */
struct splat_title {
	char *buf;
	size_t len;
};

/* Adds n bytes; none of them where not all fit. */
void splat_title_put(struct splat_title *title, const char *s, size_t n);

/* Adds the words of a line, without addresses, numbers, offsets and source lines. */
void splat_title_put_normal(struct splat_title *title, const char *line);

/* "WARNING in FUNCTION at FILE"; false, and nothing, when the line names no source file. */
bool splat_title_put_warning(struct splat_title *title, const char *words);

#endif
