/*
 * The smallest kernel that shows when the guest runs: its first instruction but one writes a byte to
 * the serial port, and it ends through the exit port with 0. Entered by PVH, in 32-bit mode.
 */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long pvh_entry

	.section .text, "ax", @progbits
	.code32
	.globl pvh_entry
pvh_entry:
	movw $0x3f8, %dx
	movb $'!', %al
	outb %al, %dx
	xorl %eax, %eax
	movw $0xf4, %dx
	outb %al, %dx
1:	hlt
	jmp 1b

	.section .note.GNU-stack, "", @progbits
