/*
 * diag_rig.h - an error as tests name it: "ID", or "ID TEXT ~ TEXT..." with parts of the message, in their order: names
 * and numbers that matter to the test. The wording is in docs/reference/messages.md.
 */
#ifndef TESTS_RIG_DIAG_RIG_H
#define TESTS_RIG_DIAG_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/diag.h"

/* Whether the texts of an error, up to its end, are in a message. */
static inline bool diag_names(const char *what, const char *texts)
{
	static const char and[] = " ~ ";

	for (;;) {
		const char *end = strstr(texts, and);
		const size_t len = end ? (size_t)(end - texts) : strlen(texts);

		what = (const char *)memmem(what, strlen(what), texts, len);
		if (!what || !end)
			return what != NULL;
		what += len;
		texts = end + strlen(and);
	}
}

static inline bool diag_is(const struct diag *diag, const char *error)
{
	const size_t len = strcspn(error, " ");

	return strlen(diag->id) == len && strncmp(diag->id, error, len) == 0 &&
	       diag_names(diag->what, error[len] ? error + len + 1 : "");
}

static inline void diag_check(const struct diag *diag, int err, const char *error, const char *file,
			      int line)
{
	if (diag->err == err && diag_is(diag, error))
		return;
	print_error("%d, %s [%s]; not %d, [%s]\n", diag->err, diag->what, diag->id, err, error);
	_fail(file, line);
}

static inline void diag_check_remedy(const struct diag *diag, const char *text, const char *file,
				     int line)
{
	if (text ? diag->remedy[0] && strstr(diag->remedy, text) : !diag->remedy[0])
		return;
	print_error("remedy '%s'; not '%s'\n", diag->remedy, text ? text : "");
	_fail(file, line);
}

/* That it is that error, with that negative errno. */
#define assert_diag(diag, err, error) diag_check(diag, err, error, __FILE__, __LINE__)

/* That the remedy names it; NULL: that there is none. */
#define assert_remedy(diag, text) diag_check_remedy(diag, text, __FILE__, __LINE__)

#endif
