/* text.h - smoke boots for a person to read. All text is clean; nothing depends on a clock. */
#ifndef VMM_SMOKE_REPORT_TEXT_H
#define VMM_SMOKE_REPORT_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "smoke/result.h"
#include "smoke/suite.h"

/*
 * One line of how a boot ended and one of where its time went; for one that did not pass also the lines
 * around what decided, marked with '>', then registers and exits.
 */
void smoke_text_result(FILE *out, const struct smoke_result *result);

/* The last line: how many passed and failed. */
void smoke_text_summary(FILE *out, const struct smoke_suite *suite,
			const struct smoke_result *results);

/* "2026-11-30T06:59:13Z": CLOCK_REALTIME in UTC, as ISO 8601 has it; zone: with the Z. */
void smoke_text_date(FILE *out, int64_t real_ns, bool zone);

/* "12.345" */
void smoke_text_seconds(FILE *out, int64_t ns);

#endif
