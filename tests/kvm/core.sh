#!/usr/bin/env bash
# Core files: `run --core` and `control PATH core`, read by gdb and readelf.
# shellcheck source-path=SCRIPTDIR disable=SC2317,SC2016 # cases are called by name; $ is gdb's
. "${0%/*}/lib.bash"
. "${0%/*}/smoke.bash"
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
	! grep -E '^  LOAD' log | grep -vE ' 0$' || fail 'crash takes it for a netdump, by an alignment that is not 0'
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
	run_refused "core-item 'y'" --core x,y
	run_refused "option-choice --core on 'oops'" --core x,on=panic,oops
	run_refused 'core-no-file --core' --core ''
}

# Nothing is booted for a name that cannot be had.
case_names_that_cannot_be_had() {
	marks
	echo mine >there
	run_refused "core-write 'there': File exists" --core there --flat 0x100000 code
	run_refused "core-write 'no/core': No such file or directory" --core no/core --flat 0x100000 code
	run_refused "file-twice 'core'" --core core --stats=json:core --flat 0x100000 code
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
	complained_of "core-write 'core': File exists"
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
	complained_of "core-write 'ro/core': Read-only file system"
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
	complained_of "core-write 'full/core': No space left on device" some
	complained '^tollgate: panic \(pvpanic\), exit status 123$'
	same 'output, and what is left' "$(cat "$case_dir/out")" 'exits: panic'
}

# The VM goes on after each.
case_refusals_of_control() {
	start_controlled -m 64M "$(kernel hang)"
	echo mine >there
	refuses "core-write '$PWD/there': File exists" some core there
	refuses "core-write '$PWD/no/core': No such file or directory" '' core no/core
	refuses "command-arguments 'core'" some core
	control status
	same 'state' "$(sed -n 1p reply)" 'state running'
	printf 'core relative\nstop\n' | "$TALK" unix:ctl >reply
	[[ $(sed -n 1p reply) == "error: "*"'relative'"*" [core-path]; remedy: "?* ]] || fail "the reply: $(cat reply)"
	finish
	ended 116 'killed (control socket)'
	same 'the file' "$(cat there)" mine
}

# cores_are NAME...: what is in the directory of cores; each is one of a guest of ours.
cores_are() {
	local f
	same 'cores' "$(find cores -mindepth 1 -printf '%f\n' | sort | xargs)" "$*"
	for f; do
		readelf -hW "cores/$f" | grep -q 'Type: *CORE' || fail "$f is not a core"
	done
}

# A boot that fails leaves one, by itself or ended by us; one that passes does not.
case_smoke_boots_that_fail() {
	cp "$(kernel exits)" panics
	cp "$(kernel exits)" passes
	cat >boots.yaml <<-'END'
		boots:
		  - { name: panics, kernel: panics, append: panic }
		  - { name: passes, kernel: passes, append: poweroff }
		  - { name: as/wanted, kernel: panics, append: panic, expect-end: panic }
		  - { name: resets, kernel: panics, append: reset=cf9 }
	END
	tollgate smoke --config boots.yaml -m 64M --core-dir cores --json out.json
	same 'exit status' "$status" 112
	cores_are panics.core resets.core
	printed '^  core: cores/panics.core$' '^  core: cores/resets.core$'
	jq -e '[.boots[].core] == ["cores/panics.core", null, null, "cores/resets.core"]' out.json >/dev/null ||
		fail "JSON: $(jq -c '[.boots[].core]' out.json)"
}

# Each is ended by us: for its words, its silence, its time.
case_smoke_boots_that_we_end() {
	printf 'one two\n' | speak words hang
	smoke_of words -m 64M --core-dir cores --reject two
	same 'exit status' "$status" 120
	cores_are words.core
	look cores/words.core 'x/s 0x7c00' 'p/x $rip'
	rm -r cores
	smoke_of words -m 64M --core-dir cores --stall 0.5
	same 'exit status' "$status" 118
	cores_are words.core
	smoke_of words -m 64M --core-dir cores --timeout 0.5
	same 'exit status' "$status" 2
	complained_of "core-write 'cores/words.core': File exists"
	rm -r cores
	smoke_of words -m 64M --core-dir cores --timeout 0.5
	same 'exit status' "$status" 117
	cores_are words.core
	rm -r cores
	smoke_of words -m 64M --core-dir cores --expect two
	same 'exit status' "$status" 0
	cores_are
	smoke_of words -m 64M --core-dir cores --timeout 0.5 --expect-end timeout
	same 'exit status' "$status" 0
	cores_are
}

# A panic in words, after which the guest resets or goes on, is a panic with a core either way.
case_smoke_panics_in_words() {
	printf 'Kernel panic - not syncing: gone\n' | speak resets reset
	smoke_of resets -m 64M --core-dir cores
	same 'exit status' "$status" 112
	cores_are resets.core
	printf 'Kernel panic - not syncing: gone\n' | speak hangs hang
	smoke_of hangs -m 64M --core-dir cores
	same 'exit status' "$status" 112
	cores_are hangs.core resets.core
}

# A limit that comes while the core is written does not end it, and the supervisor's end does.
case_smoke_ends_while_a_core_is_written() {
	can_freeze
	mkdir ice/cores
	printf 'Kernel panic - not syncing: gone\n' | speak resets reset
	touch frozen
	start smoke --flat 0x7c00,real -m 64M --core-dir ice/cores --timeout 1 --stall 1 resets
	wait_for test -e frozen.held
	sleep 1.2
	rm frozen
	finish
	same 'exit status' "$status" 112
	same 'cores' "$(ls ice/cores)" resets.core
}

run_cases
