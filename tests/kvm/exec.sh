#!/usr/bin/env bash
# `tollgate exec` and `tollgate cp` with the agent of /init on this host: no KVM is needed. tests/linux/exec has them
# with a guest.
# shellcheck source-path=SCRIPTDIR disable=SC2016,SC2317 # what the guest's shell expands; cases are called by name
. "${0%/*}/lib.bash"
: "${AGENT:?}"

# with_agent [MODE]: an agent at "v", which ends with the case.
with_agent() {
	"$AGENT" v "$@" >ready &
	agent=$!
	trap 'pkill -P $agent || true; kill $agent' EXIT
	wait_for grep -q ready ready
}

# execs STATUS ARGUMENT...: exec with that exit status; its outputs in "out" and "err".
execs() {
	local wanted=$1 got=0
	shift
	timeout -k 10 "$limit_s" "$TOLLGATE" exec "$@" >out 2>err || got=$?
	[ "$got" = "$wanted" ] || {
		cat out err
		fail "exec $*: status $got, not $wanted"
	}
}

# copy ARGUMENT...: cp, which must succeed.
copy() {
	timeout -k 10 "$limit_s" "$TOLLGATE" cp "$@" >out 2>err || {
		cat err
		fail "cp $*"
	}
}

copy_refused() {
	local error=$1
	shift
	! timeout -k 10 "$limit_s" "$TOLLGATE" cp "$@" >out 2>err || fail "cp $* succeeded"
	error_in err "$error"
}

case_statuses() {
	with_agent
	execs 0 v -- true
	execs 1 v false
	execs 7 v -- sh -c 'exit 7'
	execs 137 v -- sh -c 'kill -KILL $$'
	execs 127 v -- no-such-command
	error_in err 'agent-error no-such-command: No such file'
	: >file
	execs 126 v -- "$PWD/file"
	execs 125 -C /nowhere v -- true
	error_in err 'agent-error /nowhere: No such file'
}

case_streams_are_apart() {
	with_agent
	execs 0 v -- sh -c 'echo out; echo err >&2' </dev/null
	same out "$(cat out)" out
	same err "$(cat err)" err
}

case_environment_and_directory() {
	with_agent
	execs 0 -e A=1 --env B= -e A=2 -C /usr v -- sh -c 'echo "$A,$B,$PWD"'
	same out "$(cat out)" 2,,/usr
	execs 0 v -- pwd
	same out "$(cat out)" /
	execs 125 -e A v -- true
	error_in err exec-env-form
}

case_much_input_comes_back() {
	with_agent
	head -c 3000000 /dev/urandom >in
	execs 0 v -- cat <in
	cmp in out
	execs 0 v -- md5sum <in
	same sum "$(cut -d' ' -f1 out)" "$(md5sum in | cut -d' ' -f1)"
}

case_a_command_that_reads_nothing_ends() {
	with_agent
	head -c 3000000 /dev/zero >in
	execs 3 v -- sh -c 'exec <&-; exit 3' <in
	execs 0 v -- true <in
}

# Input that comes with the request is not left until something else comes: --silence 0 sends nothing else.
case_input_that_comes_at_once() {
	local n
	with_agent
	for n in {1..20}; do
		execs 0 --silence 0 v -- cat <<<"input $n"
		same output "$(cat out)" "input $n"
	done
}

# Signals reach the command also while it does not read its input.
case_signals_are_forwarded() {
	local signal
	with_agent
	head -c 3000000 /dev/zero >in
	for signal in INT TERM HUP QUIT; do
		: >out
		env --default-signal=INT,QUIT "$TOLLGATE" exec v -- \
			sh -c "trap 'echo $signal; exit 9' $signal; echo started; while :; do sleep 0.05; done" <in >out &
		pid=$!
		wait_for grep -q started out
		kill -s "$signal" "$pid"
		status=0
		wait "$pid" || status=$?
		same "status after SIG$signal" "$status" 9
		same 'what it said' "$(tail -n 1 out)" "$signal"
	done
}

# A client that is killed takes its command along.
case_a_client_that_dies_ends_its_command() {
	with_agent
	"$TOLLGATE" exec v -- sh -c 'echo $$; exec sleep 1000' >out </dev/null &
	pid=$!
	: >>out
	wait_for test -s out
	kill -KILL "$pid"
	wait "$pid" || true
	wait_for is_over "$(cat out)"
}

# Processes that it left running do not keep it, as with a shell.
case_a_command_may_leave_another_running() {
	with_agent
	execs 0 v -- sh -c 'sleep 1000 & echo $!'
	kill "$(cat out)"
}

case_many_at_once() {
	local n pids=()
	with_agent
	for n in {1..20}; do
		"$TOLLGATE" exec v -- sh -c "cat; exit $n" <<<"number $n" >"out.$n" &
		pids[n]=$!
	done
	for n in {1..20}; do
		status=0
		wait "${pids[n]}" || status=$?
		same "status of $n" "$status" "$n"
		same "output of $n" "$(cat "out.$n")" "number $n"
	done
}

case_a_terminal_has_our_size_and_keys() {
	with_agent
	status=0
	"$PTY" expect '24 80' resize 100x40 send $'stty size\n' expect '40 100' \
		send $'sh -c "echo at w\'\'ork; exec sleep 1000"\n' expect 'at work' send $'\x03' \
		send $'exit 5\n' -- "$TOLLGATE" exec -t v -- sh -c 'stty size; exec sh' >log || status=$?
	same status "$status" 5
	execs 0 -t v -- sh -c 'test -t 0 && test -t 1 && test -t 2' </dev/null
	execs 1 v -- sh -c 'test -t 0' </dev/null
}

case_a_guest_that_is_not_there() {
	execs 125 v -- true
	error_in err agent-connect 'tollgate run --vsock v'
	: >file
	execs 125 file -- true
	error_in err 'agent-connect file'
	execs 125 "$(head -c 200 /dev/zero | tr '\0' x)" -- true
	error_in err agent-path-length
	execs 125 v
	error_in err exec-operands some
	execs 125 v --
	error_in err exec-operands some
}

case_a_guest_that_refuses() {
	with_agent refuse
	execs 125 v -- true
	error_in err agent-refused --wait
}

case_a_guest_that_dies() {
	with_agent die
	execs 125 v -- true
	error_in err agent-lost some
}

case_a_guest_that_hangs() {
	with_agent mute
	execs 125 --silence 0.3 v -- true
	error_in err agent-silent '--silence 0'
}

case_a_guest_that_breaks_the_protocol() {
	with_agent babble
	execs 125 v -- true
	error_in err agent-protocol some
}

case_a_guest_that_sends_what_nobody_asked_for() {
	with_agent liar
	execs 125 v -- true
	error_in err agent-protocol some
}

case_wait_is_for_a_guest_that_comes() {
	{
		sleep 0.3
		exec "$AGENT" v
	} >ready &
	agent=$!
	trap 'kill $agent' EXIT
	execs 0 --wait v -- true
}

case_files_go_both_ways() {
	with_agent
	head -c 300000 /dev/urandom >in
	chmod 751 in
	copy in "v:$PWD/there"
	cmp in there
	same mode "$(stat -c %a there)" 751
	copy "v:$PWD/there" back
	cmp in back
	same mode "$(stat -c %a back)" 751
	mkdir dir
	copy in "v:$PWD/dir"
	copy "v:$PWD/there" dir
	same 'files' "$(ls -A dir)" $'in\nthere'
	: >empty
	copy empty "v:$PWD/dir/none"
	same 'size of an empty file' "$(stat -c %s dir/none)" 0
	same 'no file of another name' "$(ls -A)" "$(printf '%s\n' back dir empty err in out ready there v)"
}

case_directories_go_both_ways() {
	with_agent
	mkdir -p tree/a/b tree/empty
	echo 1 >tree/a/one
	echo 2 >tree/a/b/two
	chmod 600 tree/a/one
	ln -s a/one tree/link
	copy -r tree "v:$PWD/there"
	diff -r --no-dereference tree there
	copy -r "v:$PWD/there" back
	diff -r --no-dereference tree back
	same mode "$(stat -c %a back/a/one)" 600
	copy_refused 'copy-directory tree' tree "v:$PWD/x"
	copy_refused 'copy-directory' "v:$PWD/tree" x
}

case_copies_that_cannot_be() {
	with_agent
	: >file
	copy_refused 'copy-open missing' missing "v:$PWD/x"
	copy_refused 'agent-error No such file' "v:$PWD/missing" x
	copy_refused 'agent-error No such file' file "v:$PWD/no/where"
	copy_refused copy-operands file file
	copy_refused copy-operands v:/a v:/b
	copy_refused copy-operands file v:relative
	copy_refused copy-operands-count file
	copy_refused 'agent-error not a file' v:/dev/null x
	copy_refused copy-kind /dev/null "v:$PWD/x"
	copy_refused 'copy-create' "v:$PWD/file" /proc/x
	[ ! -e x ] || fail 'something was made'
}

run_cases
