#!/usr/bin/env bash
# Where consoles are, and the virtio console: every byte arrives, by file, socket and pseudo-terminal,
# through who is slow, and nobody there holds nothing up.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

mib=1048576

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

case_virtio_echoes_a_mebibyte_through_a_socket() {
	converse $mib
	echoes unix:sock unix:sock
	[ ! -e sock ] || fail 'the socket was left behind'
}

case_virtio_echoes_with_an_exit_a_doorbell() {
	converse 65536
	echoes unix:sock unix:sock --no-ioeventfd --no-irqfd --no-shadow
}

case_virtio_echoes_through_a_pseudo_terminal() {
	converse $mib
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
	timeout -k 10 "$limit_s" "$TOLLGATE" run --console both --serial null -p flood=200000 "$(kernel hvc)" \
		2>"$case_dir/err" </dev/null | "$SLOWCAT" >received
	flood 200000 | cmp - received || fail 'the output is another'
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
	printed 'hvc: ready' 'hvc: 4 bytes'
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

# Nobody connects, and the guest prints for ever.
case_a_console_without_a_client_holds_up_nothing() {
	tollgate run --serial unix:sock -p flood=100000 "$(kernel console)"
	ended 0 'exit code 0 (exit port)'
	tollgate run --serial pty,link=tty -p flood=100000 "$(kernel console)"
	same 'exit status' "$status" 0
}

case_bad_places_are_refused() {
	run_refused "--serial 'tape' is no place for a console" --serial tape
	run_refused "--serial 'file:' is no place" --serial file:
	run_refused "--virtio-console 'pty,size=3' is no place" --virtio-console pty,size=3
	run_refused '--virtio-console with --console serial' --console serial --virtio-console pty
	run_refused "--serial 'x' and --virtio-console 'x' are one file" --serial file:x --virtio-console file:x
	run_refused "--console is given twice" --console serial --console both
	run_refused "--console 'tape'" --console tape
	run_refused "console's file '/nonexistent/log': No such file or directory" --serial file:/nonexistent/log
	run_refused "console's socket '/nonexistent/sock': No such file or directory" --serial unix:/nonexistent/sock
	touch file
	run_refused "console's socket 'file': File exists" --serial unix:file
	run_refused "link 'file' to the console's /dev/pts/[0-9]+: File exists" --serial pty,link=file
}

# The thread that writes the file waits in the kernel, uninterruptibly.
writer_is_stuck() {
	local task
	for task in /proc/"$pid"/task/*; do
		[ "$(cat "$task/comm")" != file-writer ] || grep -q '^State:.D' "$task/status" || return
	done
}

has_ended_saying() {
	grep -q "$1" "$case_dir/err"
}

# Where a file system can be made and frozen here; test_file_writer.c tries the same with a pipe.
case_a_frozen_file_system_holds_up_no_end() {
	truncate -s 32M image
	if ! { mkfs.ext4 -q image && mkdir mnt && mount -o loop image mnt; } >/dev/null 2>&1; then
		echo 'no file system can be mounted here' >"$case_dir/skipped"
		return
	fi
	trap 'fsfreeze -u mnt 2>/dev/null || true; umount -l mnt' EXIT
	assemble code <<-'END'
		.code16
		mov $0x3f8, %dx
		mov $'x', %al
		1: out %al, %dx
		jmp 1b
	END
	start_controlled --flat 0x7c00,real --serial file:mnt/log code
	wait_for test -s mnt/log
	fsfreeze -f mnt
	wait_for writer_is_stuck
	control status
	kill -s TERM "$pid"
	wait_for has_ended_saying 'killed (SIGTERM)'
	fsfreeze -u mnt # Linux keeps the process until then
	finish
	same 'exit status' "$status" 116
	complained "^tollgate: console's file 'mnt/log' does not answer: its last output is lost\$"
}

run_cases
