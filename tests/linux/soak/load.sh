#!/bin/busybox sh
# shellcheck shell=dash # the nearest it knows to busybox
# The guest's side of soak-check: each load in a loop until /tmp/end is there. A result that is wrong ends it.
set -u

# fails WHICH HOW
fails() {
	echo "$1: round $n: $2"
	touch /tmp/end /tmp/failed
	exit 1
}

# The device, and not the page cache, has the bytes that were written.
load_disk() {
	at=$((n % 48))
	head -c 1048576 /dev/urandom >/tmp/disk
	dd if=/tmp/disk of=/dev/vda bs=1M seek=$at conv=fsync 2>/dev/null || fails disk 'cannot write'
	blockdev --flushbufs /dev/vda
	dd if=/dev/vda bs=1M skip=$at count=1 2>/dev/null | cmp -s - /tmp/disk || fails disk 'other bytes'
}

# tree DIR: a directory is copied, renamed, compared and removed.
tree() {
	{ mkdir "$1/from" && cp /bin/busybox /bin/load "$1/from/" && mv "$1/from" "$1/to" && sync; } ||
		fails "$1" 'cannot copy'
	echo 3 >/proc/sys/vm/drop_caches
	{ cmp -s /bin/busybox "$1/to/busybox" && cmp -s /bin/load "$1/to/load"; } || fails "$1" 'other bytes'
	rm -r "$1/to" || fails "$1" 'cannot remove'
}

load_files() {
	tree /fs
}

load_share() {
	tree /mnt/share0
}

load_net() {
	sum=$(wget -q -O - http://10.0.2.2:8000/payload | sha256sum)
	[ "$sum" = "$(cat /sum)" ] || fails net "$sum"
}

load_console() {
	echo "console line $n" >/dev/console
	usleep 200000
}

load() {
	n=0
	until [ -e /tmp/end ]; do
		"load_$1"
		n=$((n + 1))
	done
	echo "$1: $n rounds"
}

mkdir /fs && mount /dev/vdb /fs || exit 1
for which in disk files share net console; do
	load $which &
done
wait
umount /fs && [ ! -e /tmp/failed ]
