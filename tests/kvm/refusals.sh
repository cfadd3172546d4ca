#!/usr/bin/env bash
# What cannot be done is refused with exit status 2 before a guest runs: one line that names the thing
# and the reason, one more for the remedy, and nothing left behind.
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
	[ "$(sed -nE '1{/^tollgate: ./p}; 2{/^  remedy: ./p}' "$case_dir/err")" = "$(cat "$case_dir/err")" ] ||
		{ show && fail 'not one line and a remedy'; }
	same 'files' "$(ls -lA)" "$before"
}

# says WHAT [REMEDY]: the line behind "tollgate: ", or its beginning, and the remedy's.
says() {
	local line remedy
	line=$(sed -n '1s/^tollgate: //p' "$case_dir/err")
	remedy=$(sed -n '2s/^  remedy: //p' "$case_dir/err")
	[[ "$line" == "$1"* ]] || { show && fail "it does not say: $1"; }
	[[ "$remedy" == "${2-}"* && ( -z "${2-}" || -n "$remedy" ) ]] || { show && fail "the remedy is not: $2"; }
}

# refused WHAT REMEDY ARGUMENT...
refused() {
	local what=$1 remedy=$2
	shift 2
	refused_with "$TOLLGATE" "$@"
	says "$what" "$remedy"
}

case_commands() {
	refused "unknown command 'boot'" "\`tollgate --help\` lists" boot
	refused "unknown command '--kernel'" "\`tollgate --help\` lists" --kernel
	status=0
	"$TOLLGATE" >"$case_dir/out" 2>"$case_dir/err" || status=$?
	same 'exit status without a command' "$status" 2
	complained '^usage: tollgate COMMAND'
}

case_options() {
	local command help
	for command in run hammer machine; do
		help="'tollgate $command --help=all' lists"
		refused "option '--bogus' is unknown" "$help" $command --bogus
		refused "option '--bogus' is unknown" "$help" $command --bogus=value
		refused "option '-z' is unknown" "$help" $command -z
		refused "option '-z' is unknown" "$help" $command --prealloc -zx # in a cluster
		refused "option '--mem' needs a value" "$help" $command --mem
		refused "option '-m' needs a value" "$help" $command -m
		refused "option '--prealloc' takes no value" "$help" $command --prealloc=yes
		refused "--help 'me' is not all" '' $command --help=me
		refused "option '--' is unknown" "$help" $command --=x
	done
	refused "option '--con' is ambiguous" '--console or --control' run --con x
	refused "option '--p' is ambiguous" '--port or --prealloc' hammer --p 3
}

case_mistyped_names() {
	refused "unknown command 'runn'" "did you mean 'tollgate run'?" runn
	refused "unknown command 'mahcine'" "did you mean 'tollgate machine'?" mahcine
	refused "option '--appned' is unknown" 'did you mean --append?' run --appned x
	refused "option '--cpuss' is unknown" 'did you mean --cpus?' machine --cpuss=2
	refused "option '--pre-alloc' is unknown" 'did you mean --prealloc?' run --pre-alloc
	refused "option '--memory' is unknown" 'did you mean --mem?' run --memory 1G
	refused "option '--smp' is unknown" 'did you mean --cpus?' smoke --smp 2
	refused "option '--drive' is unknown" 'did you mean --disk?' run --drive file=x
	refused "option '--kernel' is unknown" 'the kernel needs no option: tollgate run KERNEL' run --kernel bzImage
	refused "option '-kernel' is unknown" 'the kernel needs no option: tollgate run KERNEL' run -kernel bzImage
	refused "option '-kernel' is unknown" 'the kernel needs no option: tollgate run KERNEL' run --rng -kernel bzImage
	refused "option '-append' is unknown" 'did you mean --append?' run -append quiet
	refused "option '-smp' is unknown" 'did you mean --cpus?' run -smp 2
	refused "'-initrd' has one dash, and is read as '-i nitrd'" 'write --initrd' run -initrd rd bzImage
	refused "'-memory' has one dash, and is read as '-m emory'" 'write --mem' run -memory 1G
	refused "--boot 'bzimge' is not" 'did you mean bzimage?' run --boot bzimge bzImage
	refused "--exit-code 'geust' is not" 'did you mean guest?' run --exit-code geust
}

case_operands() {
	refused "'b': one kernel at a time" 'parameters of the kernel go into --append' run a b
	refused "'kernel' is not an option" "'tollgate hammer --help'" hammer kernel
	refused "'kernel' is not an option" "'tollgate machine --help'" machine kernel
}

case_memory_sizes() {
	local size
	for size in x '' 64.5M -1 1e9 '64 M' 64Q 0x 99999999999999999999 16777216T; do
		refused "--mem '$size' is not a size" 'a number with M or G' run --mem "$size"
	done
	for size in 0 63M 67108863 68719476737 65G 1000T; do
		refused "--mem $size is out of range" '64M to 64G' run --mem "$size"
	done
	refused '67108865 bytes of memory: no multiple of 4 KiB' '' run --mem 67108865
}

case_more_preallocated_memory_than_there_is() {
	local available
	available=$(sed -nE 's/^MemAvailable: +([0-9]+) kB/\1/p' /proc/meminfo)
	[ "$available" -lt $((60 << 20)) ] || skip 'more than 60 GiB of memory are available here'
	refused '--prealloc of 64 GiB of guest memory: the host has ' 'ask for less with --mem' run --mem 64G --prealloc
	refused '--prealloc of 64 GiB of guest memory: the host has ' 'ask for less with --mem' hammer --mem 64G --prealloc
}

case_huge_pages_of_a_fraction() {
	refused '--hugepages: 65 MiB of guest memory are not whole pages' 'give --mem as a multiple of 2M' \
		run --mem 65M --hugepages
}

case_cpu_numbers() {
	local cpus command
	for command in run hammer machine; do
		for cpus in 0 256 two '' 1.5 -1 0x100 99999999999999999999; do
			refused "--cpus '$cpus' is not a number from 1 to 255" '' $command --cpus "$cpus"
		done
	done
}

case_values() {
	local value
	refused "--boot 'grub' is not auto, pvh, linux64, bzimage, multiboot or multiboot2" 'for a flat binary' run --boot grub "$(kernel exits)"
	for value in x '' 0x 7c00h ',' ,real '0x7c00,' 0x7c00,flat 0x7c00,real,long 18446744073709551616; do
		refused "--flat '$value' is not ADDR" '' run --flat "$value" "$(kernel exits)"
	done
	for value in 0 0.0 x -1 1e3 1s '' .; do
		refused "--timeout '$value' is not a number of seconds above 0" 'seconds' run --timeout "$value"
	done
	refused "--timeout '99999999999' is too long" 'seconds' run --timeout 99999999999
	refused "--exit-code 'none' is not guest or qemu" '' run --exit-code none
	for value in x json json: JSON:file; do
		refused "--stats='$value' is not json:FILE" '' run --stats=$value
	done
	refused "--cpu 'pentium' is not host or baseline" '' run --cpu pentium
}

case_options_that_go_nowhere() {
	: >initrd
	refused '--initrd without a kernel' 'name one' run --initrd initrd
	refused '--boot and --flat without a kernel' 'name one' run --boot pvh
	refused '--boot and --flat without a kernel' 'name one' run --flat 0x7c00
	for command in run smoke machine hammer; do
		refused '--exits time measures what nothing prints' "\`tollgate run\` has --stats, and --control to ask for them" \
			$command --exits time
		refused '--exits latency measures what nothing prints' "\`tollgate run\` has --stats, and --control to ask for them" \
			$command --exits latency
		refused "--exits 'rites' is not reads," 'did you mean writes?' $command --exits reads,rites
	done
	refused "--append: hammer sets the parameters of its own kernel" '' hammer --append quiet
}

case_files_that_are_no_kernel() {
	mkdir dir
	: >empty
	mkfifo fifo
	printf 'Dear kernel,\nplease boot.\n' >text
	printf '#!/bin/sh\necho hello\n' >script
	refused "open kernel 'missing': No such file or directory" '' run missing
	refused "open kernel 'text/kernel': Not a directory" '' run text/kernel
	refused "open kernel '': No such file or directory" '' run ''
	refused "kernel 'dir' is a directory" 'name the file inside it' run dir
	refused "kernel 'empty' is empty" '' run empty
	refused "kernel 'fifo' is not a regular file" 'copy it to a file first' run fifo
	refused "kernel '/dev/null' is not a regular file" 'copy it to a file first' run /dev/null
	refused "kernel 'text' is a text file" 'name a bzImage' run text
	refused "kernel 'script' is a script" 'name a kernel; a script goes into the initrd' run script
	refused "open kernel 'odd??[31mname': No such" '' run $'odd\n\e[31mname' # one harmless line
}

case_elf_files_that_are_no_kernel() {
	local len
	for len in 40 100 2000 6000; do
		head -c $len "$(kernel exits)" >truncated
		refused "kernel 'truncated' is a truncated ELF file: " 'copy or build it again' run truncated
	done
	{ head -c 18 "$(kernel exits)" && printf '\xb7\0' && tail -c +21 "$(kernel exits)"; } >arm64 # e_machine
	refused "kernel 'arm64' is an ELF file for arm64, not for x86" 'name a kernel built for x86-64' run arm64
	objcopy -O elf32-i386 -R '.note*' "$(kernel exits)" elf32
	refused "kernel 'elf32' is a 32-bit ELF file without PVH note, Multiboot header or Multiboot 2 header" 'name a 64-bit kernel' run elf32
	refused "kernel '/bin/true' is a dynamically linked program" 'name a kernel; a program goes into the initrd' \
		run /bin/true
	refused "kernel '$(kernel exits)' is not a bzImage" 'choose another boot mode' run --boot bzimage "$(kernel exits)"
	refused "kernel '$(kernel exits)' has no Multiboot header" 'choose another boot mode' \
		run --boot multiboot "$(kernel exits)"
}

case_an_efi_application() {
	# MZ, the PE header's offset at 0x3c, and the header
	{
		printf 'MZ' && head -c 58 /dev/zero && printf '\x40\0\0\0PE\0\0\x64\x86'
		head -c 4000 /dev/zero
	} >efi
	refused "kernel 'efi' is an EFI application" 'name a bzImage or an ELF kernel' run efi
}

case_initrds() {
	mkdir dir
	: >empty
	truncate -s 80M large
	refused "open initrd 'missing': No such file" '' run --initrd missing "$(kernel exits)"
	refused "initrd 'dir' is a directory" '' run --initrd dir "$(kernel exits)"
	refused "initrd 'empty' is empty" '' run --initrd empty "$(kernel exits)"
	refused "initrd 'large'" '' run --mem 64M --initrd large "$(kernel exits)"
	local many
	read -r -a many < <(printf -- '--initrd large %.0s' {1..17} && echo)
	refused 'more than 16 times --initrd' '' run "${many[@]}" "$(kernel exits)"
}

case_disks() {
	local k format magic
	k=$(kernel exits)
	mkdir dir
	mkfifo fifo
	: >empty
	head -c 1000 /dev/zero >odd
	truncate -s 1M image
	refused "open disk 'missing': No such file" 'to make one of 1 GiB: truncate -s 1G FILE' run --disk missing "$k"
	refused "open disk 'missing': No such file" '' run --disk missing,ro "$k"
	refused "disk 'dir' is neither a regular file nor a block device" 'name a raw image' run --disk dir "$k"
	refused "disk 'dir' is neither a regular file nor a block device" 'name a raw image' run --disk dir,ro "$k"
	refused "disk 'fifo' is neither a regular file nor a block device" 'name a raw image' run --disk fifo "$k"
	refused "disk '/dev/null' is neither a regular file nor a block device" 'name a raw' run --disk /dev/null "$k"
	refused "disk 'empty' is empty" 'give it a size, as in: truncate -s 1G' run --disk empty "$k"
	refused "disk 'image' is used by another program or another --disk" 'end the other one, or give both' \
		run --disk image --disk image "$k"
	refused "--disk 'image': ro and cow cannot be combined" '' run --disk image,ro,cow "$k"
	refused "--disk does not know 'rw'" 'FILE[,ro|,cow]' run --disk image,rw "$k"
	# shellcheck disable=SC2046 # words
	refused 'more than 20 times --disk' '' run $(printf -- '--disk image,ro %.0s' {1..21}) "$k"
	refused "--disk queues '0' is not a number from 1 to 16" '' run --disk image,queues=0 "$k"
	refused "--disk id '123456789012345678901' is not 1 to 20" '' run --disk image,id=123456789012345678901 "$k"
	while read -r format magic; do
		{ printf %b "$magic" && head -c 4096 /dev/zero; } >"$format"
		refused "disk '$format' is a $format image, not a raw one" 'qemu-img convert -O raw' run --disk "$format" "$k"
		refused "disk '$format' is a $format image, not a raw one" 'qemu-img convert -O raw' \
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
	says "open disk 'image': Permission denied" 'add ,ro, or ,cow for writes that end with the guest'
	chmod 0 image
	as_kvm_user "$TOLLGATE" run --disk image,ro "$(kernel exits)"
	says "open disk 'image': Permission denied" 'give this user access'
	as_kvm_user "$TOLLGATE" run --disk image "$(kernel exits)"
	says "open disk 'image': Permission denied" 'give this user access' # ,ro would be no help
}

case_networks() {
	local k mac
	k=$(kernel exits)
	refused "--net 'bridge' is not user or tap" '' run --net bridge "$k"
	refused "--net user: 'ifname=tap0' is unknown" 'hostfwd=, dns=' run --net user,ifname=tap0 "$k"
	refused "--net tap: 'restrict' is unknown" 'ifname=, queues=' run --net tap,restrict "$k"
	refused "--net ifname='sixteen-lettersx' is not a name" '1 to 15 characters' run --net tap,ifname=sixteen-lettersx "$k"
	refused 'tap interface lo: it is not one, or not made for 1 queue' 'it exists and is not a tap interface' run --net tap,ifname=lo "$k"
	for mac in 02:00:00:00:00 01:00:00:00:00:01 ff:ff:ff:ff:ff:ff 00:00:00:00:00:00 02-00-00-00-00-01; do
		refused "--net mac='$mac' is not a MAC address of one station" 'six bytes with an even first one' \
			run --net "user,mac=$mac" "$k"
	done
	refused "--net queues= '0' is not a number from 1 to 16" '' run --net tap,queues=0 "$k"
	refused "--net hostfwd='tcp::80' is not a forward" 'tcp or udp:[HOSTADDR]:PORT-' run --net user,hostfwd=tcp::80 "$k"
	refused "--net dns='x' is not an IPv4 address" '' run --net user,dns=x "$k"
	share_with "${unprivileged[@]}"
	as_kvm_user "$TOLLGATE" run --net tap "$(kernel exits)"
	says 'open /dev/net/tun: Permission denied' 'give this user access to it, or take --net user'
}

case_consoles_and_balloons() {
	local k
	k=$(kernel exits)
	mkdir dir
	: >file
	refused "--console 'tape' is not serial, virtio or both" '' run --console tape "$k"
	refused "--virtio-console 'tape' is not a console's destination" 'stdio, null, file:PATH' run --virtio-console tape "$k"
	refused "console's file 'dir': Is a directory" '' run --virtio-console file:dir "$k"
	refused "console's file 'no/file': No such file or directory" '' run --virtio-console file:no/file "$k"
	refused "console's socket 'file': File exists" 'another process listens' run --virtio-console unix:file "$k"
	refused "link 'file' to the console's /dev/pts/" 'remove it, or choose another path' \
		run --virtio-console pty,link=file "$k"
	refused "--serial 'file' and --virtio-console 'file' are one file" 'give each a file of its own' \
		run --virtio-console file:file --serial file:file "$k"
	refused "--balloon 'x' is not" '' run --balloon x "$k"
	refused "--balloon of 1024 MiB takes all of the guest's 512" 'take less than --mem' run --balloon 1G "$k"
	refused '--balloon is given twice' '' run --balloon 0 --balloon 0 "$k"
	refused '--balloon with --hugepages' 'reserved huge pages' run --balloon 0 --hugepages "$k"
	refused "option '--rng' takes no value" '' run --rng=1 "$k"
}

case_kernels_that_do_not_fit() {
	printf '\xf4' >code
	refused "kernel 'code' needs memory from 0xfffff0000000 " '' run --flat 0xfffff0000000 code
	refused "kernel 'code' needs memory from 0x1000 to 0x1001, where the GDT lies" '' run --flat 0x1000 code
	refused 'kernel command line of 66057 bytes: at most 65535 fit' 'shorten --append' \
		run --append "$(head -c 66000 /dev/zero | tr '\0' x)" "$(kernel exits)"
	refused '--append, given several times, has more than 4095 bytes' 'Linux takes 2,047' \
		run --append "$(head -c 4093 /dev/zero | tr '\0' x)" --append y --append z "$(kernel exits)"
}

case_options_that_contradict_each_other() {
	local k
	k=$(kernel exits)
	refused '--port and --mmio cannot be combined' 'give one of them' hammer --mmio 0xe0000000 --port 0xa00
	refused '--in and --out cannot be combined' 'give one of them' hammer --in --out
	refused '--count and --seconds cannot be combined' 'give one of them' hammer --count 5 --seconds 1
	refused '--same-byte without ioeventfds' 'add --ioeventfds N' hammer --same-byte
	refused '--flat with --initrd' 'a flat binary is handed nothing' run --flat 0x7c00,real --initrd "$k" "$k"
	refused '--flat with --append' 'a flat binary is handed nothing' run --flat 0x7c00,real --append quiet "$k"
	refused '--flat with --run' 'a flat binary is handed nothing' run --flat 0x7c00,real --run true "$k"
	refused '--flat with --boot' 'leave one out' run --flat 0x7c00,real --boot pvh "$k"
	refused "two reports are to be written to 'out'" 'give each a file of its own' smoke --json out --junit out "$k"
	refused "two reports are to be written to '-'" 'give each a file of its own' smoke --tap - --junit - "$k"
	refused '--log-limit without --log-dir' 'add --log-dir' smoke --log-limit 1M "$k"
}

case_sizes_without_a_unit() {
	refused '--mem 512 is out of range' 'without a unit these are bytes; did you mean --mem 512M?' run -m 512
	refused '--mem 1M is out of range' '64M to 64G' run -m 1M
	refused '--mem 1 is out of range' 'without a unit these are bytes; did you mean --mem 1G?' run -m 1
	refused '--balloon 1 is less than 1M' 'without a unit these are bytes; did you mean --balloon 1M?' run --balloon 1
	refused '--balloon 100K is less than 1M' '' run --balloon 100K
	refused '--log-limit 64 is less than 1K' 'without a unit these are bytes; did you mean --log-limit 64M?' smoke --log-dir d --log-limit 64
}

case_remedies_that_help() {
	local k
	k=$(kernel exits)
	truncate -s 1M image
	refused "open disk 'missing': No such file" 'name an image with a root file system' run --rootfs missing "$k"
	refused "--disk does not know 'readonly=on'" "did you mean 'ro'?" run --disk image,readonly=on "$k"
	refused "--disk does not know 'snapshot'" "did you mean 'cow'?" run --disk image,snapshot "$k"
	refused "--disk does not know 'drect'" "did you mean 'direct'?" run --disk image,drect "$k"
}

case_hammer_values() {
	refused "--port '65536' is not a number from 0 to 65535" '' hammer --port 65536
	refused "--mmio '0x100000000' is not a number from " '' hammer --mmio 0x100000000
	refused '--width 3: ports take 1, 2 or 4 bytes' '' hammer --width 3
	refused '--width 8: ports take 1, 2 or 4 bytes' '' hammer --width 8
	refused '--width 3: 1, 2, 4 or 8 bytes' '' hammer --width 3 --mmio 0xe0000000
	refused '--port 0xffff: 2 bytes pass the last port' '' hammer --port 0xffff --width 2
	refused "--count '0' is not a number" '' hammer --count 0
	refused "--seconds '0.05' is not a number from 0.1 up" '' hammer --seconds 0.05
	refused "--ioeventfds '65536' is not a number" '' hammer --ioeventfds 65536
	refused '--width 1 allows only 255 different datamatches' 'use --width 2' hammer --ioeventfds 256 --same-byte --width 1
	refused "--hit 'best' is not first, middle or last" '' hammer --hit=best
	refused '--hit with --in: ioeventfds take writes only' '' hammer --hit --in
	refused "--ranges '65001' is not a number" '' hammer --ranges 65001
	refused "port range of 'extra range'" 'give fewer --ranges' hammer --ranges 8000
}

case_hammered_places_that_are_taken() {
	refused "port ranges of 'serial0' (0x3f8 to 0x3ff) and 'hammer' (0x3fc to 0x3fc) overlap" \
		'--port 0xa00 is free' hammer --port 0x3fc
	refused "port ranges of 'hammer' (0x4ff to 0x502) and 'exit0'" '--port 0xa00 is free' hammer --port 0x4ff --width 4
	refused "MMIO ranges of 'hammer' (0xd0100fdc to 0xd0100fe3) and 'scratch0'" '--mmio 0xe0000000 is free' \
		hammer --test-device --mmio 0xd0100fdc --width 8
	refused '--port 0x43 is taken by pit inside KVM' '--port 0xa00 is free' hammer --port 0x43
	refused '--mmio 0xfee00000 is taken by lapic inside KVM' '--mmio 0xe0000000 is free' hammer --mmio 0xfee00000
	refused '--mmio 0xfebffffc is taken by ioapic inside KVM' '' hammer --mmio 0xfebffffc --width 8
	refused '--mmio 0x1000 is guest memory' '--mmio 0xe0000000 is free' hammer --mmio 0x1000
	refused '--mmio 0x3fffffc is guest memory' '' hammer --mmio 0x3fffffc --width 8 # half of it
}

# Stacks of a terabyte: the host gives no thread one.
case_threads_that_cannot_be_had() {
	ulimit -S -s 1000000000 || skip 'the hard limit of stacks is too low here'
	refused 'thread of console output: Resource temporarily unavailable' '' run "$(kernel hang)"
	# A pipe has no thread.
	# shellcheck disable=SC2016 # for the inner shell
	refused_with bash -o pipefail -c '"$@" | cat' bash "$TOLLGATE" run --cpus 2 "$(kernel hang)"
	says 'thread of vCPU 1: Resource temporarily unavailable' ''
	refused 'thread of vCPU 0: Resource temporarily unavailable' '' hammer
	refused 'thread of the hammer: Resource temporarily unavailable' '' hammer --hit
}

case_files_that_may_not_be_opened() {
	local n
	for n in 4 8 12; do
		# shellcheck disable=SC2016 # for the inner shell
		refused_with sh -c 'ulimit -S -n "$1" && shift && exec "$@"' sh $n "$TOLLGATE" run "$(kernel hang)"
		complained '^tollgate: .*: Too many open files$'
		complained '^  remedy: raise the limit of open files [(]ulimit -n[)]'
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
	says "open kernel 'secret': Permission denied"
}

# Of --run and what goes with it.
case_commands_in_the_guest() {
	local k remedy="it is for the /init that --run, --root and --rootfs bring"
	k=$(kernel hang)
	refused '--run, --copy, --overlay, --root or --rootfs without a kernel' 'name one' run --run true
	refused '--run, --copy, --overlay, --root or --rootfs without a kernel' 'name one' run --overlay .
	: >image
	refused '--rootfs twice' '' run --rootfs image --rootfs image "$k"
	refused '--rootfs and --root' 'these are two root directories' run --rootfs image --root /dev/vdb "$k"
	rm image
	refused '--run twice' 'one command with both' run --run a --run b "$k"
	refused "--copy 'file' is not FILE:PATH" 'PATH is absolute' run --copy file "$k"
	refused "--copy 'file:path' is not FILE:PATH" 'PATH is absolute' run --copy file:path "$k"
	refused "--copy ':/path' is not FILE:PATH" 'PATH is absolute' run --copy :/path "$k"
	refused "--env 'name' is not NAME=VALUE" '' run --env name "$k"
	refused "--env '=x' is not NAME=VALUE" '' run --env =x "$k"
	refused '--env without --run' "$remedy" run --env a=b "$k"
	refused '--modules without --run' "$remedy" run --modules . "$k"
	refused '--module without --run' "$remedy" run --module x "$k"
	refused '--busybox without --run' "$remedy" run --busybox "$k"
	refused '--module ext4 without --modules' 'add --modules DIR' run --run x --module ext4 "$k"
	refused "read file 'nothing'" '' run --copy nothing:/x "$k"
	refused "read file 'nothing:/x'" '' run --copy nothing:/x:/y "$k" # the last colon counts
	refused "'/a/../x' is not a path" '' run --copy "$k:/a/../x" "$k"
	refused "read overlay 'nothing'" '' run --overlay nothing "$k"
	refused "overlay '$k' is not a directory" '' run --overlay "$k" "$k"
	refused "open busybox 'nothing'" '' run --run x --busybox=nothing "$k"
	refused "busybox '$TOLLGATE' is not a static program" 'install a static one' \
		run --run x "--busybox=$TOLLGATE" "$k"
	refused "modules directory 'nothing'" '' run --run x --modules nothing "$k"
	refused "'./modules.dep.bin'" "\`depmod -b ROOT VERSION\`" run --run x --modules . "$k"
	refused "--modules auto: kernel '$k' does not contain its version" 'name the directory' \
		run --run x --modules auto "$k"
}

case_kvm_that_may_not_be_opened() {
	share_with "${unprivileged[@]}"
	! "${unprivileged[@]}" test -w /dev/kvm || skip 'every user may open /dev/kvm here'
	refused_with "${unprivileged[@]}" "$TOLLGATE" run
	says 'open /dev/kvm: Permission denied' 'run as root, or give your user access'
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
	says 'open /dev/kvm: No such file or directory' 'load the module (modprobe kvm_intel or kvm_amd)'
}

case_a_device_that_is_not_kvm() {
	mounted /dev/zero /dev/kvm
	refused_with "${there[@]}" "$TOLLGATE" run
	says '/dev/kvm speaks KVM API version -1, and 12 is needed' 'check that /dev/kvm is the KVM device'
}

case_no_null_device_for_closed_descriptors() {
	mkdir dev
	mounted "$PWD/dev" /dev
	status=0
	"${there[@]}" "$TOLLGATE" run <&- >"$case_dir/out" 2>"$case_dir/err" || status=$?
	same 'exit status' "$status" 2
	says 'open /dev/null for closed descriptor 0: No such file or directory'
}

run_cases
