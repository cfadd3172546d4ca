# Sourced by what boots kernels in the testbed and needs modules of them.
# shellcheck shell=bash

# modules_for TREE DIR NAME...: copies these modules of a kernel (testbed kernel K) and those they need to
# DIR, and their file names, in the order to load them, to DIR/order. Those that the kernel has built in are left out.
modules_for() {
	local modules=$1/modules dir=$2 name line path
	shift 2
	mkdir "$dir"
	for name; do
		! grep -q "/$name\.ko$" "$modules/modules.builtin" || continue
		line=$(grep "^[^:]*/$name\.ko:" "$modules/modules.dep")
		for path in $(tr -d : <<<"$line" | tr ' ' '\n' | tac); do
			cp "$modules/$path" "$dir/"
			echo "${path##*/}"
		done
	done | awk '!seen[$0]++' >"$dir/order"
}

# install_modules TREE DIR PATTERN...: copies the modules of a kernel whose files match to DIR/lib/modules/RELEASE, as a
# package installs them. depmod is the caller's.
install_modules() {
	local modules pattern match=()
	modules=$2/lib/modules/$(cat "$1/release")
	mkdir -p "$modules"
	for pattern in "${@:3}" 'modules.*'; do match+=(-o -name "$pattern"); done
	(cd "$1/modules" && find . "${match[@]:1}" | cpio --quiet -pdm "$modules")
	touch "$modules/modules.builtin.modinfo"
}

# library_file SONAME DIR: what the testbed's --file takes, for a library that is loaded when wanted. The testbed brings
# those that executables need.
library_file() {
	local library
	read -r library < <(ldconfig -p | awk -v soname="$1" '$1 == soname { print $NF }') ||
		{ echo "$(basename "$0"): no $1" >&2 && return 1; }
	install -m 755 "$library" "$2/$1"
	echo "$2/$1:$library"
}
