/*
 * diag.h - the one description of why something failed.
 *
 * Host errors travel as -errno; the function that knows the noun records the sentence here and
 * main() prints it once. The first cause wins: a caller further out may call diag_set() too, and
 * changes nothing.
 */
#ifndef VMM_BASE_DIAG_H
#define VMM_BASE_DIAG_H

#include <stdbool.h>
#include <stdio.h>

enum { DIAG_ID_BYTES = 40 }; /* with the NUL */

struct diag {
	int err;                /* negative errno of the first cause; 0 while nothing failed */
	char id[DIAG_ID_BYTES]; /* names the message; it stays when the sentence gets better words */
	char what[768];         /* the thing and the reason, one line, no newline */
	char remedy[384];       /* what the user can do about it; may be empty */
};

/*
 * Records "WHAT: strerror(-err)" as the first cause, under an id: kebab case, the noun and then the reason or, when the
 * host refused it, the act, as in "disk-empty" and "disk-open". Messages of one meaning have one id, and it stands in
 * one file. It is a literal, so that docs/reference/messages can list all of them; a function that is handed one calls
 * the parameter diag_id. It is copied, because it also comes from other processes. With err == -EINVAL the reason is
 * not appended, because WHAT then says it itself. Returns err, so "return diag_set(...)" reads well. Control characters
 * in the result are replaced by '?' (file names and kernels are not trusted). A NULL diag is allowed and only returns
 * err. For -EMFILE and -ENFILE it adds the remedy, which is the same everywhere.
 */
int diag_set(struct diag *diag, int err, const char *id, const char *what, ...)
	__attribute__((format(printf, 4, 5)));

/* Whether this has the form of an id, and is not too long for one. */
bool diag_is_id(const char *text);

/*
 * Copies an id from outside, such as another process. One that has another form than this header says is not copied,
 * and leaves the diag without an id.
 */
void diag_take_id(struct diag *diag, const char *id);

/* Prints "WHAT [ID]", or WHAT alone without an id; no newline. */
void diag_print(const struct diag *diag, FILE *out);

/* Adds the remedy of the cause just recorded; no effect when a remedy is there already. */
void diag_remedy(struct diag *diag, const char *remedy, ...) __attribute__((format(printf, 2, 3)));

#endif
