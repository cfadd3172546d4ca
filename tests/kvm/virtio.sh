#!/usr/bin/env bash
# Virtio on the real KVM, driven by guest/kernels/virtio: what works without an exit, and that it works the same
# with one; registers and rings as no driver should use them, of each device. How many doorbells,
# interrupts and exits there were is in the statistics.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

broken_rings=21

# drive_device NAME CHECKS ARGUMENT...: as many of the kernel's tests pass of the device that tollgate's
# arguments add; statistics go to ./stats.
drive_device() {
	local name=$1 checks=$2
	shift 2
	tollgate run --stats=json:stats -p "device=$name" "$@" "$(kernel virtio)"
	ended 0 'exit code 0 (exit port)'
	! grep 'FAIL ' "$case_dir/out" || fail 'a check of the kernel failed'
	printed "^$checks passed, 0 failed\$"
	holds stats ".virtio[0].resets_needed == $broken_rings"
}

drive() {
	drive_device rng 47 --rng "$@"
	holds stats '.virtio[0] | .device == "rng0" and .type == "entropy"'
	holds stats '.devices[] | select(.device == "rng0").guest_errors > 0'
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
	drive --exits doorbells
}

case_it_passes_with_interrupts_by_ioctl() {
	drive --exits interrupts
}

case_it_passes_with_registers_that_are_no_memory() {
	drive --exits reads
	holds stats '.virtio[0].register_page == false'
}

case_it_passes_with_exits_for_everything() {
	drive --exits all
}

case_it_passes_on_two_cpus() {
	drive -c 2
}

case_it_passes_with_memory_on_both_sides_of_the_hole() {
	drive --mem 4G
}

# The indices of the rings pass 65,535, with one interrupt for 32 requests exactly, as was asked for.
case_more_requests_than_an_index_counts() {
	local how
	for how in '' '--exits all'; do
		# shellcheck disable=SC2086 # words
		tollgate run --rng --stats=json:stats -p wrap $how "$(kernel virtio)"
		ended 0 'exit code 0 (exit port)'
		holds stats '.virtio[0].queues[0] | .chains == 66560 and .interrupts == 2080'
	done
}

# Each device takes the same faults of a driver, whether they come by an exit or not.
case_every_device_takes_what_a_driver_does_wrong() {
	local how direct=,direct no_slirp=''
	truncate -s 1M disk
	dd if=disk of=/dev/null bs=4096 count=1 iflag=direct status=none 2>/dev/null || direct=
	tollgate run --net user -p exit=0 "$(kernel exits)"
	[ "$status" = 0 ] || { complained libslirp && no_slirp=yes; }
	for how in '' '--exits all'; do
		# shellcheck disable=SC2086 # words
		{
			drive_device block 35 --disk disk $how
			drive_device block 35 --disk "disk$direct" $how
			drive_device console 36 --virtio-console null $how
			drive_device balloon 36 --balloon 0 $how
			drive_device fs 35 --share . $how
			drive_device socket 36 --vsock v $how
		}
		# shellcheck disable=SC2086
		[ -n "$no_slirp" ] || drive_device net 36 --net user $how
	done
}

case_without_a_device_it_says_so() {
	tollgate run "$(kernel virtio)"
	ended 64 'exit code 64 (exit port)'
	printed '^command line: virtio: no rng device'
}

# makes_exits HOW EXITS OPTION...: of 1,000 requests. An interrupt that comes late and finds nothing new is
# acknowledged by an exit, so either of the two runs may have more, by how busy the host is.
makes_exits() {
	local how=$1 wanted=$2
	shift 2
	exits_of_1000_requests "$@"
	((exits > wanted - 100 && exits < wanted + 100)) || fail "exits $how: $exits, not $wanted"
}

# A request is a doorbell, and the handler's look at the status and acknowledgement.
case_exits_of_a_request_are_counted() {
	makes_exits 'of 1,000 requests' 0
	makes_exits 'with registers that are no memory' 1000 --exits reads
	makes_exits 'with doorbells and acknowledgements' 2000 --exits doorbells
	makes_exits 'without any of it' 3000 --exits doorbells,reads
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
	complained_of 'device-gsi-full rng17' some
}

run_cases
