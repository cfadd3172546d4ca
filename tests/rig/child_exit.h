/*
 * child_exit.h - the end of a child that a test forked and that ran code of vmm/.
 */
#ifndef TESTS_RIG_CHILD_EXIT_H
#define TESTS_RIG_CHILD_EXIT_H

#include <unistd.h>

/* libgcov's; only `./test --coverage` links it. */
extern void __gcov_dump(void) __attribute__((weak));

/* _exit(), which alone would lose what the child covered. */
static inline _Noreturn void child_exit(int status)
{
	if (__gcov_dump)
		__gcov_dump();
	_exit(status);
}

#endif
