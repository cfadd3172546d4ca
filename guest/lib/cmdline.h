/*
 * cmdline.h - options on the kernel command line: words, either bare or name=value. The last one
 * wins.
 */
#ifndef GUEST_CMDLINE_H
#define GUEST_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when the bare word is there. */
bool cmdline_has(const char *word);

/*
 * The value of name=value, len bytes up to the next space and not NUL-terminated; NULL when absent.
 */
const char *cmdline_value(const char *name, size_t *ret_len);

/*
 * The value as a number, decimal or 0x; fallback when absent. No number, or above max:
 * guest_usage().
 */
uint64_t cmdline_u64(const char *name, uint64_t fallback, uint64_t max);

/*
 * The index of the value in choices (NULL-terminated); 0, the default choice, when absent.
 * Any other value: guest_usage().
 */
unsigned cmdline_choice(const char *name, const char *const *choices);

#endif
