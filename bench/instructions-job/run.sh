#!/bin/sh
# The job of bench/instructions, next to the KVM: run.sh WAY... Each guest runs in each way, and prints its chunks to
# /results/GUEST/WAY. A way is tollgate, ranges, or bare with options: "bare--zones=4,--pit".
set -u
[ "$TESTBED" = host ] || dmesg -n 1
cat /w/* >/dev/null # waiting for the disk counts

# run WAY ACCESS
run() {
	guest=/w/accesses-$2
	case $1 in
	tollgate) tollgate run --stats=json:/tmp/stats --flat 0x10000,real "$guest" ;;
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
