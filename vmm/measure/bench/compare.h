/* compare.h - whether two runs of `tollgate bench` differ by more than noise. docs/reference/bench.md has the rule. */
#ifndef VMM_MEASURE_BENCH_COMPARE_H
#define VMM_MEASURE_BENCH_COMPARE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/diag.h"

struct bench_comparison {
	unsigned compared; /* points that both runs have */
	unsigned differ;
	bool together; /* the time in Tollgate of all of them, as a mean, differs */
};

/* Of one quantity of one point. */
enum bench_verdict { BENCH_SAME, BENCH_LESS, BENCH_MORE }; /* b compared with a */

struct bench_values {
	const double *value;
	unsigned nr;
};

/* least: the smallest difference of medians that counts. significance: of the test that it is not chance. */
enum bench_verdict bench_compare_values(const struct bench_values *a, const struct bench_values *b,
					double least, double significance);

/*
 * Compares two files of --json. Prints to out each point that differs, or every point with all; and a sum. -errno with
 * diag: what cannot be read, or is not such a file, or has nothing in common.
 */
int bench_compare(const char *path_a, const char *path_b, bool all, FILE *out,
		  struct bench_comparison *ret, struct diag *diag);

#endif
