#!/usr/bin/env bash
# Every outcome of a smoke boot, provoked for real: its exit status and the line that says so; what else
# is reported; and that nothing is left of it, whatever happens.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
. "${0%/*}/smoke.bash"
need_kvm

case_success_by_code_and_by_power_off() {
	tollgate smoke -p exit=0 "$(kernel exits)"
	judged 0 'PASS guest-exits: exit code 0 (exit port)'
	tollgate smoke -p poweroff "$(kernel exits)"
	judged 0 'PASS guest-exits: power off (pvpanic)'
	printed '^1 passed, 0 failed$'
}

case_the_built_in_kernel_is_booted_without_a_name() {
	tollgate smoke
	judged 0 'PASS self-test: exit code 0 (exit port)'
}

case_guest_codes_are_the_exit_status() {
	tollgate smoke -p exit=7 "$(kernel exits)"
	judged 7 'FAIL guest-exits: guest code, exit status 7: exit code 7 (exit port)'
	tollgate smoke -p exit=256 "$(kernel exits)"
	judged 255 'FAIL guest-exits: guest code, exit status 255: exit code 256 (exit port)'
}

case_panic_by_device() {
	tollgate smoke -p panic "$(kernel exits)"
	judged 112 'FAIL guest-exits: panic, exit status 112: panic (pvpanic)'
	printed '^  \| exits: panic$' '^    rip [0-9a-f]{16}' '^  exits to userspace: [0-9]+$'
}

# The rest of the panic follows its first line, and then nothing forever.
case_panic_by_words_with_its_backtrace() {
	speak panic hang <<-'END'
		[    0.1] all is well
		[    1.5] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100
		[    1.5] CPU: 0 PID: 1 Comm: init Not tainted
		[    1.5] ---[ end Kernel panic - not syncing: Attempted to kill init! ]---
	END
	smoke_of panic --timeout 0 --stall 0
	judged 112 'FAIL panic: panic, exit status 112: kernel panic: [    1.5] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100'
	printed '^  \| \[    0.1\] all is well$' '^> \| \[    1.5\] Kernel panic - not syncing' '^> \| \[    1.5\] ---\[ end Kernel panic'
}

# A kernel that resets after a panic has panicked; one that prints forever ends when the grace does.
case_panic_by_words_comes_before_what_follows() {
	printf 'Kernel panic - not syncing: gone\n' | speak off off
	smoke_of off
	judged 112 'FAIL off: panic, exit status 112: kernel panic: Kernel panic - not syncing: gone'
	printf 'Kernel panic - not syncing: gone\nmore\n' | speak again again
	smoke_of again --timeout 0 --stall 0 --grace 0.5
	judged 112 'FAIL again: panic, exit status 112: kernel panic: Kernel panic - not syncing: gone'
}

case_a_root_file_system_that_is_missing_has_a_remedy() {
	printf 'Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n' | speak noroot hang
	smoke_of noroot
	same 'exit status' "$status" 112
	printed '^  remedy: the kernel found no root file system; --run CMD brings one'
}

case_oops_then_panic_is_a_panic() {
	printf 'BUG: kernel NULL pointer dereference\nOops: 0002 [#1]\nKernel panic - not syncing: Fatal exception\n' | speak oops hang
	smoke_of oops
	judged 112 'FAIL oops: panic, exit status 112: kernel panic: Kernel panic - not syncing: Fatal exception'
	printed '^> \| BUG: ' '^> \| Oops: '
}

case_rejected_patterns() {
	printf 'BUG: something\n' | speak bug hang
	smoke_of bug
	judged 120 'FAIL bug: rejected pattern, exit status 120: BUG: BUG: something'
	smoke_of bug --no-default-rejects --stall 0.5
	judged 118 'FAIL bug: stall, exit status 118: silent for 0.500 s'
	smoke_of bug --no-default-rejects --reject 'some(?=thing)'
	judged 120 'FAIL bug: rejected pattern, exit status 120: some(?=thing): BUG: something'
	printf '[    0.1] WARNING: CPU: 0 PID: 1 at a.c:1\n' | speak warning off
	smoke_of warning
	judged 0 'PASS warning: exit code 0 (exit port)'
	smoke_of warning --reject-warnings
	judged 120 'FAIL warning: rejected pattern, exit status 120: WARNING: [    0.1] WARNING: CPU: 0 PID: 1 at a.c:1'
}

# It never ends by itself, so that it passes only if it is stopped when all has been seen.
case_expectations_met_are_a_pass_at_once() {
	printf 'one\ntwo\nlogin: ' | speak prompt hang
	smoke_of prompt --timeout 0 --stall 0 -e one --expect '^t.o$' -e 'login: '
	judged 0 'PASS prompt: saw all 3 expected'
	smoke_of prompt --timeout 0 --stall 0 -e 'login: $'
	judged 0 'PASS prompt: saw all 1 expected'
}

case_expectations_missed() {
	printf 'two\none\n' | speak order off
	smoke_of order -e one -e two
	judged 119 "FAIL order: expectation missed, exit status 119: no 'two' before exit code 0 (exit port)"
	tollgate smoke -e 'something else' -p poweroff "$(kernel exits)"
	judged 119 "FAIL guest-exits: expectation missed, exit status 119: no 'something else' before power off (pvpanic)"
	tollgate smoke -e 'something else' -p exit=3 "$(kernel exits)"
	judged 3 'FAIL guest-exits: guest code, exit status 3: exit code 3 (exit port)'
}

case_resets_and_triple_faults() {
	tollgate smoke -p reset=cf9 "$(kernel exits)"
	judged 114 'FAIL guest-exits: reset, exit status 114: reset (reset register 0xcf9)'
	tollgate smoke -p cause=ud "$(kernel triple)"
	judged 113 'FAIL guest-triple: triple fault, exit status 113: triple fault (KVM_EXIT_SHUTDOWN)'
}

case_kvm_errors() {
	assemble stray <<-'END'
		mov $0xc8000000, %eax
		jmp *%rax # no instruction can be fetched from where no memory is
	END
	tollgate smoke --flat 0x100000 stray
	judged 115 'FAIL stray: KVM error, exit status 115: KVM error (KVM_EXIT_INTERNAL_ERROR)'
}

case_timeouts_whatever_the_guest_does() {
	local how
	for how in hlt loop exits; do
		after_timeout "has_printed '  | hang: $how'" smoke -p "how=$how" "$(kernel hang)"
		judged 117 "FAIL guest-hang: timeout, exit status 117: not over after $(printf %.3f "$seconds") s"
		printed "^  \\| hang: $how\$"
	done
	tollgate smoke --timeout 0.5 -e never -p how=hlt "$(kernel hang)"
	judged 117 "FAIL guest-hang: timeout, exit status 117: not over after 0.500 s, waiting for 'never'"
}

# A guest that prints all the time does not stall.
case_stalls() {
	local s
	tollgate smoke --stall 0.5 --timeout 0 -p how=loop "$(kernel hang)"
	judged 118 'FAIL guest-hang: stall, exit status 118: silent for 0.500 s'
	printf 'still here\n' | speak chatter again
	for s in 1 10 60; do
		smoke_of chatter --stall $s --timeout $((2 * s))
		[ "$status" = 118 ] || break # the host has held it up for so long
	done
	judged 117 "FAIL chatter: timeout, exit status 117: not over after $((2 * s)).000 s"
}

# linux_like FILE: a kernel that passes for Linux, prints "hello", and answers a key after a break on its serial port.
# Its answers would decide the boot if the guest printed them unasked. With "deaf" it spins instead.
linux_like() {
	as --32 -o "$1.o" - <<-END
		.code32
		.globl _start
		_start: mov \$0x80000, %esp
		mov \$0x3fa, %dx
		mov \$1, %al
		out %al, %dx
		mov \$hello, %esi
		call print
		${2:+deaf: jmp deaf}
		wait: mov \$0x3fd, %dx
		in %dx, %al
		test \$1, %al
		jz wait
		mov \$0x3f8, %dx
		in %dx, %al
		test %al, %al # the break
		jz wait
		mov %al, key
		mov \$answer, %esi
		call print
		jmp wait
		print: mov \$0x3fd, %dx
		1: in %dx, %al
		test \$0x20, %al
		jz 1b
		mov \$0x3f8, %dx
		lodsb
		test %al, %al
		jz 2f
		out %al, %dx
		jmp print
		2: ret
		.section .data
		hello: .asciz "hello\n"
		answer: .ascii "sysrq: "
		key: .ascii " \nBUG: unable to handle page fault\nexpected\nKernel panic - not syncing: no\n"
		.asciz "ok 1 - a test\n"
		.section .note.Xen, "a", @note
		.long 4, 4, 18
		.asciz "Xen"
		.long _start
		.section .note.Linux, "a", @note
		.long 6, 4, 0x100
		.asciz "Linux"
		.balign 4
		.long 0
	END
	ld -m elf_i386 -static -N --no-warn-rwx-segments -Ttext=0x200000 -o "$1" "$1.o"
}

# A Linux guest that hangs is asked by SysRq before it is ended. Its answers are in the log, and decide nothing.
case_a_hung_linux_is_asked() {
	linux_like asked
	tollgate smoke --stall 1 --timeout 0 -e expected --log-dir logs --json report asked
	judged 118 'FAIL asked: stall, exit status 118: silent for 1.000 s, waiting for '"'expected'"
	same 'keys' "$(grep -o 'sysrq: .$' logs/asked.log | tr '\n' ' ')" 'sysrq: 9 sysrq: l sysrq: w sysrq: t '
	holds report '.boots[0] | .splats == [] and .tests == [] and ([.. | objects | .lines? // empty | arrays | .[].text] == ["hello"])'
	grep -q '^ *at wait+0x' "$case_dir/out" || grep -q 'at print+0x' "$case_dir/out" || { show && fail 'no name'; }
	tollgate smoke --timeout 1 --stall 0 --log-dir again asked
	judged 117 'FAIL asked: timeout, exit status 117: not over after 1.000 s'
	same 'keys' "$(grep -c 'sysrq: .$' again/asked.log)" 4
}

# One that does not answer is not asked again.
case_a_hung_linux_that_does_not_answer() {
	linux_like asked deaf
	tollgate smoke --stall 1 --timeout 0 --log-dir logs asked
	judged 118 'FAIL asked: stall, exit status 118: silent for 1.000 s'
	! grep -q sysrq: logs/asked.log || fail "it answered: $(cat logs/asked.log)"
}

case_phase_timeouts() {
	printf 'first\nsecond\n' | speak phases hang
	smoke_of phases --phase-timeout a=first:60 --phase-timeout b=second:60 --phase-timeout 'c=third:0.5'
	judged 121 "FAIL phases: phase timeout, exit status 121: phase 'c' did not come within 0.500 s"
	smoke_of phases --phase-timeout a=first:60 --phase-timeout b=second:60 --timeout 0 --stall 0.5
	judged 118 'FAIL phases: stall, exit status 118: silent for 0.500 s'
}

# A pattern that is required and never came is never a pass, however the guest ends.
case_phases_that_never_came_are_no_pass() {
	printf 'first\n' | speak early off
	smoke_of early --phase-timeout a=first:60 --phase-timeout b=NEVER:60
	judged 119 "FAIL early: expectation missed, exit status 119: phase 'b' did not come before exit code 0 (exit port)"
	smoke_of early --phase-timeout b=NEVER:60 -e first
	judged 119 "FAIL early: expectation missed, exit status 119: phase 'b' did not come before exit code 0 (exit port)"
	smoke_of early --phase-timeout a=first:60
	judged 0 'PASS early: exit code 0 (exit port)'
	printf 'first\nsecond\n' | speak late hang
	smoke_of late --phase-timeout b=NEVER:0.5 -e first
	judged 121 "FAIL late: phase timeout, exit status 121: phase 'b' did not come within 0.500 s"
	smoke_of late --phase-timeout b=second:60 -e first --timeout 0 --stall 0
	judged 0 'PASS late: saw all 1 expected'
}

case_a_boot_that_cannot_be_made_took_no_time() {
	(
		ulimit -n 12
		tollgate smoke --junit junit --json json -p poweroff "$(kernel exits)"
		printf '%s\n' "$status" >status
	)
	same 'exit status' "$(cat status)" 2
	printed '^FAIL guest-exits: set-up error, exit status 2: .*: Too many open files \[smoke-process-pipes\]$' \
		'^  end 0\.[0-9]{3} s$' '^  remedy: .*ulimit -n'
	grep -q 'time="0\.' junit || fail "$(cat junit)"
	jq -e '.boots[0].times.end < 1' json >/dev/null || fail "$(cat json)"
}

case_set_up_errors_are_told_with_their_remedy() {
	tollgate smoke nowhere
	judged 2 "FAIL nowhere: set-up error, exit status 2: open kernel 'nowhere': No such file or directory [file-open]"
	tollgate smoke --boot multiboot "$(kernel exits)"
	same 'exit status' "$status" 2
	printed '^FAIL guest-exits: set-up error, exit status 2: .*guest-exits.* \[kernel-no-multiboot\]$'
}

# The process that start() started has so many children, each a program of its own by now: one that was only just forked has
# its parent's command line, layout and descriptors.
has_boots() {
	local child n=0
	for child in $(<"/proc/$pid/task/$pid/children"); do
		[[ $(tr '\0' ' ' <"/proc/$child/cmdline") == 'tollgate smoke-boot '* ]] || return 1
		n=$((n + 1))
	done
	[ $n = "$1" ]
}

case_a_vmm_that_dies_is_a_failure() {
	local vmm
	start smoke --timeout 0 --stall 0 -p how=loop "$(kernel hang)"
	wait_for has_boots 1
	vmm=$(<"/proc/$pid/task/$pid/children")
	kill -9 "${vmm% }"
	finish
	judged 115 "FAIL guest-hang: KVM error, exit status 115: the VMM's process died (signal 9, Killed)"
}

case_signals_end_all_boots() {
	local signal
	cp "$(kernel hang)" a
	cp "$(kernel hang)" b
	cp "$(kernel hang)" c
	for signal in INT TERM HUP; do
		start smoke -j 2 --timeout 0 --stall 0 -p how=loop a b c
		wait_for has_boots 2
		kill -s $signal "$pid"
		finish
		same 'exit status' "$status" 116
		printed '^FAIL a: killed, exit status 116: stopped$' '^FAIL b: killed, exit status 116: stopped$' \
			'^FAIL c: killed, exit status 116: stopped before it was started$' '^0 passed, 3 failed$'
	done
}

case_signals_that_were_ignored_at_the_start_stay_so() {
	trap '' HUP
	start smoke --timeout 2 --stall 0 -p how=loop "$(kernel hang)"
	trap - HUP
	wait_for has_boots 1
	kill -s HUP "$pid"
	finish
	same 'exit status' "$status" 117
	trap '' HUP TERM # a boot is ended by SIGTERM all the same
	tollgate smoke --timeout 0.5 -p how=loop "$(kernel hang)"
	trap - HUP TERM
	same 'exit status' "$status" 117
}

# run_case looks for what is left running.
case_kill_9_leaves_nothing() {
	local children child
	cp "$(kernel hang)" a
	cp "$(kernel hang)" b
	start smoke -j 2 --timeout 0 --stall 0 -p how=loop a b
	wait_for has_boots 2
	mapfile -d ' ' -t children <"/proc/$pid/task/$pid/children"
	kill -9 "$pid"
	finish
	same 'exit status' "$status" 137
	for child in "${children[@]}"; do
		wait_for is_over "$child"
	done
}

# layout PID: where its program, heap, first library, stack and vDSO begin. The heap's place (start_brk, proc(5)) is
# random also where nothing uses it, as under AddressSanitizer; /proc/PID/maps names a heap that is used.
layout() {
	local exe
	exe=$(readlink "/proc/$1/exe")
	sed 's/.*) //' "/proc/$1/stat" | awk '$45 > 0 { print "heap", $45 }'
	awk -v exe="$exe" '
		$6 == exe && !e++ { print "program", $1 }
		$6 ~ /ld-linux/ && !l++ { print "loader", $1 }
		$6 == "[stack]" || $6 == "[vdso]" { print $6, $1 }' "/proc/$1/maps" | sed 's/-.*//'
}

# A process that has just begun lacks parts of it.
has_layout() {
	[ "$(layout "$1" | wc -l)" = 5 ]
}

# A guest that learns where things are in its VMM learns nothing of another boot's, nor of the supervisor's.
case_each_boot_has_a_layout_of_its_own() {
	local children
	[ "$(</proc/sys/kernel/randomize_va_space)" = 2 ] || skip 'this host does not randomise layouts'
	cp "$(kernel hang)" a
	cp "$(kernel hang)" b
	start smoke -j 2 --timeout 0 --stall 0 -p how=loop a b
	wait_for has_boots 2
	mapfile -d ' ' -t children <"/proc/$pid/task/$pid/children"
	wait_for has_layout "${children[0]}"
	wait_for has_layout "${children[1]}"
	layout "$pid" >layout.0
	layout "${children[0]}" >layout.1
	layout "${children[1]}" >layout.2
	kill "$pid"
	finish
	same 'equal places' "$(sort layout.0 layout.1 layout.2 | uniq -d)" ''
}

# pipes PID: the pipes that it has, but for standard error.
pipes() {
	find "/proc/$1/fd" -type l ! -name 2 -printf '%l\n' | grep '^pipe:' | sort
}

# It has its own pipes, and nothing that belongs to other boots or to who started the supervisor.
case_a_boot_has_no_descriptor_of_another() {
	local children
	cp "$(kernel hang)" a
	cp "$(kernel hang)" b
	echo >inherited
	exec {extra}<inherited
	start smoke -j 2 --timeout 0 --stall 0 --json report -p how=loop a b
	exec {extra}<&-
	wait_for has_boots 2
	mapfile -d ' ' -t children <"/proc/$pid/task/$pid/children"
	pipes "${children[0]}" >pipes.1
	pipes "${children[1]}" >pipes.2
	find "/proc/${children[0]}/fd" "/proc/${children[1]}/fd" -type l -printf '%l\n' >files
	kill "$pid"
	finish
	same 'pipes of a boot' "$(sort -u pipes.1 | wc -l) $(sort -u pipes.2 | wc -l)" '5 5'
	same 'pipes of both boots' "$(comm -12 pipes.1 pipes.2)" ''
	same 'files that are not theirs' "$(grep -E 'inherited|report|memfd:boot' files)" ''
}

# Its options come by a file; other users see no more than its name in the list of processes.
case_the_list_of_processes_has_a_boots_name_alone() {
	local child
	start smoke --timeout 0 --stall 0 -p 'how=loop secret=1' "$(kernel hang)"
	wait_for has_boots 1
	child=$(<"/proc/$pid/task/$pid/children")
	same 'command line' "$(tr '\0' ' ' <"/proc/${child% }/cmdline")" "tollgate smoke-boot guest-hang $pid "
	kill "$pid"
	finish
}

case_the_process_of_a_boot_is_no_users_command() {
	tollgate smoke-boot name 1
	same 'exit status' "$status" 2
	complained_of smoke-boot-alone
	tollgate --help
	! grep -q smoke-boot "$case_dir/out" || fail 'listed'
}

case_twenty_boots_at_once() {
	local i
	for i in {1..10}; do
		cp "$(kernel exits)" "off$i"
		cp "$(kernel smp)" "smp$i"
	done
	tollgate smoke -j 20 --mem 64M --test-device -p poweroff off* smp*
	same 'exit status' "$status" 0
	same 'boots that passed' "$(grep -c '^PASS ' "$case_dir/out")" 20
	printed '^20 passed, 0 failed$'
}

case_the_first_failure_in_order_is_the_exit_status() {
	printf 'BUG: x\n' | speak bad off
	printf 'fine\n' | speak good off
	printf 'Kernel panic - not syncing\n' | speak worse off
	tollgate smoke --flat 0x7c00,real good bad worse
	same 'exit status' "$status" 120
	printed '^1 passed, 2 failed$'
	tollgate smoke --flat 0x7c00,real good worse bad
	same 'exit status' "$status" 112
}

case_hostile_consoles_are_harmless() {
	{
		printf '\033]0;owned\007\033[2J\033[31mred\033[0m\rCR \0NUL \377\376 \033P'
		printf 'hidden?\nBUG: \033[1mseen\033[0m\n\302\2335m \342\200\256rtl \001\002\003\b\b\177'
	} | speak hostile hang
	smoke_of hostile
	judged 120 'FAIL hostile: rejected pattern, exit status 120: BUG: BUG: seen'
	harmless "$case_dir/out"
	printed '^  \| redCR .*NUL' '^> \| BUG: seen$'
}

case_lines_without_end_are_cut() {
	head -c 30000 /dev/zero | tr '\0' x | speak long again
	smoke_of long --timeout 2
	judged 117 'FAIL long: timeout, exit status 117: not over after 2.000 s'
	harmless "$case_dir/out"
	[ "$(wc -L <"$case_dir/out")" -lt 1000 ] || fail 'a line of the report is too long'
	[ "$(wc -l <"$case_dir/out")" -lt 200 ] || fail 'the report is too long'
}

case_two_kernels_of_one_name_are_told_apart() {
	mkdir a b
	cp "$(kernel exits)" a/k
	cp "$(kernel exits)" b/k
	tollgate smoke -p poweroff a/k b/k
	same 'exit status' "$status" 0
	printed '^PASS a/k: ' '^PASS b/k: '
}

case_a_matrix_file_lists_boots() {
	cp "$(kernel exits)" one
	cp "$(kernel exits)" two
	cat >matrix.yaml <<-'END'
		mem: 64M
		boots:
		  - matrix:
		      kernel: [one, two]
		      cpus: [1, 2]
		      end:
		        - {name: off, append: poweroff}
		        - {name: three, append: exit=3}
		  - name: stops
		    kernel: one
		    append: poweroff
		    expect: ["exits: ", power off]
	END
	tollgate smoke --list --config matrix.yaml
	same 'exit status' "$status" 0
	same 'what --list prints' "$(cat "$case_dir/out")" "$(
		printf '%s\n' {one,two}/cpus={1,2}/{off,three} stops
	)"
	same 'what --list complains of' "$(cat "$case_dir/err")" ''
	tollgate smoke --config matrix.yaml -j 8
	same 'exit status' "$status" 3
	same 'boots' "$(grep -oE '^(PASS|FAIL) [^:]*' "$case_dir/out" | sort | tr '\n' ' ')" "$(
		for k in one two; do
			for c in 1 2; do
				printf 'PASS %s/cpus=%s/off\nFAIL %s/cpus=%s/three\n' $k $c $k $c
			done
		done | sort -k1,1r -k2 | cat - <(echo 'PASS stops') | sort | tr '\n' ' '
	)"
}

case_boots_are_repeated_and_selected() {
	cp "$(kernel exits)" k
	tollgate smoke -p exit=0 --repeat 2 k k
	same 'exit status' "$status" 0
	same 'boots' "$(grep -oE '^(PASS|FAIL) [^:]*' "$case_dir/out" | sort | tr '\n' ' ')" \
		'PASS k/repeat=1 PASS k/repeat=2 PASS k/repeat=3 PASS k/repeat=4 '
	tollgate smoke -p exit=0 --repeat 4 --only 'k/repeat=[234]' --shard 2/2 k
	same 'boots' "$(grep -E '^(PASS|FAIL) ' "$case_dir/out")" 'PASS k/repeat=3: exit code 0 (exit port)'
	tollgate smoke -p exit=0 --shard 2/2 k --junit junit --tap tap --json json --boot-chart chart
	same 'exit status' "$status" 0
	printed '^0 passed, 0 failed$'
	xmllint --noout junit chart
	same 'TAP' "$(cat tap)" "$(printf 'TAP version 13\n1..0')"
	tollgate smoke --only j k
	same 'exit status' "$status" 2
	complained_of "only-nothing 'j'" --list
}

case_an_end_may_be_expected() {
	tollgate smoke -p panic --expect-end panic -e 'exits: panic' "$(kernel exits)"
	judged 0 'PASS guest-exits: saw all 1 expected, as expected: panic (pvpanic)'
	printf 'Kernel panic - not syncing: for a test\n' | speak panic hang
	smoke_of panic --expect-end panic
	judged 0 'PASS panic: as expected: kernel panic: Kernel panic - not syncing: for a test'
	tollgate smoke -p poweroff --expect-end panic "$(kernel exits)"
	judged 119 'FAIL guest-exits: expectation missed, exit status 119: no panic but power off (pvpanic)'
	tollgate smoke -p exit=16 --expect-end code=16 --exit-code qemu "$(kernel exits)"
	judged 0 'PASS guest-exits: as expected: exit code 16 (exit port)'
	tollgate smoke -p exit=17 --expect-end code=16 --exit-code qemu "$(kernel exits)"
	judged 35 'FAIL guest-exits: guest code, exit status 35: exit code 17 (exit port)'
	tollgate smoke -p exit=0 --exit-code qemu "$(kernel exits)"
	judged 1 'FAIL guest-exits: guest code, exit status 1: exit code 0 (exit port)'
	tollgate smoke -p reset=cf9 --expect-end reset "$(kernel exits)"
	judged 0 'PASS guest-exits: as expected: reset (reset register 0xcf9)'
	tollgate smoke -p how=loop --expect-end timeout --timeout 0.5 "$(kernel hang)"
	judged 0 'PASS guest-hang: as expected: not over after 0.500 s'
}

# The one that fails ends the one that would never end, and no other begins.
case_the_first_failure_may_end_the_run() {
	cat >plan.yaml <<-END
		stall: 0
		timeout: 0
		boots:
		  - {name: hangs, kernel: $(kernel hang), append: how=loop}
		  - {name: fails, kernel: $(kernel exits), append: exit=3}
		  - {name: later, kernel: $(kernel exits), append: exit=0}
	END
	tollgate smoke --config plan.yaml -j 2 --fail-fast --junit junit --tap tap --json json
	same 'exit status' "$status" 3
	printed '^SKIP hangs: not run: ended, because another boot did not pass$' '^FAIL fails: guest code, exit status 3: ' \
		'^SKIP later: not run: not begun, because another boot did not pass$' '^0 passed, 1 failed, 2 not run$'
	same 'skipped' "$(xmllint --xpath 'string(/testsuites/@skipped)' junit)" 2
	same 'skipped' "$(grep -c '^ok .* # SKIP ' tap)" 2
	jq -e '.failed == 1 and .not_run == 2' json >/dev/null || fail "$(cat json)"
}

case_a_rejected_pattern_may_not_be_the_end() {
	printf 'BUG: one\nlast words\n' | speak bug off
	smoke_of bug --keep-going
	judged 120 'FAIL bug: rejected pattern, exit status 120: BUG: BUG: one'
	printed '^  \| last words$'
	same 'the end' "$(jq -r .boots[0].end.kind <("$TOLLGATE" smoke --flat 0x7c00,real --keep-going --json - bug 2>/dev/null))" 'exit code'
}

# The kernel of that name is another one the second time.
case_what_passes_now_and_then_is_flaky() {
	local vmm
	cp "$(kernel hang)" k
	start smoke -j 1 --repeat 2 --timeout 0 --stall 0 -p 'how=loop exit=0' k
	wait_for has_boots 1
	vmm=$(<"/proc/$pid/task/$pid/children")
	cp "$(kernel exits)" other
	mv other k
	kill -9 "${vmm% }"
	finish
	same 'exit status' "$status" 115
	printed '^FAIL k/repeat=1: KVM error' '^PASS k/repeat=2: ' '^flaky: k passed 1 of 2 times$' '^1 passed, 1 failed$'
	tollgate smoke --repeat 2 -p exit=3 k
	! has_printed flaky || fail 'what never passes is not flaky'
}

run_cases
