#!/usr/bin/env bash
# Disks on the real KVM, driven by guest/kernels/blk: what the guest sees, what the image becomes, what is
# locked, what a full disk does, and what a request costs in exits and interrupts.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm
PATH=$PATH:/usr/sbin:/sbin # losetup, mke2fs

sectors=8192

# image FILE: lines of 16 bytes with their number, as guest/kernels/blk wants it.
image() {
	seq -f %015.0f 0 $((sectors * 32 - 1)) >"$1"
}

# fill BYTE SECTOR COUNT FILE: what the guest's writes do.
fill() {
	head -c $((512 * $3)) /dev/zero | tr '\0' "$1" | dd of="$4" bs=512 seek="$2" conv=notrunc status=none
}

# The image after guest/kernels/blk wrote to it, but for the sectors that it discarded (64 to 71) and
# those of the counted requests, which read.
written() {
	image "$1"
	fill w 16 8 "$1"
	fill v 19 1 "$1"
	fill '\0' 32 8 "$1"
	fill '\0' 64 8 "$1"
}

same_image() {
	cp "$1" got
	fill '\0' 64 8 got
	cmp got "$2" || fail "$1 is not what the guest wrote"
}

# drive WORDS ARGUMENT...: the kernel passes with these words, and the tollgate arguments.
drive() {
	local words=$1
	shift
	tollgate run --stats=json:stats -p "$words" "$@" "$(kernel blk)"
	ended 0 'exit code 0 (exit port)'
	! grep 'FAIL ' "$case_dir/out" || fail 'a check of the kernel failed'
	holds stats '.virtio[0] | .device == "disk0" and .type == "block" and .resets_needed == 0'
}

# Everything, and the image afterwards. ARGUMENT... for tollgate; $how is appended to the file's name.
drive_and_compare() {
	image disk
	written wanted
	drive "sectors=$sectors" --disk "disk${how:-}" "$@"
	printed '^30 passed, 0 failed$'
	same_image disk wanted
}

case_the_kernel_passes_and_the_image_has_what_it_wrote() {
	drive_and_compare
}

case_it_passes_with_exits_for_everything() {
	drive_and_compare --exits all
}

case_it_passes_on_two_cpus_with_two_queues() {
	drive_and_compare -c 2
	holds stats '.virtio[0].queues | length == 2'
}

case_it_passes_without_the_page_cache() {
	image disk
	dd if=disk of=/dev/null bs=4096 count=1 iflag=direct status=none 2>/dev/null ||
		skip 'this file system has no O_DIRECT'
	how=,direct
	drive_and_compare
}

# kill_at N: a VM is killed once the guest has seen the flush of record N; all that it saw flushed is in the image.
kill_at() {
	local last
	rm -f disk
	truncate -s $((sectors * 512)) disk
	start run -p records --disk "disk${how:-}" "$(kernel blk)"
	wait_for_output "kept $1"
	kill -9 "$pid"
	finish
	same 'exit status' "$status" 137
	last=$(tr -d '\r' <"$case_dir/out" | sed '$d' | sed -n 's/^kept //p' | tail -n 1) # the last line may be cut
	[ "${last:-0}" -ge $(($1 - 1)) ] || fail "only $last records"
	[ "$how" = ,cow ] || [ "$(head -c $(((last + 1) * 512)) disk | uniq -c)" = \
		"$(seq -f '     32 %015.0f' 0 "$last")" ] || fail "a record up to $last is not in the image"
}

# kill_often: at random points, KILLS times.
kill_often() {
	local at
	for _ in $(seq "${KILLS:-2}"); do
		at=$((RANDOM % 100 + 1))
		kill_at $at
	done
}

case_no_flushed_record_is_lost_when_the_vmm_is_killed() {
	local how=''
	kill_often
}

case_nor_without_the_page_cache() {
	local how=,direct
	image disk
	dd if=disk of=/dev/null bs=4096 count=1 iflag=direct status=none 2>/dev/null ||
		skip 'this file system has no O_DIRECT'
	kill_often
}

case_nor_does_the_image_under_an_overlay_change_then() {
	local how=,cow
	kill_often
	truncate -s $((sectors * 512)) empty
	cmp disk empty || fail 'the image has changed'
}

case_the_name_is_told() {
	image disk
	drive 'keep id=root-disk' --disk disk,id=root-disk,queues=3
	holds stats '.virtio[0].queues | length == 3'
}

case_a_comma_in_a_name_is_two() {
	image 'a,ro'
	drive 'keep op=write' --disk a,,ro
}

case_a_read_only_disk_refuses_writes() {
	image disk
	chmod 444 disk
	drive readonly --disk disk,ro
	image wanted
	cmp disk wanted || fail 'a read-only image was written to'
}

case_an_overlay_leaves_the_image_as_it_is() {
	image disk
	image wanted
	chmod 444 disk
	drive op=write --disk disk,cow
	printed '^30 passed, 0 failed$'
	cmp disk wanted || fail 'an image under an overlay was written to'
}

case_a_size_that_is_no_multiple_of_a_sector() {
	image disk
	printf 'tail' >>disk
	tollgate run -p "sectors=$((sectors + 1))" --disk disk "$(kernel blk)"
	# The kernel wants a line in the last sector, and finds four bytes and zeros.
	printed '^PASS blk-capacity$' '^FAIL blk-read-last: .* status 0' '^29 passed, 1 failed$'
	[ "$(tail -c 4 disk)" = tail ] || fail 'the tail has changed'
}

case_several_disks_and_what_is_told_of_them() {
	image disk
	image other
	drive keep --disk disk --disk other,ro
	holds stats '.virtio | map(.device) == ["disk0", "disk1"]'
}

# Holds disk$1 with a VM until stop_holding.
hold() {
	start run --disk "$1" -p how=hlt "$(kernel hang)"
	wait_for runs_a_vcpu
}

stop_holding() {
	kill "$pid"
	finish
}

# refused_while ARGUMENT: another VM cannot have it.
in_use() {
	local out err=again
	out=$("$TOLLGATE" run --disk "$1" "$(kernel blk)" 2>$err) && fail "two VMs have $1"
	[ -z "$out" ] || fail 'a guest ran'
	error_in $err "disk-in-use '${1%%,*}'" ,ro
}

case_an_image_has_one_writer() {
	image disk
	hold disk
	in_use disk
	in_use disk,ro
	in_use disk,cow
	stop_holding
	drive keep --disk disk
}

case_an_image_has_any_number_of_readers() {
	image disk
	hold disk,ro
	in_use disk
	drive 'readonly' --disk disk,ro
	drive '' --disk disk,cow
	stop_holding
	drive keep --disk disk
}

case_one_image_twice_is_refused() {
	image disk
	tollgate run --disk disk --disk disk "$(kernel blk)"
	same status "$status" 2
	complained_of "disk-in-use 'disk'"
	drive readonly --disk disk,ro --disk disk,ro
}

# The host takes no write after 80 MiB; the guest gets an error, and goes on.
case_a_limit_to_file_sizes_is_an_error_of_the_write() {
	image disk
	truncate -s 100M disk
	(
		ulimit -f $((80 << 10))
		tollgate run --mem 64M --stats=json:stats -p 'full=180000 keep' --disk disk "$(kernel blk)"
		ended 0 'exit code 0 (exit port)'
		printed '^PASS blk-full$' '^PASS blk-full-again$'
		holds stats '.virtio[0] | .host_errors == 2 and .flushes == 1 and .written_bytes == 512'
	)
}

case_a_full_file_system_is_an_error_of_the_write() {
	local script
	mkdir full
	# shellcheck disable=SC2016 # for the inner shell
	script='mount -t tmpfs -o size=1m none full && truncate -s 4M full/disk &&
		head -c 4096 /dev/zero | dd of=full/disk conv=notrunc status=none && shift 0 && exec "$@"'
	unshare -m sh -c "$script" sh true 2>/dev/null || skip 'no mount namespaces'
	for how in '' ,cow; do
		status=0
		TMPDIR=$PWD/full timeout -k 10 "$limit_s" unshare -m sh -c "$script" sh "$TOLLGATE" run \
			-p 'keep op=write depth=32 requests=600' --disk "full/disk$how" "$(kernel blk)" \
			>"$case_dir/out" 2>"$case_dir/err" || status=$?
		ended 1 'exit code 1 (exit port)'
		printed '^FAIL blk-depth-32: 600 of 600 requests, [1-9][0-9]* failed'
	done
}

# traced STRACE_OPTION... -- ARGUMENT...: tollgate under strace, whose words go to ./trace.
traced() {
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	# The leak checker of sanitized builds traces, too.
	ran="tollgate $*" status=0
	ASAN_OPTIONS=detect_leaks=0 timeout -k 10 "$limit_s" strace -f -qq -o trace "${options[@]}" \
		"$TOLLGATE" "$@" >"$case_dir/out" 2>"$case_dir/err" || status=$?
}

need_strace() {
	strace -qq -o /dev/null true 2>"$case_dir/why" || skip "no strace: $(head -n 1 "$case_dir/why")"
}

# Where io_uring is refused, threads do it: what the guest asked for are system calls that can be seen. Flushes
# of io_uring are counted where the disk is a block device, below.
case_what_the_guest_asks_for_reaches_the_host() {
	need_strace
	image disk
	written wanted
	traced -e trace=io_uring_setup,pwritev,fdatasync,fallocate -e inject=io_uring_setup:error=EPERM -- \
		run -p "sectors=$sectors" --disk disk "$(kernel blk)"
	ended 0 'exit code 0 (exit port)'
	same_image disk wanted
	same 'system calls' "$(sed -nE 's/^[0-9]+ +(pwritev|fdatasync|fallocate)\(.*= [0-9]+$/\1/p' trace |
		tail -n +2 | tr '\n' ' ')" \
		'fdatasync pwritev pwritev fdatasync fallocate fallocate fallocate '
}

# The host's disk fails every second write; the guest gets an error for each, and everything else works.
case_a_failing_disk_is_an_error_of_the_write() {
	need_strace
	image disk
	traced -e trace=pwritev -e inject=pwritev:error=EIO:when=1+2 -- \
		run --stats=json:stats -p 'full=100 keep' --disk disk "$(kernel blk)"
	ended 0 'exit code 0 (exit port)'
	printed '^PASS blk-full$' '^PASS blk-full-elsewhere$' '^PASS blk-full-again$'
	holds stats '.virtio[0] | .host_errors == 2 and .written_bytes == 512'
}

# attach BLOCK_BYTES: $loop is then a block device with ./disk in it, until the case ends.
attach() {
	[ "$(id -u)" = 0 ] || skip 'only root can make block devices'
	loop=$(losetup --find --show --sector-size "$1" disk 2>"$case_dir/why") ||
		skip "no loop devices: $(cat "$case_dir/why")"
	trap 'losetup --detach "$loop"' EXIT
}

# Discards, and flushes that got to the device: Linux's Documentation/block/stat.rst.
done_by_device() {
	awk '{ print $12, $16 }' "/sys/block/${loop#/dev/}/stat"
}

# on_block_device BLOCK_BYTES: everything, and what the guest's two flushes and one discard come to.
on_block_device() {
	local how before after
	for how in '' ,direct; do
		image disk
		written wanted
		attach "$1"
		before=$(done_by_device)
		drive "sectors=$sectors block=$1" --disk "$loop$how"
		printed '^30 passed, 0 failed$'
		after=$(done_by_device)
		same 'flushes' $((${after#* } - ${before#* })) 2
		[ "${after% *}" -gt "${before% *}" ] || fail 'no discard got to the device'
		losetup --detach "$loop"
		trap - EXIT
		same_image disk wanted
	done
}

case_a_block_device_of_the_host() {
	on_block_device 512
}

case_a_block_device_of_blocks_of_4_kib() {
	on_block_device 4096
}

case_a_block_device_that_is_only_read() {
	image disk
	image wanted
	attach 4096
	drive 'readonly block=4096' --disk "$loop,ro"
	drive 'op=write block=4096' --disk "$loop,cow"
	cmp disk wanted || fail 'a block device that is only read was written to'
}

case_a_block_device_in_use_is_refused() {
	image disk
	attach 512
	hold "$loop"
	tollgate run --disk "$loop" "$(kernel blk)"
	same status "$status" 2
	complained_of "disk-open '$loop': Device or resource busy" ,ro
	in_use "$loop,ro"
	stop_holding
	mke2fs -q -F "$loop"
	mkdir mounted
	# shellcheck disable=SC2016 # for the inner shell
	tollgate() {
		status=0
		unshare -m sh -c 'mount "$1" mounted && shift && exec "$@"' sh "$loop" "$TOLLGATE" "$@" \
			>"$case_dir/out" 2>"$case_dir/err" || status=$?
	}
	tollgate run --disk "$loop" "$(kernel blk)"
	same status "$status" 2
	complained_of "disk-open '$loop': Device or resource busy" ,ro
}

# The cost of 2,000 more requests of one kind: exits to userspace (a disk has no ports), and interrupts
# that were sent. ARGUMENT... for tollgate.
cost() {
	local depth=$1 few few_sent n
	shift
	for n in 1000 3000; do
		image disk
		drive "keep depth=$depth op=$op requests=$n" --disk disk "$@"
		few=${exits:-0} few_sent=${sent:-0}
		exits=$(jq .exits.MMIO stats)
		sent=$(jq '.virtio[0].queues[0].interrupts' stats)
	done
	exits=$((exits - few)) sent=$((sent - few_sent))
}

# An interrupt that the handler finds nothing for, because it looked before, is acknowledged by an exit; few
# are. A doorbell or an acknowledgement that were one would make a thousand.
no_exits() {
	[ "$exits" -le 20 ] || fail "$exits exits for 2,000 ${op}s, $1 at a time"
}

case_a_request_costs_no_exit_and_few_interrupts() {
	local op exits sent
	for op in read write; do
		exits='' sent=''
		cost 1
		no_exits one
		[ "$sent" -le 2000 ] || fail "$sent interrupts for 2,000 ${op}s"
		exits='' sent=''
		cost 32
		no_exits 32
		[ "$sent" -le 500 ] || fail "$sent interrupts for 2,000 ${op}s at depth 32"
		echo "$op: $sent interrupts for 2,000 requests at depth 32"
	done
	op=read exits='' sent=''
	cost 1 --exits doorbells
	[ "$exits" -ge 1000 ] || fail "only $exits exits without ioeventfds"
}

# faulty SPEC... : the kernel's checks with these faults of the disk; those that fail are not an error here.
faulty() {
	local spec how=
	for spec; do how+=,fault=$spec; done
	image disk
	tollgate run --stats=json:stats -p "depth=1 requests=100" --disk "disk$how" "$(kernel blk)"
	failed=$(sed -n 's/^FAIL \([^:]*\):.*/\1/p' "$case_dir/out" | tr -d '\r' | tr '\n' ' ')
}

# The kernel reads sectors 0, 8191 and 8 to 15, and writes sector 19 after 16 to 23.
case_failures_on_purpose_by_sector_and_operation() {
	faulty fail:op=read:sectors=8191
	same 'checks that failed' "$failed" 'blk-read-last '
	holds stats '.virtio[0] | .fault_failed == 1 and .host_errors == 1 and .fault_lost == 0'
	complained '^disk0: faults on purpose: 1 failed$'
	faulty fail:op=flush
	same 'checks that failed' "$failed" 'blk-flush blk-flush-writes '
	faulty fail:op=zero+discard:times=1
	same 'checks that failed' "$failed" 'blk-zero blk-zeroed '
}

case_lost_writes_on_purpose() {
	written wanted
	fill w 19 1 wanted # without what was written there last
	faulty lose:sectors=19:every=2
	same 'checks that failed' "$failed" 'blk-written-sector '
	same_image disk wanted
	holds stats '.virtio[0] | .fault_lost == 1 and .host_errors == 0'
}

# A flush that the host does not see, and a delay that the guest does not notice.
case_lost_flushes_and_delays_on_purpose() {
	written wanted
	faulty lose:op=flush delay:ms=1:every=10
	same 'checks that failed' "$failed" ''
	same_image disk wanted
	holds stats '.virtio[0] | .fault_lost == 2 and .flushes == 2 and .fault_delayed > 10'
	complained '^disk0: faults on purpose: 2 lost, [0-9]+ delayed$'
}

# A seed tears the same writes at the same sectors; another one does not.
case_torn_writes_repeat_from_their_seed() {
	local seed sum=()
	for seed in 3 3 4; do
		faulty "tear:op=write:p=0.9:seed=$seed"
		holds stats '.virtio[0].fault_torn > 0'
		sum+=("$(sha256sum <disk)$failed")
	done
	same 'the second run' "${sum[1]}" "${sum[0]}"
	[ "${sum[2]}" != "${sum[0]}" ] || fail 'another seed did the same'
}

# The VM does not wait for a minute when it ends.
case_a_delay_does_not_delay_the_end() {
	image disk
	start_controlled --disk disk,fault=delay:ms=60000 "$(kernel blk)"
	wait_for delayed_one
	stop
}

delayed_one() {
	control stats
	jq -e '.virtio[0].fault_delayed == 1' reply >/dev/null
}

# In a matrix a disk has its faults as it has its other keys.
case_faults_in_a_matrix() {
	image disk
	cat >smoke.yml <<-END
		boots:
		  - name: reads
		    kernel: $(kernel blk)
		    disk: [ 'disk,cow,fault=fail:op=read' ]
		  - name: none
		    kernel: $(kernel blk)
		    disk: [ 'disk,cow' ]
	END
	tollgate smoke --config smoke.yml --json smoke.json
	jq -e '.boots | map(.exit_status != 0) == [true, false]' smoke.json >/dev/null || fail "$(cat "$case_dir/out" "$case_dir/err")"
}

run_cases
