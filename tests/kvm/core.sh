#!/usr/bin/env bash
# Core files: `run --core` and `control PATH core`, read by gdb and readelf.
# shellcheck source-path=SCRIPTDIR disable=SC2317,SC2016 # cases are called by name; $ is gdb's
. "${0%/*}/lib.bash"
need_kvm

# look FILE COMMAND...: gdb on a core; its output is in "log".
look() {
	local c core=$1 args=()
	shift
	for c in 'set pagination off' 'set width 0' "core-file $core" "$@"; do
		args+=(-ex "$c")
	done
	timeout -k 10 "$limit_s" gdb -nx -batch "${args[@]}" >log 2>&1 </dev/null || true
}

# says TEXT...: each is a line of the log, in this order.
says() {
	local text from=0 n
	for text; do
		n=$(tail -n +$((from + 1)) log | grep -nxE -m 1 -- "$text" | cut -d: -f1) || true
		[ -n "$n" ] || {
			cat log
			fail "gdb did not say, after line $from: $text"
		}
		from=$((from + n))
	done
}

# only NAME...: what is in the directory, but for what this test writes there.
only() {
	same 'files' "$(find . -mindepth 1 ! -name reply ! -name refusal ! -name log -printf '%f\n' | sort | tr '\n' ' ')" \
		"$(printf '%s ' "$@")"
}

# A guest that leaves its marks in registers and memory, and then panics.
marks() {
	assemble code <<-'END'
		.code64
		movabs $0x1122334455667788, %rax
		movabs $0x99aabbccddeeff00, %r11
		mov $0x80000, %rsp
		push %rax
		push %rax
		mov %cr4, %rcx
		or $0x200, %ecx # OSFXSR
		mov %rcx, %cr4
		movups (%rsp), %xmm7
		mov %rax, 0x234568
		lea text(%rip), %rsi
		mov $0x505, %dx
		mov $1, %al
		out %al, %dx
		after: jmp after
		text: .asciz "here is the text"
	END
	rm code.o
}

case_registers_and_memory_of_a_panic() {
	marks
	tollgate run -m 64M --core core --flat 0x100000 code
	same 'exit status' "$status" 112
	complained "^tollgate: the guest's core is in 'core'\$" '^tollgate: panic \(pvpanic\), exit status 112$'
	only code core
	look core 'p/x $rax' 'p/x $r11' 'p/x $rsp' 'x/gx $rsp' 'x/gx 0x234568' 'x/s $rsi' 'p/x $xmm7.v2_int64[0]' \
		'p $_thread' 'x/gx 0x3fffff8' 'x/gx 0x4000000'
	says '\$1 = 0x1122334455667701' '\$2 = 0x99aabbccddeeff00' '\$3 = 0x7fff0' '0x7fff0:	0x1122334455667788' \
		'0x234568:	0x1122334455667788' '.*"here is the text"' '\$4 = 0x1122334455667788' '\$5 = 1' '0x3fffff8:	0x0+' \
		'0x4000000:	Cannot access memory at address 0x4000000'
	[ "$(stat -c %b core)" -le 2048 ] || fail "it takes $(stat -c %b core) blocks"
	same 'mode' "$(stat -c %a core)" 600
}

case_headers() {
	marks
	tollgate run -m 4G -c 3 --core core --flat 0x100000 code
	same 'exit status' "$status" 112
	readelf -hlnW core >log
	says ' +Type: +CORE \(Core file\)' ' +Machine: +Advanced Micro Devices X86-64' ' +NOTE +.*' \
		' +LOAD +0x[0-9a-f]+ 0x0+ 0x0+ 0x[0-9a-f]+ .*' ' +LOAD +0x[0-9a-f]+ 0x0+100000000 0x0+100000000 0x[0-9a-f]+ .*'
	same 'notes per vCPU' "$(grep -c NT_PRSTATUS log) $(grep -c NT_FPREGSET log) $(grep -c '^  QEMU' log)" '3 3 3'
}

# regs_of CPU REGISTER: as the control socket's reply has it.
regs_of() {
	sed -n "/^vCPU $1:/,/^vCPU/s/.* $2 *\\([0-9a-f]\\{16\\}\\).*/\\1/p" reply | head -n 1
}

all_started() {
	control regs
	! grep -q 'not started' reply
}

exits() {
	control stats
	jq .exits.total reply
}

more_than() {
	[ "$(exits)" -gt "$1" ]
}

# All vCPUs run when it is written, and go on after it.
case_a_running_vm() {
	local cpu name ask wanted before
	start_controlled -m 64M -c 3 -p 'rounds=1000000' "$(kernel smp)"
	wait_for all_started
	control pause
	control core one
	control regs
	for cpu in 0 1 2; do
		ask=() wanted=()
		for name in rip rsp rax rbx rcx r8 r15; do
			ask+=("p/x (unsigned long)\$$name")
			wanted+=("\\\$[0-9]+ = 0x$(regs_of $cpu $name | sed 's/^0*//; s/^$/0/')")
		done
		look one "thread $((cpu + 1))" "${ask[@]}"
		says "${wanted[@]}"
	done
	control status
	same 'state' "$(sed -n 1p reply)" 'state paused'
	control resume
	control core two # without a pause of the user's
	control status
	same 'state' "$(sed -n 1p reply)" 'state running'
	before=$(exits)
	wait_for more_than "$before"
	stop
	only one two
	look two 'info threads'
	says '\* 1 .*' '.*2 .*' '.*3 .*'
}

# The guest's memory does not change while it is written.
case_under_load() {
	start_controlled -m 64M -c 2 --rng -p requests=1000 "$(kernel virtio)"
	local n=0
	while [ $n -lt 20 ] && timeout -k 10 "$limit_s" "$TOLLGATE" control ctl core "core$n" 2>refusal; do
		n=$((n + 1))
	done
	finish
	ended 0 'exit code 0 (exit port)'
	[ $n -gt 0 ] || fail "none: $(cat refusal)"
	[ "$(find . -name 'core*' | wc -l)" -eq $n ] || fail "$n cores: $(ls)"
}

case_which_ends() {
	marks
	tollgate run -m 64M --core core,on=timeout,kvm-error --flat 0x100000 code
	ended 112 'panic (pvpanic)'
	only code
	tollgate run -m 64M --timeout 0.2 --core core,on=timeout,kvm-error "$(kernel hang)"
	same 'exit status' "$status" 117
	only code core
	tollgate run -m 64M --core a,,b,on=stall -p how=all "$(kernel hang)"
	same 'exit status' "$status" 122
	only a,b code core
	tollgate run -m 64M --core no "$(kernel exits)" -p poweroff
	ended 0 'power off (pvpanic)'
	only a,b code core
	run_refused "--core does not know 'y'" --core x,y
	run_refused "--core on 'oops' is not panic, triple-fault, " --core x,on=panic,oops
	run_refused "--core '' names no file" --core ''
}

# Nothing is booted for a name that cannot be had.
case_names_that_cannot_be_had() {
	marks
	echo mine >there
	run_refused "core 'there': File exists" --core there --flat 0x100000 code
	run_refused "core 'no/core': No such file or directory" --core no/core --flat 0x100000 code
	run_refused "'core' is used twice|.*core.*" --core core --stats=json:core --flat 0x100000 code
	same 'the file' "$(cat there)" mine
	only code there
}

case_a_file_that_came_meanwhile() {
	marks
	start run -m 64M --control ctl --paused --core core --flat 0x100000 code
	wait_for answers
	echo mine >core
	control resume
	finish
	same 'exit status' "$status" 123
	complained "^tollgate: core 'core': File exists\$"
	same 'the file' "$(cat core)" mine
	only code core
}

case_a_read_only_directory() {
	mkdir ro
	unshare -m sh -c 'mount -t tmpfs -o ro none ro' 2>/dev/null || skip 'no mount namespaces'
	status=0
	timeout -k 10 "$limit_s" unshare -m sh -c 'mount -t tmpfs -o ro none ro && exec "$@"' sh "$TOLLGATE" run \
		--core ro/core -p panic "$(kernel exits)" >"$case_dir/out" 2>"$case_dir/err" || status=$?
	same 'exit status' "$status" 2
	complained "^tollgate: core 'ro/core': Read-only file system\$"
	same 'output' "$(cat "$case_dir/out")" ''
}

# 2 MiB of room, and a guest that touches more.
case_a_full_disk() {
	local script
	mkdir full
	head -c 16M /dev/urandom >initrd
	script='mount -t tmpfs -o size=2m none full && "$@"; s=$?; ls -A full; exit $s'
	unshare -m sh -c 'mount -t tmpfs none full' 2>/dev/null || skip 'no mount namespaces'
	status=0
	timeout -k 10 "$limit_s" unshare -m sh -c "$script" sh "$TOLLGATE" run -m 64M --core full/core \
		--initrd initrd -p panic "$(kernel exits)" >"$case_dir/out" 2>"$case_dir/err" || status=$?
	same 'exit status' "$status" 123
	complained "^tollgate: core 'full/core': No space left on device\$" \
		'^  remedy: a core takes as much room as the guest has memory that is not zero$' \
		'^tollgate: panic \(pvpanic\), exit status 123$'
	same 'output, and what is left' "$(cat "$case_dir/out")" 'exits: panic'
}

refuses() {
	local what=$1 remedy=$2 got=0
	shift 2
	timeout -k 10 "$limit_s" "$TOLLGATE" control ctl "$@" >reply 2>refusal || got=$?
	same 'exit status' "$got" 2
	same 'reason' "$(sed -n '1s/^tollgate: //p' refusal)" "$what"
	same 'remedy' "$(sed -n '2s/^  remedy: //p' refusal)" "$remedy"
}

# The VM goes on after each.
case_refusals_of_control() {
	start_controlled -m 64M "$(kernel hang)"
	echo mine >there
	refuses "core '$PWD/there': File exists" 'choose another name, or remove the file' core there
	refuses "core '$PWD/no/core': No such file or directory" '' core no/core
	refuses "'core' is to be followed by FILE" "\`help\` lists the arguments of each command" core
	control status
	same 'state' "$(sed -n 1p reply)" 'state running'
	printf 'core relative\nstop\n' | "$TALK" unix:ctl >reply
	same 'reply' "$(sed -n 1p reply)" \
		"error: core 'relative' is not a whole path; remedy: one that begins with /; \`tollgate control\` makes it so"
	finish
	ended 116 'killed (control socket)'
	same 'the file' "$(cat there)" mine
}

run_cases
