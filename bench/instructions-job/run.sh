#!/bin/sh
# The job of bench/instructions, next to the KVM: run.sh WAY... Each guest runs in each way, and prints its chunks to
# /results/GUEST/WAY. A way is tollgate, ranges, or bare with options: "bare--zones=4,--pit". With /w/guest.cpio Debian's
# cloud kernel boots too, and uses a disk: /results/boot and /results/loads.
set -u
[ "$TESTBED" = host ] || dmesg -n 1
cat /w/* >/dev/null # waiting for the disk counts

# run WAY ACCESS
run() {
	guest=/w/accesses-$2
	case $1 in
	tollgate*)
		# shellcheck disable=SC2086 # an option, or none
		tollgate run ${1#tollgate} --stats=json:/tmp/stats --flat 0x10000,real "$guest"
		;;
	ranges) ranges_run 1000 --stats=json:/tmp/stats --flat 0x10000,real "$guest" ;;
	bare*)
		# shellcheck disable=SC2046 # options
		bare_exits $(echo "${1#bare}" | tr ',=' '  ') "$guest" "${2#*-}"
		;;
	esac </dev/null
}

for access in write-0x600 write-0x10 read-0x3fd; do
	mkdir "/results/$access"
	for way; do
		run "$way" $access >"/results/$access/$way" 2>/tmp/log || {
			echo "$access $way: status $?"
			cat "/results/$access/$way" /tmp/log
			exit 1
		}
	done
done

[ -e /w/guest.cpio ] || exit 0
cat /boot/vmlinux-cloud >/dev/null
dd if=/dev/zero of=/tmp/image bs=1M count=8 2>/dev/null
boot_clock @@INIT /w/tollgate run --mem 256M --append 'quiet cryptomgr.notests' --initrd /w/guest.cpio \
	--disk /tmp/image /boot/vmlinux-cloud </dev/null >/results/boot 2>/tmp/log
tr -d '\r' </tmp/log | grep '^@@ ' >/results/loads
[ "$(grep -c '^@@ [^ ]* [0-9]* [0-9]' /results/loads)" = 5 ] || {
	echo 'the guest did not get to its end'
	cat /tmp/log
	exit 1
}
