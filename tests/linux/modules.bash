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
