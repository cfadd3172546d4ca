#!/usr/bin/env bash
# docs/guide/first-kernel.md: what it shows is built and booted as it is there.
# shellcheck source-path=SCRIPTDIR disable=SC2016,SC2317 # assembly has dollars; cases are called by name
. "${0%/*}/lib.bash"
need_kvm

page=$(realpath "${0%/*}/../../docs/guide/first-kernel.md")

# block N: the N-th listing of the page.
block() {
	awk -v n="$1" '/^```/ { inside = !inside; if (inside) at++; next } inside && at == n' "$page"
}

build() {
	block 1 >start.S
	block 2 >kernel.c
	block 3 | sed '/^tollgate /d' >build.sh
	sh -e build.sh
}

case_it_boots_by_each_protocol() {
	build
	tollgate run kernel
	ended 0 'exit code 0 (exit port)'
	same 'output' "$(tr -d '\r' <"$case_dir/out")" 'Hello from a first kernel'
	tollgate run --boot multiboot --stats=json:stats kernel
	ended 0 'exit code 0 (exit port)'
	holds stats '.kernel.entered_by == "multiboot"'
	tollgate run --stats=json:stats kernel
	holds stats '.kernel.entered_by == "pvh"'
}

# The ends that the page lists, by a kernel that makes each.
case_it_ends_as_the_page_says() {
	local -A end=([7]='mov $7, %al; out %al, $0xf4' [112]='mov $0x505, %dx; mov $1, %al; out %al, %dx' [113]='ud2'
		[114]='mov $0xcf9, %dx; mov $6, %al; out %al, %dx' [122]='cli; hlt')
	local status_wanted
	for status_wanted in "${!end[@]}"; do
		printf '.code64\n%s\nhlt\n' "${end[$status_wanted]}" | assemble code
		tollgate run --flat 0x100000 code
		same "exit status of '${end[$status_wanted]}'" "$status" "$status_wanted"
		[ "$status_wanted" = 7 ] || grep -qE "\| $status_wanted(,.*)? \|\$" "$page" || fail "the page lacks $status_wanted"
	done
}

# real INSTRUCTIONS LINE: what the report says of a boot sector that does that.
real() {
	printf '.code16\nnop\n%s\n' "$1" | assemble code
	tollgate run --flat 0x7c00,real code
	ended 122 'halted (every CPU, with interrupts off)'
	same "report of '$1'" "$(sed -n 's/^  no BIOS: //p' "$case_dir/err")" "$2"
}

case_a_call_into_the_bios_is_reported() {
	real 'mov $0x0e41, %ax; int $0x10' 'int 0x10 with AX 0e41, at 0000:7c04'
	real 'int $0x21' 'int 0x21 with AX 0000, at 0000:7c01'
	real 'ud2' 'exception 0x6 at 0000:7c01 has no handler'
	real 'sti; ljmp $0xffff, $0' 'a jump or call to f000:fff0'
	real 'sti; ljmp $0xf000, $0xe05b' 'a jump or call to f000:e05b'
	real 'lcall $0xf000, $0xf065' 'a jump or call to f000:f065'
	real 'sti; ljmp $0xf000, $0x2001' 'a jump or call to f000:2000'
	real 'sti; ljmp $0xf000, $0x2002' 'a jump or call to f000:2000'
	real 'ljmp $0xf000, $0x2003' 'a jump or call to f000:2000'
	real 'sti; int $0x21' 'int 0x21 with AX 0000, at 0000:7c02'
	real 'cli; hlt' ''
	grep -q '^  no BIOS: int 0x10 with AX 0e41, at 0000:7c04$' "$page" || fail "the page lacks the report"
}

# Its own handler, and its own code in that segment, are as if nothing had been there.
case_a_kernel_s_own_vectors_count() {
	assemble code <<-'END'
		.code16
		first: xor %ax, %ax
		mov %ax, %ds
		movw $handler - first + 0x7c00, 0x10 * 4
		movw %ax, 0x10 * 4 + 2
		movw $0xf000, %bx
		mov %bx, %es
		movb $0xcf, %es:0xf065 # IRET
		movw $0xf065, 0x13 * 4
		int $0x13
		int $0x10
		hlt
		handler: mov $7, %al
		out %al, $0xf4
	END
	tollgate run --flat 0x7c00,real code
	ended 7 'exit code 7 (exit port)'
}

run_cases
