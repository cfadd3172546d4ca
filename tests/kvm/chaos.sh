#!/usr/bin/env bash
# Hostile guests, by guest/kernels/chaos: from seeds, on two CPUs, each set of devices. The VMM neither ends nor hangs
# nor grows, its log stays short, and another VM goes on.
#
# With CHAOS_S=N each set of devices is tried for so many seconds, with one seed after the other.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

ram_mib=64
# Of the VMM, without guest memory: measured are 12 MiB; a network with faults keeps 16 MiB of frames. A sanitizer keeps
# what was freed.
own_kib=$((40 << 10))
! nm -D "$TOLLGATE" 2>/dev/null | grep -q __asan || own_kib=$((1 << 20))
log_bytes=16384

# Kernel's own peak of the process, in KiB; false once it has ended.
note_peak() {
	local kib
	kib=$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
	[ -n "$kib" ] || return 1
	peak=$kib
}

# Waits for the end, and looks at the memory meanwhile.
watch_it() {
	while ! has_ended; do
		note_peak || true
		sleep 0.02
	done
	finish
}

survived() {
	[ "$status" = 0 ] || [ "$status" = 1 ] || { show && fail "exit status $status, seed $seed"; }
	ended 0 'exit code 0 (exit port)'
	[ "$peak" -le $((ram_mib * 1024 + own_kib)) ] || fail "$peak KiB at most, seed $seed"
	[ "$(stat -c %s "$case_dir/err")" -le "$log_bytes" ] || fail "$(wc -l <"$case_dir/err") lines of standard error"
}

# once SEED OPS ARGUMENT...: one run.
once() {
	local seed=$1 ops=$2 peak=0
	shift 2
	start run --mem "${ram_mib}M" --stats=json:stats -p "seed=$seed ops=$ops" "$@" "$(kernel chaos)"
	watch_it
	survived
}

# chaos OPS ARGUMENT...: a seed, or those of CHAOS_S seconds.
chaos() {
	local ops=$1 began=$SECONDS next=1
	shift
	truncate -s 4M disk disk1
	once 1 "$ops" "$@"
	while [ $((SECONDS - began)) -lt "${CHAOS_S:-0}" ]; do
		next=$((next + 1))
		once $next 5000 "$@"
	done
	[ -z "${CHAOS_S:-}" ] || echo "$next seeds in $((SECONDS - began)) s"
}

case_disks() {
	chaos 400 -c 2 --disk disk --disk disk1,cow
}

case_a_disk_with_faults_and_an_exit_for_everything() {
	chaos 300 -c 2 --exits all --disk disk,queues=2,fault=fail:p=0.1,fault=tear:p=0.1,fault=delay:ms=5:p=0.1
}

case_a_network() {
	chaos 250 -c 2 --net user,restrict
}

case_a_network_with_faults() {
	chaos 250 -c 2 --net user,restrict,fault=delay:ms=2:p=0.3,fault=duplicate:p=0.3,fault=corrupt:p=0.3
}

case_a_balloon_an_entropy_device_and_a_console() {
	chaos 250 -c 2 --balloon 0 --rng --virtio-console null
}

# Another VM goes on while all devices are driven mad.
case_all_devices_alongside_another_vm() {
	local before after other
	start run --control ctl -p how=exits "$(kernel hang)"
	wait_for answers
	other=$pid
	control stats
	before=$(jq '.exits.IO // 0' reply)
	mkdir mad
	(
		cd mad
		chaos 200 -c 2 --disk disk --net user,restrict --balloon 0 --rng --virtio-console null
	) &
	mad=$!
	while kill -0 $mad 2>/dev/null; do
		control status
		sleep 0.05
	done
	wait $mad || fail 'see above'
	control stats
	after=$(jq .exits.IO reply)
	[ "$after" -gt "$before" ] || fail "another VM stood: $before exits, then $after"
	pid=$other
	control stop
	finish
}

# Accesses of a run that no other thread takes part in; where the guest waits for the serial port is a matter of time.
counts() {
	once 7 300 -c 1 "$@"
	jq -c '.pio.ranges | map(select(.device != "serial0") | [.first, .reads, .writes])' stats
	jq -c '.mmio.ranges | map([.first, .writes])' stats
}

case_one_vcpu_repeats_its_run_from_its_seed() {
	local first
	truncate -s 4M disk
	first=$(counts --disk disk --rng)
	same 'accesses' "$(counts --disk disk --rng)" "$first"
	[ "$(jq -s 'flatten | length' <<<"$first")" -gt 20 ] || fail "few ranges: $first"
	grep -qE ',[0-9]{3,}\]' <<<"$first" || fail "few accesses: $first"
}

run_cases
