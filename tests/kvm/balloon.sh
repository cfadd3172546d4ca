#!/usr/bin/env bash
# The memory balloon: what the guest gives up or reports as free leaves the VMM's resident memory, and is
# there again, zeroed, when it is touched.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

mib=64
kib=$((mib * 1024))

rss_kib() {
	awk '/^Rss:/ { print $2 }' "/proc/$pid/smaps_rollup"
}

# after HOW: the VMM's resident memory in KiB, as $rss, once the kernel has done that.
after() {
	start run -m 256M --balloon 0 --stats=json:stats -p "mib=$mib how=$1" "$(kernel balloon)"
	wait_for_output "balloon: $1"
	rss=$(rss_kib)
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
}

case_inflated_memory_leaves_the_vmm() {
	local full
	after keep
	full=$rss
	[ "$full" -ge $kib ] || fail "RSS is $full KiB after the guest touched $kib"
	after inflate
	[ $((full - rss)) -ge $((kib * 9 / 10)) ] || fail "RSS went from $full to $rss KiB only"
	holds stats ".virtio[0] | .inflated_bytes == $kib * 1024 and .bad_pages == $kib / 4"
}

case_deflated_memory_is_there_again() {
	after deflate
	[ "$rss" -ge $kib ] || fail "RSS is $rss KiB after the guest touched $kib again"
	holds stats ".virtio[0] | .deflated_bytes == $kib * 1024 and .resets_needed == 0"
}

case_reported_memory_leaves_the_vmm() {
	local full
	after keep
	full=$rss
	after report
	[ $((full - rss)) -ge $((kib * 9 / 10)) ] || fail "RSS went from $full to $rss KiB only"
	holds stats ".virtio[0] | .reported_bytes == $kib * 1024"
}

# actual MIB: whether the VM knows that the guest has given up so much.
actual() {
	control balloon
	grep -qx "actual_bytes $(($1 << 20))" reply
}

# The balloon's target changes while the guest runs; the guest follows, and finds memory that it takes back zeroed.
case_the_target_is_raised_and_lowered() {
	local full low half
	start_controlled -m 256M --balloon 0 --stats=json:stats -p "mib=$mib how=follow" "$(kernel balloon)"
	wait_for_output 'balloon: follow'
	full=$(rss_kib)
	control balloon ${mib}M
	wait_for_output "balloon: at $mib MiB"
	low=$(rss_kib)
	[ $((full - low)) -ge $((kib * 9 / 10)) ] || fail "RSS went from $full to $low KiB only"
	wait_for actual $mib
	control balloon $((mib / 4))M
	wait_for_output "balloon: at $((mib / 4)) MiB"
	half=$(rss_kib)
	[ $((half - low)) -ge $((kib * 27 / 40)) ] || fail "RSS went from $low to $half KiB only"
	wait_for actual $((mib / 4))
	control balloon 0
	wait_for_output 'balloon: at 0 MiB'
	stop
	holds stats ".virtio[0] | .inflated_bytes == $kib * 1024 and .deflated_bytes == $kib * 1024 and .resets_needed == 0"
}

case_bad_balloons_are_refused() {
	run_refused "balloon-form 'lots'" --balloon lots
	run_refused "balloon-form '64M,stats=0'" --balloon 64M,stats=0
	run_refused "balloon-form '64M,often'" --balloon 64M,often
	run_refused balloon-twice --balloon 0 --balloon 1M
	run_refused 'balloon-too-large 64' --mem 64M --balloon 64M
	run_refused balloon-hugepages --balloon 1M --hugepages
}

run_cases
