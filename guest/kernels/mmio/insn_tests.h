/* insn_tests.h - instructions other than MOV on the scratch device at gpa. Prints its own lines. */
#ifndef MMIO_INSN_TESTS_H
#define MMIO_INSN_TESTS_H

#include <stdint.h>

void insn_tests(uint64_t gpa);

#endif
