/*
 * ap_entry.S - an application processor's way from the SIPI (real mode at the start of the
 * trampoline page, SDM volume 3, 8.4) to 64-bit C. smp.c copies ap_trampoline to a page below 1
 * MiB.
 *
 * Each AP takes the next stack: ap_stacks_taken counts them, so any number may start at once.
 */
#include "entry.h"

	.section .rodata
	.code16
	.globl ap_trampoline, ap_trampoline_bytes
ap_trampoline: /* CS:IP = page:0, so only offsets from here are valid */
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl ap_gdt_pointer - ap_trampoline
	movl $0x11, %eax /* PE, ET; caches on */
	movl %eax, %cr0
	ljmpl $CODE32_SELECTOR, $ap_entry32
ap_gdt_pointer:
	.word 0x1f
	.long gdt
	.balign 4
ap_trampoline_bytes:
	.long . - ap_trampoline

	.section .text32, "ax", @progbits
	.code32
ap_entry32:
	movl $DATA_SELECTOR, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $1, %ebp
	lock xaddl %ebp, ap_stacks_taken
	leal 1(%ebp), %eax
	shll $AP_STACK_SHIFT, %eax
	addl $ap_stacks, %eax
	movl %eax, %esp
	call long_mode_prepare
	ljmp $CODE64_SELECTOR, $ap_entry64

	.text
	.code64
ap_entry64:
	movl %esp, %esp /* zero bits 63:32, which the switch left undefined */
	call segments_load
	movl %ebp, %edi
	xorl %ebp, %ebp
	call ap_start /* does not return */
	ud2

	.bss
	.balign 16
ap_stacks_taken:
	.skip 4
	.balign 4096
ap_stacks:
	.skip CPUS_MAX << AP_STACK_SHIFT

	.section .note.GNU-stack, "", @progbits
