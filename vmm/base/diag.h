/*
 * diag.h - the one description of why something failed.
 *
 * Host errors travel as -errno; the function that knows the noun records the sentence here and
 * main() prints it once. The first cause wins: a caller further out may call diag_set() too, and
 * changes nothing.
 */
#ifndef VMM_BASE_DIAG_H
#define VMM_BASE_DIAG_H

struct diag {
	int err;          /* negative errno of the first cause; 0 while nothing failed */
	char what[768];   /* the thing and the reason, one line, no newline */
	char remedy[384]; /* what the user can do about it; may be empty */
};

/*
 * Records "WHAT: strerror(-err)" as the first cause. With err == -EINVAL the reason is not appended,
 * because WHAT then says it itself. Returns err, so "return diag_set(...)" reads well. Control
 * characters in the result are replaced by '?' (file names and kernels are not trusted). A NULL
 * diag is allowed and only returns err. For -EMFILE and -ENFILE it adds the remedy, which is the same everywhere.
 */
int diag_set(struct diag *diag, int err, const char *what, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds the remedy of the cause just recorded; no effect when a remedy is there already. */
void diag_remedy(struct diag *diag, const char *remedy, ...) __attribute__((format(printf, 2, 3)));

#endif
