#!/usr/bin/env bash
# The report after an abnormal end is true: registers, instruction bytes, last exits and counts.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# reported NAME: the value of a register of the first vCPU, in hexadecimal.
reported() {
	sed -nE "s/.*\\b$1 +([0-9a-f]+).*/\\1/p; T; q" "$case_dir/err"
}

# Whether RIP of the report is inside that function of that kernel.
reached() {
	local addr size
	rip=$(reported rip)
	read -r addr size _ < <(nm -S "$(kernel "$1")" | grep " [Tt] $2\$")
	((0x$rip >= 0x$addr && 0x$rip < 0x$addr + 0x$size))
}

# RIP is there, and the bytes of the report are the file's.
rip_is_in() {
	local rip bytes
	reached "$1" "$2" || { show && fail "rip $rip is not in $2"; }
	bytes=$(objdump -s --start-address="0x$rip" --stop-address=$((0x$rip + 16)) "$(kernel "$1")" |
		sed -nE 's/^ [0-9a-f]+ (([0-9a-f]+ ){1,4}).*/\1/p' | tr -d ' \n' | sed -E 's/(..)/ \1/g')
	complained "^  instruction bytes at 0x0*${rip##*(0)}:$bytes"
}

last_exits() {
	sed -n '/^  last exits/,/^[^ ]/p' "$case_dir/err" | sed -n 's/^    //p'
}

case_a_loop_is_found_by_rip() {
	after_timeout 'reached hang spin_forever' run -p how=loop "$(kernel hang)"
	rip_is_in hang spin_forever
	complained '^  long mode$' '^  instruction bytes at 0x[0-9a-f]+: eb fe ' '^  cs 0008 .* 64-bit$'
}

case_a_halted_vcpu_shows_where_it_sleeps() {
	after_timeout 'reached hang kernel_main' run "$(kernel hang)"
	rip_is_in hang kernel_main
	complained '^  rip [0-9a-f]{16} rflags 000002[0-9a-f]{2}$' # interrupts on: else it is halted for good
}

reads_all_the_time() {
	[ "$(last_exits | uniq | wc -l)" = 1 ] && reached hang kernel_main
}

case_the_last_sixteen_exits_are_told() {
	after_timeout reads_all_the_time run --exits writes -p how=exits "$(kernel hang)"
	rip_is_in hang kernel_main
	same 'lines' "$(last_exits | wc -l)" 16
	same 'exits' "$(last_exits | uniq)" 'IO             read  0xe00 size 1 data 0xff'
	complained '^exits to userspace: [0-9]+$' '^  IO  +[0-9]+$' '^       unclaimed  +[0-9]{2,}  +0$'
}

case_the_exit_that_ended_the_vm_is_the_last() {
	tollgate run -p panic "$(kernel exits)"
	same 'last exit' "$(last_exits | tail -n 1)" 'IO             write 0x505 size 1 data 0x1'
	complained '^       0x505-0x505 +pvpanic0 +0 +1 +0$'
	tollgate run "$(kernel triple)"
	same 'last exit' "$(last_exits | tail -n 1 | tr -d ' ')" SHUTDOWN
	complained '^  SHUTDOWN +1$'
}

# Registers show the state after the access, so that a debugger's next step is the guest's.
case_rip_is_behind_the_access_that_ended_the_vm() {
	assemble code <<-'END'
		mov $0x12345678, %eax
		mov $0x505, %dx # pvpanic
		mov $1, %al
		out %al, %dx
		.byte 0xde, 0xad, 0xbe, 0xef # what RIP must point to
	END
	tollgate run --flat 0x100000 code
	ended 112 'panic (pvpanic)'
	same rip "$(reported rip)" 000000000010000c
	same rax "$(reported rax)" 0000000012345601
	complained '^  instruction bytes at 0x10000c: de ad be ef'
}

# Unless this host's KVM resets the vCPU before it says so, which the report then says.
case_a_triple_fault_is_found_by_rip() {
	tollgate run "$(kernel triple)"
	if grep -q 'these are the values after INIT' "$case_dir/err"; then
		same rip "$(reported rip)" 000000000000fff0
	else
		rip_is_in triple kernel_main
		complained ' idt base 0000000000000000 limit 0000$'
	fi
}

case_a_kvm_error_says_what_kvm_said() {
	assemble stray <<-'END'
		mov $0xc8000000, %eax
		jmp *%rax
	END
	tollgate run --flat 0x100000 stray
	complained '^  KVM_EXIT_INTERNAL_ERROR, sub-error 1: EMULATION: ' '^  INTERNAL_ERROR +1$' \
		'^  instruction bytes at 0xc8000000: not in guest RAM$'
	same rip "$(reported rip)" 00000000c8000000
}

case_real_mode_is_named_and_its_bytes_found_by_cs() {
	assemble code <<-'END'
		.code16
		ljmp $0x7c0, $5
		jmp . # at 07c0:0005
	END
	after_timeout "[ \"\$(reported rip)\" = 0000000000000005 ]" run --flat 0x7c00,real code
	complained '^  real mode$' '^  cs 07c0 base 0000000000007c00 ' \
		'^  instruction bytes at 0x7c05: eb fe 00'
}

# A handler that never ends its interrupt, and one that never runs, look alike without this.
case_interrupts_that_wait_are_named() {
	assemble code <<-'END'
		mov $0xfee00000, %edi
		movl $0x1ff, 0xf0(%rdi) # the local APIC on
		movl $0x40050, 0x300(%rdi) # vector 0x50 to itself
		cli
		hlt
	END
	tollgate run --flat 0x100000 code
	ended 122 'halted (every CPU, with interrupts off)'
	complained '^  halted: waits for an interrupt$' '^  interrupt vectors in service: none, requested: 50$'
}

# Of all, even of those that are too many for registers.
case_every_vcpu_is_told() {
	local cpus
	tollgate run --cpus 10 -p how=all "$(kernel hang)"
	ended 122 'halted (every CPU, with interrupts off)'
	cpus=$(seq -f 'vCPU %.0f:' 0 9)
	same 'vCPUs' "$(grep '^vCPU ' "$case_dir/err")" "$cpus"
	same 'stacks' "$(grep -A 1 '^  stack:$' "$case_dir/err" | grep -cE '^    #0  [0-9a-f]{16} [a-z_]+\+0x[0-9a-f]+/0x[0-9a-f]+$')" 10
	same 'registers' "$(grep -c '^  rip ' "$case_dir/err")" 8
	tollgate run --cpus 3 --timeout 0.5 "$(kernel hang)"
	same 'not started' "$(grep -A 1 '^vCPU [12]:$' "$case_dir/err" | grep -c '^  not started$')" 2
}

case_no_report_after_an_orderly_end() {
	local words
	for words in exit=0 exit=7 poweroff reset=cf9; do
		tollgate run -p $words "$(kernel exits)"
		same "lines about $words" "$(wc -l <"$case_dir/err")" 1
	done
	start run "$(kernel hang)"
	wait_for_output 'hang: hlt'
	kill -s TERM "$pid"
	finish
	same 'lines after SIGTERM' "$(wc -l <"$case_dir/err")" 1
}

shopt -s extglob
# For readers what --json has for programs. Values are the host's, so the two are compared.
case_the_doctor_tells_readers_and_programs_the_same() {
	local lines
	tollgate doctor --json
	same 'exit status' "$status" 0
	mv "$case_dir/out" json
	tollgate doctor
	same 'exit status' "$status" 0
	same 'what it complains of' "$(cat "$case_dir/err")" ''
	holds json '.can_run and .reason == null'
	same 'kernel' "$(sed -n 's/^host            Linux \(.*\), x86_64$/\1/p' "$case_dir/out")" "$(jq -r .kernel json)"
	printed '^/dev/kvm        mode 0[0-7]{3}, group [0-9]+, opens, API version 12$' \
		'^verdict         guests can run here(, but their timers are late)?$'
	lines=$(sed -n '/^capabilities$/,/^limits/ s/^  \([A-Z0-9_]*\) *\(yes\|NO\) .*/KVM_CAP_\1 \2/p' "$case_dir/out")
	same 'capabilities' "$lines" "$(jq -r '.capabilities | to_entries[] | "\(.key) \(if .value == 0 then "NO" else "yes" end)"' json)"
	printed "$(jq -r '"^limits          \(.vcpus_recommended) vCPUs recommended, \(.vcpus_max) at most; \(.memory_slots) memory slots$"' json)" \
		"$(jq -r '"^open files      \(.open_files), can be raised to \(.open_files_max): "' json)" \
		"$(jq -r 'if .backing == "none" then "^virtualization  neither " else "^virtualization  \(.backing)" end' json)"
	printed "$(jq -r '"^sandbox         seccomp filters \(if .seccomp then "yes" else "NO" end).* Landlock ABI \(.landlock_abi)"' json)"
	same 'timers are late' "$(grep -c 'timers are late' "$case_dir/out" || true)" \
		"$(jq 'if .guest_tsc_stands_still then 1 else 0 end' json)"
}

# Before the boot: a user who did not ask the doctor would wait for minutes.
case_linux_on_a_kvm_that_emulates_is_warned_of() {
	local want=0
	[ "$("$TOLLGATE" doctor --json | jq -r .backing)" != none ] || want=1
	{
		cat "$(kernel exits)"
		printf 'Linux version 6.1.0-none (a@b) #1'
	} >linux
	tollgate run -p exit=0 linux
	same 'warnings' "$(grep -c '^tollgate: warning: .* \[kvm-emulates\]$' "$case_dir/err" || true)" $want
	same 'exit status' "$status" 0
	[ $want = 0 ] || same 'first line' "$(head -n 1 "$case_dir/err" | cut -c 1-18)" 'tollgate: warning:'
	cp linux other
	tollgate smoke -p exit=0 linux other
	same 'warnings of a run of boots' "$(grep -c '^tollgate: warning: ' "$case_dir/err" || true)" $want
	tollgate run -p exit=0 "$(kernel exits)"
	! grep -q warning "$case_dir/err" || fail 'a kernel that is not Linux is warned of'
}

run_cases
