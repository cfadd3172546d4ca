#!/usr/bin/env bash
# Where consoles are, and the virtio console: every byte arrives, by file, socket and pseudo-terminal,
# through who is slow, and nobody there holds nothing up.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

several_rings=262144 # of bytes; the ring between guest and destination has 65,536

# converse BYTES: makes the file "sent", numbered blocks of all bytes but Ctrl-D, and Ctrl-D at its end.
converse() {
	local i all
	all=$(printf '\\x%02x' {0..3} {5..255})
	# shellcheck disable=SC2059 # the format is made
	for ((i = 0; i < $1; i += 255)); do printf "$i:$all"; done >blocks
	head -c $(($1 - 1)) blocks >sent
	printf '\x04' >>sent
}

# flood BYTES: what the console kernels print for flood=BYTES.
flood() {
	LC_ALL=C awk -v n="$1" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "%c", i % 64 == 63 ? 10 : 33 + i % 94
	}'
}

talk() {
	timeout -k 10 "$limit_s" "$TALK" "$@"
}

# has_received BYTES: the client has printed so many.
has_received() {
	[ "$(stat -c %s received)" -ge "$1" ]
}

# echoes PLACE OF ARGUMENT...: the virtio console at PLACE echoes "sent" to a client OF it. The last byte, which
# ends the VM, is sent when all others are back: for a client that is slower, a VM waits a second at most.
echoes() {
	local place=$1 of=$2 bytes
	shift 2
	bytes=$(stat -c %s sent)
	: >received
	start run --virtio-console "$place" "$@" "$(kernel hvc)"
	{
		head -c $((bytes - 1)) sent
		wait_for has_received $((bytes - 1))
		tail -c 1 sent
	} | talk "$of" >received
	finish
	ended 0 'exit code 0 (exit port)'
	cmp -n $((bytes - 1)) sent received || fail 'what came back is not what was sent'
	printed '^hvc: ready' "^hvc: $bytes bytes"
}

case_virtio_echoes_through_a_socket() {
	converse $several_rings
	echoes unix:sock unix:sock
	[ ! -e sock ] || fail 'the socket was left behind'
}

case_virtio_echoes_with_an_exit_a_doorbell() {
	converse 65536
	echoes unix:sock unix:sock --exits doorbells,interrupts,reads
}

case_virtio_echoes_through_a_pseudo_terminal() {
	converse $several_rings
	echoes pty,link=tty tty:tty
	[ ! -L tty ] || fail 'the link was left behind'
}

case_virtio_echoes_standard_input() {
	converse 65536
	timeout -k 10 "$limit_s" "$TOLLGATE" run --console both --serial null "$(kernel hvc)" \
		<sent >received 2>"$case_dir/err"
	cmp sent received || fail 'what came back is not what was sent'
}

case_virtio_output_waits_for_a_slow_reader() {
	timeout -k 10 "$limit_s" "$TOLLGATE" run --console both --serial null -p flood=100000 "$(kernel hvc)" \
		2>"$case_dir/err" </dev/null | "$SLOWCAT" >received
	flood 100000 | cmp - received || fail 'the output is another'
}

case_virtio_output_goes_to_a_file() {
	echo 'what was there before' >log
	tollgate run --virtio-console file:log -p flood=100000 "$(kernel hvc)"
	ended 0 'exit code 0 (exit port)'
	{ echo 'what was there before' && flood 100000; } | cmp - log || fail 'the output is another'
	same 'on standard output' "$(tr -d '\r' <"$case_dir/out")" 'hvc: ready'
}

case_virtio_without_a_client_holds_up_nothing() {
	tollgate run --virtio-console unix:sock -p flood=100000 "$(kernel hvc)"
	ended 0 'exit code 0 (exit port)'
	tollgate run --virtio-console null -p flood=100000 "$(kernel hvc)"
	ended 0 'exit code 0 (exit port)'
}

# Of the consoles that share standard output the one that is there last gets the input.
case_both_consoles_share_standard_output() {
	printf 'abc\x04' >input
	status=0
	timeout -k 10 "$limit_s" "$TOLLGATE" run --console both "$(kernel hvc)" <input \
		>"$case_dir/out" 2>"$case_dir/err" || status=$?
	ended 0 'exit code 0 (exit port)'
	# The echo is another console's, and may stand inside a line.
	same 'output' "$(sed -z $'s/abc\x04//' "$case_dir/out" | tr -d '\r')" $'hvc: ready\nhvc: 4 bytes'
	grep -q $'abc\x04' "$case_dir/out" || fail 'the echo is missing'
}

case_virtio_tells_the_size_of_the_terminal() {
	status=0
	"$PTY" expect 'hvc: 80 columns, 24 rows' resize 100x30 expect 'hvc: 100 columns, 30 rows' \
		resize 20x5 expect 'hvc: 20 columns, 5 rows' -- \
		"$TOLLGATE" run --console both -p size=2 "$(kernel hvc)" >"$case_dir/out" 2>"$case_dir/err" ||
		status=$?
	same 'exit status' "$status" 0
}

case_ctrl_a_c_is_no_key_where_there_is_one_console() {
	status=0
	"$PTY" expect 'console: ready' raw send 'ab\x01cde' expect abde send '\x04' expect overruns -- \
		"$TOLLGATE" run "$(kernel console)" >"$case_dir/out" 2>"$case_dir/err" || status=$?
	same 'exit status' "$status" 0
}

case_serial_goes_to_a_file() {
	tollgate run --serial file:log -p exit=3 "$(kernel exits)"
	ended 3 'exit code 3 (exit port)'
	same log "$(cat log)" 'exits: exit port'
	[ ! -s "$case_dir/out" ] || fail 'standard output is not empty'
}

case_serial_echoes_through_a_socket() {
	converse 65536
	start run --serial unix:sock "$(kernel console)"
	talk unix:sock $((15 + 65536)) <sent >received || fail 'the console ended early'
	finish
	ended 0 'exit code 0 (exit port)'
	{ echo 'console: ready' && cat sent; } | cmp - received || fail 'what came back is not what was sent'
}

# Each client gets one line, and the next is served.
case_clients_come_and_go() {
	local i
	start run --serial unix:sock -p until=0 "$(kernel console)"
	talk unix:sock 15 </dev/null >received
	for i in 1 2 3 4 5; do
		printf 'line %s\n' $i | talk unix:sock 7 >received || fail 'the console ended early'
		same 'the echo' "$(cat received)" "line $i"
	done
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
}

case_a_pseudo_terminal_is_named() {
	start run --serial pty -p until=0 "$(kernel console)"
	wait_for grep -q '^tollgate: serial0 is at /dev/pts/' "$case_dir/err"
	printf 'a\x04' | talk "tty:$(sed -n 's/^tollgate: serial0 is at //p' "$case_dir/err")" 17 >received ||
		fail 'the console ended early'
	same 'the echo' "$(tail -c 2 received)" $'a\x04'
	kill -s TERM "$pid"
	finish
	same 'exit status' "$status" 116
}

case_a_full_disk_ends_the_vm() {
	tollgate run --serial file:/dev/full -p flood=100000 "$(kernel console)"
	ended 116 "killed (console's file takes no more)"
}

# Nobody connects, and the guest prints forever.
case_a_console_without_a_client_holds_up_nothing() {
	tollgate run --serial unix:sock -p flood=100000 "$(kernel console)"
	ended 0 'exit code 0 (exit port)'
	tollgate run --serial pty,link=tty -p flood=100000 "$(kernel console)"
	same 'exit status' "$status" 0
}

case_bad_places_are_refused() {
	run_refused "console-destination --serial 'tape'" --serial tape
	run_refused "console-destination --serial 'file:'" --serial file:
	run_refused "console-destination --virtio-console 'pty,size=3'" --virtio-console pty,size=3
	run_refused "console-limit --serial 'log,limit=x'" --serial file:log,limit=x
	run_refused "console-limit --serial 'log,limit='" --serial file:log,limit=
	run_refused "console-limit --virtio-console 'log,limit=0'" --virtio-console file:log,limit=0
	run_refused "console-no-path --serial ',limit=1M'" --serial file:,limit=1M
	run_refused "file-twice --serial 'x'" --serial file:x,limit=1M --virtio-console file:x
	run_refused console-serial-only --console serial --virtio-console pty
	run_refused "file-twice --serial 'x'" --serial file:x --virtio-console file:x
	run_refused console-twice --console serial --console both
	run_refused "option-choice --console 'tape'" --console tape
	run_refused "console-file-open '/nonexistent/log'" --serial file:/nonexistent/log
	run_refused "console-socket-open '/nonexistent/sock'" --serial unix:/nonexistent/sock
	touch file
	run_refused "console-socket-open 'file'" --serial unix:file
	run_refused "pty-link 'file'" --serial pty,link=file
}

# limited WANTED_LIMIT BYTES_LEFT_OUT: a VM that ended well said so, and the file log has what came first.
limited() {
	same 'exit status' "$status" 0
	same 'errors' "$(grep -c '^tollgate: .* \[' "$case_dir/err")" 1
	complained_of "console-limit-reached 'log'"
	complained_of "console-limit-reached $1: $2"
}

case_a_file_with_a_limit_takes_no_more_and_the_vm_goes_on() {
	echo 'what was there before' >log
	tollgate run --virtio-console file:log,limit=10K -p flood=100000 "$(kernel hvc)"
	limited '10 KiB' $((100000 - 10240))
	{ echo 'what was there before' && flood 10240; } | cmp - log || fail 'the output is another'
	same 'on standard output' "$(tr -d '\r' <"$case_dir/out")" 'hvc: ready'
	rm log
	tollgate run --serial file:log,limit=5 -p exit=0 "$(kernel exits)"
	limited '5 B' 12
	same log "$(cat log)" 'exits'
}

case_a_limit_that_is_not_reached_is_not_told() {
	tollgate run --serial file:log,limit=17 -p exit=3 "$(kernel exits)"
	ended 3 'exit code 3 (exit port)'
	same log "$(cat log)" 'exits: exit port'
	tollgate run --serial file:a,limit=1,limit=1M -p exit=3 "$(kernel exits)"
	ended 3 'exit code 3 (exit port)'
	same log "$(cat a,limit=1)" 'exits: exit port'
}

# prints_x FILE: a kernel that prints x forever.
prints_x() {
	assemble "$1" <<-'END'
		.code16
		mov $0x3f8, %dx
		mov $'x', %al
		1: out %al, %dx
		jmp 1b
	END
}

# ended_frozen FILE: what was started ends by SIGTERM and says that FILE's last output is lost.
ended_frozen() {
	control status
	kill -s TERM "$pid"
	finish
	same 'exit status' "$status" 116
	complained '^tollgate: killed \(SIGTERM\), exit status 116$'
	complained_of "output-stuck $1"
}

case_a_frozen_file_holds_up_no_end() {
	local option
	can_freeze
	prints_x code
	for option in --serial --virtio-console; do
		rm -f frozen frozen.held ice/log
		if [ $option = --serial ]; then
			start_controlled --flat 0x7c00,real --serial file:ice/log code
		else
			start_controlled --virtio-console file:ice/log -p flood=100000000 "$(kernel hvc)"
		fi
		wait_for test -s ice/log
		touch frozen
		wait_for test -e frozen.held
		ended_frozen "console's file 'ice/log'"
	done
}

# One line says it, not two.
case_a_file_that_takes_no_more_ends_the_vm() {
	prints_x code
	export GCOV_PREFIX=$case_dir/counts # for ./test --coverage: the limit would cut the files of all tests' counts short
	status=0
	(ulimit -f 4 && timeout -k 10 "$limit_s" "$TOLLGATE" run --flat 0x7c00,real code >big 2>err) || status=$?
	same 'exit status' "$status" 116
	same 'what it says' "$(cat err)" "tollgate: killed (stdout takes no more), exit status 116"
	same 'bytes' "$(stat -c %s big)" 4096
}

case_frozen_standard_output_holds_up_no_end() {
	can_freeze
	prints_x code
	"$TOLLGATE" run --control ctl --flat 0x7c00,real code >ice/out 2>"$case_dir/err" &
	pid=$!
	wait_for answers
	wait_for test -s ice/out
	touch frozen
	wait_for test -e frozen.held
	ended_frozen 'standard output'
}

run_cases
