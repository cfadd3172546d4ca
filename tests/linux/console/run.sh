#!/bin/sh
# The job of console-check, next to the KVM: run.sh BYTES [CASE...]. hvc0 and the balloon with Debian's
# kernel and its own modules.
set -u
bytes=$1
shift
failed=0
here=/tmp/console
mkdir -p $here

fail() {
	echo "    $*"
	case_failed=1
}

# run CASE ARGUMENT...: Tollgate in the background as $pid, its standard output in $here/serial. $words are for
# the kernel.
run() {
	tgcase=$1
	shift
	rm -f $here/*
	mkfifo $here/keys
	exec 6<>$here/keys
	tollgate run --quick /boot/vmlinuz-cloud --initrd /w/guest.cpio --mem 512M --timeout 600 \
		--stats=json:$here/stats -p "quiet tgcase=$tgcase bytes=$bytes ${words:-}" "$@" \
		<$here/keys >$here/serial 2>$here/err &
	pid=$!
}

# Waits until the guest has printed that so often.
wait_told() {
	until n=$(grep -c "^tg: $1" $here/serial 2>/dev/null) && [ "$n" -ge "$2" ]; do
		kill -0 "$pid" 2>/dev/null || {
			fail "the guest ended before: $1"
			return 1
		}
		sleep 0.1
	done
}

told() {
	tr -d '\r' <$here/serial | sed -n "s/^tg: $1 //p" | sed -n "${2:-1}p"
}

sum() {
	sha256sum | cut -d' ' -f1
}

ends_well() {
	wait "$pid"
	status=$?
	[ $status = 0 ] || fail "exit status $status: $(head -n 1 $here/err)"
	grep -q '^tg: done' $here/serial || fail 'the guest was not through'
}

# same WHAT GOT WANTED
same() {
	[ "$2" = "$3" ] || fail "$1: $2, not $3"
}

rss_kib() {
	awk '/^Rss:/ { print $2 }' "/proc/$pid/smaps_rollup"
}

# Bytes each way through a socket, one after the other and at once, none lost.
case_transfer() {
	run transfer --virtio-console unix:$here/hvc
	head -c "$bytes" /dev/urandom >$here/host
	mkfifo $here/in
	talk unix:$here/hvc $((2 * bytes)) <$here/in >$here/got &
	talker=$!
	exec 7>$here/in
	wait_told receiving 1 && cat $here/host >&7
	wait_told receiving 2 && cat $here/host >&7
	ends_well
	exec 7>&-
	wait $talker || fail 'the console ended early'
	same 'bytes that came' "$(stat -c %s $here/got)" $((2 * bytes))
	same 'the guest sent' "$(head -c "$bytes" $here/got | sum)" "$(told sent)"
	same 'it sent again' "$(tail -c "$bytes" $here/got | sum)" "$(told sent)"
	same 'it received' "$(told got)" "$(sum <$here/host)"
	same 'it received again' "$(told both)" "$(sum <$here/host)"
}

# A window of another size on the host is one in the guest.
case_resize() {
	rm -f $here/*
	pty limit 500 expect 'tg: opened' resize 90x20 expect 'tg: size 20 90' resize 100x30 expect 'tg: size 30 100' -- \
		/w/tollgate run --quick /boot/vmlinuz-cloud --initrd /w/guest.cpio --mem 512M --timeout 600 \
		--console both -p 'quiet tgcase=resize' >$here/out 2>&1 || fail "status $?: $(tail -n 5 $here/out)"
}

# talks WHAT TTY CONSOLE: with --console WHAT, both on standard output, the kernel's console is CONSOLE, and
# who opens TTY is heard, and hears what is typed.
talks() {
	words="loglevel=7 tgtty=$2"
	run talk --console "$1"
	words=
	wait_told listening 1 && echo 'what is typed' >&6
	ends_well
	tr -d '\r' <$here/serial >$here/text
	same 'consoles' "$(told consoles)" "$3"
	for line in 'Linux version' 'guest: hello' 'guest: from the kernel' 'guest: back what is typed'; do
		grep -q "$line" $here/text || fail "not seen: $line"
	done
}

# Early messages come by the serial port, as the driver is a module.
case_virtio() {
	talks virtio console hvc0
}

case_both() {
	talks both hvc0 ttyS0
}

case_rebind() {
	run rebind --virtio-console unix:$here/hvc
	mkfifo $here/in
	talk unix:$here/hvc <$here/in >$here/got &
	talker=$!
	exec 7>$here/in
	for i in 0 1 2 3 4; do
		wait_told listening $((i + 1)) || break
		echo "line $i" >&7
	done
	ends_well
	exec 7>&-
	wait $talker
	same 'what came back' "$(tr '\n' ' ' <$here/got)" \
		'back: line 0 back: line 1 back: line 2 back: line 3 back: line 4 '
}

# Memory that the guest frees leaves the VMM.
case_reporting() {
	run reporting --balloon 0,stats=1
	wait_told freed 1 || return
	until [ "$(rss_kib)" -lt 131072 ]; do
		kill -0 "$pid" 2>/dev/null || {
			fail 'the memory never came back'
			return
		}
		sleep 0.5
	done
	echo "    RSS $(rss_kib) KiB after 128 MiB were used and freed"
	echo >&6
	ends_well
	reported=$(sed -n 's/.*"reported_bytes": *\([0-9]*\).*/\1/p' $here/stats)
	[ "${reported:-0}" -ge 134217728 ] || fail "only $reported bytes were reported"
	free=$(sed -n 's/.*"guest_free_bytes": *\([0-9]*\).*/\1/p' $here/stats)
	[ "${free:-0}" -gt 0 ] || fail 'the guest sent no statistics'
}

# A guest takes back memory that it needs out of the balloon.
case_oom() {
	run oom --balloon 256M
	ends_well
	[ "$(told left)" -lt 250 ] || fail "the guest had $(told left) MiB left"
	same 'memory used' "$(told used)" $((300 << 20))
	same 'processes killed' "$(told killed)" 0
	n=$(sed -n 's/.*"deflated_bytes": *\([0-9]*\).*/\1/p' $here/stats)
	echo "    $(told left) MiB left, $((${n:-0} >> 20)) MiB taken back for 300"
	# But for what else the kernel could free.
	[ "${n:-0}" -ge $(((284 - $(told left)) << 20)) ] || fail "only ${n:-no} bytes came out of the balloon"
}

case_balloon() {
	run balloon --balloon 128M
	wait_told empty 1 || return
	full=$(rss_kib)
	[ "$full" -ge 307200 ] || fail "RSS is $full KiB after the guest used 300 MiB"
	echo >&6
	wait_told inflated 1 || return
	now=$(rss_kib)
	[ $((full - now)) -ge 122880 ] || fail "RSS went from $full to $now KiB only"
	echo "    RSS $full KiB, $now KiB with 128 MiB in the balloon"
	echo >&6
	ends_well
	same 'memory used after deflating' "$(told used 4)" $((300 << 20))
	for counter in inflated_bytes deflated_bytes; do
		n=$(sed -n "s/.*\"$counter\": *\([0-9]*\).*/\1/p" $here/stats)
		[ "${n:-0}" -ge $((3 * 134217728)) ] || fail "$counter: $n"
	done
	same 'bad pages' "$(sed -n 's/.*"bad_pages": *\([0-9]*\).*/\1/p' $here/stats)" 0
}

control() {
	tollgate control $here/ctl "$@" || fail "control $*"
}

# Until the driver says that the balloon has so many bytes: when the last page is acknowledged.
wait_actual() {
	until [ "$(tollgate control $here/ctl balloon | tail -n 1)" = "actual_bytes $1" ]; do
		kill -0 "$pid" 2>/dev/null || {
			fail "the balloon never had $1 bytes"
			return 1
		}
		sleep 0.1
	done
}

# The guest's free memory leaves the VMM at any time after it has loaded the driver, so that RSS proves nothing.
case_retarget() {
	run retarget --balloon 0 --control $here/ctl
	wait_told bound 1 || return
	for i in 1 2; do
		full=$(rss_kib)
		control balloon 128M
		wait_told inflated $i && wait_actual $((128 << 20)) || return
		echo "    RSS $full KiB, $(rss_kib) KiB with a target of 128 MiB"
		control balloon 0
		wait_told deflated $i || return
	done
	ends_well
	for counter in inflated_bytes deflated_bytes; do
		n=$(sed -n "s/.*\"$counter\": *\([0-9]*\).*/\1/p" $here/stats)
		[ "${n:-0}" -ge $((2 * 134217728)) ] || fail "$counter: $n"
	done
}

# now_cs: hundredths of a second of a clock that nobody sets.
now_cs() {
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}"
}

# Answers the guest, which then shows its clocks a second time.
shows_clocks() {
	wait_told ready "$1" && echo >&6 && wait_told looked "$1"
}

wait_said() {
	until grep -q "$1" $here/serial; do
		kill -0 "$pid" 2>/dev/null || {
			fail "the guest ended before: $1"
			return 1
		}
		sleep 0.1
	done
}

# For longer than it takes Linux to call a CPU locked up (20 s): its clocks do not move, and no watchdog barks.
case_debug() {
	run debug --control $here/ctl
	since=$(now_cs)
	shows_clocks 1 && wait_told ready 2 || return
	control pause
	paused=$(now_cs)
	sleep 25
	paused=$(($(now_cs) - paused))
	control resume
	shows_clocks 2 || return
	ran=$(($(now_cs) - since - paused))
	first=$(told uptime 1) second=$(told uptime 2)
	uptime=$((${second%.*}${second#*.} - ${first%.*}${first#*.}))
	[ $uptime -le $((ran + 2)) ] || fail "its uptime went on by $uptime cs, of $ran in which it was not paused"
	seconds=$(($(told date 2) - $(told date 1)))
	[ $((seconds * 100)) -le $((ran + 100)) ] || fail "its date went on by $seconds s, of $ran cs"
	# A host that is busy can make Linux complain as it boots.
	same 'complaints' "$(told 'complaint 2' '1,$')" "$(told 'complaint 1' '1,$')"
	wait_told listening 1 || return
	control stack >/dev/null
	control regs 0 | grep -q 'long mode' || fail 'no registers'
	control sysrq h
	wait_said 'sysrq: HELP' || return
	control nmi
	wait_said 'NMI received for unknown reason' || return
	control sysrq c
	wait "$pid"
	same 'exit status' "$?" 112
	grep -q "panic (the kernel's console), exit status 112" $here/err || fail "$(head -n 1 $here/err)"
}

# Debian's kernel, two CPUs and a driver start again: by the guest, and by the host.
case_reset() {
	run reset --reboot --cpus 2 --balloon 64M --control $here/ctl
	wait_told running 1 || return
	echo reset >&6
	wait_told running 2 || return
	control reset
	wait_told running 3 || return
	echo >&6
	ends_well
	same 'resets' "$(sed -n 's/.*"resets": *\([0-9]*\).*/\1/p' $here/stats)" 2
}

# packet CONTENT: to the stub, as gdb's remote protocol has it.
packet() {
	sum=$(printf %s "$1" | od -An -v -tu1 | awk '{ for (i = 1; i <= NF; i++) n += $i } END { print n % 256 }')
	printf '$%s#%02x' "$1" "$sum" >&7
}

# answers PACKET TEXT: the stub's next reply holds that.
answers() {
	replies=$(tr -cd '#' <$here/got | wc -c)
	packet "$1"
	tries=0
	until [ "$(tr -cd '#' <$here/got | wc -c)" -gt "$replies" ]; do
		tries=$((tries + 1))
		if [ $tries = 600 ] || ! kill -0 "$pid" 2>/dev/null; then # a hang: each is there at once
			fail "no answer to $1"
			kill "$pid" 2>/dev/null
			return 1
		fi
		sleep 0.1
	done
	case $(tr '#' '\n' <$here/got | sed -n "$((replies + 1))p") in
	*"$2"*) ;;
	*) fail "the answer to $1: $(tail -c 100 $here/got), not $2" ;;
	esac
}

connect() {
	mkfifo $here/in
	talk unix:$here/gdb <$here/in >$here/got &
	talker=$!
	exec 7>$here/in
}

# The little-endian digits of an address of three bytes.
le() {
	printf %s "$1" | sed 's/\(..\)\(..\)\(..\)/\3\2\1/'
}

# Steps where KVM does not emulate the guest, and Debian's kernel with a debugger that stops it and lets it go. QEMU's
# SVM intercepts no INT3, and does not act upon a guest's DR7, so breakpoints and watchpoints cannot be tried here.
# shellcheck disable=SC1091,SC2154 # console-check made the file, which has the addresses
case_gdb() {
	. /w/counter.sh
	rm -f $here/*
	tollgate run --timeout 600 --flat 0x100000 --gdb unix:$here/gdb,wait /w/counter >$here/serial 2>$here/err &
	pid=$!
	connect
	answers "m$total,8" 0000000000000000 && answers s T05thread:1 && answers s T05thread:1 &&
		answers p10 "$(le "$again")" && answers s T05thread:1 && answers s T05thread:1 &&
		answers vCont\;s:1 T05thread:1 && answers p10 "$(le "$stop")" && answers s T05thread:1 &&
		answers p10 "$(le "$stored")" && answers "m$total,8" 0100000000000000 || return
	packet k
	wait "$pid"
	same 'exit status' "$?" 116
	exec 7>&-
	wait $talker
	rm -f $here/in
	run true --gdb unix:$here/gdb,wait --cpus 2
	connect
	packet c
	for _ in 1 2 3 4 5 6 7 8; do
		sleep 0.3
		printf '\003' >&7
		packet c
	done
	ends_well
	exec 7>&-
	wait $talker
	grep -q 'T02thread:' $here/got || fail 'it was never stopped'
}

[ $# != 0 ] || set -- transfer resize virtio both rebind reporting balloon oom retarget debug reset gdb
for name; do
	case_failed=
	pid=
	"case_$name"
	if [ -n "$case_failed" ]; then
		[ -z "$pid" ] || kill "$pid" 2>/dev/null
		wait
		echo "FAIL $name"
		tail -n 20 $here/serial $here/err 2>/dev/null | sed 's/^/    /'
		failed=$((failed + 1))
	else
		echo "PASS $name"
	fi
done
[ $failed = 0 ]
