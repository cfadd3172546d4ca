#!/usr/bin/env bash
# No output spoils an input or another output; what others do to files that are used is an error at most.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# spared FILE NAMES COMMAND ARGUMENT...: refused, as NAMES are one file, before anything is written to FILE.
spared() {
	local file=$1 names=$2 before
	shift 2
	before=$(cksum <"$file")
	tollgate "$@"
	same 'exit status' "$status" 2
	complained_of "file-twice $names" some
	same "the content of $file" "$(cksum <"$file")" "$before"
}

case_an_output_that_is_an_input_is_refused() {
	cp "$(kernel exits)" k
	ln k hard
	ln -s k soft
	truncate -s 1M disk
	printf data >initrd
	printf 'boots:\n  - kernel: k\n' >config.yaml
	spared k "kernel 'k' and --serial 'k'" run --serial file:k k
	spared k "kernel 'k' and --serial 'soft'" run --serial file:soft k
	spared k "kernel 'hard' and --virtio-console './k'" run --virtio-console file:./k hard
	spared k "kernel 'k' and --stats 'k'" run --stats=json:k k
	spared disk "--disk 'disk' and --serial 'disk'" run --disk disk --serial file:disk k
	spared disk "--disk 'disk' and --stats 'disk'" run --disk disk,ro --stats=json:disk k
	spared initrd "--initrd 'initrd' and --serial 'initrd'" run --initrd initrd --serial file:initrd k
	spared initrd "--copy 'initrd' and --serial 'initrd'" run --copy initrd:/x --serial file:initrd k
	spared k "kernel 'k' and --disk 'k'" run --disk k k
	spared k "--json 'k' and kernel 'k'" smoke --json k k
	spared k "--tap 'soft' and kernel 'k'" smoke --tap soft k
	spared disk "--junit 'disk' and --disk 'disk'" smoke --junit disk --disk disk k
	spared config.yaml "--config 'config.yaml' and --json 'config.yaml'" smoke --config config.yaml --json config.yaml
	cp k k.log
	spared k.log "--log-dir's './k.log' and kernel 'k.log'" smoke --log-dir . k k.log
}

case_two_outputs_to_one_file_are_refused() {
	tollgate smoke --json out --tap ./out "$(kernel exits)"
	same 'exit status' "$status" 2
	complained_of "file-twice --tap './out' and --json 'out'"
	run_refused "file-twice --serial 'out'" --serial file:out --stats=json:out "$(kernel exits)"
	[ ! -e out ] || fail 'the output was made'
}

# Both see what the kernel prints; neither is emptied or overwrites the other.
case_a_console_file_is_appended_to() {
	echo before >log
	tollgate run --serial file:log -p exit=0 "$(kernel exits)"
	ended 0 'exit code 0 (exit port)'
	tollgate run --serial file:log -p exit=0 "$(kernel exits)"
	same 'lines' "$(tr -d '\r' <log)" "$(printf 'before\nexits: exit port\nexits: exit port')"
}

case_logs_are_appended_to() {
	mkdir logs
	echo before >logs/guest-exits.log
	tollgate smoke --log-dir logs "$(kernel exits)"
	same 'first line' "$(head -n 1 logs/guest-exits.log)" before
	grep -q ' | command line: exits: ' logs/guest-exits.log || fail 'no line of the console behind it'
}

case_standard_output_by_any_name_is_not_emptied() {
	local name
	for name in - /dev/stdout /dev/fd/1; do
		{
			echo first
			"$TOLLGATE" run --serial null "--stats=json:$name" -p exit=0 "$(kernel exits)" 2>/dev/null
			echo last
		} >out
		same 'first line' "$(head -n 1 out)" first
		same 'last line' "$(tail -n 1 out)" last
		sed '1d;$d' out | jq -e '.end.code == 0' >/dev/null || fail "no statistics through $name"
		{
			echo first
			"$TOLLGATE" run --serial "file:$name" -p exit=0 "$(kernel exits)" 2>/dev/null
			echo last
		} >out
		same 'output' "$(tr -d '\r' <out)" "$(printf 'first\nexits: exit port\nlast')"
	done
	{ echo first && "$TOLLGATE" machine --dtb /dev/stdout; } >out
	same 'first line' "$(head -n 1 out)" first
	{ echo first && "$TOLLGATE" smoke --json /dev/stderr "$(kernel exits)"; } 2>out >&2 || true
	same 'first line' "$(head -n 1 out)" first
	[ ! -e - ] || fail 'a file called -'
}

# One that was packed in parts, as `cat` and parallel tools make it.
case_a_kernel_of_several_streams() {
	local half tool
	half=$(($(stat -c %s "$(kernel exits)") / 2))
	for tool in gzip bzip2 xz lz4 zstd; do
		command -v $tool >/dev/null || continue
		{ head -c $half "$(kernel exits)" | $tool -c && tail -c +$((half + 1)) "$(kernel exits)" | $tool -c; } >k
		tollgate run -p exit=0 k
		ended 0 'exit code 0 (exit port)'
	done
}

case_a_cow_disk_needs_no_directory_of_its_own() {
	local dir
	truncate -s 1M disk
	for dir in /proc /nonexistent "$PWD"; do
		TMPDIR=$dir tollgate run --disk disk,cow -p exit=0 "$(kernel exits)"
		ended 0 'exit code 0 (exit port)'
	done
}

run_cases
