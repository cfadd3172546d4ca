#!/usr/bin/env bash
# CPUs and memory: as many as asked for, where the guest looks for them, or a refusal.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# recognised PROTOCOL KERNEL OPTION...: `tollgate machine` says so, and a run of the same enters at the same address.
recognised() {
	local protocol=$1 kernel=$2
	shift 2
	"$TOLLGATE" machine --json "$@" "$kernel" >machine.json || fail "no machine for $kernel"
	holds machine.json ".kernel.entered_by == \"$protocol\" and (.kernel.state | length) > 20"
	tollgate run --timeout 1 --stats=json:stats "$@" "$kernel"
	same 'kernel of the run' "$(jq -c '.kernel | [.kind, .entered_by, .entry]' stats)" \
		"$(jq -c '.kernel | [.kind, .entered_by, .entry]' machine.json)"
}

case_a_kernel_is_recognised_without_a_run() {
	assemble code <<<'1: jmp 1b'
	recognised pvh "$(kernel hang)"
	recognised linux64 "$(kernel hang)" --boot linux64
	recognised flat-long code --flat 0x100000
	recognised flat-real code --flat 0x7c00,real
	"$TOLLGATE" machine --flat 0x7c00,real code >text
	grep -q '^  entered by     flat-real at 0x7c00$' text || fail "$(cat text)"
	: >nothing
	! "$TOLLGATE" machine nothing 2>refusal || fail 'an empty kernel was taken'
	error_in refusal "file-empty 'nothing'"
}

# refused_alike CODE OPTION...: a run and `machine` with these refuse the kernel with one message.
refused_alike() {
	local code=$1
	shift
	run_refused "$code" "$@"
	! "$TOLLGATE" machine "$@" >/dev/null 2>refusal || fail "machine $* was taken"
	same "refusal of machine $*" "$(cat refusal)" "$(cat "$case_dir/err")"
}

case_a_kernel_is_refused_without_a_run() {
	truncate -s 100M big
	assemble code <<<'1: jmp 1b'
	refused_alike kernel-past-memory --mem 64M --flat 0x10000000 code
	refused_alike initrd-no-room --mem 64M --initrd big "$(kernel hang)"
	refused_alike kernel-overlap --flat 0x1000 code
}

case_a_kernel_is_shown_as_run_starts_it() {
	assemble code <<<'1: jmp 1b'
	"$TOLLGATE" machine --flat 0x100000 code >text
	! grep -q 'command line' text || fail "$(cat text)"
	same 'command line' "$("$TOLLGATE" machine --cmdline --flat 0x100000 code)" ''
	"$TOLLGATE" machine --json --flat 0x100000 code >json
	holds json '.command_line == ""'
	# Of memory that nobody has here.
	"$TOLLGATE" machine --hugepages --prealloc --mem 64G "$(kernel hang)" >text
	truncate -s 1M disk
	"$TOLLGATE" machine --json --rootfs disk "$(kernel hang)" >json
	holds json '[.devices[].name] | contains(["command-out"])'
}

case_all_cpus_start_and_share_the_bus() {
	local cpus
	for cpus in 1 2 4; do
		tollgate run --test-device --cpus $cpus -p rounds=300 "$(kernel smp)"
		ended 0 'exit code 0 (exit port)'
		printed '^7 passed, 0 failed$' "^PASS smp-accesses $((cpus * 300 * 6)) by $cpus CPUs\$"
	done
}

# Accesses of all CPUs to the same ranges: none is lost, none is counted twice.
case_accesses_of_all_cpus_are_counted_exactly() {
	tollgate run --test-device --cpus 4 -p rounds=250 --stats=json:stats "$(kernel smp)"
	ended 0 'exit code 0 (exit port)'
	holds stats "pio($((0xe9))) | .reads == 1000 and .writes == 0"
	holds stats "pio($((0x80))) | .reads == 1000 and .writes == 1001" # one sets it to 0 at first
	holds stats '.pio.unclaimed_reads == 1000 and .pio.unclaimed_writes == 0'
	holds stats '.mmio.reads == 1000 and .mmio.writes == 1000 and .mmio.unclaimed_reads == 0'
}

case_the_self_test_starts_every_cpu() {
	tollgate run --cpus 4
	ended 0 'exit code 0 (exit port)'
	printed '^PASS cpus +4 of 4 started$' '^PASS device-tree +4 CPUs, '
}

case_255_cpus_start() {
	tollgate run --cpus 255
	ended 0 'exit code 0 (exit port)'
	printed '^PASS cpus +255 of 255 started$' '^PASS device-tree +255 CPUs, '
}

# usable SIZE MIB: what the self-test finds and reaches with --mem SIZE.
usable() {
	tollgate run --mem "$1"
	ended 0 'exit code 0 (exit port)'
	printed "^PASS memory +$2 MiB usable\$"
}

case_the_guest_finds_all_its_memory() {
	usable 64M 63
	usable 256M 255
	usable 0x20000000 511
	usable 1g 1023
}

case_memory_ends_at_the_hole() {
	usable 3G 3071
	! grep -q '0x100000000-' "$case_dir/out" || fail 'there is memory above 4 GiB'
}

case_memory_goes_on_behind_the_hole() {
	usable 5G 5119
	printed ' 0x000100000-0x0bfffffff +3071 MiB +usable$' ' 0x100000000-0x17fffffff +2048 MiB +usable$'
	usable 3076M 3075
	printed ' 0x100000000-0x1003fffff +4096 KiB +usable$'
}

# The boot's page tables end at 4 GiB; the third of them, the PDPT, gets a page directory more.
case_memory_behind_the_hole_is_memory_of_its_own() {
	assemble code <<-'END'
		.equ PDPT, 0xa000
		.equ DIRECTORY, 0x10000
		mov $0x100000083, %rax # 2 MiB at 4 GiB, writable, present
		mov %rax, DIRECTORY
		movq $DIRECTORY + 3, PDPT + 4 * 8
		mov $0x100000000, %rbx
		mov $0x5441ac6e1f6a7e05, %rax
		mov %rax, (%rbx)
		mov $1, %cl
		cmp %rax, (%rbx)
		jne 1f
		mov $2, %cl
		cmp %rax, 0 # at the bottom
		je 1f
		mov $3, %cl
		mov $0xbffffff8, %ebx # before the hole
		cmp %rax, (%rbx)
		je 1f
		mov $0, %cl
		1: mov %cl, %al
		out %al, $0xf4
		hlt
	END
	tollgate run --mem 3076M --flat 0x100000 code
	ended 0 'exit code 0 (exit port)'
}

# Kilobytes of guest memory that the VMM has touched while a guest sleeps.
touched_kb() {
	start run "$@" "$(kernel hang)"
	wait_for_output 'hang: hlt'
	# smaps walks the pages; the counters of /proc/PID/status are late by some dozens a CPU. Guest
	# memory is the one mapping of its size; AddressSanitizer has one of 256 MiB.
	awk '/^Size:/ { ram = $2 == 256000 } /^Rss:/ && ram { n += $2; seen++ }
		END { if (seen == 1) print n; else print "mapping not found" }' \
		"/proc/$pid/smaps" >touched
	kill -s TERM "$pid"
	finish
	ended 116 'killed (SIGTERM)'
}

case_prealloc_touches_all_memory_and_nothing_else_does() {
	touched_kb --mem 250M --prealloc
	[ "$(cat touched)" -ge 256000 ] || fail "--prealloc touched $(cat touched) KiB of 250 MiB"
	touched_kb --mem 250M
	[ "$(cat touched)" -lt 16384 ] || fail "$(cat touched) KiB were touched without --prealloc"
}

huge_pages=/sys/kernel/mm/hugepages/hugepages-2048kB

free_huge_pages() {
	cat $huge_pages/free_hugepages
}

# Reserves 32 huge pages while a case runs, where that is allowed.
reserve_huge_pages() {
	local before
	[ -w $huge_pages/nr_hugepages ] || return 0
	before=$(cat $huge_pages/nr_hugepages)
	# shellcheck disable=SC2064 # as it was before
	trap "echo $before >$huge_pages/nr_hugepages" EXIT
	echo 1 >/proc/sys/vm/compact_memory # or there may be memory enough, but not in pieces of 2 MiB
	echo $((before + 32)) >$huge_pages/nr_hugepages
}

case_huge_pages_are_used_where_they_are_reserved() {
	reserve_huge_pages
	[ "$(free_huge_pages)" -ge 32 ] || skip '32 huge pages of 2 MiB cannot be reserved here'
	tollgate run --mem 64M --hugepages --prealloc
	ended 0 'exit code 0 (exit port)'
}

case_huge_pages_that_are_not_reserved_are_refused() {
	[ "$(free_huge_pages)" -lt 32768 ] || skip '64 GiB of huge pages are reserved here'
	local prealloc
	for prealloc in '' --prealloc; do
		# shellcheck disable=SC2086 # nothing or a word
		tollgate run --mem 64G --hugepages $prealloc
		same 'exit status' "$status" 2
		complained_of 'mem-map 64 GiB' vm.nr_hugepages=32768
		same output "$(cat "$case_dir/out")" ''
	done
}

run_cases
