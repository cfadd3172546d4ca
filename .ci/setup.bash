# Sourced by ./demo and ./test: packages by name, and a build directory. Debian and Ubuntu.
# shellcheck shell=bash disable=SC2034 # the lists are for those who source this

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 2
}

say() {
	printf '\n== %s\n' "$*"
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "installing packages needs root or sudo; as root: apt-get install $*"
	fi
}

# Packages that a build of tollgate itself needs.
build_packages='gcc libc6-dev meson ninja-build pkg-config libfdt-dev libjson-c-dev libpcre2-dev libyaml-dev
	zlib1g-dev libbz2-dev liblzma-dev liblz4-dev libzstd-dev libzydis-dev libslirp-dev liburing-dev
	libkmod-dev libdw-dev musl-tools'

# Packages that ./test needs as well, in the version that the release has.
test_packages='git clang clang-tidy clang-format cppcheck shellcheck libcmocka-dev
	device-tree-compiler acpica-tools valgrind jq libxml2-utils perl binutils util-linux e2fsprogs strace iproute2
	cpio kmod passt xz-utils zstd yamllint zsh fish gdb'

# Packages that build ours; only ./test --long does.
debian_packages='dpkg-dev debhelper lintian'

# Reports of covered lines; only ./test --coverage needs them.
coverage_packages='gcovr'

# Installs those of the named packages that are missing.
need_packages() {
	local missing=() p
	command -v dpkg-query >/dev/null || die "this script installs with apt-get, and this is no Debian or Ubuntu; needed: $*"
	for p; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
	done
	[ ${#missing[@]} = 0 ] && return
	say "installing ${missing[*]}"
	as_root apt-get -qq -o Acquire::Retries=3 update || echo "apt-get update failed; trying with the lists that are there" >&2
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 \
		-o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}" >/dev/null ||
		die "could not install ${missing[*]}"
}

# configure DIR OPTION...: makes or updates a build directory.
configure() {
	local dir=$1
	shift
	if [ -f "$dir/build.ninja" ]; then
		meson configure "$dir" "$@" >/dev/null
	else
		rm -rf "$dir"
		meson setup "$dir" "$@" >"$dir.log" 2>&1 || {
			cat "$dir.log"
			die "meson setup $dir failed"
		}
	fi
}
