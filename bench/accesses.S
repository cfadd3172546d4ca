/*
 * The guest of bench/instructions and bench/peers: raw code for real mode. It makes one access again and again. It
 * prints to the serial port how many ticks of the TSC each CHUNK of accesses took, as a line of 8 hex digits. Then it
 * writes 0 to the exit port; where that ends nothing, a triple fault does. The build defines:
 *   PORT, READ (0 or 1)   the access
 *   MARKER                instead of all that: prints "@@FIRST", and ends
 *   ROM                   64 KiB that begin at the reset vector, with data in RAM; else data follows the code
 */
	.set CHUNKS, 33
	.set CHUNK, 64
	.set SERIAL, 0x3f8
	.set EXIT, 0xf4
	.set RAM_SEGMENT, 0x1000

	.section .text, "ax", @progbits
	.code16
	.globl _start
_start:
	cli
#ifdef ROM
	mov $RAM_SEGMENT, %ax
#else
	mov %cs, %ax
#endif
	mov %ax, %ds
	mov %ax, %es
	cld
#ifdef MARKER
	mov $marker, %si
	mov $SERIAL, %dx
1:	lodsb %cs:(%si), %al
	outb %al, %dx
	cmp $'\n', %al
	jne 1b
	jmp end
marker:
	.ascii "@@FIRST\n"
#else
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
#endif

end:
	xor %ax, %ax
	mov $EXIT, %dx
	outb %al, %dx
	lidtw %cs:no_handlers
	int3

no_handlers:
	.skip 6
	.balign 4
ticks:
#ifdef ROM
	.org 0xfff0
	ljmp $0xf000, $_start
	.org 0x10000
#elif !defined(MARKER)
	.skip 4 * CHUNKS
#endif

	.section .note.GNU-stack, "", @progbits
