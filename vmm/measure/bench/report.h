/* report.h - what a run of `tollgate bench` measured, for people and for programs. */
#ifndef VMM_MEASURE_BENCH_REPORT_H
#define VMM_MEASURE_BENCH_REPORT_H

#include <stdio.h>

#include "base/diag.h"
#include "measure/bench.h"

#define BENCH_FORMAT "tollgate-bench"
enum { BENCH_FORMAT_VERSION = 1 };

/* A run: its experiments, and all that is to be known when it is compared with another. */
struct bench_report {
	const char *version, *commit; /* of Tollgate */
	const struct bench_opts *opts;
	const struct bench_result *result;
	unsigned nr_results;
};

/* A table of one experiment. Warns of noise. */
void bench_print_table(FILE *out, const struct bench_result *res);

/* A comparison passes over smaller differences of a point's ratio to its floor, as a share of it. */
#define BENCH_LEAST_SHARE 0.02

/*
 * The difference, as a share of the ratio, from which on the noise of two such runs lets it be seen: of the median
 * point.
 */
double bench_resolution(const struct bench_result *res);

/* docs/reference/bench.md describes both. Lines end with \n. */
void bench_print_json(FILE *out, const struct bench_report *report);
void bench_print_csv(FILE *out, const struct bench_report *report);

/*
 * Writes DIR/EXPERIMENT.svg, and .gp and .dat to draw the same with gnuplot. Makes dir. -errno with diag.
 */
int bench_plot(const char *dir, const struct bench_result *res, struct diag *diag);

#endif
