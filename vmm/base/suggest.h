/*
 * suggest.h - the known name that a mistyped one was probably meant to be.
 *
 * Candidates are offered one by one, so that any table can be searched. Nothing is copied: the names stay the
 * caller's.
 */
#ifndef VMM_BASE_SUGGEST_H
#define VMM_BASE_SUGGEST_H

#include <stddef.h>

struct suggest {
	const char *typed;
	size_t typed_len;
	const char *best; /* NULL while no candidate was near enough */
	size_t distance;  /* of best, or the first distance that is too far */
};

/* typed_len bytes of typed are the name. */
void suggest_init(struct suggest *suggest, const char *typed, size_t typed_len);

/* Of candidates at the same distance the first one offered stays. */
void suggest_offer(struct suggest *suggest, const char *candidate);

/*
 * How many characters of a (a_len bytes) have to be inserted, left out, replaced, or swapped with their
 * neighbour to make b: the optimal string alignment distance. Above limit it is limit + 1. Names longer than
 * 63 bytes are further away than any limit.
 */
size_t suggest_distance(const char *a, size_t a_len, const char *b, size_t limit);

#endif
