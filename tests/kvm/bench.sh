#!/usr/bin/env bash
# The experiments: each access is counted once, in each VM, and the results arrive in each form. How long anything
# takes, no test here asks.
# shellcheck source-path=SCRIPTDIR disable=SC2317,SC2016 # cases are called by name; dollars are of jq
. "${0%/*}/lib.bash"
need_kvm
docs=$(realpath "${0%/*}/../../docs") # a case runs in a directory of its own

# benched FILTER ARGUMENT...: a short run; the document fulfils the filter, and its counts agree.
benched() {
	local filter=$1
	shift
	tollgate bench --seconds 0.1 --repeat 3 --json out.json "$@"
	same 'exit status' "$status" 0
	same 'standard error' "$(cat "$case_dir/err")" ''
	holds out.json 'all(.experiments[]; .counts | .dispatched + .bare + .hits + .in_kernel == .guest)'
	holds out.json 'all(.experiments[]; .counts.guest == ([.points[].accesses] | add))'
	holds out.json 'all(.experiments[]; .batches == 3 and .rounds >= 9)'
	holds out.json 'all(.experiments[].points[]; [(.ns, .ratio, .beyond_ns) | length] == [3, 3, 3])'
	holds out.json "$filter"
}

# In each round 192 accesses, of which 64 warm up, and one round more per batch to begin with.
case_accesses_that_exit_are_as_many_as_the_rounds_make() {
	benched '.experiments[0] | .rounds as $r | .counts.hits == 0 and .counts.in_kernel == 0
		and all(.points[]; .accesses == 192 * ($r + 3))' ranges --ranges 1,50
	holds out.json '[.experiments[0].points[] | [.series, .x]] == [["floor: one range each time", 1],
		["floor: two ranges in turn", 1], ["one range each time", 1], ["two ranges in turn", 1],
		["one range each time", 50], ["two ranges in turn", 50]]'
	holds out.json '[.experiments[0].points[].floor] == [null, null, 0, 1, 0, 1]'
	holds out.json '.experiments[0] | .counts.bare == .counts.dispatched / 2'
}

case_kinds_of_exits() {
	benched '.experiments[0].counts | .dispatched > 0 and .bare > 0 and .in_kernel > 0 and .hits == 0' exits
	holds out.json '[.experiments[0].points[] | select(.floor) | .series] | unique
		| map(select(startswith("hypercall") | not)) | length == 12'
	holds out.json 'all(.experiments[0].points[] | select(.series | test("^port|^MMIO")); .dispatch_ns | length == 3)'
	holds out.json 'all(.experiments[0].points[] | select(.series | test("CPUID|hypercall|HLT|floor|string")); .dispatch_ns == null)'
	# The guest times 8 accesses in the first turn of each batch, and then 8 to 64 in each round.
	holds out.json '.experiments[0] | .rounds as $r | all(.points[]; if .series | test("string") then .latency_ns == null
		else .latency_ns.count >= 8 * $r and .latency_ns.count <= 64 * $r end)'
	holds out.json 'all(.experiments[0].points[] | select(.latency_ns and (.series | test("HLT") | not)); .latency_ns.p50 > 0)'
}

case_ioeventfds_are_hit_where_the_guest_hits_them() {
	benched '.experiments[0].counts | .hits > 0 and .dispatched > 0 and .in_kernel == 0' ioeventfds --ioeventfds 0,1,3,300
	holds out.json '[.experiments[0].points[] | select(.series | test("hits")) | .accesses] | add' # not null
	holds out.json '.experiments[0] | .counts.hits == ([.points[] | select(.series | test("hits")) | .accesses] | add)'
	holds out.json '[.experiments[0].points[] | select(.series == "one byte; hits the last").x] == [1, 3, 300]'
	holds out.json '[.experiments[0].points[] | select(.series == "one byte; another port").x] == [0, 1, 3, 300]'
}

case_all_vcpus_count() {
	benched '.experiments[0] | .rounds as $r | [.points[].accesses] ==
		([192, 192, 384, 384, 576, 576] | map(. * ($r + 3)))' vcpus --vcpus 1,2,3 --pin
}

case_collected_writes_are_dispatched_too() {
	benched '.experiments[0] | .counts.dispatched == ([.points[] | select(.floor != null) | .accesses] | add)' collected
}

case_memory_slots() {
	benched '.settings.slots == [1, 40] and [.experiments[0].points[].x] == [1, 1, 40]' memory-slots --slots 1,40
}

# Each ring is a hit, and those of the first turn of a batch have no percentiles.
case_doorbells_are_answered() {
	benched '.experiments[0] | .counts.dispatched == 0 and .counts.in_kernel == 0 and
		.counts.bare == .points[0].accesses and .counts.hits == ([.points[1:][].accesses] | add)' doorbell --pin
	holds out.json '.experiments[0].points | length == 7 and .[0].floor == null and all(.[1:][]; .floor == 0)'
	holds out.json 'all(.experiments[0].points[]; .accesses == .latency_ns.count + 3 * 8)'
	holds out.json 'all(.experiments[0].points[].latency_ns; .p50 > 0 and .p50 <= .p90 and .p90 <= .p99 and
		.p99 <= .p99_9 and .p99_9 <= .max and .mean <= .max)'
}

# Each call has a value in each round, and the sums are sums: a mean lacks less than 1 ns.
case_a_set_up_is_the_sum_of_its_calls() {
	benched '.experiments[0] | .rounds as $r | .counts.guest == 0 and all(.points[]; .latency_ns.count == $r)' setup
	holds out.json '.experiments[0].points[0].floor == null and all(.experiments[0].points[1:][]; .floor == 0)'
	holds out.json '.experiments[0].points[3:] | [.[].series] | index("KVM_CREATE_VM") == 2 and
		index("KVM_CREATE_VCPU, mmap") > 4 and index("VM closed") > index("that slot removed")'
	holds out.json '.experiments[0].points | ([.[3:][].series] | index("that slot removed")) as $n
		| ([.[3:3 + $n][].latency_ns.mean] | add) as $make | ([.[3 + $n:][].latency_ns.mean] | add) as $unmake
		| .[1].latency_ns.mean - $make >= 0 and .[1].latency_ns.mean - $make <= $n and
			.[2].latency_ns.mean - $unmake >= 0 and .[2].latency_ns.mean - $unmake <= length'
}

# KVM's part is what the others leave, batch by batch; a KVM_RUN without entry makes no access.
case_an_exit_is_split_into_its_parts() {
	benched '.experiments[0] | .counts.hits == 0 and .counts.in_kernel == .points[0].accesses and .points[1].accesses == 0' split
	holds out.json '[.experiments[0].points[] | select(.parts_ns).series] | length == 5'
	holds out.json '.experiments[0].points | (.[0], .[1]) |= (.floor == null and .ns[0] > 0) | .[0] and .[1]'
	holds out.json 'def median: sort | .[1]; .experiments[0].points | .[0].ns as $guest | .[1].ns as $run
		| all(.[] | select(.parts_ns); . as $p | .parts_ns.tollgate == (.dispatch_ns | median)
			and .parts_ns.guest == ($guest | median) and .parts_ns.kvm_run == ($run | median)
			and (.parts_ns.kvm - ([range(3) | $p.ns[.] - $guest[.] - $run[.] - $p.dispatch_ns[.]] | median) | fabs < 0.001))'
	printed '^  ns of the parts  ' '^  port write  +1 +[0-9]+\.[0-9] +[0-9]+\.[0-9] +[0-9.-]+ +[0-9.-]+$'
}

blocks_sigterm() {
	[ $((16#$(sed -n 's/^SigBlk:[[:space:]]*//p' /proc/"$pid"/status) >> 14 & 1)) = 1 ]
}

case_a_signal_ends_a_set_up() {
	start bench setup --seconds 80000
	wait_for blocks_sigterm
	kill -s TERM "$pid"
	finish
	same 'exit status' "$status" 116
	complained '^tollgate: bench ended by SIGTERM'
}

case_all_experiments_are_listed_and_run() {
	tollgate bench --list
	same 'exit status' "$status" 0
	cut -d ' ' -f 1 "$case_dir/out" >listed
	benched '[.experiments[].name] | length == 9' --ioeventfds 1 --ranges 1 --vcpus 1 --slots 1 --csv out.csv --plot plots
	jq -r '.experiments[].name' out.json | diff listed - || fail 'not all that are listed were run'
	same 'lines of the table' "$(wc -l <out.csv)" "$(jq '1 + ([.experiments[].points[]] | length)' out.json)"
	head -n 1 out.csv | grep -q '^experiment,series,x,ns,' || fail "$(head -n 1 out.csv)"
	local name
	while read -r name; do
		xmllint --noout "plots/$name.svg"
		grep -q 'time per [a-z]* in ns' "plots/$name.svg" || fail "$name.svg: no unit"
		grep -q floor "plots/$name.svg" || fail "$name.svg: no floor"
		if [ ! -s "plots/$name.dat" ] || [ ! -s "plots/$name.gp" ]; then fail "$name: nothing for gnuplot"; fi
	done <listed
	printed '^exits: ' '^  port write +1 +[0-9]+ +[0-9.-]+ +[0-9.]+  [0-9.]+ to [0-9.]+$' \
		'^  3 batches, [0-9]+ rounds; [0-9]+ accesses, each counted once$'
}

# From now on KVM does not report the frequency of the guest's clock: KVM_GET_TSC_KHZ, 0xaea3, fails.
without_tick_hz() {
	printf '#!/bin/sh\nexec "%s" 0xaea3 "%s" "$@"\n' "$REFUSE" "$TOLLGATE" >without
	chmod +x without
	TOLLGATE=$PWD/without
}

case_without_a_frequency_there_are_no_percentiles() {
	without_tick_hz
	benched '.experiments[0] | .rounds >= 9 and all(.points[]; .latency_ns == null)' exits
	tollgate bench --seconds 0.1 --repeat 3 doorbell
	same 'exit status' "$status" 2
	complained_of 'bench-tick-frequency'
	tollgate bench --seconds 0.1 --repeat 3 --json out.json --ioeventfds 1 --ranges 1 --vcpus 1 --slots 1
	same 'exit status' "$status" 0
	complained "^tollgate: warning: bench leaves out 'doorbell': .* \\[bench-tick-frequency\\]\$"
	holds out.json '.experiments | length == 8 and all(.[]; .name != "doorbell")'
}

case_finished_results_outlive_an_error() {
	without_tick_hz
	tollgate bench --seconds 0.1 --repeat 3 --json out.json collected doorbell
	same 'exit status' "$status" 2
	complained_of 'bench-tick-frequency'
	holds out.json '[.experiments[].name] == ["collected"]'
}

# Each key of a document is in docs/reference/bench.md, and each key of the page is in a document.
case_the_schema_is_documented() {
	local page=$docs/reference/bench.md
	benched true ranges doorbell split --ranges 1,2
	jq -r '[paths(type != "object" and type != "array") | map(if type == "number" then "[]" else "." + . end) | join("")
		| ltrimstr(".")] | unique[]' out.json | sort >found
	sed -n 's/^| \(`[^|]*\) |.*/\1/p' "$page" | grep -o '`[^`]*`' | tr -d '`' | sort >documented
	diff documented found || fail 'docs/reference/bench.md and the document differ'
}

case_a_run_compared_with_itself_is_no_difference() {
	benched true ranges --ranges 1,10
	tollgate bench compare out.json out.json
	same 'exit status' "$status" 0
	printed '^no difference: 4 points$'
	tollgate bench compare --all out.json out.json
	same 'exit status' "$status" 0
	same lines "$(grep -c 'no difference$' "$case_dir/out")" 9
}

# The same results with the time in Tollgate doubled and 50 ns more; and an access slower by half.
case_a_difference_is_found() {
	benched true ranges --ranges 1,10
	jq '.experiments[0].waited = 0
		| (.experiments[0].points[] | select(.x == 10 and .floor == 1).dispatch_ns) = [80, 81, 82]
		| (.experiments[0].points[] | select(.x == 10 and .floor == 0)) |= (.ratio = [1.5, 1.501, 1.502]
			| .dispatch_ns = [20, 20.1, 20.2])' out.json >a.json
	jq '(.experiments[0].points[] | select(.x == 10 and .floor == 1).dispatch_ns) = [180, 181, 182]
		| (.experiments[0].points[] | select(.x == 10 and .floor == 0).ratio) = [1.9, 1.901, 1.902]' a.json >b.json
	tollgate bench compare a.json b.json
	same 'exit status' "$status" 1
	printed '^ranges +one range each time +10  ratio to floor +1.5010 +1.9010  MORE$' \
		'^ranges +two ranges in turn +10  ns in Tollgate +81.0 +181.0  MORE$' '^2 of 4 points differ beyond noise'
	tollgate bench compare b.json a.json
	same 'exit status' "$status" 1
	printed ' LESS$'
	jq '.host.kernel = "other"' a.json >c.json
	tollgate bench compare a.json c.json
	printed "^different hosts: kernel '.*' and 'other'$"
}

case_documents_on_standard_output_are_alone_there() {
	tollgate bench --seconds 0.1 --repeat 3 --json - collected
	same 'exit status' "$status" 0
	holds "$case_dir/out" '.experiments[0].name == "collected"'
	complained '^collected: '
	tollgate bench --seconds 0.1 --repeat 3 --csv - collected
	same 'lines of the table' "$(wc -l <"$case_dir/out")" 4
}

case_a_signal_ends_it_at_once() {
	local signal
	for signal in INT TERM HUP; do
		start bench "$([ $signal = HUP ] && echo doorbell || echo ioeventfds)" --seconds 80000
		wait_for runs_a_vcpu
		kill -s $signal "$pid"
		finish
		same 'exit status' "$status" 116
		one_error "$case_dir/err"
		complained_of "batch-ended SIG$signal"
	done
}

case_too_few_open_files_are_told_before_the_guest_runs() {
	ulimit -n 1000
	tollgate bench ioeventfds --ioeventfds 300
	same 'exit status' "$status" 2
	complained_of 'open-files-limit --ioeventfds 600' 1200
}

case_a_result_that_does_not_arrive_is_an_error() {
	tollgate bench --seconds 0.1 --repeat 3 --json nowhere/out.json collected
	same 'exit status' "$status" 123
	complained_of "output-create 'nowhere/out.json'"
	printed '^collected: '
	tollgate bench --seconds 0.1 --repeat 3 --plot /dev/null/plots collected
	same 'exit status' "$status" 123
	complained_of "plot-directory '/dev/null/plots'"
}

run_cases
