#!/usr/bin/env bash
# A look into a running guest, and what wakes one that hangs: `control PATH regs`, `stack`, `nmi` and `sysrq`.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# symbol FILE NAME BASE: where the label is in code that is loaded at BASE.
symbol() {
	printf '%016x\n' $((0x$(nm "$1.o" | sed -n "s/ [tT] $2\$//p") + $3))
}

# Whether the guest is where its code says.
is_at() {
	control regs 0
	grep -qE "^  rip $1 " reply
}

case_registers() {
	assemble code <<-'END'
		.code64
		mov $0x1234567890abcdef, %rbx
		mov $0x11, %r15d
		spin: jmp spin
	END
	start_controlled -c 2 --flat 0x100000 code
	wait_for is_at "$(symbol code spin 0x100000)"
	same 'first line' "$(head -n 1 reply)" 'vCPU 0:'
	grep -q ' rbx 1234567890abcdef ' reply || fail "rbx: $(cat reply)"
	grep -q ' r15 0000000000000011$' reply || fail "r15: $(cat reply)"
	grep -qx '  long mode' reply || fail "no mode: $(cat reply)"
	control regs
	same 'vCPUs' "$(grep -A 1 '^vCPU 1:$' reply)" $'vCPU 1:\n  not started'
	control pause # a paused one can be looked at, too
	is_at "$(symbol code spin 0x100000)" || fail 'not there any more'
	control status
	same 'state' "$(sed -n 1p reply)" 'state paused'
	control resume
	refuses 'vcpu-none 2' '0 to 1' regs 2
	refuses "vcpu-number 'one'" some regs one
	refuses "command-arguments 'regs'" some regs 0 1
	stop
}

# stack_is BASE LABEL...: what `stack` shows of vCPU 0.
stack_is() {
	local base=$1 label n=0 wanted='vCPU 0:'
	shift
	for label; do
		wanted+=$(printf '\n  #%-2u %s' $n "$(symbol code "$label" "$base")")
		n=$((n + 1))
	done
	control stack 0
	same 'stack' "$(cat reply)" "$wanted"
}

case_callers_in_long_mode() {
	assemble code <<-'END'
		.code64
		mov $0x80000, %rsp
		xor %ebp, %ebp
		call outer
		in_main: hlt
		outer: push %rbp
		mov %rsp, %rbp
		sub $64, %rsp
		call inner
		in_outer: hlt
		inner: push %rbp
		mov %rsp, %rbp
		spin: jmp spin
	END
	start_controlled --flat 0x100000 code
	wait_for is_at "$(symbol code spin 0x100000)"
	stack_is 0x100000 spin in_outer in_main
	stop
}

# The stack's segment counts there.
case_callers_in_real_mode() {
	assemble code <<-'END'
		.code16
		mov $0x2000, %ax
		mov %ax, %ss
		mov $0x8000, %sp
		xor %bp, %bp
		callw outer
		in_main: hlt
		outer: push %bp
		mov %sp, %bp
		callw inner
		in_outer: hlt
		inner: push %bp
		mov %sp, %bp
		spin: jmp spin
	END
	start_controlled --flat 0x7c00,real code
	wait_for is_at "$(symbol code spin 0x7c00)"
	stack_is 0x7c00 spin in_outer in_main
	stop
}

# A frame that points to itself, one that points nowhere, and more frames than anybody calls.
case_stacks_that_are_none() {
	assemble code <<-'END'
		.code64
		lea 1f(%rip), %rbp
		mov %rbp, (%rbp)
		spin: jmp spin
		.balign 8
		1: .quad 0, 0x4141414141414141
	END
	start_controlled --flat 0x100000 code
	wait_for is_at "$(symbol code spin 0x100000)"
	control stack
	[ "$(wc -l <reply)" -le 3 ] || fail "it goes round: $(cat reply)"
	stop
	assemble code <<-'END'
		.code64
		movabs $0xffff800000000000, %rbp
		spin: jmp spin
	END
	start_controlled --flat 0x100000 code
	wait_for is_at "$(symbol code spin 0x100000)"
	stack_is 0x100000 spin
	stop
	assemble code <<-'END'
		.code64
		lea frames(%rip), %rdi
		mov $100, %ecx
		1: lea 16(%rdi), %rax
		mov %rax, (%rdi)
		movq $0x4242, 8(%rdi)
		mov %rax, %rdi
		loop 1b
		lea frames(%rip), %rbp
		spin: jmp spin
		.balign 16
		frames:
	END
	start_controlled --flat 0x100000 code
	wait_for is_at "$(symbol code spin 0x100000)"
	control stack
	same 'lines' "$(wc -l <reply)" 67 # the vCPU, 65 frames
	same 'the last' "$(tail -n 1 reply)" '  and more'
	stop
}

case_nmi() {
	local how
	for how in loop hlt exits; do
		start_controlled -c 2 -p how=$how "$(kernel hang)"
		wait_for_output "hang: $how"
		refuses 'nmi-not-started 1' '' nmi 1
		control nmi
		finish
		ended 70 'exit code 70 (exit port)'
		printed '^EXCEPTION 2 \(NMI\)'
	done
}

# Prints B for a break and each byte that comes; q ends it.
listener() {
	assemble code <<-'END'
		.code16
		mov $0x3fa, %dx
		mov $1, %al
		out %al, %dx
		1: mov $0x3fd, %dx
		in %dx, %al
		test $1, %al
		jz 1b
		test $0x10, %al
		mov $0x3f8, %dx
		in %dx, %al
		jz 2f
		test %al, %al
		mov $'B', %al
		jz 2f
		mov $'?', %al
		2: out %al, %dx
		cmp $'q', %al
		jne 1b
		mov $0, %al
		out %al, $0xf4
		3: jmp 3b
	END
}

is_taken() {
	"$TOLLGATE" control ctl sysrq "$1" 2>/dev/null
}

case_sysrq() {
	listener
	start_controlled --flat 0x7c00,real code
	wait_for is_taken t # once it polls
	wait_for_output Bt
	wait_for is_taken 8
	wait_for_output BtB8
	refuses "sysrq-key 'tt'" some sysrq tt
	refuses "command-arguments 'sysrq'" some sysrq
	wait_for is_taken q
	finish
	ended 0 'exit code 0 (exit port)'
	same 'output' "$(cat "$case_dir/out")" BtB8Bq
	start_controlled "$(kernel hang)"
	refuses 'sysrq-no-input serial0' some sysrq t
	control unplug serial0
	refuses 'sysrq-no-input serial0' plug sysrq t
	stop
}

# A port that is connected to nothing has a line, too.
case_sysrq_without_a_console() {
	listener
	start_controlled --serial null --flat 0x7c00,real code
	wait_for is_taken q
	finish
	ended 0 'exit code 0 (exit port)'
}

case_a_break_from_the_terminal() {
	listener
	"$PTY" raw send 'a' expect a send '\x01bt' expect Bt send 'c\x01Bq' expect 'cBq' -- \
		"$TOLLGATE" run --flat 0x7c00,real code >"$case_dir/out" 2>&1 || fail "pty: $(cat -v "$case_dir/out")"
}

case_the_terminal_lists_its_keys() {
	"$PTY" expect $'hang: hlt\r\n' raw send '\x01h' expect 'Ctrl-a b       sends a serial break' send '\x01x' -- \
		"$TOLLGATE" run "$(kernel hang)" >"$case_dir/out" 2>&1 || status=$?
	same 'exit status' "$status" 116
}

run_cases
