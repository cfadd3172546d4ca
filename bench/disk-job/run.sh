#!/bin/sh
# The job of bench/disk, next to the KVM: run.sh ROUNDS. The same guest on the same image with both VMMs in
# turns, each first every other round. microvm gets an iothread, with which it does better. The image is in
# memory, and in the page cache all the time. The kernel is the bzImage: for an ELF kernel QEMU 7.2 puts
# the initrd over microvm's ACPI tables, at the top of RAM.
set -u
rounds=$1
words="console=ttyS0 8250.nr_uarts=1 pci=off panic=-1 reboot=t quiet" # each kind that Tollgate would add, for both
loads=7
round=1
PATH=$PATH:/usr/bin
dd if=/dev/urandom of=/tmp/image bs=1M count=64 2>/dev/null

boot() {
	case $1 in
	tollgate) timeout -s KILL 100 tollgate run --mem 256M --append "$words" --initrd /w/guest.cpio \
		--disk /tmp/image /boot/vmlinuz-cloud ;;
	microvm) timeout -s KILL 100 qemu-system-x86_64-microvm -L /w/firmware -M microvm,isa-serial=on,rtc=on \
		-accel kvm -cpu host -m 256 -smp 1 -nodefaults -no-user-config -display none -no-reboot \
		-serial stdio -kernel /boot/vmlinuz-cloud -initrd /w/guest.cpio -append "$words" \
		-global virtio-mmio.force-legacy=false \
		-object iothread,id=thread0 -drive id=disk0,file=/tmp/image,format=raw,if=none \
		-device virtio-blk-device,drive=disk0,iothread=thread0 ;;
	esac </dev/null >/tmp/out 2>&1
	[ "$(grep -c '^@@ [^ ]* [0-9]* [0-9]' /tmp/out)" = $loads ]
}

measure() {
	if ! boot "$1"; then
		echo "$1 did not get to its end in round $round"
		tail -n 20 /tmp/out
		exit 1
	fi
	tr -d '\r' </tmp/out | sed -n "s/^@@ /$round $1 /p" | tee -a /results/loads
}

while [ "$round" -le "$rounds" ]; do
	if [ $((round % 2)) = 1 ]; then order='tollgate microvm'; else order='microvm tollgate'; fi
	for vmm in $order; do measure "$vmm"; done
	round=$((round + 1))
done
