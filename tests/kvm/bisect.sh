#!/usr/bin/env bash
# `git bisect run` with `tollgate smoke --bisect`, in a real repository of small kernels; and each status by itself.
# shellcheck source-path=SCRIPTDIR disable=SC2317 # cases are called by name
. "${0%/*}/lib.bash"
. "${0%/*}/smoke.bash"
need_kvm

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org

# revision N TEXT: a commit whose kernel prints TEXT; "broken" makes one that cannot be built.
revision() {
	printf '%s\n' "$2" >text
	git add text
	git commit -qm "revision $1"
}

# repository BAD: twelve revisions; from BAD on the kernel has a fault. The fifth and the sixth cannot be built.
repository() {
	local n
	git init -q -b main repo
	cd repo
	cat >build <<'END'
#!/bin/sh
# A kernel of the text, if there is one.
! grep -q broken text && cp text ../revision.text
END
	# shellcheck disable=SC2016 # of the script
	printf '#!/bin/sh\n./build || exit 125\nexec ../boot\n' >'test'
	chmod +x build test
	git add build test
	for n in {1..12}; do
		case $n in
		5 | 6) revision "$n" "broken $n" ;;
		*) if [ "$n" -lt "$1" ]; then revision "$n" "revision $n: fine"; else revision "$n" "BUG: since revision $1, this is $n"; fi ;;
		esac
	done
	git bisect start HEAD HEAD~11 >/dev/null
}

# boot_script OPTION...: what a revision's test runs: makes the kernel that prints revision.text, and boots it.
boot_script() {
	cat >boot <<-END
		#!/usr/bin/env bash
		cd "$PWD"
		export CASES= TOLLGATE="$TOLLGATE"
		$(declare -f assemble speak)
		speak k off <revision.text
		"$TOLLGATE" smoke --bisect --flat 0x7c00,real $* k
	END
	chmod +x boot
}

case_git_finds_the_first_bad_revision() {
	local bad
	for bad in 4 9; do
		rm -rf repo
		boot_script --quick
		(
			repository $bad
			git bisect run ./test >"$case_dir/out" 2>&1 || fail "$(cat "$case_dir/out")"
			same 'the first bad one' "$(git log -1 --format=%s refs/bisect/bad)" "revision $bad"
			git bisect log | grep -q '^# first bad commit: ' || fail "$(git bisect log)"
		)
		grep -q '^bisect: bad$' "$case_dir/out" || fail "$(cat "$case_dir/out")"
		grep -q '^bisect: good$' "$case_dir/out" || fail "$(cat "$case_dir/out")"
	done
}

case_git_skips_what_cannot_be_built() {
	rm -rf repo
	boot_script --repeat 2
	(
		repository 6
		git bisect run ./test >"$case_dir/out" 2>&1 || true
		grep -q 'only .skip.ped commits left to test' "$case_dir/out" || fail "$(cat "$case_dir/out")"
		git bisect log | grep -q '^# skip: ' || fail "$(git bisect log)"
	)
}

case_a_host_that_cannot_test_ends_the_bisection() {
	rm -rf repo
	boot_script --junit /nonexistent/x
	(
		repository 9
		! git bisect run ./test >"$case_dir/out" 2>&1 || fail "$(cat "$case_dir/out")"
		grep -q 'exit code 128' "$case_dir/out" || fail "$(cat "$case_dir/out")"
		same 'first bad commits' "$(git bisect log | grep -c '^# first bad commit: ' || true)" 0
	)
}

case_each_status_is_one_of_git_bisects() {
	tollgate smoke --bisect -p exit=0 "$(kernel exits)"
	same 'exit status' "$status" 0
	printed '^bisect: good$'
	tollgate smoke --bisect -p exit=7 "$(kernel exits)"
	same 'exit status' "$status" 1
	printed '^bisect: bad$'
	tollgate smoke --bisect -p panic "$(kernel exits)"
	same 'exit status' "$status" 1
	tollgate smoke --bisect -p exit=125 "$(kernel exits)"
	same 'exit status' "$status" 125
	tollgate smoke --bisect nowhere
	same 'exit status' "$status" 125
	printed '^bisect: skip$'
	tollgate smoke --bisect --timeout x nowhere
	same 'exit status' "$status" 128
	tollgate smoke --bisect --tap /dev/full -p exit=0 "$(kernel exits)"
	same 'exit status' "$status" 128
	printed '^bisect: abort$'
	start smoke --bisect --timeout 0 --stall 0 -p how=loop "$(kernel hang)"
	wait_for runs_a_boot
	kill "$pid"
	finish
	same 'exit status' "$status" 128
	tollgate smoke --flaky good "$(kernel exits)"
	same 'exit status' "$status" 2
	complained_of flaky-without-bisect
}

# The process that start() started has a child that is a boot.
runs_a_boot() {
	[ -n "$(<"/proc/$pid/task/$pid/children")" ]
}

run_cases
