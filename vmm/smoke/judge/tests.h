/* tests.h - how results come into a list, for ktap.c and tests.c alone. */
#ifndef VMM_SMOKE_JUDGE_TESTS_H
#define VMM_SMOKE_JUDGE_TESTS_H

#include "smoke/judge/ktap.h"

/* Copies the test's name, and the notes of one that did not pass. */
void smoke_tests_add(struct smoke_tests *tests, const struct smoke_test *test);

#endif
