#!/usr/bin/env bash
# docs/guide/first-kernel.md: what it shows is built and booted as it is there.
# shellcheck source-path=SCRIPTDIR disable=SC2016,SC2317 # assembly has dollars; cases are called by name
. "${0%/*}/lib.bash"
need_kvm

page=$(realpath "${0%/*}/../../docs/guide/first-kernel.md")

# block N: the N-th listing of the page.
block() {
	awk -v n="$1" '/^```/ { inside = !inside; if (inside) at++; next } inside && at == n' "$page"
}

build() {
	block 1 >start.S
	block 2 >kernel.c
	block 3 | sed '/^tollgate /d' >build.sh
	sh -e build.sh
}

case_it_boots_by_each_protocol() {
	build
	tollgate run kernel
	ended 0 'exit code 0 (exit port)'
	same 'output' "$(tr -d '\r' <"$case_dir/out")" 'Hello from a first kernel'
	tollgate run --boot multiboot --stats=json:stats kernel
	ended 0 'exit code 0 (exit port)'
	holds stats '.kernel.entered_by == "multiboot"'
	tollgate run --stats=json:stats kernel
	holds stats '.kernel.entered_by == "pvh"'
}

# The ends that the page lists, by a kernel that makes each.
case_it_ends_as_the_page_says() {
	local -A end=([7]='mov $7, %al; out %al, $0xf4' [112]='mov $0x505, %dx; mov $1, %al; out %al, %dx' [113]='ud2'
		[114]='mov $0xcf9, %dx; mov $6, %al; out %al, %dx' [122]='cli; hlt')
	local status_wanted
	for status_wanted in "${!end[@]}"; do
		printf '.code64\n%s\nhlt\n' "${end[$status_wanted]}" | assemble code
		tollgate run --flat 0x100000 code
		same "exit status of '${end[$status_wanted]}'" "$status" "$status_wanted"
		[ "$status_wanted" = 7 ] || grep -qE "\| $status_wanted(,.*)? \|\$" "$page" || fail "the page lacks $status_wanted"
	done
}

run_cases
