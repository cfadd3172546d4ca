#!/bin/sh
# The job of bench/linux-net, next to the KVM: run.sh ROUNDS BYTES. Both VMMs in turns, each first every other
# round. A line of /results/rates: round, direction, VMM, bytes, nanoseconds; the time is taken out here, from
# the connection to the end of the stream.
set -eu
rounds=$1 bytes=$2
words="console=ttyS0 8250.nr_uarts=1 pci=off panic=-1 reboot=t quiet" # each kind that Tollgate would add, for both
round=1

while read -r module; do insmod "modules/$module"; done <modules/order
echo 15 >/proc/sys/net/ipv4/tcp_tso_rtt_log
[ -c /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
ip link set lo up
tunctl -t tg0 >/dev/null
ip addr add 192.168.77.1/24 dev tg0
ip link set tg0 up

boot() {
	case $1 in
	tollgate) tollgate run --mem 256M --timeout 300 --append "$words" --net tap,ifname=tg0 \
		--initrd /w/guest.cpio /boot/vmlinuz ;;
	microvm) timeout 300 /usr/bin/qemu-system-x86_64-microvm -L /w/firmware \
		-M microvm,isa-serial=on,rtc=on -accel kvm -cpu host -m 256 -smp 1 \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio -kernel /boot/vmlinuz \
		-initrd /w/guest.cpio -append "$words" -global virtio-mmio.force-legacy=false \
		-netdev tap,id=n0,ifname=tg0,script=no,downscript=no,vhost=off -device virtio-net-device,netdev=n0 ;;
	esac </dev/null >/results/console 2>&1 || true # both end with a reset
}

# The line that net_peer ends with, as bytes and nanoseconds.
rate() {
	tail -n 1 "$1" | cut -d' ' -f1,4
}

while [ "$round" -le "$rounds" ]; do
	if [ $((round % 2)) = 1 ]; then order='tollgate microvm'; else order='microvm tollgate'; fi
	for vmm in $order; do
		net_peer -p receive 7000 >/tmp/received &
		net_peer -p serve 7001 "$bytes" >/tmp/served &
		boot "$vmm"
		if ! grep -q "^$bytes bytes" /tmp/received || ! grep -q "^$bytes bytes" /tmp/served; then
			echo "$vmm: no transfer"
			cat /results/console
			exit 1
		fi
		wait
		echo "$round guest-to-host $vmm $(rate /tmp/received)" | tee -a /results/rates
		echo "$round host-to-guest $vmm $(rate /tmp/served)" | tee -a /results/rates
	done
	round=$((round + 1))
done
