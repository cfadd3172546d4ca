#!/usr/bin/env bash
# The socket device on the real KVM, driven by guest/kernels/vsock, with programs of the host at the other end.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm
: "${PEER:?}"

# start_peer ARGUMENT...: a peer in the background, with the file $input; wait_peers waits for all, which must succeed.
peers=()
start_peer() {
	timeout -k 10 "$limit_s" "$PEER" "$@" <"${input:-/dev/null}" & # which may be a pipe that nobody writes yet
	peers+=($!)
}

wait_peers() {
	local peer
	for peer in "${peers[@]}"; do
		wait "$peer" || fail "a peer ended with $?"
	done
	peers=()
}

# passed N: that many checks of the kernel, none failed.
passed() {
	ended 0 'exit code 0 (exit port)'
	! grep 'FAIL ' "$case_dir/out" || fail 'a check of the kernel failed'
	printed "^$1 passed, 0 failed\$"
	[ ! -e v ] || fail 'the socket was left behind'
}

# call ARGUMENT...: the guest connects to a peer that echoes.
call() {
	start_peer echo v_77
	wait_for test -S v_77
	tollgate run --vsock v --stats=json:stats -p connect=77 "$@" "$(kernel vsock)"
	wait_peers
}

case_the_guest_connects() {
	call
	passed 4
	holds stats '.virtio[0] | .device == "vsock0" and .type == "socket" and .from_guest == 1 and .stray >= 1'
	holds stats '.virtio[0] | .to_host_bytes == 65536 and .to_guest_bytes == 65536 and .violations == 0'
}

case_the_guest_connects_with_an_exit_for_everything() {
	call --exits all
	passed 4
}

# 1 MiB through a buffer of 3,000 bytes in the guest: each packet waits for room.
case_a_megabyte_through_little_room() {
	call -p 'room=3000 bytes=1048576'
	passed 4
	holds stats '.virtio[0] | .to_guest_bytes == 1048576 and .queues[0].chains > 340'
}

case_nobody_listens() {
	tollgate run --vsock v -p connect=77 --stats=json:stats "$(kernel vsock)"
	ended 1 'exit code 1 (exit port)'
	printed '^FAIL vsock-connect: port 77 refuses$'
	holds stats '.virtio[0].refused == 1'
}

# The exits that 200 more round trips cost; in $exits.
exits_of_200_round_trips() {
	local few
	call -p 'bytes=1 requests=50' "$@"
	passed 5
	few=$(jq '.exits.MMIO' stats)
	call -p 'bytes=1 requests=250' "$@"
	passed 5
	exits=$(($(jq '.exits.MMIO' stats) - few))
}

# A round trip is a doorbell and an interrupt: no exit, or one for each. A device that is busy anyway wants no doorbell,
# and an interrupt may be one for two. One that comes late and finds nothing new is acknowledged by an exit.
case_exits_of_a_round_trip_are_counted() {
	exits_of_200_round_trips
	((exits > -20 && exits < 20)) || fail "exits of 200 round trips: $exits, not 0"
	exits_of_200_round_trips --exits doorbells
	((exits > 100 && exits < 420)) || fail "with doorbells as exits: $exits, not up to 400"
}

# serve ARGUMENT...: the guest listens.
serve() {
	start run --vsock v --stats=json:stats "$@" "$(kernel vsock)"
	wait_for_output 'vsock: ready'
}

case_a_client_gets_all_back() {
	head -c 262144 /dev/urandom >in
	serve
	input=in start_peer dial v 1024 >back
	wait_peers
	finish
	passed 1
	cmp in back
	holds stats '.virtio[0] | .from_host == 1 and .to_host_bytes == 262144 and .to_guest_bytes == 262144'
}

case_a_client_gets_all_back_through_little_room() {
	head -c 65536 /dev/urandom >in
	serve -p room=3777
	input=in start_peer dial v 1024 >back
	wait_peers
	finish
	passed 1
	cmp in back
}

# A port that nobody listens on; one client after the other; a device that the guest resets under a client.
case_clients_come_and_go() {
	serve -p 'clients=3 reset'
	"$PEER" dial v 7 </dev/null && fail 'port 7 accepted'
	echo first | "$PEER" dial v 1024 >back || true
	same 'echo of a device that was reset' "$(cat back)" ''
	wait_for_output 'PASS vsock-reset'
	for n in 1 2; do
		echo "client $n" >in
		input=in start_peer dial v 1024 >back
		wait_peers
		same 'echo' "$(cat back)" "client $n"
	done
	finish
	passed 2
}

# A VM, and a client that has its first line back. Descriptor 9 is its input, "back" its output.
start_echo() {
	mkfifo in
	start_controlled --vsock v "$(kernel vsock)"
	wait_for_output 'vsock: ready'
	input=in start_peer dial v 1024 >back
	exec 9>in
	echo before >&9
	wait_for grep -qx before back
}

# Connections outlast a pause, and an attempt does not time out in it.
case_a_pause_ends_no_connection() {
	start_echo
	control pause
	echo during >&9
	control resume
	wait_for grep -qx during back
	exec 9>&-
	wait_peers
	finish
	passed 1
}

# A device that is unplugged ends its connections, and accepts none until its driver starts it again.
case_an_unplugged_device_ends_its_connections() {
	start_echo
	control unplug vsock0
	exec 9>&-
	wait_peers
	"$PEER" dial v 1024 </dev/null && fail 'an unplugged device accepted'
	control plug vsock0
	"$PEER" dial v 1024 </dev/null && fail 'a device without a driver accepted'
	stop
	[ ! -e v ] || fail 'the socket was left behind'
}

run_cases
