#!/bin/sh
# The job of bench/linux-exits, beside the KVM: run.sh WAY... Boots verbose and quiet each WAY; the
# statistics go to /results/CONSOLE-WAY.
set -u
[ "$TESTBED" = host ] || dmesg -n 1

for console in verbose quiet; do
	words=''
	[ $console = verbose ] || words=quiet
	for way; do
		case $way in
		every_access) options='--no-shadow --no-coalesce' ;;
		collected) options=--no-shadow ;;
		*) options='' ;;
		esac
		# shellcheck disable=SC2086 # options
		tollgate run --mem 256M --timeout 120 $options --stats="json:/results/$console-$way" \
			--append "$words" --initrd guest.cpio /boot/vmlinuz-cloud </dev/null >/results/log 2>&1 || {
			echo "$console, $way: status $?"
			cat /results/log
			exit 1
		}
	done
done
