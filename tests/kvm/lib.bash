# Sourced by the tests of this directory: cases, tollgate under a hang limit, and what it left.
# shellcheck shell=bash
#
# A test defines functions case_NAME and ends with run_cases. Each case runs in a subshell, in an empty
# directory, with standard input at its end. It fails by fail(), by a command that fails, or because
# something was left: a process, or a file in the directory for temporary ones.
#
# From Meson: TOLLGATE, GUESTS (directory of the test kernels), FREEZE, REFUSE, PTY, SLOWCAT and TALK.

# Under nohup SIGHUP is ignored, after a script's & SIGINT and SIGQUIT, which a shell cannot undo; cases send them.
[ -z "$(trap -p HUP INT QUIT TERM)" ] || exec env --default-signal=HUP,INT,QUIT,TERM "$BASH" "$0" "$@"

: "${TOLLGATE:?}" "${GUESTS:?}" "${PTY:?}" "${SLOWCAT:?}"
export LC_ALL=C
ulimit -c 0 # some cases crash the VMM on purpose

limit_s=300 # a hang, not slowness: sanitizers and loaded hosts are slow
leave_s=60  # for a helper that has got its end of file or its signal to be gone

fail() {
	printf 'FAILED: %s\n' "$*"
	exit 1
}

# skip REASON: this case cannot be tried here; CI must be able to.
skip() {
	[ "${CI:-}" != true ] || fail "skipped: $*"
	printf '%s\n' "$*" >"$case_dir/skipped"
	exit 0
}

# share_with AS...: lets the user that AS runs commands as execute Tollgate and read the kernels; what is
# built where that user may not go is copied.
share_with() {
	local f
	chmod 755 . "$work" "$case_dir"
	mkdir -m 777 "$case_dir/counts"
	export GCOV_PREFIX=$case_dir/counts # for ./test --coverage: that user cannot write where all counts are
	"$@" test -x "$TOLLGATE" && return
	mkdir shared
	cp "$TOLLGATE" shared/tollgate
	for f in "$GUESTS"/guest-*; do
		[ ! -f "$f" ] || cp "$f" shared/
	done
	TOLLGATE=$PWD/shared/tollgate GUESTS=$PWD/shared
}

need_kvm() {
	local why
	[ -r /dev/kvm ] && [ -w /dev/kvm ] && return
	why='no access to /dev/kvm'
	[ -e /dev/kvm ] || why='there is no /dev/kvm'
	if [ "${CI:-}" = true ]; then
		echo "FAILED: $why, and CI must have it"
		exit 1
	fi
	echo "skipped: $why"
	exit 77
}

# kernel NAME: the test kernel's file.
kernel() {
	printf '%s\n' "$GUESTS/guest-$1"
}

# assemble FILE: flat code from GNU assembly on standard input. It is not linked: jumps are relative.
assemble() {
	as -o "$1.o" -
	objcopy -O binary -j .text "$1.o" "$1"
}

# can_freeze: from now on, no write of Tollgate's to a file in the directory "ice" returns while there is a file
# "frozen", as on a frozen file system. The first makes the file "frozen.held".
can_freeze() {
	local here
	here=$(realpath .)
	mkdir ice
	printf '#!/bin/sh\nexec "%s" "%s/ice" "%s/frozen" "%s" "$@"\n' "$FREEZE" "$here" "$here" "$TOLLGATE" >freezing
	chmod +x freezing
	TOLLGATE=$here/freezing
}

# Runs tollgate; then $status has its exit status, $case_dir/out and err what it said.
tollgate() {
	status=0
	timeout -k 10 "$limit_s" "$TOLLGATE" "$@" >"$case_dir/out" 2>"$case_dir/err" || status=$?
	ran="tollgate $*"
}

# after_timeout CHECK COMMAND ARGUMENT...: tollgate COMMAND with a --timeout, $seconds, that is long enough on
# this host just now for the guest to get where the command CHECK finds it afterwards.
after_timeout() {
	local check=$1 command=$2
	shift 2
	for seconds in 0.5 5 50 250; do
		tollgate "$command" --timeout $seconds "$@"
		! eval "$check" || return 0
	done
	show
	fail "not after $seconds s: $check"
}

# start ARGUMENT...: the same in the background, as $pid; finish waits for its end.
start() {
	: >"$case_dir/out" # the words of an earlier run are none of this one
	: >"$case_dir/err"
	# A shell starts what it does not wait for with these ignored, and so they would stay.
	env --default-signal=INT,QUIT "$TOLLGATE" "$@" >"$case_dir/out" 2>"$case_dir/err" &
	pid=$!
	ran="tollgate $*"
	status=running
}

# is_over PID: whether a process has ended, though its parent may not have asked how.
is_over() {
	local state
	! read -r _ _ state _ 2>/dev/null <"/proc/$1/stat" || [ "$state" = Z ]
}

has_ended() {
	is_over "$pid"
}

finish() {
	wait_for has_ended
	status=0
	wait "$pid" || status=$?
}

# wait_for COMMAND...: until it succeeds.
wait_for() {
	local until_s=$((SECONDS + limit_s))
	until "$@"; do
		[ $SECONDS -lt $until_s ] || fail "never came true: $*"
		sleep 0.01
	done
}

# Whether what start() started has its first vCPU's thread. A function, because the threads that are
# there must be looked for anew each time.
runs_a_vcpu() {
	grep -qx vcpu0 /proc/"$pid"/task/*/comm
}

has_printed() {
	grep -qF -- "$1" "$case_dir/out"
}

# Waits until the guest has printed TEXT.
wait_for_output() {
	wait_for has_printed "$1"
}

answers() {
	"$TOLLGATE" control ctl status >/dev/null 2>&1
}

# start_controlled ARGUMENT...: the same as start run, with a control socket "ctl", once it answers.
start_controlled() {
	start run --control ctl "$@"
	wait_for answers
}

# control WORD...: a command, whose data is in the file "reply"; it must succeed.
control() {
	timeout -k 10 "$limit_s" "$TOLLGATE" control ctl "$@" >reply 2>refusal || {
		cat refusal
		fail "control $*"
	}
	same "what 'control $*' says on standard error" "$(cat refusal)" ''
}

# error_in FILE ERROR [REMEDY]: FILE has the line of an ERROR, which is "ID" or "ID TEXT", a text that is part of the
# message: a name or a number that matters here. The message is in docs/reference/messages.md. The next line is a
# remedy with REMEDY in it; any, if that is "some".
error_in() {
	local id=${2%% *} text=${2#"${2%% *}"} remedy=${3-} at
	text=${text# }
	at=$(grep -nE "^tollgate: .* \\[$id\\]\$" "$1" | grep -F -- "$text" | head -n 1 | cut -d: -f1) || true
	[ -n "$at" ] || { show && fail "no error [$id] with this text: $text"; }
	[ "$remedy" != some ] || remedy='remedy: '
	[ -z "$remedy" ] || sed -n "$((at + 1))s/^  remedy: ./&/p" "$1" | grep -qF -- "$remedy" ||
		{ show && fail "the remedy is not: $remedy"; }
}

# complained_of ERROR [REMEDY]: the same of standard error.
complained_of() {
	error_in "$case_dir/err" "$@"
}

# one_error FILE: it is a line with an error, and perhaps one with a remedy.
one_error() {
	[ "$(sed -nE '1{/^tollgate: .* \[[a-z0-9-]+\]$/p}; 2{/^  remedy: ./p}' "$1")" = "$(cat "$1")" ] ||
		{ cat "$1" && fail 'not one error and a remedy'; }
}

# refuses_at ERROR REMEDY PATH WORD...: a command for the VM at PATH that must fail, with that.
refuses_at() {
	local error=$1 remedy=$2 got=0
	shift 2
	timeout -k 10 "$limit_s" "$TOLLGATE" control "$@" >reply 2>refusal || got=$?
	same 'exit status' "$got" 2
	same 'data' "$(cat reply)" ''
	one_error refusal
	error_in refusal "$error" "$remedy"
	same 'lines' "$(wc -l <refusal)" "$([ -n "$remedy" ] && echo 2 || echo 1)"
}

# refuses ERROR REMEDY WORD...: the same, for what start_controlled() began.
refuses() {
	refuses_at "$1" "$2" ctl "${@:3}"
}

# says TEXT...: gdb's output, in "log", has each as a line, in this order.
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

# stop: ends what start_controlled() began.
stop() {
	control stop
	finish
	ended 116 'killed (control socket)'
	[ ! -e ctl ] || fail 'the socket was left behind'
}

show() {
	printf '%.500s: status %s\n-- standard output\n' "$ran" "$status"
	tail -c 4000 "$case_dir/out" | cut -c 1-500
	printf -- '\n-- standard error\n'
	tail -c 4000 "$case_dir/err" | cut -c 1-500
}

# ended STATUS HOW: the exit status, and the one line that says how the VM ended.
ended() {
	local line
	line=$(grep '^tollgate: ' "$case_dir/err") || true
	if [ "$status" != "$1" ] || [ "$line" != "tollgate: $2, exit status $1" ]; then
		show
		fail "$ran: not '$2' with status $1"
	fi
}

# printed REGEX...: each matches a line of the guest's output; complained: of standard error.
printed() {
	local re
	tr -d '\r' <"$case_dir/out" >"$case_dir/lines" # in a pipe it might outlive the case, or die of SIGPIPE
	for re; do
		grep -qE -- "$re" "$case_dir/lines" || { show && fail "no line of output like: $re"; }
	done
}

complained() {
	local re
	for re; do
		grep -qE -- "$re" "$case_dir/err" || { show && fail "no line of standard error like: $re"; }
	done
}

# run_refused ERROR ARGUMENT...: `tollgate run` does not take the arguments, with that error.
run_refused() {
	local error=$1
	shift
	tollgate run "$@"
	same 'exit status' "$status" 2
	complained_of "$error"
}

# same WHAT GOT WANTED
same() {
	[ "$2" = "$3" ] || { show && fail "$1: $2, not $3"; }
}

# holds FILE FILTER: the jq filter is true of the statistics in FILE; pio(N) and mmio(N) are the ranges
# that begin at N.
holds() {
	jq -e "
		def pio(n): .pio.ranges[] | select(.first == n);
		def mmio(n): .mmio.ranges[] | select(.first == n);
		$2" "$1" >/dev/null || {
		jq -c . "$1"
		fail "not true of the statistics: $2"
	}
}

# Processes of this case; each inherited its name. Not for the shells that run cases.
left_running() {
	local environ of
	grep -lsazxF "TOLLGATE_TEST_CASE=$1" /proc/[0-9]*/environ | while read -r environ; do
		of=${environ%/environ}
		printf '%s: %s\n' "${of#/proc/}" "$(tr '\0' ' ' <"$of/cmdline")"
	done 2>/dev/null
}

# ends_alone TAG: waits while processes of this case run; those of one that went well are about to end.
ends_alone() {
	local until_s=$((SECONDS + leave_s))
	while [ -n "$(left_running "$1")" ] && [ $SECONDS -lt $until_s ]; do
		sleep 0.01
	done
}

run_case() {
	local name=$1 status=0 left tag=$$.$1
	case_dir=$work/$name
	mkdir -p "$case_dir/tmp" "$case_dir/here"
	touch "$case_dir/out" "$case_dir/err"
	(
		set -euo pipefail
		status=unknown ran=tollgate
		export TOLLGATE_TEST_CASE=$tag TMPDIR=$case_dir/tmp
		cd "$case_dir/here"
		"case_$name" </dev/null
	) >"$case_dir/log" 2>&1
	status=$?
	[ $status != 0 ] || ends_alone "$tag"
	left=$(left_running "$tag")
	if [ -n "$left" ]; then
		printf 'FAILED: left running: %s\n' "$left" >>"$case_dir/log"
		cut -d: -f1 <<<"$left" | xargs kill -9 2>/dev/null
	fi
	[ -z "$(ls -A "$case_dir/tmp")" ] || {
		ls -lA "$case_dir/tmp"
		echo 'FAILED: temporary files were left behind'
	} >>"$case_dir/log"
	if [ $status != 0 ] || grep -q '^FAILED: ' "$case_dir/log"; then
		printf 'FAIL %s (status %d)\n' "$name" $status
		sed 's/^/    /' "$case_dir/log"
		failed=$((failed + 1))
	elif [ -e "$case_dir/skipped" ]; then
		printf 'SKIP %s: %s\n' "$name" "$(cat "$case_dir/skipped")"
	else
		printf 'PASS %s (%d s)\n' "$name" $((SECONDS - case_start))
	fi
	rm -rf "$case_dir"
}

# Runs every case, or those named in CASES.
run_cases() {
	local name
	failed=0
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	for name in ${CASES:-$(compgen -A function case_ | sed 's/^case_//')}; do
		case_start=$SECONDS
		run_case "$name"
	done
	[ $failed = 0 ] || {
		echo "$failed failed"
		exit 1
	}
}
