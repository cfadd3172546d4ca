#!/bin/sh
# The job of exec-check, next to the KVM: run.sh [CASE...]. One guest serves all cases.
# shellcheck disable=SC2016 # what the guest's shell is to expand
set -u
failed=0 v=/tmp/v

fail() {
	echo "    $*"
	case_failed=1
}

# execs STATUS ARGUMENT...: exec with that status; outputs in /tmp/out and /tmp/err.
execs() {
	want=$1
	shift
	tollgate exec $v -- "$@" >/tmp/out 2>/tmp/err
	got=$?
	[ "$got" = "$want" ] || fail "exec $*: status $got instead of $want: $(cat /tmp/err)"
}

# same WHAT GOT WANTED
same() {
	[ "$2" = "$3" ] || fail "$1: '$2' instead of '$3'"
}

case_statuses() {
	execs 0 true </dev/null
	execs 1 false </dev/null
	execs 137 sh -c 'kill -9 $$' </dev/null
	execs 127 nonexistent </dev/null
	execs 0 cat /proc/1/comm </dev/null
	same 'process 1' "$(cat /tmp/out)" init
}

case_streams() {
	execs 5 sh -c 'echo out; echo err >&2; exit 5' </dev/null
	same out "$(cat /tmp/out)" out
	same err "$(cat /tmp/err)" err
	execs 0 cat <payload
	cmp -s /tmp/out payload || fail 'cat changed its input'
}

case_signal() {
	tollgate exec $v -- sh -c 'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done' </dev/null >/tmp/out 2>/tmp/err &
	pid=$!
	until grep -q ready /tmp/out; do sleep 0.1; done
	kill $pid
	wait $pid
	same 'status after SIGTERM' $? 9
}

case_terminal() {
	tollgate exec -t $v -- sh -c 'test -t 0 && stty size' </dev/null >/tmp/out 2>/tmp/err || fail 'no terminal'
	same size "$(tr -d '\r' </tmp/out | tail -n 1)" '24 80'
}

case_copies() {
	tollgate cp payload $v:/tmp/ || fail 'cp into the guest'
	execs 0 sha256sum /tmp/payload </dev/null
	same checksum "$(cut -d' ' -f1 /tmp/out)" "$(sha256sum payload | cut -d' ' -f1)"
	tollgate cp $v:/tmp/payload /tmp/back || fail 'cp out of the guest'
	cmp -s payload /tmp/back || fail 'cp changed a file'
	tollgate cp -r $v:/etc /tmp/etc || fail 'cp -r'
	tollgate cp $v:/proc/version /tmp/version || fail 'cp of /proc/version'
	grep -q '^Linux version' /tmp/version || fail 'no version'
}

case_twenty_at_once() {
	pids=
	for n in $(seq 1 20); do
		echo "input $n" | tollgate exec $v -- sh -c "cat; exit $n" >"/tmp/out.$n" 2>&1 &
		pids="$pids $!"
	done
	n=0
	for pid in $pids; do
		n=$((n + 1))
		wait "$pid"
		same "status of $n" $? $n
		same "output of $n" "$(cat "/tmp/out.$n")" "input $n"
	done
}

# accesses: of the guest to devices, so far, that left KVM.
accesses() {
	tollgate control /tmp/control stats | sed -n 's/^ *"\(MMIO\|IO\)": *\([0-9]*\).*/\2/p' | awk '{ n += $1 } END { print n + 0 }'
}

# A command costs some packets each way: no more exits than these, however slow the machine is.
case_exits() {
	execs 0 true </dev/null
	before=$(accesses)
	for _ in 1 2 3 4 5; do execs 0 true </dev/null; done
	after=$(accesses)
	echo "    exits of 5 commands: $((after - before))"
	[ "$before" -gt 0 ] || fail "no count of accesses: $before"
	[ $((after - before)) -le 25 ] || fail 'more than 5 for each'
}

# The last one: the guest ends under a command.
case_the_guest_ends() {
	tollgate exec $v -- sleep 1000 </dev/null >/tmp/out 2>/tmp/err &
	pid=$!
	execs 0 sh -c 'until pidof sleep | grep -q " "; do sleep 0.1; done; touch /tmp/end' </dev/null
	wait $pid
	same 'status without a guest' $? 125
	grep -q '\[agent-lost\]$' /tmp/err || fail "$(cat /tmp/err)"
}

tollgate run --quick --mem 512M --timeout 900 --vsock $v --control /tmp/control --modules auto \
	--run 'until [ -e /tmp/end ]; do sleep 0.2; done' /boot/vmlinuz-cloud >/tmp/guest.out 2>/tmp/guest.err &
guest=$!
tollgate exec --wait=300 $v -- true </dev/null || { cat /tmp/guest.err && exit 1; }
[ $# != 0 ] || set -- statuses streams signal terminal copies twenty_at_once exits the_guest_ends
for name; do
	case_failed=0
	start=$(date +%s)
	"case_$name"
	if [ "$case_failed" = 0 ]; then
		echo "PASS $name: $(($(date +%s) - start)) s"
	else
		echo "FAIL $name"
		tail -n 20 /tmp/guest.err
		failed=$((failed + 1))
	fi
done
wait $guest
same 'status of the guest' $? 0
[ ! -e $v ] || fail 'the socket was left behind'
echo "exec: $failed cases failed"
[ "$failed" = 0 ]
