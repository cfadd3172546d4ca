#!/bin/sh
# The job of bench/linux-exits, next to the KVM: run.sh CONSOLE/WAY... Boots each; the statistics go to
# /results/CONSOLE/WAY.
set -u
[ "$TESTBED" = host ] || dmesg -n 1
mkdir /results/verbose /results/quiet

for boot; do
	words='' options=''
	case $boot in quiet/*) words=quiet ;; esac
	case $boot in
	*/every_access) options='--exits reads,writes' ;;
	*/collected) options='--exits reads' ;;
	*/looks_for_PCI) words="$words pci=conf1" ;;
	*/looks_for_4_ports) words="$words 8250.nr_uarts=4" ;;
	*/looks_for_i8042) words="$words i8042.nopnp=1" ;;
	esac
	# shellcheck disable=SC2086 # options
	tollgate run --mem 256M --timeout 600 $options --stats="json:/results/$boot" --append "$words" \
		--initrd guest.cpio /boot/vmlinuz-cloud </dev/null >"/results/$boot.console" 2>/results/log || {
		echo "$boot: status $?"
		cat "/results/$boot.console" /results/log
		exit 1
	}
done
