#!/usr/bin/env bash
# Every way a VM ends has its exit status and says so in one line.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
. "${0%/*}/smoke.bash"
need_kvm

exits() {
	tollgate run --append "$*" "$(kernel exits)"
}

case_guest_codes_are_the_exit_status() {
	local code
	for code in 0 1 7 255; do
		exits "exit=$code"
		ended $code "exit code $code (exit port)"
		printed '^exits: exit port$'
	done
}

case_guest_codes_past_255_keep_their_low_byte_but_never_become_success() {
	exits exit=300
	ended 44 'exit code 300 (exit port)'
	exits exit=256
	ended 255 'exit code 256 (exit port)'
	exits exit=0xffffff00
	ended 255 'exit code 4294967040 (exit port)'
}

case_the_other_exit_port_works_too() {
	exits exit=3 via=0x501
	ended 3 'exit code 3 (exit port)'
}

case_exit_code_qemu_is_isa_debug_exits() {
	local code
	for code in 0 1 16 200; do
		tollgate run --exit-code qemu -p "exit=$code" "$(kernel exits)"
		ended $(((code << 1 | 1) & 255)) "exit code $code (exit port)"
	done
}

case_exit_code_qemu_changes_no_other_end() {
	tollgate run --exit-code qemu -p panic "$(kernel exits)"
	ended 112 'panic (pvpanic)'
	tollgate run --exit-code qemu -p poweroff "$(kernel exits)"
	ended 0 'power off (pvpanic)'
}

case_panic_is_told_from_power_off() {
	exits panic
	ended 112 'panic (pvpanic)'
	printed '^exits: panic$'
	exits poweroff
	ended 0 'power off (pvpanic)'
	printed '^exits: power off$'
}

# Distribution kernels have pvpanic's driver as a module, and reset.
case_a_reset_after_the_kernels_words_is_a_panic() {
	printf '[    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs\n' | speak words reset
	tollgate run --flat 0x7c00,real words
	ended 112 "panic (the kernel's console)"
	complained '^  last exits'
	tollgate run --flat 0x7c00,real --serial file:log words
	ended 112 "panic (the kernel's console)"
	assemble fault <<-'END'
		lea text(%rip), %rsi
		mov $0x3f8, %dx
		1: lodsb
		test %al, %al
		jz 2f
		out %al, %dx
		jmp 1b
		2: lidt nothing(%rip)
		ud2
		nothing: .zero 10
		text: .asciz "Kernel panic - not synced\nKernel Kernel panic - not syncing"
	END
	tollgate run --flat 0x100000 fault
	ended 112 "panic (the kernel's console)"
}

# Nobody reads the console, and yet it says how the kernel ended.
case_a_panic_on_a_console_that_goes_nowhere() {
	printf 'Kernel panic - not syncing: gone\n' | speak words reset
	tollgate run --flat 0x7c00,real --serial null words
	ended 112 "panic (the kernel's console)"
	printf 'Kernel panic - not sync\n' | speak most reset
	tollgate run --flat 0x7c00,real --serial null most
	ended 114 'reset (reset register 0xcf9)'
}

# With panic=0 a kernel stays where it is after its last line. It has ended all the same, long before a timeout.
case_a_panic_that_hangs() {
	printf 'Kernel panic - not syncing: gone\nCall Trace:\n---[ end Kernel panic - not syncing: gone ]---\n' |
		speak hangs hang
	tollgate run --flat 0x7c00,real --timeout $limit_s hangs
	ended 112 "panic (the kernel's console)"
	printed '^---\[ end Kernel panic'
	tollgate run --flat 0x7c00,real --timeout $limit_s --serial unix:s hangs # no client is there
	ended 112 "panic (the kernel's console)"
	printf 'Kernel panic - not syncing: gone\r\n---[ end Kernel panic - not syncing: gone ]---\r\n\r\n' | speak hangs hang
	tollgate run --flat 0x7c00,real --timeout $limit_s hangs
	ended 112 "panic (the kernel's console)"
}

# One that does not come to its last line, or whose console goes nowhere: the timeout ends what had panicked.
case_a_panic_before_the_timeout() {
	printf 'Kernel panic - not syncing: gone\n' | speak stuck hang
	tollgate run --flat 0x7c00,real --timeout 2 stuck
	ended 112 "panic (the kernel's console)"
}

# A log that is printed has the same lines. Output after them shows that the kernel runs.
case_a_panic_in_a_log_is_none() {
	local text=$'Kernel panic - not syncing: gone\n---[ end Kernel panic - not syncing: gone ]---\n'
	printf '%s%son and on\n' "$text" "$text" | speak goes_on off
	tollgate run --flat 0x7c00,real goes_on
	ended 0 'exit code 0 (exit port)'
	printf '%s$ ' "$text" | speak prompt hang
	start_controlled --flat 0x7c00,real prompt
	wait_for_output "gone ]---"$'\r\n''$ '
	sleep 1 # twice as long as what would be an end
	stop
}

# Only with both: what ends well after the words, and what resets without them, is what it was.
case_words_or_a_reset_alone_are_no_panic() {
	printf 'Kernel panic - not syncing\n' | speak words off
	tollgate run --flat 0x7c00,real words
	ended 0 'exit code 0 (exit port)'
	printf 'Kernel panic - not sync\n' | speak most reset
	tollgate run --flat 0x7c00,real most
	ended 114 'reset (reset register 0xcf9)'
}

# The end begins a line of its own, also after a prompt; and there is no empty line otherwise.
case_the_end_line_is_not_glued_to_the_guests() {
	printf 'one\nlogin: ' | speak prompt off
	printf 'one\n\r' | speak whole off
	timeout -k 10 "$limit_s" "$TOLLGATE" run --flat 0x7c00,real prompt >both 2>&1
	same 'both in a file' "$(tr -d '\r' <both)" $'one\nlogin: \ntollgate: exit code 0 (exit port), exit status 0'
	timeout -k 10 "$limit_s" "$TOLLGATE" run --flat 0x7c00,real prompt 2>&1 | cat >both
	same 'both in a pipe' "$(tr -d '\r' <both)" $'one\nlogin: \ntollgate: exit code 0 (exit port), exit status 0'
	timeout -k 10 "$limit_s" "$TOLLGATE" run --flat 0x7c00,real whole >both 2>&1
	same 'a whole line' "$(tr -d '\r' <both)" $'one\ntollgate: exit code 0 (exit port), exit status 0'
	tollgate run --flat 0x7c00,real prompt
	same 'standard error alone' "$(cat "$case_dir/err")" 'tollgate: exit code 0 (exit port), exit status 0'
}

case_acpi_s5_powers_off() {
	local pm1a
	pm1a=$("$TOLLGATE" machine --json | jq '.devices[] | select(.name == "pm0").ranges[0].first')
	assemble s5 <<-END
		.code16
		mov \$$pm1a + 4, %dx # PM1a_CNT
		mov \$5 << 10 | 1 << 13, %ax # SLP_TYP, SLP_EN
		out %ax, %dx
		hlt
	END
	tollgate run --flat 0x7c00,real s5
	ended 0 'power off (ACPI S5)'
}

case_resets_end_the_vm() {
	exits reset=cf9
	ended 114 'reset (reset register 0xcf9)'
	exits reset=i8042
	ended 114 'reset (i8042 reset)'
}

case_triple_faults_are_told() {
	local cause
	for cause in ud pf; do
		tollgate run -p "cause=$cause" "$(kernel triple)"
		ended 113 'triple fault (KVM_EXIT_SHUTDOWN)'
		printed '^triple: triple fault$'
	done
}

case_what_kvm_cannot_emulate_is_a_kvm_error() {
	assemble stray <<-'END'
		mov $0xc8000000, %eax
		jmp *%rax # no instruction can be fetched from where no memory is
	END
	tollgate run --flat 0x100000 stray
	ended 115 'KVM error (KVM_EXIT_INTERNAL_ERROR)'
}

case_exceptions_in_a_test_kernel_are_its_own_failure() {
	local trap name
	while read -r trap name; do
		exits "trap=$trap"
		ended 70 'exit code 70 (exit port)'
		printed "^EXCEPTION [0-9]+ \\($name\\)"
	done <<-END
		ud invalid opcode
		de divide error
		pf page fault
		gp general protection
	END
}

case_wrong_words_for_a_test_kernel_are_its_usage_error() {
	exits
	ended 64 'exit code 64 (exit port)'
	printed '^command line: exits: '
}

# The vCPU sleeps in KVM, spins in the guest, or exits all the time.
case_signals_kill_whatever_the_guest_does() {
	local how signal
	for how in hlt loop exits; do
		for signal in INT TERM HUP; do
			start run -p "how=$how" "$(kernel hang)"
			wait_for_output "hang: $how"
			kill -s $signal "$pid"
			finish
			ended 116 "killed (SIG$signal)"
		done
	done
}

case_signals_kill_many_cpus() {
	start run --cpus 4 -p how=loop "$(kernel hang)"
	wait_for_output 'hang: loop'
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
}

# Before the handlers are there the signal kills as it does any program; between, nothing may hang.
case_a_signal_during_set_up_is_never_lost() {
	local i
	for i in {1..30}; do
		start run "$(kernel hang)"
		[ $((i % 3)) != 0 ] || wait_for test -e "/proc/$pid/exe"
		[ $((i % 3)) != 1 ] || wait_for grep -q kvm-vcpu "/proc/$pid/maps"
		kill -s TERM "$pid"
		finish
		[ "$status" = 143 ] || ended_by_signal TERM
	done
}

# ended_by_signal NAME: during the set-up, or when the VM ran.
ended_by_signal() {
	if grep -q 'during set-up' "$case_dir/err"; then
		ended 116 "killed (SIG$1 during set-up)"
	else
		ended 116 "killed (SIG$1)"
	fi
}

# These zeros take far longer to unpack than the signal takes to come.
case_signals_and_the_timeout_act_during_set_up() {
	local signal
	head -c 400M /dev/zero | gzip -1 >kernel
	for signal in INT TERM HUP; do
		start run kernel
		wait_for guards
		kill -s $signal "$pid"
		finish
		ended 116 "killed (SIG$signal during set-up)"
	done
	tollgate run --timeout 0.2 kernel
	ended 117 'timeout (--timeout during set-up)'
}

# Whether what start() started takes signals itself: SIGHUP, SIGINT, SIGALRM and SIGTERM are caught.
guards() {
	local caught
	caught=$(sed -n 's/^SigCgt:\t//p' "/proc/$pid/status" 2>/dev/null) || return
	(((0x$caught & 0x6003) == 0x6003))
}

# Zeros are empty notes, and each of the segments has all of them.
case_a_kernel_of_notes_without_end_is_refused() {
	assemble notes <<-'END'
		.byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
		.short 2, 62
		.long 1
		.quad 0x100000, 64, 0
		.long 0
		.short 64, 56, 128, 0, 0, 0
		.rept 127
		.long 4, 4
		.quad 8192, 0, 0, 0xfff0000, 0xfff0000, 4
		.endr
		.long 1, 5
		.quad 0, 0x100000, 0x100000, 0x1000, 0x1000, 4096
	END
	truncate -s 256M notes
	tollgate run notes
	same 'exit status' "$status" 2
	complained_of 'kernel-elf-notes 4096'
}

case_signals_that_were_ignored_at_the_start_stay_so() {
	local signal
	for signal in HUP INT TERM; do
		trap '' HUP TERM
		"$TOLLGATE" run --control ctl "$(kernel hang)" >"$case_dir/out" 2>"$case_dir/err" &
		pid=$!
		trap - HUP TERM
		wait_for answers
		kill -s $signal "$pid"
		control status # each is taken before what came after it
		stop
	done
}

case_timeout_ends_whatever_the_guest_does() {
	local how
	for how in hlt loop exits; do
		after_timeout "has_printed 'hang: $how'" run -p "how=$how" "$(kernel hang)"
		ended 117 'timeout (--timeout)'
		printed "^hang: $how$"
	done
}

case_a_timeout_that_is_not_reached_changes_nothing() {
	tollgate run --timeout 290.5 -p exit=7 "$(kernel exits)"
	ended 7 'exit code 7 (exit port)'
}

case_the_guests_last_words_come_before_ours() {
	status=0
	timeout -k 10 "$limit_s" "$TOLLGATE" run -p panic "$(kernel exits)" >both 2>&1 || status=$?
	same 'first line' "$(head -n 1 both)" 'exits: panic'
	same 'second line' "$(sed -n 2p both)" 'tollgate: panic (pvpanic), exit status 112'
}

# address LABEL: of code that is loaded at 1 MiB, as 16 digits.
address() {
	printf '%016x' $((0x100000 + 0x$(nm code.o | sed -n "s/ t $1\$//p")))
}

# unclaimed INSTRUCTIONS TEXT: with --end-on-unclaimed this code of long mode ends so, by its instruction at "here".
unclaimed() {
	assemble code <<-END
		.code64
		out %al, \$0x80
		mov \$0xd1000000, %esi
		mov \$0xe00, %edx
		mov \$0x1234, %eax
		here: $1
		after: mov \$9, %al
		out %al, \$0xf4
	END
	tollgate run --end-on-unclaimed --stats=json:stats --flat 0x100000 code
	ended 110 "unclaimed access ($2)"
	complained "^unclaimed: $2, by vCPU 0 (at $(address here)|before $(address after))\$" '^vCPU 0:$'
	holds stats ".end == {kind: \"unclaimed access\", by: \"$2\", exit_status: 110}"
}

case_an_unclaimed_access_is_an_end_when_asked_for() {
	unclaimed 'in %dx, %al' '1-byte read of port 0xe00'
	unclaimed 'out %ax, %dx' '2-byte write of 0x1234 to port 0xe00'
	# shellcheck disable=SC2016 # an immediate operand
	unclaimed 'in $0x7e, %eax' '4-byte read of port 0x7e' # with a byte of port 0x80
	unclaimed 'mov %eax, 0x10(%rsi)' '4-byte write of 0x1234 to 0xd1000010'
	unclaimed 'mov (%rsi), %rcx' '8-byte read of 0xd1000000'
	assemble code <<-'END'
		.code64
		in $0x80, %al
		mov $9, %al
		out %al, $0xf4
	END
	tollgate run --end-on-unclaimed --flat 0x100000 code
	ended 9 'exit code 9 (exit port)'
	# By name, and in smoke.
	tollgate run --end-on-unclaimed -p how=exits "$(kernel hang)"
	ended 110 'unclaimed access (1-byte read of port 0xe00)'
	complained '^unclaimed: .*, by vCPU 0 (at|before) [0-9a-f]{16} kernel_main\+0x[0-9a-f]+/0x[0-9a-f]+$'
	tollgate smoke --end-on-unclaimed -p how=exits "$(kernel hang)"
	same 'exit status' "$status" 110
	printed '^FAIL guest-hang: unclaimed access, exit status 110: unclaimed access \(1-byte read of port 0xe00\)$'
	tollgate smoke --end-on-unclaimed --expect-end unclaimed -p how=exits "$(kernel hang)"
	same 'exit status' "$status" 0
}

# repeated SET-UP INSTRUCTION TEXT: as unclaimed; "at" the instruction, which begins a function.
repeated() {
	assemble code <<-END
		.code64
		mov \$0x200000, %esi
		mov \$0xd1000000, %edi
		mov \$0xe00, %edx
		mov \$0x1234, %eax
		mov \$5, %ecx
		$1
		before: nop
		here: $2
		after: mov \$9, %al
		out %al, \$0xf4
	END
	printf '%s T %s\n' "$(address before)" before "$(address here)" here "$(address after)" after >map
	tollgate run --end-on-unclaimed --symbols map --flat 0x100000 code
	ended 110 "unclaimed access ($3)"
	complained "^unclaimed: $3, by vCPU 0 at $(address here) here\+0x0/0x[0-9a-f]+\$"
}

# shellcheck disable=SC2016 # immediate operands
case_an_unclaimed_access_of_an_instruction_that_repeats() {
	repeated 'mov %esi, %edi' 'rep insb' '1-byte read of port 0xe00'
	repeated 'mov $0xd1000000, %esi; mov $0x200000, %edi' 'rep movsb' '1-byte read of 0xd1000000'
	repeated '' 'rep movsb' '1-byte write of 0 to 0xd1000000'
	repeated '' 'rep stosb' '1-byte write of 0x34 to 0xd1000000'
	repeated 'mov $1, %ecx' 'rep stosw' '2-byte write of 0x1234 to 0xd1000000'
	repeated 'std' 'rep stosl' '4-byte write of 0x1234 to 0xd1000000'
	repeated '' 'rep outsb' '1-byte write of 0 to port 0xe00'
	# A write of another instruction, before one that repeats.
	assemble code <<-'END'
		.code64
		mov $0xd1000000, %edi
		here: movb $1, (%rdi)
		after: rep stosb
	END
	tollgate run --end-on-unclaimed --flat 0x100000 code
	complained "^unclaimed: .*, by vCPU 0 (at $(address here)|before $(address after))\$"
}

# Every CPU has halted with interrupts off, or was never started.
case_cpus_that_all_halted_for_good_end_the_vm() {
	local how cpus
	while read -r how cpus <&3; do
		tollgate run --cpus "$cpus" -p "how=$how" "$(kernel hang)"
		ended 122 'halted (every CPU, with interrupts off)'
		printed "^hang: $how\$"
		complained '^vCPU 0:$'
	done 3<<-END # the VM has standard input
		halted 1
		halted 4
		all 4
		late 2
	END
	tollgate smoke -p how=halted "$(kernel hang)"
	same 'exit status' "$status" 122
	printed '^FAIL guest-hang: halted, exit status 122: halted \(every CPU, with interrupts off\)$'
}

# Meanwhile all CPUs sleep, and the first one could be woken by nothing else.
case_a_cpu_that_another_one_wakes_by_nmi_goes_on() {
	tollgate run --cpus 2 -p how=nmi "$(kernel hang)"
	ended 0 'exit code 0 (exit port)'
	printed '^hang: woken$'
}

# Whether the VM has been looked at so often: each time takes KVM_RUN away from the vCPU once.
looked_at() {
	control stats
	jq -e ".exits.INTR >= $1" reply >/dev/null
}

# Interrupts on: it may sleep for as long as it likes.
case_a_cpu_that_waits_for_interrupts_does_not_end_the_vm() {
	start_controlled "$(kernel hang)"
	wait_for looked_at 3
	control status
	stop
}

run_cases
