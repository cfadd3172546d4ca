#!/usr/bin/env bash
# `run --gdb`: Debian's gdb, driven by scripts, on our kernels; clients that come again, vanish, and are hostile.
# shellcheck source-path=SCRIPTDIR disable=SC2317,SC2016 # cases are called by name; $ is gdb's
. "${0%/*}/lib.bash"
need_kvm

# debug COMMAND...: a gdb that connects, then runs these; its output is in "log". symbols, if set, is what it reads first.
debug() {
	local c args=()
	for c in 'set pagination off' 'set confirm off' 'set width 0' "${symbols[@]}" \
		"target ${target:-remote} gdb.sock" "$@"; do
		args+=(-ex "$c")
	done
	timeout -k 10 "$limit_s" gdb -nx -batch "${args[@]}" >log 2>&1 </dev/null || true
}
symbols=()

# packet CONTENT: as it is sent.
packet() {
	local i sum=0 n
	for ((i = 0; i < ${#1}; i++)); do
		printf -v n %d "'${1:i:1}"
		sum=$((sum + n))
	done
	printf '$%s#%02x' "$1" $((sum % 256))
}

# A counter in RAX, whose loop has a place to stop at.
counter() {
	assemble code <<-'END'
		.code64
		mov $0x80000, %rsp
		xor %eax, %eax
		xor %ebp, %ebp
		again: inc %rax
		call count
		jmp again
		count: push %rbp
		mov %rsp, %rbp
		stop: mov %rax, total(%rip)
		pop %rbp
		ret
		.balign 8
		total: .quad 0
	END
	symbols=('add-symbol-file code.o 0x100000')
}

counts_on() {
	local before
	control regs 0
	before=$(sed -n 's/^  rax \([0-9a-f]*\) .*/\1/p' reply)
	wait_for moved "$before"
}

moved() {
	control regs 0
	[ "$(sed -n 's/^  rax \([0-9a-f]*\) .*/\1/p' reply)" != "$1" ]
}

case_breakpoints_and_steps() {
	counter
	start_controlled --gdb unix:gdb.sock,wait --flat 0x100000 code
	debug 'p/x $pc' 'break *stop' c 'p $rax' c c 'p $rax' 'x/i $pc' bt stepi 'x/i $pc' 'x/gd &total' delete \
		'hbreak *again' c 'p $rax' 'set $rax = 1000' c 'p $rax' 'set {long}&total = 77' 'x/gd &total' \
		'info registers cr0 efer fs_base' 'p $xmm0.uint128'
	says '\$1 = 0x100000' 'Breakpoint 1, .*' '\$2 = 1' '\$3 = 3' '=> .*<stop>:.*' '#0 .* in stop \(.*' \
		'=> .*<stop\+7>:.*' '0x[0-9a-f]+ <total>:	3' 'Breakpoint 2, .*' '\$4 = 3' 'Breakpoint 2, .*' '\$5 = 1001' \
		'0x[0-9a-f]+ <total>:	77' 'cr0 .*' 'efer .*' 'fs_base .*' '\$6 = 0'
	counts_on # gdb has detached, and its breakpoints with it
	debug 'p $rax > 1001' 'x/i &stop'
	says '\$1 = 1' '.*<stop>:	mov .*'
	stop
}

# By steps, which every KVM has.
case_a_watchpoint_in_software() {
	counter
	start_controlled --gdb unix:gdb.sock,wait --flat 0x100000 code
	debug 'set can-use-hw-watchpoints 0' 'watch *(long *)&total' c c
	says 'Watchpoint 1: .*' 'Old value = 0' 'New value = 1' 'Old value = 1' 'New value = 2'
	stop
}

# Where the KVM has none, gdb gets an error and does not wait.
case_watchpoints() {
	counter
	start_controlled --gdb unix:gdb.sock,wait --flat 0x100000 code
	debug 'watch *(long *)&total' c c 'p $pc > &stop'
	if grep -qwE 'vmx|svm' /proc/cpuinfo; then
		says 'Hardware watchpoint 1: .*' 'Old value = 0' 'New value = 1' 'Old value = 1' 'New value = 2' '\$1 = 1'
	else
		says 'Hardware watchpoint 1: .*' '(Could not insert hardware watchpoint 1|.*[Hh]ardware watchpoint.*)\.?'
	fi
	stop
}

case_a_thread_per_vcpu() {
	symbols=("file $(kernel smp)")
	start run --gdb unix:gdb.sock,wait -c 3 "$(kernel smp)"
	wait_for test -S gdb.sock
	debug 'info threads' 'hbreak kernel_main' c delete 'break ap_start' c 'info threads' 'p $_thread' bt c 'p $_thread' \
		delete c
	says '\* 1 .*\(vCPU 0\).*' '.*2 .*\(vCPU 1, not started\).*' 'Thread 1 hit Breakpoint 1, .*kernel_main \(.*' \
		'Thread [23] hit Breakpoint 2, .*ap_start \(.*' '.*1 .*\(vCPU 0\).*' '\$1 = [23]' '#0 .*ap_start \(.*' \
		'Thread [23] hit Breakpoint 2, .*ap_start \(.*' '\$2 = [23]' '\[Inferior 1 \(Remote target\) exited normally\]'
	finish
	ended 0 'exit code 0 (exit port)'
	printed ' 0 failed'
}

# One steps while the others stay where they are.
case_one_thread_steps_alone() {
	symbols=("file $(kernel smp)")
	start_controlled --gdb unix:gdb.sock,wait -c 2 -p rounds=1000000 "$(kernel smp)"
	debug 'break ap_start' c delete 'thread 2' 'set scheduler-locking on' stepi stepi 'thread 1' 'p/x $pc' 'thread 2' \
		stepi stepi 'thread 1' 'p/x $pc' 'set scheduler-locking off'
	same 'the other one has not moved' "$(sed -n 's/^\$1 = //p' log)" "$(sed -n 's/^\$2 = //p' log)"
	[ -n "$(sed -n 's/^\$2 = //p' log)" ] || fail "$(cat log)"
	stop
}

case_memory_in_any_mode() {
	local wanted
	assemble code <<-'END'
		.code16
		spin: jmp spin
		.ascii "real"
	END
	wanted=$(od -An -tx1 code | tr -d ' \n')
	start_controlled --gdb unix:gdb.sock --flat 0x7c00,real code
	debug 'dump binary memory got 0x7c00 0x7c06' 'p $cs_base' 'p $efer' 'p/x $pc' 'x/xb 0xfffffff0' 'x/xb 0xffff800000000000'
	same 'memory' "$(od -An -tx1 got | tr -d ' \n')" "$wanted"
	says '\$1 = 0' '\$2 = 0' '\$3 = 0x7c00' '0xfffffff0:	Cannot access memory at address 0xfffffff0' '.*Cannot access memory at address .*'
	stop
}

case_monitor_detach_and_kill() {
	start_controlled --gdb unix:gdb.sock -c 2 -p how=loop "$(kernel hang)"
	wait_for_output 'hang: loop'
	debug 'monitor status' 'monitor regs 0' 'monitor bogus' 'monitor' detach
	says 'state paused' "pid $pid" 'vCPU 0:' '  long mode' "error: .*'bogus' \\[control-command-unknown\\]; remedy: .*" '.*lists the commands' \
		'\[Inferior 1 \(Remote target\) detached\]'
	control status
	same 'state' "$(sed -n 1p reply)" 'state running'
	debug kill
	finish
	ended 116 'killed (debugger)'
}

# extended COMMAND...: as debug, by gdb's extended protocol, in which a guest can be run anew.
extended() {
	target=extended-remote debug "$@"
}

case_run_starts_the_guest_anew() {
	counter
	start_controlled --gdb unix:gdb.sock,wait --flat 0x100000 code
	extended 'break *stop' c c 'p $rax' run 'p $rax' 'x/gd &total' starti 'p/x $pc' 'hbreak *again' delete detach
	says 'Breakpoint 1, .*' 'Breakpoint 1, .*' '\$1 = 2' 'Breakpoint 1, .*' '\$2 = 1' '0x[0-9a-f]+ <total>:	0' \
		'Program stopped.' '\$3 = 0x100000'
	counts_on
	holds_resets 2
	# A guest that was killed is there to be run again, until the client leaves.
	extended kill 'break *stop' run 'p $rax' kill
	says '\[Inferior 1 \(Remote target\) killed\]' 'Breakpoint 1, .*' '\$1 = 1'
	finish
	ended 116 'killed (debugger), after 3 resets'
}

holds_resets() {
	control stats
	holds reply ".resets == $1"
}

# The guest resets itself at its third breakpoint; the debugger's are there again, where the same code is.
case_breakpoints_outlast_a_reset_of_the_guest() {
	assemble code <<-'END'
		.code64
		xor %eax, %eax
		again: inc %rax
		cmp $3, %rax
		jb again
		mov $0xcf9, %dx
		mov $6, %al
		out %al, %dx
		1: jmp 1b
	END
	symbols=('add-symbol-file code.o 0x100000')
	start_controlled --reboot --gdb unix:gdb.sock,wait --flat 0x100000 code
	debug 'break *again' c 'p $rax' c c 'p $rax' c 'p $rax' 'monitor stats'
	says '\$1 = 0' '\$2 = 2' '\$3 = 0' '.*"resets": ?1,?'
	stop_after_resets
}

# A breakpoint in what the guest has written itself: after its reset, the byte of its image is there, and none of ours.
case_a_reset_forgets_breakpoints_in_code_that_is_not_there() {
	assemble code <<-'END'
		.code64
		mov $0x80000, %rsp
		mov place(%rip), %al
		out %al, $0xe9
		cmp $0x5a, %al # of the image
		jne 1f
		go: movb $0x90, place(%rip) # as one that decompresses itself
		call place
		mov $0xcf9, %dx
		mov $6, %al
		out %al, %dx
		1: hlt
		.balign 64
		place: .byte 0x5a
		ret
	END
	symbols=('add-symbol-file code.o 0x100000')
	start_controlled --reboot --gdb unix:gdb.sock,wait --flat 0x100000 code
	debug 'hbreak *go' c stepi 'break *place' c c 'monitor stats' kill
	says 'Breakpoint 1, .*' 'Breakpoint 2, .*' 'Breakpoint 1, .*' '.*"resets": ?1,?'
	finish
	ended 116 'killed (debugger), after 1 reset'
	same 'what the guest found' "$(cat "$case_dir/out")" ZZ
}

# The guest may reset itself more often before it is stopped.
stop_after_resets() {
	control stop
	finish
	same 'exit status' "$status" 116
}

# The packets by hand: a stop that is asked for, and a guest that ends.
case_an_interrupt() {
	mkfifo keys
	exec 8<>keys
	start_controlled --gdb unix:gdb.sock -c 2 -p how=loop "$(kernel hang)"
	wait_for_output 'hang: loop'
	"$TALK" unix:gdb.sock <keys >heard 8>&- &
	packet c >&8
	wait_for is_running
	printf '\003' >&8
	wait_for grep -q '\$T02thread:1;#' heard
	control status
	same 'state' "$(sed -n 1p reply)" 'state paused'
	packet c >&8
	wait_for is_running
	stop
	wait_for grep -q '\$W74#' heard # 116
	exec 8>&-
	wait
}

is_running() {
	control status
	grep -qx 'state running' reply
}

# While a client is there and the guest runs, and nothing is to be stopped at, no exit is made for it.
# But for the signal that stopped each vCPU: one that had parked before it came takes it when it runs again.
case_an_idle_client_costs_nothing() {
	local before
	mkfifo keys
	exec 8<>keys
	start_controlled --gdb unix:gdb.sock -c 2 -p how=loop "$(kernel hang)"
	wait_for_output 'hang: loop'
	"$TALK" unix:gdb.sock <keys >heard 8>&- &
	packet c >&8
	wait_for is_running
	control stats
	before=$(jq .exits.total reply)
	sleep 1
	control stats
	[ "$(jq .exits.total reply)" -le $((before + 2)) ] || fail "exits: $(jq -c .exits reply), $before before"
	exec 8>&-
	stop
	wait
}

# A client that is killed in the middle leaves a guest that runs, without breakpoints.
case_a_client_vanishes() {
	local i client
	counter
	start_controlled --gdb unix:gdb.sock --flat 0x100000 code
	for ((i = 0; i < 5; i++)); do
		gdb -nx -batch -ex "${symbols[0]}" -ex 'target remote gdb.sock' -ex 'break *stop' -ex c -ex c \
			-ex 'echo here\n' -ex 'shell exec sleep 5 >/dev/null 2>\&1' >log 2>&1 </dev/null &
		client=$!
		wait_for grep -q '^here' log
		kill -KILL "$client" # its sleep holds nothing of the socket
		wait "$client" || true
		counts_on
	done
	control stats
	stop
}

case_a_hostile_client() {
	local i
	start_controlled --gdb unix:gdb.sock -c 2 -p how=exits "$(kernel hang)"
	wait_for_output 'hang: exits'
	for ((i = 1; i <= 8; i++)); do
		noise $i | timeout 20 "$TALK" unix:gdb.sock 1 >/dev/null || true
	done
	for p in m m0 m0,ffffffffffffffff M0,10000:00 X0,4: Z0 Z9,0,1 Z2,1,8 z0,0,0 G00 g00 p p999 P P1 P0=0 Hg0 Hg99 Hx T T99 \
		vCont vCont\; vCont\;x 'vCont;c:99' 'qRcmd,' 'qRcmd,z' qXfer:features:read:target.xml: \
		qXfer:features:read:target.xml:ffff,ffff ''; do
		packet "$p"
	done >packets
	{
		cat packets
		packet D
	} | "$TALK" unix:gdb.sock 40 >heard || true
	{
		head -c 100000 /dev/zero | tr '\0' '$'
		packet D
	} | "$TALK" unix:gdb.sock 1 >heard || fail 'no answer after many beginnings of packets'
	debug 'p $pc != 0' 'monitor status'
	says '\$1 = 1' 'state paused'
	control status
	same 'state' "$(sed -n 1p reply)" 'state running'
	stop
}

# Bytes that are the same each time.
noise() {
	awk -v seed="$1" 'BEGIN { srand(seed); for (i = 0; i < 3000; i++) printf "%c", 1 + int(rand() * 126) }'
}

case_places() {
	local port
	start_controlled --gdb 0 "$(kernel hang)"
	port=$(sed -n "s/^tollgate: gdb's stub is at localhost://p" "$case_dir/err")
	[ -n "$port" ] || fail 'no port was told'
	timeout -k 10 "$limit_s" gdb -nx -batch -ex "target remote localhost:$port" -ex 'p $pc != 0' >log 2>&1 </dev/null
	says '\$1 = 1'
	same 'address' "$(awk -v port="$(printf %04X "$port")" '$2 ~ ":" port "$" && $4 == "0A" { print $2 }' /proc/net/tcp)" \
		"0100007F:$(printf %04X "$port")"
	grep -qi ":$(printf %04X "$port") .* 0A " /proc/net/tcp6 && fail 'it listens elsewhere, too'
	tollgate run --gdb "$port" "$(kernel hang)"
	same 'exit status' "$status" 2
	complained_of "gdb-port-listen 127.0.0.1:$port: Address already in use"
	kill -s TERM "$pid"
	finish
	run_refused "gdb-form 'x'" --gdb x "$(kernel hang)"
	run_refused "gdb-form '65536'" --gdb 65536 "$(kernel hang)"
	run_refused "gdb-form 'unix:'" --gdb unix: "$(kernel hang)"
	run_refused "file-twice --control 'a'" --control a --gdb unix:a "$(kernel hang)"
	[ ! -e gdb.sock ] || fail 'a socket was left behind'
}

run_cases
