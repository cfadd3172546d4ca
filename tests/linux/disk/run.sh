#!/bin/sh
# The job of disk-check, next to the KVM: run.sh short|long [CASE...]. Debian's kernel with its own virtio
# modules on Tollgate's disks; images lie in memory, and are looked at from here when the guest is gone.
# shellcheck disable=SC2317,SC2086 # cases are called by name; numbers need no quotes
set -u
kernel=cloud
length=$1
shift
failed=0

fail() {
	echo "    $*"
	case_failed=1
}

# either SHORT LONG: what applies.
either() {
	if [ "$length" = long ]; then echo "$2"; else echo "$1"; fi
}

# start CASE SIZE ARGUMENT...: a guest, in the background, as $vmm; its console goes to $log.
start() {
	guest_case=$1
	log=/results/$name.log err=/results/$name.err
	words="dtcase=$1 dtsize=$2"
	shift 2
	tollgate run --quick --mem 256M --timeout 400 --stats --append "quiet $words" --initrd guest.cpio "$@" \
		"/boot/vmlinuz-$kernel" </dev/null >"$log" 2>"$err" &
	vmm=$!
}

# The same to its end, which must be a good one.
guest() {
	start "$@"
	wait "$vmm" || fail "exit status $?"
	grep -q "^dt: done $guest_case" "$log" || fail 'the guest did not get to its end'
}

said() {
	tr -d '\r' <"$log" | sed -n "s/^dt: $1 //p" | tail -n 1
}

same() {
	[ "$2" = "$3" ] || fail "$1: $2, not $3"
}

told() {
	case " $(said "$1") " in
	*" $2 "*) ;;
	*) fail "$1 is not $2: $(said "$1")" ;;
	esac
}

# uses DISK BIT...: these features, and no others of a block device's, are used: SEG_MAX 2, RO 5, BLK_SIZE 6, FLUSH 9,
# TOPOLOGY 10, CONFIG_WCE 11, MQ 12, DISCARD 13, WRITE_ZEROES 14.
uses() {
	disk=$1 bit=0 wanted=
	shift
	while [ $bit -lt 24 ]; do
		case " $* " in *" $bit "*) wanted=${wanted}1 ;; *) wanted=${wanted}0 ;; esac
		bit=$((bit + 1))
	done
	same "features of $disk" "$(said "$disk" | sed 's/.*features=//' | cut -c1-24)" "$wanted"
}

sum() {
	sha256sum <"$1" | cut -d' ' -f1
}

# By its path: busybox has a mke2fs of its own, which knows no ext4.
filesystem() {
	truncate -s "$2" "$1"
	/w/mke2fs -q -t ext4 -F "$1" || fail "mke2fs $1"
}

# A file system that was unmounted is clean and whole.
whole() {
	e2fsck -fn "$1" >/results/"$name".fsck 2>&1 || fail "e2fsck -fn $1: $?"
}

case_copy() {
	size=$(either 24 256)
	dd if=/dev/urandom of=from bs=1M count="$size" 2>/dev/null
	truncate -s "${size}M" to
	guest copy "$size" --cpus 4 --disk from,ro,id=source --disk to,queues=4
	told vda "sectors=$((size * 2048))"
	told vda serial=source
	told vda ro=1
	told vda queues=4
	told vda discard=0
	told vdb serial=disk1
	told vdb queues=4
	told vdb ro=0
	told vdb logical=512
	told vdb physical=4096
	told vdb cache=write-back
	uses vda 2 5 6 9 10 12
	uses vdb 2 6 9 10 11 12 13 14
	same 'what the guest read' "$(said vda_sha256)" "$(sum from)"
	same 'what the guest wrote, and read' "$(said vdb_sha256)" "$(sum from)"
	cmp from to || fail 'what the guest wrote differs'
}

# The same by way of exits: what the driver sees is equal, and the statistics show the difference.
case_exits() {
	dd if=/dev/urandom of=from bs=1M count=4 2>/dev/null
	fewest=
	for how in '' '--exits all'; do
		rm -f to
		truncate -s 4M to
		guest copy 4 --cpus 4 --disk from,ro --disk to,queues=4 $how
		cmp from to || fail "what the guest wrote differs with '$how'"
		exits=$(awk '$1 ~ /^0x/ && $2 ~ /^disk[01]$/ { n += $3 + $4 } END { print n }' "$err")
		doorbells=$(awk '$1 ~ /^disk[01]$/ && $2 ~ /^[0-9]+$/ { n += $3 } END { print n }' "$err")
		echo "    $exits exits, $doorbells doorbells ${how:+with $how}"
		[ -z "$fewest" ] || [ "$exits" -ge $((fewest + doorbells)) ] || fail "$doorbells doorbells, $exits exits"
		fewest=$exits
	done
}

case_files() {
	size=$(either 1000 10000)
	filesystem files 128M
	truncate -s 16M own
	guest files "$size" --cpus 2 --disk files --disk own
	whole files
	whole own
	same files "$(said files)" "$size"
	mkdir out own.out
	debugfs -R 'rdump / out' files 2>/dev/null
	same 'what the files hold' "$(cd out && find . -type f | sort | xargs cat | sha256sum | cut -d' ' -f1)" \
		"$(said files_sha256)"
	debugfs -R 'rdump / own.out' own 2>/dev/null
	same 'the file on our own file system' "$(sum own.out/random)" "$(said random_sha256)"
}

# Pulls the plug when the guest has reported so many files; each of them must be there, and whole.
case_plug() {
	rounds=$(either 2 8)
	filesystem plug 64M
	round=1
	: >synced
	while [ $round -le "$rounds" ]; do
		start plug $round --disk plug
		wanted=$((round * 5))
		while kill -0 "$vmm" 2>/dev/null && [ "$(grep -c '^dt: synced' "$log")" -lt $wanted ]; do
			usleep 10000
		done
		kill -9 "$vmm" || fail 'the guest ended by itself'
		wait "$vmm" 2>/dev/null
		# The last line may be cut off, also before its end of line only.
		{ tr -d '\r' <"$log" && echo; } | sed -n 's/^dt: synced \(.*\) \([0-9a-f]\{64\}\)$/\2  \1/p' >>synced
		cp "$log" "/results/$name.$round.log"
		e2fsck -fp plug >/results/"$name".fsck 2>&1
		[ $? -le 1 ] || fail "e2fsck after round $round: $(tail -n 3 /results/"$name".fsck)"
		whole plug
		round=$((round + 1))
	done
	mkdir out
	debugfs -R 'rdump / out' plug 2>/dev/null
	[ "$(wc -l <synced)" -ge $((rounds * 5)) ] || fail "only $(wc -l <synced) files"
	(cd out && sha256sum -c ../synced >/results/"$name".sums 2>&1) ||
		fail "what was acknowledged is lost: $(grep -v ': OK$' /results/"$name".sums)"
	echo "    $(wc -l <synced) files survived $rounds kills"
}

case_overlay() {
	size=$(either 8 32)
	dd if=/dev/urandom of=image bs=1M count=64 2>/dev/null
	before=$(sum image)
	guest overlay "$size" --disk image,cow
	same 'the image under an overlay' "$(sum image)" "$before"
}

case_trim() {
	size=$(either 32 100)
	filesystem trim 256M
	kib=$(du -k trim | cut -f1)
	guest trim "$size" --disk trim
	whole trim
	same 'cache type' "$(said cache_type)" 'write through'
	[ "$(du -k trim | cut -f1)" -lt $((kib + size * 1024 / 2)) ] ||
		fail "$(du -k trim | cut -f1) KiB after fstrim, $kib before the file was written"
}

case_rebind() {
	size=$(either 10 100)
	dd if=/dev/urandom of=image bs=1M count=16 2>/dev/null
	guest rebind "$size" --cpus 2 --disk image
	same rebound "$(said rebound)" "$size"
}

if [ $# = 0 ]; then
	set -- copy exits files plug overlay trim rebind
fi
for name; do
	case_failed=0
	begin=$(date +%s)
	mkdir "/tmp/$name"
	ln -s /w/guest.cpio "/tmp/$name/guest.cpio"
	cd "/tmp/$name" || exit 1
	"case_$name"
	cd /
	if [ "$case_failed" = 0 ]; then
		echo "PASS $name ($(($(date +%s) - begin)) s)"
	else
		echo "FAIL $name"
		tail -n 40 "/results/$name.log" "/results/$name.err"
		failed=$((failed + 1))
	fi
	rm -rf "/tmp/${name:?}"
done
echo "disk: $failed failed"
exit $((failed > 0))
