#!/usr/bin/env bash
# Feature bits: each one that the kernel's headers know is in the tables of docs/reference/virtio-devices.md or
# docs/design/virtio.md, and devices offer what stands there. Names are the headers', so a new header may ask for a new line.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm
docs=$(cd "${0%/*}/../../docs" && pwd)
headers=/usr/include/linux
legacy=' BARRIER SCSI GSO NOTIFY_ON_EMPTY ANY_LAYOUT ' # of drivers before virtio 1.0, to which we do not speak

# bits HEADER PREFIX: "BIT NAME" of each feature.
bits() {
	sed -nE "s/^#define[[:space:]]+VIRTIO_$2F_([A-Z0-9_]+)[[:space:]]+([0-9]+).*/\2 \1/p" "$headers/$1.h" |
		while read -r bit name; do
			[ "$name" != REPORTING ] || name=PAGE_REPORTING # as virtio 1.2 calls it
			[[ $legacy == *" $name "* ]] || echo "$bit $name"
		done
}

# newer PREFIX: what later headers know than those of Linux 6.1, so that each release asks for the same.
newer() {
	case $1 in
	'') printf '%s\n' '38 NOTIFICATION_DATA' '39 NOTIF_CONFIG_DATA' '41 ADMIN_VQ' ;;
	BLK_) echo '17 ZONED' ;;
	VSOCK_) printf '%s\n' '0 STREAM' '1 SEQPACKET' '2 NO_IMPLIED_STREAM' ;; # of virtio 1.2 and 1.3
	NET_)
		printf '%s\n' '46 GUEST_UDP_TUNNEL_GSO_MAPPED' '47 GUEST_UDP_TUNNEL_GSO_CSUM_MAPPED' '50 DEVICE_STATS' \
			'52 VQ_NOTF_COAL' '54 GUEST_USO4' '55 GUEST_USO6' '56 HOST_USO' '59 GUEST_HDRLEN' \
			'65 GUEST_UDP_TUNNEL_GSO' '66 GUEST_UDP_TUNNEL_GSO_CSUM' '67 HOST_UDP_TUNNEL_GSO' '68 HOST_UDP_TUNNEL_GSO_CSUM'
		;;
	esac
}

# said SECTION NAME: what the table of that section of virtio-devices.md says of a feature.
said() {
	awk -F ' *[|] *' -v section="## $1" -v name="\`$2\`" '
		/^## / { here = $0 == section }
		here && index($2, name) { print $3; exit }' "$docs/reference/virtio-devices.md"
}

# offers NAME ARGUMENT...: into $offered, the bits that tollgate's arguments make the device offer.
offers() {
	local name=$1
	shift
	tollgate run -p "device=$name features" "$@" "$(kernel virtio)"
	offered=$((16#$(tr -d '\r' <"$case_dir/out" | sed -n 's/^virtio: offers //p')))
}

# holds_of SECTION HEADER PREFIX: $offered is what the section's table says; conditional ones that are offered
# are added to ./kept.
holds_of() {
	local bit name word wanted=$((1 << 32 | 1 << 28 | 1 << 29)) # said of every device
	while read -r bit name; do
		word=$(said "$1" "$name")
		[ -n "$word" ] || fail "virtio-devices.md, $1: nothing of $name"
		[ "$bit" -lt 64 ] || [ "$word" = no ] || fail "virtio-devices.md, $1: $name is '$word', and has no bit in 64"
		case $word in
		always | [0-9]*) wanted=$((wanted | 1 << bit)) ;;
		no) ;;
		*)
			wanted=$((wanted | (offered & 1 << bit)))
			[[ $word == *host* ]] || echo "$((offered >> bit & 1)) $name" >>kept
			;;
		esac
	done < <({ bits "$2" "$3" && newer "$3"; } | sort -u && echo '35 IN_ORDER')
	same "features of $1" "$(printf %x "$offered")" "$(printf %x "$wanted")"
}

# Each conditional feature was offered once, and was once not offered.
all_were_kept() {
	local names name
	mapfile -t names < <(cut -d ' ' -f 2 kept | sort -u)
	for name in "${names[@]}"; do
		grep -qx "1 $name" kept || fail "$name was never offered"
		grep -qx "0 $name" kept || fail "$name was always offered"
	done
}

case_block() {
	truncate -s 1M disk
	offers block --disk disk,queues=2
	holds_of Block virtio_blk BLK_
	offers block --disk disk,ro,queues=1
	holds_of Block virtio_blk BLK_
	all_were_kept
}

case_network() {
	local user=$TOLLGATE
	offers net --net user
	holds_of Network virtio_net NET_
	unshare --net ip tuntap add tg0 mode tap 2>"$case_dir/why" ||
		skip "no tap interface in a namespace: $(head -n 1 "$case_dir/why")"
	printf '#!/bin/sh\nexec unshare --net "%s" "$@"\n' "$user" >in-namespace
	chmod +x in-namespace
	TOLLGATE=$PWD/in-namespace
	offers net --net tap,queues=2
	holds_of Network virtio_net NET_
	all_were_kept
}

case_entropy() {
	offers rng --rng
	holds_of Entropy virtio_rng RNG_
}

# The header has no feature; what virtio 1.2 has is not offered.
case_file_system() {
	offers fs --share .
	same 'features' "$(printf %x "$offered")" "$(printf %x $((1 << 32 | 1 << 28 | 1 << 29)))"
	grep -q '^| .NOTIFICATION. | no |' "$docs/reference/virtio-devices.md" || fail 'nothing of NOTIFICATION'
}

case_console() {
	offers console --virtio-console null
	holds_of Console virtio_console CONSOLE_
}

case_balloon() {
	offers balloon --balloon 0
	holds_of Balloon virtio_balloon BALLOON_
	offers balloon --balloon 0,stats=1
	holds_of Balloon virtio_balloon BALLOON_
	all_were_kept
}

case_socket() {
	offers socket --vsock v
	holds_of Socket virtio_vsock VSOCK_
}

# Those that belong to no device: offered by all, or by none.
case_transport() {
	local name
	offers rng --rng
	awk '/Offered by/, /^$/; /^## /{ exit }' "$docs/reference/virtio-devices.md" >offered-by-all
	awk '/^## /{ here = /^## Not offered/ } here' "$docs/design/virtio.md" >not-offered
	while read -r _ name; do
		case $name in
		VERSION_1 | INDIRECT_DESC | EVENT_IDX) grep -q "\`$name\`" offered-by-all ;;
		IN_ORDER) ;; # each device's own
		*) grep -q "^|.*\`$name\`" not-offered ;;
		esac || fail "nothing of $name"
	done < <({ bits virtio_config '' && newer '' && bits virtio_ring RING_; } | sort -u)
}

run_cases
