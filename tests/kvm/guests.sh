#!/usr/bin/env bash
# Every test kernel passes on the real thing: what each finds is in its own output.
# shellcheck source-path=SCRIPTDIR disable=SC2016,SC2317 # assembly; cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# passed N: that many PASS and no FAIL, and the kernel's own sum says so too. Output of the hostile
# kernel to the debug console may stand before a PASS: the two devices' output is not put in order.
passed() {
	ended 0 'exit code 0 (exit port)'
	! grep 'FAIL ' "$case_dir/out" || fail 'a check of the kernel failed'
	same 'PASS lines' "$(grep -cE '^\.*PASS ' "$case_dir/out")" "$1"
	printed "^$1 passed, 0 failed\$"
}

case_the_built_in_self_test_passes() {
	tollgate run
	passed 15
	printed '^Tollgate self-test$' '^ +command line .*panic=-1$' \
		'^PASS apic-timer +interrupt after 1 ms$'
}

case_the_self_test_is_also_a_kernel_file() {
	tollgate run --append 'some words' "$(kernel selftest)"
	passed 15
	printed ' command line .* some words$'
}

case_port_io_works() {
	tollgate run "$(kernel pio)"
	passed 10
	printed '^pio: no scratch ports$'
}

case_port_io_works_on_the_test_device() {
	tollgate run --test-device "$(kernel pio)"
	passed 11
	printed '^PASS pio-scratch$'
}

case_port_io_works_with_every_write_an_exit() {
	tollgate run --test-device --exits writes "$(kernel pio)"
	passed 11
}

case_mmio_works_on_the_test_device() {
	tollgate run --test-device "$(kernel mmio)"
	passed 14
}

case_mmio_says_what_it_lacks_without_the_test_device() {
	tollgate run "$(kernel mmio)"
	ended 64 'exit code 64 (exit port)'
	printed '^command line: mmio: no scratch device'
}

case_the_clock_interrupts() {
	tollgate run "$(kernel rtc)"
	passed 6
}

case_a_hostile_guest_neither_ends_nor_breaks_the_vmm() {
	local seed
	for seed in 1 2 3 0xdeadbeef; do
		tollgate run --test-device -p "seed=$seed" "$(kernel hostile)"
		passed 5
	done
}

# Of every kind; the random words start, stop and configure them, too.
case_nor_by_way_of_virtio_devices() {
	local seed
	truncate -s 1M disk
	for seed in 1 2 3 0xdeadbeef; do
		tollgate run -p "seed=$seed count=4000" --rng --disk disk --balloon 0 \
			--virtio-console null --vsock v "$(kernel hostile)"
		passed 5
	done
}

case_what_a_hostile_guest_does_is_counted() {
	tollgate run --stats=json:stats -p 'seed=7 count=1000' "$(kernel hostile)"
	passed 5
	holds stats '.pio.unclaimed_reads > 0 and .mmio.unclaimed_writes > 0 and .end.exit_status == 0'
}

case_the_hammer_kernel_runs_alone() {
	tollgate run -p 'port=0xa00 count=1000' "$(kernel hammer)"
	ended 0 'exit code 0 (exit port)'
	printed '^hammer: CPU 0: 1000 accesses in '
}

# fw_cfg SELECTOR BYTES: code that prints so many bytes of an item.
fw_cfg() {
	printf '%s\n' "mov \$0x510, %dx; mov \$$1, %ax; out %ax, %dx; inc %dx; mov \$$2, %cx" \
		'1: in %dx, %al; out %al, $0xe9; loop 1b'
}

case_fw_cfg_has_the_machine_and_the_files() {
	printf 'first' >one
	printf 'second' >two
	{
		printf '.code16\n'
		fw_cfg 0 4    # signature
		fw_cfg 5 2    # CPUs
		fw_cfg 3 8    # RAM
		fw_cfg 0x19 4 # directory
		fw_cfg 0x20 5
		fw_cfg 0x21 7
		printf '%s\n' 'xor %al, %al; out %al, $0xf4'
	} | assemble items
	tollgate run --flat 0x7c00,real --cpus 3 --mem 65M --fw-cfg opt/a=one --fw-cfg opt/b=two items
	ended 0 'exit code 0 (exit port)'
	printf 'QEMU\3\0\0\0\20\4\0\0\0\0\0\0\0\2firstsecond\0' >wanted
	cmp wanted "$case_dir/out" || fail 'the items have other bytes'
}

# Writes to port 0x2004 raise the serial port's GSI in the PIC: IRR has bit 4 then.
case_qemus_test_device_has_its_ports() {
	assemble ports <<-'END'
		.code16
		mov $0x11223344, %eax
		out %eax, $0xe0
		in $0xe1, %al # 0x33
		out %al, $0xe9
		mov $0x1000, %eax # the page has this after it was mapped anew
		movb $'m', 0x1000
		out %eax, $0xe4
		mov 0x1000, %al
		out %al, $0xe9
		mov $0x11, %al # ICW1 to ICW4
		out %al, $0x20
		mov $8, %al
		out %al, $0x21
		mov $4, %al
		out %al, $0x21
		mov $1, %al
		out %al, $0x21
		mov $0x2004, %dx
		mov $1, %al
		out %al, %dx
		mov $0x0a, %al # OCW3: read IRR
		out %al, $0x20
		in $0x20, %al
		and $0x10, %al
		out %al, $0xe9
		xor %al, %al
		out %al, %dx
		out %al, $0xf4
	END
	tollgate run --flat 0x7c00,real --test-device pc --stats=json:stats ports
	ended 0 'exit code 0 (exit port)'
	printf '3m\20' | cmp - "$case_dir/out" || fail 'the test device has other bytes'
	holds stats '[.devices[] | select(.device | startswith("pctest")) | .guest_errors] == [0, 0, 0]'
}

case_fw_cfg_is_only_there_when_it_is_asked_for() {
	{
		printf '.code16\n'
		fw_cfg 0 4
		printf '%s\n' 'xor %al, %al; out %al, $0xf4'
	} | assemble items
	tollgate run --flat 0x7c00,real items
	ended 0 'exit code 0 (exit port)'
	printf '\377\377\377\377' | cmp - "$case_dir/out" || fail 'something is at port 0x511'
}

run_cases
