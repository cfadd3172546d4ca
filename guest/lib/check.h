/*
 * check.h - results. Each check is one line, "PASS name" or "FAIL name: why"; check_finish() adds
 * "N passed, N failed" and ends the guest. A name is one word, so that scripts can find it.
 */
#ifndef GUEST_CHECK_H
#define GUEST_CHECK_H

#include <stdbool.h>

/* The format says why the check failed; it is not printed when it passed. Returns ok. */
bool check(const char *name, bool ok, const char *why, ...) __attribute__((format(printf, 3, 4)));

/* "PASS name" */
void check_ok(const char *name);

/* A pass that has something to show: "PASS name  what", in columns. */
void check_pass(const char *name, const char *what, ...) __attribute__((format(printf, 2, 3)));

/* A failure: "FAIL name: why". */
void check_fail(const char *name, const char *why, ...) __attribute__((format(printf, 2, 3)));

/*
 * Exits with GUEST_EXIT_OK when at least one check passed and none failed, else GUEST_EXIT_FAILED.
 */
_Noreturn void check_finish(void);

#endif
