#!/usr/bin/env bash
# A VM that is paused: nothing of it goes on, its clocks stand still, and it goes on as if no time had passed.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

pause_s=3 # by how much a clock that went on is ahead
rounds=100 # of pause and resume in a guest's life: each is one chance for a race

# now_us: of a clock that nobody sets.
now_us() {
	local up
	read -r up _ </proc/uptime
	printf '%s0000\n' "${up/./}"
}

has_state() {
	control status
	same 'state' "$(sed -n 1p reply)" "state $1"
}

# counts: all that statistics count, now.
counts() {
	control stats
	jq -cS 'del(.kvm_vm, .kvm_vcpus)' reply
}

# stands_still: whether nothing is counted any more.
stands_still() {
	local before
	before=$(counts)
	sleep 0.3
	same 'what went on' "$(counts)" "$before"
}

# pauses_for SECONDS: adds to $paused_us how long it surely was paused.
pauses_for() {
	local since
	control pause
	since=$(now_us)
	sleep "$1"
	paused_us=$((paused_us + $(now_us) - since))
	control resume
}

# bounded CLOCK SLACK_US: the guest's clock did not go further than the host's while it was not paused.
bounded() {
	local us
	us=$(sed -n "s/^clock $1 \\([0-9]*\\).*/\\1/p" "$case_dir/out")
	[ -n "$us" ] || fail "the guest has not shown its clock $1"
	[ "$us" -le $((ran_us + $2)) ] || fail "clock $1: $us us, of $ran_us us in which the guest was not paused"
}

# clocks ARGUMENT...: a guest that watches its clocks is paused.
clocks() {
	local since paused_us=0 ran_us i
	since=$(now_us)
	start_controlled "$@" "$(kernel clocks)"
	wait_for_output 'clocks: begin'
	pauses_for $pause_s
	pauses_for $pause_s
	for ((i = 0; i < 10; i++)); do # a PIT that went on would have a tick ready after each
		pauses_for 0.05
	done
	control unplug debugcon0
	finish
	ran_us=$(($(now_us) - since - paused_us))
	ended 0 'exit code 0 (exit port)'
	printed '^PASS forwards' '^PASS one-shots' '^PASS deadlines' '^PASS pit' '^told yes'
	bounded kvmclock 20000 # /proc/uptime has 10 ms
	bounded rtc 1020000    # which shows whole seconds
	if grep -qwE 'vmx|svm' /proc/cpuinfo; then # without either, KVM cannot move the guest's TSC
		bounded tsc 20000
	fi
}

case_clocks_stand_still() {
	clocks -c 2
}

case_clocks_of_many_cpus() {
	clocks -c 4
}

case_nothing_goes_on() {
	local at
	at=$("$TOLLGATE" machine --json --rng | jq '.devices[] | select(.name == "rng0").ranges[0].first')
	start_controlled -c 2 --rng -p "mmio=$at width=4 expect=0x74726976 write=$((at + 0x50))" "$(kernel plug)"
	wait_for_output 'plug: begins'
	control pause
	has_state paused
	stands_still
	refuses paused-already some pause
	refuses "plug-paused 'rng0'" some unplug rng0
	control resume
	has_state running
	refuses paused-not some resume
	stop
}

# pause_and_resume TIMES: until the VM has ended, if that comes first; $pauses counts.
pause_and_resume() {
	local i word
	for ((i = 0; i < $1; i++)); do
		for word in pause resume; do
			timeout -k 10 "$limit_s" "$TOLLGATE" control ctl $word 2>refusal && continue
			grep -qE '^tollgate: .* \[(pause-vm-ending|reply-cut|client-connect)\]$' refusal ||
				fail "$word: $(cat refusal)"
			return 0
		done
		pauses=$((pauses + 1))
	done
}
pauses=0

# The guest checks what its device answers, and counts it.
case_a_virtio_device_under_load() {
	start_controlled -c 2 --rng -p requests=3000 "$(kernel virtio)"
	pause_and_resume $rounds
	finish
	ended 0 'exit code 0 (exit port)'
	[ $pauses -gt 0 ] || fail 'it was never paused'
}

case_a_disk_under_load() {
	seq -f %015.0f 0 262143 >disk
	start_controlled -c 2 -p "sectors=8192 requests=3000" --disk disk "$(kernel blk)"
	pause_and_resume $rounds
	finish
	ended 0 'exit code 0 (exit port)'
	[ $pauses -gt 0 ] || fail 'it was never paused'
}

case_cpus_that_exit_all_the_time() {
	start_controlled -c 4 --test-device -p rounds=2000 "$(kernel smp)"
	pause_and_resume $rounds
	finish
	ended 0 'exit code 0 (exit port)'
	printed ' 0 failed'
}

# A guest that ends at once, paused again and again: either it ends, or it is paused and then ends.
case_at_the_start_and_at_the_end() {
	local i
	for ((i = 0; i < 20; i++)); do
		start run --control ctl -c 2 -p exit=3 "$(kernel exits)"
		until has_ended; do
			[ ! -S ctl ] || pause_and_resume 5
		done
		finish
		ended 3 'exit code 3 (exit port)'
	done
}

case_a_guest_that_begins_paused() {
	start_controlled --paused -c 3 --rng -p 'rounds=10' "$(kernel smp)"
	has_state paused
	stands_still
	holds reply '.exits | has("IO") or has("MMIO") | not'
	same 'output' "$(cat "$case_dir/out")" ''
	control resume
	finish
	ended 0 'exit code 0 (exit port)'
	printed ' 0 failed'
	run_refused paused-without-control --paused "$(kernel hang)"
}

case_it_ends_while_it_is_paused() {
	start_controlled -c 3 --rng "$(kernel hang)"
	control pause
	stop
	start_controlled -c 3 --rng "$(kernel hang)"
	control pause
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
	start_controlled --paused -c 3 --rng "$(kernel hang)"
	kill -s INT "$pid"
	finish
	ended 116 'killed (SIGINT)'
}

# Whether the VM was started so many seconds ago, by its own clock.
is_up_for() {
	control status
	[ "$(sed -n 's/^uptime_s \([0-9]*\)\..*/\1/p' reply)" -ge "$1" ]
}

# It is shorter than the pause, and far longer than a set-up takes.
case_the_timeout_stands_still() {
	start_controlled --timeout 8 --paused "$(kernel hang)"
	wait_for is_up_for 9
	has_state paused
	control resume
	finish
	ended 117 'timeout (--timeout)'
}

# A pause is not silence: the look for CPUs that halted for good does not take it for one, and goes on after it.
case_halted_for_good_is_seen_afterwards() {
	start_controlled --paused -c 2 -p how=all "$(kernel hang)"
	sleep 1
	has_state paused
	control resume
	pause_and_resume 3
	finish
	ended 122 'halted (every CPU, with interrupts off)'
}

# Input that came while it was paused is there afterwards.
case_input_waits() {
	local client
	mkfifo keys
	exec 8<>keys
	start run --control ctl --serial unix:sock -p until=46 "$(kernel console)"
	"$TALK" unix:sock <keys >heard 8>&- &
	client=$!
	wait_for answers
	wait_for grep -q 'console: ready' heard
	control pause
	printf 'one two.' >&8
	stands_still
	! grep -q one heard || fail 'it has taken input while it was paused'
	control resume
	finish
	exec 8>&-
	wait "$client" || true
	ended 0 'exit code 0 (exit port)'
	grep -q 'one two' heard || fail "not echoed: $(cat heard)"
}

run_cases
