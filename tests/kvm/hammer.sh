#!/usr/bin/env bash
# The hammer: each option does what it says, and every access is counted once. How many per second that
# is, no test here asks.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# hammered FILTER ARGUMENT...: the result's JSON fulfils the filter, and its counts agree.
hammered() {
	local filter=$1
	shift
	tollgate hammer --json "$@"
	same 'exit status' "$status" 0
	same 'standard error' "$(cat "$case_dir/err")" ''
	holds "$case_dir/out" '.dispatched + .bare + .hits == .guest_count'
	holds "$case_dir/out" "$filter"
}

case_every_access_is_counted_once() {
	hammered '.guest_count == 5000 and .hits == 0 and .dispatched > 0 and .bare > 0' --count 5000
	hammered '.guest_count == 1 and .dispatched == 1' --count 1
	hammered '.guest_count == 513' --count 513
	hammered '.guest_count == 6000 and .cpus == 2 and .dispatched > 0 and .bare > 0' --count 3000 --cpus 2
	hammered '.guest_count == 4000 and .cpus == 4' --count 1000 --cpus 4
}

case_the_defaults_are_told() {
	hammered '.space == "pio" and .address == 2560 and .direction == "out" and .width == 1 and .cpus == 1
		and .ioeventfds == 0 and .same_byte == false and .hit == "none" and .ranges == 0' --count 100
}

case_each_width_and_direction_hits_its_place() {
	local width
	for width in 1 2 4; do
		hammered ".width == $width and .direction == \"out\" and .address == 2816 and .guest_count == 70" \
			--count 70 --port 0xb00 --width $width --out
		hammered ".width == $width and .direction == \"in\"" --count 70 --port 0xb00 --width $width --in
	done
	for width in 1 2 4 8; do
		hammered ".width == $width and .space == \"mmio\" and .address == 3758096384" \
			--count 70 --mmio 0xe0000000 --width $width
		hammered ".width == $width and .direction == \"in\"" --count 70 --mmio 0xe0000000 --width $width --in
	done
}

case_pairs_are_measured_side_by_side() {
	hammered '(.pairs | length) == 9 and all(.pairs[]; .per_second > 0 and .other_per_second > 0)' --count 10000
	hammered '.dispatched >= 512 and .bare == 9 * 128 * ((10000 - 512 - 128) / (2 * 128 * 9) | floor)' --count 10000
	holds "$case_dir/out" '.per_second > 0 and .other_per_second > 0 and .ratio > 0 and .ns_each > 0'
	holds "$case_dir/out" '.empty_vm_per_second > 0 and .empty_vm_ratio > 0 and all(.pairs[]; .empty_vm_per_second > 0)'
}

# The guest goes on in the empty VM, whatever its access is, on all CPUs; and nothing of that is counted.
case_the_empty_vm_runs_the_same_guest() {
	local args
	for args in '--port 0x10 --width 4' '--port 0xb00 --in --width 2' '--mmio 0xe0000000 --width 8' \
		'--mmio 0xe0000000 --in --width 4' '--cpus 3'; do
		# shellcheck disable=SC2086 # options
		hammered '(.pairs | length) == 9 and all(.pairs[]; .empty_vm_per_second > 0)' --count 5000 $args
	done
	hammered '.pairs == [] and .empty_vm_ratio == null' --count 5
}

case_by_time_it_ends_by_itself() {
	hammered '(.pairs | length) == 9 and .guest_count > 0' --seconds 0.2
	hammered '(.pairs | length) == 9 and .guest_count > 0' --seconds 0.2 --cpus 2
}

case_a_hit_makes_no_exit() {
	local which
	for which in '' =first =middle =last; do
		hammered '.guest_count == 3000 and .hits == 3000 and .dispatched == 0 and .bare == 0' \
			--count 3000 --ioeventfds 200 --hit$which
		hammered '.hits == 3000 and .dispatched == 0 and .width == 2' --count 3000 --ioeventfds 300 --hit$which
	done
	hammered '.hits == 2000 and .ioeventfds == 1 and .hit == "first"' --count 1000 --hit --cpus 2
	hammered '.hits == 1000 and .dispatched == 0' --count 1000 --hit --mmio 0xe0000000 --width 4
}

case_hits_by_time_alternate_with_exits() {
	hammered '(.pairs | length) >= 1 and (.pairs | length) <= 9 and .hits > 0 and .dispatched > 0 and .bare == 0
		and .empty_vm_ratio == null' --hit --seconds 1
}

case_ioeventfds_beside_the_port_are_never_hit() {
	local n
	for n in 0 1 200 1000; do
		hammered ".ioeventfds == $n and .hits == 0 and .guest_count == 2000 and .same_byte == false" \
			--count 2000 --ioeventfds $n
	done
	hammered '.ioeventfds == 200 and .hits == 0' --count 1000 --ioeventfds 200 --mmio 0xe0000000
}

case_ioeventfds_on_the_port_that_match_nothing_are_never_hit() {
	hammered '.same_byte == true and .hits == 0 and .guest_count == 2000' --count 2000 --ioeventfds 200 --same-byte
	hammered '.same_byte == true and .hits == 0 and .width == 2' --count 2000 --ioeventfds 300 --same-byte
}

case_more_ranges_take_nothing_away() {
	local n
	for n in 0 200 1000; do
		hammered ".ranges == $n and .guest_count == 2000" --count 2000 --ranges $n
		hammered ".ranges == $n and .guest_count == 2000" --count 2000 --ranges $n --mmio 0xe0000100
	done
	hammered '.ranges == 1000 and .guest_count == 1000' --count 1000 --ranges 1000 --port 0x1800 # in their midst
	hammered '.ranges == 65000' --count 1000 --ranges 65000 --mmio 0xe0000000
}

case_the_machine_is_as_asked_for() {
	hammered '.guest_count == 500' --count 500 --mem 256M --prealloc
	hammered '.guest_count == 500' --count 500 --test-device
}

case_a_person_is_told_the_same() {
	tollgate hammer --count 10000 --ioeventfds 200 --ranges 3
	same 'exit status' "$status" 0
	printed '^hammer: out to 0xa00, 1 byte, 1 CPU; 200 ioeventfds at 0xa08; 3 more ranges$' \
		'^  exits, dispatched +[0-9]+ +[0-9]+$' '^  bare KVM_RUN loop +[0-9]+ +[0-9]+$' \
		'^  bare loop, empty VM +[0-9]+ +[0-9]+$' \
		'^  ratio [0-9.]+, median of 9 interleaved pairs \([0-9.]+ to [0-9.]+\)$' \
		'^  to the empty VM [0-9.]+, median of 9 interleaved pairs \([0-9.]+ to [0-9.]+\)$' \
		'^  counted: [0-9]+ dispatched \+ [0-9]+ bare \+ 0 hits = 10000 of the guest$'
	tollgate hammer --count 100 --in --mmio 0xe0000000 --width 8 --cpus 2
	printed '^hammer: in from 0xe0000000, 8 bytes, 2 CPUs$' '^  too few accesses to measure$'
	tollgate hammer --count 100 --hit
	printed '^hammer: out to 0xa00, 1 byte, 1 CPU; 1 ioeventfd at 0xa00, hit$' '^  hits have a rate with --seconds only$'
}

case_a_signal_ends_it_at_once() {
	local signal how
	for signal in INT TERM HUP; do
		for how in --out --hit; do
			start hammer $how --seconds 100000
			wait_for grep -q kvm-vcpu "/proc/$pid/maps"
			wait_for runs_a_vcpu
			kill -s $signal "$pid"
			finish
			same 'exit status' "$status" 116
			one_error "$case_dir/err"
			complained_of "hammer-ended SIG$signal"
		done
	done
}

case_too_few_open_files_are_told_before_the_guest_runs() {
	ulimit -n 1000
	tollgate hammer --ioeventfds 900
	same 'exit status' "$status" 2
	same output "$(cat "$case_dir/out")" ''
	complained_of 'open-files-limit --ioeventfds 900' 1500
}

case_the_soft_limit_of_open_files_is_raised() {
	ulimit -S -n 100
	[ "$(ulimit -H -n)" = unlimited ] || [ "$(ulimit -H -n)" -ge 800 ] || skip 'the hard limit is below 800 here'
	hammered '.ioeventfds == 200' --count 100 --ioeventfds 200
}

case_a_result_that_does_not_arrive_is_an_error() {
	status=0
	timeout -k 10 "$limit_s" "$TOLLGATE" hammer --count 100 >/dev/full 2>"$case_dir/err" || status=$?
	same 'exit status' "$status" 123
	complained_of 'stdout-write No space left on device'
}

run_cases
