#!/bin/sh
# The job of share-check, next to the KVM: run.sh KERNEL RELEASE [CASE...].
# shellcheck disable=SC2016,SC2317 # the guest's shell expands; cases are called by name
set -u
kernel=$1 modules=/lib/modules/$2
shift 2
failed=0

fail() {
	echo "    $*"
	case_failed=1
}

# run STATUS ARGUMENT...: the status that the command must end with. Its outputs are $out and $err.
run() {
	want=$1
	shift
	out=/results/$kernel-$name.out err=/results/$kernel-$name.err
	tollgate run --quick --mem 384M --timeout 1200 --modules "$modules" "$@" "/boot/vmlinuz-$kernel" >"$out" 2>"$err"
	got=$?
	[ "$got" = "$want" ] || {
		fail "status $got instead of $want"
		cat "$out" "$err"
	}
}

# same WHAT GOT WANTED
same() {
	[ "$2" = "$3" ] || fail "$1: '$2' instead of '$3'"
}

# A line per file: name, type and mode, size, links, owner, time, and the content's sum or the link's target.
list='cd "$dir" && find . | sort | while read -r f; do
	stat -c "%n %f %h %u:%g %Y" "$f"
	if [ -L "$f" ]; then readlink "$f"; elif [ -f "$f" ]; then sha256sum "$f"; stat -c %s "$f"; fi
done'

# Each operation, random ones, and what became of them on the host.
case_files() {
	mkdir -p /tmp/files
	run 0 --share /tmp/files,tag=files --copy /w/ops:/bin/ops --run '
		ops /mnt/files && for seed in 1 2 3; do
			mkdir /mnt/files/$seed && ops /mnt/files/$seed random $seed 700 || exit 1
		done
		cp -a /bin /mnt/files/bin && touch -d "2001-02-03 04:05:06" /mnt/files/bin/busybox
		(cd /mnt/files && tar cf - bin | (mkdir untarred && cd untarred && tar xf -))
		sync
		dir=/mnt/files; '"$list"' >/mnt/files.list
		cat /mnt/files.list'
	grep FAIL "$out" && fail 'operations failed'
	grep -v ' failures$' "$out" >/tmp/guest
	(cd /tmp && dir=files sh -c "$list") >/tmp/host
	[ "$(wc -l </tmp/host)" -gt 100 ] || fail 'there is little to compare'
	cmp /tmp/guest /tmp/host || {
		fail 'guest and host do not see the same files'
		diff /tmp/guest /tmp/host | head -20
	}
}

case_read_only() {
	mkdir -p /tmp/ro/dir
	echo content >/tmp/ro/file
	run 0 --share /tmp/ro,ro --copy /w/ops:/bin/ops --run '
		grep -q "^share0 /mnt/share0 virtiofs ro,nodev" /proc/mounts && mount -o remount,rw /mnt/share0 &&
		ops /mnt/share0 ro && cat /mnt/share0/file'
	same 'content' "$(tail -n 1 "$out")" content
	same 'the directory' "$(ls /tmp/ro)" "$(printf 'dir\nfile')"
}

# The host changes files that the guest has in its cache. Each waits for the other by a file.
case_the_host_changes_files() {
	mkdir -p /tmp/both/dir
	echo old >/tmp/both/file
	echo old >/tmp/both/dir/moved
	(
		for _ in $(seq 3000); do
			[ ! -e /tmp/both/ready ] || break
			sleep 0.1
		done
		echo newer >/tmp/both/file
		mv /tmp/both/dir /tmp/both/dir2
		rm /tmp/both/ready
	) &
	run 0 --share /tmp/both,tag=both --run '
		cd /mnt/both/dir && cat ../file moved && touch ../ready
		while [ -e ../ready ]; do sleep 0.1; done
		sleep 1.1
		cat /mnt/both/file /mnt/both/dir2/moved; [ -e /mnt/both/dir ]; echo $?; cat moved'
	wait
	same 'files' "$(tr '\n' ' ' <"$out")" 'old old newer old 1 old '
}

# The driver gives the device up and takes it back; the machine has two CPUs.
case_mounted_again() {
	mkdir -p /tmp/again
	echo data >/tmp/again/file
	run 0 --cpus 2 --share /tmp/again,tag=again --run '
		for i in 1 2 3; do
			cat /mnt/again/file && umount /mnt/again || exit 1
			cd /sys/bus/virtio/drivers/virtiofs && for d in virtio*; do
				echo $d >unbind && echo $d >bind || exit 1
			done
			cd / && mount -t virtiofs again /mnt/again || exit 1
		done
		dd if=/dev/zero of=/mnt/again/a bs=1M count=16 2>/dev/null &
		dd if=/dev/zero of=/mnt/again/b bs=4k count=4096 2>/dev/null &
		wait; sha256sum /mnt/again/a | cut -c 1-8; sha256sum /mnt/again/b | cut -c 1-8'
	same 'content' "$(sort -u "$out" | tr '\n' ' ')" "$(head -c 16777216 /dev/zero | sha256sum | cut -c 1-8) data "
}

[ $# != 0 ] || set -- files read_only the_host_changes_files mounted_again
for name; do
	case_failed=
	"case_$name"
	echo "${case_failed:+not }ok: $name"
	[ -z "$case_failed" ] || failed=1
done
exit $failed
