#!/bin/sh
# The job of bench/disk, beside the KVM: run.sh ROUNDS. The same guest on the same image with both VMMs in
# turns, each first every other round. The image is in memory, and in the page cache all the time.
set -u
rounds=$1
words="console=ttyS0 panic=-1 reboot=t quiet"
round=1
dd if=/dev/urandom of=/tmp/image bs=1M count=64 2>/dev/null

boot() {
	case $1 in
	tollgate) tollgate run --mem 256M --append "$words" --initrd /w/guest.cpio --disk /tmp/image \
		/boot/vmlinux-cloud 2>/dev/null ;;
	microvm) qemu-system-x86_64-microvm -L /w/firmware \
		-M microvm,isa-serial=on,rtc=on,auto-kernel-cmdline=off -accel kvm -cpu host -m 256 -smp 1 \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio -kernel /boot/vmlinux-cloud \
		-initrd /w/guest.cpio -append "$words" -global virtio-mmio.force-legacy=false \
		-drive id=disk0,file=/tmp/image,format=raw,if=none -device virtio-blk-device,drive=disk0 2>/dev/null ;;
	esac </dev/null
}

PATH=$PATH:/usr/bin
while [ "$round" -le "$rounds" ]; do
	if [ $((round % 2)) = 1 ]; then order='tollgate microvm'; else order='microvm tollgate'; fi
	for vmm in $order; do
		boot "$vmm" | tr -d '\r' | sed -n "s/^@@ /$round $vmm /p" | tee -a /results/loads
	done
	round=$((round + 1))
done
