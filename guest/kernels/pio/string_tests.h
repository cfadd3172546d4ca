/* string_tests.h - REP INS and REP OUTS. Each check prints its own line. */
#ifndef PIO_STRING_TESTS_H
#define PIO_STRING_TESTS_H

void string_tests(void);

#endif
