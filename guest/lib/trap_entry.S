/*
 * trap_entry.S - one stub a vector, TRAP_STUB_BYTES apart, and what they share: save every register
 * as a struct trap_frame (trap.h), call trap_dispatch(), return. Interrupt gates: IF is off
 * throughout.
 */
#include "entry.h"

/* Exceptions that push an error code (SDM volume 3, 6.15): 8, 10 to 14, 17, 21, 29, 30. */
#define PUSHES_ERROR 0x60227d00

	.text
	.balign TRAP_STUB_BYTES
	.globl trap_stubs
trap_stubs:
	.set vector, 0
	.rept TRAP_VECTORS
	.balign TRAP_STUB_BYTES
	.if vector >= TRAP_EXCEPTIONS || !((PUSHES_ERROR >> vector) & 1)
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	.set vector, vector + 1
	.endr

trap_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	movq %rsp, %rbx
	andq $-16, %rsp
	call trap_dispatch
	movq %rbx, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp /* vector, error code */
	iretq

	.section .note.GNU-stack, "", @progbits
