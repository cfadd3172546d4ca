#!/usr/bin/env bash
# --stats and --stats=json: every number is what the guest did.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# The file "code": a boot sector with a known number of accesses of each kind, and then exit code 0.
known_accesses() {
	assemble code <<-'END'
		.code16
		mov $300, %cx
		1: out %al, $0x80
		loop 1b
		mov $200, %cx
		1: in $0xe9, %al
		loop 1b
		mov $0xe00, %dx # nobody's
		mov $100, %cx
		1: in %dx, %eax
		loop 1b
		mov $50, %cx
		1: out %al, %dx
		loop 1b
		mov $40, %cx
		1: in $0xe9, %ax # half of it nobody's
		loop 1b
		mov $0x8000, %di
		mov $0xe9, %dx
		mov $30, %cx
		rep insb
		mov $0, %al
		out %al, $0xf4
		hlt
	END
}

case_counts_are_what_the_guest_did() {
	known_accesses
	tollgate run --flat 0x7c00,real --stats=json:stats --exits writes code
	ended 0 'exit code 0 (exit port)'
	holds stats "pio($((0x80))) | .device == \"port80\" and .reads == 0 and .writes == 300"
	holds stats "pio($((0xe9))) | .device == \"debugcon0\" and .reads == 200 + 40 + 30 and .writes == 0"
	holds stats "pio($((0xf4))) | .device == \"exit0\" and .reads == 0 and .writes == 1"
	holds stats '.pio.unclaimed_reads == 100 + 40 and .pio.unclaimed_writes == 50'
	holds stats '.pio.unclaimed == [{address: 3584, reads: 100, writes: 50}]'
	holds stats '.pio.split == 40'
	holds stats '.pio.reads == 200 + 100 + 40 + 30 and .pio.writes == 300 + 50 + 1'
	holds stats '[.pio.ranges[] | .reads + .writes] | add == 300 + 270 + 1'
	holds stats '.mmio.reads == 0 and .mmio.writes == 0 and .coalesced_writes == 0'
	# One exit an access, but for the string, which KVM may hand over in one piece or in several.
	holds stats '.exits.IO >= 300 + 200 + 100 + 50 + 40 + 1 + 1 and
		.exits.IO <= 300 + 200 + 100 + 50 + 40 + 1 + 30'
}

case_writes_that_kvm_collects_are_counted_the_same() {
	local own
	known_accesses
	tollgate run --flat 0x7c00,real --stats=json:stats code
	holds stats "pio($((0x80))) | .writes == 300"
	holds stats '.pio.writes == 300 + 50 + 1'
	if jq -e '.coalesced_writes == 0' stats >/dev/null; then
		skip "this host's KVM collects no port writes"
	fi
	own=$(jq .coalesced_writes stats)
	holds stats "pio($((0x80))) | .collected == $own"
	holds stats 'all(.pio.ranges[], .mmio.ranges[]; .collected <= .writes)'
	holds stats ".exits.IO <= 300 + 200 + 100 + 50 + 40 + 1 + 30 - $own"
}

case_what_only_a_device_knows_is_told() {
	assemble code <<-'END'
		.code16
		mov $0x5a, %al
		out %al, $0x80
		mov $2, %al
		mov $0x505, %dx
		out %al, %dx
		mov $0, %al
		out %al, $0xf4
		hlt
	END
	tollgate run --flat 0x7c00,real --stats --stats=json:stats code
	ended 0 'exit code 0 (exit port)'
	holds stats '.devices[] | select(.device == "port80") == {device: "port80", plugged: true, guest_errors: 0, last_post_code: 90}'
	holds stats '.devices[] | select(.device == "pvpanic0").crash_kernels == 1'
	complained '^port80: last_post_code 90$' '^pvpanic0: crash_kernels 1$'
	! grep -q '^debugcon0: ' "$case_dir/err" || fail 'a number that is nought is in the table'
}

case_the_port_kernels_own_checks_are_counted() {
	local long
	tollgate run --stats=json:stats "$(kernel pio)"
	# Strings of the same length in three widths and two directions go to both ports.
	long=$(jq '.pio.ranges[] | select(.device == "debugcon0").reads - 1' stats)
	holds stats "$long > 6 * 1000 and $long % 6 == 0"
	# Besides them: 8 writes and 19 reads by the checks of edges and of empty strings.
	holds stats "pio($((0x80))) | .reads == 19 and .writes == $long + 8"
	holds stats "pio($((0xf4))) | .reads == 0 and .writes == 1"
}

case_exits_add_up() {
	tollgate run --test-device --cpus 2 --stats=json:stats "$(kernel smp)"
	holds stats '.exits.total == ([.exits | to_entries[] | select(.key != "total").value] | add)'
	holds stats '.exits.IO + .exits.MMIO ==
		.pio.reads + .pio.writes + .mmio.reads + .mmio.writes - .coalesced_writes'
}

case_json_says_how_the_vm_ended() {
	tollgate run --stats=json:stats -p exit=300 "$(kernel exits)"
	holds stats '.end == {kind: "exit code", by: "exit port", code: 300, exit_status: 44}'
	tollgate run --stats=json:stats -p panic "$(kernel exits)"
	holds stats '.end == {kind: "panic", by: "pvpanic", exit_status: 112}'
	tollgate run --stats=json:stats --timeout 0.5 "$(kernel hang)"
	holds stats '.end == {kind: "timeout", by: "--timeout", exit_status: 117}'
}

case_json_holds_nothing_else_and_goes_nowhere_else() {
	tollgate run --stats=json:stats -p exit=0 "$(kernel exits)"
	same 'lines of standard error' "$(wc -l <"$case_dir/err")" 1
	same output "$(cat "$case_dir/out")" 'exits: exit port'
	same 'documents' "$(jq -s length stats)" 1
	holds stats 'contains({end: {}, exits: {}, pio: {ranges: []}, mmio: {ranges: []}}) and
		has("coalesced_writes") and has("kvm_vm") and has("kvm_vcpus")'
}

case_time_exits_adds_the_time_in_each_device() {
	known_accesses
	tollgate run --flat 0x7c00,real --stats=json:stats --exits time --stats code
	holds stats "pio($((0xe9))) | .ns > 0"
	holds stats "pio($((0x80))) | .ns > 0"
	holds stats 'all(.pio.ranges[]; has("ns") and (.reads + .writes > 0 or .ns == 0))'
	complained '^PIO    range +device +reads +writes +collected +ns/access$' \
		'^       0xe9-0xe9 +debugcon0 +270 +0 +0 +[0-9]+$'
	tollgate run --flat 0x7c00,real --stats=json:stats code
	holds stats 'all(.pio.ranges[]; has("ns") | not)'
}

# The file "stats" has a row with these reason, access and device, of so many exits.
latency_has() {
	holds stats "[.latency.exits[] | select(.reason == \"$1\" and .access == $2 and .device == $3).count] == [$4]"
}

case_latency_counts_each_exit_once_by_reason_and_device() {
	known_accesses
	tollgate run --flat 0x7c00,real --stats=json:stats --exits writes,latency --stats code
	ended 0 'exit code 0 (exit port)'
	latency_has IO '"write"' '"port80"' 300
	latency_has IO '"write"' '"exit0"' 1
	latency_has IO '"write"' null 50
	latency_has IO '"read"' null 100
	# A string is one exit or several.
	holds stats '.latency.exits[] | select(.device == "debugcon0") | .access == "read" and .count > 240 and .count <= 270'
	holds stats '[.latency.exits[] | select(.reason == "IO").count] | add' # not null
	holds stats '.exits.IO == ([.latency.exits[] | select(.reason == "IO").count] | add)'
	holds stats 'all(.latency.exits[]; .count == ([.buckets[].count] | add))'
	holds stats 'all(.latency.exits[]; .p50_ns <= .p90_ns and .p90_ns <= .p99_ns and .p99_ns <= .p99_9_ns and
		.p99_9_ns <= .max_ns and .mean_ns <= .max_ns and .mean_ns > 0)'
	complained '^ns in Tollgate per exit; reading the clock is [0-9]+ of each$' \
		'^  exit +exits +p50 +p90 +p99 +p99\.9 +max$' '^  IO write port80 +300( +[0-9]+){5}$' \
		'^  IO read unclaimed +100( +[0-9]+){5}$'
	tollgate run --flat 0x7c00,real --stats=json:stats code
	holds stats 'has("latency") and .latency == null'
}

case_the_table_says_the_same() {
	known_accesses
	tollgate run --flat 0x7c00,real --stats --stats=json:stats --exits writes code
	complained "^exits to userspace: $(jq .exits.total stats)\$" "^  IO +$(jq .exits.IO stats)\$" \
		'^       0x80-0x80 +port80 +0 +300 +0$' '^       0xe9-0xe9 +debugcon0 +270 +0 +0$' \
		'^       unclaimed +140 +50$' '^         0xe00 +100 +50$' '^       split accesses: 40$'
	! grep -q ' rtc0 ' "$case_dir/err" || fail 'a range without accesses is in the table'
}

# Accesses that nobody claims are under their own bus's heading, also when nothing else is there.
case_unclaimed_accesses_are_under_their_heading() {
	assemble code <<-'END'
		mov $0xd8000000, %eax
		mov %eax, (%rax)
		mov (%rax), %ebx
		mov (%rax), %ebx
		mov $0, %al
		out %al, $0xf4
		hlt
	END
	tollgate run --flat 0x100000 --stats code
	ended 0 'exit code 0 (exit port)'
	same 'unclaimed' "$(sed -n '/^MMIO  */,/^[^ ]/s/ *unclaimed */unclaimed /p' "$case_dir/err")" \
		"unclaimed 2            1"
	same headings "$(grep -cE '^(PIO|MMIO) +range' "$case_dir/err")" 2
}

case_kvms_own_statistics_are_there() {
	known_accesses
	tollgate run --flat 0x7c00,real --stats --stats=json:stats code
	if jq -e '.kvm_vm == null' stats >/dev/null; then
		complained "^KVM's statistics of the VM: not available: "
		skip "this host's KVM has no statistics descriptors"
	fi
	holds stats '.kvm_vcpus.exits >= .exits.IO'
	holds stats '.kvm_vm | type == "object" and length > 5'
	complained "^KVM's statistics of the VM:\$" "^KVM's statistics of the vCPUs, summed:\$" \
		"^  exits +$(jq .kvm_vcpus.exits stats)\$"
}

case_a_file_that_cannot_be_written_is_told_before_the_guest_runs() {
	local file
	mkfifo pipe
	for file in missing/stats /proc/stats . pipe; do
		tollgate run --stats=json:$file "$(kernel hang)"
		same 'exit status' "$status" 2
		same output "$(cat "$case_dir/out")" ''
		complained_of "run-file-create '$file': "
	done
}

case_a_file_that_takes_no_more_is_an_error() {
	tollgate run --stats=json:/dev/full -p exit=0 "$(kernel exits)"
	same 'exit status' "$status" 123
	complained '^tollgate: exit code 0 \(exit port\), exit status 123$'
	complained_of "stats-write '/dev/full': No space left on device"
	tollgate run --stats=json:/dev/full -p exit=7 "$(kernel exits)"
	same 'exit status' "$status" 123
	complained '^tollgate: exit code 7 \(exit port\), exit status 123$'
	status=0
	timeout -k 10 "$limit_s" "$TOLLGATE" --help >/dev/full 2>"$case_dir/err" || status=$?
	same 'exit status' "$status" 123
}

run_cases
