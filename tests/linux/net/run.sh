#!/bin/sh
# Job: Linux's own virtio_net against our network device. run.sh CASE BYTES: user, tap, queues, segments,
# rebind or together.
# The guest takes its commands from the console; the other end of the network is here, in a network
# namespace of its own.
set -u
case=$1 bytes=$2
guest_mac=02:00:00:00:00:77
# For one command in the guest, in seconds: a hang, not slowness. It may move that many bytes.
limit_s=$((240 + bytes / 1048576))

die() {
	echo "FAIL $case: $*"
	echo "--- the guest's last words"
	tail -n 40 /results/console
	cat /results/stderr
	exit 1
}

# The guest's next line, as $line; false when it has ended. Its action $1 may take $limit_s from $since_s on.
# A subshell reads it: busybox's read drops what it has of a line when a child of its shell ends, and the
# servers here end while the guest still writes.
next_line() {
	left_s=$((since_s + limit_s - $(date +%s)))
	# shellcheck disable=SC3045 # busybox sh has read -t
	if [ "$left_s" -gt 0 ] && line=$(read -r -t "$left_s" line <&4 && printf '%s\n' "$line"); then
		line=${line%"$(printf '\r')"}
		echo "$line" >>/results/console
		return
	fi
	[ $(($(date +%s) - since_s)) -lt "$limit_s" ] || die "no end within $limit_s s: $1"
	return 1
}

# Reads the guest's console until the end of what it does, $1; its words are in /tmp/said.
wait_rc() {
	: >/tmp/said
	since_s=$(date +%s)
	while next_line "$1"; do
		case $line in
		"tg: rc "*)
			rc=${line#tg: rc }
			return
			;;
		*) echo "$line" >>/tmp/said ;;
		esac
	done
	die "the guest is gone, during: $1"
}

# boot OPTION...: a guest with these options, ready for commands.
boot() {
	rm -f /tmp/in /tmp/out
	mkfifo /tmp/in /tmp/out
	tollgate run --quick --mem 256M --timeout 1400 --append quiet "$@" --initrd guest.cpio /boot/vmlinuz \
		</tmp/in >/tmp/out 2>/results/stderr &
	vmm=$!
	exec 3>/tmp/in 4</tmp/out
	wait_rc boot
}

# guest COMMAND: runs it there; it must succeed.
guest() {
	echo "$*" >&3
	wait_rc "$*"
	[ "$rc" = 0 ] || die "in the guest, '$*' ended with $rc"
}

# One echo there and back. After more than one, busybox waits for the last one a second only.
guest_ping() {
	guest "ping -c 1 -W 60 $*"
}

said() {
	grep -q "$1" /tmp/said || die "the guest did not say: $1; but $(cat /tmp/said)"
}

end() {
	echo 'poweroff -f' >&3
	since_s=$(date +%s)
	while next_line 'power off'; do :; done
	wait "$vmm" || die "exit status $?"
	exec 3>&- 4<&-
}

# listen FILE COMMAND...: a server in the background, once it listens; its pid in $server.
listen() {
	rm -f /tmp/ready
	mkfifo /tmp/ready
	out=$1
	shift
	"$@" >/tmp/ready &
	server=$!
	exec 5</tmp/ready
	read -r line <&5
	[ "$line" = listening ] || die "$*: $line"
	{ cat <&5 >"$out" & } 5<&5
	copier=$!
	exec 5<&-
}

# For a command in the guest that started $all: fails as soon as it is known that one of them did, as the other
# end of a connection that was never made would be waited for.
# shellcheck disable=SC2016 # the guest's variables
wait_all='for pid in $all; do wait $pid || exit; done'

# Both ends printed the same bytes and checksum: "sent" and "got" are such lines.
same() {
	[ "${1% *}" = "${2% *}" ] || die "sent '$1', got '$2'"
	[ "${1%% *}" = "$bytes" ] || die "sent '$1', not $bytes"
	echo "  $3: $bytes bytes, checksum ${1#* bytes }"
}

# The guest sends to ADDR; then it fetches from there.
transfer() {
	listen /tmp/got net_peer receive 7000
	guest "/net_peer send $1 7000 $bytes >/tmp/sent; cat /tmp/sent"
	wait "$server" && wait "$copier"
	same "$(tail -n 1 /tmp/said)" "$(cat /tmp/got)" "guest to host"
	listen /tmp/sent net_peer serve 7001 "$bytes"
	guest "/net_peer fetch $1 7001 >/tmp/got; cat /tmp/got"
	wait "$server" && wait "$copier"
	same "$(cat /tmp/sent)" "$(tail -n 1 /tmp/said)" "host to guest"
}

case_user() {
	listen /tmp/dns net_peer dns 127.0.0.1 53 192.0.2.80
	dns=$server
	boot --net "user,hostfwd=tcp::8080-:80,hostfwd=tcp:127.0.0.1:8081-10.0.2.15:81,dns=127.0.0.1,mac=$guest_mac" \
		--net user,restrict
	guest "cat /sys/class/net/eth0/address"
	said "$guest_mac"
	guest "udhcpc -i eth0 -n -q -t 20 -s /udhcpc-script"
	said "lease: eth0 10.0.2.15 router 10.0.2.2 dns 10.0.2.2"
	guest_ping 10.0.2.2
	guest "n=6; until nslookup some.name.example 10.0.2.2; do n=\$((n - 1)); [ \$n != 0 ] || exit; done"
	said "192.0.2.80"
	transfer 10.0.2.2
	# Forwarded: the guest listens. nc prints nothing when it does, so it is asked for a file.
	guest "mkdir /tmp/www && echo hello from the guest >/tmp/www/index.html"
	guest "httpd -p 80 -h /tmp/www && httpd -p 81 -h /tmp/www"
	for port in 8080 8081; do
		[ "$(timeout "$limit_s" wget -q -O - "http://127.0.0.1:$port/")" = "hello from the guest" ] || die "port $port"
	done
	echo "  lease, name server, forwarded ports"
	# The second network, which leads nowhere.
	guest "ip link set eth0 down"
	guest "udhcpc -i eth1 -n -q -t 20 -s /udhcpc-script"
	said "lease: eth1 10.0.2.15 router none dns none"
	listen /dev/null net_peer serve 7002 "$bytes"
	guest "! /net_peer fetch 10.0.2.2 7002"
	said "connect: Connection refused"
	kill "$server"
	guest_ping 10.0.2.2
	end
	kill "$dns"
}

tap_up() {
	ip addr add 192.168.77.1/24 dev "$1"
	ip link set "$1" up
}

tap_boot() {
	boot "$@"
	guest "ip addr add 192.168.77.2/24 dev eth0 && ip link set eth0 up"
	guest_ping 192.168.77.1
}

# tg0_boot OPTION...: the same, with an interface tg0 that was there before the VMM.
tg0_boot() {
	tunctl -t tg0 >/dev/null
	tap_up tg0
	tap_boot --net tap,ifname=tg0 "$@"
}

control() {
	tollgate control /tmp/ctl "$@" || die "control $*"
}

# Waits until the guest has seen that its link is so.
guest_carrier() {
	guest "until [ \$(cat /sys/class/net/eth0/carrier) = $1 ]; do :; done"
}

case_tap() {
	tg0_boot --net tap --control /tmp/ctl
	guest "cat /sys/class/net/eth0/address"
	first=$(head -n 1 /tmp/said)
	case $first in [0-9a-f][26ae]:*) ;; *) die "no local address: $first" ;; esac
	# Every feature that there is to use, by its bit, is used: CSUM, GUEST_CSUM, CTRL_GUEST_OFFLOADS, MTU, MAC,
	# GUEST_TSO4 and 6, GUEST_ECN, HOST_TSO4 and 6, HOST_ECN, MRG_RXBUF, STATUS, CTRL_VQ, CTRL_MAC_ADDR.
	guest "cat /sys/class/net/eth0/device/features"
	features=$(head -n 1 /tmp/said)
	for bit in 0 1 2 3 5 7 8 9 11 12 13 15 16 17 23; do
		[ "$(echo "$features" | cut -c$((bit + 1)))" = 1 ] || die "feature $bit is not used: $features"
	done
	transfer 192.168.77.1
	guest_ping 192.168.77.1 -s 8000
	# The link is the interface's.
	guest "cat /sys/class/net/eth0/carrier"
	said "^1"
	ip link set tg0 down
	guest_carrier 0
	ip link set tg0 up
	guest_carrier 1
	guest_ping 192.168.77.1
	echo "  ping, fragments, link"
	# So is the cable, which is pulled and plugged in from here; what is sent meanwhile is lost.
	control link net0 down
	guest_carrier 0
	! ping -c 1 -W 2 192.168.77.2 >/dev/null || die 'an answer without a cable'
	ip link set tg0 down
	ip link set tg0 up
	guest "cat /sys/class/net/eth0/carrier"
	said "^0"
	control link net0 up
	guest_carrier 1
	guest_ping 192.168.77.1
	ping -c 1 -W 60 192.168.77.2 >/dev/null || die 'no answer with the cable plugged in again'
	echo "  the cable pulled and plugged in"
	end
	# The same address the next time.
	tap_boot --net tap,ifname=tg0
	guest "cat /sys/class/net/eth0/address"
	said "$first"
	end
}

case_queues() {
	boot --cpus 4 --net tap,ifname=tg4,queues=4
	tap_up tg4
	guest "ip addr add 192.168.77.2/24 dev eth0 && ip link set eth0 up"
	guest "ls /sys/class/net/eth0/queues"
	for queue in rx-0 rx-3 tx-0 tx-3; do said "$queue"; done
	# So many does the guest use: the host's interface has a queue for each.
	set -- /sys/class/net/tg4/queues/tx-*
	[ $# = 4 ] || die "queues: $*"
	guest_ping 192.168.77.1
	transfer 192.168.77.1
	# Four connections at once, from four CPUs.
	for cpu in 0 1 2 3; do
		listen "/tmp/got$cpu" net_peer receive $((7010 + cpu))
		servers="${servers:-} $server $copier"
	done
	guest "for cpu in 0 1 2 3; do taskset -c \$cpu /net_peer send 192.168.77.1 \$((7010 + cpu)) $bytes >/tmp/sent\$cpu & all=\"\$all \$!\"; done; $wait_all; cat /tmp/sent?"
	# shellcheck disable=SC2086 # words
	wait $servers
	for cpu in 0 1 2 3; do
		same "$(sed -n "$((cpu + 1))p" /tmp/said)" "$(cat "/tmp/got$cpu")" "CPU $cpu to host"
	done
	end
}

# The frames that crossed tg0 in the direction of the host's counter $1.
frames() {
	cat "/sys/class/net/tg0/statistics/$1_packets"
}

# A few more are the kernels' own.
one_frame_each() {
	if [ "$1" -lt 100 ] || [ "$1" -ge 200 ]; then die "$1 frames for 100 messages of 32 datagrams, $2"; fi
	echo "  $2: 3,200 datagrams in $1 frames"
}

# Datagrams that are cut out of one frame after the device: GUEST_USO4, GUEST_USO6 and HOST_USO.
case_segments() {
	tg0_boot
	guest "uname -r"
	for release in "$(uname -r)" "$(head -n 1 /tmp/said)"; do
		case $release in [1-5].* | 6.[01].*)
			echo "skipped: Linux $release has no UDP segmentation offload for virtio and tap"
			exit 77
			;;
		esac
	done
	guest "cut -c55-57 /sys/class/net/eth0/device/features"
	said "^111"
	guest "/udp_segments enable eth0"
	before=$(frames rx)
	listen /tmp/got udp_segments receive 7005 100
	guest "/udp_segments send 192.168.77.1 7005 100"
	wait "$server" || die "what the guest sent"
	one_frame_each $(($(frames rx) - before)) "guest to host"
	guest "/udp_segments receive 7006 100 >/tmp/got 2>&1 & until grep -q . /tmp/got; do :; done"
	before=$(frames tx)
	udp_segments send 192.168.77.2 7006 100 || die "what the guest received"
	guest "until grep 'messages\|udp_segments:' /tmp/got; do :; done"
	said "^100 messages"
	one_frame_each $(($(frames tx) - before)) "host to guest"
	end
}

# Every device there is under load at once: two disks and two networks, four queues for four CPUs.
case_together() {
	dd if=/dev/urandom of=/tmp/from bs=1M count=16 2>/dev/null
	truncate -s 16M /tmp/to
	boot --cpus 4 --disk /tmp/from,ro,queues=4 --disk /tmp/to,queues=4 --net tap,ifname=tg4,queues=4 --net user \
		--rng --balloon 32M,stats=1 --virtio-console file:/tmp/hvc --stats=json:/tmp/stats
	tap_up tg4
	guest "ip addr add 192.168.77.2/24 dev eth0 && ip link set eth0 up"
	guest "udhcpc -i eth1 -n -q -t 20 -s /udhcpc-script"
	listen /tmp/got0 net_peer receive 7000
	servers="$server $copier"
	listen /tmp/got1 net_peer receive 7001
	servers="$servers $server $copier"
	# shellcheck disable=SC2016 # the guest's variable
	work='for cpu in 0 1 2 3; do taskset -c $cpu dd if=/dev/vda of=/dev/vdb bs=4M count=1 skip=$cpu seek=$cpu conv=notrunc,fsync 2>/dev/null & all="$all $!"; done;'
	# shellcheck disable=SC2016 # the guest's variable
	for command in "/net_peer send 192.168.77.1 7000 $bytes >/tmp/sent0" "/net_peer send 10.0.2.2 7001 $bytes >/tmp/sent1" \
		'{ stty raw; head -c 1048576 /dev/vda; } <>/dev/hvc0 >&0' 'head -c 65536 /dev/hwrng | wc -c >/tmp/random'; do
		work="$work $command & "'all="$all $!";'
	done
	guest "$work $wait_all; cat /tmp/random /tmp/sent0 /tmp/sent1"
	# shellcheck disable=SC2086 # words
	wait $servers
	said "^65536"
	same "$(sed -n 2p /tmp/said)" "$(cat /tmp/got0)" "by the tap interface"
	same "$(sed -n 3p /tmp/said)" "$(cat /tmp/got1)" "by the user network"
	guest "ls -1 /sys/block/vda/mq /sys/block/vdb/mq /sys/class/net/eth0/queues"
	[ "$(grep -c '^[0-3]$' /tmp/said)" = 8 ] || die "queues: $(cat /tmp/said)"
	end
	cmp /tmp/from /tmp/to || die "what the guest copied differs"
	head -c 1048576 /tmp/from | cmp - /tmp/hvc || die "what the guest sent to hvc0 differs"
	balloon=$(sed -n 's/.*"inflated_bytes": *\([0-9]*\).*/\1/p' /tmp/stats)
	[ "$balloon" -ge $((32 << 20)) ] || die "the balloon took $balloon bytes"
	echo "  two disks, two networks, random bytes, a console and a balloon at once"
}

case_rebind() {
	tg0_boot
	guest "ls /sys/bus/virtio/drivers/virtio_net | grep virtio >/tmp/device; cat /tmp/device"
	device=$(head -n 1 /tmp/said)
	round=0
	while [ "$round" -lt 10 ]; do
		# While frames come and go.
		guest "ping -q -A -w 2 192.168.77.1 & ping -q -A -c 5 192.168.77.1; echo $device >/sys/bus/virtio/drivers/virtio_net/unbind; wait; true"
		guest "echo $device >/sys/bus/virtio/drivers/virtio_net/bind"
		guest "ip addr add 192.168.77.2/24 dev eth0 && ip link set eth0 up"
		guest_ping 192.168.77.1
		round=$((round + 1))
	done
	echo "  $round times unbound under load and bound again"
	transfer 192.168.77.1
	end
}

ip link set lo up
while read -r module; do
	insmod "modules/$module" || exit 1
done <modules/order
[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
: >/results/console
"case_$case"
echo "PASS net/$case"
