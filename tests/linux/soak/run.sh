#!/bin/sh
# The job of soak-check, next to the KVM: run.sh SECONDS.
# shellcheck disable=SC2016 # what the guest's shell is to expand
set -u
seconds=$1 v=/tmp/v ctl=/tmp/ctl
grown_kib=2048 # what the VMM's own memory may grow by

fail() {
	echo "FAIL $*"
	tail -n 20 /tmp/guest.out /tmp/guest.err
	tollgate control $ctl stop
	exit 1
}

# same WHAT GOT WANTED
same() {
	[ "$2" = "$3" ] || fail "$1: '$2' instead of '$3'"
}

# The VMM's memory without the guest's, in KiB; its threads; its descriptors.
look() {
	own_kib=$(awk '/^Size:/ { size = $2 } /^Rss:/ && size < 400 * 1024 { kib += $2 } END { print kib }' /proc/$vmm/smaps)
	threads=$(find /proc/$vmm/task -mindepth 1 -maxdepth 1 | wc -l)
	files=$(find /proc/$vmm/fd -type l | wc -l)
	echo "after $(($(date +%s) - start)) s, $n rounds: $own_kib KiB, $threads threads, $files descriptors"
}

control() {
	tollgate control $ctl "$@" >/tmp/reply || fail "control $*"
}

# Commands and copies.
commands() {
	got=$(echo "input $n" | tollgate exec $v -- sh -c 'cat; exit 3')
	same 'status of exec' $? 3
	same 'output of exec' "$got" "input $n"
	tollgate cp payload $v:/tmp/payload || fail 'cp into the guest'
	tollgate cp $v:/tmp/payload /tmp/back || fail 'cp out of the guest'
	cmp -s payload /tmp/back || fail 'cp changed a file'
}

# The actions of a user on a running VM.
controls() {
	control balloon $((n % 3 * 32))M
	control pause
	control regs
	control stack
	control resume
	control stats
	control link net0 down
	control link net0 up
	control hostfwd add tcp:127.0.0.1:8080-:80
	control hostfwd remove tcp:127.0.0.1:8080
	if [ $((n % 20)) = 5 ]; then
		control core /tmp/core
		rm /tmp/core
	fi
}

mkdir /tmp/share0
cp /job/load.sh /tmp/load
chmod +x /tmp/load
sha256sum <payload >/tmp/sum
truncate -s 48M /tmp/disk
ip link set lo up
httpd -p 127.0.0.1:8000 -h /w
tollgate run --quick --mem 512M --cpus 2 --vsock $v --control $ctl --modules auto --net user --balloon 0 --rng \
	--disk /tmp/disk --disk fs.img --share /tmp/share0 --copy /tmp/load:/bin/load --copy /tmp/sum:/sum \
	--stats=json:/results/stats --run load /boot/vmlinuz-cloud </dev/null >/tmp/guest.out 2>/tmp/guest.err &
vmm=$!
tollgate exec --wait=600 $v -- true </dev/null || fail 'the guest does not start'
start=$(date +%s) n=0 first_kib=
while [ $(($(date +%s) - start)) -lt "$seconds" ]; do
	commands
	controls
	n=$((n + 1))
	if [ $n = 10 ]; then # each kind of work was done, and its memory allocated
		look
		first_kib=$own_kib first_threads=$threads first_files=$files
	elif [ $((n % 50)) = 0 ]; then
		look
	fi
done
look
[ -n "$first_kib" ] || fail "only $n rounds"
[ "$own_kib" -le $((first_kib + grown_kib)) ] || fail "the VMM grew from $first_kib to $own_kib KiB"
[ "$threads" -le "$first_threads" ] || fail "threads went from $first_threads to $threads"
[ "$files" -le $((first_files + 8)) ] || fail "descriptors went from $first_files to $files"
tollgate exec $v -- touch /tmp/end </dev/null || fail 'exec at the end'
wait $vmm
status=$?
cat /tmp/guest.out
same 'exit status' $status 0
same 'lines of the console' "$(grep -c '^console line ' /tmp/guest.err)" \
	"$(sed -n 's/^console: \(.*\) rounds$/\1/p' /tmp/guest.out)"
same 'left in the share' "$(ls /tmp/share0)" ''
echo "soak: $n rounds in $seconds s, $first_kib KiB grew to $own_kib KiB"
