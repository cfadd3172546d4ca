#!/usr/bin/env bash
# The profile of exits names the code that makes them: a table, folded stacks, and `control PATH profile`.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# noted EXIT FUNCTION: how many of the folded stacks in the file "folded" are of those two.
noted() {
	sed -n "s/^$2;$1 \\([0-9]*\\)\$/\\1/p" folded
}

# Ten rounds of 8 accesses to 0xe00 by one function and 2 to the scratch register by another, a thousand times.
case_the_function_and_its_share() {
	local often seldom total
	assemble code <<-'END'
		.code16
		mov $10000, %cx
		cli
		xor %ax, %ax
		mov %ax, %ss
		mov $0x7000, %sp
		1: call often
		call seldom
		loop 1b
		mov $0, %al
		out %al, $0xf4
		often: mov $0xe00, %dx
		.rept 8
		out %al, %dx
		.endr
		ret
		seldom: mov $0x3ff, %dx
		in %dx, %al
		in %dx, %al
		ret
	END
	nm code.o | sed -n 's/ t \(often\|seldom\)$/ \1/p' | while read -r at name; do
		printf '%016x T %s\n' $((0x$at + 0x7c00)) "$name"
	done >map
	printf '0000000000008000 T end\n' >>map
	tollgate run --profile folded --symbols map --exits reads --stats=json:stats --flat 0x7c00,real code
	ended 0 'exit code 0 (exit port)'
	often=$(noted 'IO write unclaimed 0xe00' often) seldom=$(noted 'IO read serial0' seldom)
	total=$((often + seldom))
	# All of the 100,000 accesses exit, and one in 64 is noted.
	((total > 100000 / 70 && total < 100000 / 58)) || fail "noted: $total"
	((often * 100 / total >= 75 && often * 100 / total <= 85)) || fail "shares: $often of $total"
	same 'lines' "$(wc -l <folded)" 2
	complained "^exits noted: $total, one in 64 on average\$" "^ +$often  +[78][0-9]\\.[0-9]%  IO write unclaimed 0xe00 +often\$" \
		"^ +$seldom  +[12][0-9]\\.[0-9]%  IO read serial0 +seldom\$"
}

case_a_running_guest() {
	start_controlled --profile folded -p how=exits "$(kernel hang)"
	wait_for shows '^ +[0-9]+  +[0-9.]+%  IO read unclaimed 0xe00 +kernel_main$'
	stop_quietly
	[ "$(noted 'IO read unclaimed 0xe00' kernel_main)" -gt 0 ] || fail "folded: $(cat folded)"
}

shows() {
	control profile
	grep -qE "$1" reply
}

stop_quietly() {
	control stop
	finish
	same 'exit status' "$status" 116
}

case_what_is_refused() {
	start_controlled "$(kernel hang)"
	! "$TOLLGATE" control ctl profile >reply 2>refusal || fail 'a profile of nothing'
	one_error refusal
	error_in refusal profile-off --profile
	stop
	run_refused "run-file-create 'none/folded'" --profile none/folded "$(kernel hang)"
	run_refused "file-twice 'out'" --profile out --stats=json:out "$(kernel hang)"
}

# Accesses of memory, and code without a name.
case_memory_without_names() {
	assemble code <<-'END'
		.code64
		mov $0xd8000000, %edi
		mov $1000, %ecx
		1: mov (%rdi), %eax
		dec %ecx
		jnz 1b
		out %al, $0xf4
	END
	tollgate run --profile folded --flat 0x100000 code
	grep -qE '^0x10000[0-9a-f];MMIO read unclaimed 0xd8000000 [0-9]+$' folded || fail "folded: $(cat folded)"
}

run_cases
