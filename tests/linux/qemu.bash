# qemu.bash - sourced by testbed: the QEMU that L1 runs in, and its monitor.
# shellcheck shell=bash disable=SC2034,SC2154 # ret_... are for testbed, which sets here, run, where and vm_pid
#
#   $cache/qemu/KEY/bin/qemu-system-x86_64   a copy without the two faults that mend-qemu explains
#   $cache/qemu/KEY/{share,lib}              links to the package's, which QEMU looks for next to its bin
#
# KEY is the sum of the package's binary and of mend-qemu, so a copy never outlives either.
: "${cache:?set by testbed, as are here, say and run}"

# Sets ret_qemu to the QEMU to start, and ret_mended unless it is the package's own. TESTBED_QEMU=stock asks for that.
choose_qemu() {
	local stock key dir new
	stock=$(readlink -f "$(command -v qemu-system-x86_64)")
	ret_qemu=$stock ret_mended=''
	[[ ${TESTBED_QEMU:-} != stock ]] || return 0
	key=$(cat "$stock" "$here/mend-qemu" | sha256sum)
	dir=$cache/qemu/${key:0:16}
	if [[ ! -x $dir/bin/qemu-system-x86_64 ]]; then
		mkdir -p "$cache/qemu"
		new=$(mktemp -d "$cache/qemu/new.XXXXXX")
		mkdir "$new/bin"
		ln -s "${stock%/bin/*}"/{share,lib} "$new/"
		if ! "$here/mend-qemu" "$stock" "$new/bin/qemu-system-x86_64" 2>"$new/why" ||
			! "$new/bin/qemu-system-x86_64" -version >"$new/why" 2>&1; then
			say "taking QEMU as it is, which delivers interrupts twice at times: $(tail -n 1 "$new/why")"
			rm -rf "$new"
			return 0
		fi
		# One that another testbed has made meanwhile is the same.
		mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new"
		find "$cache/qemu" -mindepth 1 -maxdepth 1 -mtime +1 ! -path "$dir" -exec rm -rf {} +
	fi
	ret_qemu=$dir/bin/qemu-system-x86_64 ret_mended=1
}

# Prints what QEMU's monitor answers to $1, without its echo. The answer ends where that to the next question, a
# number in decimal, begins. Returns false when none comes for 5 s. Descriptor 7 is the monitor's output.
ask_monitor() {
	local line
	printf '%s\n' "$1" 'print 20200229' 1<>"$run/monitor.in"
	while IFS= read -r -t 5 -u 7 line; do
		[[ $line != 0x1343b25* ]] || return 0
		line=${line//$'\r'/}
		[[ $line == *'(qemu) '* || $line == 'QEMU '*' monitor - '* ]] || printf '%s\n' "$line"
	done
	return 1
}

# Prints the processors' registers, three times, as they may be those of a guest of L1; and pending interrupts.
# Returns false when the monitor does not answer.
describe_processors() {
	local question
	for question in 'info status' 'info registers -a' 'info lapic' 'info pic' 'info registers -a' 'info registers -a'; do
		echo "($question)"
		ask_monitor "$question" || return 1
	done
}

# Prints on standard error what L1 waits for, before it is ended. L1 itself (the program `stalled`) is asked last, as
# the question wakes it.
describe_stall() {
	local deadline=$((SECONDS + 30))
	[[ $where == tcg ]] || return 0
	say "what L1 waited for:"
	exec 7<>"$run/monitor.out"
	describe_processors >"$run/processors" || deadline=0 # it would not answer either
	exec 7<&-
	grep -vE '^ *(FPR|XMM|YMM|ZMM|Opmask|FCW|MXCSR|[DEFGS]S =|LDT|TR |GDT|IDT|DR[0-9])|masked|^$' "$run/processors" >&2
	echo stalled 1<>"$run/ask.in"
	until grep -q '^stalled\.' "$run/control" || ((SECONDS >= deadline)) || ! kill -0 "$vm_pid" 2>/dev/null; do
		sleep 0.2
	done
	tr -d '\r' <"$run/control" | sed -n 's/^stalled / /p' >&2
}
