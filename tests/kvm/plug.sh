#!/usr/bin/env bash
# `tollgate control SOCK unplug NAME` and `plug NAME`: devices leave the bus of a running VM and come back.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

cycles_in_use=15 # of a device that the guest accesses all the while: each is one chance for a race
cycles_idle=200  # of a device with an I/O thread, doorbells and a page, that are to leave nothing
cycles_each=10   # of every other device, for the same

# cycle TIMES NAME...: unplugs and plugs them that often, by one client that takes each answer.
cycle() {
	local times=$1 i name
	shift
	for ((i = 0; i < times; i++)); do
		for name; do
			printf 'unplug %s\nplug %s\n' "$name" "$name"
		done
	done >commands
	"$TALK" unix:ctl $((times * $# * 2 * 3)) <commands >replies
	same 'replies' "$(sort -u replies)" ok
	same 'number of replies' "$(wc -l <replies)" $((times * $# * 2))
}

# now FILTER: its result for the statistics just now.
now() {
	control stats
	jq "$1" reply
}

unclaimed='.pio.unclaimed_reads + .mmio.unclaimed_reads'

# finds_nobody SINCE: whether the guest's reads were answered by nobody, since there were that many of those.
finds_nobody() {
	[ "$(now "$unclaimed")" -gt "$1" ]
}

# is_met_while_out DEVICE: takes it out, until one of the guest's CPUs has read its register and found nobody.
is_met_while_out() {
	local since
	control unplug "$1"
	since=$(now "$unclaimed")
	wait_for finds_nobody "$since"
}

# hammers WORDS ARGUMENT...: starts a guest that reads a device's register on each of its CPUs.
hammers() {
	local words=$1
	shift
	start_controlled -c 3 --stats=json:stats "$@" -p "$words" "$(kernel plug)"
	wait_for_output 'plug: begins'
}

# races DEVICE: it comes and goes, and is there when the guest ends. Then what the guest counted is in $there, $gone and
# $written, what Tollgate counted in the file "stats". The guest has said that its CPUs have stopped, so none of its
# accesses is on its way; only an I/O thread may still be about to count a doorbell, which it will.
races() {
	local device=$1
	is_met_while_out "$device"
	control plug "$device"
	cycle "$cycles_in_use" "$device"
	control unplug debugcon0
	wait_for_output ' looks'
	printed ' 0 wrong, '
	read -r there gone written < <(sed -n \
		's/^plug: \([0-9]*\) there, \([0-9]*\) gone, 0 wrong, \([0-9]*\) written, .*/\1 \2 \3/p' "$case_dir/out")
	[ "$there" -gt 0 ] || fail 'the device never answered'
	[ "$gone" -gt 0 ] || fail 'the device never left'
	wait_for doorbells_are_counted
	stop
}

# Each write to a doorbell, if that is what the guest writes, went to KVM, the device or nobody.
doorbells_are_counted() {
	control stats
	jq -e "(.virtio | length) == 0 or $written == 0 or $doorbells == $written" reply >/dev/null
}
doorbells='(.mmio.writes + ([.virtio[].queues[].doorbells] | add))'

# address DEVICE OPTION...: the first address of its first range.
address() {
	local device=$1
	shift
	"$TOLLGATE" machine --json "$@" | jq ".devices[] | select(.name == \"$device\").ranges[0].first"
}

case_a_virtio_device_under_load() {
	local at
	at=$(address rng0 --rng)
	hammers "mmio=$at width=4 expect=0x74726976 write=$((at + 0x50))" --rng
	races rng0
	# Each read is an exit, and counted once; so is each doorbell.
	holds stats ".mmio.unclaimed_reads == $gone and .mmio.reads == $((there + gone))"
	holds stats "$doorbells == $written"
	holds stats '.exits.MMIO == .mmio.reads + .mmio.writes'
}

# Status and configuration are a page of the guest's memory while the device is there.
case_registers_that_are_memory() {
	local at
	at=$(address rng0 --rng)
	hammers "mmio=$((at + 0x60)) width=4 expect=0" --rng
	races rng0
	holds stats ".mmio.unclaimed_reads == $gone and .exits.MMIO == .mmio.reads + .mmio.writes"
	# At least the last round of each CPU, 64 reads, found the page without an exit.
	holds stats ".virtio[0].register_page and .mmio.reads <= $((there + gone - 3 * 64))"
}

case_a_driver_finds_a_device_that_was_reset() {
	local at
	at=$(address rng0 --rng)
	hammers "driver mmio=$at width=4 expect=0x74726976" --rng
	races rng0
	printed '^plug: [1-9][0-9]* answered, then works'
	holds stats ".mmio.unclaimed_reads >= $gone"
}

# Writes that KVM collects are its own or dropped, and none is lost.
case_a_chip_whose_writes_are_collected() {
	hammers 'port=0x80 expect=0x5a write=0x80 value=0x5a'
	races port80
	# Each CPU's last look finds the debug console gone.
	holds stats ".pio.unclaimed_reads == $((gone + 3))"
	holds stats ".pio.writes - ([.pio.ranges[] | select(.device != \"port80\").writes] | add) == $((written + 1))"
	holds stats '(.devices[] | select(.device == "port80").last_post_code) == 90'
}

# The count of reads of ports that --exits latency has for a device, in the file "reply"; null: for nobody.
timed_reads() {
	jq "[.latency.exits[] | select(.reason == \"IO\" and .access == \"read\" and .device == $1).count] | add // 0" reply
}

has_timed_reads() {
	control stats
	[ "$(timed_reads "$1")" -gt "$2" ]
}

case_latency_is_of_nobody_while_a_device_is_out() {
	local since
	hammers 'port=0x80 expect=0x5a' --exits latency
	wait_for has_timed_reads '"port80"' 0
	since=$(timed_reads null)
	control unplug port80
	wait_for has_timed_reads null "$since"
	since=$(timed_reads '"port80"')
	control plug port80
	wait_for has_timed_reads '"port80"' "$since"
	stop
}

# Whether polling has made the serial port's line status register a page of memory.
serial_is_memory() {
	control stats
	jq -e '.register_pages[] | select(.device == "serial0") | .unmapped == .mapped_again' reply >/dev/null
}

# While the page is there no poll is an exit, so the guest can find nobody only if the page leaves with the port.
case_a_chip_whose_registers_are_memory() {
	local at page='.register_pages[] | select(.device == "serial0")' unmapped mapped
	at=$(address serial0)
	hammers "uart=$at mmio=$((at + 5)) expect=0x60"
	wait_for serial_is_memory
	unmapped=$(jq "$page.unmapped" reply)
	mapped=$(jq "$page.mapped_again" reply)
	control unplug serial0
	control stats
	holds reply "($page.unmapped) == $((unmapped + 1))"
	wait_for finds_nobody "$(jq "$unclaimed" reply)"
	holds reply "($page.unmapped) == $((unmapped + 1)) and ($page.mapped_again) == $mapped"
	control plug serial0
	wait_for serial_is_memory # polling makes it one again
	races serial0
	holds stats ".mmio.unclaimed_reads == $gone"
	holds stats "($page.unmapped) > $((unmapped + 1))"
}

# Descriptors and mappings of the VM's process; the kernel makes one of two mappings that touch, so their size too.
resources() {
	printf '%d descriptors, %d mappings, %d kB\n' "$(find "/proc/$pid/fd" -type l | wc -l)" \
		"$(wc -l <"/proc/$pid/maps")" "$(sed -n 's/^VmSize:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status")"
}

case_nothing_is_left_behind() {
	local before names
	start_controlled --rng --balloon 0 --net user --share . --vsock v --test-device --console both "$(kernel hang)"
	control stats
	names=$(jq -r '.devices[].device' reply)
	# shellcheck disable=SC2086
	cycle 1 $names # what is made once, and kept
	before=$(resources)
	cycle "$cycles_idle" rng0
	# shellcheck disable=SC2086
	cycle "$cycles_each" $names
	same 'after the cycles' "$(resources)" "$before"
	stop
}

case_each_device_goes_and_comes() {
	local name names
	start_controlled --rng --balloon 0 --net user --share . --vsock v --test-device --console both "$(kernel hang)"
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
	same 'devices on the bus' "$(jq -r '.pio.ranges + .mmio.ranges | map(.device) | unique | sort[]' reply)" \
		"$(sort <<<"$names")"
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
	refuses "device-none 'disk0'" "$names" unplug disk0
	refuses "device-none 'rgn0'" "'rng0'" unplug rgn0
	refuses "device-in-kvm 'pit'" "$names" unplug pit
	refuses "unplugged-not 'rng0'" some plug rng0
	control unplug rng0
	refuses "unplugged-already 'rng0'" some unplug rng0
	control plug rng0
	refuses "command-arguments 'unplug'" some unplug
	refuses "command-arguments 'plug'" some plug a b
	stop
}

run_cases
