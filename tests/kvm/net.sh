#!/usr/bin/env bash
# The network device on the real KVM, driven by guest/kernels/net: a user network, and tap interfaces in network
# namespaces that the test makes. Nothing is sent to any other address.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

host_ip=192.168.77.1
guest_mac=52:54:00:00:00:02
guest_words='ip=0xc0a84d02 peer=0xc0a84d01' # .2 and .1

# in_namespace COMMAND...: with a network of its own, as its root; then it may make interfaces there.
in_namespace() {
	local namespaces=(--net)
	[ "$(id -u)" = 0 ] || namespaces+=(--map-root-user)
	unshare "${namespaces[@]}" -- "$@"
}

need_tap() {
	in_namespace ip tuntap add tg0 mode tap 2>"$case_dir/why" && return
	skip "no tap interface in a namespace: $(head -c 200 "$case_dir/why")"
	return 1
}

# passed N [ARGUMENT...]: that many checks of the kernel, none failed.
passed() {
	ended 0 'exit code 0 (exit port)'
	! grep 'FAIL ' "$case_dir/out" || fail 'a check of the kernel failed'
	printed "^$1 passed, 0 failed\$"
}

# tap SETUP ARGUMENT...: runs the kernel with these arguments where the shell command SETUP has prepared a
# network.
tap() {
	local setup=$1
	shift
	status=0 ran="tollgate $*"
	in_namespace bash -euc "$setup; exec timeout -k 10 $limit_s \"\$@\"" _ "$TOLLGATE" run "$@" \
		>"$case_dir/out" 2>"$case_dir/err" || status=$?
}

# The guest answers no ARP: a host that has learnt its address would ask for it after five seconds, in vain.
up="ip addr add $host_ip/24 dev tg0; ip link set tg0 up;
	ip neigh replace 192.168.77.2 lladdr $guest_mac dev tg0 nud permanent"

case_a_user_network() {
	tollgate run --net user --stats=json:stats "$(kernel net)"
	passed 13
	holds stats '.virtio[0] | .device == "net0" and .type == "network" and .resets_needed == 2'
}

case_a_user_network_with_an_exit_for_everything() {
	tollgate run --net user --exits all "$(kernel net)"
	passed 13
}

case_a_restricted_network_still_has_its_gateway() {
	tollgate run --net user,restrict "$(kernel net)"
	passed 13
}

# u32 FILE OFFSET
u32() {
	od -An -tu4 -j "$2" -N 4 "$1" | tr -d ' '
}

# records FILE: walks the records of a capture (pcap-savefile(5)), a line each: its bytes, source and type.
records() {
	local at=24 size len
	size=$(stat -c %s "$1")
	while [ "$at" -lt "$size" ]; do
		len=$(u32 "$1" $((at + 8)))
		echo "$len $(od -An -tx1 -j $((at + 16 + 6)) -N 8 "$1" | tr -d ' ')"
		at=$((at + 16 + len))
	done
	same 'end of the last record' "$at" "$size"
}

case_frames_are_captured() {
	tollgate run --net "user,mac=$guest_mac,pcap=frames.pcap" --stats=json:stats "$(kernel net)"
	passed 13
	same magic "$(u32 frames.pcap 0)" $((0xa1b23c4d))
	same link-type "$(u32 frames.pcap 20)" 1
	records frames.pcap >"$case_dir/out"
	printed "^[0-9]* ${guest_mac//:/}0806\$" # the guest asks for the gateway's address
	printed '^[0-9]* 52550a0002020806$'      # and libslirp answers
	printed '^[0-9]* 52550a0002020800$'      # pings, too
}

case_a_capture_that_fails_is_reported() {
	tollgate run --net user,pcap=none/frames.pcap "$(kernel net)"
	same status "$status" 2
	complained_of 'capture-create none/frames.pcap'
	tollgate run --net user,pcap=/dev/full "$(kernel net)"
	same status "$status" 123
	complained_of 'capture-write /dev/full'
	printed '^13 passed, 0 failed$'
}

case_the_mac_address_is_the_one_given() {
	tollgate run --net user,mac=03:00:00:00:00:01 "$(kernel net)"
	same status "$status" 2
	tollgate run --net user,mac=52:54:00:12:34:56 "$(kernel net)"
	passed 13
}

case_a_tap_interface() {
	need_tap || return 0
	tap "ip tuntap add tg0 mode tap; $up" --net "tap,ifname=tg0,mac=$guest_mac" -p "$guest_words mtu=1500 offloads" "$(kernel net)"
	passed 14
}

# With segments that the host may join, the device takes as many buffers as its arrays hold.
case_an_index_set_back_on_a_tap_interface_asks_for_a_reset() {
	need_tap || return 0
	tap "ip tuntap add tg0 mode tap; $up" --net "tap,ifname=tg0,mac=$guest_mac" --stats=json:stats \
		-p "$guest_words mtu=1500 pings=1" "$(kernel net)"
	printed '^PASS net-index-back$'
	passed 13
	holds stats '.virtio[0] | .resets_needed == 2 and .reset_why == "more chains available than the queue holds"'
}

case_a_tap_interface_with_a_long_mtu() {
	need_tap || return 0
	tap "ip tuntap add tg0 mode tap; ip link set tg0 mtu 9000; $up" \
		--net "tap,ifname=tg0,mac=$guest_mac" -p "$guest_words mtu=9000 offloads" "$(kernel net)"
	passed 14
}

# passt makes a user namespace of its own, which Linux refuses in a chroot.
need_passt() {
	need_tap || return 1
	command -v passt >"$case_dir/passt" || skip 'passt is not installed'
	unshare --user true 2>"$case_dir/why" || skip "no user namespaces: $(cat "$case_dir/why")"
}

# passt takes its address and route from the interface, and sends pings on to another address of the namespace.
case_a_passt() {
	need_passt || return 0
	tap "sysctl -qw net.ipv4.ping_group_range='0 2147483647'; ip link set lo up; ip tuntap add tg0 mode tap; $up;
		ip addr add 192.168.78.1/32 dev lo; ip route add default via 192.168.77.9" \
		--net "passt,mac=$guest_mac,pcap=frames.pcap" -p 'ip=0xc0a84d01 peer=0xc0a84e01' "$(kernel net)"
	passed 13
	records frames.pcap >"$case_dir/out"
	printed "^[0-9]* ${guest_mac//:/}0800\$"
}

# Its reason is in the message. Newer ones serve without an interface, too.
case_a_passt_that_refuses() {
	need_passt || return 0
	tap : --net passt,tcp=nonsense "$(kernel net)"
	same status "$status" 2
	complained_of 'passt-refused ' some
}

# One queue of it; the guest has no driver for more. And several, of which it uses one.
case_a_tap_interface_of_many_queues() {
	need_tap || return 0
	local queues
	for queues in 1 4; do
		tap "ip tuntap add tg0 mode tap multi_queue; $up" \
			--net "tap,ifname=tg0,mac=$guest_mac,queues=$queues" -p "$guest_words mtu=1500 offloads" "$(kernel net)"
		passed 14
	done
}

# The interface is ours and there when the guest runs; it is gone afterwards.
case_a_tap_interface_that_is_made() {
	need_tap || return 0
	in_namespace bash -eu -s "$TOLLGATE" "$(kernel hang)" <<'S' >"$case_dir/log.made" 2>&1 || { cat "$case_dir/log.made"; fail 'see above'; }
		"$1" run --net tap,ifname=mine --net tap "$2" &
		until ip link show mine 2>/dev/null | grep -q '[<,]UP[,>]'; do kill -0 $!; done
		until ip link show tap0 2>/dev/null | grep -q '[<,]UP[,>]'; do kill -0 $!; done
		kill $!
		wait $! || [ $? = 116 ]
		ip link show mine && exit 1
		ip link show tap0 && exit 1
		exit 0
S
}

case_what_is_no_tap_interface_is_refused() {
	need_tap || return 0
	tap : --net tap,ifname=lo
	same status "$status" 2
	complained_of 'tap-kind lo: ' some
	tap 'ip tuntap add tg0 mode tap' --net tap,ifname=tg0,queues=2
	same status "$status" 2
	complained_of 'tap-kind tg0: ' 'ip tuntap add dev tg0 mode tap multi_queue'
	tap 'ip tuntap add tg0 mode tun' --net tap,ifname=tg0
	same status "$status" 2
	complained_of 'tap-kind tg0: '
}

case_a_tap_interface_in_use_is_refused() {
	need_tap || return 0
	in_namespace bash -eu -s "$TOLLGATE" "$(kernel hang)" <<'S' >"$case_dir/log.busy" 2>&1 || { cat "$case_dir/log.busy"; fail 'see above'; }
		ip tuntap add tg0 mode tap
		"$1" run --net tap,ifname=tg0 "$2" &
		# It has a carrier while a program holds it.
		ip link set tg0 up
		until grep -qx 1 /sys/class/net/tg0/carrier || ip link show tg0 | grep -q LOWER_UP; do kill -0 $!; done
		said=$("$1" run --net tap,ifname=tg0 2>&1) && exit 1
		kill $!
		wait $! || [ $? = 116 ]
		[[ $said == 'tollgate: '*'tg0: Device or resource busy [tap-attach]'*'remedy: '* ]] || { echo "$said"; exit 1; }
S
}

case_a_port_that_is_taken_is_refused() {
	start run --net user,hostfwd=tcp:127.0.0.1:0-:80 "$(kernel hang)"
	finish
	same status "$status" 2
	complained_of net-forward
	in_namespace bash -eu -s "$TOLLGATE" "$(kernel hang)" <<'S' >"$case_dir/log.port" 2>&1 || { cat "$case_dir/log.port"; fail 'see above'; }
		ip link set lo up
		"$1" run --net user,hostfwd=tcp::8080-:80 "$2" &
		until ss -Hltn 'sport = 8080' | grep -q .; do kill -0 $!; done
		said=$("$1" run --net user,hostfwd=tcp::8080-:80 2>&1) && exit 1
		kill $!
		wait $! || [ $? = 116 ]
		[[ $said == 'tollgate: '*'TCP port 8080 of 127.0.0.1: Address already in use [forward-listen]'*'remedy: '* ]] || { echo "$said"; exit 1; }
S
}

# Answers that come twice, later or in another order are answers all the same.
case_faults_on_purpose_of_a_user_network() {
	tollgate run --net user,fault=duplicate:every=3,fault=delay:ms=1:dir=rx,fault=reorder:every=5 \
		--stats=json:stats -p pings=6 "$(kernel net)"
	passed 13
	holds stats '.virtio[0] | .fault_duplicated > 0 and .fault_delayed > 0 and .fault_reordered > 0 and .fault_lost == 0'
	complained '^net0: faults on purpose: [0-9]+ delayed, [0-9]+ duplicated, [0-9]+ reordered$'
}

counts() {
	control stats
	jq -e ".virtio[0].$1" reply >/dev/null
}

# The guest would wait for its answer for long.
case_faults_on_purpose_that_leave_no_answer() {
	local kind
	for kind in lose:dir=tx lose:dir=rx corrupt:dir=tx; do
		start_controlled --net "user,fault=$kind" "$(kernel net)"
		wait_for counts "$([ "${kind%%:*}" = lose ] && echo fault_lost || echo fault_corrupted) > 0"
		stop
	done
}

case_ports_are_forwarded_while_the_guest_runs() {
	in_namespace bash -eu -s "$TOLLGATE" "$(kernel hang)" <<'S' >"$case_dir/log.hostfwd" 2>&1 || { cat "$case_dir/log.hostfwd"; fail 'see above'; }
		ip link set lo up
		"$1" run --control ctl --net tap --net user,hostfwd=udp::53-:53 --net user,fault=delay:ms=1,pcap=frames "$2" &
		control() {
			"$tollgate" control --wait ctl "$@"
		}
		# refused ID COMMAND...
		refused() {
			local id=$1
			shift
			! said=$(control "$@" 2>&1) || exit 1
			[[ $said == *"[$id]"* ]] || { echo "$said"; exit 1; }
		}
		tollgate=$1
		[ "$(control hostfwd list)" = 'net1 udp:127.0.0.1:53-:53' ]
		control hostfwd add tcp:127.0.0.1:8080-:80
		control hostfwd add net2 tcp:0.0.0.0:8081-10.0.2.20:81
		[ "$(control hostfwd list)" = "net1 udp:127.0.0.1:53-:53
net1 tcp:127.0.0.1:8080-:80
net2 tcp:0.0.0.0:8081-10.0.2.20:81" ]
		[ "$(ss -Hltn | grep -c ':808[01] ')" = 2 ]
		refused forward-twice hostfwd add tcp::8080-:82
		refused forward-listen hostfwd add net2 tcp::8080-:82
		refused forward-network hostfwd add net0 tcp::82-:82
		refused forward-network hostfwd add net3 tcp::82-:82
		refused forward-form hostfwd add tcp::82
		refused forward-form hostfwd add tcp:82-:82
		refused forward-none hostfwd remove tcp::8081
		refused forward-command hostfwd add
		refused forward-command hostfwd list net1
		refused forward-command hostfwd insert tcp::82-:82
		refused command-arguments hostfwd
		control hostfwd remove tcp::8080
		control pause
		control hostfwd remove net2 tcp:0.0.0.0:8081-10.0.2.20:81
		control hostfwd add tcp::8082-:82
		control resume
		[ "$(ss -Hltn | grep -o ':808[0-9] ')" = ':8082 ' ]
		control stop
		wait $! || [ $? = 116 ]
S
}

case_no_ports_are_forwarded_without_a_user_network() {
	start_controlled "$(kernel hang)"
	control hostfwd list
	same 'data' "$(cat reply)" ''
	refuses forward-no-network '--net user' hostfwd add tcp::8080-:80
	stop
}

run_cases
