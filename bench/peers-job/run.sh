#!/bin/sh
# The job of bench/peers, next to the KVM: run.sh PEERS ROUNDS WORDS. PEERS are those to compare with: kvmtool, microvm.
# Writes /results/exits/ACCESS/VMM, the chunks of bench/accesses.S, and lines "ROUND WHAT VMM ..." of boot_clock to
# /results/boots, where WHAT is first (the first instruction), same or defaults (the command line of Linux).
set -u
[ "$TESTBED" = host ] || dmesg -n 1
peers=$1 rounds=$2 words=$3
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null

# microvm ARGUMENT...: QEMU's, with what Linux asks for and nothing else.
microvm() {
	options=isa-serial=on,rtc=on
	[ "$1" != own-words ] || options=$options,auto-kernel-cmdline=off
	shift
	echo /usr/bin/qemu-system-x86_64-microvm -L /w/firmware -M "microvm,$options" -accel kvm -cpu host -m 256 -smp 1 \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio "$@"
}

kvmtool() {
	echo /w/lkvm run --console serial -m 256 -c 1 "$@"
}

tollgate() {
	echo /w/tollgate run --mem 256M "$@"
}

# flat VMM GUEST: the command that runs a guest of real-mode code; bench/accesses.S has one of each kind.
flat() {
	case $1 in
	bare) echo "/w/bare_exits /w/accesses-$2 ${2##*-}" ;;
	tollgate) tollgate --flat 0x10000,real "/w/accesses-$2" ;;
	kvmtool) kvmtool --nodefaults -k "/w/accesses-$2" ;;
	microvm) microvm own-words -bios "/w/rom-$2" ;;
	esac
}

# linux VMM same|defaults WORDS: the command that boots Debian's kernel; defaults adds what the VMM adds by itself.
linux() {
	kernel=/boot/vmlinuz-cloud initrd=/w/guest.cpio
	case $1-$2 in
	tollgate-*) tollgate --initrd $initrd --append "'$3'" $kernel ;;
	kvmtool-same) kvmtool --nodefaults -i $initrd -p "'$3'" -k $kernel ;;
	kvmtool-defaults) kvmtool -i $initrd -p "'$3'" -k $kernel ;;
	microvm-same) microvm own-words -kernel $kernel -initrd $initrd -append "'$3'" ;;
	microvm-defaults) microvm '' -kernel $kernel -initrd $initrd -append "'console=ttyS0 $3'" ;;
	esac
}

for access in write-0x600 write-0x10 read-0x3fd; do
	mkdir -p "/results/exits/$access"
	for vmm in bare tollgate $peers; do
		eval "$(flat "$vmm" $access)" </dev/null >"/results/exits/$access/$vmm" 2>"/results/log" ||
			[ "$(grep -c '^[0-9a-f]*.$' "/results/exits/$access/$vmm")" -ge 33 ] || {
			echo "$access $vmm: status $?"
			cat "/results/exits/$access/$vmm" /results/log
			exit 1
		}
	done
done

# timed ROUND WHAT VMM MARKER COMMAND
timed() {
	line=$(eval "boot_clock $4 $5" </dev/null 2>/results/log) || {
		echo "$2 $3: $line"
		cat /results/log
		exit 1
	}
	echo "$1 $2 $3 $line" | tee -a /results/boots
}

# Which of them reads a file first must not matter.
cat /boot/vmlinuz-cloud /w/* >/dev/null 2>&1
round=1
order="tollgate $peers"
while [ "$round" -le "$rounds" ]; do
	for vmm in $order; do
		timed $round first "$vmm" @@FIRST "$(flat "$vmm" first)"
	done
	for words_of in same defaults; do
		for vmm in $order; do
			own=quiet
			[ "$words_of" = defaults ] || own="console=ttyS0 8250.nr_uarts=1 pci=off panic=-1 reboot=t quiet $words"
			timed "$round" "$words_of" "$vmm" @@INIT "$(linux "$vmm" "$words_of" "$own")"
		done
	done
	order="${order#* } ${order%% *}" # each is first in turn
	round=$((round + 1))
done
