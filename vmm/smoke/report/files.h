/*
 * files.h - a finished run for programs: JUnit XML, TAP, JSON, and a chart of where the time went. Pure:
 * the same results give the same bytes.
 *
 * Everything that comes from a guest or a file name is clean text already (text.h), or is made so.
 */
#ifndef VMM_SMOKE_REPORT_FILES_H
#define VMM_SMOKE_REPORT_FILES_H

#include <stdio.h>

#include "smoke/result.h"
#include "smoke/suite.h"

/* One suite with a test case a boot, as Ant's JUnit task writes it; tests/kvm/junit.xsd is its schema. */
void smoke_report_junit(FILE *out, const struct smoke_suite *suite,
			const struct smoke_result *results);

/* TAP version 13 with a YAML block for each test. */
void smoke_report_tap(FILE *out, const struct smoke_suite *suite,
		      const struct smoke_result *results);

/* All there is; docs/guide/smoke.md describes it. */
void smoke_report_json(FILE *out, const struct smoke_suite *suite,
		       const struct smoke_result *results);

/* An SVG image: a bar a boot, in its stages. */
void smoke_report_chart(FILE *out, const struct smoke_suite *suite,
			const struct smoke_result *results);

#endif
