/*
 * words.h - lines of words as a kernel's command line has them: split at blanks, except between
 * double quotes, and up to a word "--", behind which they belong to init (Linux,
 * Documentation/admin-guide/kernel-parameters.rst).
 */
#ifndef VMM_BASE_WORDS_H
#define VMM_BASE_WORDS_H

#include <stdbool.h>

/*
 * Whether there is such a word: one that begins with key if that ends in '=', as in "console=", else
 * one that equals it, as in "quiet".
 */
bool words_have(const char *words, const char *key);

/*
 * Where a word of ours fits in behind the others: at the "--" before init's words, or at the end. NULL
 * when a quote is open there, which would swallow it.
 */
const char *words_end(const char *words);

#endif
