#!/usr/bin/env bash
# Impossible requests are refused with exit status 2 before a guest runs: one line that names the thing
# and the reason, one more for the remedy, and nothing is left.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
need_kvm

# refused_with COMMAND...: runs it, and checks all of the above but the words.
refused_with() {
	local before
	before=$(ls -lA)
	status=0
	ran=$*
	timeout -k 10 "$limit_s" "$@" >"$case_dir/out" 2>"$case_dir/err" || status=$?
	same 'exit status' "$status" 2
	same output "$(cat "$case_dir/out")" ''
	one_error "$case_dir/err"
	same 'files' "$(ls -lA)" "$before"
}

# refused ERROR REMEDY ARGUMENT...: the same of tollgate, and the error and the remedy as for complained_of.
refused() {
	local error=$1 remedy=$2
	shift 2
	refused_with "$TOLLGATE" "$@"
	complained_of "$error" "$remedy"
}

case_commands() {
	refused "command-unknown 'boot'" --help boot
	refused "command-unknown '--kernel'" --help --kernel
	status=0
	"$TOLLGATE" >"$case_dir/out" 2>"$case_dir/err" || status=$?
	same 'exit status without a command' "$status" 2
	complained '^usage: tollgate COMMAND'
}

case_options() {
	local command help
	for command in run hammer machine; do
		help="'tollgate $command --help=all' lists"
		refused 'option-unknown --bogus' "$help" $command --bogus
		refused 'option-unknown --bogus' "$help" $command --bogus=value
		refused 'option-unknown -z' "$help" $command -z
		refused 'option-unknown -z' "$help" $command --prealloc -zx # in a cluster
		refused 'option-value-missing --mem' "$help" $command --mem
		refused 'option-value-missing -m' "$help" $command -m
		refused "option-value-unwanted '--prealloc'" "$help" $command --prealloc=yes
		refused "option-choice --help 'me'" '' $command --help=me
		refused 'option-unknown --' "$help" $command --=x
	done
	refused "option-ambiguous '--con'" --console run --con x
	refused "option-ambiguous '--p'" --port hammer --p 3
}

case_mistyped_names() {
	refused "command-unknown 'runn'" "'tollgate run'" runn
	refused "command-unknown 'mahcine'" "'tollgate machine'" mahcine
	refused 'option-unknown --appned' --append run --appned x
	refused 'option-unknown --cpuss' --cpus machine --cpuss=2
	refused 'option-unknown --pre-alloc' --prealloc run --pre-alloc
	refused 'option-unknown --memory' --mem run --memory 1G
	refused 'option-unknown --smp' --cpus smoke --smp 2
	refused 'option-unknown --drive' --disk run --drive file=x
	refused 'option-unknown --kernel' some run --kernel bzImage
	refused 'option-unknown -kernel' some run -kernel bzImage
	refused 'option-unknown -kernel' some run --rng -kernel bzImage
	refused 'option-unknown -append' --append run -append quiet
	refused 'option-unknown -smp' --cpus run -smp 2
	refused "option-one-dash '-initrd'" --initrd run -initrd rd bzImage
	refused "option-one-dash '-memory'" --mem run -memory 1G
	refused "option-choice --boot 'bzimge'" bzimage run --boot bzimge bzImage
	refused "option-choice --exit-code 'geust'" guest run --exit-code geust
}

case_operands() {
	refused "kernel-twice 'b'" --append run a b
	refused "operand-unknown 'kernel'" "'tollgate hammer --help'" hammer kernel
	refused "kernel-twice 'two'" '--append' machine one two
}

case_memory_sizes() {
	local size
	for size in x '' 64.5M -1 1e9 '64 M' 64Q 0x 99999999999999999999 16777216T; do
		refused "option-size --mem '$size'" some run --mem "$size"
	done
	for size in 0 63M 67108863 68719476737 65G 1000T; do
		refused "mem-range $size" some run --mem "$size"
	done
	refused 'mem-not-pages 67108865' '' run --mem 67108865
}

case_more_preallocated_memory_than_there_is() {
	local available
	available=$(sed -nE 's/^MemAvailable: +([0-9]+) kB/\1/p' /proc/meminfo)
	[ "$available" -lt $((60 << 20)) ] || skip 'more than 60 GiB of memory are available here'
	refused 'mem-unavailable 64 GiB' --mem run --mem 64G --prealloc
	refused 'mem-unavailable 64 GiB' --mem hammer --mem 64G --prealloc
}

case_huge_pages_of_a_fraction() {
	refused 'mem-not-huge-pages 65 MiB' --mem \
		run --mem 65M --hugepages
}

case_cpu_numbers() {
	local cpus command
	for command in run hammer machine; do
		for cpus in 0 256 two '' 1.5 -1 0x100 99999999999999999999; do
			refused "option-number --cpus '$cpus'" '' $command --cpus "$cpus"
		done
	done
}

case_values() {
	local value
	refused "option-choice --boot 'grub'" some run --boot grub "$(kernel exits)"
	for value in x '' 0x 7c00h ',' ,real '0x7c00,' 0x7c00,flat 0x7c00,real,long 18446744073709551616; do
		refused "flat-form '$value'" '' run --flat "$value" "$(kernel exits)"
	done
	for value in 0 0.0 x -1 1e3 1s '' .; do
		refused "option-seconds --timeout '$value'" some run --timeout "$value"
	done
	refused "option-seconds-max --timeout '99999999999'" some run --timeout 99999999999
	refused "option-choice --exit-code 'none'" '' run --exit-code none
	for value in x json json: JSON:file; do
		refused "stats-form '$value'" '' run --stats=$value
	done
	refused "option-choice --cpu 'pentium'" '' run --cpu pentium
}

case_options_that_go_nowhere() {
	: >initrd
	refused 'kernel-missing --initrd' some run --initrd initrd
	refused 'kernel-missing --boot and --flat' some run --boot pvh
	refused 'kernel-missing --boot and --flat' some run --flat 0x7c00
	for command in run machine hammer; do
		refused 'exits-time-unused --exits time' --stats $command --exits time
		refused 'exits-time-unused --exits latency' --stats $command --exits latency
	done
	for command in run smoke machine hammer; do
		refused "option-choice --exits 'rites'" writes $command --exits reads,rites
	done
	refused hammer-append '' hammer --append quiet
}

case_files_that_are_no_kernel() {
	mkdir dir
	: >empty
	mkfifo fifo
	printf 'Dear kernel,\nplease boot.\n' >text
	printf '#!/bin/sh\necho hello\n' >script
	refused "file-open kernel 'missing'" '' run missing
	refused "file-open kernel 'text/kernel'" '' run text/kernel
	refused "file-open kernel ''" '' run ''
	refused "file-directory kernel 'dir'" some run dir
	refused "file-empty kernel 'empty'" '' run empty
	refused "file-kind kernel 'fifo'" some run fifo
	refused "file-kind kernel '/dev/null'" some run /dev/null
	refused "kernel-text 'text'" some run text
	refused "kernel-other-format 'script'" some run script
	refused "file-open kernel 'odd??[31mname'" '' run $'odd\n\e[31mname' # one harmless line
}

case_elf_files_that_are_no_kernel() {
	local len
	for len in 40 100 2000 6000; do
		head -c $len "$(kernel exits)" >truncated
		refused "kernel-elf-truncated 'truncated'" some run truncated
	done
	{ head -c 18 "$(kernel exits)" && printf '\xb7\0' && tail -c +21 "$(kernel exits)"; } >arm64 # e_machine
	refused "kernel-elf-machine 'arm64'" some run arm64
	objcopy -O elf32-i386 -R '.note*' "$(kernel exits)" elf32
	refused "kernel-no-entry-32 'elf32'" some run elf32
	refused "kernel-program-dynamic '/bin/true'" some \
		run /bin/true
	refused "kernel-not-bzimage '$(kernel exits)'" some run --boot bzimage "$(kernel exits)"
	refused "kernel-no-multiboot '$(kernel exits)'" some \
		run --boot multiboot "$(kernel exits)"
}

case_an_efi_application() {
	# MZ, the PE header's offset at 0x3c, and the header
	{
		printf 'MZ' && head -c 58 /dev/zero && printf '\x40\0\0\0PE\0\0\x64\x86'
		head -c 4000 /dev/zero
	} >efi
	refused "kernel-efi-program 'efi'" some run efi
}

case_initrds() {
	mkdir dir
	: >empty
	truncate -s 80M large
	refused "file-open initrd 'missing'" '' run --initrd missing "$(kernel exits)"
	refused "file-directory initrd 'dir'" '' run --initrd dir "$(kernel exits)"
	refused "file-empty initrd 'empty'" '' run --initrd empty "$(kernel exits)"
	refused "initrd-no-room 'large'" '' run --mem 64M --initrd large "$(kernel exits)"
	local many
	read -r -a many < <(printf -- '--initrd large %.0s' {1..17} && echo)
	refused 'initrd-count 16' '' run "${many[@]}" "$(kernel exits)"
}

case_disks() {
	local k format magic
	k=$(kernel exits)
	mkdir dir
	mkfifo fifo
	: >empty
	head -c 1000 /dev/zero >odd
	truncate -s 1M image
	refused "disk-open 'missing'" 'truncate -s 1G' run --disk missing "$k"
	refused "disk-open 'missing'" '' run --disk missing,ro "$k"
	refused "disk-kind 'dir'" some run --disk dir "$k"
	refused "disk-kind 'dir'" some run --disk dir,ro "$k"
	refused "disk-kind 'fifo'" some run --disk fifo "$k"
	refused "disk-kind '/dev/null'" some run --disk /dev/null "$k"
	refused "disk-empty 'empty'" some run --disk empty "$k"
	refused "disk-in-use 'image'" some \
		run --disk image --disk image "$k"
	refused "disk-ro-cow --disk 'image'" '' run --disk image,ro,cow "$k"
	refused "disk-item 'rw'" some run --disk image,rw "$k"
	# shellcheck disable=SC2046 # words
	refused 'disk-count 20' '' run $(printf -- '--disk image,ro %.0s' {1..21}) "$k"
	refused "option-number --disk queues '0'" '' run --disk image,queues=0 "$k"
	refused "disk-id '123456789012345678901'" '' run --disk image,id=123456789012345678901 "$k"
	while read -r format magic; do
		{ printf %b "$magic" && head -c 4096 /dev/zero; } >"$format"
		refused "disk-not-raw '$format'" some run --disk "$format" "$k"
		refused "disk-not-raw '$format'" some \
			run --disk "$format,cow" "$k"
	done <<-'EOT'
		qcow2 QFI\xfb
		VMDK KDMV
		VHDX vhdxfile
		VHD conectix
		VirtualBox <<<\x20
	EOT
}

case_disks_that_may_not_be_written() {
	share_with "${unprivileged[@]}"
	truncate -s 1M image
	chmod 444 image
	as_kvm_user "$TOLLGATE" run --disk image "$(kernel exits)"
	complained_of "disk-open 'image'" ,ro
	chmod 0 image
	as_kvm_user "$TOLLGATE" run --disk image,ro "$(kernel exits)"
	complained_of "disk-open 'image'" access
	as_kvm_user "$TOLLGATE" run --disk image "$(kernel exits)"
	complained_of "disk-open 'image'" access # ,ro would be no help
}

case_networks() {
	local k mac
	k=$(kernel exits)
	refused "option-choice --net 'bridge'" '' run --net bridge "$k"
	refused "net-user-item 'ifname=tap0'" some run --net user,ifname=tap0 "$k"
	refused "net-tap-item 'restrict'" some run --net tap,restrict "$k"
	refused "net-ifname 'sixteen-lettersx'" some run --net tap,ifname=sixteen-lettersx "$k"
	refused 'tap-kind lo' some run --net tap,ifname=lo "$k"
	for mac in 02:00:00:00:00 01:00:00:00:00:01 ff:ff:ff:ff:ff:ff 00:00:00:00:00:00 02-00-00-00-00-01; do
		refused "net-mac '$mac'" some \
			run --net "user,mac=$mac" "$k"
	done
	refused "option-number --net queues= '0'" '' run --net tap,queues=0 "$k"
	refused "net-forward 'tcp::80'" some run --net user,hostfwd=tcp::80 "$k"
	refused "net-dns-address 'x'" '' run --net user,dns=x "$k"
	share_with "${unprivileged[@]}"
	as_kvm_user "$TOLLGATE" run --net tap "$(kernel exits)"
	complained_of 'tun-open Permission denied' --net
}

case_consoles_and_balloons() {
	local k
	k=$(kernel exits)
	mkdir dir
	: >file
	refused "option-choice --console 'tape'" '' run --console tape "$k"
	refused "console-destination --virtio-console 'tape'" some run --virtio-console tape "$k"
	refused "console-file-open 'dir'" '' run --virtio-console file:dir "$k"
	refused "console-file-open 'no/file'" '' run --virtio-console file:no/file "$k"
	refused "console-socket-open 'file'" some run --virtio-console unix:file "$k"
	refused "pty-link 'file'" some \
		run --virtio-console pty,link=file "$k"
	refused "file-twice --serial 'file'" some \
		run --virtio-console file:file --serial file:file "$k"
	refused "balloon-form 'x'" '' run --balloon x "$k"
	refused 'balloon-too-large 1024' --mem run --balloon 1G "$k"
	refused balloon-twice '' run --balloon 0 --balloon 0 "$k"
	refused balloon-hugepages some run --balloon 0 --hugepages "$k"
	refused "option-value-unwanted '--rng'" '' run --rng=1 "$k"
}

case_vsock_values() {
	local k long
	k=$(kernel exits)
	long=$(head -c 97 /dev/zero | tr '\0' x)
	: >file
	refused vsock-path-empty some run --vsock '' "$k"
	refused vsock-path-empty some run --vsock ,cid=3 "$k"
	refused 'vsock-path-length 96 bytes' shorter run --vsock "$long" "$k"
	refused "vsock-item 'port=3'" some run --vsock v,port=3 "$k"
	refused "option-number --vsock cid '2'" '' run --vsock v,cid=2 "$k"
	refused "option-number --vsock cid '4294967295'" '' run --vsock v,cid=4294967295 "$k"
	refused vsock-twice '' run --vsock v --vsock w "$k"
	refused "vsock-socket-open 'file'" 'remove the file' run --vsock file "$k"
	refused "vsock-socket-open 'no/v'" '' run --vsock no/v "$k"
	refused "file-twice --vsock 'v'" some run --vsock v --control v "$k"
}

case_kernels_that_do_not_fit() {
	printf '\xf4' >code
	refused "kernel-past-memory 0xfffff0000000" '' run --flat 0xfffff0000000 code
	refused "kernel-overlap the GDT" '' run --flat 0x1000 code
	refused 'cmdline-length 66057' --append \
		run --append "$(head -c 66000 /dev/zero | tr '\0' x)" "$(kernel exits)"
	refused 'append-length 4095' some \
		run --append "$(head -c 4093 /dev/zero | tr '\0' x)" --append y --append z "$(kernel exits)"
}

case_options_that_contradict_each_other() {
	local k
	k=$(kernel exits)
	refused 'hammer-combined --port' some hammer --mmio 0xe0000000 --port 0xa00
	refused 'hammer-combined --in' some hammer --in --out
	refused 'hammer-combined --count' some hammer --count 5 --seconds 1
	refused same-byte-alone --ioeventfds hammer --same-byte
	refused 'flat-combined --initrd' some run --flat 0x7c00,real --initrd "$k" "$k"
	refused 'flat-combined --append' some run --flat 0x7c00,real --append quiet "$k"
	refused 'flat-combined --run' some run --flat 0x7c00,real --run true "$k"
	refused 'flat-combined --boot' some run --flat 0x7c00,real --boot pvh "$k"
	refused "report-twice 'out'" some smoke --json out --junit out "$k"
	refused "report-twice '-'" some smoke --tap - --junit - "$k"
	refused log-limit-without-dir --log-dir smoke --log-limit 1M "$k"
}

case_sizes_without_a_unit() {
	refused 'mem-range 512' '--mem 512M' run -m 512
	refused 'mem-range 1M' some run -m 1M
	refused 'mem-range 1' '--mem 1G' run -m 1
	refused 'balloon-too-small --balloon 1 is' '--balloon 1M' run --balloon 1
	refused 'balloon-too-small 100K' '' run --balloon 100K
	refused 'log-limit-min 64' '--log-limit 64M' smoke --log-dir d --log-limit 64
}

case_remedies_that_help() {
	local k
	k=$(kernel exits)
	truncate -s 1M image
	refused "disk-open 'missing'" 'root file system' run --rootfs missing "$k"
	refused "disk-item 'readonly=on'" "'ro'" run --disk image,readonly=on "$k"
	refused "disk-item 'snapshot'" "'cow'" run --disk image,snapshot "$k"
	refused "disk-item 'drect'" "'direct'" run --disk image,drect "$k"
}

case_hammer_values() {
	refused "option-number --port '65536'" '' hammer --port 65536
	refused "option-number --mmio '0x100000000'" '' hammer --mmio 0x100000000
	refused 'width-range 3' '' hammer --width 3
	refused 'width-range 8' '' hammer --width 8
	refused 'width-range 3' '' hammer --width 3 --mmio 0xe0000000
	refused 'port-end 0xffff' '' hammer --port 0xffff --width 2
	refused "option-number --count '0'" '' hammer --count 0
	refused "hammer-seconds '0.05'" '' hammer --seconds 0.05
	refused "option-number --ioeventfds '65536'" '' hammer --ioeventfds 65536
	refused 'width-datamatches 1' --width hammer --ioeventfds 256 --same-byte --width 1
	refused "option-choice --hit 'best'" '' hammer --hit=best
	refused hit-with-in '' hammer --hit --in
	refused "option-number --ranges '65001'" '' hammer --ranges 65001
	refused "range-wraps 'extra range'" --ranges hammer --ranges 8000
}

case_fw_cfg_files() {
	refused "file-open 'nowhere'" '' run --fw-cfg opt/a=nowhere
	: >empty
	refused "file-empty 'empty'" '' run --fw-cfg opt/a=empty
	truncate -s 17M large
	refused "fw-cfg-size 'large'" '' run --fw-cfg opt/a=large
}

case_hammered_places_that_are_taken() {
	refused "range-overlap 'serial0' (0x3f8 to 0x3ff) and 'hammer' (0x3fc to 0x3fc)" \
		'--port 0xa00 is free' hammer --port 0x3fc
	refused "range-overlap 'hammer' (0x4ff to 0x502) and 'exit0'" --port hammer --port 0x4ff --width 4
	refused "range-overlap 'hammer' (0xd0100fdc to 0xd0100fe3) and 'scratch0'" --mmio \
		hammer --test-device --mmio 0xd0100fdc --width 8
	refused 'hammer-address-taken pit' --port hammer --port 0x43
	refused 'hammer-address-taken lapic' --mmio hammer --mmio 0xfee00000
	refused 'hammer-address-taken ioapic' '' hammer --mmio 0xfebffffc --width 8
	refused 'hammer-address-memory 0x1000' --mmio hammer --mmio 0x1000
	refused 'hammer-address-memory 0x3fffffc' '' hammer --mmio 0x3fffffc --width 8 # half of it
}

case_threads_that_cannot_be_had() {
	printf '#!/bin/sh\nexec "%s" threads "%s" "$@"\n' "$REFUSE" "$TOLLGATE" >without
	chmod +x without
	TOLLGATE=$PWD/without
	refused 'console-output-thread Resource temporarily unavailable' '' run "$(kernel hang)"
	# A pipe has no thread.
	# shellcheck disable=SC2016 # for the inner shell
	refused_with bash -o pipefail -c '"$@" | cat' bash "$TOLLGATE" run --cpus 2 "$(kernel hang)"
	complained_of 'vcpu-thread 1' ''
	refused 'vcpu-thread 0' '' hammer
	refused 'hammer-thread Resource temporarily unavailable' '' hammer --hit
}

case_files_that_may_not_be_opened() {
	local n
	for n in 4 8 12; do
		# shellcheck disable=SC2016 # for the inner shell
		refused_with sh -c 'ulimit -S -n "$1" && shift && exec "$@"' sh $n "$TOLLGATE" run "$(kernel hang)"
		complained_of '[a-z0-9-]+ Too many open files' 'ulimit -n'
	done
}

# Runs a command as nobody in particular; the mode of files means nothing to root.
unprivileged=()
[ "$(id -u)" != 0 ] || unprivileged=(setpriv --reuid 65534 --regid 65534 --clear-groups --)

# as_kvm_user COMMAND...: refused_with, as somebody who may open /dev/kvm and nothing else.
as_kvm_user() {
	[ "$(id -u)" = 0 ] || skip 'only root can give another user a /dev/kvm'
	mkdir -p dev
	# shellcheck disable=SC2016 # for the inner shell
	refused_with unshare -m sh -c 'mount -t tmpfs -o dev,mode=755 none dev && mknod -m 666 dev/kvm c 10 232 &&
		mount --bind dev/kvm /dev/kvm && umount -l dev && exec "$@"' sh "${unprivileged[@]}" "$@"
}

case_a_kernel_that_may_not_be_read() {
	share_with "${unprivileged[@]}"
	install -m 0 "$(kernel exits)" secret
	refused_with "${unprivileged[@]}" "$TOLLGATE" run secret
	complained_of "file-open kernel 'secret'"
}

# Of --run and what goes with it.
case_commands_in_the_guest() {
	local k remedy="it is for the /init that --run, --root and --rootfs bring"
	k=$(kernel hang)
	refused 'kernel-missing --run, --copy, --overlay, --root, --rootfs or --root-of-host' some run --run true
	refused 'kernel-missing --run, --copy, --overlay, --root, --rootfs or --root-of-host' some run --overlay .
	: >image
	refused rootfs-twice '' run --rootfs image --rootfs image "$k"
	refused rootfs-with-root some run --rootfs image --root /dev/vdb "$k"
	rm image
	refused run-twice some run --run a --run b "$k"
	refused "copy-form 'file'" some run --copy file "$k"
	refused "copy-form 'file:path'" some run --copy file:path "$k"
	refused "copy-form ':/path'" some run --copy :/path "$k"
	refused "env-form 'name'" '' run --env name "$k"
	refused "env-form '=x'" '' run --env =x "$k"
	refused 'init-without-run --env' "$remedy" run --env a=b "$k"
	refused 'init-without-run --modules' "$remedy" run --modules . "$k"
	refused 'init-without-run --module' "$remedy" run --module x "$k"
	refused 'init-without-run --busybox' "$remedy" run --busybox "$k"
	refused 'module-without-modules ext4' --modules run --run x --module ext4 "$k"
	refused "host-tree-read file 'nothing'" '' run --copy nothing:/x "$k"
	refused "host-tree-read file 'nothing:/x'" '' run --copy nothing:/x:/y "$k" # the last colon counts
	refused "archive-path '/a/../x'" '' run --copy "$k:/a/../x" "$k"
	refused "host-tree-read overlay 'nothing'" '' run --overlay nothing "$k"
	refused "host-tree-kind overlay '$k'" '' run --overlay "$k" "$k"
	refused "host-file-open busybox 'nothing'" '' run --run x --busybox=nothing "$k"
	refused "busybox-not-static '$TOLLGATE'" some \
		run --run x "--busybox=$TOLLGATE" "$k"
	refused "modules-directory-stat 'nothing'" '' run --run x --modules nothing "$k"
	refused "modules-index './modules.dep.bin'" depmod run --run x --modules . "$k"
	refused "modules-kernel-version '$k'" some \
		run --run x --modules auto "$k"
}

case_kvm_that_may_not_be_opened() {
	share_with "${unprivileged[@]}"
	! "${unprivileged[@]}" test -w /dev/kvm || skip 'every user may open /dev/kvm here'
	refused_with "${unprivileged[@]}" "$TOLLGATE" run
	complained_of 'kvm-open Permission denied' root
}

# mounted SOURCE TARGET: then "${there[@]}" COMMAND... runs where the one is mounted over the other.
mounted() {
	[ "$(id -u)" = 0 ] || skip 'only root can change what is mounted'
	# shellcheck disable=SC2016 # for the inner shell
	there=(unshare -m sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$1" "$2")
	"${there[@]}" true 2>/dev/null || skip 'no mount namespaces here'
}

case_no_kvm_at_all() {
	mkdir dev
	mounted "$PWD/dev" /dev
	refused_with "${there[@]}" "$TOLLGATE" run
	complained_of 'kvm-open No such file or directory' modprobe
}

case_a_device_that_is_not_kvm() {
	mounted /dev/zero /dev/kvm
	refused_with "${there[@]}" "$TOLLGATE" run
	complained_of 'kvm-api-version -1' /dev/kvm
}

case_no_null_device_for_closed_descriptors() {
	mkdir dev
	mounted "$PWD/dev" /dev
	status=0
	"${there[@]}" "$TOLLGATE" run <&- >"$case_dir/out" 2>"$case_dir/err" || status=$?
	same 'exit status' "$status" 2
	complained_of 'stdio-open 0'
}

run_cases
