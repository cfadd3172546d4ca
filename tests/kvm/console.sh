#!/usr/bin/env bash
# The console loses and reorders nothing, whatever standard input and output are, and never holds up
# the VM's end.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# converse BYTES: makes the file "sent", numbered blocks of all bytes but Ctrl-D, and then Ctrl-D.
converse() {
	local i all
	all=$(printf '\\x%02x' {0..3} {5..255})
	# shellcheck disable=SC2059 # the format is made
	for ((i = 0; i < $1; i += 255)); do printf "$i:$all"; done >blocks
	head -c "$1" blocks >sent
	printf '\x04' >>sent
}

# The file "received" is the echo of "sent", from its first byte on, between the console kernel's lines.
echoed() {
	{
		echo 'console: ready'
		cat sent
		printf '\nconsole: %d bytes, 0 overruns\n' "$(stat -c %s sent)"
	} | cmp - received || fail 'what came back is not what was sent'
}

# flood BYTES: what the console kernel prints for flood=BYTES.
flood() {
	LC_ALL=C awk -v n="$1" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "%c", i % 64 == 63 ? 10 : 33 + i % 94
	}'
}

# The writer is gone long before the guest has read what is in the pipe: half as much again as a pipe holds.
case_input_by_pipe_comes_back_whole_through_a_slow_reader() {
	converse 98304
	# shellcheck disable=SC2002
	cat sent |
		timeout -k 10 "$limit_s" "$TOLLGATE" run "$(kernel console)" 2>"$case_dir/err" |
		"$SLOWCAT" >received
	echoed
}

# The serial port's registers in memory, where KVM shows them without exits while reading has no effect.
serial_memory() {
	"$TOLLGATE" machine --json |
		jq '.devices[] | select(.name == "serial0").ranges[] | select(.space == "mmio").first'
}

case_input_to_a_guest_that_polls_memory_comes_back_whole() {
	converse 32768
	# shellcheck disable=SC2002
	cat sent | timeout -k 10 "$limit_s" "$TOLLGATE" run -p "rx=poll uart=$(serial_memory)" \
		"$(kernel console)" 2>"$case_dir/err" >received
	echoed
}

# waits_behind BYTES: the guest has printed that many besides its prompts, and a prompt last.
waits_behind() {
	[ "$(tr -d '>' <"$case_dir/out" | wc -c)" -ge "$1" ] && [ "$(tail -c 1 "$case_dir/out")" = '>' ]
}

# Whether the page is there just now, for which the guest must have polled long enough.
serial_is_memory() {
	control stats
	jq -e '.register_pages[] | select(.device == "serial0") | .unmapped == .mapped_again' reply >/dev/null
}

# Each piece comes while the guest has polled for long, which the UART does not see.
case_input_reaches_a_guest_that_has_long_polled_memory() {
	local piece i printed=15 # "console: ready"
	: >sent
	mkfifo in
	exec 3<>in
	"$TOLLGATE" run --control ctl --stats=json:stats -p "rx=poll idle=10000 uart=$(serial_memory)" \
		"$(kernel console)" <&3 >"$case_dir/out" 2>"$case_dir/err" &
	pid=$!
	wait_for answers
	for i in 1 16 17 255; do
		wait_for waits_behind $printed
		wait_for serial_is_memory
		piece=$(printf "%0${i}d" "$i")
		printf '%s' "$piece" | tee -a sent >&3
		printed=$((printed + i))
	done
	wait_for waits_behind $printed
	printf '\x04' | tee -a sent >&3
	finish
	ended 0 'exit code 0 (exit port)'
	tr -d '>' <"$case_dir/out" >received
	echoed
	holds stats '.register_pages[0] | .device == "serial0" and .unmapped > 1 and .mapped_again > 1'
}

case_input_by_file_comes_back_whole_in_a_file() {
	converse 65536
	timeout -k 10 "$limit_s" "$TOLLGATE" run "$(kernel console)" <sent >received 2>"$case_dir/err"
	echoed
}

# More than pipe and ring hold together.
case_output_waits_for_a_slow_reader() {
	timeout -k 10 "$limit_s" "$TOLLGATE" run -p flood=100000 "$(kernel console)" 2>"$case_dir/err" |
		"$SLOWCAT" >received
	flood 100000 | cmp - received || fail 'the output is another'
}

case_output_by_the_transmitter_interrupt_waits_too() {
	timeout -k 10 "$limit_s" "$TOLLGATE" run -p 'flood=65536 tx=irq' "$(kernel console)" 2>"$case_dir/err" |
		"$SLOWCAT" >received
	flood 65536 | cmp - received || fail 'the output is another'
}

case_every_write_an_exit_prints_the_same() {
	tollgate run --exits writes -p flood=10000 "$(kernel console)"
	ended 0 'exit code 0 (exit port)'
	flood 10000 | cmp - "$case_dir/out" || fail 'the output is another'
}

case_the_debug_console_prints_in_order() {
	assemble code <<-'END'
		.code16
		mov $'A, %al
		1: out %al, $0xe9
		inc %al
		cmp $'Z, %al
		jbe 1b
		mov $0, %al
		out %al, $0xf4
		hlt
	END
	tollgate run --flat 0x7c00,real code
	ended 0 'exit code 0 (exit port)'
	same output "$(cat "$case_dir/out")" ABCDEFGHIJKLMNOPQRSTUVWXYZ
}

case_output_is_appended_to_a_file() {
	echo before >file
	timeout -k 10 "$limit_s" "$TOLLGATE" run -p exit=0 "$(kernel exits)" >>file 2>"$case_dir/err"
	same output "$(cat file)" "$(printf 'before\nexits: exit port')"
}

case_the_guest_goes_on_without_input() {
	tollgate run -p exit=7 "$(kernel exits)" </dev/null
	ended 7 'exit code 7 (exit port)'
	tollgate run -p exit=7 "$(kernel exits)" <&-
	ended 7 'exit code 7 (exit port)'
	: | tollgate run -p exit=7 "$(kernel exits)"
	tollgate run -p exit=7 "$(kernel exits)" <"$TOLLGATE" # nobody reads it
	ended 7 'exit code 7 (exit port)'
}

# Descriptor by descriptor, for the next file opened takes the place of one that is closed.
case_closed_descriptors_are_no_place_for_files() {
	local how
	for how in '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
		status=0
		eval "timeout -k 10 $limit_s \"$TOLLGATE\" run --stats $how" || status=$?
		[ $status = 0 ] || fail "$how: status $status"
	done >"$case_dir/out" 2>"$case_dir/err"
}

case_a_closed_output_is_not_the_guests_business() {
	status=0
	timeout -k 10 "$limit_s" "$TOLLGATE" run -p exit=7 "$(kernel exits)" >&- 2>"$case_dir/err" || status=$?
	ended 7 'exit code 7 (exit port)'
}

case_an_output_nobody_will_ever_read_ends_the_vm() {
	mkfifo pipe
	timeout -k 10 "$limit_s" "$TOLLGATE" run -p flood=100000000 "$(kernel console)" >pipe 2>"$case_dir/err" &
	head -c 1000 pipe >"$case_dir/out"
	status=0
	wait $! || status=$?
	ended 116 'killed (stdout closed)'
}

case_an_output_that_takes_no_more_ends_the_vm() {
	status=0
	# More than the ring holds, so that the guest cannot be through before the first write fails.
	timeout -k 10 "$limit_s" "$TOLLGATE" run -p flood=100000000 "$(kernel console)" >/dev/full 2>"$case_dir/err" ||
		status=$?
	ended 116 'killed (stdout takes no more)'
}

# full_pipe PID: starts a VM that has filled the pipe on descriptor 3, which nobody reads.
start_with_full_pipe() {
	mkfifo pipe
	exec 3<>pipe
	"$TOLLGATE" run -p flood=100000000 "$(kernel console)" >&3 2>"$case_dir/err" &
	pid=$!
	"$SLOWCAT" --until-full <&3
}

case_a_full_pipe_holds_up_no_signal() {
	start_with_full_pipe
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
}

# Which cannot be opened anew, as after su: the VMM has to do with the description that it was given.
case_another_users_full_pipe_holds_up_no_signal() {
	local major minor there
	[ "$(id -u)" = 0 ] || skip 'only root can become another user'
	read -r major minor < <(stat -c '0x%t 0x%T' /dev/kvm)
	mkdir dev
	# A world in which that user may open /dev/kvm.
	# shellcheck disable=SC2016 # for the inner shell
	there=(unshare -m sh -c 'mount -t tmpfs none dev && mknod -m 666 dev/kvm c "$1" "$2" &&
		mount --bind dev/kvm /dev/kvm && shift 2 && exec "$@"' sh "$major" "$minor"
		setpriv --reuid 65534 --regid 65534 --clear-groups --)
	"${there[@]}" test -w /dev/kvm 2>/dev/null || skip 'no mount namespaces here'
	share_with "${there[@]}"
	mkfifo -m 600 pipe
	exec 3<>pipe
	"${there[@]}" "$TOLLGATE" run -p flood=100000000 "$(kernel console)" >&3 2>"$case_dir/err" &
	pid=$!
	"$SLOWCAT" --until-full <&3
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
}

case_a_full_pipe_holds_up_no_timeout() {
	mkfifo pipe
	exec 3<>pipe
	status=0
	timeout -k 10 "$limit_s" "$TOLLGATE" run --timeout 2 -p flood=100000000 "$(kernel console)" \
		>&3 2>"$case_dir/err" || status=$?
	ended 117 'timeout (--timeout)'
}

flags_of() {
	sed -n 's/^flags:[ \t]*//p' "/proc/self/fdinfo/$1"
}

# Others have the same file descriptions, and expect them to block.
case_inherited_descriptions_stay_blocking() {
	local before line
	mkfifo in out
	exec 3<>in 4<>out
	before=$(flags_of 3)$(flags_of 4)
	"$TOLLGATE" run "$(kernel hang)" <&3 >&4 2>"$case_dir/err" &
	pid=$!
	read -r -t "$limit_s" line <&4
	same 'what the guest said' "$line" 'hang: hlt'
	same 'flags while it runs' "$(flags_of 3)$(flags_of 4)" "$before"
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
	same 'flags afterwards' "$(flags_of 3)$(flags_of 4)" "$before"
}

cpu_ticks() {
	local utime stime
	read -r _ _ _ _ _ _ _ _ _ _ _ _ _ utime stime _ <"/proc/$pid/task/$pid/stat"
	echo $((utime + stime))
}

# The guest sleeps, its output's reader is gone and its input at an end: nothing is left to be done.
case_hang_ups_do_not_make_the_event_thread_spin() {
	local until_s before
	mkfifo pipe
	"$TOLLGATE" run "$(kernel hang)" >pipe 2>"$case_dir/err" < <(:) &
	pid=$!
	head -n 1 pipe >"$case_dir/out"
	before=$(cpu_ticks)
	until_s=$((SECONDS + 3))
	while [ $SECONDS -lt $until_s ]; do
		[ $(($(cpu_ticks) - before)) -lt 50 ] ||
			fail "the event thread took $(($(cpu_ticks) - before)) ticks of CPU time to wait"
		sleep 0.1
	done
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
}

run_cases
