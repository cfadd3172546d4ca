#!/bin/sh
# The matrix's job, next to the KVM: run.sh KERNEL CELL... Boots each cell and holds what its init says
# against what the VMM was asked for. The console of a cell that fails is shown, and all consoles are in
# /results.
set -u
kernel=$1
shift
[ "$TESTBED" = host ] || dmesg -n 1 # kvm_amd says which MSRs it does not know, once a guest
failed=0
cr=$(printf '\r')

fail() {
	echo "    $*"
	cell_failed=1
}

# Memory that the guest counts: all but what the kernel keeps for itself.
check_memory() {
	case $1 in
	*G) want_kib=$((${1%G} * 1048576)) ;;
	*M) want_kib=$((${1%M} * 1024)) ;;
	esac
	if [ "$2" -gt "$want_kib" ] || [ "$2" -lt $((want_kib * 9 / 10 - 40960)) ]; then
		fail "memory: $2 KiB of $1"
	fi
}

# A clock of the guest's, in its form 2026-11-22T12:00:00, shows a time between the guest's start and when its
# line came; a second more for each, as they are whole ones.
check_clock() {
	guest=$(date -u -D %Y-%m-%dT%H:%M:%S -d "$2" +%s) || guest=0
	if [ "$guest" -lt $((start - 1)) ] || [ "$guest" -gt $(($3 + 1)) ]; then
		fail "$1: $2, and that was between $(date -u -d "@$start") and $(date -u -d "@$3")"
	fi
}

# The console's lines, as they came: the time of arrival counts for the clocks. Processes are dear here,
# so only lines that are read again cost one.
follow() {
	while read -r line; do
		line=${line%"$cr"}
		case $line in
		tg:*)
			printf '%s %s\n' "$(date -u +%s)" "$line" >>"$log"
			[ "$line" != "tg: reading" ] || echo "line for $name" >&3
			;;
		*) printf -- '- %s\n' "$line" >>"$log" ;;
		esac
	done
}

said() {
	sed -n "s/^[0-9]* tg: $1 //p" "$log" | tail -n 1
}

said_at() {
	sed -n "s/^\([0-9]*\) tg: $1 .*/\1/p" "$log" | tail -n 1
}

check_cell() {
	[ "$got" = "$status" ] || fail "exit status $got instead of $status: $(tail -n 1 "$err")"
	[ -n "$(said 'done')" ] || {
		fail "its init did not get to the end"
		return
	}
	check_memory "$mem" "$(said memtotal_kib)"
	# Without ACPI the MP table lists CPUs, for kernels that read it.
	if grep -qs '^CONFIG_X86_MPPARSE=y' "/boot/config-$kernel"; then sees=${sees#*,}; else sees=${sees%,*}; fi
	[ "$(said cpus)" = "$sees" ] || fail "CPUs: $(said cpus) instead of $sees"
	[ "$(said clocksource)" = kvm-clock ] || [ "$(said clocksource)" = tsc ] || fail "clock source: $(said clocksource)"
	[ "$(said pat)" = 1 ] || fail "no page attribute table"
	check_clock date "$(said date)" "$(said_at date)"
	case $words in *acpi=off*) ;; *) check_clock rtc "$(said rtc)" "$(said_at rtc)" ;; esac
	for word in $kernel_words; do
		case " $(said cmdline) " in *" $word "*) ;; *) fail "command line lacks $word: $(said cmdline)" ;; esac
	done
	[ "$(said sha256)" = "$payload" ] || fail "the payload of the second initrd: $(said sha256)"
	case $words in *@read*) [ "$(said read)" = "[line for $name]" ] || fail "console input: $(said read)" ;; esac
}

run_cell() {
	log=/results/$kernel-$name.log err=/results/$kernel-$name.err
	cell_failed=0 extra='' kernel_words=''
	: >"$log"
	for word in $words; do
		case $word in
		@read) kernel_words="$kernel_words tgread=200" ;;
		@baseline) extra="$extra --cpu baseline" ;;
		*) kernel_words="$kernel_words $word" ;;
		esac
	done
	case $words in *tgaction=hang*) extra="$extra --timeout $hang_s" ;; *) extra="$extra --timeout 900" ;; esac
	rm -f /tmp/in
	mkfifo /tmp/in
	exec 3<>/tmp/in
	start=$(date +%s)
	# shellcheck disable=SC2086 # words
	{
		tollgate run --boot "$boot" --cpus "$cpus" --mem "$mem" --stats $extra --append "$kernel_words" \
			--initrd guest.cpio --initrd payload.cpio "/boot/$image-$kernel" </tmp/in 2>"$err"
		echo $? >/tmp/status
	} | follow
	exec 3>&-
	got=$(cat /tmp/status)
	check_cell
	seconds=$(($(date +%s) - start))
	[ $((3 * seconds)) -le $hang_s ] || hang_s=$((3 * seconds))
	exits=$(sed -n 's/^exits to userspace: //p' "$err")
	if [ "$cell_failed" = 0 ]; then
		echo "PASS $kernel/$name: status $got, $exits exits, $seconds s"
	else
		echo "FAIL $kernel/$name"
		tail -n 60 "$log" | cut -d' ' -f2-
		tail -n 60 "$err"
		failed=$((failed + 1))
	fi
}

hang_s=40 # for one that hangs when it has booted: three times what the slowest before it took, at least

payload=$(sha256sum <payload | cut -d' ' -f1)
while read -r _ name image boot cpus mem status sees words; do
	case " $* " in *" $name "*) run_cell </dev/null ;; esac
done </job/cells
echo "matrix $kernel: $failed cells failed"
[ "$failed" = 0 ]
