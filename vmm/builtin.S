/* The ELF files of the built-in kernels, as they are. The build gives their paths. */
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

	.section .note.GNU-stack, "", @progbits
