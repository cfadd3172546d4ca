/*
 * option.h - the values of command-line options, with one wording for what is wrong with them.
 *
 * option is the name as the user typed it ("--width"); every failure is -EINVAL with diag, and *ret is
 * then untouched.
 */
#ifndef VMM_BASE_OPTION_H
#define VMM_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

/* A number from min to max, as parse_u64() reads it. */
int option_u64(const char *option, const char *arg, uint64_t min, uint64_t max, uint64_t *ret,
	       struct diag *diag);

/*
 * The remedy for a size below min_bytes that has no unit, as in --mem 512: the same with M, or with G where that is
 * still too small. No effect when it has a unit, or is 0.
 */
void option_size_remedy(const char *option, const char *arg, uint64_t min_bytes, struct diag *diag);

/* Bytes, as parse_size_bytes() reads them; and seconds as parse_seconds_ns() does, above 0 unless zero is too. */
int option_size(const char *option, const char *arg, uint64_t *ret, struct diag *diag);
int option_seconds(const char *option, const char *arg, bool zero, int64_t *ret, struct diag *diag);

/*
 * A value of an option. A list ends with a NULL name; messages list the names in this order, and suggest the closest
 * one.
 */
struct option_value {
	const char *name;
	int value;
};
int option_choice(const char *option, const char *arg, const struct option_value *values, int *ret,
		  struct diag *diag);

/*
 * A list such as FILE,ro,id=root: items between commas, where two commas stand for one that belongs
 * to the item.
 */
struct option_items {
	const char *option; /* for messages */
	const char *rest;   /* NULL at the end */
};

static inline struct option_items option_items(const char *option, const char *arg)
{
	return (struct option_items){.option = option, .rest = arg};
}

/*
 * The next item into buf (cap bytes with the terminator): 1 with an item, which may be empty, 0 at
 * the end, -EINVAL when it is too long.
 */
int option_item_next(struct option_items *items, char *buf, size_t cap, struct diag *diag);

/* The value after "key=" in an item, or NULL when the item has another key. Borrowed from item. */
const char *option_item_value(const char *item, const char *key);

#endif
