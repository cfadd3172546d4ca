/* The ELF files of the built-in kernels and of the init program, as they are. The build gives their paths. */
#include <cet.h> /* the note that an object is for CET, without which the program is not */

	.section .rodata

	.balign 16
	.globl builtin_selftest_start, builtin_selftest_end
builtin_selftest_start:
	.incbin BUILTIN_SELFTEST
builtin_selftest_end:

	.balign 16
	.globl builtin_hammer_start, builtin_hammer_end
builtin_hammer_start:
	.incbin BUILTIN_HAMMER
builtin_hammer_end:

	.balign 16
	.globl builtin_init_start, builtin_init_end
builtin_init_start:
	.incbin BUILTIN_INIT
builtin_init_end:

	.section .note.GNU-stack, "", @progbits
