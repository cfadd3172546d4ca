#!/usr/bin/env bash
# Names for a guest's addresses: in reports, for `control` and for gdb; of the kernel's own file and of --symbols.
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

run_cases
