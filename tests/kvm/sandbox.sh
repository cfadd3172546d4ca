#!/usr/bin/env bash
# The VMM is confined while its guest runs: each thread of it has a filter, and is without privileges.
# tests/unit/sandbox/ tries what each filter forbids.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# of_threads FIELD: the values of a field in the status of each thread, without repetitions. KVM has a thread in the
# process, too: a vCPU's thread has started it, so it has that one's filter.
of_threads() {
	sed -n "s/^$1:[[:space:]]*//p" /proc/"$pid"/task/*/status | sort -u | tr '\n' ' '
}

# of_thread NAME FIELD: the values of fields that match, of one thread.
of_thread() {
	local comm
	comm=$(grep -lx -- "$1" /proc/"$pid"/task/*/comm) || fail "no thread '$1'"
	sed -n "s/^$2:[[:space:]]*//p" "${comm%comm}status" | sort -u | tr '\n' ' '
}

# start_all ARGUMENT...: a guest that does not end, with a device for each role of thread.
start_all() {
	truncate -s 1M disk
	mkdir -p share
	start_controlled "$@" --disk disk --share share,tag=t --rng --balloon 0 --vsock v --serial file:log \
		--virtio-console null "$(kernel hang)"
	wait_for runs_a_vcpu
}

case_each_thread_has_one_filter_and_cannot_gain_privileges() {
	start_all
	wait_for confined
	same 'seccomp modes' "$(of_threads Seccomp)" '2 '
	same 'filters of each' "$(of_threads Seccomp_filters)" '1 '
	same 'no_new_privs' "$(of_threads NoNewPrivs)" '1 '
	stop
}

confined() {
	[ "$(of_threads Seccomp)" = '2 ' ]
}

case_vcpus_and_devices_have_no_capabilities() {
	local name
	start_all
	wait_for confined
	for name in vcpu0 disk0 rng0 balloon0 vsock0 console0; do
		same "capabilities of $name" "$(of_thread "$name" 'Cap[IPE][a-z]*')" '0000000000000000 '
	done
	stop
}

case_no_sandbox_says_so_and_confines_nothing() {
	start_all --no-sandbox
	same 'seccomp modes' "$(of_threads Seccomp)" '0 '
	control stop
	finish
	grep -q '^tollgate: warning: --no-sandbox: the guest is NOT confined' "$case_dir/err" || fail "$(cat "$case_dir/err")"
}

case_smoke_says_so_too() {
	tollgate smoke --no-sandbox
	same 'exit status' "$status" 0
	grep -q '^tollgate: warning: --no-sandbox: the guest is NOT confined' "$case_dir/err" || fail 'no warning'
	tollgate smoke
	same 'exit status' "$status" 0
	same 'standard error' "$(cat "$case_dir/err")" ''
}

# No filter sees the calls of a ring.
case_a_ring_is_restricted() {
	local allowed
	truncate -s 1M disk
	timeout -k 10 "$limit_s" strace -f -o calls -e trace=io_uring_setup,io_uring_register \
		"$TOLLGATE" run --disk disk "$(kernel exits)" >/dev/null 2>&1 || true
	grep -q 'io_uring_setup(.*) = [0-9]' calls || skip 'this host has no io_uring'
	allowed=$(sed -n 's/.*IORING_REGISTER_RESTRICTIONS, \[\(.*\)\], .* = 0$/\1/p' calls | grep -o 'IORING_OP_[A-Z]*' | tr '\n' ' ')
	same 'calls of the ring' "$allowed" 'IORING_OP_READV IORING_OP_WRITEV IORING_OP_FSYNC IORING_OP_FALLOCATE '
}

# gdb makes the event thread ask for a new user namespace, as an attacker's code would.
case_a_forbidden_call_ends_the_process_and_is_named() {
	start_all
	wait_for confined
	timeout -k 10 "$limit_s" gdb -nx -batch -p "$pid" -ex 'print (int)unshare(0x10000000)' >log.gdb 2>&1 </dev/null || true
	finish
	same 'exit status' "$status" 109
	complained_of 'sandbox-call unshare'
}

run_cases
