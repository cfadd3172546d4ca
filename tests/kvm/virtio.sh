#!/usr/bin/env bash
# Virtio on the real KVM, driven by guest/virtio: what works without an exit, and that it works the same
# with one. How many doorbells, interrupts and exits there were is in the statistics.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

checks=29

# The kernel's tests pass; ARGUMENT... for tollgate, which writes statistics to ./stats.
drive() {
	tollgate run --rng --stats=json:stats "$@" "$(kernel virtio)"
	ended 0 'exit code 0 (exit port)'
	! grep 'FAIL ' "$case_dir/out" || fail 'a check of the kernel failed'
	printed "^$checks passed, 0 failed\$"
	# Each of the 17 broken rings, and those that test_reset() may have left.
	holds stats '.virtio[0] | .device == "rng0" and .type == "entropy" and .resets_needed >= 17'
	holds stats '.virtio[0].queues[0] | .chains > 128 and .interrupts >= 128 and .suppressed >= 32'
}

# The exits that 1,000 more requests cost; in $exits. Each has one interrupt. ARGUMENT... as for drive.
exits_of_1000_requests() {
	local few interrupts
	drive -p requests=500 "$@"
	few=$(jq .exits.MMIO stats)
	interrupts=$(jq '.virtio[0].queues[0].interrupts' stats)
	drive -p requests=1000 "$@" # two tests do so many each
	exits=$(($(jq .exits.MMIO stats) - few))
	same 'interrupts' "$(($(jq '.virtio[0].queues[0].interrupts' stats) - interrupts))" 1000
}

case_the_kernel_passes() {
	drive
	holds stats '.virtio[0].queues[0] | .doorbells >= .kicks and .kicks > 0'
}

case_it_passes_with_an_exit_a_doorbell() {
	drive --no-ioeventfd
}

case_it_passes_with_interrupts_by_ioctl() {
	drive --no-irqfd
}

case_it_passes_with_registers_that_are_no_memory() {
	drive --no-shadow
	holds stats '.virtio[0].registers_as_memory == false'
}

case_it_passes_with_exits_for_everything() {
	drive --no-ioeventfd --no-irqfd --no-shadow --no-coalesce
}

case_it_passes_on_two_cpus() {
	drive -c 2
}

case_without_a_device_it_says_so() {
	tollgate run "$(kernel virtio)"
	ended 64 'exit code 64 (exit port)'
	printed '^command line: virtio: no entropy device'
}

# makes_exits HOW EXITS OPTION...: of 1,000 requests. An interrupt that comes late and finds nothing new is
# acknowledged by an exit, so either of the two runs may have a few more.
makes_exits() {
	local how=$1 wanted=$2
	shift 2
	exits_of_1000_requests "$@"
	((exits >= wanted - 5 && exits <= wanted + 5)) || fail "exits $how: $exits, not $wanted"
}

# A request is a doorbell, and the handler's look at the status and acknowledgement.
case_exits_of_a_request_are_counted() {
	makes_exits 'of 1,000 requests' 0
	makes_exits 'with registers that are no memory' 1000 --no-shadow
	makes_exits 'with doorbells and acknowledgements' 2000 --no-ioeventfd
	makes_exits 'without any of it' 3000 --no-ioeventfd --no-shadow
}

case_statistics_say_why_a_reset_was_needed() {
	tollgate run --rng --stats "$(kernel virtio)"
	complained '^virtio +device +queue +doorbells' '^ +rng0 +0 ' \
		'^ +rng0 +needed a reset [0-9]+ times, the last for: indirect table misused$'
}

case_there_are_interrupts_for_17_devices() {
	local rngs=()
	for _ in {1..17}; do rngs+=(--rng); done
	tollgate run "${rngs[@]}" "$(kernel virtio)"
	ended 0 'exit code 0 (exit port)'
	tollgate run "${rngs[@]}" --rng "$(kernel virtio)"
	same status "$status" 2
	complained 'no interrupt for rng17: GSI 5 to 23 are taken' 'leave out a device'
}

run_cases
