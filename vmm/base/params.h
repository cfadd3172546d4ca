/*
 * params.h - parameters as a kernel's command line has them: split at blanks, except between
 * double quotes, and up to "--", after which they are arguments of init (Linux,
 * Documentation/admin-guide/kernel-parameters.rst).
 */
#ifndef VMM_BASE_PARAMS_H
#define VMM_BASE_PARAMS_H

#include <stdbool.h>

/*
 * Whether there is such a parameter: one that begins with key if that ends in '=', as in "console=", else
 * one that equals it, as in "quiet".
 */
bool params_have(const char *params, const char *key);

/*
 * Where another parameter can be added after the others: at the "--" before arguments of init, or at the end. NULL
 * when a quote is open there, which would swallow it.
 */
const char *params_end(const char *params);

#endif
