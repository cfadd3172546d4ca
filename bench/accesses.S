/*
 * The guest of bench/instructions: raw code for real mode. It makes one access again and again. It prints to the
 * serial port how many ticks of the TSC each CHUNK of accesses took, as a line of 8 hex digits. Then it writes 0 to
 * the exit port. The build says which access: PORT, and READ (0 or 1).
 */
	.set CHUNKS, 33
	.set CHUNK, 64
	.set SERIAL, 0x3f8
	.set EXIT, 0xf4

	.section .text, "ax", @progbits
	.code16
	.globl _start
_start:
	cli
	mov %cs, %ax
	mov %ax, %ds
	mov %ax, %es
	cld
	mov $CHUNKS, %bp
	mov $ticks, %di
chunk:
	rdtsc
	mov %eax, %ebx
	mov $PORT, %dx
	mov $CHUNK, %cx
	xor %ax, %ax
access:
	.if READ
	inb %dx, %al
	.else
	outb %al, %dx
	.endif
	loop access
	rdtsc
	sub %ebx, %eax
	stosl
	dec %bp
	jnz chunk

	mov $CHUNKS, %bp
	mov $ticks, %si
	mov $SERIAL, %dx
print:
	lodsl
	mov %eax, %ebx
	mov $8, %cx
digit:
	rol $4, %ebx
	mov %bl, %al
	and $0x0f, %al
	add $'0', %al
	cmp $'9', %al
	jbe 1f
	add $('a' - '9' - 1), %al
1:	outb %al, %dx
	loop digit
	mov $'\n', %al
	outb %al, %dx
	dec %bp
	jnz print

	xor %ax, %ax
	mov $EXIT, %dx
	outb %al, %dx
1:	hlt
	jmp 1b

	.balign 4
ticks:
	.skip 4 * CHUNKS

	.section .note.GNU-stack, "", @progbits
