#!/usr/bin/env bash
# `tollgate control SOCK unplug NAME` and `plug NAME`: devices leave the bus of a running VM and come back.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

cycles=200

# refuses WHAT REMEDY WORD...: a command that must fail, with that.
refuses() {
	local what=$1 remedy=$2 got=0
	shift 2
	timeout -k 10 "$limit_s" "$TOLLGATE" control ctl "$@" >reply 2>refusal || got=$?
	same 'exit status' "$got" 2
	same 'reason' "$(sed -n '1s/^tollgate: //p' refusal)" "$what"
	same 'remedy' "$(sed -n '2s/^  remedy: //p' refusal)" "$remedy"
}

# cycle NAME: unplugs and plugs it, over and over, by one client that takes each answer.
cycle() {
	local i
	for ((i = 0; i < cycles; i++)); do
		printf 'unplug %s\nplug %s\n' "$1" "$1"
	done >commands
	"$TALK" unix:ctl $((cycles * 2 * 3)) <commands >replies
	same 'replies' "$(sort -u replies)" ok
	same 'number of replies' "$(wc -l <replies)" $((cycles * 2))
}

# hammer DEVICE WORDS ARGUMENT...: a guest that reads it on each of its CPUs, while it comes and goes. Then what the
# guest counted is in $there, $gone and $written, what we did in the file "stats".
hammer() {
	local device=$1 words=$2
	shift 2
	start_controlled -c 3 "$@" -p "$words" "$(kernel plug)"
	wait_for_output 'plug: begins'
	until [ "${gone:-0}" -gt 0 ]; do # until a CPU has met it
		cycle "$device"
		control stats
		gone=$(jq '.pio.unclaimed_reads + .mmio.unclaimed_reads' reply)
	done
	control unplug debugcon0
	wait_for_output ' looks'
	wait_for is_settled
	mv reply stats
	stop
	printed ' 0 wrong, '
	read -r there gone written < <(sed -n \
		's/^plug: \([0-9]*\) there, \([0-9]*\) gone, 0 wrong, \([0-9]*\) written, .*/\1 \2 \3/p' "$case_dir/out")
	[ "$there" -gt 0 ] || fail 'the device never answered'
}

# Whether no counter moves any more: an I/O thread has seen each doorbell.
is_settled() {
	local before
	control stats
	before=$(jq -c '[.pio, .mmio, .virtio, .exits.MMIO]' reply)
	sleep 0.05
	control stats
	[ "$(jq -c '[.pio, .mmio, .virtio, .exits.MMIO]' reply)" = "$before" ]
}

# address DEVICE OPTION...: the first address of its first range.
address() {
	local device=$1
	shift
	"$TOLLGATE" machine --json "$@" | jq ".devices[] | select(.name == \"$device\").ranges[0].first"
}

case_a_virtio_device_under_load() {
	local at
	at=$(address rng0 --rng)
	hammer rng0 "mmio=$at width=4 expect=0x74726976 write=$((at + 0x50))" --rng
	# Each read is an exit, and counted once; so is each doorbell, by KVM, the device or nobody.
	holds stats ".mmio.unclaimed_reads == $gone and .mmio.reads == $((there + gone))"
	holds stats ".mmio.writes + ([.virtio[].queues[].doorbells] | add) == $written"
	holds stats '.exits.MMIO == .mmio.reads + .mmio.writes'
}

# Status and configuration are a page of the guest's memory while the device is there.
case_registers_that_are_memory() {
	local at
	at=$(address rng0 --rng)
	hammer rng0 "mmio=$((at + 0x60)) width=4 expect=0" --rng
	holds stats ".mmio.unclaimed_reads == $gone and .exits.MMIO == .mmio.reads + .mmio.writes"
	holds stats ".virtio[0].register_page == false or .mmio.reads < $there"
}

case_a_driver_finds_a_device_that_was_reset() {
	local at
	at=$(address rng0 --rng)
	hammer rng0 "driver mmio=$at width=4 expect=0x74726976" --rng
	printed '^plug: [1-9][0-9]* answered, then works'
	holds stats ".mmio.unclaimed_reads >= $gone"
}

# Writes that KVM collects are its own or dropped, and none is lost.
case_a_chip_whose_writes_are_collected() {
	hammer port80 'port=0x80 expect=0x5a write=0x80 value=0x5a'
	# Each CPU's last look finds the debug console gone.
	holds stats ".pio.unclaimed_reads == $((gone + 3))"
	holds stats ".pio.writes - ([.pio.ranges[] | select(.device != \"port80\").writes] | add) == $((written + 1))"
	holds stats '(.devices[] | select(.device == "port80").last_post_code) == 90'
}

# The line status register, which polling makes a page of memory.
case_a_chip_whose_registers_are_memory() {
	local at
	at=$(address serial0)
	hammer serial0 "uart=$at mmio=$((at + 5)) expect=0x60"
	holds stats ".mmio.unclaimed_reads == $gone"
	holds stats ".register_pages == [] or .register_pages[0].unmapped > 0"
}

case_each_device_goes_and_comes() {
	local name names
	start_controlled --rng --balloon 0 --net user --test-device --console both "$(kernel hang)"
	control stats
	names=$(jq -r '.devices[].device' reply)
	for name in $names; do
		control unplug "$name"
		same 'data' "$(cat reply)" ''
	done
	control status
	same 'what is out' "$(sed -n 's/^unplugged //p' reply)" "$names"
	control stats
	holds reply '.pio.ranges == [] and .mmio.ranges == [] and all(.devices[]; .plugged == false)'
	for name in $names; do
		control plug "$name"
	done
	control status
	same 'what is out' "$(sed -n 's/^unplugged //p' reply)" ''
	control stats
	same 'devices on the bus' "$(jq -r '.pio.ranges + .mmio.ranges | map(.device) | unique | sort[]' reply)" "$(sort <<<"$names")"
	holds reply 'all(.devices[]; .plugged)'
	stop # whatever has ended the VM
}

# The guest's way to end is gone, not ours.
case_the_exit_port_is_gone() {
	start_controlled "$(kernel hang)"
	control unplug exit0
	control unplug reset0
	control unplug pm0
	control unplug pvpanic0
	stop
}

case_refused() {
	local names='rtc0 i8042 serial0 debugcon0 port80 exit0 pvpanic0 reset0 pm0 rng0'
	start_controlled --rng "$(kernel hang)"
	refuses "this VM has no device 'disk0'" "it has: $names" unplug disk0
	refuses "this VM has no device 'rgn0'" "did you mean 'rng0'?" unplug rgn0
	refuses "'pit' is emulated by KVM, which cannot take it off" "it has: $names" unplug pit
	refuses "'rng0' is not unplugged" 'unplug rng0 takes it off the bus' plug rng0
	control unplug rng0
	refuses "'rng0' is unplugged already" 'plug rng0 puts it back' unplug rng0
	control plug rng0
	refuses "'unplug' is to be followed by NAME" "\`help\` tells what each command takes" unplug
	refuses "'plug' is to be followed by NAME" "\`help\` tells what each command takes" plug a b
	stop
}

run_cases
