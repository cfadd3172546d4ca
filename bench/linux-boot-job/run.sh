#!/bin/sh
# The job of bench/linux-boot, next to the KVM: run.sh ROUNDS WORDS. Boots the same kernel, initrd and memory
# with both VMMs in turns, each first every other round, and with the same command line: each kind of word
# that Tollgate would add is there already.
set -u
rounds=$1
words="console=ttyS0 8250.nr_uarts=1 pci=off panic=-1 reboot=t quiet${2:+ $2}"
round=1

boot() {
	case $1 in
	tollgate) boot_clock @@INIT /w/tollgate run --mem 256M --append "$words" \
		--initrd /w/guest.cpio "/boot/$2-cloud" 2>/dev/null ;;
	microvm) boot_clock @@INIT /usr/bin/qemu-system-x86_64-microvm -L /w/firmware \
		-M microvm,isa-serial=on,rtc=on,auto-kernel-cmdline=off -accel kvm -cpu host -m 256 -smp 1 \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio -kernel "/boot/$2-cloud" \
		-initrd /w/guest.cpio -append "$words" 2>/dev/null ;;
	esac </dev/null
}

# Which of the two reads them first must not matter. With --icount, waiting for a host that is busy counts.
cat /boot/vmlinuz-cloud /boot/vmlinux-cloud /w/guest.cpio >/dev/null
while [ "$round" -le "$rounds" ]; do
	for image in vmlinuz vmlinux; do
		if [ $((round % 2)) = 1 ]; then order='tollgate microvm'; else order='microvm tollgate'; fi
		for vmm in $order; do
			echo "$round $image $vmm $(boot "$vmm" "$image")" | tee -a /results/boots
		done
	done
	round=$((round + 1))
done
