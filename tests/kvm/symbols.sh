#!/usr/bin/env bash
# Names for a guest's addresses: in reports, for `control` and for gdb; of the kernel's own file and of --symbols.
# Lines of the source.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# addr NAME: where nm finds it in the kernel "hang"; size NAME: how long it is.
addr() {
	nm "$(kernel hang)" | sed -n "s/^\([0-9a-f]*\) [tTdDbBrR] $1\$/\1/p"
}
size() {
	printf '%x\n' $((0x$(nm -S "$(kernel hang)" | sed -n "s/^[0-9a-f]* \([0-9a-f]*\) [tTdDbBrR] $1\$/\1/p")))
}

is_in_report() {
	grep -qE "$1" "$case_dir/err"
}

# Interrupts off, an endless loop: nothing in the guest could report that.
case_a_report_names_the_function_that_hangs() {
	local name
	after_timeout "is_in_report ' spin_forever'" run -p how=loop "$(kernel hang)"
	ended 117 'timeout (--timeout)'
	name="spin_forever\\+0x[0-9a-f]+/0x$(size spin_forever)"
	complained '^  rip [0-9a-f]{16} rflags 000000[0-9a-f]{2}$' "^  at $name\$" "^    #0  [0-9a-f]{16} $name\$"
	# The guest keeps no frame pointers: its callers are found on the stack, and are in doubt.
	complained "^    \\?   [0-9a-f]{16} kernel_main\\+0x[0-9a-f]+/0x$(size kernel_main)\$" \
		'^    \?   [0-9a-f]{16} guest_start\+0x'
}

case_a_smoke_boot_names_it() {
	after_timeout "grep -q ' spin_forever+' \$case_dir/out \$case_dir/err" smoke -p how=loop "$(kernel hang)"
	same 'exit status' "$status" 117
	grep -qE '^ +at spin_forever\+0x[0-9a-f]+/0x' "$case_dir/out" "$case_dir/err" || { show && fail 'no name'; }
}

is_at_spin() {
	control regs
	grep -qE '^  at spin_forever\+0x' reply
}

case_control_says_names() {
	start_controlled -c 2 -p how=loop "$(kernel hang)"
	wait_for is_at_spin
	control stack 0
	grep -qE '^  #0  [0-9a-f]{16} spin_forever\+0x' reply || fail "stack: $(cat reply)"
	grep -qE '^  \?   [0-9a-f]{16} kernel_main\+0x' reply || fail "stack: $(cat reply)"
	control sym "$(addr kernel_main)"
	same 'symbol' "$(cat reply)" "kernel_main+0x0/0x$(size kernel_main)"
	control sym "0x$(printf %x $((0x$(addr kernel_main) + 3)))"
	same 'symbol' "$(cat reply)" "kernel_main+0x3/0x$(size kernel_main)"
	refuses 'symbol-none 0x10' '' sym 10
	refuses "symbol-address 'main'" some sym main
	refuses "symbol-address 'fffffffffffffffff'" some sym fffffffffffffffff
	control pause
	control sym "$(addr spin_forever)"
	same 'symbol' "$(cat reply)" "spin_forever+0x0/0x$(size spin_forever)"
	stop
}

case_gdb_says_names() {
	start_controlled --gdb unix:gdb.sock -p how=loop "$(kernel hang)"
	wait_for is_at_spin
	timeout -k 10 "$limit_s" gdb -nx -q -batch -ex 'target remote gdb.sock' \
		-ex "monitor sym $(addr spin_forever)" -ex kill >said 2>&1 || fail "gdb: $(cat said)"
	grep -qx "spin_forever+0x0/0x$(size spin_forever)" said || fail "gdb: $(cat said)"
	finish
}

# A kernel that was stripped, with its names in another file.
case_symbols_of_another_file() {
	objcopy --strip-all "$(kernel hang)" stripped
	nm -n --defined-only "$(kernel hang)" >System.map
	start_controlled -p how=loop stripped
	wait_for_output 'hang: loop'
	refuses symbols-kernel-none --symbols sym 100000
	control regs
	! grep -q '^  at ' reply || fail "names from nowhere: $(cat reply)"
	stop
	for file in System.map "$(kernel hang)"; do
		start_controlled --symbols "$file" -p how=loop stripped
		wait_for is_at_spin
		stop
	done
	after_timeout "grep -q ' spin_forever+' \$case_dir/out \$case_dir/err" smoke --symbols System.map -p how=loop stripped
	# A flat kernel has none of its own either.
	assemble code <<-'END'
		.code64
		spin: jmp spin
	END
	printf '0000000000100000 T begin\n0000000000100002 T end\n' >flat.map
	after_timeout "is_in_report '^  at begin[+]0x0/0x2'" run --symbols flat.map --flat 0x100000 code
}

# build NAME ID: a kernel with a PVH note and that build ID.
build() {
	as -o "$1.o" - <<-'END'
		.text
		.globl _start
		.type _start, @function
		_start: jmp _start
		.size _start, . - _start
		.section .note.Xen, "a", @note
		.long 4, 4, 18
		.asciz "Xen"
		.long _start
	END
	ld -static -z noseparate-code -Ttext=0x200000 --build-id="0x$2" -o "$1" "$1.o"
}

case_symbols_of_another_kernel() {
	build one 1122334455667788990011223344556677889900
	build other aa22334455667788990011223344556677889900
	for name in one other; do objcopy --strip-all $name $name.stripped; done
	after_timeout "is_in_report '^  at _start[+]0x0/0x2'" run --symbols one one.stripped
	run_refused 'symbols-build-id aa22334455667788990011223344556677889900' --symbols other one.stripped
	complained_of "symbols-build-id 'one.stripped' has 1122334455667788990011223344556677889900" some
	tollgate smoke --symbols other one.stripped
	same 'exit status' "$status" 2
}

case_files_that_have_no_symbols() {
	run_refused "file-open symbols 'none'" --symbols none "$(kernel hang)"
	objcopy --strip-all "$(kernel hang)" stripped
	run_refused "symbols-stripped 'stripped'" --symbols stripped "$(kernel hang)"
	echo hello >text
	run_refused "symbols-kind line 1" --symbols text "$(kernel hang)"
	run_refused 'kernel-missing --symbols' --symbols text
}

# has_lines: whether this build reads DWARF, and libdw is here.
has_lines() {
	"$TOLLGATE" --version | grep -qE '^  source lines +libdw.*, found$' || skip 'no libdw'
}

# build_c FILE ADDRESS: a kernel of the C file code.c, with DWARF, at that address.
build_c() {
	gcc -m32 -g -O0 -ffreestanding -fno-pic -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
		-c -o code.o code.c
	ld -m elf_i386 -static -z noseparate-code --build-id=0x11 -Ttext="$2" -e entry -o "$1" code.o
}

# Functions that call each other; a comment names each line that a report is to have.
write_code() {
	cat >code.c <<-'END'
		__asm__(".pushsection .note.Xen, \"a\", @note\n.long 4, 4, 18\n.asciz \"Xen\"\n.long entry\n.popsection\n"
			".globl entry\n.type entry, @function\n"
			"entry: mov $stack + 4096, %esp\nxor %ebp, %ebp\ncall start\n");
		const char linux_banner[] = "Linux version (of no Linux)";
		char stack[4096] __attribute__((aligned(16)));
		static void spin(void)
		{
			for (;;) __asm__ volatile("nop"); /* at spin */
		}
		static void outer(void)
		{
			spin(); /* in outer */
		}
		void start(void)
		{
			outer(); /* in start */
		}
	END
}

# line MARK: its FILE:LINE, as a regular expression.
line() {
	printf 'code\\.c:%d' "$(grep -nF "/* $1 */" code.c | cut -d: -f1)"
}

is_spinning() {
	control stack
	grep -qE '^  #0  [0-9a-f]{16} spin\+' reply
}

case_lines_of_the_source() {
	has_lines
	write_code
	build_c kernel 0x200000
	start_controlled --gdb unix:gdb.sock kernel
	wait_for is_spinning
	same 'stack' "$(sed -nE 's/^  (#[0-9]+ ).* ([a-z]+)\+[^ ]* /\1\2 /p' reply)" \
		"$(printf '#%s code.c:%s\n' '0 spin' "$(line 'at spin' | cut -d: -f2)" \
			'1 outer' "$(line 'in outer' | cut -d: -f2)" '2 start' "$(line 'in start' | cut -d: -f2)")"
	control regs
	grep -qE "^  at spin\+0x[0-9a-f]+/0x[0-9a-f]+ $(line 'at spin')$" reply || fail "regs: $(cat reply)"
	timeout -k 10 "$limit_s" gdb -nx -q -batch -ex 'target remote gdb.sock' \
		-ex "monitor sym $(nm kernel | sed -n 's/ t spin$//p')" -ex kill >said 2>&1 || fail "gdb: $(cat said)"
	grep -qE '^spin\+0x0/0x[0-9a-f]+ code\.c:[0-9]+$' said || fail "gdb: $(cat said)"
	finish
	after_timeout "is_in_report ' spin\\+0x[^ ]* $(line 'at spin')$'" run kernel
	after_timeout "grep -qE ' outer\\+0x[^ ]* $(line 'in outer')$' \$case_dir/out \$case_dir/err" smoke kernel
}

# The kernel has moved itself, and has neither names nor lines of its own.
case_lines_of_a_kernel_that_moved() {
	has_lines
	write_code
	build_c vmlinux 0x200000
	build_c moved 0xa00000
	objcopy --strip-all moved
	start_controlled --symbols vmlinux moved
	wait_for is_spinning
	grep -qE "^  #1  0000000000a[0-9a-f]{5} outer\+0x[^ ]* $(line 'in outer')$" reply || fail "stack: $(cat reply)"
	stop
}

# A file that changes after the start may be another kernel's by now.
case_lines_of_a_file_that_has_changed() {
	write_code
	build_c kernel 0x200000
	start_controlled kernel
	touch -d yesterday kernel
	wait_for is_spinning
	! grep -q 'code\.c' reply || fail "lines of another file: $(cat reply)"
	stop
}

# Every tenth byte of the DWARF is another one: names are as before, and the VMM lives.
case_lines_of_a_hostile_file() {
	local section
	write_code
	build_c good 0x200000
	for section in .debug_info .debug_abbrev .debug_line .debug_aranges; do
		cp good kernel
		objcopy --dump-section $section=bytes good
		perl -pi -e 'BEGIN { undef $/ } for ($i = 4; $i < length; $i += 10) { substr($_, $i, 1) = chr(0xff) }' bytes
		objcopy --update-section $section=bytes kernel
		start_controlled kernel
		wait_for is_spinning
		stop
	done
}

run_cases
