#!/usr/bin/env bash
# A machine that starts again: `run --reboot` for a guest that resets itself, and `control reset`. gdb's `run`: gdb.sh.
# shellcheck source-path=SCRIPTDIR disable=SC2317,SC2016 # cases are called by name; assembly has dollars
. "${0%/*}/lib.bash"
need_kvm

# counting N ACTION [M]: makes "code", which counts its starts in CMOS RAM, which a reset leaves alone. It resets itself at
# each but the N-th, where it does ACTION, and the M-th, where it waits forever. It ends with 1 when it finds memory,
# its image or a latch as it left them instead of as they were at first.
counting() {
	assemble code <<-END
		.code16
		first: cmpb \$0, 0x9000
		jne bad
		cmpb \$0x22, image - first + 0x7c00
		jne bad
		in \$0x80, %al
		test %al, %al
		jnz bad
		movb \$1, 0x9000
		movb \$2, image - first + 0x7c00
		mov \$3, %al
		out %al, \$0x80
		mov \$0x40, %al # count
		out %al, \$0x70
		in \$0x71, %al
		mov %al, %bl
		mov \$0x41, %al
		out %al, \$0x70
		in \$0x71, %al
		mov %al, %bh
		inc %bx
		mov %bh, %al
		out %al, \$0x71
		mov \$0x40, %al
		out %al, \$0x70
		mov %bl, %al
		out %al, \$0x71
		cmp \$$1, %bx
		je last
		cmp \$${3:-0}, %bx
		je forever
		mov \$0xcf9, %dx
		mov \$6, %al
		out %al, %dx
		forever: jmp forever
		bad: mov \$1, %al
		out %al, \$0xf4
		image: .byte 0x22
		last: $2
	END
}

case_without_the_option_it_is_an_end() {
	counting 4 'xor %al, %al; out %al, $0xf4'
	tollgate run --flat 0x7c00,real code
	ended 114 'reset (reset register 0xcf9)'
	tollgate run --reboot --stats=json:stats --flat 0x7c00,real code
	ended 0 'exit code 0 (exit port), after 3 resets'
	holds stats '.resets == 3'
	counting 2 'xor %al, %al; out %al, $0xf4'
	tollgate run --reboot --flat 0x7c00,real code
	ended 0 'exit code 0 (exit port), after 1 reset'
}

has_resets() {
	control stats
	jq -e ".resets == $1" reply >/dev/null
}

# Resources that a VMM could leak with each reset: KiB of memory, mappings, descriptors, threads.
resources() {
	sed -n 's/^VmData:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status"
	wc -l <"/proc/$pid/maps"
	find "/proc/$pid/fd" -type l | wc -l
	find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l
}

case_a_thousand_resets_do_not_grow_the_vmm() {
	local before after
	counting 1000 'jmp forever' 10
	start_controlled --reboot --rng --console both --flat 0x7c00,real code
	wait_for has_resets 9
	mapfile -t before < <(resources)
	control reset
	wait_for has_resets 999
	mapfile -t after < <(resources)
	# AddressSanitizer, by its terabytes: it keeps what was freed, and its leak checker looks in place of this.
	[ "${before[0]}" -gt $((1 << 30)) ] || [ $((after[0] - before[0])) -lt 512 ] ||
		fail "memory: ${before[0]} KiB, then ${after[0]} KiB"
	[ $((after[1] - before[1])) -lt 8 ] || fail "mappings: ${before[1]}, then ${after[1]}"
	same 'descriptors' "${after[2]}" "${before[2]}"
	same 'threads' "${after[3]}" "${before[3]}"
	stop_after 999
}

# Our kernels look at all that a machine has, and do so again when they have reset it: by 0xcf9, by the keyboard
# controller, and by a triple fault.
case_each_start_finds_the_same_machine() {
	tollgate run --reboot --cpus 2 --test-device --rng -p reboots=3 "$(kernel selftest)"
	ended 0 'exit code 0 (exit port), after 3 resets'
	tollgate run --reboot --cpus 2 -p reboots=1 "$(kernel smp)"
	ended 0 'exit code 0 (exit port), after 1 reset'
	tollgate run --reboot --cpus 2 --rng -p 'reboots=1 requests=50' "$(kernel virtio)"
	ended 0 'exit code 0 (exit port), after 1 reset'
}

# A driver that has begun with a device has not, after a reset.
case_a_virtio_device_has_no_driver() {
	local gpa
	gpa=$("$TOLLGATE" machine --rng --json | jq '.devices[] | select(.name == "rng0").ranges[0].first')
	assemble code <<-END
		.code64
		mov \$$gpa, %rsi
		cmpl \$0, 0x70(%rsi) # Status
		jne bad
		movl \$3, 0x70(%rsi) # ACKNOWLEDGE and DRIVER
		cmpl \$3, 0x70(%rsi)
		jne bad
		mov \$0x40, %al
		out %al, \$0x70
		in \$0x71, %al
		inc %al
		out %al, \$0x71
		cmp \$3, %al
		je done
		ud2
		bad: mov \$1, %al
		out %al, \$0xf4
		done: xor %al, %al
		out %al, \$0xf4
	END
	tollgate run --reboot --rng --flat 0x100000 code
	ended 0 'exit code 0 (exit port), after 2 resets'
}

# The words are in "out" twice: the console stays connected.
case_control_resets_any_guest() {
	local how times
	for how in hlt loop halted; do
		start_controlled --reboot --cpus 2 -p how=$how "$(kernel hang)"
		times=1
		wait_for_output "hang: $how"
		if [ $how != halted ]; then # which ends the VM soon
			control reset
			times=2
			wait_for has_lines $times "hang: $how"
			control pause
			control reset
			control status
			same 'state' "$(sed -n 1p reply)" 'state paused'
			control resume
			times=3
			wait_for has_lines $times "hang: $how"
			stop_after 2
			continue
		fi
		finish
		ended 122 'halted (every CPU, with interrupts off)'
	done
}

has_lines() {
	[ "$(grep -cF -- "$2" "$case_dir/out")" = "$1" ]
}

# As stop, of a VM that was reset so often.
stop_after() {
	control stop
	finish
	ended 116 "killed (control socket), after $1 resets"
}

case_without_a_copy_there_is_no_reset() {
	start_controlled "$(kernel hang)"
	refuses reset-no-copy --reboot reset
	stop
}

# The words that make a reset a panic (docs/architecture.md).
case_a_panic_is_an_end() {
	assemble code <<-'END'
		.code16
		call 1f
		.ascii "Kernel panic - not syncing: test\r\n\0"
		1: pop %si
		mov $0x3f8, %dx
		2: lodsb %cs:(%si), %al
		test %al, %al
		jz 3f
		out %al, %dx
		jmp 2b
		3: mov $0xcf9, %dx
		mov $6, %al
		out %al, %dx
		4: jmp 4b
	END
	tollgate run --reboot --flat 0x7c00,real code
	ended 112 "panic (the kernel's console)"
	printf '.code16\nmov $0x505, %%dx\nmov $1, %%al\nout %%al, %%dx\n' | assemble code
	tollgate run --reboot --flat 0x7c00,real code
	ended 112 'panic (pvpanic)'
}

case_a_timeout_ends_a_guest_that_resets_forever() {
	printf '.code64\nud2\n' | assemble code
	tollgate run --reboot --timeout 0.5 --flat 0x100000 code
	same 'exit status' "$status" 117
	complained '^tollgate: timeout \(--timeout\), after [1-9][0-9]* resets?, exit status 117$'
}

run_cases
