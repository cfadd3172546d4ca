#!/usr/bin/env bash
# A command's output: two streams that arrive whole and apart, at whatever speed they are read.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# flood BYTES: what the output kernel sends for out=BYTES or err=BYTES.
flood() {
	awk -v n="$1" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "%c", i % 64 == 63 ? 10 : 33 + i % 94
	}'
}

# stderr_is BYTES: so much of the flood, then the line that says how it ended, which begins a line of its own.
stderr_is() {
	local begin=''
	[ $(($1 % 64)) = 0 ] || begin=$'\n'
	flood "$1" >flooded
	head -c "$1" "$case_dir/err" | cmp - flooded || fail 'stderr differs'
	same 'the rest of stderr' "$(tail -c +$(($1 + 1)) "$case_dir/err")" \
		"${begin}tollgate: exit code 0 (exit port), exit status 0"
}

case_two_streams_arrive_whole_and_apart() {
	tollgate run "$(kernel output)" --run x --append 'out=300001 err=100002'
	flood 300001 | cmp - "$case_dir/out" || fail 'stdout differs'
	stderr_is 100002
}

case_writes_that_all_exit_arrive_too() {
	tollgate run "$(kernel output)" --run x --append 'out=20001 err=10003' --exits writes
	flood 20001 | cmp - "$case_dir/out" || fail 'stdout differs'
	stderr_is 10003
}

case_writes_are_collected() {
	tollgate run "$(kernel output)" --run x --append 'out=400000' --stats=json:stats
	ended 0 'exit code 0 (exit port)'
	# Four bytes a write, and an exit for no fewer than a hundred of them, besides the looks for room: how many
	# those are is the reader's business.
	holds stats 'pio(1600) | .writes == 100000'
	holds stats '.exits.total - .pio.reads < 2000'
}

case_a_slow_reader_loses_nothing() {
	timeout -k 10 "$limit_s" "$TOLLGATE" run "$(kernel output)" --run x \
		--append 'out=400000 err=1000' 2>"$case_dir/err" | "$SLOWCAT" >received
	flood 400000 | cmp - received || fail 'stdout differs'
	stderr_is 1000
}

# start_stuck WORDS: the kernel, with a standard output (also descriptor 5) that nobody reads.
start_stuck() {
	mkfifo stuck
	exec 5<>stuck
	"$TOLLGATE" run "$(kernel output)" --run x --append "$1" >&5 2>"$case_dir/err" &
	pid=$! ran=tollgate status=running
}

end_stuck() {
	kill -TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
}

# Nobody reads stdout, ever.
case_a_stuck_stdout_does_not_hold_up_stderr() {
	start_stuck 'out=1000000 err=200000'
	has_all_of_stderr() { [ "$(stat -c %s "$case_dir/err")" -ge 200000 ]; }
	wait_for has_all_of_stderr
	flood 200000 | cmp - "$case_dir/err" || fail 'stderr differs'
	end_stuck
}

case_a_closed_stdout_ends_the_vm() {
	"$TOLLGATE" run "$(kernel output)" --run x --append 'out=100000000' 2>"$case_dir/err" |
		head -c 1 >one || true
	complained '^tollgate: killed \(stdout closed\), exit status 116$'
}

# A guest that respects no room loses its own output, and nothing else.
case_a_greedy_guest_gains_nothing() {
	start_stuck 'out=2000000 greedy'
	wait_for fifo_is_full
	end_stuck
}

fifo_is_full() {
	! timeout 1 dd if=/dev/zero bs=1 count=1 oflag=nonblock status=none >&5 2>/dev/null
}

# The ports are there, for an init that runs none of our commands; nothing of them is shown.
case_without_a_command_they_go_nowhere() {
	truncate -s 1M image
	tollgate run "$(kernel output)" --rootfs image --append 'out=30000 err=30000'
	ended 0 'exit code 0 (exit port)'
	same 'bytes of stdout' "$(stat -c %s "$case_dir/out")" 0
}

case_without_run_there_are_no_such_ports() {
	tollgate run "$(kernel output)"
	ended 64 'exit code 64 (exit port)'
	printed '^command line: output: no output ports$'
}

case_a_file_as_stdin_is_left_alone() {
	echo 'next line' >input
	{
		timeout -k 10 "$limit_s" "$TOLLGATE" run "$(kernel output)" --run x --append out=10 \
			2>"$case_dir/err" >"$case_dir/out"
		read -r line
	} <input
	same 'the line left on stdin' "$line" 'next line'
}

run_cases
