#!/usr/bin/env bash
# Kernels of every kind are entered as their protocol says, and get what it promises. Each is a few lines
# of assembly that prints what it found, or ends with a code of its own where that is wrong.
# shellcheck source-path=SCRIPTDIR disable=SC2016,SC2317 # assembly has dollars; cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# Macros for 32-bit code: `print` writes the string at ESI; `must` ends the VM with CODE unless the
# condition holds.
lines_32='
	.code32
	.macro end code
	mov $\code, %al
	out %al, $0xf4
	.endm
	.macro must condition, code
	j\condition 1000f
	end \code
1000:
	.endm
	.macro print
	mov $0x3f8, %dx
1001:	lodsb
	test %al, %al
	jz 1002f
	out %al, %dx
	jmp 1001b
1002:
	.endm
'

# link_at ADDR FILE: an ELF32 kernel of the assembly on standard input, whose first byte is at ADDR.
link_at() {
	{ printf '%s' "$lines_32" && cat; } | as --32 -o "$2.o" -
	ld -m elf_i386 -z noseparate-code -n -Ttext="$1" --entry start -o "$2" "$2.o"
}

pvh_note='
	.section .note.pvh, "a", @note
	.long 4, 4, 18
	.asciz "Xen"
	.long start
	.text
'

multiboot2_header='
	.section .text
	.balign 8
header:	.long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + header_end - header)
	.word 1, 0 # requires command line, module, memory map
	.long 20, 1, 3, 6
	.balign 8
	.word 0, 0
	.long 8
header_end:
'

# Walks the tags: prints the command line, the first byte of the module, and how many entries the map has.
multiboot2_kernel() {
	link_at "$1" "$2" <<-EOT
		$multiboot2_header
		.globl start
		start:
		cmp \$0x36d76289, %eax
		must e, 1
		mov (%ebx), %ebp # total size
		add %ebx, %ebp
		add \$8, %ebx
		next:
		cmp %ebp, %ebx
		must b, 2
		mov (%ebx), %eax
		test %eax, %eax
		jz over
		cmp \$1, %eax
		je cmdline
		cmp \$3, %eax
		je module
		cmp \$15, %eax
		je rsdp
		step:
		mov 4(%ebx), %eax
		add \$7, %eax
		and \$~7, %eax
		add %eax, %ebx
		jmp next
		cmdline:
		lea 8(%ebx), %esi
		print
		jmp step
		module:
		mov 8(%ebx), %eax
		mov 12(%ebx), %ecx
		sub %eax, %ecx # length
		cmp \$4, %ecx
		must e, 3
		mov (%eax), %eax
		cmp \$0x61746164, %eax # "data"
		must e, 4
		jmp step
		rsdp:
		cmpl \$0x20445352, 8(%ebx) # "RSD "
		must e, 5
		btsl \$0, rsdp_seen
		jmp step
		over:
		cmpl \$1, rsdp_seen
		must e, 6
		end 0
		.balign 4
		rsdp_seen: .long 0
	EOT
}

case_multiboot_2_is_entered_and_told_all() {
	multiboot2_kernel 0x100000 mb2
	printf data >module
	tollgate run --stats=json:stats --initrd module --append 'spoken to' mb2
	ended 0 'exit code 0 (exit port)'
	printed 'panic=-1 spoken to$'
	holds stats '.kernel | .entered_by == "multiboot2" and .kind == "Multiboot 2 ELF32" and .name == "mb2"'
}

# At addresses that only the page tables and the device tree of other protocols take.
case_kernels_below_1_mib_are_in_nobodys_way() {
	multiboot2_kernel 0x9000 mb2
	printf data >module
	tollgate run --initrd module mb2
	ended 0 'exit code 0 (exit port)'
	multiboot2_kernel 0x40000 mb2
	tollgate run --initrd module mb2
	ended 0 'exit code 0 (exit port)'
	link_at 0x9000 pvh <<-EOT
		$pvh_note
		.globl start
		start:
		cmpl \$0x336ec578, (%ebx)
		must e, 1
		end 0
	EOT
	tollgate run pvh
	ended 0 'exit code 0 (exit port)'
	link_at 0x1000 mb1 <<-EOT
		.balign 4
		.long 0x1badb002, 0, -0x1badb002
		.globl start
		start:
		cmp \$0x2badb002, %eax
		must e, 1
		end 0
	EOT
	tollgate run --stats=json:stats mb1
	ended 0 'exit code 0 (exit port)'
	holds stats '.kernel | .entered_by == "multiboot" and .entry >= 4096'
}

case_elf32_with_a_pvh_note() {
	link_at 0x100000 pvh <<-EOT
		$pvh_note
		.globl start
		start:
		cmpl \$0x336ec578, (%ebx)
		must e, 1
		mov 24(%ebx), %esi # command line
		print
		end 0
	EOT
	tollgate run --stats=json:stats --append 'to 32 bits' pvh
	ended 0 'exit code 0 (exit port)'
	printed ' to 32 bits$'
	holds stats '.kernel | .entered_by == "pvh" and .kind == "ELF32 with PVH note"'
}

# bzimage FILE LOADFLAGS: one without a 64-bit entry. Its 32-bit code checks boot.rst's entry state.
bzimage() {
	assemble "$1" <<-EOT
		$lines_32
		.org 0x1f1
		.byte 1 # setup_sects
		.word 0
		.long 0x20 # syssize, in 16 bytes
		.word 0, 0, 0, 0xaa55
		.word 0x3aeb # jump: the header ends at 0x202 + 0x3a
		.ascii "HdrS"
		.word 0x20a
		.org 0x211
		.byte $2 # loadflags
		.word 0
		.long 0x100000 # code32_start
		.org 0x22c
		.long 0x37ffffff # initrd_addr_max
		.long 0x1000 # kernel_alignment
		.org 0x238
		.long 255 # cmdline_size
		.org 0x400 # after the boot sector and one of set-up
		mov %cs, %eax
		cmp \$0x10, %ax
		must e, 1
		mov %ss, %eax
		cmp \$0x18, %ax
		must e, 2
		mov \$0x18, %eax # as the GDT has it
		mov %eax, %ds
		mov %eax, %ss
		mov %ebx, %eax
		or %ebp, %eax
		or %edi, %eax
		must z, 3
		cmpl \$0x53726448, 0x202(%esi) # the zero page's header
		must e, 4
		mov 0x218(%esi), %eax # ramdisk_image
		cmpl \$0x61746164, (%eax)
		must e, 5
		cmpb \$3, 0x1e8(%esi) # memory map
		must ae, 6
		mov 0x228(%esi), %esi
		print
		end 0
		.org 0x600
	EOT
}

case_a_bzimage_without_64_bits() {
	bzimage bz 1
	printf data >initrd
	tollgate run --stats=json:stats --initrd initrd --append 'to 32 bits' bz
	ended 0 'exit code 0 (exit port)'
	printed ' to 32 bits$'
	holds stats '.kernel | .entered_by == "linux32" and .kind == "bzImage by its 32-bit entry"'
	tollgate run --initrd initrd --append "$(head -c 200 /dev/zero | tr '\0' x)" bz
	same 'exit status' "$status" 2
	complained_of "kernel-cmdline-length 'bz' reads 255"
}

case_what_needs_a_bios_is_refused_by_that_name() {
	bzimage low 0
	run_refused "kernel-16bit-only 'low'" low
}

# Linked for segment 0, with its variables and its stack where a BIOS leaves them.
boot_sector() {
	cat >sector.s <<-'EOT'
		.code16
		.globl start
		start:
		push %dx
		mov %sp, %bx
		cmp $0x7bfe, %bx
		jne wrong
		pop %ax
		cmp $0x80, %al # the first disk
		jne wrong
		mov %cs, %ax
		mov %ds, %bx
		or %bx, %ax
		mov %ss, %bx
		or %bx, %ax
		jnz wrong
		mov $message, %si
		mov $0x3f8, %dx
		next:
		lodsb
		test %al, %al
		jz over
		out %al, %dx
		jmp next
		over:
		mov $0, %al
		out %al, $0xf4
		wrong:
		mov $1, %al
		out %al, $0xf4
		message: .asciz "a boot sector"
		.org 510
		.word 0xaa55
	EOT
	as --32 -o sector.o sector.s
	ld -m elf_i386 -Ttext=0x7c00 --entry start --oformat binary -o sector sector.o
}

case_a_boot_sector() {
	boot_sector
	run_refused "kernel-boot-sector 'sector'" sector
	complained_of "kernel-boot-sector 'sector'" '--flat 0x7c00,real'
	tollgate run --stats=json:stats --flat 0x7c00,real sector
	ended 0 'exit code 0 (exit port)'
	printed '^a boot sector$'
	holds stats '.kernel | .entered_by == "flat-real" and .entry == 31744'
}

# ELF64 that is no Linux: its first instruction ends the VM well, had it been entered.
elf64() {
	printf '.globl start\nstart: mov $0, %%al\n out %%al, $0xf4\n%s\n' "${*:2}" | as -o "$1.o" -
	ld -z noseparate-code -n -Ttext=0x100000 --entry start -o "$1" "$1.o"
}

case_elf64_without_a_sign_of_linux_is_refused_unless_asked() {
	elf64 other
	run_refused "kernel-no-entry-64 'other'" other
	complained_of "kernel-no-entry-64 'other'" '--boot linux64'
	tollgate run --boot linux64 other
	ended 0 'exit code 0 (exit port)'
	elf64 linux ' .asciz "Linux version 2.6.11"'
	tollgate run --stats=json:stats linux # which may warn of a KVM that is too slow for Linux
	same 'exit status' "$status" 0
	holds stats '.kernel.entered_by == "linux64" and .end.kind == "exit code"'
}

case_a_command_line_that_linux_would_cut_is_refused() {
	local words
	words=$(head -c 2100 /dev/zero | tr '\0' x)
	elf64 linux ' .asciz "Linux version 2.6.11"'
	run_refused "kernel-cmdline-length 'linux' reads 2047" --append "$words" linux
	elf64 other
	tollgate run --boot linux64 --append "$words" other # of which nothing is known
	ended 0 'exit code 0 (exit port)'
}

case_a_hole_is_named_and_no_memory_asked_for() {
	printf '.globl start\nstart: hlt\n%s' "$pvh_note" | as -o k.o -
	ld -Ttext=0x100000 --entry start -o k k.o # puts the ELF headers at 0xff000
	run_refused "kernel-over-hole 0x9fc00 to 0x100000" k
	complained_of kernel-over-hole -Ttext-segment=0x100000
	printf '\xf4' >code
	run_refused "kernel-over-hole 0xd0000000" --flat 0xd0000000 code
	run_refused 'kernel-past-memory 0x20000000' --flat 0x140000000 code
	complained_of kernel-past-memory '4.0 GiB'
}

case_a_report_says_how_the_kernel_was_entered() {
	after_timeout 'grep -q "^kernel" "$case_dir/err"' run "$(kernel hang)"
	complained "^kernel '.*/guest-hang': ELF64 with PVH note; entered by pvh at 0x[0-9a-f]+$"
	tollgate smoke --json report "$(kernel exits)"
	holds report '.boots[0].entered_by == "pvh"'
}

run_cases
