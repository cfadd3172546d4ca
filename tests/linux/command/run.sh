#!/bin/sh
# The job of command-check, next to the KVM: run.sh KERNEL RELEASE [CASE...].
# shellcheck disable=SC2016 # what the guest's shell is to expand
set -u
kernel=$1 modules=/lib/modules/$2 image=vmlinuz
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
	tollgate run --quick --mem 512M --timeout 600 "$@" "/boot/$image-$kernel" >"$out" 2>"$err"
	got=$?
	[ "$got" = "$want" ] || fail "status $got instead of $want"
}

# same WHAT GOT WANTED
same() {
	[ "$2" = "$3" ] || fail "$1: '$2' instead of '$3'"
}

# A terminal's lines, as the console's are, end with CR LF.
says() {
	tr -d '\r' <"$1" | grep -qxF -- "$2" || fail "no line '$2' in $1"
}

# A command's surroundings and its results: files, modules, both outputs, its status.
case_everything() {
	run 7 --env "VAR=a b" --env TERM=dumb --modules auto --module loop --overlay overlay --copy payload:/data/payload --run '
		sha256sum </data/payload
		cat /etc/link /tmp/file
		hostname
		readlink /proc/self/fd/0
		echo "$VAR, $TERM"
		echo "root at $HOME, $(cat /proc/1/comm) is 1, $(ls /dev/fd/0), $(stat -c %a /dev/shm)"
		ip link show lo | grep -o LOOPBACK,UP
		lsmod | sed 1d | cut -d" " -f1 | grep -E "^(virtio|loop)" | sort | tr "\n" " "
		echo words for stderr >&2
		exit 7'
	cat >/tmp/wanted <<-EOT
		$(sha256sum <payload)
		from an overlay
		still there
		tollgate
		/dev/null
		a b, dumb
		root at /root, init is 1, /dev/fd/0, 1777
		LOOPBACK,UP
	EOT
	head -n 8 "$out" >/tmp/got
	cmp -s /tmp/got /tmp/wanted || fail "stdout: $(cat "$out")"
	for module in virtio virtio_ring virtio_mmio virtio_blk virtio_net loop; do
		grep -q "/$module\.ko$" "$modules/modules.builtin" && continue
		tail -n 1 "$out" | grep -qw "$module" || fail "module $module is not loaded"
	done
	says "$err" 'words for stderr'
	says "$err" 'tollgate: exit code 7 (exit port), exit status 7'
	! grep -q 'words for' "$out" || fail 'stderr in stdout'
	! grep -q 'Linux version' "$err" || fail 'the console is not quiet'
}

case_success() {
	run 0 --run true
	same stdout "$(cat "$out")" ''
	says "$err" 'tollgate: exit code 0 (exit port), exit status 0'
}

# The accesses to an entropy device that were exits, while so many bytes were read from it.
rng_exits() {
	run 0 --rng --stats --modules "$modules" --module virtio-rng --run "head -c $1 /dev/hwrng | wc -c"
	same 'bytes of /dev/hwrng' "$(cat "$out")" "$1"
	sed -n 's/^ *0x[0-9a-f]*-0x[0-9a-f]* *rng0 *//p' "$err"
}

# Debian's own driver: random bytes, for which nothing exits; and it is bound and unbound. The kernel's own thread has to
# sleep before that: else hwrng_unregister() may use it after it was freed, in kernels without the commit "hwrng: core -
# use RCU and work_struct to fix race condition". The shell died of that once in 36 runs.
case_rng() {
	run 0 --rng --modules "$modules" --module virtio-rng --run '
		cat /sys/class/misc/hw_random/rng_current
		head -c 65536 /dev/hwrng >/tmp/a
		cd /sys/bus/virtio/drivers/virtio_rng
		for i in $(seq 1 20); do
			until grep -qs "^State:.S" $(grep -ls "^hwrng$" /proc/[0-9]*/comm | sed s/comm/status/); do :; done
			echo virtio0 >unbind && echo virtio0 >bind || exit 1
		done
		head -c 65536 /dev/hwrng >/tmp/b
		cat /tmp/a /tmp/b | wc -c
		gzip </tmp/a | wc -c
		cmp -s /tmp/a /tmp/b || echo different'
	same 'the source' "$(sed -n 1p "$out")" virtio_rng.0
	same 'bytes' "$(sed -n 2p "$out")" 131072
	[ "$(sed -n 3p "$out")" -gt 65536 ] || fail 'random bytes that can be compressed'
	same 'the last line' "$(sed -n 4p "$out")" different
	few=$(rng_exits 65536)
	many=$(rng_exits 262144)
	[ -n "$few" ] || fail "no exits of rng0 in $err"
	same 'exits for four times the bytes' "$many" "$few"
}

# Both at once, more than any buffer holds.
case_output() {
	run 0 --copy payload:/payload --run '
		seq 1 100000 >&2 &
		for i in 1 2 3 4 5 6 7 8 9 10 11; do cat /payload; done
		wait'
	same 'bytes of stdout' "$(wc -c <"$out")" 11000011
	yes payload | head -n 11 | xargs cat >/tmp/wanted
	cmp -s "$out" /tmp/wanted || fail 'stdout differs'
	same stderr "$(grep -xE '[0-9]+' "$err" | sha256sum)" "$(seq 1 100000 | sha256sum)"
}

case_killed_by_a_signal() {
	run 137 --run 'echo before; kill -9 $$'
	same stdout "$(cat "$out")" before
}

# Processes that it leaves running hold up nothing, even with the outputs open; its verbose console is on stderr.
case_left_behind() {
	run 3 --append loglevel=7 --run 'sleep 1000 & (setsid sleep 1000 &); echo said; exit 3'
	same stdout "$(cat "$out")" said
	grep -q 'Linux version' "$err" || fail 'no console on stderr'
}

case_not_found() {
	run 127 --busybox=none --run 'nonexistent program'
	says "$err" "tollgate-init: cannot execute 'nonexistent program': No such file or directory"
	says "$err" 'tollgate-init: there is no shell; --busybox, --overlay and --copy bring programs'
}

# Its root directory is a disk's, which it may write to.
case_root_directory_of_a_disk() {
	cp root.img /tmp/written.img
	run 5 --modules "$modules" --rootfs /tmp/written.img --run '
		/bin/busybox cat /marker
		/bin/busybox awk "\$2 == \"/\" { print \$1, \$3 }" /proc/mounts
		echo written >/new
		exit 5'
	same stdout "$(cat "$out")" "$(printf 'on the disk\n/dev/vda ext4')"
	run 0 --modules "$modules" --rootfs /tmp/written.img,ro --run '
		/bin/busybox cat /new
		echo again 2>/dev/null >/new || echo read-only'
	same stdout "$(cat "$out")" "$(printf 'written\nread-only')"
	rm /tmp/written.img
}

case_init_of_a_disk() {
	run 0 --modules "$modules" --disk root.img,cow --root /dev/vda
	tr -d '\r' <"$out" | grep -qx 'its own init, on the disk, 1' || fail 'its own init does not run'
	says "$err" 'tollgate: power off (ACPI S5), exit status 0'
}

case_no_disk() {
	run 125 --root /dev/vda --run true
	says "$err" 'tollgate-init: no disk /dev/vda: does the kernel have its driver (--modules)?'
}

# By DHCP, which these kernels cannot do themselves.
case_network() {
	image=vmlinux # has its version elsewhere
	run 0 --modules auto --net user --run '
		ip -4 -o addr show dev eth0 | grep -o "inet [0-9./]*"
		ip route | grep default
		cat /etc/resolv.conf'
	cat >/tmp/wanted <<-EOT
		inet 10.0.2.15/24
		default via 10.0.2.2 dev eth0
		nameserver 10.0.2.3
	EOT
	sed 's/ *$//' "$out" | cmp -s - /tmp/wanted || fail "stdout: $(cat "$out")"
}

# QEMU's test device makes KVM forget how it maps a page. So each of 1,000 accesses faults anew. This host's KVM may be
# one that counts no faults, so the case is here.
case_page_mapped_anew() {
	out=/results/$kernel-$name.out err=/results/$kernel-$name.err
	# mov $1000, %cx; 1: movb $'m', 0x1000; mov $0x1000, %eax; out %eax, $0xe4; loop 1b; xor %al, %al; out %al, $0xf4
	printf '\271\350\003\306\006\000\020\155\146\270\000\020\000\000\146\347\344\342\360\060\300\346\364' >/tmp/flat
	tollgate run --flat 0x7c00,real --test-device pc --timeout 600 --stats /tmp/flat >"$out" 2>"$err" || fail "status $?"
	faults=$(awk '$1 == "pf_fixed" { print $2 }' "$err")
	[ "${faults:-0}" -ge 1000 ] || fail "${faults:-no} page faults"
}

# Without a shell, words are split here.
case_without_a_shell() {
	run 0 --busybox=none --copy /bin/busybox:/busybox --run '/busybox echo  two   words'
	same stdout "$(cat "$out")" 'two words'
}

case_not_executable() {
	run 126 --busybox=none --copy payload:/payload --run /payload
	says "$err" "tollgate-init: cannot execute '/payload': Permission denied"
}

# in_root ARGUMENT... -- COMMAND...: a command in the root directory of the testbed, from a directory of its own.
in_root() {
	(
		mkdir -p /tmp/host-root && cd /tmp/host-root || exit 99
		exec tollgate run --root-of-host --quick --mem 512M --timeout 600 "/boot/$image-$kernel" "$@"
	)
}

host_root() {
	out=/results/$kernel-$name.out err=/results/$kernel-$name.err
	in_root "$@" >"$out" 2>"$err"
	got=$?
}

case_host_root() {
	rm -rf /tmp/host-root
	mkdir -p /tmp/host-root/rw
	echo 'of the host' >/tmp/host-root/file
	printf 'a line\nand \020 E half' >/tmp/input
	VAR=unknown LANG=C.test host_root --rw /tmp/host-root/rw -- sh -c '
		pwd; id -u; echo "$LANG, $VAR, $1"
		cat file; echo changed >file; cat file; rm file; ls
		echo kept >rw/new; mkdir rw/dir; mv rw/new rw/dir/moved
		od -An -c
		echo words for stderr >&2
		exit 9' zero 'an argument' </tmp/input
	same status "$got" 9
	cat >/tmp/wanted <<-EOT
		/tmp/host-root
		0
		C.test, , an argument
		of the host
		changed
		rw
	EOT
	od -An -c /tmp/input >>/tmp/wanted
	cmp -s "$out" /tmp/wanted || fail "stdout: $(cat "$out")"
	says "$err" 'words for stderr'
	same 'the file' "$(cat /tmp/host-root/file)" 'of the host'
	same 'what is written' "$(cat /tmp/host-root/rw/dir/moved)" kept
}

# More input than any buffer holds, and a command that does not read all of it.
case_host_root_input() {
	host_root -- sha256sum <payload
	same status "$got" 0
	same sum "$(cat "$out")" "$(sha256sum <payload)"
	host_root -- head -c 5 <payload
	same status "$got" 0
	same 'the beginning' "$(sha256sum <"$out")" "$(head -c 5 payload | sha256sum)"
	host_root -- nonexistent
	same status "$got" 127
	says "$err" "tollgate-init: cannot execute 'nonexistent': No such file or directory"
}

# SIGINT goes to the command, also when that reads no input; it says what becomes of it.
case_host_root_interrupt() {
	out=/results/$kernel-$name.out
	: >"$out"
	(
		until grep -q ready "$out"; do sleep 1; done
		kill -INT "$(pidof tollgate)"
	) 2>/dev/null &
	host_root -- sh -c 'trap "echo interrupted; exit 5" INT; echo ready; while :; do sleep 1; done' <payload
	same status "$got" 5
	same stdout "$(cat "$out")" "$(printf 'ready\ninterrupted')"
	wait
}

# Two VMs in a pipe, one of them with more devices: commands of docs/guide/from-virtme-ng.md.
case_host_root_pipe() {
	out=/results/$kernel-$name.out err=/results/$kernel-$name.err
	head -c 1048576 /dev/zero >/tmp/disk.img
	{
		echo begin | in_root --mem 384M --cpus 2 --net user --disk /tmp/disk.img -- \
			sh -c 'cat; nproc; cat /sys/block/vda/size; grep -c 10.0.2.3 /etc/resolv.conf' 2>"$err"
		echo $? >/tmp/first
	} | in_root --mem 384M -- sh -c 'cat && uname -r' >"$out" 2>"$err.2"
	same statuses "$? $(cat /tmp/first)" '0 0'
	same stdout "$(tr '\n' ' ' <"$out")" "begin 2 2048 1 $(basename "$modules") "
}

# Further commands of docs/guide/from-virtme-ng.md. Root is the user here, as with sudo.
case_host_root_home() {
	rm -rf /tmp/at-home
	mkdir -p /tmp/at-home/dir
	(
		HOME=/tmp/at-home
		export HOME
		host_root --rw "$HOME" -- sh -c 'echo written >"$HOME/dir/file"; echo changed >/tmp/outside; id -un'
		[ "$got" = 0 ]
	) || fail 'no status 0'
	same stdout "$(cat "/results/$kernel-$name.out")" "$(id -un)"
	same 'the file' "$(cat /tmp/at-home/dir/file)" written
	[ ! -e /tmp/outside ] || fail 'a file outside was written'
}

# is_core FILE WHAT: an ELF file, whose type is core.
is_core() {
	same "$2" "$(od -An -tx1 -N 4 "$1" | tr -d ' ')$(od -An -tx1 -j 16 -N 1 "$1" | tr -d ' ')" 7f454c4604
}

# A core of a panic; gdb's first question and a core, of a command that runs on.
case_host_root_core() {
	rm -f /tmp/core.* /tmp/control
	host_root --core /tmp/core.panic -- sh -c 'echo c >/proc/sysrq-trigger; sleep 100'
	same status "$got" 112
	is_core /tmp/core.panic 'core of a panic'
	out=/results/$kernel-$name.out
	: >"$out"
	(
		until grep -q ready "$out"; do sleep 1; done
		printf '$?#3f' | nc -w 5 127.0.0.1 1234 | head -c 5 >/tmp/gdb
		tollgate control /tmp/control core /tmp/core.running
		kill -INT "$(pidof tollgate)"
	) 2>/dev/null &
	host_root --gdb 1234 --control /tmp/control -- \
		sh -c 'trap "exit 5" INT; echo ready; while :; do sleep 1; done'
	wait
	same status "$got" 5
	same "gdb's answer" "$(cat /tmp/gdb)" '+$T05'
	is_core /tmp/core.running 'core of a command that runs'
}

case_chroot_of_a_share() {
	run 0 --modules auto --share / --run 'chroot /mnt/share0 /bin/sh -c "ls -d /w"'
	same stdout "$(cat "$out")" /w
}

# host_root_pipe, host_root_home, host_root_core and chroot_of_a_share: in the long run.
[ $# != 0 ] || set -- everything success output rng killed_by_a_signal left_behind not_found without_a_shell \
	not_executable root_directory_of_a_disk init_of_a_disk no_disk network page_mapped_anew host_root host_root_input \
	host_root_interrupt
for name; do
	case_failed=0 image=vmlinuz
	start=$(date +%s)
	"case_$name" </dev/null
	if [ "$case_failed" = 0 ]; then
		echo "PASS $kernel/$name: $(($(date +%s) - start)) s"
	else
		echo "FAIL $kernel/$name"
		head -c 2000 "$out"
		tail -n 40 "$err"
		failed=$((failed + 1))
	fi
done
echo "command $kernel: $failed cases failed"
[ "$failed" = 0 ]
