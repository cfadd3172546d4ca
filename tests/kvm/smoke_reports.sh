#!/usr/bin/env bash
# Reports of smoke boots for programs: JUnit, TAP, JSON, a chart, logs. Each is read by another program
# that knows the format, also when the guest or a file's name is hostile.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
. "${0%/*}/smoke.bash"
need_kvm
schema=$(realpath "${0%/*}")/junit.xsd

# is FILE FILTER: the jq filter is true of the JSON in FILE.
is() {
	jq -e "$2" "$1" >/dev/null || {
		jq . "$1"
		fail "not true of $1: $2"
	}
}

# xpath FILE EXPRESSION WANTED
xpath() {
	same "$2 of $1" "$(xmllint --xpath "string($2)" "$1")" "$3"
}

# all_reports OPTION...: a run with every report; each is well-formed.
all_reports() {
	tollgate smoke --junit junit.xml --tap tap --json json --boot-chart chart.svg --log-dir logs "$@"
	xmllint --noout --schema "$schema" junit.xml || fail 'the JUnit file does not validate'
	xmllint --noout chart.svg || fail 'the chart is not well-formed'
	prove --exec cat tap >proved || true
	! grep -q 'Parse errors' proved || fail "$(cat proved)"
	jq -e . json >/dev/null || fail 'the JSON does not parse'
}

case_every_verdict_is_in_every_report() {
	cp "$(kernel exits)" one
	cp "$(kernel exits)" two
	printf 'BUG: x\n' | speak bug hang
	all_reports --mem 64M -p exit=0 one nowhere two
	same 'exit status' "$status" 2
	xpath junit.xml '/testsuites/@tests' 3
	xpath junit.xml '/testsuites/testsuite/@errors' 1
	xpath junit.xml '//testcase[2]/@name' nowhere
	xpath junit.xml '//testcase[2]/error/@type' 'set-up error'
	xpath junit.xml 'count(//testcase[1]/*[name() != "system-out" and name() != "properties"])' 0
	grep -q 'Failed test: *2$' proved || fail "$(cat proved)"
	is json '.passed == 2 and .failed == 1 and [.boots[].name] == ["one", "nowhere", "two"]'
	is json '.boots[0] | .outcome == "pass" and .exit_status == 0 and .exits.total > 0'
	is json '.boots[0].seconds | .guest > 0 and .first_byte >= .guest and .end >= .first_byte'
	is json '.boots[1] | .outcome == "set-up error" and .exit_status == 2 and .end == null'
	all_reports --flat 0x7c00,real --exits time,latency bug
	xpath junit.xml '//failure/@type' 'rejected pattern'
	xpath junit.xml '//failure/@message' 'BUG: BUG: x'
	is json '.boots[0].console.lines == [{at: .boots[0].console.lines[0].at, stream: "console", text: "BUG: x", marked: true}]'
	is json '.boots[0].report | contains("rip") and contains("p99.9")'
}

case_expectations_and_phases_have_their_times() {
	printf 'one\ntwo\n' | speak times off
	all_reports --flat 0x7c00,real -e one --phase-timeout 'p=t.o:60' --expect never times
	same 'exit status' "$status" 119
	is json '.boots[0].expected | .[0].pattern == "one" and .[0].met > 0 and .[1].pattern == "never" and .[1].met == null'
	is json '.boots[0].phases | .[0].name == "p" and .[0].pattern == "t.o" and .[0].met > 0'
}

case_reports_have_what_a_server_sorts_by() {
	all_reports --suite 'nightly <1>' --property 'branch=a & b' --property commit=0123abc -p exit=0 "$(kernel exits)"
	same 'exit status' "$status" 0
	xpath junit.xml '/testsuites/testsuite/@name' 'nightly <1>'
	xpath junit.xml '/testsuites/testsuite/properties/property[@name="branch"]/@value' 'a & b'
	xpath junit.xml '//testcase/properties/property[@name="cpus"]/@value' 1
	same 'the date' "$(xmllint --xpath 'string(//testsuite/@timestamp)' junit.xml)Z" "$(jq -r '.boots[0].started_at' json)"
	[ $(($(date +%s) - $(date -d "$(jq -r '.boots[0].started_at' json)" +%s))) -lt $limit_s ] || fail 'the date is not of today'
	is json '.suite == "nightly <1>" and .properties == {branch: "a & b", commit: "0123abc"}'
}

# A kernel that is in trouble more than once: each report is an entry, and what is known is a note.
case_each_splat_is_in_every_report() {
	speak ill off <<-'END'
		[    0.1] BUG: KASAN: slab-out-of-bounds in demo_write+0x1f/0x60 [demo]
		[    0.1] Write of size 1 at addr ffff888003a1b2c0 by task cat/123
		[    0.1] ==================================================================
		[    0.2] WARNING: CPU: 0 PID: 12 at drivers/demo/core.c:12 demo_probe+0x1/0x2
		[    0.2] ---[ end trace 0000000000000000 ]---
		[    0.3] BUG: unable to handle page fault for address: ffffc90000000000
		[    0.3] RIP: 0010:demo_open+0x12/0x34
		[    0.3] ---[ end trace 0000000000000000 ]---
	END
	all_reports --flat 0x7c00,real --keep-going ill
	same 'exit status' "$status" 120
	printed '^  splat: KASAN: slab-out-of-bounds in demo_write$' '^  note: WARNING in demo_probe at drivers/demo/core.c$' \
		'^  splat: page fault in demo_open$'
	xpath junit.xml '/testsuites/@tests' 4
	xpath junit.xml '/testsuites/@failures' 3
	xpath junit.xml '//testcase[@classname="ill"][1]/@name' 'KASAN: slab-out-of-bounds in demo_write'
	xpath junit.xml '//testcase[@classname="ill"][1]/failure/@type' KASAN
	is json '[.boots[0].splats[] | [.class, .rejected, .lines]] == [["KASAN", true, 3], ["WARNING", false, 2], ["oops", true, 3]]'
	is json '.boots[0].splats[0].text | startswith("[    0.1] BUG: KASAN") and endswith("==\n")'
	grep -q 'rejected: "page fault in demo_open"' tap || fail "$(cat tap)"
	printf '# known\n\n^KASAN: .* in demo_write$\n' >known
	all_reports --flat 0x7c00,real --keep-going --allow-file known --allow 'page fault in demo_open' ill
	same 'exit status' "$status" 0
	printed '^PASS ill: ' '^  note: page fault in demo_open \(allowed\)$'
	xpath junit.xml '/testsuites/@failures' 0
	all_reports --flat 0x7c00,real --allow-file known ill
	same 'exit status' "$status" 120
	printed 'rejected pattern, exit status 120: BUG: \[    0.3\] BUG: unable to handle page fault for address'
	printf '(\n' >known
	tollgate smoke --flat 0x7c00,real --allow-file known ill
	same 'exit status' "$status" 2
	complained_of "pattern-not-regex known:1: '('"
}

# speak_tests FILE END: a kernel with KUnit's results, one of which failed; then more of standard input.
speak_tests() {
	{
		cat <<-'END'
			[    0.1] KTAP version 1
			[    0.1] 1..2
			[    0.1]     KTAP version 1
			[    0.1]     # Subtest: demo
			[    0.1]     1..3
			[    0.1]     ok 1 adds
			[    0.2]     # divides: EXPECTATION FAILED at lib/demo_test.c:12
			[    0.2]     not ok 2 divides
			[    0.2]     ok 3 waits # SKIP no <timer>
			[    0.2] not ok 1 demo
		END
		cat
	} | speak "$@"
}

case_tests_of_the_guest_are_in_every_report() {
	printf '[    0.3] ok 2 other\n' | speak_tests whole off
	all_reports --flat 0x7c00,real whole
	same 'exit status' "$status" 111
	printed '^FAIL whole: failed tests, exit status 111: 2 of 5 tests failed: demo/divides, \.\.\.$' \
		'^  tests: 2 passed 2 failed 1 skipped$' '^  failed: demo/divides$'
	xpath junit.xml '/testsuites/@tests' 6
	xpath junit.xml '/testsuites/@failures' 3
	xpath junit.xml '/testsuites/@skipped' 1
	xpath junit.xml '//testcase[@name="demo/divides"]/failure/@message' 'divides: EXPECTATION FAILED at lib/demo_test.c:12'
	xpath junit.xml '//testcase[@name="demo/waits"]/skipped/@message' 'SKIP no <timer>'
	is json '[.boots[0].tests[] | [.name, .verdict, (.tests | length)]] == [["demo", "failed", 3], ["other", "passed", 0]]'
	is json '.boots[0].tests[0].tests[1] | .name == "divides" and .verdict == "failed" and .seconds >= 0'
	grep -qx '        not ok 2 - divides' tap || fail "$(cat tap)"
	all_reports --flat 0x7c00,real --no-tests whole
	same 'exit status' "$status" 0
	is json '.boots[0].tests == []'
}

# The tests are real mode code, by an option of the command line, which counts for each of them.
case_kvm_unit_tests_are_boots_with_their_sub_tests() {
	mkdir unit
	printf 'PASS: adds\r\nSKIP: waits\nINFO: nothing\nSUMMARY: 2 tests, 1 skipped\n' | speak unit/good.flat off
	printf 'FAIL: divides\n' | speak unit/bad.flat off
	cat >unit/unittests.cfg <<-'END'
		# a comment
		[good]
		file = good.flat
		smp = 2
		timeout = 60s
		qemu_params = -cpu max,+vmx -m 65

		[bad]
		file=bad.flat
		arch = x86_64
		check = nothing=here
		[fails]
		file = bad.flat
		groups = vmexit
		[old]
		file = good.flat
		arch = i386
		[pci]
		file = good.flat
		qemu_params = -device edu
		[manual]
		file = good.flat
		groups = vmexit nodefault
		[panics]
		file = good.flat
		groups = panic
		[absent]
		file = absent.flat
		[shell]
		file = good.flat
		test_args = "1 `date`"
	END
	all_reports --flat 0x7c00,real --kvm-unit-tests unit
	same 'exit status' "$status" 111
	printed '^PASS good: exit code 0 \(exit port\)$' '^FAIL fails: failed tests, exit status 111: 1 of 1 tests failed: divides$'
	is json '[.boots[] | [.name, .cpus, .mem_bytes / 1048576]] == [["good", 2, 65], ["fails", 1, 512]]'
	is json '[.boots[0].tests[] | [.name, .verdict]] == [["adds", "passed"], ["waits", "skipped"]]'
	xpath junit.xml '//testcase[@classname="fails"]/@name' divides
	grep -E '^left out' "$case_dir/err" >left
	cat >wanted <<-'END'
		left out bad: the host lacks nothing=here
		left out old: it is for another architecture
		left out pci: it wants -device edu of QEMU
		left out manual: it is not run by default
		left out panics: QEMU's monitor has to act on it
		left out absent: there is no 'unit/absent.flat'
		left out shell: a shell has to expand its values
	END
	cmp left wanted || fail "$(cat left)"
	tollgate smoke --kvm-unit-tests unit --only 'f*' --list
	printed '^fails$'
}

# unittests WORD...: a run with the unittests.cfg on standard input, which must fail.
unittests() {
	mkdir -p unit
	: >unit/none.flat
	cat >unit/unittests.cfg
	tollgate smoke --kvm-unit-tests unit "$@"
	same 'exit status' "$status" 2
}

case_kvm_unit_tests_that_cannot_be_run() {
	tollgate smoke --kvm-unit-tests nowhere
	same 'exit status' "$status" 2
	complained_of "unittests-open 'nowhere/unittests.cfg'" 'the folder x86'
	mkdir -p folder/unittests.cfg
	tollgate smoke --kvm-unit-tests folder
	same 'exit status' "$status" 2
	complained_of "unittests-read 'folder/unittests.cfg'"
	unittests kernel <<<''
	complained_of 'unittests-alone a kernel' some
	unittests < <(printf '[good]\n  file = none.flat\n  timeout = 2m\n')
	complained_of "option-seconds unit/unittests.cfg: test 'good': --timeout '2m'"
	unittests --list < <(printf '[long]\nfile = none.flat\ntest_args = %01024d\n[]\nfile = none.flat\n' 0)
	complained_of "unittests-none 'unit/unittests.cfg'" some
	grep -q '^left out long: a value has more than 1023 bytes$' "$case_dir/err" || fail 'the reason is not there'
}

case_a_crash_marks_the_test_that_ran() {
	printf '[    0.3] Kernel panic - not syncing: in a test\n' | speak_tests broken hang
	all_reports --flat 0x7c00,real broken
	same 'exit status' "$status" 112
	xpath junit.xml '//testcase[failure/@type="crashed"]/@name' 'test 2'
	is json '.boots[0].tests[1] | .name == "test 2" and .verdict == "crashed"'
	printf 'done\n' | speak_tests short off
	all_reports --flat 0x7c00,real short
	same 'exit status' "$status" 111
	xpath junit.xml '//testcase[failure/@type="missing"]/@name' 'plan of 2 tests, 1 results'
}

case_hostile_words_do_no_harm_in_any_report() {
	local name=$'<&">\'# \033[31m\377 ]]> name'
	{
		printf '</system-out>]]>&lt; <!-- \033]0;x\007\0\001\377\n'
		printf 'Kernel panic - not syncing: <&"\047> \342\200\256\357\277\277 \\ # "\n'
	} | speak hostile hang
	mv hostile "$name"
	all_reports --flat 0x7c00,real "$name"
	same 'exit status' "$status" 112
	for report in junit.xml tap json chart.svg logs/*; do
		harmless "$report"
	done
	harmless "$case_dir/out"
	xpath junit.xml '//testcase/@name' '<&">'"'"'# '$'\357\277\275'' ]]> name'
	is json '.boots[0].console.lines[1].text | startswith("Kernel panic - not syncing: <&\"'"'"'>")'
	grep -qF 'not ok 1 - <&">'"'"'\#' tap || fail "$(cat tap)"
}

case_logs_are_complete_and_have_both_clocks() {
	{
		printf '[    0.500000] first\nplain\n'
		seq 1 300
	} | speak talk off
	tollgate smoke --flat 0x7c00,real --log-dir logs talk
	same 'exit status' "$status" 0
	same 'lines' "$(wc -l <logs/talk.log)" 302
	grep -qE '^ +[0-9]+\.[0-9]{6} +0\.500000 \| \[    0\.500000\] first$' logs/talk.log || fail "$(head -n 3 logs/talk.log)"
	grep -qE '^ +[0-9]+\.[0-9]{6} +- \| plain$' logs/talk.log || fail "$(head -n 3 logs/talk.log)"
	same 'the rest' "$(tail -n 300 logs/talk.log | sed 's/.*| //')" "$(seq 1 300)"
}

case_logs_have_a_limit_but_keep_what_decided() {
	{
		seq 1 500
		printf 'BUG: last\n'
	} | speak talk hang
	tollgate smoke --flat 0x7c00,real --log-dir logs --log-limit 2K talk
	same 'exit status' "$status" 120
	grep -qE '^\(the limit of this log is reached; [0-9]+ lines left out; of the report:\)$' logs/talk.log || fail 'no word about the limit'
	grep -q '| BUG: last$' logs/talk.log || fail 'the line that decided is not in the log'
	[ "$(stat -c %s logs/talk.log)" -lt 8000 ] || fail 'the log is too long'
}

case_a_log_follows_no_link_and_leaves_no_directory() {
	echo mine >file
	mkdir logs
	ln -s ../file logs/guest-exits.log
	tollgate smoke -p poweroff --log-dir logs "$(kernel exits)"
	same 'exit status' "$status" 2
	same 'the file' "$(cat file)" mine
	cp "$(kernel exits)" ..k
	tollgate smoke -p poweroff --log-dir other ./..k
	same 'exit status' "$status" 0
	same 'the log' "$(ls -A other)" _.k.log
}

case_each_boot_has_a_log_of_its_own_or_none_is_booted() {
	mkdir -p a/b a_b
	cp "$(kernel exits)" a/b/k
	cp a/b/k a_b/k
	tollgate smoke -p poweroff --log-dir logs a/b/k a_b/k
	same 'exit status' "$status" 2
	complained_of "boot-files-same 'a/b/k' and 'a_b/k'" some
	[ ! -e logs ] || fail 'a boot began'
	tollgate smoke -p poweroff a/b/k a_b/k
	same 'exit status' "$status" 0
}

case_a_report_may_go_to_standard_output() {
	tollgate smoke --json - -p poweroff "$(kernel exits)"
	same 'exit status' "$status" 0
	is "$case_dir/out" '.passed == 1'
	complained '^PASS guest-exits: '
}

case_reports_that_cannot_be_written_are_told_before_a_boot() {
	tollgate smoke --junit /nonexistent/x -p poweroff "$(kernel exits)"
	same 'exit status' "$status" 2
	complained_of "report-create '/nonexistent/x'"
	same 'output' "$(cat "$case_dir/out")" ''
}

# The boots ran and are reported, and the reports that can be written are.
case_reports_that_take_no_more_have_a_status_of_their_own() {
	tollgate smoke --tap /dev/full --junit junit -p poweroff "$(kernel exits)"
	same 'exit status' "$status" 123
	printed '^PASS guest-exits: ' '^1 passed, 0 failed$'
	complained_of "report-write '/dev/full': No space left on device"
	same 'complaints' "$(grep -c ^tollgate: "$case_dir/err")" 1
	xmllint --noout junit
	tollgate smoke --tap /dev/full -p exit=3 "$(kernel exits)"
	same 'exit status' "$status" 123
}

case_logs_that_cannot_be_written_are_told_before_a_boot() {
	local long
	long=$(printf 'k%.0s' {1..255})
	cp "$(kernel exits)" "$long"
	tollgate smoke --log-dir logs --junit junit -p poweroff "$(kernel exits)" "$long"
	same 'exit status' "$status" 2
	complained_of 'log-create File name too long' some
	same 'output' "$(cat "$case_dir/out")" ''
	[ ! -e junit ] || fail 'a report was emptied though nothing can be booted'
	same 'logs' "$(ls logs)" ''
	touch file
	tollgate smoke --log-dir file -p poweroff "$(kernel exits)"
	same 'exit status' "$status" 2
	complained_of "log-create 'file': Not a directory"
	mkdir -p logs/guest-exits.log
	tollgate smoke --log-dir logs -p poweroff "$(kernel exits)"
	same 'exit status' "$status" 2
	complained_of "log-create 'logs': Is a directory"
	tollgate smoke --log-dir /proc -p poweroff "$(kernel exits)"
	same 'exit status' "$status" 2
	same 'output' "$(cat "$case_dir/out")" ''
}

case_a_log_that_takes_no_more_has_the_status_of_outputs() {
	[ "$(id -u)" = 0 ] || skip 'only root may mount'
	unshare -m sh -euc '
		mkdir small
		mount -t tmpfs -o size=4k,nr_inodes=10 none small
		head -c 8192 /dev/zero >small/full || true
		"$@" || echo $? >status' sh timeout -k 10 "$limit_s" "$TOLLGATE" smoke --log-dir small -p poweroff \
		"$(kernel exits)" >"$case_dir/out" 2>"$case_dir/err"
	same 'exit status' "$(cat status)" 123
	printed '^PASS guest-exits: '
	complained_of "log-write 'guest-exits': No space left on device"
}

# The supervisor goes on: boots are judged, one reaches its limit of time, all is reported.
case_a_frozen_log_holds_up_no_boot() {
	can_freeze
	seq 1000000 1001000 | speak talk again
	printf 'ready\n' | speak brief off
	touch frozen
	tollgate smoke --flat 0x7c00,real --log-dir ice --timeout 10 --junit junit brief talk
	same 'exit status' "$status" 123
	printed '^PASS brief: ' '^FAIL talk: timeout' '^1 passed, 1 failed$'
	same 'complaints' "$(grep -c '^tollgate: ' "$case_dir/err")" 1
	complained_of "log-stuck 'brief'"
	xmllint --noout junit
}

# The log's file system takes long, and then all it was given.
case_a_log_that_was_frozen_for_a_while_is_whole() {
	can_freeze
	seq 1 5000 | speak talk off
	touch frozen
	start smoke --flat 0x7c00,real --log-dir ice --timeout 0 --stall 0 talk
	wait_for test -e frozen.held
	sleep 1 # for the guest to fill the pipes, or not
	rm frozen
	finish
	same 'exit status' "$status" 0
	sed -n 's/.*| //p' ice/talk.log | cmp - <(seq 1 5000) || fail 'the log is another'
}

case_frozen_reports_hold_up_no_end() {
	can_freeze
	touch frozen
	tollgate smoke --json ice/json --tap ice/tap --junit junit -p poweroff "$(kernel exits)"
	same 'exit status' "$status" 123
	printed '^PASS guest-exits: '
	same 'complaints' "$(grep -c '^tollgate: ' "$case_dir/err")" 2
	complained_of "report-stuck 'ice/tap'"
	complained_of "report-stuck 'ice/json'"
	xmllint --noout junit
}

case_progress_is_shown_on_a_terminal_alone() {
	local s line='guest-hang +[1-9][0-9]* s  kernel +hang: loop'
	for s in 2 20 100; do # until the guest has printed, and been shown, a second before the end
		TERM=xterm "$PTY" -- "$TOLLGATE" smoke --timeout $s -p how=loop "$(kernel hang)" >typescript 2>&1 || true
		! grep -qE "$line" typescript || break
	done
	grep -qF $'\033[1A\r\033[J' typescript || fail "no progress: $(cat -v typescript)"
	grep -qE "$line" typescript || fail "no line: $(cat -v typescript)"
	tollgate smoke --timeout 1 -p how=loop "$(kernel hang)"
	harmless "$case_dir/out"
}

run_cases
