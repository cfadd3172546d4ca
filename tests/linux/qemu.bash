# qemu.bash - sourced by testbed: the QEMU that L1 runs in, and its monitor.
# shellcheck shell=bash
#
#   $cache/qemu/KEY/bin/qemu-system-x86_64   a copy without the fault that mend-qemu explains
#   $cache/qemu/KEY/{share,lib}              links to the package's, which QEMU looks for beside its bin
#
# KEY is the sum of the package's binary and of mend-qemu, so a copy never outlives either.
: "${cache:?set by testbed, as are here, say and run}"

# Sets ret_qemu to the QEMU to start, and ret_mended unless it is the package's own. TESTBED_QEMU=stock asks for that.
choose_qemu() {
	local stock key dir new
	stock=$(readlink -f "$(command -v qemu-system-x86_64)")
	ret_qemu=$stock ret_mended=''
	[[ ${TESTBED_QEMU:-} != stock ]] || return 0
	key=$(cat "$stock" "$here/mend-qemu" | sha256sum)
	dir=$cache/qemu/${key:0:16}
	if [[ ! -x $dir/bin/qemu-system-x86_64 ]]; then
		mkdir -p "$cache/qemu"
		new=$(mktemp -d "$cache/qemu/new.XXXXXX")
		mkdir "$new/bin"
		ln -s "${stock%/bin/*}"/{share,lib} "$new/"
		if ! "$here/mend-qemu" "$stock" "$new/bin/qemu-system-x86_64" 2>"$new/why" ||
			! "$new/bin/qemu-system-x86_64" -version >"$new/why" 2>&1; then
			say "taking QEMU as it is, which delivers interrupts twice at times: $(tail -n 1 "$new/why")"
			rm -rf "$new"
			return 0
		fi
		# One that another testbed has made meanwhile is the same.
		mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new"
		find "$cache/qemu" -mindepth 1 -maxdepth 1 -mtime +1 ! -path "$dir" -exec rm -rf {} +
	fi
	ret_qemu=$dir/bin/qemu-system-x86_64 ret_mended=1
}
