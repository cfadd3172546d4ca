#!/usr/bin/env bash
# The control socket: a running VM reports and takes commands, by `tollgate control` and by hand.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm
man=$(realpath "${0%/*}/../../docs/tollgate.1")

case_status() {
	start_controlled "$(kernel hang)"
	same 'mode of the socket' "$(stat -c %a ctl)" 600
	control status
	same 'state' "$(sed -n 1p reply)" 'state running'
	grep -qxE 'uptime_s [0-9]+\.[0-9]{3}' reply || fail 'no uptime'
	grep -qx "pid $pid" reply || fail "not its pid: $(cat reply)"
	control help
	grep -qE '^stop +ends' reply || fail 'no list of commands'
	stop
}

# A vCPU's thread has the descriptors that its operations use, and no disk, console or socket.
case_descriptors_of_vcpu_threads() {
	local task=0 kinds kind
	truncate -s 1M image
	start_controlled --cpus 2 --rng --disk image --net user "$(kernel hang)"
	for name in /proc/"$pid"/task/*/comm; do
		[[ $(cat "$name") == vcpu* ]] || continue
		task=$((task + 1))
		kinds=$(find "${name%/comm}/fd/" -type l -printf '%f %l\n' | sed 's/^0 .*/stdin/; s/^2 .*/stderr/; s/^[0-9]* //' | sort -u)
		for kind in stdin stderr anon_inode:kvm-vm anon_inode:kvm-vcpu:0 anon_inode:kvm-vcpu:1 'anon_inode:[eventfd]' \
			'anon_inode:[timerfd]'; do
			grep -qxF "$kind" <<<"$kinds" || fail "$name: lacks $kind"
			kinds=$(grep -vxF "$kind" <<<"$kinds" || true)
		done
		same "$name: others" "$kinds" ''
	done
	same 'threads of vCPUs' $task 2
	stop
}

case_stop_is_told_at_the_end() {
	start_controlled --stats=json:stats "$(kernel hang)"
	stop
	holds stats '.end == {kind: "killed", by: "control socket", exit_status: 116}'
}

# rates DEVICE: its line of what top printed last.
rates() {
	grep -E "^  (PIO|MMIO) .* $1 +[0-9]+ +[0-9]+ +[0-9]+\$" shown || fail "no line of $1: $(cat shown)"
}

# The guest makes each of its accesses as often as the others, for as long as it runs.
case_top_tells_what_rises() {
	local line
	assemble code <<-'END'
		mov $0xe00, %edx # nobody's
		1: in $0xe9, %al
		out %al, %dx
		jmp 1b
	END
	start_controlled --flat 0x100000 --exits writes code
	timeout -k 10 "$limit_s" "$TOLLGATE" top --once --interval 0.2 ctl nosuch >shown
	sed -n 1p shown | grep -qE '^ctl: [1-9][0-9]* exits/s to userspace, [1-9][0-9]* in KVM$' || fail "$(cat shown)"
	grep -qE '^  IO +[1-9][0-9]*$' shown || fail 'no line of IO'
	grep -q '^nosuch: .*nosuch.*: No such file or directory \[client-connect\]$' shown || fail 'an absent VM'
	line=$(rates debugcon0)
	[[ $line =~ \ [1-9][0-9]*\ +0\ +0$ ]] || fail "debugcon0: $line"
	line=$(rates unclaimed)
	[[ $line =~ \ 0\ +[1-9][0-9]*\ +0$ ]] || fail "unclaimed: $line"
	! grep -q serial0 shown || fail 'a device without accesses'
	# It finds the VM by its process, and goes on until that ends.
	timeout -k 10 "$limit_s" "$TOLLGATE" top --interval 0.1 >shown &
	found=$!
	wait_for grep -qE "^$PWD/ctl: [1-9][0-9]* exits/s" shown
	stop
	timeout -k 10 "$limit_s" "$TOLLGATE" top --once ctl 2>refusal && fail 'no VM, and no error'
	error_in refusal "client-connect 'ctl': No such file or directory"
	kill $found 2>/dev/null || true # it may follow VMs of others
}

reads_debugcon0() {
	"$TOLLGATE" control ctl stats >now && jq -e '.latency.exits[] | select(.device == "debugcon0")' now >found
}

# Percentiles are of the interval: the writes came before.
case_top_has_the_latencies_of_an_interval() {
	local p=() row='^  IO read debugcon0 +([0-9]+) +([0-9]+) +([0-9]+) +([0-9]+|more)$'
	assemble code <<-'END'
		mov $0xe00, %edx # nobody's
		mov $100, %ecx
		1: out %al, %dx
		loop 1b
		1: in $0xe9, %al
		jmp 1b
	END
	start_controlled --flat 0x100000 --exits writes,latency code
	wait_for reads_debugcon0
	holds now '.latency.exits[] | select(.access == "write" and .device == null) | .count == 100'
	timeout -k 10 "$limit_s" "$TOLLGATE" top --once --interval 0.2 ctl >shown
	grep -qE '^  ns in Tollgate per exit +p50 +p90 +p99 +p99\.9$' shown || fail "$(cat shown)"
	read -r -a p < <(sed -nE "s/$row/\1 \2 \3 \4/p" shown)
	if [ ${#p[@]} != 4 ] || [ "${p[0]}" = 0 ] || [ "${p[0]}" -gt "${p[1]}" ] || [ "${p[1]}" -gt "${p[2]}" ]; then
		fail "debugcon0: $(cat shown)"
	fi
	! grep -q 'IO write unclaimed' shown || fail 'an exit that did not come'
	stop
	start_controlled --flat 0x100000 --exits writes code
	timeout -k 10 "$limit_s" "$TOLLGATE" top --once --interval 0.2 ctl >shown
	! grep -q 'ns in Tollgate' shown || fail 'latencies that nobody measured'
	stop
}

# Whether the running guest has made its last write that counts.
has_written() {
	control stats
	jq -e '.pio.ranges[] | select(.device == "port80").writes == 300' reply >/dev/null
}

case_statistics_of_a_running_vm() {
	assemble code <<-'END'
		.code16
		mov $300, %cx
		1: out %al, $0x80
		loop 1b
		1: in $0xe9, %al
		jmp 1b
	END
	start_controlled --flat 0x7c00,real --rng --stats=json:stats code
	wait_for has_written
	control stats
	cp reply live
	stop
	holds live '.end == {kind: "running", by: null}'
	holds live '.pio.unclaimed_writes == 0 and .exits.IO > 0'
	# The same document: what it counts goes on, and what it lists is all there.
	same 'keys' "$(jq -c '[paths | map(tostring) | join(".") | select(startswith("end") or startswith("exits") | not)]' live)" \
		"$(jq -c '[paths | map(tostring) | join(".") | select(startswith("end") or startswith("exits") | not)]' stats)"
	jq -es '.[0].exits.total <= .[1].exits.total and (.[0].pio.reads <= .[1].pio.reads)' live stats >/dev/null ||
		fail 'numbers went down'
	jq -es '(.[0].kvm_vcpus == null) == (.[1].kvm_vcpus == null)' live stats >/dev/null ||
		fail "KVM's statistics of the vCPUs are missing"
}

case_statistics_of_all_that_there_is() {
	start_controlled --cpus 4 --rng --balloon 0 --net user --console both --exits time,latency "$(kernel hang)"
	for _ in 1 2 3; do
		control stats
		holds reply '(.latency.exits | type) == "array" and all(.pio.ranges[]; has("ns")) and (.virtio | length) == 4 and (.devices | length) > 10 and (.register_pages | type) == "array"'
	done
	stop
}

# Whether a vCPU took so many ns for one interruption, and its histogram has it there.
interruption_lasted() {
	control stats
	jq -e --argjson ns "$1" '.latency.exits[] | select(.reason == "INTR") | .max_ns >= $ns and
		([.buckets[] | select((.last_ns // infinite) >= $ns).count] | add) >= 1' reply >/dev/null
}

# A vCPU of a VM that is paused waits between two KVM_RUN.
case_latency_is_the_time_between_two_runs() {
	local since ns
	start_controlled --exits latency "$(kernel hang)"
	wait_for runs_a_vcpu
	control pause
	since=$(date +%s%N)
	sleep 0.2
	ns=$(($(date +%s%N) - since))
	control resume
	wait_for interruption_lasted $ns
	stop
}

# While vCPUs and I/O threads count, for long enough to be asked.
case_statistics_beside_a_busy_guest() {
	local told=0 requests
	for requests in 5000 50000 500000; do
		start run --control ctl --rng --cpus 2 -p requests=$requests "$(kernel virtio)"
		until has_ended; do
			"$TOLLGATE" control ctl stats >reply 2>/dev/null || continue
			holds reply '.end.kind == "running" and .virtio[0].device == "rng0"'
			told=$((told + 1))
		done
		finish
		ended 0 'exit code 0 (exit port)'
		[ $told = 0 ] || return 0
	done
	fail 'it never told'
}

case_by_hand() {
	start_controlled "$(kernel hang)"
	printf 'status\nbogus\nstop\n' | "$TALK" unix:ctl >reply
	same 'state' "$(sed -n 1p reply)" 'state running'
	same 'end of the first' "$(sed -n 4p reply)" 'ok'
	[[ $(sed -n 5p reply) == "error: "*"'bogus' [control-command-unknown]; remedy: "?* ]] || fail "the second: $(cat reply)"
	same 'the third' "$(sed -n 6p reply)" 'ok'
	finish
	ended 116 'killed (control socket)'
}

case_commands_are_refused() {
	start_controlled "$(kernel hang)"
	refuses_at "control-command-unknown 'quit'" some ctl quit
	refuses_at "command-no-arguments 'stop'" some ctl stop now
	refuses_at argument-empty '' ctl status ''
	refuses_at "argument-newline 'a?b'" '' ctl $'a\nb'
	refuses_at 'command-length 255' '' ctl "$(printf 'x%.0s' {1..256})"
	control status
	stop
}

# Whether statistics tell that target, which the device's own thread has taken by then.
has_target() {
	control stats
	jq -e ".virtio[] | select(.type == \"balloon\").target_bytes == $1" reply >/dev/null
}

# For the guest's side see balloon.sh.
case_a_balloon() {
	local size
	start_controlled -m 256M --balloon 32M "$(kernel hang)"
	control status
	grep -qx 'balloon balloon0' reply || fail 'the balloon is not among what can be changed'
	control balloon
	same 'what is shown' "$(cat reply)" $'target_bytes 33554432\nactual_bytes 0'
	for size in 0 128M 262140K; do
		control balloon "$size"
		same 'data' "$(cat reply)" ''
		control balloon
		wait_for has_target "$(sed -n 's/^target_bytes //p' reply)"
	done
	same 'the last' "$(jq '.virtio[0].target_bytes' reply)" $((262140 << 10))
	refuses_at "balloon-size 'lots'" some ctl balloon lots
	refuses_at 'balloon-size-min balloon 1 is' 'balloon 1M' ctl balloon 1
	refuses_at 'balloon-size-max 256M' '256 MiB' ctl balloon 256M
	refuses_at 'balloon-size-max 16777215T' '256 MiB' ctl balloon 16777215T
	refuses_at "command-arguments 'balloon'" some ctl balloon 1M 2M
	wait_for has_target $((262140 << 10)) # as it was
	stop
	start_controlled "$(kernel hang)"
	refuses_at balloon-none --balloon ctl balloon 1M
	stop
}

# For the guest's side see tests/linux/net.
case_links() {
	start_controlled --net user --net user,restrict --rng "$(kernel hang)"
	control link net1 down
	same 'data' "$(cat reply)" ''
	control status
	same 'links' "$(grep ^link reply)" $'link net0 up\nlink net1 down control'
	control link net1 down
	control link net0 down
	control link net1 up
	control status
	same 'links' "$(grep ^link reply)" $'link net0 down control\nlink net1 up'
	refuses_at "network-none 'rng0'" 'net0 net1' ctl link rng0 down
	refuses_at "network-none 'eth0'" 'net0 net1' ctl link eth0 up
	refuses_at "link-state net0 'sideways'" some ctl link net0 sideways
	refuses_at "command-arguments 'link'" some ctl link net0
	stop
	start_controlled "$(kernel hang)"
	refuses_at "network-none 'net0'" --net ctl link net0 down
	stop
}

case_nobody_is_there() {
	refuses_at "client-connect 'ctl': No such file or directory" --wait ctl status
	start_controlled "$(kernel hang)"
	kill -9 "$pid"
	finish
	[ -S ctl ] || fail 'a VM that was killed has removed its socket'
	refuses_at "client-connect 'ctl': Connection refused" some ctl status
	start_controlled "$(kernel hang)" # and takes its place
	control status
	stop
	refuses_at control-operands "'tollgate control --help'"
	refuses_at control-operands "'tollgate control --help'" ctl
	refuses_at 'option-unknown --now' "'tollgate control --help=all'" --now ctl stop
}

case_wait_waits_for_a_vm_that_starts() {
	local client got
	for got in none dead; do # what is at the path meanwhile
		"$TOLLGATE" control --wait ctl status >reply 2>refusal &
		client=$!
		start run --control ctl "$(kernel hang)"
		wait "$client" || fail "control --wait: $(cat refusal)"
		grep -qx "pid $pid" reply || fail "not that VM: $(cat reply)"
		kill -9 "$pid"
		finish
	done
	refuses_at "client-connect 'ctl': Connection refused" some --wait=0.2 ctl status
	refuses_at "option-seconds --wait 'soon'" --wait=60 --wait=soon ctl status
	rm ctl
}

# The manual page's EXAMPLES, with a kernel that is there.
case_the_manual_page_s_example_works() {
	local example # and then its words
	example=$(grep -o 'tollgate control --wait vm.sock.*' "$man")
	"$TOLLGATE" run --control vm.sock "$(kernel hang)" 2>"$case_dir/err" &
	pid=$!
	read -ra example <<<"$example"
	"$TOLLGATE" "${example[@]:1}" >reply
	jq -e .exits reply >/dev/null || fail "no statistics: $(cat reply)"
	"$TOLLGATE" control vm.sock stop
	finish
	same 'exit status' "$status" 116
}

# Whatever listens there is not trusted with our terminal: here a guest at its own console.
case_a_terminal_is_given_text_alone() {
	assemble code <<-'END'
		.code16
		call 1f
		.ascii "a\033[31mred\033]0;title\007\302\233 31m\tb\001\nok\n\0"
		1: pop %si
		mov $0x3f8, %dx
		2: lodsb %cs:(%si), %al
		test %al, %al
		jz 3f
		out %al, %dx
		jmp 2b
		3: jmp 3b
	END
	start run --flat 0x7c00,real --serial unix:ctl code
	wait_for test -S ctl
	"$PTY" -- "$TOLLGATE" control ctl status >reply
	kill -s TERM "$pid"
	finish
	same 'reply' "$(tr -d '\r' <reply | head -n 1)" $'ared\xef\xbf\xbd 31m\tb\xef\xbf\xbd'
	start run --flat 0x7c00,real --serial unix:ctl code
	wait_for test -S ctl
	"$TOLLGATE" control ctl status >reply # a file gets what came
	kill -s TERM "$pid"
	finish
	grep -q $'^a\e\\[31mred' reply || fail "not as it came: $(cat -v reply)"
}

# place_refused ERROR REMEDY PATH
place_refused() {
	run_refused "$1" --control "$3" "$(kernel hang)"
	complained_of "$1" "$2"
}

case_places_are_refused() {
	local first
	start_controlled "$(kernel hang)"
	first=$pid
	place_refused "control-socket-in-use 'ctl'" some ctl
	control status
	grep -qx "pid $first" reply || fail 'another VM has the socket'
	pid=$first
	stop
	echo mine >file
	place_refused "control-path-taken 'file'" some file
	same 'the file' "$(cat file)" mine
	run_refused "file-twice --serial 'file'" --control file --serial unix:file
	place_refused "control-socket-open '/nonexistent/ctl'" '' /nonexistent/ctl
	tollgate run --control ctl --stats=json:/nonexistent/stats "$(kernel hang)"
	same 'exit status' "$status" 2
	[ ! -e ctl ] || fail 'a VM that was not started left its socket behind'
}

case_the_socket_goes_with_the_vm() {
	tollgate run --control ctl -p exit=3 "$(kernel exits)"
	ended 3 'exit code 3 (exit port)'
	[ ! -e ctl ] || fail 'the socket was left behind'
}

case_clients_do_not_hold_up_the_end() {
	local i
	start_controlled "$(kernel hang)"
	mkfifo silence
	exec 8<>silence
	for i in 1 2 3 4 5 6 7; do
		{ echo status && exec cat <silence 8>&-; } | "$TALK" unix:ctl >"heard$i" 8>&- &
	done
	for i in 1 2 3 4 5 6 7; do
		wait_for grep -qx ok "heard$i"
	done
	control status # there is one place left
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
	exec 8>&-
	wait # for each cat as well, which ends now
}

run_cases
