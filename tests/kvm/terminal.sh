#!/usr/bin/env bash
# On a terminal: raw while the VM runs, keys that end it, and the mode as before however it ends.
# pty itself fails when the mode differs afterwards.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# dialogue STEP... -- ARGUMENT...: see pty.c; the arguments are tollgate's.
dialogue() {
	local steps=()
	declare -p as >/dev/null 2>&1 || local as=()
	while [ "$1" != -- ]; do
		steps+=("$1")
		shift
	done
	shift
	status=0
	ran="tollgate $*"
	"${as[@]}" "$PTY" "${steps[@]}" -- "$TOLLGATE" "$@" >"$case_dir/out" 2>"$case_dir/err" || status=$?
}

# said STATUS HOW: as ended(), on the terminal.
said() {
	same 'exit status' "$status" "$1"
	printed "^tollgate: $2, exit status $1\$"
}

case_the_mode_is_as_before_after_a_normal_end() {
	dialogue expect 'console: ready' raw send '\x04' -- run "$(kernel console)"
	said 0 'exit code 0 \(exit port\)'
}

case_keys_go_to_the_guest_and_come_back() {
	dialogue expect 'console: ready' raw send 'abc' expect abc send '\x03\x1a\x1c\x0d' expect $'\x03\x1a\x1c\x0d' \
		send '\x04' expect overruns -- run "$(kernel console)"
	printed '^console: 8 bytes, 0 overruns$'
	said 0 'exit code 0 \(exit port\)'
}

case_ctrl_a_x_ends_the_vm() {
	local how
	for how in hlt loop exits; do
		dialogue expect "hang: $how"$'\r\n' raw send '\x01x' -- run -p "how=$how" "$(kernel hang)"
		said 116 'killed \(Ctrl-a x\)'
	done
}

case_ctrl_a_twice_sends_one() {
	dialogue expect 'console: ready' raw send 'a\x01\x01b' expect $'a\x01b' send '\x04' -- \
		run -p until=4 "$(kernel console)"
	printed '^console: 4 bytes, 0 overruns$'
	said 0 'exit code 0 \(exit port\)'
}

case_ctrl_a_and_another_key_is_nothing() {
	dialogue expect 'console: ready' raw send 'a\x01qb' expect ab send '\x04' -- run "$(kernel console)"
	printed '^console: 3 bytes, 0 overruns$'
}

case_the_mode_is_as_before_after_signals() {
	local signal name
	while read -r signal name; do
		dialogue expect $'hang: hlt\r\n' raw kill "$signal" -- run "$(kernel hang)"
		said 116 "killed \\($name\\)"
	done <<-END
		1 SIGHUP
		2 SIGINT
		15 SIGTERM
	END
}

case_the_mode_is_as_before_after_a_timeout() {
	local s
	for s in 3 60; do # long enough to be seen raw
		dialogue raw -- run --timeout $s "$(kernel hang)"
		[ "$status" = 99 ] || break # of pty: a step was not met
	done
	said 117 'timeout \(--timeout\)'
}

# SIGSEGV, SIGABRT, SIGBUS, SIGQUIT: the VMM dies of them, and gives the terminal back first.
case_the_mode_is_as_before_after_a_crash() {
	local signal
	for signal in 11 6 7 3; do
		dialogue expect $'hang: hlt\r\n' raw kill $signal -- run "$(kernel hang)"
		same 'exit status' "$status" $((128 + signal))
	done
}

case_the_mode_is_as_before_after_a_crash_of_a_vcpu_thread() {
	dialogue expect $'hang: loop\r\n' raw crash-vcpu -- run -p how=loop "$(kernel hang)"
	same 'exit status' "$status" $((128 + 11))
}

case_the_mode_is_as_before_after_a_set_up_error() {
	echo code >code
	dialogue -- run --flat 0xfffff0000000 code
	same 'exit status' "$status" 2
}

# The shell sets its own mode when a job stops, so going on must make the terminal raw again.
case_raw_mode_comes_back_after_a_stop() {
	dialogue expect 'console: ready' raw kill 19 restore cooked kill 18 raw send 'ab\x04' expect ab -- \
		run "$(kernel console)"
	printed '^console: 3 bytes, 0 overruns$'
	said 0 'exit code 0 \(exit port\)'
}

case_a_terminal_that_goes_away_ends_the_vm() {
	dialogue expect $'hang: hlt\r\n' raw hangup -- run "$(kernel hang)"
	same 'exit status' "$status" 116
}

# Setting the mode there would stop the process; the shell's user is typing.
case_in_the_background_the_terminal_is_left_alone() {
	dialogue background expect $'hang: hlt\r\n' cooked kill 15 -- run "$(kernel hang)"
	said 116 'killed \(SIGTERM\)'
}

# A shell's user types, which would stop a reader in the background; in front the keys are the guest's.
case_in_the_background_keys_are_not_ours() {
	dialogue background expect 'console: ready' send 'a\x0a' expect a cooked front raw send '\x04' -- \
		run "$(kernel console)"
	printed '^console: 3 bytes, 0 overruns$'
	said 0 'exit code 0 \(exit port\)'
}

case_a_job_goes_to_the_background_and_comes_back() {
	dialogue job expect 'console: ready' raw kill 20 back restore kill 18 cooked send 'b\x0a' expect b front raw \
		send '\x04' -- run "$(kernel console)"
	printed '^console: 3 bytes, 0 overruns$'
	said 0 'exit code 0 \(exit port\)'
}

case_a_job_that_was_put_in_the_background_ends_there() {
	dialogue job expect $'hang: hlt\r\n' raw kill 20 back restore kill 18 kill 15 -- run "$(kernel hang)"
	said 116 'killed \(SIGTERM\)'
}

case_signals_that_were_ignored_stay_so_on_a_terminal() {
	local as=(env '--ignore-signal=HUP,TERM,QUIT')
	dialogue expect $'hang: hlt\r\n' raw kill 3 kill 25 kill 1 kill 15 send '\x01x' -- \
		run "$(kernel hang)"
	said 116 'killed \(Ctrl-a x\)'
}

case_a_file_size_limit_is_an_error() {
	export GCOV_PREFIX=$case_dir/counts # for ./test --coverage: the limit would cut the files of all tests' counts short
	ulimit -f 1 # of 1 KiB: more than the test itself writes, less than the statistics have
	dialogue -- run --stats=json:stats -p exit=3 "$(kernel exits)"
	same 'exit status' "$status" 123
	printed "^tollgate: .*'stats': File too large \\[stats-write\\]"
}

case_lines_end_at_the_left_margin() {
	dialogue -- run -p exit=0 "$(kernel exits)"
	grep -q $'^exits: exit port\r$' "$case_dir/out" || { show && fail 'output processing is off'; }
}

run_cases
