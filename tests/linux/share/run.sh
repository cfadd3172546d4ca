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

# The host's file system has no room for more bytes, and then for no more files. Each program learns it at once, and what
# was there before is whole.
case_full() {
	mkdir -p /tmp/full
	mount -t tmpfs -o size=4M,nr_inodes=40 none /tmp/full || fail 'no file system to fill'
	run 0 --share /tmp/full,tag=full --run '
		cd /mnt/full && dd if=/dev/urandom of=first bs=64k count=8 2>/dev/null && sha256sum first >/first.sum
		dd if=/dev/zero of=big bs=64k count=200 2>&1 >/dev/null | sed -n "s/.*: //p"
		[ "$(stat -c %s big)" -gt 3000000 ] && [ "$(stat -c %s big)" -lt 4194304 ]; echo "big $?"
		sha256sum -c /first.sum
		rm big && echo again >after && cat after
		i=0; while [ $i -lt 100 ] && (: >many$i) 2>/dev/null; do i=$((i + 1)); done
		[ $i -gt 20 ] && [ $i -lt 40 ]; echo "files $?"
		mkdir dir 2>&1 | sed "s/.*: //"; ln -s target link 2>&1 | sed "s/.*: //"
		rm many* && mkdir dir && sha256sum -c /first.sum'
	same 'outcomes' "$(tr '\n' ';' <"$out")" 'No space left on device;big 0;first: OK;again;files 0;No space left on device;No space left on device;first: OK;'
	umount /tmp/full
}

# Each sleeping process has a file open, until Tollgate may open no more. They end, and files open again.
case_no_descriptors() {
	mkdir -p /tmp/fds
	for i in $(seq 200); do echo "$i" >"/tmp/fds/$i"; done
	(
		# shellcheck disable=SC3045 # busybox has it
		ulimit -n 160
		run 0 --share /tmp/fds,tag=fds --run '
			cd /mnt/fds && echo -n >/err
			i=1; while [ $i -le 200 ]; do
				{ sleep 10000 <$i & } 2>>/err
				i=$((i + 1))
			done
			while [ "$(pidof sleep | wc -w)" -lt 20 ]; do sleep 0.1; done
			n=0; until (: <200) 2>/refused || [ $n = 50 ]; do n=$((n + 1)); sleep 0.1; done
			sed "s/.*: //" /refused | sort -u
			kill $(pidof sleep); wait
			i=1; while [ $i -le 200 ] && [ "$(cat $i)" = $i ]; do i=$((i + 1)); done
			echo "read $((i - 1))"'
		[ -z "$case_failed" ]
	) || case_failed=1
	same 'outcomes' "$(tr '\n' ';' <"/results/$kernel-$name.out")" 'Too many open files in system;read 200;'
}

# SIGKILL of Tollgate at any time: files that the guest had synced have their content, by sums that it wrote afterwards.
case_killed() {
	for round in 1 2 3; do
		rm -rf /tmp/killed && mkdir /tmp/killed
		tollgate run --quick --mem 384M --timeout 600 --modules "$modules" --share /tmp/killed,tag=killed --run '
			cd /mnt/killed; i=0; while :; do
				dd if=/dev/urandom of=new bs=4k count=$((i % 40 + 1)) conv=fsync 2>/dev/null
				mv new $i && sha256sum $i >>sums && i=$((i + 1))
			done' "/boot/vmlinuz-$kernel" >"/results/$kernel-$name.$round" 2>&1 &
		pid=$!
		for _ in $(seq 3000); do
			[ ! -s /tmp/killed/sums ] || [ "$(wc -l </tmp/killed/sums)" -lt $((round * 20)) ] || break
			sleep 0.1
		done
		kill -9 "$pid"
		wait "$pid"
		same 'status' $? 137
		grep -c '^................................................................  [0-9]*$' /tmp/killed/sums >/tmp/lines
		[ "$(cat /tmp/lines)" -ge $((round * 20)) ] || fail 'there is little to compare'
		(cd /tmp/killed && head -n "$(cat /tmp/lines)" sums | sha256sum -c) >/tmp/checked || fail "$(grep -v OK /tmp/checked)"
	done
}

[ $# != 0 ] || set -- files read_only the_host_changes_files mounted_again full no_descriptors killed
for name; do
	case_failed=
	"case_$name"
	echo "${case_failed:+not }ok: $name"
	[ -z "$case_failed" ] || failed=1
done
exit $failed
