# Sourced by the benchmarks: what a build must have made, QEMU's microvm to compare with, medians.
# shellcheck shell=bash

# need_built NAME PROGRAM...: ends the benchmark NAME unless all are there, which a build makes.
need_built() {
	local name=$1 program
	shift
	for program; do
		[ -x "$program" ] && continue
		echo "$name: build first: meson setup build/release && ninja -C build/release" >&2
		exit 2
	done
}

# make_marked_initrd DIR: DIR/guest.cpio, whose /init prints "@@INIT" and resets the machine.
make_marked_initrd() {
	printf '#!/bin/busybox sh\necho @@INIT\n/bin/busybox reboot -f\n' >"$1/init"
	chmod +x "$1/init"
	"${BASH_SOURCE[0]%/*}/../tests/linux/mkinitrd" "$1/guest.cpio" "$1/init"
}

# microvm_files DIR: $microvm_files are testbed's options for the program and for its firmware as /w/firmware,
# which is gathered in DIR from where the packages have it.
microvm_files() {
	local file place
	mkdir "$1"
	for file in bios-microvm.bin pvh.bin linuxboot_dma.bin kvmvapic.bin; do
		for place in /usr/share/qemu /usr/share/seabios /usr/share/qboot; do
			[ ! -e "$place/$file" ] || cp -L "$place/$file" "$1/"
		done
	done
	# shellcheck disable=SC2034 # the benchmark's
	microvm_files=(--file "$1:/w/firmware"
		--file /usr/bin/qemu-system-x86_64-microvm:/usr/bin/qemu-system-x86_64-microvm)
}

# median_per_exit FILE: of what bench/accesses.S printed among other output, the middle chunk's ticks per access. L1's
# timer interrupts some chunks.
median_per_exit() {
	local chunk chunks=() accesses=64 # of a chunk
	while read -r chunk; do chunks+=($((16#${chunk%$'\r'}))); done < <(grep -x '[0-9a-f]\{8\}.\?' "$1")
	mapfile -t chunks < <(printf '%s\n' "${chunks[@]}" | sort -n)
	echo $((chunks[${#chunks[@]} / 2] / accesses))
}

# For awk: median("3 1 2") is 2; of an even number of them the lower one in the middle.
# shellcheck disable=SC2034 # the benchmark's
awk_median='
	function median(list, n,  i, j, t, a) {
		n = split(list, a, " ")
		for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) {
			t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
		}
		return a[int((n + 1) / 2)]
	}'
